//! Protobuf's wire format: the few primitives that OTLP needs, for writing and for borrowed reading.
//!
//! Source: Protocol Buffers, "Encoding". Writing appends to a `Vec<u8>`; reading borrows and checks every length.

mod read;
mod write;

pub use read::{Field, FieldValue, Reader, WireError};
pub(crate) use write::{fill_varint, write_scalar, write_text};
pub use write::{
    fixed32, fixed64, len_delimited, nested, tag, uint, varint, varint_len, write_attribute, write_key_value,
    write_value,
};

/// How a field's value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WireType {
    /// A base-128 number.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length, then that many bytes.
    Len = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// The field numbers of the OTLP messages this crate reads and writes
/// (`opentelemetry-proto` 1.x: `trace.proto`, `logs.proto`, `common.proto`, `resource.proto`, `trace_service.proto`,
/// `logs_service.proto`).
pub mod field {
    #![allow(missing_docs, reason = "the names are the ones in the .proto files")]

    pub mod request {
        pub const RESOURCE_SPANS: u32 = 1;
    }
    pub mod resource_spans {
        pub const RESOURCE: u32 = 1;
        pub const SCOPE_SPANS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod resource {
        pub const ATTRIBUTES: u32 = 1;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 2;
        pub const ENTITY_REFS: u32 = 3;
    }
    /// The four fields of an `EntityRef` are text.
    pub mod entity_ref {
        pub const SCHEMA_URL: u32 = 1;
        pub const DESCRIPTION_KEYS: u32 = 4;
    }
    pub mod scope_spans {
        pub const SCOPE: u32 = 1;
        pub const SPANS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod scope {
        pub const NAME: u32 = 1;
        pub const VERSION: u32 = 2;
        pub const ATTRIBUTES: u32 = 3;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 4;
    }
    pub mod span {
        pub const TRACE_ID: u32 = 1;
        pub const SPAN_ID: u32 = 2;
        pub const TRACE_STATE: u32 = 3;
        pub const PARENT_SPAN_ID: u32 = 4;
        pub const NAME: u32 = 5;
        pub const KIND: u32 = 6;
        pub const START_TIME: u32 = 7;
        pub const END_TIME: u32 = 8;
        pub const ATTRIBUTES: u32 = 9;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 10;
        pub const EVENTS: u32 = 11;
        pub const DROPPED_EVENTS_COUNT: u32 = 12;
        pub const LINKS: u32 = 13;
        pub const DROPPED_LINKS_COUNT: u32 = 14;
        pub const STATUS: u32 = 15;
        pub const FLAGS: u32 = 16;
    }
    pub mod event {
        pub const TIME: u32 = 1;
        pub const NAME: u32 = 2;
        pub const ATTRIBUTES: u32 = 3;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 4;
    }
    pub mod link {
        pub const TRACE_ID: u32 = 1;
        pub const SPAN_ID: u32 = 2;
        pub const TRACE_STATE: u32 = 3;
        pub const ATTRIBUTES: u32 = 4;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 5;
        pub const FLAGS: u32 = 6;
    }
    pub mod status {
        pub const MESSAGE: u32 = 2;
        pub const CODE: u32 = 3;
    }
    /// `ExportLogsServiceRequest`. What surrounds records has the same numbers as what surrounds spans, so that
    /// [`request`](crate::request) writes both.
    pub mod logs_request {
        pub const RESOURCE_LOGS: u32 = 1;
    }
    pub mod resource_logs {
        pub const RESOURCE: u32 = 1;
        pub const SCOPE_LOGS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod scope_logs {
        pub const SCOPE: u32 = 1;
        pub const LOG_RECORDS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod log_record {
        pub const TIME: u32 = 1;
        pub const SEVERITY_NUMBER: u32 = 2;
        pub const SEVERITY_TEXT: u32 = 3;
        pub const BODY: u32 = 5;
        pub const ATTRIBUTES: u32 = 6;
        pub const DROPPED_ATTRIBUTES_COUNT: u32 = 7;
        pub const FLAGS: u32 = 8;
        pub const TRACE_ID: u32 = 9;
        pub const SPAN_ID: u32 = 10;
        pub const OBSERVED_TIME: u32 = 11;
        pub const EVENT_NAME: u32 = 12;
    }
    pub mod key_value {
        pub const KEY: u32 = 1;
        pub const VALUE: u32 = 2;
        pub const KEY_STRINDEX: u32 = 3;
    }
    pub mod any_value {
        pub const STRING: u32 = 1;
        pub const BOOL: u32 = 2;
        pub const INT: u32 = 3;
        pub const DOUBLE: u32 = 4;
        pub const ARRAY: u32 = 5;
        pub const KVLIST: u32 = 6;
        pub const BYTES: u32 = 7;
        pub const STRING_STRINDEX: u32 = 8;
    }
    /// `ArrayValue` and `KeyValueList` have one field each.
    pub mod list {
        pub const VALUES: u32 = 1;
    }
}
