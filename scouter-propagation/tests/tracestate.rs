//! What is a `tracestate` and what is not, with the section of W3C Trace Context level 2 that says so.

use proptest::prelude::*;
use scouter_propagation::{TraceContext, tracestate};
use scouter_span::TraceState;
use scouter_span::context::TraceStateError;

const TRACEPARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

fn numbered(from: usize, to: usize) -> String {
    (from..=to).map(|n| format!("bar{n:02}={n:02}")).collect::<Vec<_>>().join(",")
}

fn kind(error: &TraceStateError) -> &'static str {
    match error {
        TraceStateError::TooManyMembers { .. } => "too many members",
        TraceStateError::NoEquals { .. } => "no equals",
        TraceStateError::EmptyKey { .. } => "empty key",
        TraceStateError::KeyTooLong { .. } => "key too long",
        TraceStateError::KeyCharacter { .. } => "key character",
        TraceStateError::EmptyValue { .. } => "empty value",
        TraceStateError::ValueTooLong { .. } => "value too long",
        TraceStateError::ValueCharacter { .. } => "value character",
        TraceStateError::DuplicateKey { .. } => "duplicate key",
    }
}

#[test]
fn each_header_is_read_as_the_standard_says() {
    let every_key_character = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@=1";
    let value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    let every_value_character = format!("a={value}");
    let (longest_key, longest_value) = (format!("{}=1", "z".repeat(256)), format!("a={}", "1".repeat(256)));
    let (members, one_more) = (numbered(1, 32), numbered(1, 33));
    let thirty_two_with_empty = format!("{},,", numbered(1, 30));
    let tenants = format!("{}@v=1,t@{}=1", "t".repeat(242), "v".repeat(15));
    let table: &[(&str, Result<&str, &str>, &str)] = &[
        ("congo=t61rcWkgMzE", Ok("congo=t61rcWkgMzE"), "list"),
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", Ok("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), "list"),
        ("", Ok(""), "tracestate Header Field Values: empty headers are accepted"),
        (" \t", Ok(""), "tracestate Header Field Values: white-space-only list members"),
        ("foo=1,,bar=2, ,", Ok("foo=1,bar=2"), "tracestate Header Field Values: empty list members"),
        ("foo=1 \t , \t bar=2, \t baz=3", Ok("foo=1,bar=2,baz=3"), "list: OWS"),
        ("\t foo=1 \t", Ok("foo=1"), "list: OWS"),
        (&members, Ok(&members), "list: 32 list-members"),
        (&one_more, Err("too many members"), "list: 32 list-members"),
        (&thirty_two_with_empty, Ok(&numbered(1, 30)), "list: an empty list-member is one"),
        (&format!("{thirty_two_with_empty},"), Err("too many members"), "list: an empty list-member is one"),
        (&format!("{members},"), Err("too many members"), "list: an empty list-member is one"),
        // Keys
        (every_key_character, Ok(every_key_character), "Key"),
        ("1a=1", Ok("1a=1"), "Key: may begin with a digit"),
        ("fw529a3039@dt=1", Ok("fw529a3039@dt=1"), "Key"),
        ("foo@=1,bar=2", Ok("foo@=1,bar=2"), "Key: level 2 takes '@' as any other keychar"),
        ("foo@@bar=1,foo@bar@baz=2", Ok("foo@@bar=1,foo@bar@baz=2"), "Key: level 2"),
        (&tenants, Ok(&tenants), "Key: level 2 limits the whole key only"),
        (&longest_key, Ok(&longest_key), "Key: 256 characters"),
        (&format!("z{longest_key}"), Err("key too long"), "Key: 256 characters"),
        ("@foo=1,bar=2", Err("key character"), "Key: begins with a letter or digit"),
        ("_foo=1", Err("key character"), "Key: begins with a letter or digit"),
        ("-foo=1", Err("key character"), "Key: begins with a letter or digit"),
        ("*=1", Err("key character"), "Key: begins with a letter or digit"),
        ("/=1", Err("key character"), "Key: begins with a letter or digit"),
        ("foo =1", Err("key character"), "Key"),
        ("fo o=1", Err("key character"), "Key"),
        ("FOO=1", Err("key character"), "Key: lower case"),
        ("fOO=1", Err("key character"), "Key: lower case"),
        ("foo.bar=1", Err("key character"), "Key"),
        ("foo\u{7f}=1", Err("key character"), "Key"),
        ("föö=1", Err("key character"), "Key"),
        ("=1", Err("empty key"), "Key"),
        ("foo", Err("no equals"), "list-members"),
        ("foo=1;bar=2", Err("value character"), "Value: no '='"),
        ("foo=1,bar", Err("no equals"), "list-members"),
        // Values
        (&every_value_character, Ok(&every_value_character), "Value"),
        ("foo= 1", Ok("foo= 1"), "Value: leading spaces are of the value"),
        ("foo=a b", Ok("foo=a b"), "Value: chr has the space"),
        (&longest_value, Ok(&longest_value), "Value: 256 characters"),
        (&format!("{longest_value}  "), Ok(&longest_value), "Value: trailing spaces are not of the value"),
        (&format!("{longest_value}1"), Err("value too long"), "Value: 256 characters"),
        ("foo=bar=baz", Err("value character"), "Value: no '='"),
        ("foo=,bar=3", Err("empty value"), "Value: at least nblk-chr"),
        ("foo= ,bar=3", Err("empty value"), "Value: at least nblk-chr"),
        ("foo=\tbar", Err("value character"), "Value: no tabs"),
        ("foo=a\nb", Err("value character"), "Value: no newlines"),
        ("foo=\0", Err("value character"), "Value: printable"),
        ("foo=\u{7f}", Err("value character"), "Value: printable"),
        ("foo=ü", Err("value character"), "Value: ASCII"),
        ("foo=1\u{a0}", Err("value character"), "list: OWS is space and tab"),
        // Repeated keys
        ("foo=1,foo=1", Err("duplicate key"), "Combined Header Value"),
        ("foo=1,bar=2,foo=3", Err("duplicate key"), "Combined Header Value"),
        ("foo=1,foo@=1", Ok("foo=1,foo@=1"), "Combined Header Value"),
    ];
    for (header, expected, section) in table {
        let read = TraceState::parse(header);
        assert_eq!(read.as_ref().map(TraceState::as_str).map_err(kind), *expected, "{header:?}, section {section}");
        // An invalid tracestate does not touch the traceparent (section "Tracestate Header").
        let context = TraceContext.extract(&[TRACEPARENT, ("tracestate", header)][..]).unwrap();
        assert_eq!(context.trace_state.as_str(), expected.unwrap_or_default(), "{header:?}, section {section}");
        // Nothing is read without a valid traceparent (section "Tracestate Header").
        assert_eq!(TraceContext.extract(&[("traceparent", "00-bad"), ("tracestate", header)][..]), None);
        assert_eq!(TraceContext.extract(&[("tracestate", header)][..]), None);
    }
}

#[test]
fn repeated_headers_are_one_list() {
    let table: &[(&[&str], &str, &str)] = &[
        (
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            "foo=1,bar=2,rojo=1,congo=2,baz=3",
            "RFC 7230, section 3.2.2: order",
        ),
        (&["foo=1", ""], "foo=1", "tracestate Header Field Values: empty headers"),
        (&["", "foo=1"], "foo=1", "tracestate Header Field Values: empty headers"),
        (&["", " ", "\t"], "", "tracestate Header Field Values: empty headers"),
        (&["foo=1", "foo=1"], "", "Combined Header Value: one entry per key"),
        (&["foo=1", "bar=2", "foo=2"], "", "Combined Header Value: one entry per key"),
        (&["foo=1", "BAR=2"], "", "Key: one invalid header makes the list invalid"),
        (&[&numbered(1, 20), &numbered(21, 32)], &numbered(1, 32), "list: 32 list-members"),
        (&[&numbered(1, 20), &numbered(21, 33)], "", "list: 32 list-members"),
        (&[], "", "Tracestate Header: it is optional"),
    ];
    for (headers, expected, section) in table {
        let mut pairs = vec![TRACEPARENT];
        let spellings = ["tracestate", "TraceState", "TRACESTATE"];
        pairs.extend(headers.iter().zip(spellings.iter().cycle()).map(|(value, name)| (*name, *value)));
        let context = TraceContext.extract(&pairs).unwrap();
        assert_eq!(context.trace_state.as_str(), *expected, "{headers:?}, section {section}");
    }
    let context = TraceContext.extract(&[TRACEPARENT, ("trace-state", "foo=1"), ("trace.state", "foo=1")][..]).unwrap();
    assert!(context.trace_state.is_empty(), "section \"Header Name\": without delimiters");
}

proptest! {
    #[test]
    fn splitting_between_members_changes_nothing(
        members in proptest::collection::btree_map("[a-z0-9][a-z0-9_*/@-]{0,9}", " {0,2}[!-+.-<>-~]{1,9}", 1..33),
        cuts in proptest::collection::vec(any::<bool>(), 32),
    ) {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut headers = vec![members[0].clone()];
        for (member, cut) in members[1..].iter().zip(cuts) {
            match headers.last_mut() {
                Some(last) if !cut => *last = format!("{last} ,\t{member}"),
                _ => headers.push(member.clone()),
            }
        }
        let state = tracestate::parse(headers.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(state.as_str(), members.join(","));
    }
}
