//! Transports of one's own.

use std::fmt;
use std::sync::Arc;

use scouter_transport::{Error, Transport};

/// Makes transports of one's own. Called once at the start, and once more in every forked child that exports, because a
/// child must not use its parent's sockets; so it makes a new transport each time.
#[derive(Clone)]
pub struct TransportFactory(Arc<Make>);

type Make = dyn Fn() -> Result<Arc<dyn Transport>, Error> + Send + Sync;

impl TransportFactory {
    /// A factory that calls this.
    pub fn new<F>(make: F) -> Self
    where
        F: Fn() -> Result<Arc<dyn Transport>, Error> + Send + Sync + 'static,
    {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> Result<Arc<dyn Transport>, Error> {
        (self.0)()
    }
}

impl fmt::Debug for TransportFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportFactory")
    }
}
