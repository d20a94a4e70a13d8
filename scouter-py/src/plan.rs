//! What the decorator works out once for a function, so that a call only has to do what differs from call to call.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::json::Writer;
use crate::otel::otel;
use crate::span::{Manner, Options, Phase, Span, record};
use crate::tracer::Tracer;

/// The manner in which a decorated function's span comes and goes.
const MANNER: Manner = Manner { makes_current: true, ends: true, records_exception: true, sets_status: true };

/// `inspect.Parameter.kind` as a number, and -1 for `self` and `cls`, which are not captured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hidden,
    Positional,
    Rest,
    KeywordOnly,
    Keywords,
}

struct Parameter {
    name: Py<PyString>,
    kind: Kind,
    default: Option<Py<PyAny>>,
}

/// Name, options and parameters of a decorated function.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct CallPlan {
    name: Py<PyString>,
    options: Options,
    max_length: usize,
    captures_input: bool,
    parameters: Vec<Parameter>,
}

/// Stands for "no default" in a parameter's description.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Empty;

#[pymethods]
impl CallPlan {
    #[classattr]
    #[pyo3(name = "EMPTY")]
    fn empty() -> Empty {
        Empty
    }

    /// A default or an option may refer to the function that has this plan. The function lets go of it, not the plan.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.options.traverse(&visit)?;
        self.parameters.iter().filter_map(|parameter| parameter.default.as_ref()).try_for_each(|held| visit.call(held))
    }

    #[new]
    #[expect(clippy::too_many_arguments, reason = "called once for a function, from one place")]
    fn new(
        py: Python<'_>,
        name: Py<PyString>,
        kind: Option<&Bound<'_, PyAny>>,
        attributes: Option<Py<PyAny>>,
        tags: Option<Py<PyAny>>,
        baggage: Option<Py<PyAny>>,
        label: Option<Py<PyAny>>,
        max_length: usize,
        capture_input: bool,
        parameters: Vec<(Py<PyString>, i32, Py<PyAny>)>,
    ) -> PyResult<Self> {
        let kind = match kind {
            Some(kind) => otel(py)?.kind_from(kind),
            None => scouter_span::SpanKind::Internal,
        };
        let parameters = parameters.into_iter().map(|(name, kind, default)| Parameter {
            name,
            kind: match kind {
                0 | 1 => Kind::Positional,
                2 => Kind::Rest,
                3 => Kind::KeywordOnly,
                4 => Kind::Keywords,
                _ => Kind::Hidden,
            },
            default: Some(default).filter(|default| default.bind(py).cast::<Empty>().is_err()),
        });
        let parameters = parameters.collect();
        let options = Options { kind, attributes, tags, baggage, label, ..Options::default() };
        Ok(Self { name, options, max_length, captures_input: capture_input, parameters })
    }

    /// A begun span that holds the arguments. For a `with`, which makes it current and ends it.
    fn begin(
        &self,
        tracer: &Bound<'_, Tracer>,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
    ) -> PyResult<Py<Span>> {
        let py = tracer.py();
        let (mut phase, parent_flags) = tracer.get().begin(py, self.name.bind(py), Some(&self.options), None);
        if self.captures_input
            && let Phase::Begun(span) = &mut phase
            && span.is_recording()
        {
            let mut writer = Writer::new(self.max_length);
            self.write_arguments(&mut writer, args, kwargs);
            span.set_attribute(record::INPUT, writer.finish().as_str());
        }
        let baggage = self.options.baggage.as_ref().map(|baggage| baggage.clone_ref(py));
        let span = Span::begun_with_baggage(tracer.clone().unbind(), MANNER, phase, parent_flags, baggage);
        let span = Bound::new(py, span)?;
        tracer.get().began(&span, Some(&self.options))?;
        Ok(span.unbind())
    }
}

impl CallPlan {
    /// Writes the arguments as an object of parameter names, defaults included, in the order of the signature.
    fn write_arguments(&self, writer: &mut Writer, args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>) {
        let py = args.py();
        writer.out.push("{");
        let mut first = true;
        let mut given = 0;
        for parameter in &self.parameters {
            let name = parameter.name.bind(py);
            let argument = match parameter.kind {
                Kind::Hidden => {
                    given += 1;
                    continue;
                }
                Kind::Positional if given < args.len() => {
                    given += 1;
                    args.get_item(given - 1).ok()
                }
                Kind::Positional | Kind::KeywordOnly => match kwargs.get_item(name) {
                    Ok(Some(argument)) => Some(argument),
                    _ => parameter.default.as_ref().map(|default| default.bind(py).clone()),
                },
                Kind::Rest => {
                    let rest = args.get_slice(given, args.len());
                    given = args.len();
                    Some(rest.into_any())
                }
                Kind::Keywords => self.rest_of(kwargs).ok().map(Bound::into_any),
            };
            // A call without a required argument fails by itself, in the function's own words.
            let Some(argument) = argument else { continue };
            if !std::mem::take(&mut first) {
                writer.out.push(", ");
            }
            writer.string(name);
            writer.out.push(": ");
            writer.value(&argument);
        }
        writer.out.push("}");
    }

    /// The keyword arguments that no parameter names.
    fn rest_of<'py>(&self, kwargs: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let rest = kwargs.copy()?;
        for parameter in &self.parameters {
            if matches!(parameter.kind, Kind::Positional | Kind::KeywordOnly) && rest.contains(&parameter.name)? {
                rest.del_item(&parameter.name)?;
            }
        }
        Ok(rest)
    }
}
