//! The program as people run it: options, signals, and what survives `kill -9`.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "store/said.rs"]
mod said;
mod support;
#[path = "store/traffic.rs"]
mod traffic;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use bytes::Bytes;
use http::{Method, Request};
use support::client::{Answer, PROTOBUF, send};
use support::request::{self, encode};

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_scouter-server"));
    program.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running program, ended with the test.
struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Program {
    /// Starts it and waits until it says that it listens.
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.strip_prefix("listening on http://").and_then(|rest| rest.trim_end().parse().ok());
        let Some(addr) = addr else {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("said {line:?} and {errors:?}");
        };
        Self { child, addr }
    }

    fn in_directory(directory: &Path) -> Self {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--directory"]).arg(directory);
        Self::start(command)
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.addr));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request.body(body.into()).unwrap()).await
    }

    async fn post(&self, body: Bytes) -> Answer {
        self.call(Method::POST, "/v1/traces", &[("content-type", PROTOBUF)], body).await
    }

    async fn metric(&self, name: &str) -> String {
        let text = self.call(Method::GET, "/metrics", &[], Bytes::new()).await.text();
        text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap().to_owned()
    }

    /// Sends it a signal and returns its exit status.
    fn end(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(args: &[&str]) -> (Output, String) {
    let output = program().args(args).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_in_order_on_either_signal() {
    for signal in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::in_directory(directory.path());
        assert_ne!(program.addr.port(), 0);
        assert_eq!(program.post(encode(&request::with_spans(2))).await.status, 200);
        assert_eq!(program.end(signal), Some(0));
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_being_killed_and_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let record = |n: i64| said::Said { uid: (n % 2 == 0).then(|| n.to_string()), ..said::Said::new(n) };
    let records = said::said(&(0..40).map(record).collect::<Vec<_>>());
    let batches: Vec<Bytes> = (0..3).map(|_| encode(&request::with_spans(50))).collect();
    for killed in 0..3 {
        let program = Program::in_directory(directory.path());
        for batch in &batches {
            assert_eq!(program.post(batch.clone()).await.status, 200);
        }
        let answer = program.call(Method::POST, "/v1/logs", &[("content-type", PROTOBUF)], records.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = program.call(Method::GET, "/api/v1/records", &[], Bytes::new()).await;
        assert_eq!(answer.json()["items"].as_array().unwrap().len(), 40);
        let duplicates = program.metric("scouter_server_records_duplicate_total").await;
        assert_eq!(duplicates, if killed == 0 { "0" } else { "40" });
        let expected = if killed == 0 { ("150", "0") } else { ("0", "150") };
        let stored = program.metric("scouter_server_spans_stored_total").await;
        let duplicates = program.metric("scouter_server_spans_duplicate_total").await;
        assert_eq!((stored.as_str(), duplicates.as_str()), expected);
        assert_eq!(program.end("-KILL"), None);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_costs_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let limited = |bytes: u32| {
        let mut command = Command::new("sh");
        // A file beyond the limit is an error, as on a full disk, instead of a signal.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_scouter-server"));
        command.args(["--listen", "127.0.0.1:0", "--directory"]).arg(directory.path());
        Program::start(command)
    };
    let record = |n: i64| said::Said { trace: Some(n as u64 % 7 + 1), ..said::Said::new(n) };
    let batch = |number: i64| said::said(&(number * 100..number * 100 + 100).map(record).collect::<Vec<_>>());
    let post = async |program: &Program, number| {
        let answer = program.call(Method::POST, "/v1/logs", &[("content-type", PROTOBUF)], batch(number)).await;
        (answer.status.as_u16(), answer.header("retry-after").to_owned())
    };
    let program = limited(512 << 10);
    let mut stored = 0;
    let refused = loop {
        match post(&program, stored).await {
            (200, _) => stored += 1,
            refused => break refused,
        }
        assert!(stored < 10_000, "the limit does not hold");
    };
    assert_eq!(refused, (503, "1".to_owned()));
    assert!(stored > 0);
    // Still there, still refusing, and what it has can be read.
    assert_eq!(post(&program, stored).await.0, 503);
    let page = program.call(Method::GET, "/api/v1/records?limit=1", &[], Bytes::new()).await;
    assert_eq!(page.json()["items"][0]["body"], stored * 100 - 1);
    assert_eq!(program.metric("scouter_server_records_rejected_total{reason=\"store_error\"}").await, "200");
    assert_eq!(program.end("-KILL"), None);
    // With room again, everything is there that was acknowledged, and nothing of what was refused.
    let program = Program::in_directory(directory.path());
    for number in 0..stored {
        assert_eq!(post(&program, number).await.0, 200);
    }
    let all = (stored * 100).to_string();
    assert_eq!(program.metric("scouter_server_records_duplicate_total").await, all);
    assert_eq!(post(&program, stored).await.0, 200);
    assert_eq!(program.metric("scouter_server_records_stored_total").await, "100");
    assert_eq!(program.end("-TERM"), Some(0));
}

#[tokio::test]
async fn settings_come_from_the_environment_too_and_tokens_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, "one\n\n two \n").unwrap();
    let mut command = program();
    command.env("SCOUTER_SERVER_LISTEN", "127.0.0.1:0").env("SCOUTER_SERVER_DIRECTORY", directory.path().join("data"));
    command.env("SCOUTER_SERVER_TOKEN_FILE", &tokens).env("SCOUTER_SERVER_MAX_REQUEST_BYTES", "1000");
    let program = Program::start(command);
    assert_eq!(program.post(Bytes::new()).await.status, 401);
    let headers = [("content-type", PROTOBUF), ("authorization", "Bearer two")];
    assert_eq!(program.call(Method::POST, "/v1/traces", &headers, Bytes::new()).await.status, 200);
    let answer = program.call(Method::POST, "/v1/traces", &headers, request::of_size(1001)).await;
    assert_eq!(answer.status, 413);
    assert!(directory.path().join("data").is_dir());
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (output, errors) = run(&["--listen", &address, "--directory", place]);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&address) && errors.contains("--listen") && errors.lines().count() == 1, "{errors}");

    let file = directory.path().join("tokens");
    let tokens = file.to_str().unwrap();
    let with_tokens = ["--listen", "127.0.0.1:0", "--directory", place, "--token-file", tokens];
    for (text, says) in [(None, "cannot be read"), (Some("\n\n"), "has no token"), (Some("ok\ns3 cret"), "line 2")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let (output, errors) = run(&with_tokens);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(says) && errors.contains(tokens) && !errors.contains("cret\n"), "{errors}");
    }

    std::fs::write(directory.path().join("file"), "").unwrap();
    let (output, errors) = run(&["--listen", "127.0.0.1:0", "--directory", &format!("{place}/file")]);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&format!("{place}/file")), "{errors}");

    let (output, errors) = run(&["--listen", "nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--listen"), "{errors}");
    let (output, _) = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("--max-request-bytes"));
}
