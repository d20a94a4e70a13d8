//! A real Scouter server in a process of its own, for tests that kill it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server. Dropping it kills it.
///
/// Every method panics when the server does not do what is asked: the test has failed.
#[derive(Debug)]
pub struct Server {
    program: String,
    directory: PathBuf,
    settings: Vec<(String, String)>,
    address: String,
    child: Child,
}

impl Server {
    /// Starts the program, `env!("CARGO_BIN_EXE_tests-server")` in a test of this crate, on a free port, with its data in the
    /// directory and these variables, `SCOUTER_SERVER_…`, in its environment.
    #[must_use]
    pub fn start<N: Into<String>, V: Into<String>>(
        program: &str,
        directory: &Path,
        settings: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let settings: Vec<_> = settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (child, address) = run(program, directory, &settings, "127.0.0.1:0");
        Self { program: program.to_owned(), directory: directory.to_owned(), settings, address, child }
    }

    /// Where it listens, the same over its whole life: `127.0.0.1:8000`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same with the scheme, as clients want it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it with SIGKILL.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(ended.is_ok(), "the server cannot be killed: {ended:?}");
    }

    /// Ends it in order, with SIGTERM, and waits for that.
    ///
    /// # Panics
    ///
    /// When it ends in another way.
    pub fn stop(&mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(told.is_ok_and(|told| told.success()), "the server cannot be told to end");
        let ended = self.child.wait();
        assert!(ended.as_ref().is_ok_and(|ended| ended.success()), "the server did not end in order: {ended:?}");
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same address and data; answers when it does.
    pub fn restart(&mut self) {
        (self.child, self.address) = run(&self.program, &self.directory, &self.settings, &self.address);
    }

    /// The sum of the counters of this name in `/metrics`, over all labels; 0 when there is none.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        let asked = TcpStream::connect(&self.address).and_then(|mut stream| {
            write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)?;
            stream.read_to_string(&mut text)
        });
        assert!(asked.is_ok(), "the server does not tell its metrics: {asked:?}");
        sum(&text, name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the server and waits for the line that says where it listens.
fn run(program: &str, directory: &Path, settings: &[(String, String)], listen: &str) -> (Child, String) {
    let mut command = Command::new(program);
    command.args(["--listen", listen, "--directory"]).arg(directory);
    command.envs(settings.iter().map(|(name, value)| (name, value))).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{program} does not start: {error}"),
    };
    let mut line = String::new();
    let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
        drop(child.kill());
        panic!("the server said {line:?} ({read:?}) instead of where it listens, see above for the reason");
    };
    (child, address.to_owned())
}

/// The sum of all samples of a metric in the text format of Prometheus.
fn sum(text: &str, name: &str) -> u64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value =
            rest.strip_prefix(' ').or_else(|| rest.strip_prefix('{')?.split_once("} ").map(|(_, value)| value))?;
        value.parse::<u64>().ok()
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_of_a_metric_are_added_up_over_labels_and_others_are_left_alone() {
        let text = "# TYPE spans counter\nspans 3\nspans{a=\"b\",c=\"} 9\"} 4\nspans_more 8\nmy_spans 5\n";
        assert_eq!(sum(text, "spans_more"), 8);
        assert_eq!(sum(text, "my_spans"), 5);
        assert_eq!(sum(text, "none"), 0);
        assert_eq!(sum("spans 3\nspans{a=\"b\"} 4\n", "spans"), 7);
    }
}
