//! How files look: short, introduced, without machine paths, without `unsafe` where nobody expects it.

use crate::code::{code_only, has_word};

/// The most lines a file of code may have.
pub const MAX_LINES: usize = 500;

/// Endings of files that people read as code.
pub const CODE_ENDINGS: &[&str] = &[".rs", ".py", ".pyi", ".js", ".css", ".html", ".sh"];

/// Files that may be longer, each with the reason.
pub const LONG_ON_PURPOSE: &[(&str, &str)] = &[];

/// Files that may hold `unsafe` code, each with the reason. Folders end in a slash.
pub const UNSAFE_ON_PURPOSE: &[(&str, &str)] = &[
    ("scouter-export/src/fork.rs", "only the C library tells when a process forks"),
    ("scouter-export/tests/allocations.rs", "counts allocations, and an allocator is unsafe by nature"),
    ("scouter-export/tests/common/process.rs", "forks"),
    ("scouter-py/src/attached.rs", "the interpreter's lock is the lock, measured"),
    ("scouter-py/src/context.rs", "context variables exist in the C API of Python only"),
    ("scouter-py/src/otel.rs", "tuples of a subclass are made in the C API of Python only, measured"),
    ("scouter-span/tests/allocations.rs", "counts allocations, and an allocator is unsafe by nature"),
];

/// Beginnings of absolute paths that exist on one machine only.
pub const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// One text file of the tree.
#[derive(Clone, Debug)]
pub struct File {
    /// The path from the root of the tree, with forward slashes.
    pub path: String,
    /// What is in it.
    pub text: String,
}

fn listed(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(entry, _)| path == *entry || (entry.ends_with('/') && path.starts_with(entry)))
}

/// Says that the file is too long to be read in one go.
#[must_use]
pub fn length_complaint(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    let checked = CODE_ENDINGS.iter().any(|ending| file.path.ends_with(ending)) && !listed(LONG_ON_PURPOSE, &file.path);
    (checked && lines > MAX_LINES).then(|| {
        format!("{}: {lines} lines, at most {MAX_LINES}: give each of its concerns a file of its own", file.path)
    })
}

/// Says that the file does not begin with what it is for: `//!` in Rust, a docstring in Python.
///
/// Python tests are left out, their names say it.
#[must_use]
pub fn introduction_complaint(file: &File) -> Option<String> {
    let mut lines = file.text.lines().map(str::trim).filter(|line| !line.is_empty());
    if file.path.ends_with(".rs") {
        let first = lines.find(|line| !line.starts_with("#!["));
        let introduced = first.is_some_and(|line| line.starts_with("//!") && line.len() > "//!".len());
        return (!introduced)
            .then(|| format!("{}: say what it is for in a first line that starts with //!", file.path));
    }
    if file.path.ends_with(".py") && !file.path.split('/').any(|part| part == "tests") {
        let first = lines.find(|line| !line.starts_with('#'));
        let introduced = first.is_some_and(|line| line.starts_with("\"\"\"") || line.starts_with("r\"\"\""));
        return (!introduced).then(|| format!("{}: say what it is for in a docstring at its top", file.path));
    }
    None
}

/// Says that the file names a path that exists on one machine only.
#[must_use]
pub fn machine_path_complaint(file: &File) -> Option<String> {
    let part_of_a_longer_path = |c: char| c.is_alphanumeric() || "._-/}~$".contains(c);
    for (number, line) in file.text.lines().enumerate() {
        for path in MACHINE_PATHS {
            let hit = line.match_indices(path).any(|(at, _)| !line[..at].ends_with(part_of_a_longer_path));
            if hit {
                return Some(format!(
                    "{}:{}: {path} exists on one machine only: use a path from the root of the tree",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    None
}

/// Says that the file holds `unsafe` code and is not on the list, or is on the list without need.
#[must_use]
pub fn unsafe_complaint(file: &File) -> Option<String> {
    if !file.path.ends_with(".rs") {
        return None;
    }
    match (has_word(&code_only(&file.text), "unsafe"), listed(UNSAFE_ON_PURPOSE, &file.path)) {
        (true, false) => Some(format!(
            "{}: `unsafe` outside the files that may hold it: do without, or add the file and the reason to \
             UNSAFE_ON_PURPOSE in tests/src/files.rs",
            file.path
        )),
        (false, true) if UNSAFE_ON_PURPOSE.iter().any(|(entry, _)| *entry == file.path) => Some(format!(
            "{}: holds no `unsafe` any more: take it off UNSAFE_ON_PURPOSE in tests/src/files.rs",
            file.path
        )),
        _ => None,
    }
}

/// Says which entries of the lists above name nothing in the tree any more.
#[must_use]
pub fn stale_list_complaints(files: &[File]) -> Vec<String> {
    let lists = [("LONG_ON_PURPOSE", LONG_ON_PURPOSE), ("UNSAFE_ON_PURPOSE", UNSAFE_ON_PURPOSE)];
    let entries = lists.iter().flat_map(|(name, list)| list.iter().map(move |(entry, _)| (name, entry)));
    entries
        .filter(|(_, entry)| !files.iter().any(|file| listed(&[(entry, "")], &file.path)))
        .map(|(list, entry)| format!("{list} in tests/src/files.rs names {entry}, which does not exist"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> File {
        File { path: path.to_owned(), text: text.into() }
    }

    #[test]
    fn long_code_is_named_and_other_files_are_not() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert!(length_complaint(&file("a/b.rs", "x\n".repeat(MAX_LINES))).is_none());
        assert!(length_complaint(&file("notes.md", long.as_str())).is_none());
        for path in ["a/b.rs", "a/b.py", "a/b.js", "a/b.css", "a/b.html"] {
            assert!(
                length_complaint(&file(path, long.as_str())).is_some_and(|found| found.contains("501 lines")),
                "{path}"
            );
        }
    }

    #[test]
    fn files_without_an_introduction_are_named() {
        for (path, good) in [
            ("a.rs", "//! For this.\nfn f() {}"),
            ("a.rs", "#![no_main]\n//! For this.\n"),
            ("a.py", "\"\"\"For this.\"\"\"\n"),
            ("a.py", "#!/usr/bin/env python3\n\n\"\"\"For this.\"\"\"\n"),
            ("x/tests/test_a.py", "import x\n"),
            ("a.js", "f()"),
        ] {
            assert!(introduction_complaint(&file(path, good)).is_none(), "{path}: {good}");
        }
        for (path, bad) in
            [("a.rs", "fn f() {}\n//! Late."), ("a.rs", "//!\n"), ("a.rs", ""), ("a.py", "import x\n"), ("a.py", "")]
        {
            assert!(introduction_complaint(&file(path, bad)).is_some(), "{path}: {bad}");
        }
    }

    #[test]
    fn machine_paths_are_named_with_their_line() {
        for start in MACHINE_PATHS {
            let found = machine_path_complaint(&file("a.sh", format!("x\ncd {start}tree\n")));
            assert!(found.is_some_and(|found| found.starts_with("a.sh:2: ")), "{start}");
            assert!(machine_path_complaint(&file("a.sh", format!("cd target{start}tree\n"))).is_none(), "{start}");
        }
    }

    #[test]
    fn unsafe_code_is_named_and_the_word_elsewhere_is_not() {
        for bad in ["unsafe { f() }", "unsafe impl Send for X {}", "#[unsafe(no_mangle)]", "/* c */ unsafe fn f() {}"] {
            assert!(unsafe_complaint(&file("a.rs", bad)).is_some(), "{bad}");
        }
        for good in ["// unsafe", "\"unsafe\"", "#![forbid(unsafe_code)]", "/// unsafe\nfn f() {}"] {
            assert!(unsafe_complaint(&file("a.rs", good)).is_none(), "{good}");
        }
        assert!(unsafe_complaint(&file("a.md", "unsafe")).is_none());
    }

    #[test]
    fn lists_know_files_and_folders() {
        let list = &[("a/b.rs", "why"), ("c/", "why")];
        assert!(listed(list, "a/b.rs") && listed(list, "c/d.rs"));
        assert!(!listed(list, "a/b.rs2") && !listed(list, "cc/d.rs"));
    }
}
