//! The crates that stay light, and everything they may bring into a build.
//!
//! Every program that touches a span pays for these crates, so what they bring is written down and a new name is a
//! decision, not an accident.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// One build of a light crate and the packages that may be in it.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The package name.
    pub package: &'static str,
    /// The features switched on; the default ones are off.
    pub features: &'static str,
    /// Every package below it, macros at compile time included. `scouter-*` crates are the business of the rows.
    pub allowed: &'static [&'static str],
}

/// What all macros bring, at compile time only.
const MACROS: [&str; 4] = ["proc-macro2", "quote", "syn", "unicode-ident"];

/// The derive macro for errors.
const THISERROR: [&str; 6] = joined(MACROS, ["thiserror", "thiserror-impl"]);

/// Random ids: the seed from the operating system, the generator from `rand_xoshiro`.
const RANDOM: [&str; 5] = ["cfg-if", "getrandom", "libc", "rand_core", "rand_xoshiro"];

/// The light builds. Linux on x86-64 is looked at, so that the lists are the same on every machine.
pub const BUILDS: &[Build] = &[
    Build { package: "scouter-span", features: "", allowed: &SPAN },
    Build { package: "scouter-span", features: "opentelemetry", allowed: &SPAN_OPENTELEMETRY },
    Build { package: "scouter-propagation", features: "", allowed: &PROPAGATION },
    Build { package: "scouter-queue", features: "", allowed: &QUEUE },
    Build { package: "scouter-transport", features: "", allowed: &TRANSPORT },
];

const SPAN: [&str; 11] = joined(THISERROR, RANDOM);
const SPAN_OPENTELEMETRY: [&str; 15] =
    joined(SPAN, ["futures-core", "futures-sink", "opentelemetry", "pin-project-lite"]);
const PROPAGATION: [&str; 12] = joined(SPAN, ["percent-encoding"]);
// Profiles are JSON, read strictly, and so are the contexts of records.
const QUEUE: [&str; 18] = joined(SPAN, ["itoa", "memchr", "serde", "serde_core", "serde_derive", "serde_json", "zmij"]);
const TRANSPORT: [&str; 12] = joined(
    MACROS,
    // The bytes sent, the spread of retries, and the clock and tasks of the runtime that the caller brings.
    ["bytes", "fastrand", "libc", "mio", "pin-project-lite", "socket2", "tokio", "tokio-macros"],
);

const fn joined<const A: usize, const B: usize, const C: usize>(
    a: [&'static str; A],
    b: [&'static str; B],
) -> [&'static str; C] {
    assert!(A + B == C, "the length on the left is not the sum of the lengths on the right");
    let mut all = [""; C];
    let mut at = 0;
    while at < A {
        all[at] = a[at];
        at += 1;
    }
    while at < C {
        all[at] = b[at - A];
        at += 1;
    }
    all
}

impl Build {
    /// Says which packages are in the build and not on the list, and the other way round.
    #[must_use]
    pub fn complaints(&self, present: &BTreeSet<String>) -> Vec<String> {
        let with = match self.features {
            "" => "without features".to_owned(),
            features => format!("with the feature {features}"),
        };
        let heavy = present
            .iter()
            .filter(|name| !name.starts_with("scouter") && !self.allowed.contains(&name.as_str()))
            .map(|name| {
                format!(
                    "{} {with} now brings {name} into every program: do without it, put it behind a feature, \
                     or add it to the list in tests/src/light.rs and say why",
                    self.package
                )
            });
        let gone = self.allowed.iter().filter(|name| !present.contains(**name)).map(|name| {
            format!("{} {with} no longer brings {name}: take it off the list in tests/src/light.rs", self.package)
        });
        heavy.chain(gone).collect()
    }

    /// Asks `cargo tree` which packages are in the build, without the crate itself.
    ///
    /// # Errors
    ///
    /// What cargo said, when it could not answer.
    pub fn present(&self, root: &Path) -> Result<BTreeSet<String>, String> {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["tree", "--prefix", "none", "--format", "{p}", "--edges", "normal"])
            .args(["--target", "x86_64-unknown-linux-gnu", "--package", self.package])
            .args(["--no-default-features", "--features", self.features])
            .output()
            .map_err(|error| format!("cargo tree could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut names: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect();
        if !names.remove(self.package) {
            return Err(format!("cargo tree did not name {}: its output has changed", self.package));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: Build = Build { package: "scouter-span", features: "", allowed: &["thiserror"] };

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_on_the_list_and_crates_of_ours_pass() {
        assert!(BUILD.complaints(&names(&["thiserror", "scouter-span"])).is_empty());
    }

    #[test]
    fn a_new_package_is_named_together_with_the_file_to_edit() {
        let found = BUILD.complaints(&names(&["thiserror", "tokio"]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("brings tokio") && found[0].contains("tests/src/light.rs"), "{found:?}");
    }

    #[test]
    fn a_package_that_went_away_is_named() {
        let found = BUILD.complaints(&names(&[]));
        assert!(found[0].contains("no longer brings thiserror"), "{found:?}");
    }
}
