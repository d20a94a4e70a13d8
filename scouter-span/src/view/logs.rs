//! `ExportLogsServiceRequest` and its records.

use std::fmt;

use super::request::{Resource, Scope};
use super::value::{Attributes, ValueView};
use super::{bytes, check, messages, number, text};
use crate::id::{SpanId, TraceId};
use crate::wire::WireError;
use crate::wire::field::{log_record, logs_request, resource_logs, scope_logs};

/// A checked `ExportLogsServiceRequest`, which is also a checked `LogsData`.
#[derive(Clone, Copy, Debug)]
pub struct LogsRequest<'a>(&'a [u8]);

/// The records of one resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLogs<'a>(&'a [u8]);

/// The records of one instrumentation scope within a resource.
#[derive(Clone, Copy, Debug)]
pub struct ScopeLogs<'a>(&'a [u8]);

/// A `LogRecord` message.
#[derive(Clone, Copy, Debug)]
pub struct LogRecordView<'a>(&'a [u8]);

/// How serious a record is: OTLP's `SeverityNumber`, from 1 (the least) to 24, 0 where nobody said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(pub i32);

impl<'a> LogsRequest<'a> {
    /// Checks a whole message.
    ///
    /// # Errors
    /// The first place at which the bytes are not an `ExportLogsServiceRequest`. Ids are not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        check::logs_request(bytes)?;
        Ok(Self(bytes))
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The records by resource, in the sender's order.
    pub fn resource_logs(&self) -> impl Iterator<Item = ResourceLogs<'a>> + Clone + use<'a> {
        messages(self.0, logs_request::RESOURCE_LOGS).map(ResourceLogs)
    }

    /// Every record of the message, in the sender's order.
    pub fn records(&self) -> impl Iterator<Item = LogRecordView<'a>> + Clone + use<'a> {
        self.resource_logs().flat_map(|resource| resource.scope_logs()).flat_map(|scope| scope.records())
    }
}

impl<'a> ResourceLogs<'a> {
    /// The resource; without attributes when the sender left it out.
    pub fn resource(&self) -> Resource<'a> {
        Resource::new(bytes(self.0, resource_logs::RESOURCE))
    }

    /// Where the resource's attribute names are defined, `""` when not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.0, resource_logs::SCHEMA_URL)
    }

    /// The records by scope.
    pub fn scope_logs(&self) -> impl Iterator<Item = ScopeLogs<'a>> + Clone + use<'a> {
        messages(self.0, resource_logs::SCOPE_LOGS).map(ScopeLogs)
    }
}

impl<'a> ScopeLogs<'a> {
    /// The scope; nameless when the sender left it out.
    pub fn scope(&self) -> Scope<'a> {
        Scope::new(bytes(self.0, scope_logs::SCOPE))
    }

    /// Where the records' attribute names are defined, `""` when not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.0, scope_logs::SCHEMA_URL)
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = LogRecordView<'a>> + Clone + use<'a> {
        messages(self.0, scope_logs::LOG_RECORDS).map(LogRecordView::new)
    }
}

impl<'a> LogRecordView<'a> {
    /// A `LogRecord` message that was checked before: one of this process, or one from a store.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// When it happened, in nanoseconds since the Unix epoch; 0 when not known.
    pub fn time(&self) -> u64 {
        number(self.0, log_record::TIME)
    }

    /// When it was seen first by whoever collects records, in nanoseconds since the Unix epoch; 0 when not said.
    pub fn observed_time(&self) -> u64 {
        number(self.0, log_record::OBSERVED_TIME)
    }

    /// How serious it is.
    pub fn severity(&self) -> Severity {
        Severity(number(self.0, log_record::SEVERITY_NUMBER) as i32)
    }

    /// How serious it is in the words of its source, `""` when not said.
    pub fn severity_text(&self) -> &'a str {
        text(self.0, log_record::SEVERITY_TEXT)
    }

    /// What class of event it is, `""` for a record that is no event.
    pub fn event_name(&self) -> &'a str {
        text(self.0, log_record::EVENT_NAME)
    }

    /// What it says.
    pub fn body(&self) -> ValueView<'a> {
        ValueView::new(bytes(self.0, log_record::BODY))
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, log_record::ATTRIBUTES)
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, log_record::DROPPED_ATTRIBUTES_COUNT) as u32
    }

    /// The trace it belongs to; `None` without one and for bytes that are no id.
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_slice(bytes(self.0, log_record::TRACE_ID)).ok()
    }

    /// The span it belongs to; `None` without one and for bytes that are no id.
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_slice(bytes(self.0, log_record::SPAN_ID)).ok()
    }

    /// Bits 0 to 7: the W3C flags of that span.
    pub fn flags(&self) -> u32 {
        number(self.0, log_record::FLAGS) as u32
    }
}

impl Severity {
    /// What [`number`](Self) 9 says: that something happened, and that nothing is wrong.
    pub const INFO: Self = Self(9);

    /// The short name that the logs data model gives it ("Displaying Severity"), `""` for a number that has none.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; 24] = [
            "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2", "INFO3",
            "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2",
            "FATAL3", "FATAL4",
        ];
        if self.0 >= 1 && self.0 <= 24 { NAMES[self.0 as usize - 1] } else { "" }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
