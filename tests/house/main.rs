// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules that hold the workspace together: crates know no GStreamer, elements do not know each
//! other, no files import each other in a circle, every dependency has a licence that we may ship, and
//! `docs/architecture.md` shows what is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

mod benchmarks;
mod code;
mod imports;
mod map;
mod packages;
mod packaging;
mod reference;
mod shells;
mod source;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The entries of a folder of the workspace, sorted.
fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found
}

/// The last part of a path.
fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

/// The elements: folders of `src` whose `mod.rs` registers one.
fn elements() -> Vec<String> {
    let registers = |folder: &PathBuf| {
        let module = std::fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        module.contains("gst::Element::register(")
    };
    let folders = entries("src").into_iter().filter(registers);
    folders.map(|folder| name(&folder).to_owned()).collect()
}
