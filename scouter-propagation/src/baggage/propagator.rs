//! Baggage in and out of carriers.

use super::{Baggage, HEADER};
use crate::carrier::{Extractor, Injector};

/// Carries baggage as the header `baggage` (W3C Baggage).
#[derive(Debug, Clone, Copy, Default)]
pub struct BaggagePropagator;

impl BaggagePropagator {
    /// The names of the headers that are read and written.
    pub const FIELDS: [&'static str; 1] = [HEADER];

    /// The sender's baggage, from all `baggage` headers together; empty when there is none.
    pub fn extract<C: Extractor + ?Sized>(&self, carrier: &C) -> Baggage {
        Baggage::parse(carrier.get_all(HEADER))
    }

    /// Sets `baggage`, unless it is empty.
    pub fn inject<C: Injector + ?Sized>(&self, baggage: &Baggage, carrier: &mut C) {
        if !baggage.is_empty() {
            carrier.set(HEADER, &baggage.to_header());
        }
    }
}
