//! One row of the Rust benchmarks for one peer, in a process of its own; prints its figures as one JSON object.
//!
//! ```text
//! rows ROW PEER N [ENDPOINT]
//! ```
//!
//! `ENDPOINT` is the sink's address, such as `http://127.0.0.1:4318`, or the broker's, for rows that send.

mod brokers;
mod fastrace;
mod opentelemetry;
mod ours;
mod records;

use std::process::ExitCode;

use scouter_benches::clock::{Figures, peak_memory_kib};

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// A root span with ten attributes and an event, recorded, ended and handed over; nothing is sent.
    Span,
    /// A root span that the sampler drops.
    Unsampled,
    /// A `traceparent` header to a span context.
    Parse,
    /// A span context to a `traceparent` header.
    Format,
    /// The spans of `Span`, until all of them were answered by the sink.
    Pipeline,
    /// The same to two destinations, each of which gets all of them.
    Second,
    /// The same as `Pipeline`, compressed.
    Gzip,
    /// A record of five metrics inserted beside a span, and handed over; nothing is sent.
    Record,
    /// Batches of spans into Kafka, a message for each trace, until all were acknowledged.
    Kafka,
    /// Batches of spans into a queue of RabbitMQ, until all were confirmed.
    RabbitMq,
}

impl Row {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "span" => Self::Span,
            "unsampled" => Self::Unsampled,
            "parse" => Self::Parse,
            "format" => Self::Format,
            "pipeline" => Self::Pipeline,
            "second" => Self::Second,
            "gzip" => Self::Gzip,
            "record" => Self::Record,
            "kafka" => Self::Kafka,
            "rabbitmq" => Self::RabbitMq,
            _ => return None,
        })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (row, peer, n, endpoint) = match words[..] {
        [row, peer, n] => (row, peer, n, ""),
        [row, peer, n, endpoint] => (row, peer, n, endpoint),
        _ => return complain("usage: rows ROW PEER N [ENDPOINT]"),
    };
    let (Some(row_kind), Ok(count)) = (Row::named(row), n.parse::<u64>()) else {
        return complain(
            "ROW is span, unsampled, parse, format, pipeline, second, gzip, record, kafka or rabbitmq; N is a number",
        );
    };
    let figures = match peer {
        "ours" | "rdkafka" | "lapin" if matches!(row_kind, Row::Kafka | Row::RabbitMq) => {
            let figures = brokers::run(row_kind, peer, count, endpoint);
            brokers::tidy(row_kind, endpoint).and(figures)
        }
        "ours" => ours::run(row_kind, count, endpoint),
        "ours-api" => ours::run_through_api(row_kind, count),
        // What the rows about more than the plain pipeline are compared with.
        "ours-plain" => ours::run(Row::Pipeline, count, endpoint),
        "opentelemetry" => opentelemetry::run(row_kind, count, endpoint),
        "fastrace" => fastrace::run(row_kind, count),
        _ => return complain("PEER is ours, ours-api, ours-plain, opentelemetry, fastrace, rdkafka or lapin"),
    };
    match figures {
        Ok(figures) => {
            print(row, peer, count, figures);
            ExitCode::SUCCESS
        }
        Err(message) => complain(&message),
    }
}

fn print(row: &str, peer: &str, n: u64, figures: Figures) {
    let Figures { caller_ns, process_ns, wall_ns, made } = figures;
    let memory = peak_memory_kib();
    println!(
        r#"{{"row":"{row}","peer":"{peer}","n":{n},"made":{made},"caller_ns":{caller_ns:.1},"process_ns":{process_ns:.1},"wall_ns":{wall_ns:.1},"peak_kib":{memory}}}"#
    );
}

fn complain(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

/// The answer of a peer that has nothing to show in a row.
fn no_such_row(row: Row, peer: &str) -> Result<Figures, String> {
    Err(format!("{peer} has no row {row:?}"))
}
