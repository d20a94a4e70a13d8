//! Reading a map key by key, so that what nobody asks for can be named.

use super::yaml::{Node, Value};

/// What complaints say about where and what.
#[derive(Debug)]
pub(super) struct Complaints<'a> {
    /// The file, as the user wrote it.
    pub(super) file: &'a str,
    pub(super) list: &'a mut Vec<String>,
}

/// A node, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    node: &'a Node,
    /// Keys and numbers of elements, with dots between them.
    path: String,
}

/// A map that is being read.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    entries: &'a [(String, Node)],
    asked: Vec<&'static str>,
}

impl Complaints<'_> {
    pub(super) fn add(&mut self, place: &Place<'_>, what: &str) {
        self.list.push(format!("{}, line {}: {} {what}", self.file, place.node.line, place.path));
    }
}

impl<'a> Place<'a> {
    pub(super) const fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(super) const fn value(&self) -> &'a Value {
        &self.node.value
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The map; an empty one where nothing stands.
    pub(super) fn section(&self, complaints: &mut Complaints<'_>) -> Section<'a> {
        let entries: &[_] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                complaints.add(self, "is a map; what stands there was ignored");
                &[]
            }
        };
        Section { path: self.path.clone(), entries, asked: Vec::new() }
    }

    /// The elements of the list; none where nothing stands.
    pub(super) fn list(&self, complaints: &mut Complaints<'_>) -> Vec<Self> {
        let items: &[_] = match &self.node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                complaints.add(self, "is a list; what stands there was ignored");
                &[]
            }
        };
        let item = |(at, node)| Self { node, path: format!("{}[{at}]", self.path) };
        items.iter().enumerate().map(item).collect()
    }

    pub(super) fn text(&self, complaints: &mut Complaints<'_>) -> Option<String> {
        match &self.node.value {
            Value::Null => None,
            Value::Text(text) => Some(text.clone()),
            _ => self.not("a text", complaints),
        }
    }

    pub(super) fn boolean(&self, complaints: &mut Complaints<'_>) -> Option<bool> {
        match &self.node.value {
            Value::Null => None,
            Value::Bool(value) => Some(*value),
            _ => self.not("true or false", complaints),
        }
    }

    /// A whole number from this one on.
    pub(super) fn integer(&self, least: u64, complaints: &mut Complaints<'_>) -> Option<u64> {
        match &self.node.value {
            Value::Null => None,
            Value::Int(number) => match u64::try_from(*number).ok().filter(|number| *number >= least) {
                None => self.not(&format!("a whole number from {least} on"), complaints),
                number => number,
            },
            _ => self.not(&format!("a whole number from {least} on"), complaints),
        }
    }

    pub(super) fn number(&self, complaints: &mut Complaints<'_>) -> Option<f64> {
        match &self.node.value {
            Value::Null => None,
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => self.not("a number", complaints),
        }
    }

    fn not<T>(&self, wanted: &str, complaints: &mut Complaints<'_>) -> Option<T> {
        complaints.add(self, &format!("is {wanted}; what stands there was ignored"));
        None
    }
}

impl<'a> Section<'a> {
    /// What stands under this key, even if that is nothing.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Place<'a>> {
        self.asked.push(key);
        let (_, node) = self.entries.iter().find(|(found, _)| found == key)?;
        Some(self.place(key, node))
    }

    /// The one key of a map that chooses by its key, and what stands there.
    pub(super) fn choice(
        &mut self,
        place: &Place<'a>,
        complaints: &mut Complaints<'_>,
    ) -> Option<(&'a str, Place<'a>)> {
        if let [(key, node)] = self.entries {
            return Some((key, self.place(key, node)));
        }
        // What is no map has been complained about.
        if matches!(place.value(), Value::Map(_) | Value::Null) {
            complaints.add(place, "has exactly one key that says what it is; it was ignored");
        }
        None
    }

    /// Complains about every key that nobody has asked for.
    pub(super) fn close(self, complaints: &mut Complaints<'_>) {
        for (key, node) in self.entries.iter().filter(|(key, _)| !self.asked.contains(&key.as_str())) {
            let what = if key.ends_with("/development") {
                "is in development and not supported here; it was ignored"
            } else {
                "is not a key that is known here; it was ignored"
            };
            complaints.add(&self.place(key, node), what);
        }
    }

    fn place(&self, key: &str, node: &'a Node) -> Place<'a> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Place { node, path }
    }
}
