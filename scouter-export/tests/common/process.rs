//! Tests that fork, in processes of their own because a test harness has threads of its own.

use std::ffi::OsStr;
use std::process::Command;

/// Runs this test again, alone in a process that finds `value` under the name `variable`.
pub(crate) fn alone(test: &str, variable: &str, value: impl AsRef<OsStr>) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(variable, value);
    let output = again.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// In a child: leaves without running what the parent has set up for its own end.
#[expect(unsafe_code, reason = "forking is what is tested")]
pub(crate) fn in_child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: what the child does is what this test is about: no lock of the parent's threads may matter to it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    assert!(child > 0);
    child
}

#[expect(unsafe_code, reason = "waiting for what was forked")]
pub(crate) fn join(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
}
