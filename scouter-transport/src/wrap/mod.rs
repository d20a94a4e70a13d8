//! Transports around transports. Each forwards what it does not change.

mod policy;
mod retry;
mod timeout;

pub use self::policy::RetryPolicy;
pub use self::retry::{Retry, Retrying};
pub use self::timeout::Timeout;
