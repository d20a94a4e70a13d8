//! The configuration file of OpenTelemetry (`opentelemetry-configuration` 1.0), as far as it concerns traces.
//!
//! ```text
//! text ─ yaml ─▶ nodes, with `${...}` filled in ─ sections ─▶ settings
//! ```
//!
//! What the file says and nobody here knows is complained about with its line and place. What concerns logs, metrics and
//! instrumentation libraries is left to those.

#[cfg(feature = "config-file")]
mod exporter;
#[cfg(feature = "config-file")]
mod provider;
#[cfg(feature = "config-file")]
mod resource;
#[cfg(feature = "config-file")]
mod root;
#[cfg(feature = "config-file")]
mod sampler;
#[cfg(feature = "config-file")]
mod scalar;
#[cfg(feature = "config-file")]
mod section;
#[cfg(feature = "config-file")]
mod substitute;
#[cfg(feature = "config-file")]
mod yaml;

use crate::environment::Environment;
use crate::error::Error;
use crate::settings::Settings;

/// Fills the settings with what the file at this path says.
#[cfg(feature = "config-file")]
pub(crate) fn read(path: &str, environment: &Environment, settings: &mut Settings) -> Result<(), Error> {
    let fail = |reason: String| Error::Setting(format!("OTEL_CONFIG_FILE: {reason}"));
    let text =
        std::fs::read_to_string(path).map_err(|error| fail(format!("the file {path} cannot be read: {error}")))?;
    let node = yaml::parse(&text, environment)
        .map_err(|yaml::Flaw { line, reason }| fail(format!("{path}, line {line}: {reason}")))?;
    root::read(path, &node, settings)
}

/// Without the feature, nobody can read the file.
#[cfg(not(feature = "config-file"))]
pub(crate) fn read(path: &str, _environment: &Environment, _settings: &mut Settings) -> Result<(), Error> {
    let way_out = "enable the cargo feature `config-file`, or unset the variable";
    Err(Error::Setting(format!("OTEL_CONFIG_FILE: reading {path} is not built in: {way_out}")))
}
