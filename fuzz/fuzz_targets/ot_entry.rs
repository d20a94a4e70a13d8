//! libFuzzer around [`scouter_fuzz::ot_entry`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scouter_fuzz::ot_entry(data));
