//! Ids, flags, trace state, span contexts, kinds and status.

use opentelemetry::Context;
use opentelemetry::trace::{self, TraceContextExt};

use crate::context::{SpanContext, TraceFlags, TraceState};
use crate::id::{IdError, SpanId, TraceId};
use crate::view::{SpanKind, Status, StatusCode};

/// The context of the active span, or the remote span context, if there is one and it is valid.
#[inline]
pub fn active_span_context(context: &Context) -> Option<SpanContext> {
    SpanContext::try_from(context.span().span_context()).ok()
}

impl From<TraceId> for trace::TraceId {
    #[inline]
    fn from(id: TraceId) -> Self {
        Self::from(id.to_int())
    }
}

impl TryFrom<trace::TraceId> for TraceId {
    type Error = IdError;

    #[inline]
    fn try_from(id: trace::TraceId) -> Result<Self, IdError> {
        Self::from_bytes(id.to_bytes()).ok_or(IdError::Zero)
    }
}

impl From<SpanId> for trace::SpanId {
    #[inline]
    fn from(id: SpanId) -> Self {
        Self::from(id.to_int())
    }
}

impl TryFrom<trace::SpanId> for SpanId {
    type Error = IdError;

    #[inline]
    fn try_from(id: trace::SpanId) -> Result<Self, IdError> {
        Self::from_bytes(id.to_bytes()).ok_or(IdError::Zero)
    }
}

impl From<TraceFlags> for trace::TraceFlags {
    #[inline]
    fn from(flags: TraceFlags) -> Self {
        Self::new(flags.bits())
    }
}

impl From<trace::TraceFlags> for TraceFlags {
    #[inline]
    fn from(flags: trace::TraceFlags) -> Self {
        Self::from_bits(flags.to_u8())
    }
}

impl From<&TraceState> for trace::TraceState {
    /// The API knows the grammar of level 1, so keys like `a@b@c` that only level 2 allows are left out.
    #[inline]
    fn from(state: &TraceState) -> Self {
        if state.is_empty() { Self::NONE } else { to_api_state(state) }
    }
}

impl From<&trace::TraceState> for TraceState {
    /// The API takes values that the standard does not, such as empty ones; they are left out. Of equal keys the first one
    /// stays, which is the latest.
    #[inline]
    fn from(state: &trace::TraceState) -> Self {
        if state.into_iter().len() == 0 { Self::EMPTY } else { from_api_state(state) }
    }
}

#[cold]
fn to_api_state(state: &TraceState) -> trace::TraceState {
    let known = |entry: &(&str, &str)| trace::TraceState::from_key_value([*entry]).is_ok();
    trace::TraceState::from_key_value(state.iter().filter(known)).unwrap_or_default()
}

#[cold]
fn from_api_state(state: &trace::TraceState) -> TraceState {
    if let Ok(all) = TraceState::parse(&state.header()) {
        return all;
    }
    let mut entries: Vec<_> = state.into_iter().collect();
    entries.reverse();
    let add = |state: TraceState, (key, value): (&str, &str)| state.insert(key, value).unwrap_or(state);
    entries.into_iter().fold(TraceState::EMPTY, add)
}

impl From<&SpanContext> for trace::SpanContext {
    #[inline]
    fn from(context: &SpanContext) -> Self {
        let state = trace::TraceState::from(&context.trace_state);
        Self::new(context.trace_id.into(), context.span_id.into(), context.flags.into(), context.is_remote, state)
    }
}

impl TryFrom<&trace::SpanContext> for SpanContext {
    type Error = IdError;

    #[inline]
    fn try_from(context: &trace::SpanContext) -> Result<Self, IdError> {
        Ok(Self {
            trace_id: context.trace_id().try_into()?,
            span_id: context.span_id().try_into()?,
            flags: context.trace_flags().into(),
            is_remote: context.is_remote(),
            trace_state: context.trace_state().into(),
        })
    }
}

impl From<SpanKind> for trace::SpanKind {
    /// A kind that was not said is internal.
    fn from(kind: SpanKind) -> Self {
        match kind {
            SpanKind::Unspecified | SpanKind::Internal => Self::Internal,
            SpanKind::Server => Self::Server,
            SpanKind::Client => Self::Client,
            SpanKind::Producer => Self::Producer,
            SpanKind::Consumer => Self::Consumer,
        }
    }
}

impl From<trace::SpanKind> for SpanKind {
    #[inline]
    fn from(kind: trace::SpanKind) -> Self {
        match kind {
            trace::SpanKind::Internal => Self::Internal,
            trace::SpanKind::Server => Self::Server,
            trace::SpanKind::Client => Self::Client,
            trace::SpanKind::Producer => Self::Producer,
            trace::SpanKind::Consumer => Self::Consumer,
        }
    }
}

impl From<Status<'_>> for trace::Status {
    fn from(status: Status<'_>) -> Self {
        match status.code {
            StatusCode::Unset => Self::Unset,
            StatusCode::Ok => Self::Ok,
            StatusCode::Error => Self::error(status.message.to_owned()),
        }
    }
}

impl<'a> From<&'a trace::Status> for Status<'a> {
    fn from(status: &'a trace::Status) -> Self {
        let (code, message) = match status {
            trace::Status::Unset => (StatusCode::Unset, ""),
            trace::Status::Ok => (StatusCode::Ok, ""),
            trace::Status::Error { description } => (StatusCode::Error, &**description),
        };
        Self { code, message }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn contexts_come_back(trace in any::<u128>(), span in any::<u64>(), flags in any::<u8>(), remote in any::<bool>()) {
            let state = trace::TraceState::from_key_value([("a", "1"), ("b@c", "2")]).unwrap();
            let api = trace::SpanContext::new(trace.into(), span.into(), trace::TraceFlags::new(flags), remote, state);
            match SpanContext::try_from(&api) {
                Ok(ours) => prop_assert_eq!(trace::SpanContext::from(&ours), api),
                Err(error) => {
                    prop_assert_eq!(error, IdError::Zero);
                    prop_assert!(!api.is_valid());
                }
            }
        }

        /// Whatever the API takes in becomes valid, and what was valid stays as it was.
        #[test]
        fn any_trace_state_becomes_valid(entries in prop::collection::vec(("[a-c@]{0,3}", "[ -~é]{0,4}"), 0..6)) {
            if let Ok(api) = trace::TraceState::from_key_value(entries) {
                let ours = TraceState::from(&api);
                let again = TraceState::parse(ours.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&ours));
                if let Ok(strict) = TraceState::parse(&api.header()) {
                    prop_assert_eq!(ours, strict);
                }
            }
        }
    }

    #[test]
    fn entries_that_one_side_does_not_know_are_left_out() {
        let lax = trace::TraceState::from_key_value([("a", "1"), ("b", ""), ("a", "2"), ("c", "3")]).unwrap();
        assert_eq!(TraceState::from(&lax).as_str(), "a=1,c=3");
        let level_2 = TraceState::parse("a=1,b@c@d=2,e=3").unwrap();
        assert_eq!(trace::TraceState::from(&level_2).header(), "a=1,e=3");
    }

    #[test]
    fn kinds_and_status_come_back() {
        for number in 1..6 {
            let kind = SpanKind::from_number(number);
            assert_eq!(SpanKind::from(trace::SpanKind::from(kind)), kind);
        }
        assert_eq!(trace::SpanKind::from(SpanKind::Unspecified), trace::SpanKind::Internal);
        for status in [trace::Status::Unset, trace::Status::Ok, trace::Status::error("why")] {
            assert_eq!(trace::Status::from(Status::from(&status)), status);
        }
    }
}
