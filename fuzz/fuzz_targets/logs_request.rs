//! libFuzzer around [`scouter_fuzz::logs_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::logs_request(data));
