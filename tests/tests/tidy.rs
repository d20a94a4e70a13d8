//! The files of this tree are short, introduced, free of machine paths, and free of `unsafe` but for a few.

use scouter_tests::files::{self, File};
use scouter_tests::{tree, verdict};

fn all(check: fn(&File) -> Option<String>) -> Result<(), String> {
    let files = tree::files()?;
    assert!(files.iter().any(|file| file.path == "tests/tests/tidy.rs"), "git did not list this very file");
    verdict(&files.iter().filter_map(check).collect::<Vec<_>>())
}

#[test]
fn files_are_short() -> Result<(), String> {
    all(files::length_complaint)
}

#[test]
fn files_say_what_they_are_for() -> Result<(), String> {
    all(files::introduction_complaint)
}

#[test]
fn files_name_no_machine() -> Result<(), String> {
    all(files::machine_path_complaint)
}

#[test]
fn unsafe_code_is_where_it_is_expected() -> Result<(), String> {
    all(files::unsafe_complaint)
}

#[test]
fn lists_of_exceptions_are_not_stale() -> Result<(), String> {
    verdict(&files::stale_list_complaints(&tree::files()?))
}
