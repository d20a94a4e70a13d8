//! `tracer_provider`.

use std::time::Duration;

use scouter_export::BatchConfig;
use scouter_span::SpanLimits;

use super::section::{Complaints, Place};
use super::{exporter, sampler};
use crate::environment::timeout;
use crate::error::Error;
use crate::settings::{Collector, Settings};

const LENGTH: &str = "attribute_value_length_limit";
const COUNT: &str = "attribute_count_limit";

pub(super) fn read(place: &Place<'_>, settings: &mut Settings, complaints: &mut Complaints<'_>) -> Result<(), Error> {
    let mut section = place.section(complaints);
    if let Some(place) = section.get("sampler")
        && let Some(sampler) = sampler::read(&place, complaints)
    {
        settings.sampler = sampler;
    }
    if let Some(place) = section.get("limits") {
        span_limits(&place, &mut settings.limits, complaints);
    }
    let mut batch = None;
    for processor in section.get("processors").map(|place| place.list(complaints)).unwrap_or_default() {
        read_processor(&processor, &mut batch, settings, complaints)?;
    }
    section.close(complaints);
    Ok(())
}

/// `attribute_limits`: the limits of all attributes.
pub(super) fn general_limits(place: &Place<'_>, limits: &mut SpanLimits, complaints: &mut Complaints<'_>) {
    let mut section = place.section(complaints);
    if let Some(length) = section.get(LENGTH).and_then(|place| place.integer(0, complaints)) {
        limits.attribute_value_length = usize::try_from(length).unwrap_or(usize::MAX);
    }
    if let Some(count) = section.get(COUNT).and_then(|place| place.integer(0, complaints)) {
        limits.attributes = bounded(count);
        (limits.event_attributes, limits.link_attributes) = (limits.attributes, limits.attributes);
    }
    section.close(complaints);
}

/// The limits of spans, above the general ones.
fn span_limits(place: &Place<'_>, limits: &mut SpanLimits, complaints: &mut Complaints<'_>) {
    let mut section = place.section(complaints);
    if let Some(length) = section.get(LENGTH).and_then(|place| place.integer(0, complaints)) {
        limits.attribute_value_length = usize::try_from(length).unwrap_or(usize::MAX);
    }
    for (key, limit) in [
        (COUNT, &mut limits.attributes),
        ("event_count_limit", &mut limits.events),
        ("link_count_limit", &mut limits.links),
        ("event_attribute_count_limit", &mut limits.event_attributes),
        ("link_attribute_count_limit", &mut limits.link_attributes),
    ] {
        if let Some(count) = section.get(key).and_then(|place| place.integer(0, complaints)) {
            *limit = bounded(count);
        }
    }
    section.close(complaints);
}

fn bounded(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A processor is a destination here. All that gather spans share one queue, so what the first says about it holds.
fn read_processor(
    place: &Place<'_>,
    first: &mut Option<(BatchConfig, Option<Duration>)>,
    settings: &mut Settings,
    complaints: &mut Complaints<'_>,
) -> Result<(), Error> {
    let Some((kind, inner)) = place.section(complaints).choice(place, complaints) else { return Ok(()) };
    let is_batch = match kind {
        "batch" => true,
        "simple" => false,
        _ => {
            complaints.add(&inner, "is not a processor that is known here, as are batch and simple; it was ignored");
            return Ok(());
        }
    };
    let mut section = inner.section(complaints);
    if is_batch {
        let mut batch = BatchConfig::default();
        let mut number = |key, least| section.get(key).and_then(|place| place.integer(least, complaints));
        if let Some(delay) = number("schedule_delay", 0) {
            batch.scheduled_delay = Duration::from_millis(delay);
        }
        for (key, setting) in
            [("max_queue_size", &mut batch.max_queue_size), ("max_export_batch_size", &mut batch.max_export_batch_size)]
        {
            if let Some(size) = number(key, 1) {
                *setting = usize::try_from(size).unwrap_or(usize::MAX);
            }
        }
        let limit = number("export_timeout", 0).map(|limit| timeout(Duration::from_millis(limit)));
        let said = (batch, limit);
        match first {
            None => {
                (settings.batch, settings.export_timeout) = said.clone();
                *first = Some(said);
            }
            Some(first) if *first != said => {
                complaints.add(
                    &inner,
                    "differs from the first batch processor, with which it shares a queue; \
                                        the first one's numbers were taken",
                );
            }
            Some(_) => {}
        }
    }
    match section.get("exporter") {
        Some(place) => {
            if let Some((name, connection)) = exporter::read(&place, complaints)? {
                let name = unused(name, &settings.collectors);
                settings.collectors.push(Collector { batch: is_batch, ..Collector::new(name, connection) });
            }
        }
        None => complaints.add(&inner, "has no exporter; it was ignored"),
    }
    section.close(complaints);
    Ok(())
}

/// This name, with a number behind it where others have it already.
fn unused(name: &str, collectors: &[Collector]) -> String {
    let taken = |name: &str| collectors.iter().any(|collector| collector.name == name);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}
