//! Context: the API's own, with our span contexts and baggage in it.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

use crate::{active, arrived, found, local};

#[derive(Debug, PartialEq)]
struct Tenant(&'static str);

#[derive(Debug, PartialEq)]
struct Shard(u8);

#[test]
fn m074_a_key_of_a_context_is_a_type() {
    // Two types are two keys, whatever they are called and hold.
    let context = Context::new().with_value(Tenant("a")).with_value(Shard(1));
    assert_eq!((context.get::<Tenant>(), context.get::<Shard>()), (Some(&Tenant("a")), Some(&Shard(1))));
}

#[test]
fn m075_values_are_got_from_a_context() {
    let context = active(&local()).with_value(Tenant("a"));
    assert_eq!((context.get::<Tenant>(), context.get::<Shard>()), (Some(&Tenant("a")), None));
    assert_eq!(found(&context), Some(arrived()).map(|span| scouter_span::SpanContext { is_remote: false, ..span }));
}

#[test]
fn m076_values_are_set_in_a_context_of_their_own() {
    let before = active(&local());
    let after = before.with_value(Tenant("a"));
    assert_eq!((before.get::<Tenant>(), after.get::<Tenant>()), (None, Some(&Tenant("a"))));
    assert_eq!(found(&after), found(&before), "the span stays");
}

#[test]
fn m077_contexts_are_attached() {
    let _attached = active(&local()).with_value(Tenant("a")).attach();
    assert_eq!(found(&Context::current()).unwrap().span_id, local().span_id);
    assert_eq!(Context::current().get::<Tenant>(), Some(&Tenant("a")));
}

#[test]
fn m078_contexts_are_detached() {
    let attached = active(&local()).attach();
    drop(attached);
    assert!(found(&Context::current()).is_none() && !Context::current().has_active_span());
}

#[test]
fn m079_the_current_context_is_that_of_the_thread() {
    let _attached = active(&local()).attach();
    assert!(found(&Context::current()).is_some());
    std::thread::scope(|scope| scope.spawn(|| assert!(found(&Context::current()).is_none())).join()).unwrap();
    Context::map_current(|current| assert_eq!(found(current).unwrap().trace_id, local().trace_id));
}
