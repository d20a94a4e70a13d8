//! The receiver's answer to a request that it took.

use scouter_span::wire::{FieldValue, Reader};

/// Fields of `ExportTraceServiceResponse` and of its `ExportTracePartialSuccess`; those of logs have the same numbers.
const PARTIAL_SUCCESS: u32 = 1;
const REJECTED: u32 = 1;
const ERROR_MESSAGE: u32 = 2;
/// What is kept of a message, in characters.
const SHOWN: usize = 500;

/// OTLP, "Partial Success".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// How many spans, or records, the receiver has not taken.
    pub(super) rejected: u64,
    /// Why, or a warning when it has taken all.
    pub(super) message: String,
}

impl Answer {
    /// Reads as far as it can; an answer that is no such message has nothing to say.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut answer = Self::default();
        for field in fields(body) {
            if let (PARTIAL_SUCCESS, FieldValue::Len(partial)) = field {
                for field in fields(partial) {
                    match field {
                        // int64: a negative number makes no sense here.
                        (REJECTED, FieldValue::Varint(number)) => {
                            answer.rejected = u64::try_from(number as i64).unwrap_or(0);
                        }
                        (ERROR_MESSAGE, FieldValue::Len(text)) => {
                            answer.message = String::from_utf8_lossy(text).chars().take(SHOWN).collect();
                        }
                        _ => {}
                    }
                }
            }
        }
        answer
    }
}

fn fields(bytes: &[u8]) -> impl Iterator<Item = (u32, FieldValue<'_>)> {
    Reader::new(bytes).map_while(Result::ok).map(|field| (field.number, field.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message;

    fn encoded(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
        ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    }

    #[test]
    fn partial_success_is_read() {
        let answer = Answer::read(&encoded(3, "too old"));
        assert_eq!(answer, Answer { rejected: 3, message: "too old".to_owned() });
        assert_eq!(Answer::read(&encoded(-1, "")), Answer::default());
        assert_eq!(Answer::read(&encoded(0, &"x".repeat(1000))).message.len(), 500);
    }

    #[test]
    fn answers_without_sense_say_nothing() {
        for body in [&b""[..], b"{}", b"\x0a\xff", b"\x0a\x02\x08", &[0xff; 20]] {
            assert_eq!(Answer::read(body), Answer::default());
        }
    }
}
