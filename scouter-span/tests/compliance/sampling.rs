//! Traces / Sampling: samplers of the user's own, and the parent-based one.

use std::sync::{Arc, Mutex};

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{Link, Span as _, SpanKind as ApiKind, TraceContextExt, Tracer as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as ApiValue};
use scouter_span::sampler::ParentBased;
use scouter_span::view::ValueView;
use scouter_span::{
    OwnedValue, Ratio, Sampler, SamplingDecision, SamplingInput, SamplingResult, ShouldSample, SpanKind, SpanLimits,
    TraceFlags, TraceState, Value,
};

use crate::plugins::asking;
use crate::{Both, named, parent, sorted, text};

#[test]
fn m053_samplers_may_modify_tracestate() {
    let both = Both::sampling(asking(|input| {
        let trace_state = match input.name {
            "add" => Some(input.trace_state().insert("mine", "1").unwrap()),
            "clear" => Some(TraceState::EMPTY),
            _ => None,
        };
        SamplingResult { trace_state, ..SamplingDecision::RecordAndSample.into() }
    }));
    let remote = parent(TraceFlags::SAMPLED, true, "vendor=1");
    let context = Context::new().with_remote_span_context((&remote).into());
    for (name, expected) in [("add", "mine=1,vendor=1"), ("clear", ""), ("keep", "vendor=1")] {
        let own = both.own().span(name).parent(Some(&remote)).start();
        assert_eq!(own.context().trace_state.as_str(), expected);
        let api = both.api.start_with_context(name, &context);
        assert_eq!(api.span_context().trace_state().header(), expected);
    }
    assert_eq!(both.own().span("add").start().context().trace_state.as_str(), "mine=1");
    let exported: Vec<_> = both.spans().into_iter().map(|span| span.trace_state).collect();
    assert_eq!(exported, ["mine=1,vendor=1", "mine=1,vendor=1", "", "", "vendor=1", "vendor=1", "mine=1"]);

    // Also of spans that are dropped: it travels on.
    let dropping = Both::sampling(asking(|input| SamplingResult {
        trace_state: Some(input.trace_state().insert("seen", "1").unwrap()),
        ..SamplingDecision::Drop.into()
    }));
    assert_eq!(dropping.own().span("x").start().context().trace_state.as_str(), "seen=1");
}

/// What a sampler was asked, in words.
fn words(input: &SamplingInput<'_>) -> String {
    let tenant = input.parent.context.map(|context| match context.downcast_ref::<Context>() {
        Some(context) => context.baggage().get("tenant").unwrap().to_string(),
        None => (*context.downcast_ref::<&str>().unwrap()).to_owned(),
    });
    let parent = input.parent.span.map(|span| span.span_id.to_int());
    let attributes = input.attributes.iter().map(|(key, value)| match value {
        Value::Encoded(content) => format!("{key}={:?}", ValueView::new(content)),
        value => format!("{key}={value:?}"),
    });
    let attributes: Vec<_> = attributes.collect();
    let links: Vec<_> = input.links.iter().map(|(to, more)| format!("{}{more:?}", to.span_id.to_int())).collect();
    let trace = input.trace_id.to_int();
    format!("{trace} {parent:?} {tenant:?} {} {:?} {attributes:?} {links:?}", input.name, input.kind)
}

#[test]
fn m054_samplers_get_the_full_parent_context() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let both = Both::sampling(asking(move |input| {
        notes.lock().unwrap().push(words(input));
        SamplingDecision::Drop.into()
    }));
    let remote = parent(TraceFlags::SAMPLED, true, "");
    let list = [Value::Str("p"), Value::Str("q")];
    both.own()
        .span("x")
        .kind(SpanKind::Server)
        .parent(Some(&remote))
        .context(&"acme")
        .attributes(&[("a", 1.into()), ("b", "two".into())])
        .links(&[(&remote, &[("l", true.into())])])
        .start();
    both.own().span("y").parent(Some(&remote)).attributes(&[("list", Value::Array(&list))]).start();
    let context =
        Context::new().with_baggage([KeyValue::new("tenant", "acme")]).with_remote_span_context((&remote).into());
    let builder = both.api.span_builder("x").with_kind(ApiKind::Server);
    let builder = builder.with_attributes([KeyValue::new("a", 1), KeyValue::new("b", "two")]);
    let link = Link::new((&remote).into(), vec![KeyValue::new("l", true)], 0);
    builder.with_links(vec![link]).start_with_context(&both.api, &context);
    let list = ApiValue::Array(Array::String(vec![StringValue::from("p"), StringValue::from("q")]));
    let listed = both.api.span_builder("y").with_attributes([KeyValue::new("list", list)]);
    listed.start_with_context(&both.api, &context);

    let seen = seen.lock().unwrap();
    let expected = r#"7 Some(8) Some("acme") x Server ["a=I64(1)", "b=Str(\"two\")"] ["8[(\"l\", Bool(true))]"]"#;
    assert_eq!((seen[0].as_str(), seen[2].as_str()), (expected, expected));
    assert_eq!(seen[1], r#"7 Some(8) None y Internal ["list=Array([Str(\"p\"), Str(\"q\")])"] []"#);
    assert_eq!(seen[3], r#"7 Some(8) Some("acme") y Internal ["list=Array([Str(\"p\"), Str(\"q\")])"] []"#);
}

#[test]
fn m055_a_sampler_may_be_steered_from_elsewhere() {
    // What Jaeger's remote sampler does: rates by operation, fetched now and then by somebody else.
    let rates: Arc<Mutex<Vec<(&str, Ratio)>>> = Arc::default();
    let fetched = Arc::clone(&rates);
    let both = Both::sampling(Sampler::parent_based(asking(move |input| {
        let rates = fetched.lock().unwrap();
        let rate = rates.iter().find(|(operation, _)| *operation == input.name);
        SamplingDecision::sampled(rate.is_none_or(|(_, ratio)| ratio.contains(input.trace_id))).into()
    })));
    assert!(both.own().span("/metrics").start().is_recording());
    rates.lock().unwrap().push(("/metrics", Ratio::new(0.0).unwrap()));
    assert!(!both.own().span("/metrics").start().is_recording() && !both.api.start("/metrics").is_recording());
    assert!(both.own().span("/product").start().is_recording());
}

#[test]
fn m058_span_limits_hold_for_what_samplers_add() {
    let both = Both::with(|builder| {
        let limits = SpanLimits { attributes: 2, attribute_value_length: 3, ..SpanLimits::default() };
        builder.limits(limits).sampler(asking(|_| SamplingResult {
            attributes: vec![("b".into(), OwnedValue::from("long")), ("c".into(), OwnedValue::from(true))],
            ..SamplingDecision::RecordAndSample.into()
        }))
    });
    both.own().span("own").attributes(&[("a", 1.into()), ("b", 2.into())]).start();
    let builder = both.api.span_builder("api").with_attributes([KeyValue::new("a", 1), KeyValue::new("b", 2)]);
    builder.start(&both.api).end();
    for span in both.spans() {
        assert_eq!(sorted(&span.attributes)[1..], named(&[("b", text("lon"))]));
        assert_eq!(span.dropped_attributes_count, 1);
    }
}

#[test]
fn samplers_that_panic_give_way_to_the_parent() {
    let both = Both::sampling(asking(|_| panic!("a sampler of the tests fails")));
    let below = |flags| both.own().span("x").parent(Some(&parent(flags, true, "a=1"))).start();
    assert!(both.own().span("root").start().is_recording());
    assert!(below(TraceFlags::SAMPLED).is_recording() && !below(TraceFlags::NONE).is_recording());
    assert!(both.api.start("api").is_recording());
    assert_eq!(both.fixture.provider.counters().plugin_failures.get(), 4);
}

#[test]
fn a_closed_provider_asks_no_sampler() {
    let both = Both::sampling(asking(|_| panic!("nobody asks")));
    both.fixture.provider.close();
    assert!(!both.own().span("x").start().is_recording() && !both.api.start("x").is_recording());
    assert_eq!(both.fixture.provider.counters().plugin_failures.get(), 0);
    assert_eq!(both.fixture.provider.counters().sampled_out.get(), 2);
}

#[test]
fn every_kind_of_parent_has_its_sampler() {
    let named = |name: &'static str| {
        asking(move |_| SamplingResult {
            attributes: vec![("by".into(), name.into())],
            ..SamplingDecision::RecordAndSample.into()
        })
    };
    let samplers = ParentBased {
        root: named("root"),
        remote_sampled: named("remote sampled"),
        remote_not_sampled: named("remote not sampled"),
        local_sampled: named("local sampled"),
        local_not_sampled: named("local not sampled"),
    };
    let both = Both::sampling(Sampler::ParentBased(Box::new(samplers)));
    both.own().span("x").start();
    for (remote, flags) in [(true, 1), (true, 0), (false, 1), (false, 0)] {
        let parent = parent(TraceFlags::from_bits(flags), remote, "");
        both.own().span("x").parent(Some(&parent)).start();
    }
    let by = ["root", "remote sampled", "remote not sampled", "local sampled", "local not sampled"];
    let seen: Vec<_> = both.spans().iter().map(|span| sorted(&span.attributes)).collect();
    assert_eq!(seen, by.map(|name| crate::named(&[("by", text(name))])));

    // By default the parent's flag decides, and where nothing has to be asked nothing is.
    let defaults = Both::sampling(Sampler::parent_based(Sampler::AlwaysOff));
    for (remote, flags) in [(true, 1), (true, 0), (false, 1), (false, 0)] {
        let parent = parent(TraceFlags::from_bits(flags), remote, "");
        assert_eq!(defaults.own().span("x").parent(Some(&parent)).start().is_recording(), flags == 1);
    }
    assert!(!defaults.own().span("x").start().is_recording());
}

#[test]
fn samplers_describe_themselves_as_specified() {
    let describe = |sampler: Sampler| sampler.description();
    assert_eq!(describe(Sampler::AlwaysOn), "AlwaysOnSampler");
    assert_eq!(describe(Sampler::AlwaysOff), "AlwaysOffSampler");
    assert_eq!(describe(Sampler::TraceIdRatio(Ratio::new(0.0001).unwrap())), "TraceIdRatioBased{0.0001}");
    assert_eq!(
        describe(Sampler::parent_based(asking(|_| SamplingDecision::Drop.into()))),
        "ParentBased{root:Asked,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
         localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"
    );
    let both = Both::sampling(Sampler::ratio(Ratio::new(0.25).unwrap()));
    assert!(both.fixture.provider.sampler().description().starts_with("ParentBased{root:TraceIdRatioBased{0.25},"));
}
