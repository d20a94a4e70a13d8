//! Environment variables as carriers.

use std::process::Command;

use scouter_propagation::baggage::Entry;
use scouter_propagation::{Baggage, BaggagePropagator, Environment, TraceContext};

use crate::{PARENT, arrived, local};

#[test]
fn m092_processes_carry_contexts_in_their_environment() {
    let mut environment: Environment = [("PATH", "/bin"), ("TRACEPARENT", "of our own parent")].into_iter().collect();
    TraceContext.inject(&local(), &mut environment);
    let mut baggage = Baggage::new();
    baggage.insert(Entry::new("tenant", "a b").unwrap()).unwrap();
    BaggagePropagator.inject(&baggage, &mut environment);
    let expected = [("BAGGAGE", "tenant=a%20b"), ("PATH", "/bin"), ("TRACEPARENT", PARENT), ("TRACESTATE", "a=1,b=2")];
    assert_eq!(environment.iter().collect::<Vec<_>>(), expected);

    // What a process that is started so finds.
    let started = Command::new("env").env_clear().envs(environment).output().unwrap();
    let lines = String::from_utf8(started.stdout).unwrap();
    let theirs: Environment = lines.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(TraceContext.extract(&theirs), Some(arrived()));
    assert_eq!(BaggagePropagator.extract(&theirs), baggage);
    assert_eq!(TraceContext.extract(&Environment::new()), None);
}
