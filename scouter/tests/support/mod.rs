//! What the tests of this crate share: environments, a server in memory, and reading what arrived.

#![allow(dead_code, reason = "every test program uses its part")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use scouter::export::{DropReason, Report, Reporter};
use scouter::transport::Endpoint;
use scouter::transport::memory::Memory;
use scouter::{Connection, Environment, Output, Protocol, Scouter, Settings};

/// Longer than anything takes here.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

pub(crate) fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Settings from these variables alone.
pub(crate) fn settings(variables: &[(&str, &str)]) -> Settings {
    Settings::from_environment(&environment(variables)).unwrap()
}

/// The only complaint that these variables give.
pub(crate) fn complaint(variables: &[(&str, &str)]) -> String {
    let [complaint] = settings(variables).complaints.try_into().unwrap();
    complaint
}

/// Starts with Scouter's server in this memory.
pub(crate) fn started(mut settings: Settings, memory: &Memory) -> Scouter {
    let nowhere = Endpoint::base("http://localhost:8000").unwrap();
    settings.server = Connection::new(Protocol::Memory(memory.clone()), nowhere);
    settings.start().unwrap()
}

/// What arrives at the server with these variables.
pub(crate) fn exported(variables: &[(&str, &str)], record: impl FnOnce(&Scouter)) -> Vec<ExportTraceServiceRequest> {
    let memory = Memory::default();
    let scouter = started(settings(variables), &memory);
    record(&scouter);
    scouter.flush(PATIENT).unwrap();
    memory.take().iter().map(|payload| ExportTraceServiceRequest::decode(payload.body.clone()).unwrap()).collect()
}

pub(crate) fn spans(requests: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
}

/// The text under this key of the resource.
pub(crate) fn resource(requests: &[ExportTraceServiceRequest], key: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let resource = requests[0].resource_spans[0].resource.as_ref().unwrap();
    let found = resource.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

/// A place to write to and to look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn output(&self) -> Output {
        Output::new(self.clone())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Vec<(Option<DropReason>, u64, String)>>);

impl Told {
    pub(crate) fn all(&self) -> Vec<(Option<DropReason>, u64, String)> {
        self.0.lock().unwrap().clone()
    }
}

impl Reporter for Told {
    fn report(&self, report: &Report) {
        self.0.lock().unwrap().push((report.reason, report.dropped, report.message.clone()));
    }
}
