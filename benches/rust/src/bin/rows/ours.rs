//! Scouter: recorded through its own types or through the traits of the `opentelemetry` API, exported by its pipeline.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use scouter_benches::clock::{Figures, measure};
use scouter_benches::shape::{EVENT, FLAG, FRACTION, NAME, NUMBERS, TEXTS, TRACEPARENT};
use scouter_export::{BatchConfig, Destination, Pipeline, Worker};
use scouter_propagation::traceparent;
use scouter_span::counters::Counters;
use scouter_span::{Resource, Sampler, Scope, Tracer, TracerProvider, Value, otel};
use scouter_transport::http::HttpConfig;
use scouter_transport::{BoxFuture, Compression, Endpoint, Error, Payload, Receipt, Transport, connect};

use crate::{Row, no_such_row};

/// As large as the peers' queues, for the same reason.
pub(crate) const QUEUE: usize = 1 << 19;
pub(crate) const QUEUE_BYTES: usize = 512 << 20;
const FLUSH: Duration = Duration::from_secs(60);

/// Takes every payload and keeps none.
#[derive(Debug)]
pub(crate) struct Discard;

impl Transport for Discard {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        black_box(payload);
        Box::pin(async { Ok(Receipt::default()) })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// A tracer and the pipeline behind it.
struct Program {
    tracer: Tracer,
    pipeline: Arc<Pipeline>,
}

impl Program {
    fn new(destinations: Vec<Destination>, sampler: Sampler) -> Result<Self, String> {
        let resource = Resource::new(&[("service.name", Value::Str("benches"))], "");
        let counters = Arc::new(Counters::default());
        let batch = BatchConfig { max_queue_size: QUEUE, max_queue_bytes: QUEUE_BYTES, ..BatchConfig::default() };
        let worker = Worker::start().map_err(|error| error.to_string())?;
        let builder = Pipeline::builder(resource.clone()).batch(batch).counters(Arc::clone(&counters));
        let builder = destinations.into_iter().fold(builder, |builder, destination| builder.destination(destination));
        let pipeline = builder.build(&worker).map_err(|error| error.to_string())?;
        let sink = Arc::clone(&pipeline);
        let provider = TracerProvider::builder(resource, sink).counters(counters).sampler(sampler).build();
        Ok(Self { tracer: provider.tracer(Scope::new("benches", "", "", &[])), pipeline })
    }

    fn discarding(sampler: Sampler) -> Result<Self, String> {
        Self::new(vec![Destination::new("nowhere", || Ok(Arc::new(Discard) as Arc<dyn Transport>))], sampler)
    }

    /// To as many destinations as there are names, all of them the sink.
    fn sending(names: &[&'static str], endpoint: &str, compression: Compression) -> Result<Self, String> {
        let endpoint = Endpoint::from_user(endpoint).map_err(|error| error.to_string())?;
        let config = HttpConfig::new(endpoint).compression(compression);
        let destination = |name: &&'static str| {
            let config = config.clone();
            Destination::new(*name, move || Ok(Arc::from(connect(config.clone())?)))
        };
        Self::new(names.iter().map(destination).collect(), Sampler::AlwaysOn)
    }

    fn flush(&self) {
        if let Err(error) = self.pipeline.flush(FLUSH) {
            eprintln!("flush: {error}");
        }
    }
}

pub(crate) fn run(row: Row, n: u64, endpoint: &str) -> Result<Figures, String> {
    Ok(match row {
        Row::Span => {
            let program = Program::discarding(Sampler::AlwaysOn)?;
            measure(n, |_| record(&program.tracer), || program.flush())
        }
        Row::Unsampled => {
            let program = Program::discarding(Sampler::AlwaysOff)?;
            measure(n, |_| program.tracer.span(NAME).start(), || {})
        }
        Row::Parse => {
            measure(n, |_| traceparent::parse(black_box(TRACEPARENT)).map(traceparent::TraceParent::to_context), || {})
        }
        Row::Format => {
            let context = traceparent::parse(TRACEPARENT).map_err(|error| error.to_string())?.to_context();
            measure(n, |_| traceparent::format(black_box(&context)), || {})
        }
        Row::Pipeline => {
            let program = Program::sending(&["sink"], endpoint, Compression::None)?;
            measure(n, |_| record(&program.tracer), || program.flush())
        }
        Row::Second => {
            let program = Program::sending(&["first", "second"], endpoint, Compression::None)?;
            let figures = measure(n, |_| record(&program.tracer), || program.flush());
            // The sink gets every span twice.
            Figures { made: 2 * figures.made, ..figures }
        }
        Row::Gzip => {
            let program = Program::sending(&["sink"], endpoint, Compression::Gzip)?;
            measure(n, |_| record(&program.tracer), || program.flush())
        }
        Row::Record => return super::records::ours(n),
        Row::Kafka | Row::RabbitMq => return no_such_row(row, "ours"),
    })
}

pub(crate) fn run_through_api(row: Row, n: u64) -> Result<Figures, String> {
    match row {
        Row::Span => {
            let program = Program::discarding(Sampler::AlwaysOn)?;
            let tracer = otel::Tracer::new(program.tracer.clone());
            Ok(measure(n, |_| super::opentelemetry::record(&tracer), || program.flush()))
        }
        _ => no_such_row(row, "ours-api"),
    }
}

fn record(tracer: &Tracer) {
    let mut span = tracer.span(NAME).start();
    for (key, value) in TEXTS {
        span.set_attribute(key, value);
    }
    for (key, value) in NUMBERS {
        span.set_attribute(key, value);
    }
    span.set_attribute(FRACTION.0, FRACTION.1);
    span.set_attribute(FLAG.0, FLAG.1);
    let (name, (key, value)) = EVENT;
    span.add_event(name, &[(key, value.into())]);
    span.end();
}
