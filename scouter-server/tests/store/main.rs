//! The stores: one suite that every store passes, and what only the embedded one promises.

#![expect(clippy::unwrap_used, reason = "a helper of a test stops the test as the test itself would")]

mod conformance;
mod crash;
mod embedded;
mod formats;
mod model;
mod properties;
mod record_properties;
mod records;
mod said;
mod traffic;
