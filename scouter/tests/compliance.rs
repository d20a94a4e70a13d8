//! The rows of OpenTelemetry's compliance matrix about environment variables.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, baggage::BaggageExt as _};
use scouter::export::BatchConfig;
use scouter::span::sampler::ShouldSample as _;
use scouter::span::{SpanContext, SpanId, TraceFlags, TraceId, Value};
use scouter::transport::memory::Memory;
use scouter::transport::{Compression, ContentType, Error as TransportError, ErrorKind, Signal};
use scouter::{LogLevel, Protocol, Scouter, Settings, propagator};
use support::{PATIENT, Told, Written, complaint, exported, resource, settings, spans, started};

fn one_span(scouter: &Scouter) {
    scouter.tracer("t").span("s").start().end();
}

#[test]
fn m093_otel_sdk_disabled() {
    for (value, recorded) in [("true", 0), ("TRUE", 0), ("false", 1), ("", 1), ("1", 1)] {
        let scouter = started(settings(&[("OTEL_SDK_DISABLED", value)]), &Memory::default());
        let span = scouter.tracer("t").span("s").start();
        assert_eq!(span.is_recording(), recorded == 1, "{value:?}");
    }
    // Only true is true, and what is not false either is told.
    assert!(complaint(&[("OTEL_SDK_DISABLED", "1")]).starts_with("OTEL_SDK_DISABLED is true or false, not \"1\""));
    // Propagators stay as they are.
    assert_eq!(settings(&[("OTEL_SDK_DISABLED", "true")]).propagators, ["tracecontext", "baggage"]);
}

#[test]
fn m094_otel_resource_attributes() {
    let requests = exported(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b, zone=1")], one_span);
    assert_eq!(resource(&requests, "team").as_deref(), Some("a b"));
    assert_eq!(resource(&requests, "zone").as_deref(), Some("1"));
    assert_eq!(resource(&requests, "service.name").as_deref(), Some("unknown_service:rust"));
    // One bad member discards all of them.
    let bad = [("OTEL_RESOURCE_ATTRIBUTES", "team=a,nonsense")];
    assert!(complaint(&bad).starts_with("OTEL_RESOURCE_ATTRIBUTES is not of the form"));
    assert_eq!(resource(&exported(&bad, one_span), "team"), None);
}

#[test]
fn m095_otel_service_name() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=low");
    assert_eq!(resource(&exported(&[attributes], one_span), "service.name").as_deref(), Some("low"));
    let both = [attributes, ("OTEL_SERVICE_NAME", "high")];
    assert_eq!(resource(&exported(&both, one_span), "service.name").as_deref(), Some("high"));
    // An argument beats a variable.
    let memory = Memory::default();
    let mut settings = settings(&both);
    settings.service_name = Some("code".to_owned());
    let scouter = started(settings, &memory);
    one_span(&scouter);
    scouter.flush(PATIENT).unwrap();
    assert!(String::from_utf8_lossy(&memory.payloads()[0].body).contains("code"));
}

#[test]
fn m096_otel_log_level() {
    for (name, level) in [("", LogLevel::Info), ("error", LogLevel::Error), ("WARN", LogLevel::Warn)] {
        assert_eq!(settings(&[("OTEL_LOG_LEVEL", name)]).log_level, level);
    }
    assert!(complaint(&[("OTEL_LOG_LEVEL", "loud")]).starts_with("OTEL_LOG_LEVEL is none, error"));
    // What goes wrong is a warning.
    for (name, told) in [("warn", 1), ("error", 0)] {
        let (memory, reporter) = (Memory::default(), Arc::new(Told::default()));
        memory.fail_next(1, TransportError::new(ErrorKind::Refused, "no"));
        let mut settings = settings(&[("OTEL_LOG_LEVEL", name)]);
        settings.reporter = reporter.clone();
        let scouter = started(settings, &memory);
        one_span(&scouter);
        scouter.flush(PATIENT).unwrap_err();
        assert_eq!(reporter.all().len(), told, "{name}");
    }
}

#[test]
fn m097_otel_propagators() {
    let named = |value: &str| settings(&[("OTEL_PROPAGATORS", value)]).propagators;
    assert_eq!(named(""), ["tracecontext", "baggage"]);
    assert_eq!(named("baggage, tracecontext,baggage"), ["baggage", "tracecontext"]);
    assert!(named("none").is_empty());

    let mut complaints = Vec::new();
    let both = propagator(&named("tracecontext,b3,baggage"), &mut complaints);
    assert_eq!(complaints, ["the propagators here are tracecontext, baggage and none, not \"b3\"; it was ignored"]);
    let mut fields: Vec<_> = both.fields().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["baggage", "traceparent", "tracestate"]);

    let parent = SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), TraceFlags::SAMPLED);
    let context = Context::new().with_remote_span_context((&parent).into());
    let context = context.with_baggage([opentelemetry::KeyValue::new("user", "1")]);
    let carried = |names: &str| {
        let mut headers = HashMap::new();
        propagator(&named(names), &mut Vec::new()).inject_context(&context, &mut headers);
        let mut headers: Vec<_> = headers.into_keys().collect();
        headers.sort_unstable();
        headers
    };
    assert_eq!(carried(""), ["baggage", "traceparent"]);
    assert_eq!(carried("tracecontext"), ["traceparent"]);
    assert!(carried("none").is_empty());
}

#[test]
fn m098_otel_bsp_variables() {
    let default = BatchConfig::default();
    let read = settings(&[
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "700"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3"),
    ]);
    assert_eq!(read.batch.scheduled_delay, Duration::from_millis(20));
    assert_eq!(read.export_timeout, Some(Duration::from_millis(700)));
    assert_eq!((read.batch.max_queue_size, read.batch.max_export_batch_size), (7, 3));
    // Out of range and unreadable values are told and count as unset.
    let read = settings(&[
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
        ("OTEL_BSP_EXPORT_TIMEOUT", " "),
    ]);
    assert_eq!((read.batch, read.export_timeout), (default, None));
    assert_eq!(read.complaints.len(), 3, "{:?}", read.complaints);

    // The queue and the batches are of that size, and the delay is waited for no longer than that.
    let memory = Memory::default();
    let sizes = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3"), ("OTEL_BSP_SCHEDULE_DELAY", "10")];
    let scouter = started(settings(&sizes), &memory);
    for _ in 0..7 {
        one_span(&scouter);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        while memory.payloads().iter().map(|payload| payload.items).sum::<u32>() < 7 {
            memory.until_received(memory.received() + 1).await;
        }
    });
    assert!(memory.payloads().iter().all(|payload| payload.items <= 3));
}

#[test]
fn m098_an_export_ends_after_its_time() {
    let memory = Memory::default();
    memory.hold();
    let mut settings = settings(&[("OTEL_BSP_EXPORT_TIMEOUT", "50"), ("OTEL_BSP_SCHEDULE_DELAY", "1")]);
    let mut transport = scouter::Connection::new(Protocol::Memory(memory.clone()), settings.server.endpoint.clone());
    transport.timeout = None;
    settings.collectors.push(scouter::Collector::new("held", transport));
    let scouter = started(settings, &Memory::default());
    one_span(&scouter);
    // The first try ends, a second begins.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(memory.until_waiting(1));
    loop {
        let stats = scouter.stats().unwrap();
        let held = stats.destinations.iter().find(|destination| destination.name == "held").unwrap();
        if held.retries > 0 {
            assert!(held.last_error.as_deref().unwrap().contains("150ms"), "{:?}", held.last_error);
            break;
        }
        std::thread::yield_now();
    }
    scouter.begin_shutdown(Duration::ZERO);
}

#[test]
fn m100_otel_exporter_otlp_variables() {
    const OTLP: (&str, &str) = ("OTEL_TRACES_EXPORTER", "otlp");
    let connection = |more: &[(&str, &str)]| {
        let [collector] = settings(&[&[OTLP], more].concat()).collectors.try_into().unwrap();
        assert_eq!(collector.name, "otel");
        collector.connection
    };
    let shown = |more: &[(&str, &str)]| connection(more).endpoint.shown(Signal::Traces);
    // Endpoint: the general one is a base, the signal's own is used as it is.
    assert_eq!(shown(&[]), "http://localhost:4318/v1/traces");
    assert_eq!(shown(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/base/")]), "http://c:1/base/v1/traces");
    assert_eq!(shown(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1/own")]), "http://c:1/own");
    assert_eq!(shown(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1")]), "http://c:1/");
    // Protocol.
    for (value, content) in
        [("http/protobuf", ContentType::Protobuf), ("http/json", ContentType::Json), ("", ContentType::Protobuf)]
    {
        let read = connection(&[("OTEL_EXPORTER_OTLP_PROTOCOL", value)]);
        assert!(matches!(read.protocol, Protocol::Http));
        assert_eq!(read.content, content);
    }
    let grpc = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
    let read = connection(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), grpc]);
    assert!(matches!(read.protocol, Protocol::Grpc));
    assert_eq!(read.endpoint.origin(), "http://localhost:4317");
    let unknown = complaint(&[OTLP, ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift")]);
    assert!(unknown.contains("is grpc, http/protobuf or http/json, not \"thrift\""), "{unknown}");
    // Insecure: for gRPC without a scheme; a scheme stands above it.
    let origin = |endpoint, insecure| {
        let variables = [grpc, ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_INSECURE", insecure)];
        connection(&variables).endpoint.origin()
    };
    assert_eq!(origin("c:4317", ""), "https://c:4317");
    assert_eq!(origin("c:4317", "true"), "http://c:4317");
    assert_eq!(origin("https://c:4317", "true"), "https://c:4317");
    // Headers, compression, timeout, files: the signal's own stand above the general ones.
    let general = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=a%20b,l=1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert.pem"),
    ];
    let own = [
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "m=2"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/own/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/own/key.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/own/cert.pem"),
    ];
    let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let read = connection(&general);
    assert_eq!(read.headers, pairs(&[("k", "a b"), ("l", "1")]));
    assert_eq!(read.compression, Compression::Gzip);
    // No limit is a very long one.
    assert!(read.timeout.unwrap() > Duration::from_secs(3600));
    assert_eq!(read.files.ca, Some(PathBuf::from("/ca.pem")));
    let read = connection(&[general, own].concat());
    assert_eq!(read.headers, pairs(&[("m", "2")]));
    assert_eq!((read.compression, read.timeout), (Compression::None, Some(Duration::from_millis(250))));
    let files = ["/own/ca.pem", "/own/cert.pem", "/own/key.pem"].map(|path| Some(PathBuf::from(path)));
    assert_eq!([read.files.ca, read.files.certificate, read.files.key], files);
    // What is not known is told, and what cannot work is an error that names the variable.
    assert!(complaint(&[OTLP, ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]).contains("gzip or none"));
    assert!(complaint(&[OTLP, ("OTEL_EXPORTER_OTLP_TIMEOUT", "-5")]).contains("OTEL_EXPORTER_OTLP_TIMEOUT"));
    let bad = support::environment(&[OTLP, ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c")]);
    let error = Settings::from_environment(&bad).unwrap_err();
    assert!(error.to_string().starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: endpoint `ftp://c`"), "{error}");
}

#[test]
fn m102_otel_traces_exporter() {
    let names = |value: &str| -> Vec<String> {
        let read = settings(&[("OTEL_TRACES_EXPORTER", value)]);
        read.collectors.into_iter().map(|collector| collector.name).collect()
    };
    assert!(names("").is_empty() && names("none").is_empty());
    assert_eq!(names("otlp"), ["otel"]);
    assert_eq!(names("otlp, console,otlp"), ["otel", "console"]);
    assert!(complaint(&[("OTEL_TRACES_EXPORTER", "zipkin")]).contains("not of \"zipkin\""));
    assert!(complaint(&[("OTEL_TRACES_EXPORTER", "none,console")]).contains("none was ignored"));
}

/// M138 too: every span is a line, and every line a whole OTLP message in JSON.
#[test]
fn m102_the_console_shows_every_span() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let written = Written::default();
    let mut settings = settings(&[("OTEL_TRACES_EXPORTER", "console"), ("OTEL_SERVICE_NAME", "shop")]);
    settings.console = written.output();
    let scouter = started(settings, &Memory::default());
    for (scope, name) in [("a", "one"), ("a", "two"), ("b", "three")] {
        scouter.tracer(scope).span(name).start().end();
    }
    scouter.flush(PATIENT).unwrap();
    let lines = written.lines();
    assert_eq!(lines.len(), 3);
    for (line, (scope, name)) in lines.iter().zip([("a", "one"), ("a", "two"), ("b", "three")]) {
        let request: ExportTraceServiceRequest = serde_json::from_str(line).unwrap();
        assert_eq!(resource(std::slice::from_ref(&request), "service.name").as_deref(), Some("shop"));
        assert_eq!(request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, scope);
        assert_eq!(spans(&[request])[0].name, name);
    }
}

/// A span with three of everything.
fn full_span(scouter: &Scouter) {
    let other = SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), TraceFlags::NONE);
    let attributes = [("a", Value::Str("long text")), ("b", Value::I64(2)), ("c", Value::I64(3))];
    let mut span = scouter.tracer("t").span("s").attributes(&attributes).start();
    for _ in 0..3 {
        span.add_event("event", &attributes);
        span.add_link(&other, &attributes);
    }
    span.end();
}

/// How many attributes, events, links, attributes of an event, attributes of a link there are, and the longest text.
fn limited(variables: &[(&str, &str)]) -> ([usize; 5], String) {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let [span] = spans(&exported(variables, full_span)).try_into().unwrap();
    let event = span.events.first().map_or(0, |event| event.attributes.len());
    let link = span.links.first().map_or(0, |link| link.attributes.len());
    let texts = span.attributes.iter().filter_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    });
    let text = texts.max_by_key(String::len).unwrap_or_default();
    ([span.attributes.len(), span.events.len(), span.links.len(), event, link], text)
}

const ALL: [usize; 5] = [3, 3, 3, 3, 3];

#[test]
fn m105_otel_span_attribute_count_limit() {
    assert_eq!(limited(&[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")]).0, [1, 3, 3, 3, 3]);
    assert_eq!(limited(&[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1")]).0, ALL);
    assert!(complaint(&[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1")]).contains("not \"-1\""));
}

#[test]
fn m106_otel_span_attribute_value_length_limit() {
    let own = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4");
    assert_eq!(limited(&[]).1, "long text");
    assert_eq!(limited(&[own]), (ALL, "long".to_owned()));
    assert_eq!(limited(&[own, ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2")]).1, "long");
}

#[test]
fn m107_otel_span_event_count_limit() {
    assert_eq!(limited(&[("OTEL_SPAN_EVENT_COUNT_LIMIT", "2")]).0, [3, 2, 3, 3, 3]);
}

#[test]
fn m108_otel_span_link_count_limit() {
    assert_eq!(limited(&[("OTEL_SPAN_LINK_COUNT_LIMIT", "2")]).0, [3, 3, 2, 3, 3]);
}

#[test]
fn m109_otel_event_attribute_count_limit() {
    assert_eq!(limited(&[("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1")]).0, [3, 3, 3, 1, 3]);
}

#[test]
fn m110_otel_link_attribute_count_limit() {
    assert_eq!(limited(&[("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "1")]).0, [3, 3, 3, 3, 1]);
}

#[test]
fn m115_otel_attribute_value_length_limit() {
    assert_eq!(limited(&[("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2")]), (ALL, "lo".to_owned()));
    assert_eq!(limited(&[("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0")]).1, "");
}

#[test]
fn m116_otel_attribute_count_limit() {
    let general = ("OTEL_ATTRIBUTE_COUNT_LIMIT", "2");
    assert_eq!(limited(&[general]).0, [2, 3, 3, 2, 2]);
    assert_eq!(limited(&[general, ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")]).0, [1, 3, 3, 2, 2]);
}

#[test]
fn m113_otel_traces_sampler() {
    let described = |name: &str| settings(&[("OTEL_TRACES_SAMPLER", name)]).sampler.description();
    for (name, begin) in [
        ("always_on", "AlwaysOnSampler"),
        ("always_off", "AlwaysOffSampler"),
        ("traceidratio", "TraceIdRatioBased{1}"),
        ("", "ParentBased{root:AlwaysOnSampler"),
        ("parentbased_always_on", "ParentBased{root:AlwaysOnSampler"),
        ("parentbased_always_off", "ParentBased{root:AlwaysOffSampler"),
        ("parentbased_traceidratio", "ParentBased{root:TraceIdRatioBased{1}"),
    ] {
        assert!(described(name).starts_with(begin), "{name}: {}", described(name));
    }
    let unknown = [("OTEL_TRACES_SAMPLER", "jaeger_remote")];
    assert!(complaint(&unknown).contains("not \"jaeger_remote\"; parentbased_always_on was taken"));
    assert!(exported(&[("OTEL_TRACES_SAMPLER", "always_off")], one_span).is_empty());
    assert_eq!(exported(&[], one_span).len(), 1);
}

#[test]
fn m114_otel_traces_sampler_arg() {
    let with = |name, arg| settings(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
    assert_eq!(with("traceidratio", "0.25").sampler.description(), "TraceIdRatioBased{0.25}");
    assert!(with("parentbased_traceidratio", "0.5").sampler.description().contains("root:TraceIdRatioBased{0.5}"));
    // What is invalid is told and counts as unset; who needs none does not look at it.
    for bad in ["2", "half"] {
        let read = with("traceidratio", bad);
        assert_eq!(read.sampler.description(), "TraceIdRatioBased{1}");
        assert!(read.complaints[0].starts_with("OTEL_TRACES_SAMPLER_ARG"), "{:?}", read.complaints);
    }
    assert!(with("always_on", "half").complaints.is_empty());
    assert!(
        exported(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")], one_span).is_empty()
    );
}

#[test]
fn m122_otel_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otel.yaml");
    let text = "file_format: \"1.0\"\nresource:\n  attributes:\n    - name: service.name\n      value: ${SHOP:-none}\n";
    std::fs::write(&path, text).unwrap();
    let file = ("OTEL_CONFIG_FILE", path.to_str().unwrap());
    // The other variables of OpenTelemetry do not count then, unless the file names them; those of Scouter do.
    let others = [("OTEL_SERVICE_NAME", "variable"), ("OTEL_SDK_DISABLED", "true"), ("SHOP", "shop")];
    let scouters = ("SCOUTER_SERVER_URI", "http://s:1");
    let variables = [&[file, scouters], &others[..]].concat();
    let read = settings(&variables);
    assert!(read.complaints.is_empty(), "{:?}", read.complaints);
    assert_eq!(read.server.endpoint.origin(), "http://s:1");
    assert!(!read.disabled);
    assert_eq!(resource(&exported(&variables, one_span), "service.name").as_deref(), Some("shop"));
    // An empty name is none.
    assert!(settings(&[&[("OTEL_CONFIG_FILE", "")], &others[..]].concat()).disabled);
    // A file that cannot be read is an error that names it.
    let nowhere = support::environment(&[("OTEL_CONFIG_FILE", "/nowhere/otel.yaml")]);
    let error = Settings::from_environment(&nowhere).unwrap_err().to_string();
    assert!(error.starts_with("OTEL_CONFIG_FILE: the file /nowhere/otel.yaml cannot be read: "), "{error}");
}
