//! What is taken apart for Kafka.

use scouter_span::view::{LogsRequest, TraceRequest};
use scouter_transport::Signal;
use scouter_transport::kafka::Split;

/// Takes a request apart. What could be read before can be read after: as many spans or records, each message with one
/// trace only, and none longer than asked unless it holds one item.
pub fn kafka_split(data: &[u8]) {
    for (signal, longest) in [(Signal::Traces, 1_000), (Signal::Traces, 40), (Signal::Logs, 60)] {
        let Some(split) = Split::new(data, signal, longest) else { continue };
        let mut found = 0;
        for message in split.messages() {
            let mut bytes = Vec::new();
            split.write(message, &mut bytes);
            assert!(bytes.len() <= longest || message.items() == 1, "{} bytes", bytes.len());
            found += message.items();
            match signal {
                Signal::Traces if TraceRequest::parse(data).is_ok() => {
                    let request = TraceRequest::parse(&bytes).expect("a message is a request");
                    assert_eq!(request.spans().count(), message.items());
                    for span in request.spans() {
                        assert_eq!(span.trace_id().ok().map(|id| id.to_bytes()), message.trace_id);
                    }
                }
                Signal::Logs if LogsRequest::parse(data).is_ok() => {
                    let request = LogsRequest::parse(&bytes).expect("a message is a request");
                    assert_eq!(request.records().count(), message.items());
                }
                _ => {}
            }
        }
        let expected = match signal {
            Signal::Traces => TraceRequest::parse(data).map(|request| request.spans().count()),
            Signal::Logs => LogsRequest::parse(data).map(|request| request.records().count()),
        };
        assert!(expected.map_or(true, |expected| expected == found), "{found} items");
    }
}
