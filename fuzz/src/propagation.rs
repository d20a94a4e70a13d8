//! The headers of W3C Trace Context and W3C Baggage: nothing panics, and what is read is written back equal.

use scouter_propagation::{Baggage, BaggagePropagator, TraceContext};
use scouter_span::TraceState;
use scouter_span::sampler::{OtEntry, Randomness, Threshold};

/// A `traceparent` header.
pub fn traceparent(data: &[u8]) {
    let Ok(parsed) = scouter_propagation::traceparent::parse(data) else { return };
    let context = parsed.to_context();
    let text = scouter_propagation::traceparent::format(&context);
    let again = scouter_propagation::traceparent::parse(text).expect("what is written is read");
    assert_eq!(again.to_context(), context);
    assert_eq!(again.version, 0);
    assert_eq!(data[2..53], text[2..53], "the ids travel as they are");
    if parsed.version == 0 {
        assert_eq!(data, text);
    }
    let mut carrier = Vec::new();
    TraceContext.inject(&context, &mut carrier);
    assert_eq!(TraceContext.extract(&carrier), Some(context));
}

/// A `tracestate` header, alone and split at its line feeds.
pub fn tracestate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let split = scouter_propagation::tracestate::parse(text.split('\n'));
    assert_eq!(split, TraceState::parse(&text.replace('\n', ",")));
    let Ok(state) = TraceState::parse(&text) else { return };
    assert!(state.as_str().len() <= text.len());
    assert_eq!(TraceState::parse(state.as_str()).as_ref(), Ok(&state));
    let count = state.iter().count();
    assert!(count <= TraceState::MAX_MEMBERS && (count == 0) == state.is_empty());
    for (key, value) in state.iter() {
        assert_eq!(state.get(key), Some(value));
        let moved = state.insert(key, value).expect("what is read may be written");
        assert_eq!(moved.iter().next(), Some((key, value)));
        assert_eq!(moved.iter().count(), count);
        assert_eq!(moved.delete(key), state.delete(key));
    }
}

/// OpenTelemetry's entry of a trace state, read and updated.
pub fn ot_entry(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(state) = TraceState::parse(&format!("vendor=kept,ot={text}")) else { return };
    let before = OtEntry::of(&state);
    assert_eq!(before, OtEntry::parse(state.get(OtEntry::KEY).unwrap_or_default()).unwrap_or_default());
    let (threshold, randomness) = (Threshold::parse("c"), Randomness::parse("6e6d1a75832a2f"));
    for (threshold, randomness) in [(threshold, randomness), (threshold, None), (None, randomness), (None, None)] {
        let after = before.updated(&state, threshold, randomness).unwrap_or_else(|| state.clone());
        assert_eq!(TraceState::parse(after.as_str()).as_ref(), Ok(&after));
        assert_eq!(after.get("vendor"), Some("kept"), "other vendors' entries stay");
        let entry = OtEntry::of(&after);
        assert!(entry.threshold() == threshold || entry.threshold().is_none(), "no threshold that is not true");
        if let Some(written) = before.get("rv") {
            assert_eq!(entry.get("rv"), Some(written), "explicit randomness is never replaced");
        }
    }
}

/// `baggage` headers, one a line.
pub fn baggage(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let baggage = Baggage::parse(text.split('\n'));
    let header = baggage.to_header();
    assert!(header.len() <= Baggage::MAX_BYTES && baggage.len() <= Baggage::MAX_MEMBERS);
    assert!(header.bytes().all(|byte| (b'!'..=b'~').contains(&byte)));
    let mut carrier = Vec::new();
    BaggagePropagator.inject(&baggage, &mut carrier);
    assert_eq!(BaggagePropagator.extract(&carrier), baggage);
    let mut left = baggage.clone();
    for entry in &baggage {
        left.insert(entry.clone()).expect("what is read may be written");
        assert_eq!(left.entry(entry.key()), Some(entry));
        assert!(left.remove(entry.key()));
    }
    assert_eq!(left, Baggage::new());
}
