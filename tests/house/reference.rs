// SPDX-License-Identifier: MIT OR Apache-2.0
//! An element's page has what the element says of itself: signals, messages and other structures with each of
//! their fields, and the codes of its errors.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{elements, entries, name, root};

/// Fields of caps, whose builders have the same methods.
const OF_CAPS: [&str; 3] = ["alignment", "colorimetry", "stream-format"];

/// What an element's sources name.
#[derive(Default)]
struct Named {
    signals: BTreeSet<String>,
    structures: BTreeSet<String>,
    fields: BTreeSet<String>,
    /// As C spells them.
    errors: BTreeSet<String>,
}

/// What the next `field()` belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Building {
    Structure,
    /// Caps, or what `Debug` prints.
    Other,
}

impl Named {
    fn read(&mut self, path: &Path) {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Tests build structures too.
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let tokens: TokenStream = code
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.scan(tokens, &mut Building::Structure);
    }

    fn scan(&mut self, tokens: TokenStream, building: &mut Building) {
        // The identifiers before the token that is looked at, the last one last.
        let mut before: Vec<String> = Vec::new();
        let mut in_path = false;
        for token in tokens {
            let colon = matches!(&token, TokenTree::Punct(it) if it.as_char() == ':');
            match token {
                TokenTree::Ident(ident) => {
                    let ident = ident.to_string();
                    if let Some(domain) = before.last().and_then(|it| it.strip_suffix("Error"))
                        && ["Core", "Library", "Resource", "Stream"].contains(&domain)
                        && in_path
                        && ident.starts_with(char::is_uppercase)
                    {
                        self.errors.insert(in_c(domain, &ident));
                    }
                    before.push(ident);
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Parenthesis {
                        self.call(&before, &group.stream(), building);
                    }
                    self.scan(group.stream(), building);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            in_path = colon;
        }
    }

    /// Something is called, or a macro used, with these arguments.
    fn call(&mut self, before: &[String], arguments: &TokenStream, building: &mut Building) {
        let last = |back: usize| before.iter().rev().nth(back).map_or("", String::as_str);
        let first = arguments.clone().into_iter().next();
        let text = match &first {
            Some(TokenTree::Literal(literal)) => {
                let text = literal.to_string();
                let text = text
                    .strip_prefix('"')
                    .and_then(|text| text.strip_suffix('"'));
                text.map(str::to_owned)
            }
            _ => None,
        };
        match (last(1), last(0), text) {
            ("Signal", "builder", Some(name)) => {
                self.signals.insert(name);
            }
            ("Structure", "builder" | "new_empty", Some(name)) if name.contains('/') => {
                *building = Building::Other;
            }
            ("Structure", "builder", name) => {
                *building = Building::Structure;
                self.structures.extend(name);
            }
            ("Caps", _, _) | (_, "debug_struct", _) => *building = Building::Other,
            (_, method, Some(name)) if method.starts_with("field") => {
                let is_of_structure = *building == Building::Structure;
                if is_of_structure && !OF_CAPS.contains(&name.as_str()) {
                    self.fields.insert(name);
                }
            }
            (_, "report", _) => {
                if let Some(TokenTree::Ident(code)) = first
                    && code.to_string().starts_with(char::is_uppercase)
                {
                    self.errors.insert(in_c("Resource", &code.to_string()));
                }
            }
            _ => {}
        }
    }
}

/// `GST_STREAM_ERROR_WRONG_TYPE` of `Stream` and `WrongType`.
fn in_c(domain: &str, code: &str) -> String {
    let mut name = format!("GST_{}_ERROR", domain.to_uppercase());
    for letter in code.chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

/// The page as the reference shows it: the module's comment and what it includes.
fn page(element: &str) -> String {
    let folder = root().join("src").join(element);
    let module = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let comment: Vec<&str> = module
        .lines()
        .filter(|line| line.starts_with("//!"))
        .collect();
    assert!(
        module.contains("#![doc = include_str!(\"reference.md\")]"),
        "{element}'s page does not include reference.md"
    );
    let rest = std::fs::read_to_string(folder.join("reference.md")).unwrap();
    comment.join("\n") + &rest
}

#[test]
fn every_field_signal_and_error_is_on_its_elements_page() {
    let mut missing = Vec::new();
    let elements = elements();
    assert!(!elements.is_empty());
    for element in elements {
        let mut named = Named::default();
        for path in entries(Path::new("src").join(&element)) {
            // Caps are in the pads' table.
            if path.extension().is_some_and(|it| it == "rs") && name(&path) != "caps.rs" {
                named.read(&path);
            }
        }
        let page = page(&element);
        let mut wanted: Vec<String> = named.signals.iter().map(|it| format!("`{it}(")).collect();
        // The property says what that structure is.
        let structures = named.structures.iter().filter(|it| !it.ends_with("-stats"));
        let names = structures.chain(&named.fields);
        wanted.extend(names.map(|it| format!("`{it}`")));
        wanted.extend(named.errors);
        wanted.retain(|it| !page.contains(it));
        missing.extend(wanted.into_iter().map(|it| format!("{element}: {it}")));
    }
    assert!(
        missing.is_empty(),
        "not on the elements' pages:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_page_has_an_example_for_each_way_to_use_it() {
    for element in elements() {
        let page = page(&element);
        for example in ["gst-launch-1.0 ", "```python\n", "```c\n", "```rust"] {
            assert!(page.contains(example), "{element}: no {}", example.trim());
        }
    }
}

/// The details of a demuxer's warnings are made of a crate's.
#[test]
fn what_is_found_in_a_damaged_file_is_on_the_demuxers_page() {
    let path = root().join("crates/avi/src/reader/findings.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let facts = text.split("fn facts").nth(1).expect("it is there");
    let facts = facts.split("\n    }\n").next().unwrap();
    let names: Vec<&str> = facts.split('"').skip(1).step_by(2).collect();
    assert!(names.len() > 10, "{names:?}");
    let page = page("avimjpegdemux");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
