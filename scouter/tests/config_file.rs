//! The configuration file of OpenTelemetry: what its keys set, and what is told about it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use scouter::export::BatchConfig;
use scouter::span::SpanLimits;
use scouter::span::sampler::ShouldSample as _;
use scouter::transport::{Compression, ContentType, Signal};
use scouter::{LogLevel, Protocol, Settings};
use support::{environment, exported, resource};

/// Settings from a file with this text behind its version, or what is wrong with it. Places are shown without the folder.
fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otel.yaml");
    std::fs::write(&path, text).unwrap();
    let shown = path.to_str().unwrap();
    let short = |text: &str| text.replace(shown, "otel.yaml");
    let variables = [&[("OTEL_CONFIG_FILE", shown)], variables].concat();
    let mut settings =
        Settings::from_environment(&environment(&variables)).map_err(|error| short(&error.to_string()))?;
    settings.complaints = settings.complaints.iter().map(|complaint| short(complaint)).collect();
    Ok(settings)
}

fn read(text: &str) -> Settings {
    read_with(&format!("file_format: \"1.0\"\n{text}"), &[]).unwrap()
}

fn quiet(text: &str) -> Settings {
    let settings = read(text);
    assert!(settings.complaints.is_empty(), "{:?}", settings.complaints);
    settings
}

#[test]
fn the_whole_of_it() {
    let text = r#"
disabled: false
log_level: warn
attribute_limits:
  attribute_value_length_limit: 4096
  attribute_count_limit: 100
logger_provider:
  processors: [{simple: {exporter: {console: }}}]
meter_provider:
  readers: []
propagator:
  composite:
    - tracecontext:
    - b3:
  composite_list: "tracecontext,baggage"
tracer_provider:
  processors:
    - batch:
        schedule_delay: 1000
        export_timeout: 2000
        max_queue_size: 4096
        max_export_batch_size: 256
        exporter:
          otlp_http:
            endpoint: http://collector:4318/v1/traces
            tls:
              ca_file: /ca.pem
              key_file: /key.pem
              cert_file: /cert.pem
            headers:
              - name: api-key
                value: "1234"
              - name: nothing
                value:
            headers_list: "api-key=5678,team=a%20b"
            compression: gzip
            timeout: 5000
            encoding: json
    - simple:
        exporter:
          otlp_grpc:
            endpoint: collector:4317
            tls:
              insecure: true
    - simple:
        exporter:
          console:
  limits:
    attribute_count_limit: 10
    event_count_limit: 20
    link_count_limit: 30
    event_attribute_count_limit: 40
  sampler:
    parent_based:
      root:
        trace_id_ratio_based:
          ratio: 0.25
      remote_parent_not_sampled:
        always_on:
      local_parent_sampled: {always_off: {}}
resource:
  schema_url: https://opentelemetry.io/schemas/1.30.0
  attributes_list: "service.namespace=low,team=a%20b"
  attributes:
    - name: service.namespace
      value: high
    - {name: zone, value: 7, type: int}
    - {name: load, value: 1, type: double}
    - {name: tags, value: [a, b], type: string_array}
    - {name: port, value: 80}
"#;
    let read = quiet(text);
    assert!(!read.disabled);
    assert_eq!(read.log_level, LogLevel::Warn);
    assert_eq!(read.propagators, ["tracecontext", "b3", "baggage"]);
    let expected = BatchConfig {
        scheduled_delay: Duration::from_secs(1),
        max_queue_size: 4096,
        max_export_batch_size: 256,
        ..BatchConfig::default()
    };
    assert_eq!((read.batch, read.export_timeout), (expected, Some(Duration::from_secs(2))));
    let limits = SpanLimits {
        attributes: 10,
        attribute_value_length: 4096,
        events: 20,
        links: 30,
        event_attributes: 40,
        link_attributes: 100,
    };
    assert_eq!(read.limits, limits);
    assert_eq!(
        read.sampler.description(),
        "ParentBased{root:TraceIdRatioBased{0.25},remoteParentSampled:AlwaysOnSampler,\
         remoteParentNotSampled:AlwaysOnSampler,localParentSampled:AlwaysOffSampler,\
         localParentNotSampled:AlwaysOffSampler}"
    );

    let [http, grpc, console] = read.collectors.try_into().unwrap();
    assert_eq!([&*http.name, &*grpc.name, &*console.name], ["otel", "otel_2", "console"]);
    assert_eq!([http.batch, grpc.batch, console.batch], [true, false, false]);
    let connection = http.connection;
    assert!(matches!(connection.protocol, Protocol::Http));
    assert_eq!(connection.endpoint.shown(Signal::Traces), "http://collector:4318/v1/traces");
    let headers = [("api-key", "1234"), ("team", "a b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(connection.headers, headers);
    assert_eq!((connection.compression, connection.content), (Compression::Gzip, ContentType::Json));
    assert_eq!(connection.timeout, Some(Duration::from_secs(5)));
    let files = ["/ca.pem", "/cert.pem", "/key.pem"].map(|path| Some(PathBuf::from(path)));
    assert_eq!([connection.files.ca, connection.files.certificate, connection.files.key], files);
    assert!(matches!(grpc.connection.protocol, Protocol::Grpc));
    assert_eq!(grpc.connection.endpoint.origin(), "http://collector:4317");
    assert!(matches!(console.connection.protocol, Protocol::Console));
}

#[test]
fn the_resource_reaches_the_spans() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otel.yaml");
    let text = "file_format: '1.0'\nresource:\n  schema_url: https://example.com/schema\n  attributes:\n    \
                - {name: service.name, value: shop}\n    - {name: zone, value: 7, type: int}\n    \
                - {name: tags, value: [a, b], type: string_array}\n    - {name: port, value: 80}\n";
    std::fs::write(&path, text).unwrap();
    let requests = exported(&[("OTEL_CONFIG_FILE", path.to_str().unwrap())], |scouter| {
        scouter.tracer("t").span("s").start().end();
    });
    assert_eq!(requests[0].resource_spans[0].schema_url, "https://example.com/schema");
    assert_eq!(resource(&requests, "service.name").as_deref(), Some("shop"));
    assert_eq!(resource(&requests, "zone").as_deref(), Some("IntValue(7)"));
    assert_eq!(resource(&requests, "port").as_deref(), Some("80"));
    assert!(resource(&requests, "tags").unwrap().starts_with("ArrayValue"));
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_schema() {
    let read = quiet(
        "tracer_provider:\n  processors:\n    - batch: {exporter: {otlp_http: }}\n    - batch: {exporter: {otlp_grpc: {}}}\n",
    );
    assert!(read.propagators.is_empty(), "no propagator is named");
    assert_eq!((read.limits, read.batch), (SpanLimits::default(), BatchConfig::default()));
    assert!(read.sampler.description().starts_with("ParentBased{root:AlwaysOnSampler"));
    let [http, grpc] = read.collectors.try_into().unwrap();
    assert_eq!(http.connection.endpoint.shown(Signal::Traces), "http://localhost:4318/v1/traces");
    assert_eq!(grpc.connection.endpoint.origin(), "http://localhost:4317");
    assert!(quiet("").collectors.is_empty());
    assert!(quiet("disabled: true\n").disabled);
    assert!(
        quiet("tracer_provider: {processors: [], sampler: {always_off: }}\n").sampler.description().contains("Off")
    );
}

#[test]
fn variables_fill_in_and_nothing_else_counts() {
    let text = "file_format: \"1.0\"\ndisabled: ${OTEL_SDK_DISABLED}\ntracer_provider:\n  processors:\n    - batch:\n        \
                schedule_delay: ${env:OTEL_BSP_SCHEDULE_DELAY:-70}\n        exporter:\n          otlp_http:\n            \
                endpoint: ${BASE:-http://localhost:4318}/v1/traces\n            headers: [{name: k, value: \"${KEY}\"}]\n";
    let variables = [
        ("OTEL_SDK_DISABLED", "true"),
        ("BASE", "http://c:1"),
        ("KEY", "x: y"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER", "nonsense"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "3"),
    ];
    let read = read_with(text, &variables).unwrap();
    assert!(read.complaints.is_empty(), "{:?}", read.complaints);
    assert!(read.disabled);
    assert_eq!(read.batch.scheduled_delay, Duration::from_millis(70));
    assert_eq!(read.batch.max_queue_size, BatchConfig::default().max_queue_size);
    let [collector] = read.collectors.try_into().unwrap();
    assert_eq!(collector.connection.endpoint.shown(Signal::Traces), "http://c:1/v1/traces");
    assert_eq!(collector.connection.headers, [("k".to_owned(), "x: y".to_owned())]);
}

#[test]
fn what_nobody_knows_is_named_with_its_place() {
    for (text, complaint) in [
        ("tracer_providr: {}\n", "otel.yaml, line 2: tracer_providr is not a key that is known here; it was ignored"),
        (
            "tracer_provider:\n  limits:\n    event_limit: 3\n",
            "otel.yaml, line 4: tracer_provider.limits.event_limit is not a key that is known here; it was ignored",
        ),
        (
            "tracer_provider:\n  tracer_configurator/development: {}\n",
            "otel.yaml, line 3: tracer_provider.tracer_configurator/development is in development and not supported \
             here; it was ignored",
        ),
        (
            "tracer_provider:\n  processors:\n    - batch: {exporter: {zipkin: }}\n",
            "otel.yaml, line 4: tracer_provider.processors[0].batch.exporter.zipkin is not an exporter that is known \
             here, as are otlp_http, otlp_grpc and console; it was ignored",
        ),
        (
            "tracer_provider:\n  processors:\n    - fancy: {}\n",
            "otel.yaml, line 4: tracer_provider.processors[0].fancy is not a processor that is known here, as are \
             batch and simple; it was ignored",
        ),
        (
            "tracer_provider:\n  processors:\n    - batch: {}\n",
            "otel.yaml, line 4: tracer_provider.processors[0].batch has no exporter; it was ignored",
        ),
        (
            "tracer_provider: {sampler: {always_on: , always_off: }}\n",
            "otel.yaml, line 2: tracer_provider.sampler has exactly one key that says what it is; it was ignored",
        ),
        (
            "tracer_provider: {sampler: {trace_id_ratio_based: {ratio: 2}}}\n",
            "otel.yaml, line 2: tracer_provider.sampler.trace_id_ratio_based.ratio is a number from 0.0 to 1.0, not 2; \
             1.0 was taken",
        ),
        (
            "tracer_provider: {sampler: {jaeger_remote/development: {}}}\n",
            "otel.yaml, line 2: tracer_provider.sampler.jaeger_remote/development is not a sampler that is known here, \
             as are always_on, always_off, trace_id_ratio_based and parent_based; it was ignored",
        ),
        ("disabled: 7\n", "otel.yaml, line 2: disabled is true or false; what stands there was ignored"),
        (
            "attribute_limits: {attribute_count_limit: -1}\n",
            "otel.yaml, line 2: attribute_limits.attribute_count_limit is a whole number from 0 on; what stands there \
             was ignored",
        ),
        ("resource: [1]\n", "otel.yaml, line 2: resource is a map; what stands there was ignored"),
        (
            "resource: {attributes: [{name: a, value: x, type: int}]}\n",
            "otel.yaml, line 2: resource.attributes[0].value does not fit its type, which is string, bool, int, double, \
             or one of these with _array; it was ignored",
        ),
        ("log_level: loud\n", "otel.yaml, line 2: log_level is a severity such as info, not \"loud\"; it was ignored"),
    ] {
        assert_eq!(read(text).complaints, [complaint], "{text}");
    }
    let old = read_with("file_format: \"0.3\"\n", &[]).unwrap();
    assert!(old.complaints[0].starts_with("otel.yaml, line 1: file_format is 1.0 here"), "{:?}", old.complaints);
}

#[test]
fn processors_share_one_queue_and_say_so() {
    let text = "tracer_provider:\n  processors:\n    - batch: {max_queue_size: 9, exporter: {console: }}\n    \
                - batch: {max_queue_size: 8, exporter: {console: }}\n";
    let read = read(text);
    assert_eq!(read.batch.max_queue_size, 9);
    assert_eq!(read.complaints.len(), 1);
    assert!(read.complaints[0].contains("line 5") && read.complaints[0].contains("the first one's numbers were taken"));
}

#[test]
fn a_file_that_cannot_be_understood_is_an_error() {
    for (text, reason) in [
        ("", "otel.yaml is no configuration: it has no file_format"),
        ("- 1\n", "otel.yaml is no configuration: it has no file_format"),
        ("disabled: false\n", "otel.yaml has no file_format: write file_format: \"1.0\""),
        ("file_format: \"1.0\"\na: [1\n", "otel.yaml, line "),
        ("file_format: \"1.0\"\nresource:\n  a: ${1}\n", "otel.yaml, line 3: ${1} is no reference to a variable"),
        (
            "file_format: \"1.0\"\ntracer_provider: {processors: [{simple: {exporter: {otlp_http: {endpoint: nowhere}}}}]}\n",
            "otel.yaml: tracer_provider.processors[0].simple.exporter.otlp_http.endpoint: endpoint `nowhere` has no scheme",
        ),
    ] {
        let error = read_with(text, &[]).unwrap_err();
        assert!(error.starts_with(&format!("OTEL_CONFIG_FILE: {reason}")), "{text}: {error}");
    }
}
