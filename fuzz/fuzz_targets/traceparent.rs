//! libFuzzer around [`scouter_fuzz::traceparent`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::traceparent(data));
