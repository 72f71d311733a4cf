// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for the sources file by file: where `unsafe` may be, what knows no GStreamer, what is declared once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::packages::members;
use crate::source::Target;
use crate::{elements, entries, imports, root, sources};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn tokens(path: &Path) -> TokenStream {
    let parsed = read(path).parse();
    parsed.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether a word is among the tokens; what comments and texts say is none.
fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Whether a file forbids `unsafe` in all that it is the root of.
fn forbids_unsafe(root: &Path) -> bool {
    read(root)
        .lines()
        .any(|line| line == "#![forbid(unsafe_code)]")
}

/// The libraries and programs of the workspace, each with its own files.
fn targets() -> Vec<(PathBuf, Vec<PathBuf>)> {
    let mut targets = Vec::new();
    for folder in members().into_keys() {
        let src = root().join(folder).join("src");
        let (programs, own): (Vec<_>, Vec<_>) = sources(&src)
            .into_iter()
            .partition(|file| file.starts_with(src.join("bin")));
        for name in ["lib.rs", "main.rs"] {
            if src.join(name).exists() {
                targets.push((src.join(name), own.clone()));
            }
        }
        targets.extend(programs.into_iter().map(|file| (file.clone(), vec![file])));
    }
    targets
}

#[test]
fn what_needs_no_unsafe_forbids_it() {
    let targets = targets();
    assert!(targets.len() > 10, "{targets:?}");
    for (root, files) in targets {
        let needed = files.iter().find(|file| has_word(tokens(file), "unsafe"));
        match needed {
            Some(file) => assert!(
                !forbids_unsafe(&root),
                "{} forbids unsafe, and {} has it in what is not built here",
                root.display(),
                file.display()
            ),
            None => assert!(
                forbids_unsafe(&root),
                "{} needs no unsafe: #![forbid(unsafe_code)]",
                root.display()
            ),
        }
    }
}

/// The lines in which unsafe code begins.
fn unsafe_blocks(lines: &[&str]) -> impl Iterator<Item = usize> {
    let begins = |line: &str| {
        let is_block = ["unsafe {", "unsafe impl "]
            .iter()
            .any(|it| line.contains(it));
        is_block && !line.trim().starts_with("//") && !line.contains('"')
    };
    (0..lines.len()).filter(move |at| begins(lines[*at]))
}

/// Whether the statement that a line is in has a reason in front of it, or within.
fn has_reason(lines: &[&str], at: usize) -> bool {
    let before = lines[..at].iter().rev().map(|line| line.trim());
    // Up to where another statement ends.
    let own = before.take_while(|line| {
        line.starts_with("//") || line.starts_with("#[") || !line.ends_with([';', '{', '}'])
    });
    own.chain([lines[at]]).any(|line| line.contains("SAFETY: "))
}

/// Clippy's `undocumented_unsafe_blocks` wants it again wherever a macro is used, and right before the statement.
#[test]
fn each_unsafe_block_has_its_reason() {
    let (mut blocks, mut bare) = (0, Vec::new());
    for folder in members().into_keys() {
        for part in ["src", "tests", "benches", "examples"] {
            let folder = root().join(&folder).join(part);
            if !folder.exists() {
                continue;
            }
            for file in sources(&folder) {
                let text = read(&file);
                let lines: Vec<&str> = text.lines().collect();
                let begins: Vec<usize> = unsafe_blocks(&lines).collect();
                blocks += begins.len();
                let without = begins.into_iter().filter(|at| !has_reason(&lines, *at));
                bare.extend(without.map(|at| format!("{}:{}", file.display(), at + 1)));
            }
        }
    }
    assert!(blocks > 100, "{blocks}");
    assert!(bare.is_empty(), "no `SAFETY: ` before\n{}", bare.join("\n"));
}

/// What a file or the module of its folder says of itself.
const PURE: &str = "Knows no GStreamer.";

fn says_that_it_is_pure(file: &Path) -> bool {
    let head = |file: &Path| {
        let text = read(file);
        let lines = text.lines().filter(|line| line.starts_with("//!"));
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let module = file.with_file_name("mod.rs");
    head(file).contains(PURE) || (module.exists() && head(&module).contains(PURE))
}

/// Tests may: a state machine is tried in a pipeline too.
#[test]
fn what_knows_no_gstreamer_imports_none_and_nothing_that_does() {
    let src = root().join("src");
    let files = imports::of_plugin();
    let pure: BTreeSet<&PathBuf> = files
        .keys()
        .filter(|file| says_that_it_is_pure(&src.join(file)))
        .collect();
    assert!(pure.len() > 30, "{pure:?}");
    let mut wrong = Vec::new();
    for file in &pure {
        for (target, path) in &files[*file] {
            let knows = match target {
                Target::Crate(name) => {
                    name.starts_with("gst") || ["gio", "glib"].contains(&&**name)
                }
                // What a folder's module says of the others is no import of them.
                Target::File(to) if to.ends_with("streams/mod.rs") => false,
                Target::File(to) => !pure.contains(to),
            };
            if knows {
                wrong.push(format!("src/{} names {path}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\"{PURE}\"\n{}", wrong.join("\n"));
}

/// What the fuzz targets take of the plugin by its path can be built without GStreamer.
#[test]
fn the_fuzz_targets_take_crates_and_what_knows_no_gstreamer() {
    let manifest: toml::Table = read(&root().join("fuzz/Cargo.toml")).parse().unwrap();
    for (name, dependency) in manifest["dependencies"].as_table().unwrap() {
        let is_ours = dependency.get("path").is_some();
        assert!(
            is_ours || ["libfuzzer-sys", "thiserror"].contains(&&**name),
            "fuzz depends on {name}"
        );
    }
    let targets = entries("fuzz/fuzz_targets");
    assert!(!targets.is_empty());
    for target in targets {
        let text = read(&target);
        let paths = text.split("#[path = \"").skip(1);
        for path in paths.map(|rest| rest.split('"').next().unwrap()) {
            let file = target.with_file_name(path).canonicalize().unwrap();
            let is_test = file.components().any(|it| it.as_os_str() == "tests");
            assert!(
                is_test || says_that_it_is_pure(&file),
                "{} takes {path}",
                target.display()
            );
        }
    }
}

/// The names of the properties that a file declares: `property!(Settings: max_time ...)`, `builder("name")`.
fn declared(tokens: TokenStream, before: &mut Vec<String>, found: &mut Vec<String>) {
    let mut is_macro = false;
    for token in tokens {
        let bang = matches!(&token, TokenTree::Punct(it) if it.as_char() == '!');
        match token {
            TokenTree::Group(group) => {
                let inner = group.stream();
                if is_macro && before.last().is_some_and(|it| it == "property") {
                    let idents = inner.clone().into_iter().filter_map(|token| match token {
                        TokenTree::Ident(ident) => Some(ident.to_string()),
                        _ => None,
                    });
                    let words: Vec<String> = idents.take(3).collect();
                    let literal = inner.clone().into_iter().find_map(|token| match token {
                        TokenTree::Literal(literal) => Some(literal.to_string()),
                        _ => None,
                    });
                    match (words.get(2).map(String::as_str), literal) {
                        (Some("as"), Some(called)) => found.push(called.replace('"', "")),
                        _ => found.extend(words.get(1).map(|field| field.replace('_', "-"))),
                    }
                } else if is_builder(before)
                    && let Some(TokenTree::Literal(name)) = inner.clone().into_iter().next()
                {
                    found.push(name.to_string().replace('"', ""));
                }
                declared(inner, &mut Vec::new(), found);
            }
            TokenTree::Ident(ident) => before.push(ident.to_string()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        is_macro = bang;
    }
}

/// Whether what stands before the arguments is `ParamSpecBoxed::builder::<gst::Structure>` or the like.
fn is_builder(before: &[String]) -> bool {
    let of_type = |it: &&String| ["gst", "Structure"].contains(&it.as_str());
    let mut words = before.iter().rev().skip_while(of_type);
    words.next().is_some_and(|it| it == "builder")
        && words.next().is_some_and(|it| it.starts_with("ParamSpec"))
}

/// By `property!`, or by `glib::Properties` where that can carry them, which sees to it itself.
#[test]
fn properties_are_declared_once_and_in_one_of_two_ways() {
    let mut all = 0;
    for element in elements() {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for file in sources(&Path::new("src").join(&element)) {
            let text = read(&file);
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let mut found = Vec::new();
            declared(code.parse().unwrap(), &mut Vec::new(), &mut found);
            for name in found {
                *names.entry(name).or_default() += 1;
            }
            let answers = code.contains("fn set_property(");
            let idioms = ["PROPERTIES.set(", "derived_set_property("];
            assert!(
                !answers || idioms.iter().any(|idiom| code.contains(idiom)),
                "{} sets properties by hand",
                file.display()
            );
        }
        all += names.len();
        names.retain(|_, times| *times > 1);
        assert!(
            names.is_empty(),
            "{element} declares more than once: {names:?}"
        );
    }
    assert!(all > 40, "{all} properties are declared");
}
