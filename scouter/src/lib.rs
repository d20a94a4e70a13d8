//! Scouter for Rust programs: re-exports, init and a guard that flushes
