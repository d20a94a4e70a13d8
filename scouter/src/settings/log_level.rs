//! How much Scouter says about itself.

/// From which severity on Scouter tells what goes wrong: `OTEL_LOG_LEVEL`. What it tells is a warning or an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    None,
    /// Errors only.
    Error,
    /// Warnings too.
    Warn,
    /// What is worth knowing too.
    #[default]
    Info,
    /// What helps to find mistakes too.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level of this name, in any case. Numbers behind a name, as in `INFO2`, are those of OpenTelemetry's severities.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Some(match name.trim_end_matches(['2', '3', '4']) {
            "none" | "off" => Self::None,
            "fatal" | "error" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" | "verbose" | "all" => Self::Trace,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_severities_are_known() {
        assert_eq!(LogLevel::parse("WARN"), Some(LogLevel::Warn));
        assert_eq!(LogLevel::parse("info3"), Some(LogLevel::Info));
        assert_eq!(LogLevel::parse("loud"), None);
        assert!(LogLevel::Error < LogLevel::Warn);
    }
}
