//! Which crate may use which: a crate uses lower rows only.

/// The rows of ARCHITECTURE.md, lowest first. A new crate gets its place here before it gets a manifest.
pub const ROWS: &[&[&str]] = &[
    &["scouter-span"],
    &["scouter-propagation", "scouter-transport", "scouter-queue", "scouter-client"],
    &["scouter-export", "scouter-evaluate"],
    &["scouter", "scouter-server"],
    &["scouter-py"],
];

/// Crates of the workspace that nobody ships and that therefore stand outside the rows.
pub const OUTSIDE: &[&str] = &["scouter-tests"];

/// One crate of the workspace and the names of all it needs to be built: normal and build dependencies.
#[derive(Clone, Debug)]
pub struct Member {
    /// The package name.
    pub name: String,
    /// The packages it names under `[dependencies]` and `[build-dependencies]`, optional ones included.
    pub uses: Vec<String>,
}

fn row_of(name: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&name))
}

/// Says what breaks the rule of rows, one line for each.
#[must_use]
pub fn complaints(members: &[Member]) -> Vec<String> {
    let mut found = Vec::new();
    for member in members.iter().filter(|member| !OUTSIDE.contains(&member.name.as_str())) {
        let Some(row) = row_of(&member.name) else {
            found.push(format!(
                "crate {} has no row: give it one in ROWS in tests/src/rows.rs and in ARCHITECTURE.md",
                member.name
            ));
            continue;
        };
        for used in &member.uses {
            if OUTSIDE.contains(&used.as_str()) {
                found.push(format!("crate {} uses {used}, which is for tests only", member.name));
            }
            if let Some(other) = row_of(used).filter(|other| *other >= row) {
                found.push(format!(
                    "crate {} (row {row}) uses {used} (row {other}): a crate may use lower rows only; \
                     move what both need to a lower row, or hand it in from above",
                    member.name
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, uses: &[&str]) -> Member {
        Member { name: name.to_owned(), uses: uses.iter().map(|used| (*used).to_owned()).collect() }
    }

    #[test]
    fn lower_rows_and_outsiders_may_be_used() {
        let members = [
            member("scouter-export", &["scouter-span", "scouter-transport", "thiserror"]),
            member("scouter-tests", &["scouter-py", "scouter"]),
        ];
        assert!(complaints(&members).is_empty());
    }

    #[test]
    fn the_same_row_and_a_higher_one_may_not() {
        let members = [
            member("scouter-span", &["scouter-export"]),
            member("scouter-propagation", &["scouter-transport"]),
            member("scouter", &["scouter-tests"]),
        ];
        let found = complaints(&members);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("scouter-span (row 0) uses scouter-export (row 2)"), "{found:?}");
        assert!(found[1].contains("scouter-propagation (row 1) uses scouter-transport (row 1)"), "{found:?}");
        assert!(found[2].contains("for tests only"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        let found = complaints(&[member("scouter-extra", &[])]);
        assert!(found[0].contains("scouter-extra has no row"), "{found:?}");
    }
}
