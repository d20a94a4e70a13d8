//! libFuzzer around [`scouter_fuzz::tracestate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::tracestate(data));
