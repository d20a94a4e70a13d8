//! Text that stops growing at a number of characters.

use std::fmt::Write;

/// Stands at the end of a text that was cut.
const CUT: &str = "...[truncated]";

/// JSON text under construction.
pub(crate) struct Text {
    text: String,
    /// Characters, not bytes, that are still allowed.
    room: usize,
    limit: usize,
    cut: bool,
}

impl Text {
    pub(crate) fn new(limit: usize) -> Self {
        Self { text: String::with_capacity(limit.min(128)), room: limit, limit, cut: false }
    }

    /// Whether more would be lost.
    pub(crate) const fn is_full(&self) -> bool {
        self.cut
    }

    /// Characters that still fit.
    pub(crate) const fn room(&self) -> usize {
        self.room
    }

    /// Appends text as it is.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        if self.cut {
            return;
        }
        // A text has at most as many characters as bytes, so most of them need not be counted.
        if text.len() <= self.room {
            self.text.push_str(text);
            self.room -= if text.is_ascii() { text.len() } else { text.chars().count() };
            return;
        }
        match text.char_indices().nth(self.room) {
            None => {
                self.room -= text.chars().count();
                self.text.push_str(text);
            }
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.room = 0;
                self.cut = true;
            }
        }
    }

    /// Appends a JSON string.
    pub(crate) fn string(&mut self, text: &str) {
        self.push("\"");
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                // What lies far beyond the limit need not be looked at.
                if at - plain > 4 * self.limit {
                    break;
                }
                continue;
            }
            self.push(&text[plain..at]);
            if self.cut {
                return;
            }
            match byte {
                b'"' => self.push("\\\""),
                b'\\' => self.push("\\\\"),
                b'\n' => self.push("\\n"),
                b'\r' => self.push("\\r"),
                b'\t' => self.push("\\t"),
                _ => self.push(&format!("\\u{byte:04x}")),
            }
            plain = at + 1;
        }
        self.push(&text[plain..]);
        self.push("\"");
    }

    /// Appends an integer.
    pub(crate) fn number(&mut self, number: i64) {
        let mut digits = Short::default();
        let _ = write!(digits, "{number}");
        self.push(digits.as_str());
    }

    /// Appends a finite number, as Python writes it: always with a point or an exponent.
    pub(crate) fn float(&mut self, number: f64) {
        let mut digits = Short::default();
        let _ = write!(digits, "{number:?}");
        self.push(digits.as_str());
    }

    /// The text. One that was cut ends in a note that says so, within the limit.
    pub(crate) fn finish(mut self) -> String {
        if self.cut && self.limit > CUT.len() {
            let kept = self.text.char_indices().nth(self.limit - CUT.len()).map_or(self.text.len(), |(at, _)| at);
            self.text.truncate(kept);
            self.text.push_str(CUT);
        }
        self.text
    }
}

/// Room for any number, without an allocation.
struct Short {
    bytes: [u8; 40],
    length: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self { bytes: [0; 40], length: 0 }
    }
}

impl Short {
    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
