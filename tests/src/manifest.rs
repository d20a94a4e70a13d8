//! How manifests look: dependencies declared once, features with one name everywhere, each explained.

use std::collections::BTreeSet;

use toml_edit::{Document, Item, Table, TableLike};

/// Features that mean the same in every crate that has them.
pub const SHARED_FEATURES: &[&str] = &["http", "grpc", "kafka", "kafka-tls", "rabbitmq", "full"];

/// Features of one crate only, because no other crate has anything to switch.
pub const OWN_FEATURES: &[(&str, &str)] = &[
    ("scouter-span", "opentelemetry"),
    ("scouter-propagation", "opentelemetry"),
    ("scouter-transport", "conformance"),
    ("scouter-transport", "json"),
    ("scouter-export", "opentelemetry-sdk"),
    ("scouter", "config-file"),
];

/// Declared dependencies that no manifest of the workspace names, each with the reason.
pub const UNUSED_ON_PURPOSE: &[(&str, &str)] = &[];

/// One `Cargo.toml`, parsed.
#[derive(Debug)]
pub struct Manifest {
    path: String,
    document: Document<String>,
}

impl Manifest {
    /// Parses the text of the manifest at `path`, which is only used in complaints.
    ///
    /// # Errors
    ///
    /// The path and the parser's words, when the text is not TOML.
    pub fn parse(path: &str, text: &str) -> Result<Self, String> {
        let document = Document::parse(text.to_owned()).map_err(|error| format!("{path} is not TOML: {error}"))?;
        Ok(Self { path: path.to_owned(), document })
    }

    fn root(&self) -> &Table {
        self.document.as_table()
    }

    fn package(&self) -> &str {
        self.root().get("package").and_then(|package| package.get("name")).and_then(Item::as_str).unwrap_or_default()
    }

    /// All dependency tables: normal, dev and build, also those for one target only.
    fn dependency_tables(&self) -> Vec<&dyn TableLike> {
        let everywhere = std::iter::once(self.root() as &dyn TableLike);
        let targets = self.root().get("target").and_then(Item::as_table_like);
        let per_target =
            targets.into_iter().flat_map(|table| table.iter()).filter_map(|(_, item)| item.as_table_like());
        everywhere
            .chain(per_target)
            .flat_map(|table| ["dependencies", "dev-dependencies", "build-dependencies"].map(|kind| table.get(kind)))
            .filter_map(|item| item.and_then(Item::as_table_like))
            .collect()
    }

    /// The names of all dependencies, as the manifest spells them.
    #[must_use]
    pub fn dependencies(&self) -> BTreeSet<String> {
        self.dependency_tables().into_iter().flat_map(|table| table.iter().map(|(name, _)| name.to_owned())).collect()
    }

    /// The names that a workspace manifest declares for its members.
    #[must_use]
    pub fn declared(&self) -> BTreeSet<String> {
        let table = self.root().get("workspace").and_then(|workspace| workspace.get("dependencies"));
        let table = table.and_then(Item::as_table_like);
        table.into_iter().flat_map(|table| table.iter().map(|(name, _)| name.to_owned())).collect()
    }

    /// Says what a member's manifest does not take from the workspace: dependencies and lints.
    #[must_use]
    pub fn inheritance_complaints(&self) -> Vec<String> {
        let inherited = |item: &Item| item.get("workspace").and_then(Item::as_bool) == Some(true);
        let mut found: Vec<String> = self
            .dependency_tables()
            .into_iter()
            .flat_map(TableLike::iter)
            .filter(|(_, item)| !inherited(item))
            .map(|(name, _)| {
                format!(
                    "{}: {name} has a version of its own: declare it in [workspace.dependencies] of the root \
                     Cargo.toml and write `{name}.workspace = true`",
                    self.path
                )
            })
            .collect();
        if !self.root().get("lints").is_some_and(inherited) {
            found.push(format!("{}: write `[lints]` and `workspace = true`", self.path));
        }
        found
    }

    /// Says which features have an unknown name, no explanation, or switch on a feature of another name elsewhere.
    #[must_use]
    pub fn feature_complaints(&self) -> Vec<String> {
        let Some(features) = self.root().get("features").and_then(Item::as_table) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, item) in features {
            if name == "default" {
                continue;
            }
            let own = OWN_FEATURES.contains(&(self.package(), name));
            if !own && !SHARED_FEATURES.contains(&name) {
                found.push(format!(
                    "{}: the feature {name} is new: use one of {}, or add it to OWN_FEATURES in tests/src/manifest.rs",
                    self.path,
                    SHARED_FEATURES.join(", ")
                ));
            }
            let above = features.key(name).and_then(|key| key.leaf_decor().prefix());
            let above = above.and_then(|raw| raw.as_str().or_else(|| self.document.raw().get(raw.span()?)));
            if !above.unwrap_or_default().contains('#') {
                found.push(format!("{}: say what the feature {name} brings in a comment above it", self.path));
            }
            let switched =
                item.as_array().into_iter().flat_map(|array| array.iter()).filter_map(|value| value.as_str());
            for (other, feature) in switched.filter_map(|entry| entry.split_once('/')) {
                let other = other.trim_end_matches('?');
                if other.starts_with("scouter") && SHARED_FEATURES.contains(&name) && name != "full" && feature != name
                {
                    found.push(format!(
                        "{}: the feature {name} switches on {other}/{feature}: a feature has one name everywhere",
                        self.path
                    ));
                }
            }
        }
        found
    }
}

/// Says which dependencies are declared in the workspace and used by no member.
#[must_use]
pub fn unused_complaints(workspace: &Manifest, members: &[Manifest]) -> Vec<String> {
    let used: BTreeSet<String> = members.iter().flat_map(Manifest::dependencies).collect();
    let meant = |name: &String| UNUSED_ON_PURPOSE.iter().any(|(unused, _)| unused == name);
    let declared = workspace.declared();
    let unused = declared.iter().filter(|name| !used.contains(*name) && !meant(name));
    unused.map(|name| format!("{}: no crate uses {name}: delete it", workspace.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest::parse("some/Cargo.toml", text).expect("the test's own text is TOML")
    }

    #[test]
    fn an_inheriting_manifest_passes() {
        let good = "[lints]\nworkspace = true\n[dependencies]\nbytes.workspace = true\n\
                    tokio = { workspace = true, optional = true }\n[dev-dependencies]\nprost.workspace = true\n";
        assert!(manifest(good).inheritance_complaints().is_empty());
        let names: Vec<_> = manifest(good).dependencies().into_iter().collect();
        assert_eq!(names, ["bytes", "prost", "tokio"]);
    }

    #[test]
    fn versions_of_ones_own_are_named_wherever_they_stand() {
        let bad = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = { version = \"1\" }\n\
                   [build-dependencies]\nc = { path = \"../c\" }\n[target.'cfg(unix)'.dependencies]\nd = \"1\"\n";
        let found = manifest(bad).inheritance_complaints();
        assert_eq!(found.len(), 5, "{found:?}");
        for (complaint, name) in found.iter().zip(["a", "b", "c", "d"]) {
            assert!(complaint.contains(&format!("some/Cargo.toml: {name} has a version")), "{complaint}");
        }
        assert!(found[4].contains("[lints]"), "{found:?}");
    }

    #[test]
    fn explained_features_with_shared_names_pass() {
        let good = "[package]\nname = \"scouter\"\n[features]\ndefault = [\"http\"]\n# OTLP over HTTP.\n\
                    http = [\"scouter-transport/http\", \"dep:hyper\"]\n# All of them.\nfull = [\"scouter-transport/http\"]\n";
        assert_eq!(manifest(good).feature_complaints(), Vec::<String>::new());
    }

    #[test]
    fn unknown_unexplained_and_crossed_features_are_named() {
        let bad = "[package]\nname = \"scouter\"\n[features]\n# Words.\nturbo = []\nhttp = []\n# Words.\n\
                   grpc = [\"scouter-transport?/http\"]\n";
        let found = manifest(bad).feature_complaints();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("turbo is new"), "{found:?}");
        assert!(found[1].contains("what the feature http brings"), "{found:?}");
        assert!(found[2].contains("grpc switches on scouter-transport/http"), "{found:?}");
    }

    #[test]
    fn a_declared_dependency_nobody_uses_is_named() {
        let workspace = manifest("[workspace.dependencies]\nbytes = \"1\"\nlibc = \"0.2\"\n");
        let found = unused_complaints(&workspace, &[manifest("[dependencies]\nbytes.workspace = true\n")]);
        assert_eq!(found, ["some/Cargo.toml: no crate uses libc: delete it"]);
    }
}
