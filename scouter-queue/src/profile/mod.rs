//! What the records of an entity look like. `docs/profile.md` documents the file.

mod json;
mod read;
mod write;

use std::fs;
use std::path::Path;

use scouter_span::Ratio;
use scouter_span::id::{IdGenerator, RandomIds};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};

/// What records of an entity hold, and which part of them is kept. Always valid: every way to make one checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    entity: Entity,
    description: Option<String>,
    sample_ratio: Ratio,
    content: Content,
}

/// What is watched: a model, a service, an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The group it belongs to.
    pub space: String,
    /// Its name within the space.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its id, the same everywhere.
    pub uid: String,
    /// What programs call its queue.
    pub alias: String,
}

/// What a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Statistical process control over features.
    Spc,
    /// Population stability of features.
    Psi,
    /// Metrics of the program's own.
    Custom,
    /// Evaluation of what an agent or a language model did.
    Agent,
}

/// What records hold, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The features of `spc`.
    Spc(Vec<FeatureSpec>),
    /// The features of `psi`.
    Psi(Vec<FeatureSpec>),
    /// The metrics of `custom`.
    Custom(Vec<MetricSpec>),
    /// The tasks of `agent`.
    Agent(Vec<Task>),
}

/// A feature of records.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpec {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub r#type: FeatureType,
    /// Whether every record has it.
    pub required: bool,
    /// What it means, for people.
    pub description: Option<String>,
    /// What values are compared with.
    pub baseline: Option<Baseline>,
}

/// What the values of a feature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureType {
    /// Whole numbers.
    Int,
    /// Numbers; whole ones are taken too.
    Float,
    /// Text.
    Text,
    /// True or false.
    Bool,
}

/// What values of a feature are compared with, as somebody has worked it out. It is carried along; records are not checked
/// against it, because a value outside is what monitoring is there to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// `spc`, numbers: the centre and the control limits.
    Limits {
        /// What values are expected to be around.
        center: f64,
        /// Values below are out of control.
        lower: f64,
        /// Values above are out of control.
        upper: f64,
    },
    /// `psi`, numbers: the inner edges of the bins, rising. `n` edges make `n + 1` bins.
    Bins(Vec<f64>),
    /// `psi`, texts: the categories.
    Categories(Vec<String>),
}

/// A metric of records.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// Its name.
    pub name: String,
    /// What it means, for people.
    pub description: Option<String>,
    /// What values are compared with.
    pub baseline: Option<f64>,
}

/// An evaluation task: an object of its own format with an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    id: String,
    object: Map<String, Value>,
}

impl Profile {
    /// The version of the file format that is read and written.
    pub const SCHEMA_VERSION: u64 = 1;
    /// The most bytes of a file.
    pub const MAX_BYTES: usize = 1 << 20;

    /// A profile that keeps every record.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] with the place of the first thing that `docs/profile.md` does not allow.
    pub fn new(entity: Entity, content: Content) -> Result<Self, Error> {
        Self { entity, description: None, sample_ratio: Ratio::ALL, content }.checked()
    }

    /// The same with this part of all records kept.
    #[must_use]
    pub fn with_sample_ratio(self, ratio: Ratio) -> Self {
        Self { sample_ratio: ratio, ..self }
    }

    /// The same with words for people about it.
    ///
    /// # Errors
    /// The text is longer than 4096 bytes.
    pub fn with_description(self, text: impl Into<String>) -> Result<Self, Error> {
        Self { description: Some(text.into()), ..self }.checked()
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for a text that is not JSON, [`ErrorKind::Profile`] with the place of the first thing that
    /// `docs/profile.md` does not allow.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        read::profile(text)
    }

    /// Reads a profile file.
    ///
    /// # Errors
    /// As for [`from_json`](Self::from_json), [`ErrorKind::Missing`] for a file that is not there, and [`ErrorKind::File`] for
    /// one that cannot be read. All name the file.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error: std::io::Error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let (kind, way_out) = match missing {
                true => (ErrorKind::Missing, "name a file that is there"),
                false => (ErrorKind::File, "name a file of JSON in UTF-8 that this program may read"),
            };
            let text = format!("profile {} cannot be read: {error}; {way_out}", path.display());
            Error::new(kind, text, error)
        };
        // A file that is far too large, or has no end, is not read to its end.
        let mut text = String::new();
        let file = fs::File::open(path).map_err(failed)?;
        let limited = &mut std::io::Read::take(file, Self::MAX_BYTES as u64 + 1);
        std::io::Read::read_to_string(limited, &mut text).map_err(failed)?;
        Self::from_json(&text).map_err(|error| error.in_file(path))
    }

    /// The profile as a file's text: indented, or in one line when that would be too long for a file.
    pub fn to_json(&self) -> String {
        write::profile(self)
    }

    /// Writes a profile file; what was there is replaced at once or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", RandomIds.new_span_id()));
        let written = fs::write(&beside, self.to_json() + "\n").and_then(|()| fs::rename(&beside, path));
        written.map_err(|error| {
            // What is left of a half-written file helps nobody.
            let _ = fs::remove_file(&beside);
            let text = format!(
                "profile {} cannot be written: {error}; name a place where this program may write",
                path.display()
            );
            Error::new(ErrorKind::File, text, error)
        })
    }

    /// What is watched.
    pub const fn entity(&self) -> &Entity {
        &self.entity
    }

    /// What it is for.
    pub const fn kind(&self) -> Kind {
        match &self.content {
            Content::Spc(_) => Kind::Spc,
            Content::Psi(_) => Kind::Psi,
            Content::Custom(_) => Kind::Custom,
            Content::Agent(_) => Kind::Agent,
        }
    }

    /// What records hold.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The part of all records that is kept.
    pub const fn sample_ratio(&self) -> Ratio {
        self.sample_ratio
    }

    /// What it is about, for people.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The same profile, if a file of it would be read again.
    fn checked(self) -> Result<Self, Error> {
        read::profile(&self.to_json())
    }
}

impl Entity {
    /// An entity with a new uid and its name as the alias.
    pub fn new(space: impl Into<String>, name: impl Into<String>, version: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            space: space.into(),
            version: version.into(),
            uid: RandomIds.new_trace_id().to_string(),
            alias: name.clone(),
            name,
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Spc, Self::Psi, Self::Custom, Self::Agent];

    /// Its name in files and in event names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spc => "spc",
            Self::Psi => "psi",
            Self::Custom => "custom",
            Self::Agent => "agent",
        }
    }

    /// The event name of its records: `scouter.record.` and the kind's name.
    pub const fn event_name(self) -> &'static str {
        match self {
            Self::Spc => "scouter.record.spc",
            Self::Psi => "scouter.record.psi",
            Self::Custom => "scouter.record.custom",
            Self::Agent => "scouter.record.agent",
        }
    }
}

impl FeatureSpec {
    /// A feature that every record has, without a baseline.
    pub fn new(name: impl Into<String>, r#type: FeatureType) -> Self {
        Self { name: name.into(), r#type, required: true, description: None, baseline: None }
    }
}

impl FeatureType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Int, Self::Float, Self::Text, Self::Bool];

    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bool => "bool",
        }
    }
}

impl MetricSpec {
    /// A metric without a baseline.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: None, baseline: None }
    }
}

impl Task {
    /// The task with this id; `object` holds the rest of it.
    pub fn new(id: impl Into<String>, mut object: Map<String, Value>) -> Self {
        let id = id.into();
        object.insert("id".to_owned(), Value::from(id.as_str()));
        Self { id, object }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All of it, the id included.
    pub const fn object(&self) -> &Map<String, Value> {
        &self.object
    }
}
