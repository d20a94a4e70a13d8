//! The stores: one suite that every store passes, and what only the embedded one promises.

mod conformance;
mod crash;
mod embedded;
mod model;
mod properties;
mod traffic;
