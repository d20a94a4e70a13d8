//! Spans and records on a console.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use scouter_span::wire::{FieldValue, Reader, field, len_delimited};
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Transport, json};

/// Where lines are written. Clones write to the same place, one line at a time.
#[derive(Clone)]
pub struct Output(Arc<Mutex<dyn Write + Send>>);

impl Output {
    /// Into this writer. It is called by the worker, and the spans of one request at a time.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// The standard output of the process.
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(lines)?;
        writer.flush()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

/// Writes every span as a line: an OTLP `TracesData` in JSON that holds just this span (for a record a `LogsData`), with its
/// resource and scope, so that each line can be given to any receiver of OTLP.
#[derive(Debug)]
pub(crate) struct Console {
    output: Output,
}

impl Console {
    pub(crate) const fn new(output: Output) -> Self {
        Self { output }
    }

    fn print(&self, payload: &Payload) -> Result<(), Error> {
        let mut lines = Vec::with_capacity(payload.body.len() * 3);
        for single in singles(&payload.body) {
            lines.append(&mut json::encode(payload.signal, &single)?);
            lines.push(b'\n');
        }
        self.output.write(&lines).map_err(|error| {
            Error::new(ErrorKind::Refused, format!("cannot write to the console: {error}")).with_source(error)
        })
    }
}

impl Transport for Console {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move { self.print(&payload).map(|()| Receipt::default()) })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// A request for every span, or record, of a request. Both have the same frame.
fn singles(request: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for resource_spans in messages(request, field::request::RESOURCE_SPANS) {
        let rest = without(resource_spans, field::resource_spans::SCOPE_SPANS);
        for scope_spans in messages(resource_spans, field::resource_spans::SCOPE_SPANS) {
            let scope = without(scope_spans, field::scope_spans::SPANS);
            for span in messages(scope_spans, field::scope_spans::SPANS) {
                let scope_spans = with(&scope, field::scope_spans::SPANS, span);
                let resource_spans = with(&rest, field::resource_spans::SCOPE_SPANS, &scope_spans);
                all.push(with(&[], field::request::RESOURCE_SPANS, &resource_spans));
            }
        }
    }
    all
}

fn messages(bytes: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let fields = Reader::new(bytes).map_while(Result::ok).filter(move |field| field.number == number);
    fields.filter_map(|field| field.value.bytes())
}

/// The texts and messages of a message but those of one field.
fn without(bytes: &[u8], number: u32) -> Vec<u8> {
    let mut rest = Vec::new();
    for found in Reader::new(bytes).map_while(Result::ok) {
        if let (true, FieldValue::Len(content)) = (found.number != number, found.value) {
            len_delimited(&mut rest, found.number, content);
        }
    }
    rest
}

fn with(begin: &[u8], number: u32, content: &[u8]) -> Vec<u8> {
    let mut all = begin.to_vec();
    len_delimited(&mut all, number, content);
    all
}
