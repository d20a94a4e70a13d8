//! What is a `traceparent` and what is not, with the section of W3C Trace Context level 2 that says so.

use std::collections::HashMap;

use proptest::prelude::*;
use scouter_propagation::traceparent::{format, parse};
use scouter_propagation::{TraceContext, TraceParent, TraceParentError as Error};
use scouter_span::{SpanContext, SpanId, TraceFlags, TraceId};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Headers, whether there is a context in them, section.
type CarrierRow<'a> = (&'a [(&'a str, &'a str)], bool, &'a str);

fn expected(version: u8, flags: u8) -> Result<TraceParent, Error> {
    let ids = TraceId::from_int(0x4bf92f3577b34da6a3ce929d0e0e4736).zip(SpanId::from_int(0x00f067aa0ba902b7));
    let (trace_id, parent_id) = ids.ok_or(Error::ZeroTraceId)?;
    Ok(TraceParent { version, trace_id, parent_id, flags: TraceFlags::from_bits(flags) })
}

#[test]
fn each_header_is_read_as_the_standard_says() {
    let table: &[(&str, Result<TraceParent, Error>, &str)] = &[
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", expected(0, 0), "trace-flags"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", expected(0, 1), "Sampled flag"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", expected(0, 3), "Random Trace ID Flag"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", expected(0, 0xff), "trace-flags: a bit field"),
        // Versions
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", expected(0xcc, 1), "Versioning of traceparent"),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", expected(1, 3), "Versioning: only known flags"),
        ("fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", expected(0xfe, 1), "Versioning"),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", expected(1, 1), "Versioning of traceparent"),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-é\"=,", expected(1, 1), "Versioning: unknown fields"),
        (
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            Err(Error::NotContinued { found: b'.' }),
            "Versioning",
        ),
        (
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            Err(Error::NotContinued { found: b'1' }),
            "Versioning",
        ),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", Err(Error::TooShort { actual: 54 }), "Versioning"),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Err(Error::ForbiddenVersion), "version"),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", Err(Error::ForbiddenVersion), "version"),
        (
            ".0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 0, found: b'.' }),
            "version",
        ),
        (
            "0.-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 1, found: b'.' }),
            "version",
        ),
        (
            "CC-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 0, found: b'C' }),
            "HEXDIGLC",
        ),
        (
            "000-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotDash { at: 2, found: b'0' }),
            "version",
        ),
        ("0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Err(Error::TooShort { actual: 54 }), "version"),
        // Length
        ("", Err(Error::TooShort { actual: 0 }), "version-format"),
        ("00", Err(Error::TooShort { actual: 2 }), "version-format"),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            Err(Error::TooShort { actual: 54 }),
            "version-format",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-001",
            Err(Error::TooLong { actual: 56 }),
            "version-format",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.",
            Err(Error::TooLong { actual: 56 }),
            "version-format",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            Err(Error::TooLong { actual: 57 }),
            "version-format",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            Err(Error::TooLong { actual: 56 }),
            "version-format",
        ),
        // Dashes
        (
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotDash { at: 2, found: b'_' }),
            "value",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            Err(Error::NotDash { at: 35, found: b'_' }),
            "value",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            Err(Error::NotDash { at: 52, found: b'_' }),
            "value",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e47361-0f067aa0ba902b7-01",
            Err(Error::NotDash { at: 35, found: b'1' }),
            "trace-id",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            Err(Error::NotHex { at: 34, found: b'-' }),
            "trace-id",
        ),
        // Ids and flags
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", Err(Error::ZeroTraceId), "trace-id"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", Err(Error::ZeroParentId), "parent-id"),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", Err(Error::ZeroParentId), "parent-id"),
        (
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 4, found: b'B' }),
            "HEXDIGLC",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 34, found: b'g' }),
            "trace-id",
        ),
        (
            "00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 3, found: b'.' }),
            "trace-id",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01",
            Err(Error::NotHex { at: 38, found: b'F' }),
            "parent-id",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-.0f067aa0ba902b7-01",
            Err(Error::NotHex { at: 36, found: b'.' }),
            "parent-id",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-.0",
            Err(Error::NotHex { at: 53, found: b'.' }),
            "trace-flags",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
            Err(Error::NotHex { at: 54, found: b'A' }),
            "trace-flags",
        ),
        (
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
            Err(Error::NotHex { at: 33, found: 0xc3 }),
            "trace-id",
        ),
    ];
    for (header, expected, section) in table {
        assert_eq!(parse(header), *expected, "{header:?}, section {section}");
    }
}

#[test]
fn a_carrier_has_exactly_one() {
    let good = format!("00-{TRACE}-{PARENT}-01");
    let extract = |headers: &[(&str, &str)]| TraceContext.extract(headers);
    let context = extract(&[("traceparent", &good)]).unwrap();
    assert_eq!((context.is_remote, context.is_sampled()), (true, true));
    assert_eq!((context.trace_id.to_string(), context.span_id.to_string()), (TRACE.to_owned(), PARENT.to_owned()));

    let table: &[CarrierRow<'_>] = &[
        (&[("TraceParent", &good)], true, "Header Name: any case"),
        (&[("TRACEPARENT", &good)], true, "Header Name: any case"),
        (&[("trace-parent", &good)], false, "Header Name: without delimiters"),
        (&[("trace.parent", &good)], false, "Header Name: without delimiters"),
        (
            &[("traceparent", &format!("\t {good} \t"))],
            true,
            "RFC 7230, section 3.2.4: white space is not of the value",
        ),
        (&[("traceparent", &format!("\u{a0}{good}"))], false, "RFC 7230, section 3.2.3: only space and tab"),
        (&[("traceparent", &good), ("traceparent", &good)], false, "Traceparent Header: it is one"),
        (&[("traceparent", &good), ("TraceParent", &good)], false, "Header Name: any case"),
        (&[("traceparent", &good), ("traceparent", "")], false, "Traceparent Header: it is one"),
        (&[("traceparent", &format!("{good},{good}"))], false, "version-format"),
        (&[("traceparent", "")], false, "version-format"),
        (&[], false, "Processing Model: starting a trace"),
    ];
    for (headers, accepted, section) in table {
        assert_eq!(extract(headers).is_some(), *accepted, "{headers:?}, section {section}");
        let pairs: Vec<(String, String)> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(TraceContext.extract(&pairs).is_some(), *accepted, "{headers:?}, section {section}");
    }
}

#[test]
fn what_is_injected_is_extracted() {
    let mut context = parse(format!("00-{TRACE}-{PARENT}-ab")).unwrap().to_context();
    context.trace_state = "rojo=00f0,congo=t61".parse().unwrap();
    let stale = || ("TraceParent".to_owned(), "old".to_owned());
    let mut map = HashMap::from([stale()]);
    TraceContext.inject(&context, &mut map);
    assert_eq!(map["traceparent"], format!("00-{TRACE}-{PARENT}-ab"));
    assert_eq!(map["tracestate"], "rojo=00f0,congo=t61");
    assert_eq!(TraceContext.extract(&map), Some(context.clone()));

    let mut list = vec![stale()];
    TraceContext.inject(&context, &mut list);
    assert_eq!(TraceContext.extract(&list), Some(context.clone()));

    context.trace_state = "".parse().unwrap();
    let mut list: Vec<(String, String)> = Vec::new();
    TraceContext.inject(&context, &mut list);
    assert_eq!(list.len(), 1, "section \"tracestate Header Field Values\": an empty tracestate should not be sent");
}

/// The format once more, a character at a time, to hold the parser against.
fn is_traceparent(text: &[u8]) -> bool {
    let hex = |from: usize, to: usize| text[from..to].iter().all(|c| b"0123456789abcdef".contains(c));
    let zero = |from: usize, to: usize| text[from..to].iter().all(|&c| c == b'0');
    let shape = |text: &[u8]| text[2] == b'-' && text[35] == b'-' && text[52] == b'-';
    text.len() >= 55
        && shape(text)
        && [(0, 2), (3, 35), (36, 52), (53, 55)].iter().all(|&(from, to)| hex(from, to))
        && !zero(3, 35)
        && !zero(36, 52)
        && !text.starts_with(b"ff")
        && (text.len() == 55 || (!text.starts_with(b"00") && text[55] == b'-'))
}

proptest! {
    #[test]
    fn exactly_the_format_is_accepted(
        version in prop_oneof![Just("00".to_owned()), "[0-9a-f]{2}"],
        ids in "-(0{32}|[0-9a-f]{32})-(0{16}|[0-9a-f]{16})-",
        rest in prop_oneof!["[0-9a-f]{2}", "[0-9a-f]{1,3}-?[a-z]{0,5}"],
        changed in proptest::option::of((0_usize..56, any::<u8>())),
    ) {
        let mut text = format!("{version}{ids}{rest}").into_bytes();
        if let Some((at, byte)) = changed && at < text.len() {
            text[at] = byte;
        }
        prop_assert_eq!(parse(&text).is_ok(), is_traceparent(&text), "{:?} {:?}", parse(&text), text);
    }

    #[test]
    fn what_is_formatted_reads_back_equal(trace in 1_u128.., span in 1_u64.., flags: u8) {
        let ids = TraceId::from_int(trace).zip(SpanId::from_int(span));
        let (trace_id, span_id) = ids.unwrap();
        let context = SpanContext::new(trace_id, span_id, TraceFlags::from_bits(flags));
        let text = format(&context);
        let plain = std::format!("00-{trace:032x}-{span:016x}-{flags:02x}");
        prop_assert_eq!(std::str::from_utf8(&text), Ok(plain.as_str()));
        let read = parse(text).unwrap();
        prop_assert_eq!(format(&read.to_context()), text);
        prop_assert_eq!(read.to_context(), SpanContext { is_remote: true, ..context });
    }
}
