//! Traces / Span attributes, and the limits of attributes.

use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry::{Array, KeyValue, StringValue, Value as ApiValue};
use opentelemetry_proto::tonic::common::v1::any_value::Value as V;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use scouter_span::{SpanLimits, Value};

use crate::{Both, named, sorted, text};

/// Sets an attribute through both faces; both must export this.
fn assert_both(own: Value<'_>, api: ApiValue, expected: V) {
    let both = Both::new();
    both.own().span("own").start().set_attribute("key", own);
    both.api.start("api").set_attribute(KeyValue::new("key", api));
    both.own().span("own").attributes(&[("key", own)]).start();
    for span in both.spans() {
        assert_eq!(sorted(&span.attributes), named(&[("key", expected.clone())]), "{}", span.name);
    }
    assert_eq!(both.spans().len(), 3);
}

fn array(values: Vec<V>) -> V {
    V::ArrayValue(ArrayValue { values: values.into_iter().map(|value| AnyValue { value: Some(value) }).collect() })
}

#[test]
fn m037_setting_an_attribute_again_replaces_it() {
    let both = Both::new();
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    for value in ["old", "new"] {
        own.set_attribute("key", value);
        api.set_attribute(KeyValue::new("key", value));
    }
    drop((own, api));
    assert!(both.spans().iter().all(|span| sorted(&span.attributes) == named(&[("key", text("new"))])));
}

#[test]
fn m038_values_are_texts() {
    assert_both("some".into(), "some".into(), text("some"));
    assert_both("".into(), "".into(), text(""));
}

#[test]
fn m039_values_are_booleans() {
    assert_both(true.into(), true.into(), V::BoolValue(true));
    assert_both(false.into(), false.into(), V::BoolValue(false));
}

#[test]
fn m040_values_are_doubles() {
    for value in [0.0, -0.5, f64::MAX, f64::INFINITY] {
        assert_both(value.into(), value.into(), V::DoubleValue(value));
    }
}

#[test]
fn m041_values_are_signed_integers_of_64_bits() {
    for value in [0, -1, i64::MIN, i64::MAX] {
        assert_both(value.into(), value.into(), V::IntValue(value));
    }
}

#[test]
fn m042_values_are_lists_of_one_kind() {
    let api = |array: Array| ApiValue::Array(array);
    assert_both(
        Value::Array(&[Value::Str("é"), Value::Str("")]),
        api(vec![StringValue::from("é"), StringValue::from("")].into()),
        array(vec![text("é"), text("")]),
    );
    let bools = [Value::Bool(true), Value::Bool(false)];
    assert_both(
        Value::Array(&bools),
        api(vec![true, false].into()),
        array(vec![V::BoolValue(true), V::BoolValue(false)]),
    );
    let doubles = [Value::F64(0.5)];
    assert_both(Value::Array(&doubles), api(vec![0.5].into()), array(vec![V::DoubleValue(0.5)]));
    let ints = [Value::I64(1), Value::I64(-1)];
    assert_both(Value::Array(&ints), api(vec![1_i64, -1].into()), array(vec![V::IntValue(1), V::IntValue(-1)]));
    assert_both(Value::Array(&[]), api(Vec::<i64>::new().into()), array(vec![]));
}

#[test]
fn m043_null_is_documented_as_not_valid() {
    let documentation = include_str!("../../src/value.rs");
    assert!(
        documentation.contains("`null` is not valid in OpenTelemetry, and what a receiver makes of it is undefined")
    );
}

#[test]
fn m044_keys_and_texts_are_unicode() {
    let both = Both::new();
    let (key, value) = ("клю́ч 🔑", "значение 雪 🎿\u{0}");
    both.own().span("own").start().set_attribute(key, value);
    both.api.start("api").set_attribute(KeyValue::new(key, value));
    assert!(both.spans().iter().all(|span| sorted(&span.attributes) == named(&[(key, text(value))])));
}

#[test]
fn m060_attributes_have_limits() {
    let limits = SpanLimits { attributes: 2, attribute_value_length: 3, ..SpanLimits::default() };
    let both = Both::with(|builder| builder.limits(limits));
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    own.set_attribute("text", "grüße");
    own.set_attribute("list", Value::Array(&[Value::Str("grüße")]));
    own.set_attribute("beyond", 1);
    own.set_attribute("text", "schöne");
    api.set_attribute(KeyValue::new("text", "grüße"));
    api.set_attribute(KeyValue::new("list", ApiValue::Array(vec![StringValue::from("grüße")].into())));
    api.set_attribute(KeyValue::new("beyond", 1));
    api.set_attribute(KeyValue::new("text", "schöne"));
    drop((own, api));
    for span in both.spans() {
        assert_eq!(sorted(&span.attributes), named(&[("list", array(vec![text("grü")])), ("text", text("sch"))]));
        assert_eq!(span.dropped_attributes_count, 1);
    }
    let unlimited = Both::new();
    unlimited.own().span("own").start().set_attribute("long", &"x".repeat(100_000));
    assert_eq!(sorted(&unlimited.spans()[0].attributes), named(&[("long", text(&"x".repeat(100_000)))]));
}
