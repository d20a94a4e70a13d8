//! Query types shared with the server, and the HTTP client that asks it.
//!
//! [`TraceFilters`] says which traces are wanted, [`Trace`] and [`Span`] are what comes back, [`tree`] puts the spans of a
//! trace into order; [`RecordFilters`] and [`Record`], [`TagFilters`] and [`Tag`] are the same for records and tags. [`Client`] asks
//! a server for all of that. The server uses the same types, so both ends agree.

pub mod filters;
pub mod http;
pub mod record;
pub mod span;
pub mod tag;
pub mod trace;
pub mod tree;

mod error;
mod hex;

pub use error::{Error, ErrorKind};
pub use filters::{FilterError, RecordFilters, TagFilters, TraceFilters};
pub use http::{Client, ClientConfig};
pub use record::{Entity, Record, RecordPage};
pub use span::{Event, Link, Scope, Span, Status};
pub use tag::Tag;
pub use trace::{Trace, TracePage, TraceSummary};
