//! Accepts OTLP over HTTP, counts the spans, keeps nothing.
//!
//! Prints its port on the first line. `GET /totals` answers `{"requests":…,"spans":…,"bytes":…}`. It ends when its
//! standard input does, and prints the totals once more.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use flate2::read::GzDecoder;
use scouter_benches::otlp::count_spans;

#[derive(Debug, Default)]
struct Totals {
    requests: AtomicU64,
    spans: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Head {
    is_post: bool,
    path: String,
    length: Option<usize>,
    gzip: bool,
    close: bool,
    expects_continue: bool,
}

impl Totals {
    fn json(&self) -> String {
        let [requests, spans, bytes] =
            [&self.requests, &self.spans, &self.bytes].map(|total| total.load(Ordering::SeqCst));
        format!(r#"{{"requests":{requests},"spans":{spans},"bytes":{bytes}}}"#)
    }

    /// The status of the answer to this body.
    fn take(&self, head: &Head, body: &[u8]) -> io::Result<&'static str> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(body.len() as u64, Ordering::SeqCst);
        let plain;
        let message = if head.gzip {
            let mut unpacked = Vec::new();
            GzDecoder::new(body).read_to_end(&mut unpacked)?;
            plain = unpacked;
            &plain[..]
        } else {
            body
        };
        match count_spans(message) {
            Some(spans) => {
                self.spans.fetch_add(spans, Ordering::SeqCst);
                Ok("200 OK")
            }
            None => Ok("400 Bad Request"),
        }
    }
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let totals = Arc::new(Totals::default());
    println!("{}", listener.local_addr()?.port());
    let accepting = Arc::clone(&totals);
    thread::Builder::new().name("accept".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let totals = Arc::clone(&accepting);
            let served = thread::Builder::new().name("serve".to_owned()).spawn(move || serve(&stream, &totals));
            if let Err(error) = served {
                eprintln!("no thread for a connection: {error}");
            }
        }
    })?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    println!("{}", totals.json());
    Ok(())
}

/// Answers the requests of one connection until the other end closes it.
fn serve(stream: &TcpStream, totals: &Totals) {
    if let Err(error) = answer_all(stream, totals) {
        eprintln!("a connection ended: {error}");
    }
}

fn answer_all(stream: &TcpStream, totals: &Totals) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut body = Vec::new();
    while let Some(head) = read_head(&mut reader)? {
        let mut writer = stream;
        if head.expects_continue {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (status, answer) = match (head.is_post, head.length) {
            (true, Some(length)) => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
                (totals.take(&head, &body)?, String::new())
            }
            (true, None) => ("411 Length Required", String::new()),
            (false, _) if head.path == "/totals" => ("200 OK", totals.json()),
            (false, _) => ("404 Not Found", String::new()),
        };
        let kind = if head.is_post { "application/x-protobuf" } else { "application/json" };
        write!(
            writer,
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
        if head.close || status.starts_with("411") {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request's line and headers, or nothing when the connection is at its end.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let is_post = words.next() == Some("POST");
    let mut head = Head { is_post, path: words.next().unwrap_or_default().to_owned(), ..Head::default() };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some(head));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.parse().ok(),
            "content-encoding" => head.gzip = value.eq_ignore_ascii_case("gzip"),
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
            _ => {}
        }
    }
}
