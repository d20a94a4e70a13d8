//! What the tables need of a span, read in one pass over its bytes.

use scouter_span::view::{SpanView, StatusCode};
use scouter_span::wire::field::{span, status};
use scouter_span::wire::{FieldValue, Reader};
use scouter_span::{SpanId, TraceId};

/// Some of a span's fields. Each is what the view of the same span says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glance<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) has_parent: bool,
    pub(super) name: &'a str,
    pub(super) status: StatusCode,
    /// Nanoseconds since the Unix epoch as the tables hold them: cut to 63 bits.
    pub(super) start: i64,
    /// The end, or the start if that is later.
    pub(super) stop: i64,
}

impl<'a> Glance<'a> {
    /// `None` for a span whose trace or span id is not an id.
    pub(super) fn at(span: SpanView<'a>) -> Option<Self> {
        let (mut trace_id, mut span_id, mut parent, mut name): (&[u8], &[u8], &[u8], &[u8]) = (&[], &[], &[], &[]);
        let (mut start, mut end, mut code) = (0, 0, 0);
        for field in Reader::new(span.bytes()).map_while(Result::ok) {
            match (field.number, field.value) {
                (span::TRACE_ID, FieldValue::Len(bytes)) => trace_id = bytes,
                (span::SPAN_ID, FieldValue::Len(bytes)) => span_id = bytes,
                (span::PARENT_SPAN_ID, FieldValue::Len(bytes)) => parent = bytes,
                (span::NAME, FieldValue::Len(bytes)) => name = bytes,
                (span::START_TIME, FieldValue::Fixed64(time)) => start = time,
                (span::END_TIME, FieldValue::Fixed64(time)) => end = time,
                (span::STATUS, FieldValue::Len(bytes)) => code = status_code(bytes),
                _ => {}
            }
        }
        let clamp = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        Some(Self {
            trace_id: TraceId::from_slice(trace_id).ok()?,
            span_id: SpanId::from_slice(span_id).ok()?,
            has_parent: SpanId::from_slice(parent).is_ok(),
            name: str::from_utf8(name).unwrap_or_default(),
            status: StatusCode::from_number(code),
            start: clamp(start),
            stop: clamp(end.max(start)),
        })
    }
}

fn status_code(bytes: &[u8]) -> u64 {
    let mut code = 0;
    for field in Reader::new(bytes).map_while(Result::ok) {
        if let (status::CODE, FieldValue::Varint(value)) = (field.number, field.value) {
            code = value;
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scouter_span::wire::{fixed64, len_delimited, uint};

    use super::*;

    proptest! {
        /// Fields in any order, some twice, some missing.
        #[test]
        fn a_glance_sees_what_the_view_sees(fields in prop::collection::vec((1u32..17, any::<u64>(), 0..5usize), 0..24)) {
            let mut bytes = Vec::new();
            for (number, value, kind) in fields {
                match number {
                    span::TRACE_ID => len_delimited(&mut bytes, number, &[value as u8 * u8::from(kind > 0); 16]),
                    span::SPAN_ID => len_delimited(&mut bytes, number, &value.to_be_bytes()),
                    span::PARENT_SPAN_ID => len_delimited(&mut bytes, number, &value.to_be_bytes()[..2 * kind]),
                    span::TRACE_STATE | span::NAME => len_delimited(&mut bytes, number, &b"abcd"[..kind]),
                    span::START_TIME | span::END_TIME => fixed64(&mut bytes, number, value >> (8 * kind)),
                    span::STATUS => {
                        let mut inner = Vec::new();
                        (0..kind).for_each(|n| uint(&mut inner, status::CODE, (value >> n) % 4));
                        len_delimited(&mut bytes, number, &inner);
                    }
                    _ => uint(&mut bytes, 20, value),
                }
            }
            let view = SpanView::new(&bytes);
            let clamp = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
            let seen = view.trace_id().ok().zip(view.span_id().ok()).map(|(trace_id, span_id)| Glance {
                trace_id,
                span_id,
                has_parent: view.parent_span_id().is_some(),
                name: view.name(),
                status: view.status().code,
                start: clamp(view.start_time()),
                stop: clamp(view.end_time().max(view.start_time())),
            });
            prop_assert_eq!(Glance::at(view), seen);
        }
    }
}
