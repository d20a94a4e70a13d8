//! Traces / Span events, and Traces / Span exceptions.

use std::error::Error;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use scouter_span::clock::Clock;

use crate::{Both, named, sorted, text};

#[test]
fn m048_events_have_a_name_a_time_and_attributes() {
    let both = Both::with(|builder| builder.clock(Clock::Custom(|| 50)));
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    own.add_event("now", &[("k", "v".into())]);
    own.add_event_at("then", 70, &[]);
    api.add_event("now", vec![KeyValue::new("k", "v")]);
    api.add_event_with_timestamp("then", UNIX_EPOCH + Duration::from_nanos(70), vec![]);
    drop((own, api));
    for span in both.spans() {
        let seen: Vec<_> = span.events.iter().map(|event| (event.name.as_str(), event.time_unix_nano)).collect();
        assert_eq!(seen, [("now", 50), ("then", 70)]);
        assert_eq!(sorted(&span.events[0].attributes), named(&[("k", text("v"))]));
    }
}

#[test]
fn m049_events_keep_the_order_in_which_they_were_added() {
    let both = Both::new();
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    for (name, time) in [("1", 30), ("2", 10), ("3", 20)] {
        own.add_event_at(name, time, &[]);
        api.add_event_with_timestamp(name, UNIX_EPOCH + Duration::from_nanos(time), vec![]);
    }
    drop((own, api));
    for span in both.spans() {
        assert_eq!(span.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}

#[test]
fn m050_events_are_safe_for_concurrent_calls() {
    let both = Both::new();
    let context = Context::new().with_span(both.api.start("x"));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let context = &context;
            scope.spawn(move || {
                for number in 0..10 {
                    context.span().add_event(format!("{thread}"), vec![KeyValue::new("number", number)]);
                }
            });
        }
    });
    drop(context);
    let events = &both.spans()[0].events;
    assert_eq!(events.len(), 80);
    for thread in 0..8 {
        let own = events.iter().filter(|event| event.name == thread.to_string());
        let numbers: Vec<_> = own.map(|event| format!("{:?}", event.attributes[0].value)).collect();
        assert!(numbers.is_sorted(), "each thread's events are in its order");
    }
}

#[test]
fn m051_errors_are_recorded_as_events() {
    let both = Both::new();
    let error = io::Error::other("disk on fire");
    both.own().span("own").start().record_error(&error, &[]);
    both.own().span("any").start().record_error::<dyn Error>(&error, &[]);
    both.api.start("api").record_error(&error);
    let message = ("exception.message", text("disk on fire"));
    let expected = [
        named(&[message.clone(), ("exception.type", text("std::io::error::Error"))]),
        named(std::slice::from_ref(&message)),
        named(&[message]),
    ];
    for (span, expected) in both.spans().iter().zip(expected) {
        assert_eq!((span.events.len(), span.events[0].name.as_str()), (1, "exception"));
        assert_eq!(sorted(&span.events[0].attributes), expected, "{}", span.name);
        assert!(span.status.is_none());
    }
}

#[test]
fn m052_attributes_given_with_an_error_stand_above_its_own() {
    let both = Both::new();
    let mut span = both.own().span("own").start();
    let given = [("exception.message", "hidden".into()), ("attempt", 3.into()), ("exception.type", "Disk".into())];
    span.record_error(&io::Error::other("disk on fire"), &given);
    span.end();
    span.record_error(&io::Error::other("too late"), &[]);
    let span = &both.spans()[0];
    let seen: Vec<_> = span.events[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(seen, ["exception.type", "exception.message", "attempt"]);
    assert_eq!(
        sorted(&span.events[0].attributes)[1..],
        named(&[("exception.message", text("hidden")), ("exception.type", text("Disk"))])
    );
    assert_eq!(span.events.len(), 1);
}
