//! Propagators and carriers.

use std::cell::RefCell;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{self, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, global};
use scouter_propagation::{BaggagePropagator, Extractor, Injector, TraceContext};
use scouter_span::SpanContext;

use crate::{Headers, PARENT, active, arrived, found, local};

fn composite() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![Box::new(TraceContext), Box::new(BaggagePropagator)])
}

#[test]
fn m080_propagators_are_composed() {
    let mut carrier = Headers::new();
    composite().inject_context(&active(&local()).with_baggage([KeyValue::new("k", "v")]), &mut carrier);
    assert_eq!(carrier.len(), 3);
    let context = composite().extract_with_context(&Context::new(), &carrier);
    assert_eq!(found(&context), Some(arrived()));
    assert_eq!(context.baggage().get("k").unwrap().as_str(), "v");
}

#[test]
fn m081_the_global_propagator_is_whichever_was_set() {
    global::set_text_map_propagator(composite());
    let mut carrier = Headers::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&active(&local()), &mut carrier));
    assert_eq!(carrier["traceparent"], PARENT);
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&carrier));
    assert_eq!(found(&context), Some(arrived()));
}

#[test]
fn m082_trace_context_is_carried_as_w3c_has_it() {
    let (mut own, mut api) = (Headers::new(), Headers::new());
    TraceContext.inject(&local(), &mut own);
    TraceContext.inject_context(&active(&local()), &mut api);
    assert_eq!(
        own,
        Headers::from([("traceparent", PARENT), ("tracestate", "a=1,b=2")].map(|(k, v)| (k.into(), v.into())))
    );
    assert_eq!(api, own);
    assert_eq!(TraceContext.extract(&own), Some(arrived()));
    assert_eq!(found(&TraceContext.extract_with_context(&Context::new(), &own)), Some(arrived()));

    // What is invalid is not there, and leaves what was in the context.
    for bad in ["", "00", "00-0", &PARENT.to_uppercase(), &PARENT.replacen("00", "ff", 1)] {
        let carrier = Headers::from([("traceparent".to_owned(), bad.to_owned())]);
        assert_eq!(TraceContext.extract(&carrier), None, "{bad}");
        let before = active(&local());
        assert_eq!(found(&TraceContext.extract_with_context(&before, &carrier)), found(&before));
    }
    let mut nothing = Headers::new();
    TraceContext.inject_context(&Context::new(), &mut nothing);
    assert!(nothing.is_empty());
}

/// The fields of a carrier of the API, in any container.
#[derive(Debug, Default)]
struct Lines(Vec<String>, RefCell<Vec<String>>);

impl propagation::Injector for Lines {
    fn set(&mut self, key: &str, value: String) {
        self.0.push(format!("{key}: {value}"));
    }
}

impl propagation::Extractor for Lines {
    fn get(&self, key: &str) -> Option<&str> {
        self.1.borrow_mut().push(format!("get {key}"));
        self.0.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().filter_map(|line| line.split(':').next()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        self.1.borrow_mut().push(format!("all {key}"));
        let all: Vec<_> = self.0.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect();
        (!all.is_empty()).then_some(all)
    }
}

#[test]
fn m087_propagators_take_any_carrier_of_texts() {
    let mut lines = Lines::default();
    composite().inject_context(&active(&local()), &mut lines);
    assert_eq!(lines.0, [format!("traceparent: {PARENT}"), "tracestate: a=1,b=2".to_owned()]);
    assert_eq!(found(&composite().extract_with_context(&Context::new(), &lines)), Some(arrived()));
    // In and out of the current context, where none is given.
    let attached = active(&local()).attach();
    let mut again = Lines::default();
    composite().inject(&mut again);
    drop(attached);
    assert_eq!(again.0, lines.0);
    assert!(!Context::current().has_active_span() && composite().extract(&lines).has_active_span());
}

#[test]
fn m088_propagators_say_which_fields_they_use() {
    assert_eq!(TraceContext::FIELDS, ["traceparent", "tracestate"]);
    assert_eq!(TextMapPropagator::fields(&TraceContext).collect::<Vec<_>>(), TraceContext::FIELDS);
    assert_eq!(TextMapPropagator::fields(&BaggagePropagator).collect::<Vec<_>>(), ["baggage"]);
    let mut all: Vec<_> = composite().fields().map(str::to_owned).collect();
    all.sort();
    assert_eq!(all, ["baggage", "traceparent", "tracestate"]);
}

#[test]
fn m089_the_setter_is_the_carrier_s_own() {
    /// Keeps names as they are sent, and values by their length only.
    #[derive(Default)]
    struct Lengths(Vec<(String, usize)>);
    impl Injector for Lengths {
        fn set(&mut self, name: &str, value: &str) {
            self.0.push((name.to_owned(), value.len()));
        }
    }
    let mut lengths = Lengths::default();
    TraceContext.inject(&local(), &mut lengths);
    assert_eq!(lengths.0, [("traceparent".to_owned(), 55), ("tracestate".to_owned(), 7)]);
    let mut headers = vec![("TraceParent".to_owned(), "old".to_owned())];
    TraceContext.inject(&SpanContext { trace_state: scouter_span::TraceState::EMPTY, ..local() }, &mut headers);
    assert_eq!(headers, [("traceparent".to_owned(), PARENT.to_owned())]);
}

#[test]
fn m090_the_getter_is_the_carrier_s_own() {
    let pairs = [("TRACEPARENT", PARENT), ("tracestate", "a=1"), ("TraceState", "b=2")];
    assert_eq!(TraceContext.extract(&pairs[..]), Some(arrived()), "names in any case, all values");
    let lines =
        Lines(pairs.map(|(name, value)| format!("{}: {value}", name.to_lowercase())).to_vec(), RefCell::default());
    assert_eq!(found(&TraceContext.extract_with_context(&Context::new(), &lines)), Some(arrived()));
    assert_eq!(*lines.1.borrow(), ["all traceparent", "all tracestate"]);
}

#[test]
fn m091_the_getter_knows_all_keys() {
    let pairs = [("TraceParent", PARENT), ("x", "1")];
    assert_eq!(Extractor::keys(&pairs[..]).collect::<Vec<_>>(), ["TraceParent", "x"]);
    let map: Headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut keys: Vec<_> = Extractor::keys(&map).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["TraceParent", "x"]);
}
