//! libFuzzer around [`scouter_fuzz::kafka_split`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::kafka_split(data));
