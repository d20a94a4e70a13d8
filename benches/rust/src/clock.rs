//! How much processor time a piece of work takes.

use std::hint::black_box;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// What `n` operations cost, each figure in nanoseconds per operation.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Processor time of the thread that did the operations.
    pub caller_ns: f64,
    /// Processor time of all threads, until the last span was on its way.
    pub process_ns: f64,
    /// Time on the wall, until the last span was on its way.
    pub wall_ns: f64,
    /// How many operations were done in all, those of the warm-up included.
    pub made: u64,
}

/// Does `operation` `n` times after a short warm-up, then `finish` once, and measures both.
pub fn measure<T>(n: u64, mut operation: impl FnMut(u64) -> T, finish: impl FnOnce()) -> Figures {
    let warm_up = (n / 10).min(20_000);
    for i in 0..warm_up {
        black_box(operation(i));
    }
    let (wall, process, caller) = (Instant::now(), process_ns(), thread_ns());
    counted_loop(n, &mut operation);
    let caller = thread_ns() - caller;
    finish();
    let process = process_ns() - process;
    let wall = wall.elapsed().as_nanos();
    let each = |total: u64| total as f64 / n as f64;
    Figures { caller_ns: each(caller), process_ns: each(process), wall_ns: wall as f64 / n as f64, made: n + warm_up }
}

/// Does something once that is `n` operations, and measures it. All of it counts, whatever thread did it.
pub fn measure_once(n: u64, work: impl FnOnce()) -> Figures {
    let (wall, process, caller) = (Instant::now(), process_ns(), thread_ns());
    work();
    let (caller, process) = (thread_ns() - caller, process_ns() - process);
    let wall = wall.elapsed().as_nanos();
    let each = |total: u64| total as f64 / n as f64;
    Figures { caller_ns: each(caller), process_ns: each(process), wall_ns: wall as f64 / n as f64, made: n }
}

/// The operations that count. callgrind is told this name, so it stays a function of its own.
#[inline(never)]
fn counted_loop<T>(n: u64, operation: &mut impl FnMut(u64) -> T) {
    for i in 0..n {
        black_box(operation(i));
    }
}

/// The most memory this process has held so far, in KiB; zero where the system does not tell.
pub fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn thread_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn process_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
