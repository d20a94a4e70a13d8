//! Checks over the whole tree: which crate may use which, what stays light, how manifests and files look.
//!
//! Each check is a plain function from what it is given to a list of complaints, so that it can be shown to complain
//! about a bad input in memory (beside the code) before it is asked about the real tree (in `tests/`).
//!
//! And the real parts of tests from end to end: message brokers and a server, in processes that can be killed.

pub mod broker;
pub mod code;
pub mod compliance;
pub mod files;
pub mod light;
pub mod manifest;
pub mod rows;
pub mod server;
pub mod tree;

/// Turns complaints into a test result: nothing to say is success, otherwise every complaint on a line of its own.
///
/// # Errors
///
/// The complaints, when there are any.
pub fn verdict(complaints: &[String]) -> Result<(), String> {
    if complaints.is_empty() { Ok(()) } else { Err(format!("\n\n{}\n", complaints.join("\n"))) }
}
