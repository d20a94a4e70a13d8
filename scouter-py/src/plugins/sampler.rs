//! A sampler in Python, asked by the tracer.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use scouter_span::sampler::{SamplingDecision, SamplingInput, SamplingResult, ShouldSample};
use scouter_span::{OwnedValue, TraceState};

use super::{Failures, Role};
use crate::attached::Once;
use crate::otel::otel;
use crate::settings;

/// The very objects a span was begun with: a sampler is given them as the SDK gives them. Travels as the context of
/// [`scouter_span::SpanBuilder::context`].
pub(crate) struct Asked {
    pub(crate) context: Option<Py<PyAny>>,
    pub(crate) attributes: Option<Py<PyAny>>,
    pub(crate) links: Option<Py<PyAny>>,
    /// How long a text may be in what the sampler answers.
    pub(crate) limit: usize,
}

/// An object with the methods of the SDK's `Sampler`.
#[derive(Debug)]
pub(crate) struct PythonSampler {
    sampler: Py<PyAny>,
    failures: Arc<Failures>,
}

/// The members of the SDK's `Decision`: drop, record only, record and sample.
static DECISIONS: Once<Option<[Py<PyAny>; 3]>> = Once::new();

const DECISION_NAMES: [&str; 3] = ["DROP", "RECORD_ONLY", "RECORD_AND_SAMPLE"];
const DECISION_VALUES: [SamplingDecision; 3] =
    [SamplingDecision::Drop, SamplingDecision::RecordOnly, SamplingDecision::RecordAndSample];

impl PythonSampler {
    pub(crate) fn new(sampler: Py<PyAny>, failures: Arc<Failures>) -> Self {
        Self { sampler, failures }
    }

    fn ask(&self, py: Python<'_>, input: &SamplingInput<'_>) -> PyResult<SamplingResult> {
        let asked = input.parent.context.and_then(|context| context.downcast_ref::<Asked>());
        let of =
            |object: Option<&Option<Py<PyAny>>>| object.and_then(Option::as_ref).map(|object| object.clone_ref(py));
        let links = match of(asked.map(|asked| &asked.links)) {
            Some(links) => links,
            None => PyTuple::empty(py).into_any().unbind(),
        };
        let answer = self.sampler.bind(py).call_method1(
            intern!(py, "should_sample"),
            (
                of(asked.map(|asked| &asked.context)),
                input.trace_id.to_int(),
                input.name,
                otel(py)?.kind(input.kind),
                of(asked.map(|asked| &asked.attributes)),
                links,
            ),
        )?;
        let decision = decision(&answer.getattr(intern!(py, "decision"))?)?;
        let attributes = match answer.getattr_opt(intern!(py, "attributes"))? {
            Some(attributes) if decision.is_recording() && !attributes.is_none() => {
                let given = asked.and_then(|asked| asked.attributes.as_ref()).map(|given| given.bind(py));
                let limit = asked.map_or(usize::MAX, |asked| asked.limit);
                settings::owned_within(Some(added(&attributes, given)?.as_any()), limit)
            }
            _ => Vec::<(String, OwnedValue)>::new(),
        };
        // An equal value in place of the one that was given says nothing new either.
        let given = |key: &str| input.attributes.iter().rev().find(|(given, _)| *given == key);
        let is_new = |(key, value): &(String, OwnedValue)| {
            given(key).is_none_or(|(_, given)| OwnedValue::from(*given) != *value)
        };
        let attributes = attributes.into_iter().filter(is_new).collect();
        // Without a trace state the span has none, as in the SDK: a sampler that keeps the parent's says so.
        let state = match answer.getattr_opt(intern!(py, "trace_state"))? {
            Some(state) if !state.is_none() && state.len()? > 0 => {
                let header: String = state.call_method0(intern!(py, "to_header"))?.extract()?;
                TraceState::parse(&header).unwrap_or_default()
            }
            _ => TraceState::EMPTY,
        };
        Ok(SamplingResult { decision, attributes, trace_state: Some(state) })
    }
}

/// What a sampler answers beside what it was asked with: the SDK's samplers hand all of that back, and the span has it.
fn added<'py>(answered: &Bound<'py, PyAny>, given: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyDict>> {
    let added = PyDict::new(answered.py());
    for entry in answered.call_method0("items")?.try_iter()? {
        let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = entry?.extract()?;
        let same = given.is_some_and(|given| given.get_item(&key).is_ok_and(|given| given.is(&value)));
        if !same {
            added.set_item(key, value)?;
        }
    }
    Ok(added)
}

fn decision(answer: &Bound<'_, PyAny>) -> PyResult<SamplingDecision> {
    let py = answer.py();
    let load = || -> PyResult<_> {
        let class = py.import("opentelemetry.sdk.trace.sampling").and_then(|module| module.getattr("Decision"));
        let Ok(class) = class else { return Ok(None) };
        let member = |name: &str| class.getattr(name).map(Bound::unbind);
        Ok(Some([member("DROP")?, member("RECORD_ONLY")?, member("RECORD_AND_SAMPLE")?]))
    };
    if let Some(members) = DECISIONS.get_or_try_init(py, load)?
        && let Some(at) = members.iter().position(|member| answer.is(member))
    {
        return Ok(DECISION_VALUES[at]);
    }
    let name: String = answer.getattr(intern!(py, "name"))?.extract()?;
    let at = DECISION_NAMES.iter().position(|known| *known == name);
    at.map(|at| DECISION_VALUES[at]).ok_or_else(|| {
        pyo3::exceptions::PyValueError::new_err(format!(
            "a sampler decides DROP, RECORD_ONLY or RECORD_AND_SAMPLE, not {name}"
        ))
    })
}

impl ShouldSample for PythonSampler {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        let asked = Python::try_attach(|py| {
            self.ask(py, input).map_err(|error| {
                self.failures.absorb_and_keep(py, Role::Sampler, "a sampler failed, and the parent decides", error);
            })
        });
        // Without an answer, as without a sampler: what the parent says, and every root.
        let otherwise = || SamplingDecision::sampled(input.parent.span.is_none_or(|parent| parent.is_sampled())).into();
        asked.and_then(Result::ok).unwrap_or_else(otherwise)
    }

    fn description(&self) -> String {
        let describe = |py: Python<'_>| -> PyResult<String> {
            self.sampler.bind(py).call_method0(intern!(py, "get_description"))?.extract()
        };
        Python::try_attach(describe).and_then(Result::ok).unwrap_or_else(|| "a sampler in Python".to_owned())
    }
}
