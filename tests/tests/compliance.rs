//! Each row of OpenTelemetry's compliance matrix is shown from Python and from Rust.

use scouter_tests::{compliance, tree, verdict};

#[test]
fn every_row_has_its_tests() -> Result<(), String> {
    let files = tree::files()?;
    let page = files.iter().find(|file| file.path == compliance::PAGE).ok_or("the page of the rows is missing")?;
    let rows = compliance::rows(&page.text);
    assert!(rows.len() > 100, "the page lists {} rows only", rows.len());
    verdict(&compliance::complaints(&rows, &files))
}
