//! fastrace with a reporter that throws its spans away.

use std::borrow::Cow;
use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::{LocalParentGuard, LocalSpan};
use fastrace::{Event, Span};
use scouter_benches::clock::{Figures, measure};
use scouter_benches::shape::{EVENT, FLAG, FRACTION, NAME, NUMBERS, TEXTS, TRACEPARENT};

use crate::{Row, no_such_row};

/// Local spans are handed over when their parent's guard goes.
const SPANS_PER_TRACE: u64 = 100;

struct Discard;

impl Reporter for Discard {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        std::hint::black_box(spans);
    }
}

pub(crate) fn run(row: Row, n: u64) -> Result<Figures, String> {
    fastrace::set_reporter(Discard, Config::default().report_interval(Duration::from_millis(10)));
    Ok(match row {
        Row::Span => {
            let mut recorder = Recorder::default();
            measure(n, |i| recorder.record(i), fastrace::flush)
        }
        Row::Unsampled => measure(n, |_| Span::root(NAME, SpanContext::random().sampled(false)), || {}),
        Row::Parse => measure(n, |_| SpanContext::decode_w3c_traceparent(std::hint::black_box(TRACEPARENT)), || {}),
        Row::Format => {
            let context = SpanContext::random();
            measure(n, |_| std::hint::black_box(&context).encode_w3c_traceparent(), || {})
        }
        Row::Pipeline | Row::Second | Row::Gzip | Row::Record | Row::Kafka | Row::RabbitMq => {
            return no_such_row(row, "fastrace");
        }
    })
}

/// Records spans the way that costs fastrace least: local spans, a trace of many, all properties at once.
#[derive(Default)]
struct Recorder {
    /// The order matters: the guard hands the local spans over and must go before the root.
    parent: Option<(LocalParentGuard, Span)>,
}

impl Recorder {
    /// Properties are text, so numbers are written out, as its users have to.
    fn record(&mut self, i: u64) {
        if self.parent.is_none() || i.is_multiple_of(SPANS_PER_TRACE) {
            self.parent = None;
            let root = Span::root(NAME, SpanContext::random());
            self.parent = Some((root.set_local_parent(), root));
        }
        let _span = LocalSpan::enter_with_local_parent(NAME).with_properties(|| {
            let texts = TEXTS.map(|(key, value)| (key, Cow::Borrowed(value)));
            let numbers = NUMBERS.map(|(key, value)| (key, Cow::Owned(value.to_string())));
            let fraction = (FRACTION.0, Cow::Owned(FRACTION.1.to_string()));
            let flag = (FLAG.0, Cow::Owned(FLAG.1.to_string()));
            texts.into_iter().chain(numbers).chain([fraction, flag])
        });
        let (name, (key, value)) = EVENT;
        LocalSpan::add_event(Event::new(name).with_property(|| (key, value.to_string())));
    }
}
