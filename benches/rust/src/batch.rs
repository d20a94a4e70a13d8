//! A batch of spans as the pipeline makes it, and the same spans as one request for each trace.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::shape::{FLAG, FRACTION, NAME, NUMBERS, TEXTS};

const TRACES: usize = 100;
const SPANS_IN_TRACE: usize = 20;

/// How many spans a batch has.
pub const SPANS: usize = TRACES * SPANS_IN_TRACE;

/// A batch: the spans of a hundred traces of one service.
#[derive(Debug)]
pub struct Batch {
    spans: Vec<Span>,
}

impl Batch {
    /// The batch of this number; each number has traces of its own.
    pub fn new(number: usize) -> Self {
        let spans = (0..SPANS).map(|at| {
            let trace = (number * TRACES + at / SPANS_IN_TRACE + 1) as u128;
            // Spread over all bits, as real ids are.
            let trace = trace.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            span(trace, (number * SPANS + at + 1) as u64)
        });
        Self { spans: spans.collect() }
    }

    /// All of it as one request.
    pub fn whole(&self) -> Vec<u8> {
        request(self.spans.clone())
    }

    /// One request for each trace, with the trace id in hexadecimal.
    pub fn by_trace(&self) -> Vec<(String, Vec<u8>)> {
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        self.spans.chunks(SPANS_IN_TRACE).map(|spans| (hex(&spans[0].trace_id), request(spans.to_vec()))).collect()
    }
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "benches".to_owned(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let attributes = vec![pair("service.name", Value::StringValue("benches".to_owned()))];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn span(trace: u128, number: u64) -> Span {
    let texts = TEXTS.iter().map(|(key, value)| pair(key, Value::StringValue((*value).to_owned())));
    let numbers = NUMBERS.iter().map(|(key, value)| pair(key, Value::IntValue(*value)));
    let others = [pair(FRACTION.0, Value::DoubleValue(FRACTION.1)), pair(FLAG.0, Value::BoolValue(FLAG.1))];
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec(),
        name: NAME.to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_001_000_000 + number,
        attributes: texts.chain(numbers).chain(others).collect(),
        ..Span::default()
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_by_trace_have_the_spans_of_the_whole() {
        let batch = Batch::new(3);
        let spans = |bytes: &[u8]| -> Vec<Span> {
            let request = ExportTraceServiceRequest::decode(bytes).expect("a request");
            request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
        };
        let messages = batch.by_trace();
        assert_eq!(messages.len(), TRACES);
        let apart: Vec<Span> = messages.iter().flat_map(|(_, body)| spans(body)).collect();
        assert_eq!(apart, spans(&batch.whole()));
        assert_eq!(apart.len(), SPANS);
        assert!(messages.iter().all(|(key, _)| key.len() == 32));
    }
}
