//! Traces / Sampling: samplers put together from parts.

use std::sync::Arc;

use scouter_span::sampler::composite::{
    AlwaysOff, AlwaysOn, Annotating, Composable, ParentThreshold, Predicate, Probability, RuleBased, SamplingIntent,
};
use scouter_span::sampler::{SamplingInput, Threshold};
use scouter_span::{OwnedValue, Ratio, Sampler, ShouldSample, Span, SpanContext, SpanKind, TraceFlags, TraceId};

use crate::{Both, named, parent, sorted, text};

fn half() -> Probability {
    Probability(Ratio::new(0.5).unwrap())
}

/// A span below a parent of this randomness, whether it is recorded and its trace state.
fn below(both: &Both, randomness: u64, flags: TraceFlags, state: &str) -> (bool, String) {
    let trace_id = TraceId::from_int(1 << 100 | u128::from(randomness)).unwrap();
    let parent = SpanContext { trace_id, ..parent(flags, true, state) };
    outcome(&both.own().span("x").parent(Some(&parent)).start())
}

fn outcome(span: &Span) -> (bool, String) {
    (span.is_recording(), span.context().trace_state.to_string())
}

const LOW: u64 = 0x10_0000_0000_0000;
const HIGH: u64 = 0xf0_0000_0000_0000;

#[test]
fn m063_composable_samplers_make_one_decision() {
    // The specification's example: rules for roots, and children follow their parents.
    let rules = RuleBased::new(vec![
        (Predicate::name("health"), Arc::new(AlwaysOff)),
        (Predicate::attribute("url.path", |path| path == "/checkout"), Arc::new(AlwaysOn)),
        (Predicate::any(), Arc::new(half())),
    ]);
    let annotating = Annotating::new(vec![("by".into(), OwnedValue::from("rules"))], rules);
    let both = Both::sampling(Sampler::composite(ParentThreshold::new(annotating)));
    assert_eq!(outcome(&both.own().span("health").start()), (false, String::new()));
    let checkout = both.own().span("x").attributes(&[("url.path", "/checkout".into())]).start();
    assert_eq!(outcome(&checkout), (true, "ot=th:0".into()));
    drop(checkout);
    assert_eq!(sorted(&both.spans()[0].attributes), named(&[("by", text("rules")), ("url.path", text("/checkout"))]));
    for _ in 0..50 {
        let root = both.own().span("x").start();
        let expected = Ratio::new(0.5).unwrap().contains(root.context().trace_id);
        assert_eq!(outcome(&root), (expected, if expected { "ot=th:8".into() } else { String::new() }));
        let child = both.own().span("child").parent(Some(root.context())).start();
        assert_eq!(outcome(&child), outcome(&root));
    }
}

#[test]
fn always_on_and_always_off_know_no_parents() {
    let on = Both::sampling(Sampler::composite(AlwaysOn));
    assert_eq!(below(&on, LOW, TraceFlags::NONE, "ot=th:c"), (true, "ot=th:0".into()));
    let off = Both::sampling(Sampler::composite(AlwaysOff));
    assert_eq!(below(&off, HIGH, TraceFlags::SAMPLED, "v=1,ot=a:b;th:c"), (false, "ot=a:b,v=1".into()));
}

#[test]
fn a_probability_is_a_threshold() {
    let both = Both::sampling(Sampler::composite(half()));
    assert_eq!(below(&both, HIGH, TraceFlags::NONE, ""), (true, "ot=th:8".into()));
    assert_eq!(below(&both, LOW, TraceFlags::SAMPLED, "ot=th:0"), (false, String::new()));
    let none = Both::sampling(Sampler::composite(Probability(Ratio::new(0.0).unwrap())));
    assert_eq!(below(&none, HIGH, TraceFlags::SAMPLED, ""), (false, String::new()));
}

#[test]
fn children_follow_their_parent_s_threshold() {
    let both = Both::sampling(Sampler::composite(ParentThreshold::new(AlwaysOff)));
    let (on, off) = (TraceFlags::SAMPLED, TraceFlags::NONE);
    // The parent's threshold, and what it said about itself.
    assert_eq!(below(&both, HIGH, on, "ot=th:c"), (true, "ot=th:c".into()));
    assert_eq!(below(&both, LOW, off, "ot=th:c"), (false, String::new()));
    assert_eq!(below(&both, LOW, on, "ot=th:c;rv:f0000000000000"), (true, "ot=th:c;rv:f0000000000000".into()));
    // Without one its flag counts, and spans cannot be counted by it.
    assert_eq!(below(&both, LOW, on, ""), (true, String::new()));
    assert_eq!(below(&both, HIGH, off, ""), (false, String::new()));
    // One that contradicts the flag is erased.
    assert_eq!(below(&both, LOW, on, "ot=th:c"), (true, String::new()));
    assert_eq!(below(&both, HIGH, off, "ot=th:c"), (false, String::new()));
    assert_eq!(outcome(&both.own().span("root").start()), (false, String::new()));
}

#[test]
fn the_first_rule_that_fits_counts() {
    let rules = RuleBased::new(vec![
        (Predicate::root().and(Predicate::kind(SpanKind::Server)), Arc::new(AlwaysOn) as Arc<dyn Composable>),
        (Predicate::remote_parent(), Arc::new(AlwaysOff)),
        (Predicate::local_parent(), Arc::new(AlwaysOn)),
        (Predicate::attribute("n", |text| text == "4"), Arc::new(AlwaysOn)),
        (Predicate::new("begins with a", |input| input.name.starts_with('a')), Arc::new(AlwaysOn)),
    ]);
    let both = Both::sampling(Sampler::composite(rules));
    let own = both.own();
    let recorded = |span: Span| span.is_recording();
    assert!(recorded(own.span("x").kind(SpanKind::Server).start()));
    assert!(!recorded(own.span("x").start()), "no rule fits");
    assert!(recorded(own.span("abc").start()));
    assert!(recorded(own.span("x").attributes(&[("n", 3.into()), ("n", 4.into())]).start()));
    assert!(!recorded(own.span("x").attributes(&[("n", 4.into()), ("n", 3.into())]).start()));
    assert!(!recorded(own.span("abc").parent(Some(&parent(TraceFlags::SAMPLED, true, ""))).start()));
    assert!(recorded(own.span("x").parent(Some(&parent(TraceFlags::NONE, false, ""))).start()));
}

#[test]
fn parts_of_the_user_s_own_may_change_the_trace_state_but_not_the_randomness() {
    #[derive(Debug)]
    struct Own;
    impl Composable for Own {
        fn intent(&self, _input: &SamplingInput<'_>) -> SamplingIntent<'_> {
            SamplingIntent {
                trace_state: Some(Box::new(|state| state.insert("own", "1").unwrap())),
                ..SamplingIntent::reliable(Threshold::parse("8").unwrap())
            }
        }

        fn description(&self) -> String {
            "Own".into()
        }
    }
    let both = Both::sampling(Sampler::composite(Own));
    let expected = (true, "ot=th:8;rv:f0000000000000,own=1,v=1".to_owned());
    assert_eq!(below(&both, LOW, TraceFlags::NONE, "v=1,ot=rv:f0000000000000"), expected);
    assert_eq!(below(&both, LOW, TraceFlags::NONE, "v=1"), (false, "own=1,v=1".into()));
}

#[test]
fn composites_describe_their_parts() {
    let rules = RuleBased::new(vec![(Predicate::root(), Arc::new(AlwaysOn)), (Predicate::any(), Arc::new(AlwaysOff))]);
    let sampler = Sampler::composite(ParentThreshold::new(Annotating::new(vec![("a".into(), true.into())], rules)));
    assert_eq!(
        sampler.description(),
        "CompositeSampler{ComposableParentThreshold{root:ComposableAnnotating{a,\
         ComposableRuleBased{root:ComposableAlwaysOn,any:ComposableAlwaysOff}}}}"
    );
    assert_eq!(Sampler::composite(half()).description(), "CompositeSampler{ComposableProbability{0.5}}");
}
