//! The `opentelemetry` API over the types of this crate: its `TracerProvider`, `Tracer` and `Span` traits, and conversions.
//!
//! A program that speaks the API records through this module into the same bytes, under the same limits and into the same
//! sink as one that uses [`Tracer`](crate::Tracer) directly. The API has its own ids, contexts and values; they are
//! converted where they cross over, and scalars and texts without an allocation.
//!
//! What the API leaves to an implementation is done as follows:
//!
//! - The parent is the active span of the context given, or its remote span context; an invalid one counts as none.
//! - Samplers and processors get the whole context as [`Parent::context`](crate::Parent), to be downcast to
//!   `opentelemetry::Context`. Links without valid ids are not shown to samplers.
//! - Where telemetry is suppressed a span does what it does without any implementation: it carries the active context on
//!   and records nothing (trace API, "Behavior of the API in the absence of an installed SDK").
//! - A link without valid ids is kept if it has attributes or trace state, else ignored (trace API, "Link").
//! - Values of kinds that later versions of the API add are recorded as text.

mod context;
mod event;
mod span;
mod time;
mod tracer;
mod value;

use opentelemetry::{InstrumentationScope, trace};

use crate::scope::Scope;
use crate::tracer::TracerProvider;

pub use context::active_span_context;
pub use span::Span;
pub use time::{system_time, unix_nanoseconds};
pub use tracer::Tracer;
pub use value::{to_key_value, to_value};

/// A provider for `opentelemetry::global::set_tracer_provider` and whoever else wants the API's trait. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider(TracerProvider);

impl Provider {
    /// This provider through the API.
    pub const fn new(provider: TracerProvider) -> Self {
        Self(provider)
    }

    /// What is behind it.
    pub const fn provider(&self) -> &TracerProvider {
        &self.0
    }
}

impl trace::TracerProvider for Provider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer::new(self.0.tracer(Scope::from(&scope)))
    }
}

impl From<&InstrumentationScope> for Scope {
    fn from(scope: &InstrumentationScope) -> Self {
        let attributes: Vec<_> = scope.attributes().collect();
        let (version, schema_url) = (scope.version().unwrap_or_default(), scope.schema_url().unwrap_or_default());
        Self::encode(scope.name(), version, schema_url, &attributes)
    }
}
