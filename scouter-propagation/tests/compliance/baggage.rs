//! Baggage.

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::{Context, KeyValue};
use scouter_propagation::baggage::{Entry, HEADER};
use scouter_propagation::{Baggage, BaggagePropagator};

use crate::Headers;

#[test]
fn m065_baggage_is_named_values_that_travel() {
    let mut baggage = Baggage::new();
    baggage.insert(Entry::new("user", "Zoë, and all").unwrap()).unwrap();
    baggage.insert(Entry::new("plan", "free").unwrap().with_metadata("ttl=3;shared").unwrap()).unwrap();
    baggage.insert(Entry::new("gone", "1").unwrap()).unwrap();
    assert!(baggage.remove("gone") && !baggage.remove("gone"));
    let mut carrier = Headers::new();
    BaggagePropagator.inject(&baggage, &mut carrier);
    assert_eq!(BaggagePropagator.extract(&carrier), baggage);

    // Through the API, in a context.
    let arrived = TextMapPropagator::extract_with_context(&BaggagePropagator, &Context::new(), &carrier);
    assert_eq!(arrived.baggage().get("user").unwrap().as_str(), "Zoë, and all");
    let (value, metadata) = arrived.baggage().get_with_metadata("plan").unwrap();
    assert_eq!((value.as_str(), metadata.as_str()), ("free", "ttl=3;shared"));
    let mut again = Headers::new();
    BaggagePropagator.inject_context(&arrived, &mut again);
    let again = BaggagePropagator.extract(&again);
    assert_eq!((again.len(), again.get("user"), again.entry("plan")), (2, Some("Zoë, and all"), baggage.entry("plan")));
}

#[test]
fn m066_the_header_is_baggage() {
    assert_eq!((HEADER, BaggagePropagator::FIELDS), ("baggage", ["baggage"]));
    let mut carrier = Headers::new();
    BaggagePropagator.inject_context(&Context::new().with_baggage([KeyValue::new("a", "1")]), &mut carrier);
    assert_eq!(carrier, Headers::from([("baggage".to_owned(), "a=1".to_owned())]));
}

#[test]
fn without_baggage_nothing_is_sent_and_the_context_stays() {
    let mut carrier = Headers::new();
    BaggagePropagator.inject_context(&Context::new(), &mut carrier);
    // The API takes what the header has no place for; it is left out.
    let odd = KeyValueMetadata::new("a", "1", "not a property \u{7}");
    BaggagePropagator.inject_context(&Context::new().with_baggage([odd]), &mut carrier);
    assert!(carrier.is_empty());
    let before = Context::new().with_baggage([KeyValue::new("a", "1")]);
    let after = TextMapPropagator::extract_with_context(&BaggagePropagator, &before, &carrier);
    assert_eq!(after.baggage().get("a").unwrap().as_str(), "1");
}
