//! Numbers for what is stored once: texts, resources and scopes.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::bloom;
use super::failure::Failure;

/// How many are remembered; beyond that all are forgotten and looked up again.
const REMEMBERED: usize = 1 << 16;

/// The numbers of the texts that were met lately.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, i64>);

impl Names {
    /// The number of a text, a new one when it was never met.
    pub(super) fn number(&mut self, sql: &Connection, text: &str) -> Result<i64, Failure> {
        if let Some(&number) = self.0.get(text) {
            return Ok(number);
        }
        let number = match find_text(sql, text)? {
            Some(number) => number,
            None => {
                sql.prepare_cached("INSERT INTO text (text) VALUES (?)")?.execute([text])?;
                sql.last_insert_rowid()
            }
        };
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(text.into(), number);
        Ok(number)
    }
}

/// The number of a text, if it was ever met.
pub(super) fn find_text(sql: &Connection, text: &str) -> Result<Option<i64>, Failure> {
    Ok(sql.prepare_cached("SELECT id FROM text WHERE text = ?")?.query_row([text], |row| row.get(0)).optional()?)
}

/// Where the messages are kept that spans belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Home {
    Resource,
    Scope,
}

impl Home {
    const fn find(self) -> &'static str {
        match self {
            Self::Resource => "SELECT id FROM resource WHERE hash = ? AND bytes = ? AND schema_url = ?",
            Self::Scope => "SELECT id FROM scope WHERE hash = ? AND bytes = ? AND schema_url = ?",
        }
    }

    const fn insert(self) -> &'static str {
        match self {
            Self::Resource => "INSERT INTO resource (hash, bytes, schema_url) VALUES (?, ?, ?)",
            Self::Scope => "INSERT INTO scope (hash, bytes, schema_url) VALUES (?, ?, ?)",
        }
    }

    /// Selects `bytes` and `schema_url` by number.
    pub(super) const fn select(self) -> &'static str {
        match self {
            Self::Resource => "SELECT bytes, schema_url FROM resource WHERE id = ?",
            Self::Scope => "SELECT bytes, schema_url FROM scope WHERE id = ?",
        }
    }
}

/// The numbers of the resources, or scopes, that were met lately.
#[derive(Debug)]
pub(super) struct Origins {
    home: Home,
    known: HashMap<(Box<[u8]>, Box<str>), i64>,
    last: Option<(Box<[u8]>, Box<str>, i64)>,
}

impl Origins {
    pub(super) fn new(home: Home) -> Self {
        Self { home, known: HashMap::new(), last: None }
    }

    /// The number of a message and its schema, a new one when it was never met.
    pub(super) fn number(&mut self, sql: &Connection, bytes: &[u8], schema_url: &str) -> Result<i64, Failure> {
        // Requests follow each other from the same sender more often than not.
        if let Some((last, schema, number)) = &self.last
            && **last == *bytes
            && **schema == *schema_url
        {
            return Ok(*number);
        }
        let key = (Box::from(bytes), Box::from(schema_url));
        let number = match self.known.get(&key) {
            Some(&number) => number,
            None => self.look_up(sql, bytes, schema_url)?,
        };
        self.last = Some((key.0.clone(), key.1.clone(), number));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, number);
        Ok(number)
    }

    fn look_up(&self, sql: &Connection, bytes: &[u8], schema_url: &str) -> Result<i64, Failure> {
        let row = params![bloom::content(bytes) as i64, bytes, schema_url];
        let found = sql.prepare_cached(self.home.find())?.query_row(row, |row| row.get(0)).optional()?;
        match found {
            Some(number) => Ok(number),
            None => {
                sql.prepare_cached(self.home.insert())?.execute(row)?;
                Ok(sql.last_insert_rowid())
            }
        }
    }
}
