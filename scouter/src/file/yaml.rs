//! From text to nodes that know their lines.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::scalar::resolve;
use super::substitute::substitute;
use crate::environment::Environment;

/// Deeper files are refused, and those whose aliases grow them beyond all measure.
const DEPTH_LIMIT: usize = 64;
const NODE_LIMIT: usize = 100_000;

/// A node and the line it begins in, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a file is no configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) reason: String,
}

/// The node of the one document in this text, with references to variables filled in.
pub(super) fn parse(text: &str, environment: &Environment) -> Result<Node, Flaw> {
    let mut builder = Builder { environment, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| Flaw { line: error.marker().line(), reason: error.info().to_owned() })?;
        let line = span.start.line();
        builder.take(event, line).map_err(|reason| Flaw { line, reason })?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

struct Builder<'a> {
    environment: &'a Environment,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

/// A list or map whose end has not come.
struct Open {
    line: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// With the key whose value has not come.
    Map(Vec<(String, Node)>, Option<String>),
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Content::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, content }) = self.open.pop() else { return Ok(()) };
                let value = match content {
                    Content::List(items) => Value::List(items),
                    Content::Map(entries, _) => Value::Map(merged(entries)?),
                };
                self.put(Node { line, value }, anchor)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                if self.awaits_key() {
                    return self.key(text.into_owned());
                }
                let text = substitute(&text, self.environment)?;
                let value = if is_plain { resolve(text) } else { Value::Text(text) };
                self.put(Node { line, value }, anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or("an alias stands inside of what it names")?;
                self.nodes += count(&node);
                self.put(node, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document begins, one is read".to_owned()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), String> {
        if self.awaits_key() {
            return Err("a key is a list or a map, it has to be a text".to_owned());
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(format!("there are more than {DEPTH_LIMIT} levels"));
        }
        self.open.push(Open { line, anchor, content });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map(_, None), .. }))
    }

    fn key(&mut self, key: String) -> Result<(), String> {
        if let Some(Open { content: Content::Map(entries, awaited), .. }) = self.open.last_mut() {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(format!("the key {key} stands here twice"));
            }
            *awaited = Some(key);
        }
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            return Err(format!("there are more than {NODE_LIMIT} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => return Err("a key is an alias, it has to be a text".to_owned()),
            },
        }
        Ok(())
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
        _ => 0,
    }
}

/// The entries with those of the maps under `<<`, which the map's own stand above.
fn merged(mut entries: Vec<(String, Node)>) -> Result<Vec<(String, Node)>, String> {
    let Some(at) = entries.iter().position(|(key, _)| key == "<<") else { return Ok(entries) };
    let (_, node) = entries.remove(at);
    let maps = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    for map in maps {
        let Value::Map(more) = map.value else { return Err("<< takes a map, or a list of maps".to_owned()) };
        for (key, node) in more {
            if !entries.iter().any(|(known, _)| *known == key) {
                entries.push((key, node));
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flaw(text: &str) -> String {
        let Flaw { line, reason } = parse(text, &Environment::default()).unwrap_err();
        format!("{line}: {reason}")
    }

    fn map(node: Node) -> HashMap<String, Value> {
        let Value::Map(entries) = node.value else { panic!("{node:?}") };
        entries.into_iter().map(|(key, node)| (key, node.value)).collect()
    }

    #[test]
    fn types_are_known_after_references_are_filled_in() {
        let environment: Environment = [("N", "5"), ("B", "true"), ("M", "a: b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        let text = "plain: ${N}\nquoted: \"${N}\"\nbool: ${B}\nmap: ${M}\nnone: ${X}\n${N}: key\ntagged: !!str ${N}\n";
        let read = map(parse(text, &environment).unwrap());
        assert_eq!(read["plain"], Value::Int(5));
        assert_eq!(read["quoted"], Value::Text("5".to_owned()));
        assert_eq!(read["tagged"], Value::Text("5".to_owned()));
        assert_eq!(read["bool"], Value::Bool(true));
        assert_eq!(read["map"], Value::Text("a: b".to_owned()));
        assert_eq!(read["none"], Value::Null);
        assert!(read.contains_key("${N}"));
    }

    #[test]
    fn anchors_are_filled_in_and_merged() {
        let text = "base: &base\n  a: 1\n  b: 2\nsame: *base\nmore:\n  <<: *base\n  b: 3\n";
        let read = map(parse(text, &Environment::default()).unwrap());
        assert_eq!(read["same"], read["base"]);
        let more = map(Node { line: 0, value: read["more"].clone() });
        assert_eq!((&more["a"], &more["b"]), (&Value::Int(1), &Value::Int(3)));
    }

    #[test]
    fn flaws_have_lines() {
        assert_eq!(flaw("a: 1\nb: 2\na: 3\n"), "3: the key a stands here twice");
        assert_eq!(flaw("a: 1\n---\nb: 2\n"), "2: a second document begins, one is read");
        assert!(flaw("a:\n  - ${1}\n").starts_with("2: ${1} is no reference"));
        assert!(flaw("a: [1, 2\n").contains(": "));
        assert!(flaw(&"[".repeat(100)).contains("more than 64 levels"));
        assert!(flaw("a: &a\n  b: *a\n").contains("inside of what it names"));
        let mut laughs = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(flaw(&laughs).contains("more than 100000 values"));
    }

    proptest! {
        #[test]
        fn any_text_is_nodes_or_a_flaw(text in "[a-z:\\-\\[\\]{}&*!|>'\"#%@`,? \n\t$~0-9]{0,60}") {
            let _ = parse(&text, &Environment::default());
        }
    }
}
