//! The names under which a record's parts travel as attributes of its log record.

/// The uid of the entity, the same as on spans.
pub const ENTITY: &str = "scouter.entity";
/// The space of the entity.
pub const SPACE: &str = "scouter.space";
/// The name of the entity.
pub const NAME: &str = "scouter.name";
/// The version of the entity.
pub const VERSION: &str = "scouter.version";
/// What the program calls the profile.
pub const ALIAS: &str = "scouter.alias";
/// The id that the program gave the record.
pub const RECORD_ID: &str = "scouter.record.id";
/// The session that the record belongs to (semantic conventions, "Session").
pub const SESSION_ID: &str = "session.id";
/// What stands before the name of a tag.
pub const TAG_PREFIX: &str = "scouter.tag.";
/// A fresh id of every insert; records with one id are one record (semantic conventions, "General logs attributes").
pub const UID: &str = "log.record.uid";
/// What stands before the kind in the event name.
pub const EVENT_PREFIX: &str = "scouter.record.";
