//! What is `baggage` and what is not, with the section of W3C Baggage that says so.

use std::collections::HashMap;

use proptest::prelude::*;
use scouter_propagation::baggage::{Entry, members};
use scouter_propagation::{Baggage, BaggageError, BaggagePropagator};

type Row<'a> = (&'a str, Result<(&'a str, &'a str, &'a str), &'a str>, &'a str);

fn kind(error: &BaggageError) -> &'static str {
    match error {
        BaggageError::NoEquals => "no equals",
        BaggageError::EmptyKey => "empty key",
        BaggageError::KeyCharacter { .. } => "key character",
        BaggageError::ValueCharacter { .. } => "value character",
        BaggageError::Percent { .. } => "percent",
        BaggageError::Property { .. } => "property",
        BaggageError::TooManyMembers { .. } => "too many members",
        BaggageError::TooLong { .. } => "too long",
    }
}

#[test]
fn each_member_is_read_as_the_standard_says() {
    let octets: String = ('!'..='~').filter(|c| !"\",;\\%".contains(*c)).collect();
    let every_octet = format!("k={octets}");
    let token = "!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ";
    let every_token_character = format!("{token}=v");
    let table: &[Row<'_>] = &[
        ("userId=alice", Ok(("userId", "alice", "")), "3.3.1"),
        ("userId =   alice", Ok(("userId", "alice", "")), "3.3.1.2, 3.3.1.3: OWS"),
        ("\tk\t = \tv \t", Ok(("k", "v", "")), "3.3.1.2, 3.3.1.3: OWS"),
        ("k=", Ok(("k", "", "")), "3.3.1: a value may be empty"),
        ("k= ", Ok(("k", "", "")), "3.3.1: a value may be empty"),
        ("k=v=w==", Ok(("k", "v=w==", "")), "3.3.1.3: equal signs"),
        (&every_octet, Ok(("k", &octets, "")), "3.3.1: baggage-octet"),
        (&every_token_character, Ok((token, "v", "")), "3.3.1.2: token"),
        ("a%20b=v", Ok(("a%20b", "v", "")), "3.3.1.2: keys are not encoded"),
        // Encoding
        ("serverNode=DF%2028", Ok(("serverNode", "DF 28", "")), "3.3.1.3"),
        ("userId=Am%C3%A9lie", Ok(("userId", "Amélie", "")), "3.4"),
        ("k=%41%c3%A9", Ok(("k", "Aé", "")), "RFC 3986, section 2.1: digits of either case"),
        ("k=%00%0d%0A", Ok(("k", "\0\r\n", "")), "3.3.1.3"),
        ("k=%2C%3B%5C%22%25", Ok(("k", ",;\\\"%", "")), "3.3.1.3"),
        ("k=%2541", Ok(("k", "%41", "")), "3.3.1.3: decoded once"),
        ("k=a+b", Ok(("k", "a+b", "")), "RFC 3986, section 2.1: plus is plus"),
        ("k=%ff", Ok(("k", "\u{fffd}", "")), "3.3.1.3: what is not UTF-8 is replaced"),
        ("k=a%C3z", Ok(("k", "a\u{fffd}z", "")), "3.3.1.3: what is not UTF-8 is replaced"),
        ("k=%", Err("percent"), "3.3.1.3: the percent code point is encoded"),
        ("k=100%", Err("percent"), "3.3.1.3: the percent code point is encoded"),
        ("k=%4", Err("percent"), "RFC 3986, section 2.1"),
        ("k=%4x", Err("percent"), "RFC 3986, section 2.1"),
        ("k=%%41", Err("percent"), "RFC 3986, section 2.1"),
        // Values
        ("k=a b", Err("value character"), "3.3.1: baggage-octet"),
        ("k=a\tb", Err("value character"), "3.3.1: baggage-octet"),
        ("k=\"v\"", Err("value character"), "3.3.1: baggage-octet"),
        ("k=a\\b", Err("value character"), "3.3.1: baggage-octet"),
        ("k=\u{7f}", Err("value character"), "3.3.1: baggage-octet"),
        ("k=\r\n", Err("value character"), "3.3.1: baggage-octet"),
        ("k=Amélie", Err("value character"), "3.3.1.3: ASCII"),
        ("k=v\u{a0}", Err("value character"), "3.3.1: OWS is space and tab"),
        // Keys
        ("k", Err("no equals"), "3.3.1: list-member"),
        ("k;p=v", Err("no equals"), "3.3.1: list-member"),
        ("=v", Err("empty key"), "3.3.1.2: token"),
        (" =v", Err("empty key"), "3.3.1.2: token"),
        ("a b=v", Err("key character"), "3.3.1.2: token"),
        ("a(b=v", Err("key character"), "3.3.1.2: token"),
        ("\"k\"=v", Err("key character"), "3.3.1.2: token"),
        ("a/b=v", Err("key character"), "3.3.1.2: token"),
        ("a@b=v", Err("key character"), "3.3.1.2: token"),
        ("é=v", Err("key character"), "3.3.1.2: token"),
        // Properties
        ("k=v;p", Ok(("k", "v", "p")), "3.3.1.4"),
        ("k=v;p1;p2=w;p1", Ok(("k", "v", "p1;p2=w;p1")), "3.3.1.4"),
        ("k \t = \t v \t ; \t p \t = \t w \t ; q ", Ok(("k", "v", "p=w;q")), "3.3.1.4: OWS"),
        ("k=v;p=", Ok(("k", "v", "p=")), "3.3.1: property"),
        ("k=v;p=a=b", Ok(("k", "v", "p=a=b")), "3.3.1: property"),
        ("k=v;p=%zz%20", Ok(("k", "v", "p=%zz%20")), "3.3.1.4: no specific meaning"),
        ("k=v;", Err("property"), "3.3.1: property"),
        ("k=v;;p", Err("property"), "3.3.1: property"),
        ("k=v;=w", Err("property"), "3.3.1: property"),
        ("k=v;a b", Err("property"), "3.3.1.4: token"),
        ("k=v;p=a b", Err("property"), "3.3.1: baggage-octet"),
        ("k=v;p=\"w\"", Err("property"), "3.3.1: baggage-octet"),
    ];
    for (member, expected, section) in table {
        let read = members(member).next().unwrap();
        let parts = read.as_ref().map(|entry| (entry.key(), entry.value(), entry.metadata())).map_err(kind);
        assert_eq!(parts, *expected, "{member:?}, section {section}");
        // Alone it is dropped or kept, and its neighbours stay (section 3.5).
        let baggage = Baggage::parse([format!("first=1, {member} ,last=3").as_str()]);
        assert_eq!((baggage.get("first"), baggage.get("last")), (Some("1"), Some("3")), "{member:?}");
        assert_eq!(baggage.len(), 2 + usize::from(expected.is_ok()), "{member:?}, section {section}");
    }
}

#[test]
fn headers_are_combined_and_repeated_keys_stay() {
    let table: &[(&[&str], &str, &str)] = &[
        (
            &["userId=alice", "serverNode=DF%2028,isProduction=false"],
            "userId=alice,serverNode=DF%2028,isProduction=false",
            "3.4",
        ),
        (&["k=1,j=2", "k=3"], "k=1,j=2,k=3", "3.3.1.1: the order of duplicates is kept"),
        (&["", " , ,", "k=1,,j=2,"], "k=1,j=2", "RFC 7230, section 7: empty elements"),
        (&["bad", "k=1"], "k=1", "3.5"),
        (&["k = v ; p = w"], "k=v;p=w", "3.3.1: OWS is optional"),
        (&[], "", "1: baggage is optional"),
    ];
    for (headers, expected, section) in table {
        let pairs: Vec<(&str, &str)> =
            ["baggage", "Baggage", "BAGGAGE"].into_iter().zip(headers.iter().copied()).collect();
        let baggage = BaggagePropagator.extract(&pairs);
        assert_eq!(baggage.to_header(), *expected, "{headers:?}, section {section}");
        let mut carrier = HashMap::new();
        BaggagePropagator.inject(&baggage, &mut carrier);
        assert_eq!(carrier.get("baggage").map_or("", String::as_str), *expected, "{headers:?}, section {section}");
    }
    assert_eq!(Baggage::parse(["k=1,j=2", "k=3"]).get("k"), Some("3"));
}

#[test]
fn the_limits_hold_for_all_headers_together() {
    let numbered = |from: usize, to: usize| (from..to).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let longest = format!("a={}", "0123456789".repeat(819));
    let table: &[(&[&str], usize, usize, &str)] = &[
        (&[&numbered(0, 64)], 64, numbered(0, 64).len(), "3.3.2: at least 64"),
        (&[&numbered(0, 100), &numbered(100, 180)], 180, numbered(0, 180).len(), "3.3.1: 180"),
        (&[&numbered(0, 100), &numbered(100, 181)], 180, numbered(0, 180).len(), "3.3.1: 180"),
        (&[&longest], 1, 8192, "3.3.2: 8192 bytes"),
        (&[&format!("{longest}b")], 0, 0, "3.3.2: 8192 bytes, and no partial list-members"),
        (&[&longest, "b=2"], 1, 8192, "3.3.2: 8192 bytes for all headers"),
        (&[&longest[..8190], "b=2"], 1, 8190, "3.3.2: commas count"),
        (&[&longest[..8188], "b=2"], 2, 8192, "3.3.2: commas count"),
        (&["b=2", &longest, "c=3"], 2, 7, "3.3.2: which are dropped is left open"),
        (&[&format!("k={}", "%41".repeat(8000))], 1, 8002, "3.3.2: the resulting baggage-string counts"),
    ];
    for (headers, count, length, section) in table {
        let baggage = Baggage::parse(headers.iter().copied());
        assert_eq!((baggage.len(), baggage.to_header().len()), (*count, *length), "section {section}");
    }
}

#[test]
fn entries_are_set_replaced_and_removed() {
    let mut baggage = Baggage::parse(["k=1;old,j=2,k=3"]);
    baggage.insert(Entry::new("k", "Amélie, 100%").unwrap().with_metadata(" secret ; ttl = 5 ").unwrap()).unwrap();
    assert_eq!(baggage.to_string(), "k=Am%C3%A9lie%2C%20100%25;secret;ttl=5,j=2");
    assert_eq!(baggage.iter().map(Entry::key).collect::<Vec<_>>(), ["k", "j"]);
    let entry = baggage.entry("k").unwrap();
    assert_eq!(entry.properties().collect::<Vec<_>>(), [("secret", None), ("ttl", Some("5"))]);
    assert!(baggage.remove("k"));
    assert!(!baggage.remove("k"));
    assert_eq!(baggage.to_header(), "j=2");
    assert!(baggage.remove("j"));
    assert_eq!(baggage, Baggage::new());

    assert_eq!(Entry::new("a b", "v").unwrap_err(), BaggageError::KeyCharacter { key: "a b".into(), character: ' ' });
    assert_eq!(Entry::new("", "v").unwrap_err(), BaggageError::EmptyKey);
    let property = Entry::new("k", "v").unwrap().with_metadata("p=a,b").unwrap_err();
    assert_eq!(
        property.to_string(),
        "the baggage member \"k\" has an invalid property: \
         the value of the baggage member \"p\" has ',', which has to be percent-encoded"
    );
}

#[test]
fn what_does_not_fit_is_not_inserted_and_leaves_the_rest() {
    let mut baggage = Baggage::new();
    for n in 0..Baggage::MAX_MEMBERS {
        baggage.insert(Entry::new(format!("k{n}"), "v").unwrap()).unwrap();
    }
    let before = baggage.clone();
    let error = baggage.insert(Entry::new("more", "v").unwrap()).unwrap_err();
    assert_eq!(error, BaggageError::TooManyMembers { key: "more".into() });
    let error = baggage.insert(Entry::new("k7", " ".repeat(2800)).unwrap()).unwrap_err();
    assert_eq!(error, BaggageError::TooLong { key: "k7".into(), length: before.to_header().len() + 3 * 2800 - 1 });
    assert_eq!(baggage, before);
    baggage.insert(Entry::new("k7", "w").unwrap()).unwrap();
    assert_eq!((baggage.len(), baggage.get("k7")), (Baggage::MAX_MEMBERS, Some("w")));
}

proptest! {
    #[test]
    fn what_is_inserted_reads_back_equal(
        entries in proptest::collection::vec(("[!#-'*+.^-z|~0-9A-Z-]{1,9}", ".{0,20}", "(p[0-9]{0,2}(=[!-+]?[x%]{0,3})?){0,1}"), 0..20),
    ) {
        let mut baggage = Baggage::new();
        for (key, value, metadata) in entries {
            let metadata = metadata.replace('"', "");
            baggage.insert(Entry::new(key.clone(), value.clone()).unwrap().with_metadata(&metadata).unwrap()).unwrap();
            prop_assert_eq!(baggage.get(&key), Some(value.as_str()));
        }
        let mut carrier = Vec::new();
        BaggagePropagator.inject(&baggage, &mut carrier);
        prop_assert_eq!(BaggagePropagator.extract(&carrier), baggage);
    }

    #[test]
    fn what_is_read_reads_back_equal(header in "( ?[a-c%(]{0,3} ?=?[ -~é]{0,12},?){0,12}") {
        let baggage = Baggage::parse([header.as_str()]);
        let text = baggage.to_header();
        prop_assert!(text.is_ascii() && text.len() <= Baggage::MAX_BYTES);
        prop_assert_eq!(Baggage::parse([text.as_str()]), baggage);
    }
}
