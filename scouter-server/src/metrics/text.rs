//! Prometheus text, exposition format 0.0.4.

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS, Histogram};

/// Text being written: a header for each metric, then its values.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    fn header(&mut self, name: &'static str, help: &str, kind: &str) {
        self.name = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &str) {
        self.header(name, help, "counter");
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) {
        self.header(name, help, "gauge");
    }

    /// One value of the metric begun last. `labels` as they stand between the braces.
    pub(super) fn value(&mut self, labels: &str, value: impl Display) {
        let name = self.name;
        match labels {
            "" => self.line(format_args!("{name} {value}")),
            _ => self.line(format_args!("{name}{{{labels}}} {value}")),
        }
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.header(name, help, "histogram");
        let mut total = 0;
        for (place, count) in histogram.counts().into_iter().enumerate() {
            total += count;
            match BOUNDS.get(place) {
                Some(bound) => {
                    self.line(format_args!("{name}_bucket{{le=\"{}\"}} {total}", *bound as f64 / 1e6));
                }
                None => self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {total}")),
            }
        }
        self.line(format_args!("{name}_sum {}", histogram.sum()));
        self.line(format_args!("{name}_count {total}"));
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}
