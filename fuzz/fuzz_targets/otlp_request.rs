//! libFuzzer around [`scouter_fuzz::otlp_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::otlp_request(data));
