//! What the rows share: the clocks, the shape of the span, the sink's way of counting.

pub mod batch;
pub mod clock;
pub mod otlp;
pub mod shape;
