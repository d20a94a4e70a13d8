//! From the text of a file to a profile, naming what is wrong and where.

use std::collections::HashSet;

use scouter_span::Ratio;
use serde_json::{Map, Value};

use super::json;
use super::{Baseline, Content, Entity, FeatureSpec, FeatureType, Kind, MetricSpec, Profile, Task};
use crate::error::{Error, ErrorKind};

/// The most bytes of a name.
const MAX_NAME: usize = 256;
/// The most bytes of a description.
const MAX_DESCRIPTION: usize = 4096;
/// The most features, metrics, tasks, bins or categories.
const MAX_ITEMS: usize = 10_000;
/// The deepest nesting of a task.
const MAX_DEPTH: usize = 32;

type Result<T> = std::result::Result<T, Error>;

/// An object and where it stands.
struct Object<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

pub(super) fn profile(text: &str) -> Result<Profile> {
    if text.len() > Profile::MAX_BYTES {
        return Err(too_long("more", "split it into several profiles"));
    }
    // Some editors begin a file with a mark of its encoding, which readers may pass over (RFC 8259, section 8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = json::parse(text).map_err(|error| {
        Error::new(ErrorKind::Syntax, format!("profile: not JSON: {error}; correct the text"), error)
    })?;
    let file = Object::of(&file, "$".to_owned())?;
    let version = file.member("schema_version")?;
    let known = Profile::SCHEMA_VERSION;
    if version.as_u64() != Some(known) {
        let newer = version.as_u64().is_some_and(|version| version > known);
        let way_out = if newer { "; read it with a newer Scouter" } else { "" };
        return Err(file.wrong("schema_version", format_args!("expected {known}, got {}{way_out}", shown(version))));
    }
    let name = file.text("kind", MAX_NAME)?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
        return Err(file.wrong("kind", format_args!("expected spc, psi, custom or agent, got {name:?}")));
    };
    let list = match kind {
        Kind::Spc | Kind::Psi => "features",
        Kind::Custom => "metrics",
        Kind::Agent => "tasks",
    };
    file.only(&["schema_version", "kind", "entity", "description", "sample_ratio", list])?;
    let profile = Profile {
        entity: entity(&Object::of(file.member("entity")?, file.place("entity"))?)?,
        description: file.description()?,
        sample_ratio: ratio(&file)?,
        content: match kind {
            Kind::Spc => Content::Spc(file.named(list, |item| feature(item, kind))?),
            Kind::Psi => Content::Psi(file.named(list, |item| feature(item, kind))?),
            Kind::Custom => Content::Custom(file.named(list, metric)?),
            Kind::Agent => Content::Agent(file.named(list, task)?),
        },
    };
    // Numbers may be written longer than they were read.
    if profile.to_json().len() > Profile::MAX_BYTES {
        return Err(too_long("written out more", "split it into several profiles"));
    }
    Ok(profile)
}

fn too_long(how: &str, way_out: &str) -> Error {
    Error::at("$", format_args!("a profile has at most {} bytes, this one has {how}; {way_out}", Profile::MAX_BYTES))
}

fn ratio(file: &Object<'_>) -> Result<Ratio> {
    let Some(value) = file.members.get("sample_ratio") else { return Ok(Ratio::ALL) };
    let ratio = value.as_f64().and_then(|ratio| Ratio::new(ratio).ok());
    let wrong = || file.wrong("sample_ratio", format_args!("expected a number from 0 to 1, got {}", shown(value)));
    ratio.ok_or_else(wrong)
}

fn entity(entity: &Object<'_>) -> Result<Entity> {
    entity.only(&["space", "name", "version", "uid", "alias"])?;
    let text = |key| entity.text(key, MAX_NAME).map(str::to_owned);
    Ok(Entity {
        space: text("space")?,
        name: text("name")?,
        version: text("version")?,
        uid: text("uid")?,
        alias: text("alias")?,
    })
}

fn feature(item: &Object<'_>, kind: Kind) -> Result<(String, FeatureSpec)> {
    let baselines: &[&str] = if kind == Kind::Spc { &["limits"] } else { &["bins", "categories"] };
    item.only(&[&["name", "type", "required", "description"], baselines].concat())?;
    let name = item.text("name", MAX_NAME)?.to_owned();
    let type_name = item.text("type", MAX_NAME)?;
    let Some(r#type) = FeatureType::ALL.into_iter().find(|r#type| r#type.name() == type_name) else {
        return Err(item.wrong("type", format_args!("expected int, float, text or bool, got {type_name:?}")));
    };
    let required = match item.members.get("required") {
        None => true,
        Some(Value::Bool(required)) => *required,
        Some(other) => return Err(item.wrong("required", format_args!("expected true or false, got {}", shown(other)))),
    };
    let (description, baseline) = (item.description()?, baseline(item, r#type)?);
    Ok((name.clone(), FeatureSpec { name, r#type, required, description, baseline }))
}

fn baseline(item: &Object<'_>, r#type: FeatureType) -> Result<Option<Baseline>> {
    let numbers = matches!(r#type, FeatureType::Int | FeatureType::Float);
    let only_for = |key: &str, types: &str| {
        Err(item.wrong(key, format_args!("only features of type {types} have {key}, this one is {}", r#type.name())))
    };
    if item.members.contains_key("bins") && item.members.contains_key("categories") {
        return Err(Error::at(&item.path, "expected bins or categories, got both, remove one"));
    }
    if let Some(limits) = item.members.get("limits") {
        if !numbers {
            return only_for("limits", "int or float");
        }
        let limits = Object::of(limits, item.place("limits"))?;
        limits.only(&["center", "lower", "upper"])?;
        let number = |key| finite(limits.member(key)?, &limits.place(key));
        let (center, lower, upper) = (number("center")?, number("lower")?, number("upper")?);
        if !(lower <= center && center <= upper) {
            let found = format_args!("expected lower ≤ center ≤ upper, got {lower}, {center}, {upper}");
            return Err(Error::at(limits.path, found));
        }
        return Ok(Some(Baseline::Limits { center, lower, upper }));
    }
    if item.members.contains_key("bins") {
        if !numbers {
            return only_for("bins", "int or float");
        }
        let edges = item.items("bins")?.map(|(value, path)| finite(value, &path)).collect::<Result<Vec<_>>>()?;
        if let Some(at) = edges.windows(2).position(|pair| pair[0] >= pair[1]) {
            let path = format!("{}[{}]", item.place("bins"), at + 1);
            return Err(Error::at(path, format_args!("expected more than {}, got {}", edges[at], edges[at + 1])));
        }
        return Ok(Some(Baseline::Bins(edges)));
    }
    if item.members.contains_key("categories") {
        if r#type != FeatureType::Text {
            return only_for("categories", "text");
        }
        let mut seen = HashSet::new();
        let category = |(value, path): (_, String)| {
            let name = text(value, &path, MAX_NAME)?;
            unique(&mut seen, name, &path)?;
            Ok(name.to_owned())
        };
        return Ok(Some(Baseline::Categories(item.items("categories")?.map(category).collect::<Result<_>>()?)));
    }
    Ok(None)
}

fn metric(item: &Object<'_>) -> Result<(String, MetricSpec)> {
    item.only(&["name", "description", "baseline"])?;
    let name = item.text("name", MAX_NAME)?.to_owned();
    let baseline = item.members.get("baseline").map(|value| finite(value, &item.place("baseline"))).transpose()?;
    Ok((name.clone(), MetricSpec { name, description: item.description()?, baseline }))
}

/// What else a task holds is the business of whoever evaluates it.
fn task(item: &Object<'_>) -> Result<(String, Task)> {
    let id = item.text("id", MAX_NAME)?.to_owned();
    if item.members.values().any(|value| is_deeper(value, MAX_DEPTH)) {
        return Err(Error::at(&item.path, format_args!("nested more than {MAX_DEPTH} deep, flatten it")));
    }
    Ok((id.clone(), Task { id, object: item.members.clone() }))
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels == 0 || values.iter().any(|value| is_deeper(value, levels - 1)),
        Value::Object(entries) => levels == 0 || entries.values().any(|value| is_deeper(value, levels - 1)),
        _ => false,
    }
}

impl<'a> Object<'a> {
    fn of(value: &'a Value, path: String) -> Result<Self> {
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            other => Err(Error::at(path, format_args!("expected an object, got {}", shown(other)))),
        }
    }

    fn place(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn wrong(&self, key: &str, reason: impl std::fmt::Display) -> Error {
        Error::at(self.place(key), reason)
    }

    fn member(&self, key: &str) -> Result<&'a Value> {
        self.members.get(key).ok_or_else(|| {
            // A misspelt name explains more than a missing one.
            let hint = nearest(key, self.members.keys().map(String::as_str));
            let hint = hint.map(|name| format!(" in the place of {name:?}")).unwrap_or_default();
            Error::at(&self.path, format_args!("{key:?} is missing, add it{hint}"))
        })
    }

    fn text(&self, key: &str, most: usize) -> Result<&'a str> {
        text(self.member(key)?, &self.place(key), most)
    }

    fn description(&self) -> Result<Option<String>> {
        let description = self.members.get("description");
        description.map(|value| long_text(value, &self.place("description")).map(str::to_owned)).transpose()
    }

    /// Refuses every other member.
    fn only(&self, known: &[&str]) -> Result<()> {
        let Some(unknown) = self.members.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
        let hint = match nearest(unknown, known.iter().copied()) {
            Some(key) => format!("did you mean {key:?}?"),
            None => format!("remove it; known here: {}", known.join(", ")),
        };
        Err(Error::at(&self.path, format_args!("{} is not known, {hint}", quoted(unknown))))
    }

    /// The items of a list, each with its place.
    fn items(&self, key: &str) -> Result<impl Iterator<Item = (&'a Value, String)> + use<'a>> {
        let (list, path) = (self.member(key)?, self.place(key));
        match list {
            Value::Array(items) if items.is_empty() => Err(Error::at(path, "expected at least one, got an empty list")),
            Value::Array(items) if items.len() > MAX_ITEMS => {
                Err(Error::at(path, format_args!("expected at most {MAX_ITEMS}, got {}", items.len())))
            }
            Value::Array(items) => {
                Ok(items.iter().enumerate().map(move |(number, item)| (item, format!("{path}[{number}]"))))
            }
            other => Err(Error::at(path, format_args!("expected a list, got {}", shown(other)))),
        }
    }

    /// The items of a list of objects with a name each, no name twice.
    fn named<T>(&self, key: &str, read: impl Fn(&Self) -> Result<(String, T)>) -> Result<Vec<T>> {
        let mut seen = HashSet::new();
        let item = |(value, path): (&'a Value, String)| {
            let item = Self::of(value, path)?;
            let (name, read) = read(&item)?;
            unique(&mut seen, &name, &item.path)?;
            Ok(read)
        };
        self.items(key)?.map(item).collect()
    }
}

fn unique(seen: &mut HashSet<String>, name: &str, path: &str) -> Result<()> {
    if seen.insert(name.to_owned()) {
        return Ok(());
    }
    Err(Error::at(path, format_args!("{name:?} is there twice, remove one")))
}

fn finite(value: &Value, path: &str) -> Result<f64> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| Error::at(path, format_args!("expected a number, got {}", shown(value))))
}

fn long_text<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    match value.as_str() {
        Some(text) if text.len() <= MAX_DESCRIPTION => Ok(text),
        Some(text) => {
            Err(Error::at(path, format_args!("expected at most {MAX_DESCRIPTION} bytes, got {}", text.len())))
        }
        None => Err(Error::at(path, format_args!("expected text, got {}", shown(value)))),
    }
}

fn text<'a>(value: &'a Value, path: &str, most: usize) -> Result<&'a str> {
    match value.as_str() {
        Some("") => Err(Error::at(path, "expected text, got an empty one")),
        Some(text) if text.len() > most => {
            Err(Error::at(path, format_args!("expected at most {most} bytes, got {}", text.len())))
        }
        Some(text) if text.chars().any(char::is_control) => {
            Err(Error::at(path, format_args!("expected text without control characters, got {}", quoted(text))))
        }
        Some(text) => Ok(text),
        None => Err(Error::at(path, format_args!("expected text, got {}", shown(value)))),
    }
}

/// A value in a message: short, and lists and objects by what they are.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    format!("{short:?}{}", if short.len() < text.len() { "…" } else { "" })
}

fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    among.map(|other| (distance(name, other), other)).filter(|(far, _)| *far <= 2).min().map(|(_, other)| other)
}

/// How many single changes turn one text into the other; everything long is far away.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
