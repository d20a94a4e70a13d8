//! libFuzzer around [`scouter_fuzz::baggage`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::baggage(data));
