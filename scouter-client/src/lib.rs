//! Query types shared with the server, and the HTTP client that asks it.
//!
//! [`TraceFilters`] says which traces are wanted, [`Trace`] and [`Span`] are what comes back, [`tree`] puts the spans of a
//! trace into order, and [`Client`] asks a server for all of that. The server uses the same types, so both ends agree.

pub mod filters;
pub mod http;
pub mod span;
pub mod trace;
pub mod tree;

mod error;
mod hex;

pub use error::{Error, ErrorKind};
pub use filters::{FilterError, TraceFilters};
pub use http::{Client, ClientConfig};
pub use span::{Event, Link, Scope, Span, Status};
pub use trace::{Trace, TracePage, TraceSummary};
