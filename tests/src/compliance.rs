//! The rows of OpenTelemetry's compliance matrix, and the tests that show them.

use crate::files::File;

/// The page that lists the rows.
pub const PAGE: &str = "docs/compliance.md";

/// The ids of the rows that the page lists, such as `m053`.
#[must_use]
pub fn rows(page: &str) -> Vec<String> {
    let id = |line: &str| {
        let id = line.strip_prefix("| M")?.get(..3)?;
        id.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("m{id}"))
    };
    page.lines().filter_map(id).collect()
}

/// One complaint for each row that no test in Python, or no test in Rust, names.
#[must_use]
pub fn complaints(rows: &[String], files: &[File]) -> Vec<String> {
    let shown = |ending: &str, beginning: &str, row: &str| {
        let name = format!("{beginning}{row}_");
        files.iter().filter(|file| file.path.ends_with(ending)).any(|file| file.text.contains(&name))
    };
    let mut complaints = Vec::new();
    for row in rows {
        if !shown(".py", "def test_", row) {
            complaints.push(format!("no Python test shows row {row} of {PAGE}: one is named `test_{row}_...`"));
        }
        if !shown(".rs", "fn ", row) {
            complaints.push(format!("no Rust test shows row {row} of {PAGE}: one is named `{row}_...`"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn rows_are_those_of_the_tables() {
        let page =
            "M999 in passing\n| id | row |\n|---|---|\n| M001 | Create |\n| M0x1 | No id |\n| M211 | Duration |\n";
        assert_eq!(rows(page), ["m001", "m211"]);
    }

    #[test]
    fn a_row_is_shown_from_both_sides() {
        let both = [file("a/test_a.py", "def test_m001_create() -> None:"), file("b/tests/b.rs", "fn m001_create() {")];
        let rows = ["m001".to_owned()];
        assert!(complaints(&rows, &both).is_empty());
        assert_eq!(complaints(&rows, &both[..1]).len(), 1);
        assert_eq!(complaints(&rows, &both[1..]).len(), 1);
        // A longer number, and the other language, are no evidence.
        let others = [file("a/test_a.py", "def test_m0012_x"), file("b.rs", "def test_m001_create")];
        assert_eq!(complaints(&rows, &others).len(), 2);
    }
}
