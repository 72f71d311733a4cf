// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cargo knows of the workspace's packages: what they depend on, under which licences, from where.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::path::Path;
use std::process::Command;
use std::str::SplitWhitespace;
use std::sync::LazyLock;

use serde_json::Value;

use crate::{entries, root};

/// What `cargo metadata` says of this machine's build.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let version = output(Command::new(env!("CARGO")).arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--offline"])
            .args(["--filter-platform", host.expect("a host")])
            .current_dir(root()),
    );
    serde_json::from_str(&metadata).expect("JSON")
});

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

static DENY: LazyLock<toml::Table> = LazyLock::new(|| {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    text.parse().expect("deny.toml is TOML")
});

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn packages() -> BTreeMap<&'static str, &'static Value> {
    let packages = list(&METADATA["packages"]).iter();
    packages
        .map(|package| (text(package, "id"), package))
        .collect()
}

/// The ids of what a package depends on, itself included, but not what its tests need.
fn dependencies(id: &str) -> BTreeSet<&'static str> {
    let nodes = list(&METADATA["resolve"]["nodes"]).iter();
    let nodes: BTreeMap<&str, &Value> = nodes.map(|node| (text(node, "id"), node)).collect();
    let wanted = |kind: &Value| kind["kind"] != "dev";
    let mut seen = BTreeSet::new();
    let mut open = vec![*nodes.get_key_value(id).unwrap().0];
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let deps = list(&nodes[id]["deps"]).iter();
            let deps = deps.filter(|dep| list(&dep["dep_kinds"]).iter().any(wanted));
            open.extend(deps.map(|dep| text(dep, "pkg")));
        }
    }
    seen
}

/// The ids of what a package's tests need, it and what it needs itself included.
fn dependencies_with_tests(id: &str) -> BTreeSet<&'static str> {
    let nodes = list(&METADATA["resolve"]["nodes"]).iter();
    let node = nodes.into_iter().find(|node| text(node, "id") == id);
    let direct = list(&node.unwrap()["deps"]).iter();
    direct
        .flat_map(|dep| dependencies(text(dep, "pkg")))
        .chain(dependencies(id))
        .collect()
}

/// The packages of the workspace by the folder of their manifest, the root's being empty.
pub(crate) fn members() -> BTreeMap<String, &'static Value> {
    let packages = packages();
    let members = list(&METADATA["workspace_members"]).iter();
    let members = members.map(|id| packages[id.as_str().unwrap()]);
    let folder = |package: &Value| {
        let manifest = Path::new(text(package, "manifest_path")).parent().unwrap();
        manifest
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    members.map(|package| (folder(package), package)).collect()
}

/// The folders of the workspace's packages that a package needs to build.
pub(crate) fn needed_members(package: &Value) -> BTreeSet<String> {
    let members = members();
    let needed = list(&package["dependencies"]).iter();
    let needed =
        needed.filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string());
    let needed: BTreeSet<&str> = needed.map(|dependency| text(dependency, "name")).collect();
    let members = members
        .into_iter()
        .filter(|(_, member)| needed.contains(text(member, "name")));
    members.map(|(folder, _)| folder).collect()
}

#[test]
fn crates_know_no_gstreamer() {
    let packages = packages();
    let foreign = |name: &str| {
        name.starts_with("gstreamer") || name.starts_with("glib") || name.starts_with("gio")
    };
    let mut checked = 0;
    for (folder, package) in members() {
        if !folder.starts_with("crates/") {
            continue;
        }
        checked += 1;
        // Its tests need none either, and link no plugin.
        for id in dependencies_with_tests(text(package, "id")) {
            let name = text(packages[id], "name");
            assert!(
                !foreign(name) && name != env!("CARGO_PKG_NAME"),
                "{folder} depends on {name}: what needs GStreamer is an element's"
            );
        }
    }
    assert_eq!(
        checked,
        entries("crates").len(),
        "a folder of crates/ is no package"
    );
}

/// A change is linked in seconds.
#[test]
fn the_plugins_tests_are_few_programs() {
    let targets = list(&members()[""]["targets"]).iter();
    let tests = targets.filter(|target| list(&target["kind"]).iter().any(|kind| kind == "test"));
    let names: BTreeSet<&str> = tests.map(|target| text(target, "name")).collect();
    assert_eq!(names, BTreeSet::from(["elements", "house", "programs"]));
}

/// The crate's first page is its README, whose example is a doctest.
#[test]
fn each_crates_readme_has_an_example_that_is_built() {
    for folder in entries("crates") {
        let library = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        assert!(
            library.contains("doc = include_str!(\"../README.md\")]"),
            "{} does not include its README",
            folder.display()
        );
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let fences = readme.lines().filter(|line| line.starts_with("```"));
        let built = |fence: &&str| ["```", "```rust", "```no_run"].contains(fence);
        assert!(
            fences.step_by(2).any(|fence| built(&fence)),
            "{}/README.md has no example that rustdoc builds",
            folder.display()
        );
    }
}

/// All Rust text of a package that may use what this kind of dependency brings.
fn text_of(folder: &str, kind: &str) -> String {
    let places: &[&str] = match kind {
        "dev" => &["src", "tests", "benches", "examples"],
        "build" => &["build.rs"],
        _ => &["src"],
    };
    let mut text = String::new();
    let mut open: Vec<_> = places
        .iter()
        .map(|it| root().join(folder).join(it))
        .collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(entries(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            let own = std::fs::read_to_string(&path).unwrap_or_default();
            // What several packages share is built in each.
            let shared = own.split("#[path = \"").skip(1);
            let shared = shared.filter_map(|rest| rest.split('"').next());
            open.extend(shared.map(|shared| path.with_file_name(shared)));
            text += &own;
        }
    }
    text
}

/// The library of a package: what it is called, and whether programs may load it too.
fn library_of(name: &str) -> Option<(&'static str, bool)> {
    let package = packages()
        .into_values()
        .find(|it| text(it, "name") == name)?;
    let has = |target: &Value, kind: &str| list(&target["crate_types"]).iter().any(|it| it == kind);
    let is_library = |target: &&Value| {
        let kinds = ["lib", "rlib", "proc-macro"];
        kinds.iter().any(|kind| has(target, kind))
    };
    let library = list(&package["targets"]).iter().find(is_library)?;
    Some((text(library, "name"), has(library, "cdylib")))
}

/// Whether a text has a name in a path, or imports it.
fn is_named(sources: &str, name: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    sources.match_indices(name).any(|(at, _)| {
        let before = sources[..at].chars().next_back();
        let after = sources[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && after.is_some_and(|it| ":; ".contains(it))
    })
}

/// What nobody names is not depended on. What a test only loads or preloads has to be built, and has no name there.
#[test]
fn every_dependency_is_used() {
    let (mut all, mut idle) = (0, Vec::new());
    for (folder, package) in members() {
        for dependency in list(&package["dependencies"]) {
            let kind = dependency["kind"].as_str().unwrap_or_default();
            let name = text(dependency, "name");
            let (library, is_loaded) = library_of(name).unwrap_or((name, false));
            let called = dependency["rename"].as_str().unwrap_or(library);
            let named = is_named(&text_of(&folder, kind), &called.replace('-', "_"));
            all += 1;
            let is_used = named || (is_loaded && kind == "dev");
            if !is_used {
                idle.push(format!("{folder}/Cargo.toml: {name}"));
            }
        }
    }
    assert!(all > 60, "{all}");
    assert!(idle.is_empty(), "nothing names\n{}", idle.join("\n"));
}

#[test]
fn every_package_takes_the_workspaces_lints() {
    for folder in members().into_keys() {
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{folder}/Cargo.toml: [lints] workspace"
        );
    }
}

#[test]
fn crates_can_be_published() {
    for (folder, package) in members() {
        if package["publish"].is_array() {
            continue;
        }
        for key in ["description", "license", "readme"] {
            assert!(!text(package, key).is_empty(), "{folder}/Cargo.toml: {key}");
        }
        let folder = root().join(folder);
        assert!(
            folder.join(text(package, "readme")).exists(),
            "{}",
            folder.display()
        );
        for dependency in list(&package["dependencies"]) {
            // Cargo takes a dependency for tests out where it has no version.
            let ours = dependency["path"].is_string() && dependency["kind"] != "dev";
            assert!(
                !ours || text(dependency, "req") != "*",
                "{}: no version of {}",
                folder.display(),
                dependency["name"]
            );
        }
    }
}

/// Whether a licence expression is met by these licences. The old `MIT/Apache-2.0` means `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_allowed(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// Terms joined by `OR`, which binds less than `AND`.
fn any_allowed(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut met = all_allowed(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_allowed(words, allowed);
    }
    met
}

fn all_allowed(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut met = one_allowed(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one_allowed(words, allowed);
    }
    met
}

fn one_allowed(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_allowed(words, allowed);
        return words.next() == Some(")") && met;
    }
    let mut licence = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence += &format!(" WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(licence.as_str())
}

/// A list of strings in deny.toml.
fn denied(table: &str, key: &str) -> BTreeSet<&'static str> {
    let list = DENY[table].get(key).and_then(toml::Value::as_array);
    let entries = list.into_iter().flatten();
    let name =
        |entry: &'static toml::Value| entry.as_str().or_else(|| entry.get("crate")?.as_str());
    entries.map(|entry| name(entry).expect("a name")).collect()
}

/// What `cargo deny check licenses bans sources` says where it is installed; deny.toml is the one list.
#[test]
fn dependencies_are_as_deny_toml_has_them() {
    let packages = packages();
    let allowed = denied("licenses", "allow");
    let skipped = denied("bans", "skip");
    let registries = denied("sources", "allow-registry");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let ours: BTreeSet<&str> = members()
        .into_values()
        .map(|package| text(package, "id"))
        .collect();
    let shipped: BTreeSet<&str> = ours.iter().flat_map(|id| dependencies(id)).collect();
    for id in shipped.difference(&ours) {
        let package = packages[id];
        let (name, licence) = (text(package, "name"), text(package, "license"));
        assert!(
            is_allowed(licence, &allowed),
            "{name} has the licence {licence:?}, which deny.toml does not allow"
        );
        let source = text(package, "source").trim_start_matches("registry+");
        assert!(
            registries.contains(source),
            "{name} is from {source}, which deny.toml does not allow"
        );
        versions
            .entry(name)
            .or_default()
            .insert(text(package, "version"));
    }
    for (name, versions) in &versions {
        assert!(
            versions.len() == 1 || skipped.contains(name),
            "{name} is there in versions {versions:?}"
        );
    }
    for name in skipped {
        assert!(
            versions.get(name).is_some_and(|it| it.len() > 1),
            "deny.toml skips {name}, which is there once"
        );
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"]);
    for met in [
        "MIT",
        "Apache-2.0 OR MIT",
        "MIT/Apache-2.0",
        "(GPL-3.0-only OR MIT) AND Zlib",
        "GPL-3.0-only AND Zlib OR Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for unmet in [
        "",
        "GPL-3.0-only",
        "MIT AND Apache-2.0",
        "(MIT OR Zlib) AND GPL-3.0-only",
        "MIT Zlib",
    ] {
        assert!(!is_allowed(unmet, &allowed), "{unmet}");
    }
}
