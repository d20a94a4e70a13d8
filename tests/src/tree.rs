//! The real tree: its files and its manifests.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::files::File;
use crate::manifest::Manifest;
use crate::rows::Member;

/// The root of the tree, where the workspace's `Cargo.toml` is.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// All text files that are committed or that git would offer to commit.
///
/// # Errors
///
/// What git said when it could not list them, or the path of a file that could not be read.
pub fn files() -> Result<Vec<File>, String> {
    let root = root();
    let output = Command::new("git")
        .current_dir(&root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| format!("git could not be started to list the files of the tree: {error}"))?;
    if !output.status.success() {
        return Err(format!("git could not list the files of the tree: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut files = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).split_terminator('\0') {
        match std::fs::read(root.join(path)) {
            // What is not UTF-8 is no text: pictures, corpora.
            Ok(bytes) => files.extend(String::from_utf8(bytes).ok().map(|text| File { path: path.to_owned(), text })),
            // Deleted and not yet committed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{path} could not be read: {error}")),
        }
    }
    Ok(files)
}

/// The crates of the workspace with what they use, and their manifests in the same order.
///
/// # Errors
///
/// What cargo said when it could not tell, or the path of a manifest that could not be read.
pub fn members() -> Result<(Vec<Member>, Vec<Manifest>), String> {
    let root = root();
    let metadata = MetadataCommand::new()
        .cargo_path(env!("CARGO"))
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata failed: {error}"))?;
    let mut members = Vec::new();
    let mut manifests = Vec::new();
    for package in metadata.packages {
        let needed = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        let uses = needed.map(|dependency| dependency.name.clone()).collect();
        members.push(Member { name: package.name.to_string(), uses });
        let path = package.manifest_path.strip_prefix(&metadata.workspace_root).unwrap_or(&package.manifest_path);
        manifests.push(manifest(path.as_str())?);
    }
    Ok((members, manifests))
}

/// The manifest at `path`, seen from the root of the tree.
///
/// # Errors
///
/// The path, when it could not be read or is not TOML.
pub fn manifest(path: &str) -> Result<Manifest, String> {
    let text =
        std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path} could not be read: {error}"))?;
    Manifest::parse(path, &text)
}
