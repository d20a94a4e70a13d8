//! One payload into one message for each trace.
//!
//! Works on the bytes: the frames around spans are read, the spans themselves are only asked for their trace id. Traces
//! and logs have the same field numbers down to the span or record (`opentelemetry/proto/collector/*/v1`).

use std::collections::HashMap;

use crate::payload::Signal;
use crate::wire::{Fields, Value, write_varint};

/// `resource_spans` of a request; `scope_spans` of a resource and `spans` of a scope are both [`CHILDREN`].
const RESOURCES: u64 = 1;
const CHILDREN: u64 = 2;
/// `Span.trace_id` and `LogRecord.trace_id`.
const TRACE_ID: [u64; 2] = [1, 9];
/// A tag and the length behind it, at most, for a frame of our own.
const FRAME: usize = 11;

/// A request taken apart by trace, borrowing its bytes.
#[derive(Debug)]
pub struct Split<'a> {
    /// In the order of their messages.
    pieces: Vec<Piece<'a>>,
    scopes: Vec<Head<'a>>,
    resources: Vec<Head<'a>>,
    messages: Vec<Message>,
}

/// One message of a [`Split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The trace of everything in it; `None` for what belongs to no trace.
    pub trace_id: Option<[u8; 16]>,
    /// Where its spans begin and end among the pieces.
    begin: usize,
    end: usize,
}

/// A span or record.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    /// With its tag and length.
    field: &'a [u8],
    scope: usize,
    group: usize,
}

/// What stands around spans: the fields of a frame without its children.
#[derive(Clone, Debug, Default)]
struct Head<'a> {
    fields: Vec<&'a [u8]>,
    length: usize,
    /// The frame that this one stands in.
    parent: usize,
}

impl Message {
    /// How many spans or records it holds.
    pub fn items(&self) -> usize {
        self.end - self.begin
    }
}

impl<'a> Split<'a> {
    /// Takes a request apart; `None` when its frames cannot be read, or when it holds nothing.
    ///
    /// A message is at most `max_bytes` long, unless it holds a single span.
    pub fn new(request: &'a [u8], signal: Signal, max_bytes: usize) -> Option<Self> {
        let mut split = Self { pieces: Vec::new(), scopes: Vec::new(), resources: Vec::new(), messages: Vec::new() };
        let groups = split.read(request, TRACE_ID[signal.index()])?;
        // Stable, so what belongs to one trace stays in its order.
        split.pieces.sort_by_key(|piece| piece.group);
        split.cut(&groups, max_bytes);
        (!split.messages.is_empty()).then_some(split)
    }

    /// The messages, in the order in which their traces begin in the request.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Writes a message of this split, a whole request, behind what `out` holds.
    pub fn write(&self, message: &Message, out: &mut Vec<u8>) {
        let pieces = self.pieces.get(message.begin..message.end).unwrap_or_default();
        let resource_of = |piece: &Piece<'_>| self.scopes[piece.scope].parent;
        for of_resource in pieces.chunk_by(|a, b| resource_of(a) == resource_of(b)) {
            let Some(first) = of_resource.first() else { continue };
            let resource = &self.resources[resource_of(first)];
            let scopes = || of_resource.chunk_by(|a, b| a.scope == b.scope);
            let length: usize = scopes().map(|pieces| framed(self.scope_length(pieces))).sum();
            begin(RESOURCES, resource.length + length, out);
            resource.write(out);
            for of_scope in scopes() {
                begin(CHILDREN, self.scope_length(of_scope), out);
                if let Some(first) = of_scope.first() {
                    self.scopes[first.scope].write(out);
                }
                of_scope.iter().for_each(|piece| out.extend_from_slice(piece.field));
            }
        }
    }

    fn scope_length(&self, pieces: &[Piece<'_>]) -> usize {
        let head = pieces.first().map_or(0, |first| self.scopes[first.scope].length);
        head + pieces.iter().map(|piece| piece.field.len()).sum::<usize>()
    }

    /// Reads the frames. Answers the trace ids by group.
    fn read(&mut self, request: &'a [u8], trace_id_field: u64) -> Option<Vec<Option<[u8; 16]>>> {
        let mut groups = Groups::default();
        for (number, resource, _) in frames(request) {
            let (RESOURCES, Value::Bytes(resource)) = (number?, resource) else {
                if number == Some(RESOURCES) {
                    return None;
                }
                continue;
            };
            let parent = self.resources.len();
            self.resources.push(Head::default());
            for (number, scope, raw) in frames(resource) {
                match (number?, scope) {
                    (CHILDREN, Value::Bytes(scope)) => self.read_scope(scope, parent, trace_id_field, &mut groups)?,
                    (CHILDREN, _) => return None,
                    _ => self.resources[parent].push(raw),
                }
            }
        }
        Some(groups.ids)
    }

    fn read_scope(&mut self, scope: &'a [u8], parent: usize, trace_id: u64, groups: &mut Groups) -> Option<()> {
        let mut head = Head { parent, ..Head::default() };
        let number = self.scopes.len();
        for (field, value, raw) in frames(scope) {
            match (field?, value) {
                (CHILDREN, Value::Bytes(span)) => {
                    let group = groups.number(read_trace_id(span, trace_id)?);
                    self.pieces.push(Piece { field: raw, scope: number, group });
                }
                (CHILDREN, _) => return None,
                _ => head.push(raw),
            }
        }
        self.scopes.push(head);
        Some(())
    }

    /// Makes messages of the sorted pieces.
    fn cut(&mut self, groups: &[Option<[u8; 16]>], max_bytes: usize) {
        let mut length = 0;
        for (at, piece) in self.pieces.iter().enumerate() {
            let scope = &self.scopes[piece.scope];
            // As if the frames were written anew for this span: a little more than what is written.
            let alone = piece.field.len() + scope.length + self.resources[scope.parent].length + 2 * FRAME;
            let before = at.checked_sub(1).map(|before| &self.pieces[before]);
            let more = match before.filter(|before| before.group == piece.group) {
                Some(before) if before.scope == piece.scope => Some(piece.field.len()),
                Some(_) => Some(alone),
                None => None,
            };
            match (more.filter(|more| length + more <= max_bytes), self.messages.last_mut()) {
                (Some(more), Some(message)) => {
                    message.end = at + 1;
                    length += more;
                }
                _ => {
                    let trace_id = groups.get(piece.group).copied().flatten();
                    self.messages.push(Message { trace_id, begin: at, end: at + 1 });
                    length = alone;
                }
            }
        }
    }
}

impl<'a> Head<'a> {
    fn push(&mut self, field: &'a [u8]) {
        self.fields.push(field);
        self.length += field.len();
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.fields.iter().for_each(|field| out.extend_from_slice(field));
    }
}

/// Trace ids, numbered as they come.
#[derive(Debug, Default)]
struct Groups {
    ids: Vec<Option<[u8; 16]>>,
    numbers: HashMap<Option<[u8; 16]>, usize>,
    last: Option<usize>,
}

impl Groups {
    fn number(&mut self, id: Option<[u8; 16]>) -> usize {
        if let Some(last) = self.last.filter(|last| self.ids[*last] == id) {
            return last;
        }
        let number = *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() - 1
        });
        self.last = Some(number);
        number
    }
}

/// The fields of a message, each with all its bytes. The number is `None` once the bytes are broken.
fn frames(message: &[u8]) -> impl Iterator<Item = (Option<u64>, Value<'_>, &[u8])> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || {
        let before = fields.rest();
        let field = fields.next()?;
        let raw = before.get(..before.len() - fields.rest().len()).unwrap_or_default();
        Some(match field {
            Some((number, value)) => (Some(number), value, raw),
            None => (None, Value::Varint(0), raw),
        })
    })
}

/// The trace id of a span or record, the last one where there are several; `Some(None)` when it has no valid one, `None`
/// when the bytes are broken.
#[expect(clippy::option_option, reason = "two different things may be missing")]
fn read_trace_id(span: &[u8], field: u64) -> Option<Option<[u8; 16]>> {
    let mut id = None;
    for entry in Fields::new(span) {
        let (number, value) = entry?;
        if number == field {
            let Value::Bytes(bytes) = value else { return None };
            id = bytes.try_into().ok().filter(|id| *id != [0; 16]);
        }
    }
    Some(id)
}

fn begin(field: u64, length: usize, out: &mut Vec<u8>) {
    write_varint(out, field << 3 | 2);
    write_varint(out, length as u64);
}

/// How long a frame with so many bytes in it is.
fn framed(length: usize) -> usize {
    let varint = (u64::BITS - (length as u64 | 1).leading_zeros()).div_ceil(7) as usize;
    1 + varint + length
}

#[cfg(test)]
mod tests;
