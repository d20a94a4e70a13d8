//! `tracer_provider.sampler`: a tree.

use scouter_span::sampler::ParentBased;
use scouter_span::{Ratio, Sampler};

use super::section::{Complaints, Place};

/// The sampler that stands here; `None`, with a complaint, for what is none.
pub(super) fn read(place: &Place<'_>, complaints: &mut Complaints<'_>) -> Option<Sampler> {
    let (name, inner) = place.section(complaints).choice(place, complaints)?;
    let mut section = inner.section(complaints);
    let sampler = match name {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "trace_id_ratio_based" => {
            let ratio = section.get("ratio");
            let number = ratio.as_ref().and_then(|place| place.number(complaints)).unwrap_or(1.0);
            match (Ratio::new(number), ratio) {
                (Ok(ratio), _) => Sampler::TraceIdRatio(ratio),
                (Err(_), Some(place)) => {
                    complaints.add(&place, &format!("is a number from 0.0 to 1.0, not {number}; 1.0 was taken"));
                    Sampler::TraceIdRatio(Ratio::ALL)
                }
                (Err(_), None) => Sampler::AlwaysOn,
            }
        }
        "parent_based" => {
            let mut child = |key| section.get(key).and_then(|place| read(&place, complaints));
            let mut samplers = ParentBased::new(child("root").unwrap_or(Sampler::AlwaysOn));
            for (key, slot) in [
                ("remote_parent_sampled", &mut samplers.remote_sampled),
                ("remote_parent_not_sampled", &mut samplers.remote_not_sampled),
                ("local_parent_sampled", &mut samplers.local_sampled),
                ("local_parent_not_sampled", &mut samplers.local_not_sampled),
            ] {
                if let Some(sampler) = child(key) {
                    *slot = sampler;
                }
            }
            Sampler::ParentBased(Box::new(samplers))
        }
        _ => {
            let known = "always_on, always_off, trace_id_ratio_based and parent_based";
            complaints.add(&inner, &format!("is not a sampler that is known here, as are {known}; it was ignored"));
            return None;
        }
    };
    section.close(complaints);
    Some(sampler)
}
