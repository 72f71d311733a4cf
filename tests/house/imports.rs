// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who imports whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::{Crate, Target};
use crate::{elements, root};

/// Files, and what each imports, with a path that does so.
type Graph = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// The imports of the plugin's files, their paths relative to `src`.
pub(crate) fn of_plugin() -> BTreeMap<PathBuf, BTreeMap<Target, String>> {
    let src = root().join("src");
    let relative = |path: PathBuf| path.strip_prefix(&src).unwrap().to_owned();
    let imports = Crate::read(&src.join("lib.rs")).imports();
    let targets = |targets: BTreeMap<Target, String>| {
        let targets = targets.into_iter().map(|(target, path)| match target {
            Target::File(file) => (Target::File(relative(file)), path),
            other => (other, path),
        });
        targets.collect()
    };
    imports
        .into_iter()
        .map(|(file, of)| (relative(file), targets(of)))
        .collect()
}

/// What a file of `src` belongs to: an element, or a part of the kit.
pub(crate) fn part(file: &Path) -> String {
    let first = Path::new(file.components().next().unwrap().as_os_str());
    first.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The files of a graph that import each other in a circle, as sentences.
fn circles(graph: &Graph) -> Vec<String> {
    let reach = |from: &PathBuf| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(file) = open.pop() {
            for next in graph.get(&file).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<PathBuf>> =
        graph.keys().map(|it| (it, reach(it))).collect();
    let mut found = Vec::new();
    for (file, targets) in graph {
        for (target, path) in targets {
            if reached.get(target).is_some_and(|back| back.contains(file)) {
                let (file, target) = (file.display(), target.display());
                found.push(format!(
                    "{file} imports {target} (`{path}`), which leads back to it"
                ));
            }
        }
    }
    found
}

/// The imports among the plugin's files. An element's `mod.rs` names the subclass in its `imp.rs` as the
/// type that is registered, and that in turn names the type: this pair is left out.
fn among_files() -> Graph {
    let mut graph = Graph::new();
    for (file, targets) in of_plugin() {
        for (target, path) in targets {
            let Target::File(target) = target else {
                continue;
            };
            let names_its_subclass =
                file.ends_with("mod.rs") && target == file.with_file_name("imp.rs");
            if !names_its_subclass {
                graph.entry(file.clone()).or_default().insert(target, path);
            }
        }
    }
    graph
}

#[test]
fn files_import_each_other_in_no_circle() {
    let circles = circles(&among_files());
    assert!(
        circles.is_empty(),
        "{} imports stand in a circle:\n{}",
        circles.len(),
        circles.join("\n")
    );
}

#[test]
fn elements_import_no_other_element_and_the_kit_imports_none() {
    let elements = elements();
    let mut wrong = Vec::new();
    for (file, targets) in among_files() {
        for (target, path) in targets {
            let (from, to) = (part(&file), part(&target));
            if from != "lib" && to != from && (elements.contains(&to) || to == "lib") {
                wrong.push(format!(
                    "src/{} imports src/{} (`{path}`)",
                    file.display(),
                    target.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = scratch.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; pub use b::Passed;");
    write("a.rs", "use std::fmt; pub struct A(crate::Passed);");
    write(
        "b/mod.rs",
        "mod deep; pub use deep::Passed; #[cfg(test)] mod tests { use crate::a::A; }",
    );
    write(
        "b/deep.rs",
        "pub struct Passed; fn f() { debug!(1, crate::a::A) }",
    );
    let relative = |file: &Path| file.strip_prefix(scratch.path()).unwrap().to_owned();
    let mut graph = Graph::new();
    for (file, targets) in Crate::read(&scratch.path().join("lib.rs")).imports() {
        for (target, path) in targets {
            if let Target::File(target) = target {
                graph
                    .entry(relative(&file))
                    .or_default()
                    .insert(relative(&target), path);
            }
        }
    }
    assert_eq!(
        circles(&graph),
        [
            "a.rs imports b/deep.rs (`crate::Passed`), which leads back to it",
            "b/deep.rs imports a.rs (`crate::a::A`), which leads back to it"
        ]
    );
}
