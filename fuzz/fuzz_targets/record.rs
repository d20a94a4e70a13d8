//! libFuzzer around [`scouter_fuzz::record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::record(data));
