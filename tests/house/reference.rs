// SPDX-License-Identifier: MIT OR Apache-2.0
//! An element's page has what the element says of itself: signals, messages and other structures with each of
//! their fields and its type, the codes of its errors, and which threads its messages and signals come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{elements, name, root, sources};

/// Fields of caps, whose builders have the same methods.
const OF_CAPS: [&str; 3] = ["alignment", "colorimetry", "stream-format"];

/// What a field's type is called.
const TYPES: [&str; 8] = [
    "string",
    "guint",
    "guint64",
    "gint",
    "gint64",
    "gboolean",
    "gdouble",
    "GstStructure",
];

/// Structures that are part of something else than a message.
const NO_MESSAGE: [&str; 1] = ["pack"];

/// What an element's sources name.
#[derive(Default)]
struct Named {
    signals: BTreeSet<String>,
    structures: BTreeSet<String>,
    fields: BTreeSet<String>,
    /// Each structure's fields, as far as they are beside its name.
    fields_of: BTreeMap<String, BTreeSet<String>>,
    /// As C spells them.
    errors: BTreeSet<String>,
    /// What is taken from each module, by the module's name.
    taken: BTreeSet<(String, String)>,
}

/// What the next `field()` belongs to.
#[derive(PartialEq, Eq)]
enum Building {
    /// Its name, where that is known.
    Structure(Option<String>),
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
        self.scan(tokens, &mut Building::Structure(None));
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
                    if let Some(domain) = domain(&before).filter(|_| in_path)
                        && ident.starts_with(char::is_uppercase)
                    {
                        self.errors.insert(in_c(domain, &ident));
                    }
                    if let Some(module) = before.last().filter(|_| in_path) {
                        self.taken.insert((module.clone(), ident.clone()));
                    }
                    before.push(ident);
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Parenthesis {
                        self.call(&before, &group.stream(), building);
                    }
                    // `use gst::ResourceError::{NotFound, Write};`
                    if group.delimiter() == Delimiter::Brace
                        && let Some(module) = before.last().filter(|_| in_path)
                    {
                        let names = group.stream().into_iter().filter_map(|it| match it {
                            TokenTree::Ident(name) => Some(name.to_string()),
                            _ => None,
                        });
                        for name in names {
                            let domain = domain(&before);
                            self.errors.extend(domain.map(|domain| in_c(domain, &name)));
                            self.taken.insert((module.clone(), name));
                        }
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
                self.structures.extend(name.clone());
                *building = Building::Structure(name);
            }
            ("Caps", _, _) | (_, "debug_struct", _) => *building = Building::Other,
            (_, method, Some(name)) if method.starts_with("field") => {
                if let Building::Structure(structure) = &*building
                    && !OF_CAPS.contains(&name.as_str())
                {
                    if let Some(structure) = structure.clone() {
                        let fields = self.fields_of.entry(structure).or_default();
                        fields.insert(name.clone());
                    }
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

/// `Stream`, where what was named last is `StreamError`.
fn domain(before: &[String]) -> Option<&str> {
    let domain = before.last()?.strip_suffix("Error")?;
    ["Core", "Library", "Resource", "Stream"]
        .contains(&domain)
        .then_some(domain)
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

/// What an element's sources name.
fn named(element: &str) -> Named {
    let mut named = Named::default();
    for path in sources(&Path::new("src").join(element)) {
        // Caps are in the pads' table.
        if name(&path) != "caps.rs" {
            named.read(&path);
        }
    }
    named
}

/// The functions that elements share and that make errors, each behind its module's name, with the codes of these.
fn shared_errors() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut files = sources(Path::new("src/streams"));
    files.push(root().join("src/failure.rs"));
    let mut shared = BTreeMap::new();
    for path in files {
        let module = match name(&path) {
            "mod.rs" => "streams",
            file => file.trim_end_matches(".rs"),
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let tokens: TokenStream = code
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // The function whose body is still to come, and whether its name is.
        let (mut function, mut is_named) = (None, false);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if is_named => {
                    function = Some(ident.to_string());
                    is_named = false;
                }
                TokenTree::Ident(ident) => is_named = ident == "fn",
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                    let mut named = Named::default();
                    named.scan(body.stream(), &mut Building::Other);
                    if let Some(function) = function.take()
                        && !named.errors.is_empty()
                    {
                        shared.insert((module.to_owned(), function), named.errors);
                    }
                }
                _ => {}
            }
        }
    }
    shared
}

/// The page as the reference shows it: the module's comment and what it includes.
fn page(element: &str) -> String {
    let folder = root().join("src").join(element);
    let module = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let comment: Vec<&str> = module
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    assert!(
        module.contains("#![doc = include_str!(\"reference.md\")]"),
        "{element}'s page does not include reference.md"
    );
    let rest = std::fs::read_to_string(folder.join("reference.md")).unwrap();
    comment.join("\n") + "\n\n" + &rest
}

/// The parts of a page under the headings that begin so.
fn sections(page: &str, heading: &str) -> String {
    let parts = format!("\n{page}");
    let parts = parts.split("\n# ").skip(1);
    parts.filter(|part| part.starts_with(heading)).collect()
}

/// Whether a text names a type.
fn names_type(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| TYPES.contains(&word) || TYPES.contains(&word.trim_end_matches('s')))
}

/// Whether the type of a field stands behind it, behind the list that it is in (`a`, `b` and `c` (guint)), or before
/// a list of which all are the same.
fn is_typed(text: &str, field: &str) -> bool {
    let field = format!("`{field}`");
    text.split([';', '.']).any(|sentence| {
        let Some((before, mut behind)) = sentence.split_once(&field) else {
            return false;
        };
        if let Some((_, of_all)) = before.split_once("all ")
            && names_type(of_all.split('`').next().unwrap_or_default())
        {
            return true;
        }
        loop {
            let (gap, rest) = behind.split_once('`').unwrap_or((behind, ""));
            if names_type(gap) {
                return true;
            }
            // A remark in parentheses may be there.
            let (gap, remark) = gap.split_once('(').unwrap_or((gap, ")"));
            let glue = remark.split_once(')').map_or("", |(_, glue)| glue);
            let glue = format!("{}{}", gap.trim(), glue.trim());
            let next = rest.split_once('`').map(|(_, behind)| behind);
            match next {
                Some(next) if [",", "and", "or"].contains(&glue.as_str()) => behind = next,
                _ => return false,
            }
        }
    })
}

#[test]
fn every_field_signal_and_error_is_on_its_elements_page() {
    let shared = shared_errors();
    assert!(shared.len() > 3, "{shared:?}");
    let mut missing = Vec::new();
    let elements = elements();
    assert!(!elements.is_empty());
    for element in elements {
        let named = named(&element);
        let page = page(&element);
        let errors = shared
            .iter()
            .filter(|(function, _)| named.taken.contains(*function))
            .flat_map(|(_, codes)| codes.clone());
        let mut wanted: Vec<String> = errors.collect();
        wanted.extend(named.errors);
        wanted.extend(named.fields.iter().map(|it| format!("`{it}`")));
        wanted.retain(|it| !page.contains(it));
        let signals = sections(&page, "Signals\n");
        for signal in named.signals.iter().map(|it| format!("`{it}(")) {
            if !signals.contains(&signal) {
                wanted.push(format!("{signal} under Signals"));
            }
        }
        missing.extend(wanted.into_iter().map(|it| format!("{element}: {it}")));
    }
    assert!(
        missing.is_empty(),
        "not on the elements' pages:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_messages_field_has_its_type() {
    let mut missing = Vec::new();
    let mut messages = 0;
    for element in elements() {
        let named = named(&element);
        let page = page(&element);
        let text = sections(&page, "Messages\n") + &sections(&page, "Types of the messages");
        for structure in &named.structures {
            // The property says what that structure is.
            if structure.ends_with("-stats") || NO_MESSAGE.contains(&structure.as_str()) {
                continue;
            }
            messages += 1;
            if !text.contains(&format!("`{structure}`")) {
                missing.push(format!("{element}: {structure} under Messages"));
            }
            // What a GstDevice has is under a heading of its own.
            let fields = named.fields_of.get(structure).into_iter().flatten();
            let fields = fields.filter(|it| !it.starts_with("device."));
            let untyped = fields.filter(|field| !is_typed(&text, field));
            missing.extend(untyped.map(|it| format!("{element}: {structure}: {it}'s type")));
        }
    }
    assert!(messages > 10, "{messages}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_page_says_which_threads_there_are() {
    for element in elements() {
        let threads = sections(&page(&element), "Threads\n");
        assert!(threads.contains("thread"), "{element}: no Threads");
    }
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
