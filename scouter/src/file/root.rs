//! The top of the file.

use super::section::{Complaints, Place, Section};
use super::yaml::{Node, Value};
use super::{provider, resource};
use crate::environment::names;
use crate::error::Error;
use crate::settings::{LogLevel, Settings};

/// Signals and libraries that others configure.
const OF_OTHERS: [&str; 5] = [
    "logger_provider",
    "meter_provider",
    "instrumentation/development",
    "distribution",
    // Where files keep what they refer to.
    "anchors",
];

pub(super) fn read(file: &str, node: &Node, settings: &mut Settings) -> Result<(), Error> {
    let mut list = std::mem::take(&mut settings.complaints);
    let outcome = read_root(&mut Complaints { file, list: &mut list }, node, settings);
    settings.complaints = list;
    outcome
}

fn read_root(complaints: &mut Complaints<'_>, node: &Node, settings: &mut Settings) -> Result<(), Error> {
    let place = Place::root(node);
    if !matches!(node.value, Value::Map(_)) {
        let text = format!("OTEL_CONFIG_FILE: {} is no configuration: it has no file_format", complaints.file);
        return Err(Error::Setting(text));
    }
    let mut root = place.section(complaints);
    file_format(&mut root, complaints)?;
    settings.disabled = root.get("disabled").and_then(|place| place.boolean(complaints)).unwrap_or(false);
    if let Some(place) = root.get("log_level")
        && let Some(name) = place.text(complaints)
    {
        match LogLevel::parse(&name) {
            Some(level) => settings.log_level = level,
            None => complaints.add(&place, &format!("is a severity such as info, not {name:?}; it was ignored")),
        }
    }
    if let Some(place) = root.get("resource") {
        resource::read(&place, settings, complaints);
    }
    settings.propagators = root.get("propagator").map(|place| propagators(&place, complaints)).unwrap_or_default();
    if let Some(place) = root.get("attribute_limits") {
        provider::general_limits(&place, &mut settings.limits, complaints);
    }
    if let Some(place) = root.get("tracer_provider") {
        provider::read(&place, settings, complaints)?;
    }
    for key in OF_OTHERS {
        root.get(key);
    }
    root.close(complaints);
    Ok(())
}

/// The version that the file is written for. Of the same major version all are read.
fn file_format(root: &mut Section<'_>, complaints: &mut Complaints<'_>) -> Result<(), Error> {
    let format = root.get("file_format");
    let version = format.as_ref().map(Place::value);
    let major = match version {
        Some(Value::Text(text)) => text.split('.').next().unwrap_or_default().to_owned(),
        // Without quotes it is a number.
        Some(Value::Float(number)) => format!("{number:.0}"),
        Some(Value::Int(number)) => number.to_string(),
        _ => {
            let file = complaints.file;
            return Err(Error::Setting(format!(
                "OTEL_CONFIG_FILE: {file} has no file_format: write file_format: \"1.0\""
            )));
        }
    };
    if major != "1"
        && let Some(place) = &format
    {
        complaints.add(place, "is 1.0 here; what other versions call differently is not known");
    }
    Ok(())
}

/// The propagators of both lists, each once.
fn propagators(place: &Place<'_>, complaints: &mut Complaints<'_>) -> Vec<String> {
    let mut section = place.section(complaints);
    let mut all: Vec<String> = Vec::new();
    if let Some(list) = section.get("composite") {
        for item in list.list(complaints) {
            if let Some((name, _)) = item.section(complaints).choice(&item, complaints) {
                all.push(name.to_owned());
            }
        }
    }
    if let Some(list) = section.get("composite_list").and_then(|place| place.text(complaints)) {
        all.extend(names(&list).into_iter().map(str::to_owned));
    }
    section.close(complaints);
    let mut once = Vec::new();
    for name in all {
        if name != "none" && !once.contains(&name) {
            once.push(name);
        }
    }
    once
}
