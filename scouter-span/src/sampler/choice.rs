//! The samplers a provider can be given.

use std::sync::Arc;

use super::composite::{Composable, CompositeSampler};
use super::probability::TraceIdRatio;
use super::{Ratio, SamplingDecision, SamplingInput, SamplingResult, ShouldSample};
use crate::context::SpanContext;

/// Decides which spans are recorded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Sampler {
    /// Every span.
    #[default]
    AlwaysOn,
    /// No span.
    AlwaysOff,
    /// This part of all traces, whatever the parent's flag says. The threshold is kept in the trace state, as `ot=th:…`.
    TraceIdRatio(Ratio),
    /// One of five samplers, by the span's parent.
    ParentBased(Box<ParentBased>),
    /// What this sampler says, but what it drops is recorded for processors to see.
    AlwaysRecord(Box<Sampler>),
    /// What a plug-in says.
    Custom(Arc<dyn ShouldSample>),
}

/// One sampler for each kind of parent.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentBased {
    /// For spans without a parent.
    pub root: Sampler,
    /// For spans below a sampled one of another process; [`Sampler::AlwaysOn`] by default.
    pub remote_sampled: Sampler,
    /// For spans below one of another process that is not sampled; [`Sampler::AlwaysOff`] by default.
    pub remote_not_sampled: Sampler,
    /// For spans below a sampled one of this process; [`Sampler::AlwaysOn`] by default.
    pub local_sampled: Sampler,
    /// For spans below one of this process that is not sampled; [`Sampler::AlwaysOff`] by default.
    pub local_not_sampled: Sampler,
}

/// The kinds of parent that [`ParentBased`] tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ParentKind {
    None,
    LocalNotSampled,
    LocalSampled,
    RemoteNotSampled,
    RemoteSampled,
}

impl ParentKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::LocalNotSampled, Self::LocalSampled, Self::RemoteNotSampled, Self::RemoteSampled];

    #[inline]
    pub(crate) const fn of(parent: Option<&SpanContext>) -> Self {
        match parent {
            None => Self::None,
            Some(parent) => match (parent.is_remote, parent.is_sampled()) {
                (false, false) => Self::LocalNotSampled,
                (false, true) => Self::LocalSampled,
                (true, false) => Self::RemoteNotSampled,
                (true, true) => Self::RemoteSampled,
            },
        }
    }
}

impl ParentBased {
    /// This sampler for roots, and what the parent's sampled flag says for all others.
    pub const fn new(root: Sampler) -> Self {
        Self {
            root,
            remote_sampled: Sampler::AlwaysOn,
            remote_not_sampled: Sampler::AlwaysOff,
            local_sampled: Sampler::AlwaysOn,
            local_not_sampled: Sampler::AlwaysOff,
        }
    }

    const fn below(&self, parent: ParentKind) -> &Sampler {
        match parent {
            ParentKind::None => &self.root,
            ParentKind::LocalNotSampled => &self.local_not_sampled,
            ParentKind::LocalSampled => &self.local_sampled,
            ParentKind::RemoteNotSampled => &self.remote_not_sampled,
            ParentKind::RemoteSampled => &self.remote_sampled,
        }
    }
}

impl Sampler {
    /// This sampler for the traces that begin here, and whatever the caller decided for the others.
    pub fn parent_based(root: Self) -> Self {
        Self::ParentBased(Box::new(ParentBased::new(root)))
    }

    /// What `sample_ratio` means: this part of the traces that begin here, and whatever the caller decided for the others.
    /// Everything is sampled without a threshold in the trace state, which costs nothing.
    pub fn ratio(ratio: Ratio) -> Self {
        Self::parent_based(if ratio.is_all() { Self::AlwaysOn } else { Self::TraceIdRatio(ratio) })
    }

    /// What this sampler says, but what it drops is recorded for processors to see.
    pub fn always_record(inner: Self) -> Self {
        Self::AlwaysRecord(Box::new(inner))
    }

    /// A decision put together from parts.
    pub fn composite(composable: impl Composable + 'static) -> Self {
        Self::custom(CompositeSampler::new(Arc::new(composable)))
    }

    /// A plug-in.
    pub fn custom(sampler: impl ShouldSample + 'static) -> Self {
        Self::Custom(Arc::new(sampler))
    }

    /// Whether spans below such a parent are sampled, where nothing else about them matters and nothing changes with it.
    pub(crate) fn known(&self, parent: ParentKind) -> Option<bool> {
        match self {
            Self::AlwaysOn => Some(true),
            Self::AlwaysOff => Some(false),
            Self::ParentBased(samplers) => samplers.below(parent).known(parent),
            Self::AlwaysRecord(inner) => inner.known(parent).filter(|sampled| *sampled),
            Self::TraceIdRatio(_) | Self::Custom(_) => None,
        }
    }

    /// The part of all roots that is sampled, where a root of another part is simply dropped.
    pub(crate) fn part_of_roots(&self) -> Option<Ratio> {
        match self {
            Self::TraceIdRatio(ratio) => Some(*ratio),
            Self::ParentBased(samplers) => samplers.root.part_of_roots(),
            Self::AlwaysOn | Self::AlwaysOff | Self::AlwaysRecord(_) | Self::Custom(_) => None,
        }
    }

    /// The same, with what can be computed once computed.
    pub(crate) fn prepared(self) -> Self {
        match self {
            Self::AlwaysOn | Self::AlwaysOff | Self::Custom(_) => self,
            Self::TraceIdRatio(ratio) => Self::custom(TraceIdRatio::new(ratio)),
            Self::ParentBased(samplers) => Self::ParentBased(Box::new(samplers.map(Self::prepared))),
            Self::AlwaysRecord(inner) => Self::always_record(inner.prepared()),
        }
    }
}

impl ShouldSample for Sampler {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        match self {
            Self::AlwaysOn => SamplingDecision::RecordAndSample.into(),
            Self::AlwaysOff => SamplingDecision::Drop.into(),
            Self::TraceIdRatio(ratio) => TraceIdRatio::new(*ratio).should_sample(input),
            Self::ParentBased(samplers) => samplers.below(ParentKind::of(input.parent.span)).should_sample(input),
            Self::AlwaysRecord(inner) => {
                let mut result = inner.should_sample(input);
                if result.decision == SamplingDecision::Drop {
                    result.decision = SamplingDecision::RecordOnly;
                }
                result
            }
            Self::Custom(sampler) => sampler.should_sample(input),
        }
    }

    fn description(&self) -> String {
        match self {
            Self::AlwaysOn => "AlwaysOnSampler".into(),
            Self::AlwaysOff => "AlwaysOffSampler".into(),
            Self::TraceIdRatio(ratio) => TraceIdRatio::new(*ratio).description(),
            Self::ParentBased(samplers) => samplers.description(),
            Self::AlwaysRecord(inner) => format!("AlwaysRecord{{root:{}}}", inner.description()),
            Self::Custom(sampler) => sampler.description(),
        }
    }
}

impl ParentBased {
    fn map(self, change: impl Fn(Sampler) -> Sampler) -> Self {
        Self {
            root: change(self.root),
            remote_sampled: change(self.remote_sampled),
            remote_not_sampled: change(self.remote_not_sampled),
            local_sampled: change(self.local_sampled),
            local_not_sampled: change(self.local_not_sampled),
        }
    }

    fn description(&self) -> String {
        let Self { root, remote_sampled, remote_not_sampled, local_sampled, local_not_sampled } = self;
        format!(
            "ParentBased{{root:{},remoteParentSampled:{},remoteParentNotSampled:{},\
             localParentSampled:{},localParentNotSampled:{}}}",
            root.description(),
            remote_sampled.description(),
            remote_not_sampled.description(),
            local_sampled.description(),
            local_not_sampled.description(),
        )
    }
}

impl PartialEq for Sampler {
    /// Plug-ins are equal if they are the same object.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AlwaysOn, Self::AlwaysOn) | (Self::AlwaysOff, Self::AlwaysOff) => true,
            (Self::TraceIdRatio(ratio), Self::TraceIdRatio(other)) => ratio == other,
            (Self::ParentBased(samplers), Self::ParentBased(others)) => samplers == others,
            (Self::AlwaysRecord(inner), Self::AlwaysRecord(other)) => inner == other,
            (Self::Custom(sampler), Self::Custom(other)) => Arc::ptr_eq(sampler, other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceFlags;
    use crate::id::{SpanId, TraceId};

    #[test]
    fn the_parent_decides_where_there_is_one() {
        let sampler = Sampler::parent_based(Sampler::AlwaysOff);
        let (trace, span) = (TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap());
        let known = |parent: Option<&SpanContext>| sampler.known(ParentKind::of(parent));
        for remote in [false, true] {
            let below = |flags| known(Some(&SpanContext { is_remote: remote, ..SpanContext::new(trace, span, flags) }));
            assert_eq!(below(TraceFlags::SAMPLED), Some(true));
            assert_eq!(below(TraceFlags::NONE), Some(false));
        }
        assert_eq!(known(None), Some(false));
    }

    #[test]
    fn samplers_are_equal_where_they_decide_alike() {
        let ratio = |ratio| Sampler::TraceIdRatio(Ratio::new(ratio).unwrap());
        let custom = Sampler::custom(Sampler::AlwaysOff);
        let all = [
            Sampler::AlwaysOn,
            Sampler::AlwaysOff,
            ratio(0.1),
            ratio(0.2),
            Sampler::parent_based(ratio(0.1)),
            Sampler::parent_based(ratio(0.2)),
            Sampler::always_record(ratio(0.1)),
            custom,
            Sampler::custom(Sampler::AlwaysOff),
        ];
        for (at, sampler) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(sampler == &other.clone(), at == other_at, "{sampler:?} {other:?}");
            }
        }
    }
}
