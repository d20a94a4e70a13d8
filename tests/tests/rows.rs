//! The crates of this workspace keep to their rows, stay light, and declare dependencies and features one way.

use scouter_tests::manifest::{Manifest, unused_complaints};
use scouter_tests::{light, rows, tree, verdict};

#[test]
fn crates_use_lower_rows_only() -> Result<(), String> {
    let (members, _) = tree::members()?;
    assert!(members.iter().any(|member| member.name == "scouter-span"), "cargo metadata named no crate of ours");
    verdict(&rows::complaints(&members))
}

#[test]
fn light_crates_stay_light() -> Result<(), String> {
    let mut complaints = Vec::new();
    for build in light::BUILDS {
        complaints.extend(build.complaints(&build.present(&tree::root())?));
    }
    verdict(&complaints)
}

#[test]
fn dependencies_are_declared_once_and_lints_inherited() -> Result<(), String> {
    let (_, manifests) = tree::members()?;
    verdict(&manifests.iter().flat_map(Manifest::inheritance_complaints).collect::<Vec<_>>())
}

#[test]
fn every_declared_dependency_is_used() -> Result<(), String> {
    let (_, manifests) = tree::members()?;
    verdict(&unused_complaints(&tree::manifest("Cargo.toml")?, &manifests))
}

#[test]
fn features_are_explained_and_have_one_name_everywhere() -> Result<(), String> {
    let (_, manifests) = tree::members()?;
    verdict(&manifests.iter().flat_map(Manifest::feature_complaints).collect::<Vec<_>>())
}
