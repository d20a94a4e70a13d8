//! What senders give to the server.

use scouter_span::view::{TraceRequest, ValueView};
use scouter_span::{Resource, Scope, request, view};

/// Reads a request to its last field. A span that is taken out of a good request and put into a new one reads the same.
pub fn otlp_request(data: &[u8]) {
    let Ok(request) = TraceRequest::parse(data) else { return };
    let mut elements = Vec::new();
    for span in request.spans() {
        read_span(span);
        scouter_span::wire::len_delimited(&mut elements, 2, span.bytes());
    }
    for resource in request.resource_spans() {
        read_attributes(resource.resource().attributes());
        for scope in resource.scope_spans() {
            let _ = (scope.scope().name(), scope.scope().version(), scope.schema_url());
            read_attributes(scope.scope().attributes());
        }
    }

    let scope = Scope::new("fuzz", "", "", &[]);
    let mut again = Vec::new();
    request::encode(&mut again, &Resource::new(&[], ""), &[request::Group { scope: &scope, spans: &elements }]);
    let again = TraceRequest::parse(&again).expect("what was read can be read again");
    let names = |request: TraceRequest<'_>| request.spans().map(|span| span.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(again), names(request));
    assert_eq!(request::spans(&elements).count(), request.spans().count());
    for element in request::spans(&elements) {
        // Our own elements begin with the trace id; those of others need not.
        let _ = request::trace_id(element);
    }
}

fn read_span(span: view::SpanView<'_>) {
    let _ = (span.trace_id(), span.span_id(), span.parent_span_id(), span.trace_state(), span.kind(), span.flags());
    let _ = (span.start_time(), span.end_time(), span.status());
    read_attributes(span.attributes());
    for event in span.events() {
        let _ = (event.name(), event.time());
        read_attributes(event.attributes());
    }
    for link in span.links() {
        let _ = (link.trace_id(), link.span_id());
        read_attributes(link.attributes());
    }
}

fn read_attributes(attributes: view::Attributes<'_>) {
    attributes.iter().for_each(|attribute| read_value(attribute.value));
}

fn read_value(value: ValueView<'_>) {
    match value {
        ValueView::Array(values) => values.iter().for_each(read_value),
        ValueView::Map(entries) => entries.iter().for_each(|entry| read_value(entry.value)),
        _ => {}
    }
}
