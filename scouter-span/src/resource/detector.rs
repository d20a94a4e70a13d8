//! Who finds out what a resource is made of.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Resource, SchemaConflict};

/// Finds out about the surroundings of a program: its host, its container, its cloud (resource SDK, "Detecting resource
/// information from the environment").
pub trait ResourceDetector: fmt::Debug + Send + Sync {
    /// What it finds, with the schema URL that its names are from; [empty](Resource::empty) where there is nothing to find,
    /// which is no error. May block for as long as its user can wait for the program to begin.
    fn detect(&self) -> Resource;
}

impl Resource {
    /// What all detectors find, later ones above earlier ones. One that panics has found nothing.
    ///
    /// # Errors
    /// Two of them name their attributes by different schemas.
    pub fn detect(detectors: &[&dyn ResourceDetector]) -> Result<Self, SchemaConflict> {
        detectors.iter().try_fold(Self::empty(), |found, detector| {
            let more = catch_unwind(AssertUnwindSafe(|| detector.detect())).unwrap_or_else(|_| Self::empty());
            found.merge(&more)
        })
    }
}
