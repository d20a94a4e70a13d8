//! Traces / Span linking.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, Span as _, SpanContext as ApiContext, Tracer as _};
use scouter_span::{SpanContext, SpanId, TraceFlags};

use crate::{Both, named, parent, sorted, text};

fn to(span: u64) -> SpanContext {
    SpanContext { span_id: SpanId::from_int(span).unwrap(), ..parent(TraceFlags::SAMPLED, true, "a=1") }
}

#[test]
fn m045_links_are_given_at_creation() {
    let both = Both::new();
    both.own().span("own").links(&[(&to(1), &[("why", "own".into())])]).start();
    let link = Link::new(ApiContext::from(&to(1)), vec![KeyValue::new("why", "api")], 0);
    both.api.span_builder("api").with_links(vec![link]).start(&both.api);
    for span in both.spans() {
        let link = &span.links[0];
        assert_eq!(
            (link.trace_id.as_slice(), link.span_id.as_slice()),
            (&to(1).trace_id.to_bytes()[..], &[0, 0, 0, 0, 0, 0, 0, 1][..])
        );
        assert_eq!((link.trace_state.as_str(), link.flags), ("a=1", 0x301));
        assert_eq!(sorted(&link.attributes), named(&[("why", text(&span.name))]));
    }
}

#[test]
fn m046_links_are_added_later() {
    let both = Both::new();
    both.own().span("own").start().add_link(&to(1), &[("why", 1.into())]);
    both.api.start("api").add_link((&to(1)).into(), vec![KeyValue::new("why", 1)]);
    assert!(both.spans().iter().all(|span| span.links.len() == 1 && span.links[0].attributes.len() == 1));
}

#[test]
fn m047_links_keep_their_order() {
    let both = Both::new();
    let (first, others) = (to(9), [to(5), to(7), to(6)]);
    let mut own = both.own().span("own").links(&[(&first, &[])]).start();
    let mut api = both.api.span_builder("api").with_links(vec![Link::with_context((&first).into())]).start(&both.api);
    for other in &others {
        own.add_link(other, &[]);
        api.add_link(other.into(), vec![]);
    }
    drop((own, api));
    for span in both.spans() {
        assert_eq!(span.links.iter().map(|link| link.span_id[7]).collect::<Vec<_>>(), [9, 5, 7, 6]);
    }
}
