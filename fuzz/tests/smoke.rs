//! Every target over generated inputs, on any toolchain; libFuzzer goes on from there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use scouter_fuzz::{Inputs, TARGETS};

/// How many inputs each target is given.
const COUNT: usize = 200_000;

#[test]
fn no_target_breaks_a_promise() {
    for target in TARGETS {
        let mut inputs = Inputs::new(*target, 1);
        for seed in target.seeds {
            (target.run)(seed);
        }
        for number in 0..COUNT {
            let input = inputs.generate();
            let run = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
            assert!(run.is_ok(), "{}: input {number}: b\"{}\"", target.name, input.escape_ascii());
        }
    }
}
