// SPDX-License-Identifier: MIT OR Apache-2.0
//! `docs/architecture.md` against the tree.

use std::collections::BTreeSet;

use crate::packages::{members, needed_members};
use crate::source::Target;
use crate::{elements, entries, imports, name, root};

const PAGE: &str = "docs/architecture.md";
const BEGIN: &str = "<!-- who imports whom: begin -->\n";
const END: &str = "<!-- who imports whom: end -->";

fn page() -> String {
    std::fs::read_to_string(root().join(PAGE)).unwrap()
}

/// An arrow from one part of the workspace to another.
type Arrow = (String, String);

/// The arrows from elements and the kit to the kit and the crates.
fn arrows_of_plugin() -> BTreeSet<Arrow> {
    let crates: Vec<(String, String)> = members()
        .into_iter()
        .map(|(folder, package)| (package["name"].as_str().unwrap().replace('-', "_"), folder))
        .collect();
    let mut arrows = BTreeSet::new();
    for (file, targets) in imports::of_plugin() {
        let from = imports::part(&file);
        for target in targets.into_keys() {
            let to = match target {
                Target::File(file) => imports::part(&file),
                Target::Crate(name) => match crates.iter().find(|it| it.0 == name) {
                    Some((_, folder)) => folder.clone(),
                    None => continue,
                },
            };
            if from != "lib" && to != "lib" && to != from {
                arrows.insert((from.clone(), to));
            }
        }
    }
    arrows
}

fn arrows() -> BTreeSet<Arrow> {
    let mut arrows = arrows_of_plugin();
    for (folder, package) in members() {
        if !folder.is_empty() {
            let targets = needed_members(package).into_iter();
            let targets = targets.map(|to| {
                if to.is_empty() {
                    "the plugin".to_owned()
                } else {
                    to
                }
            });
            arrows.extend(targets.map(|to| (folder.clone(), to)));
        }
    }
    arrows
}

/// The drawing, in Mermaid's words.
fn drawing() -> String {
    let elements = elements();
    let arrows = arrows();
    let id = |part: &str| part.replace(['/', '-', ' '], "_");
    let parts: BTreeSet<&String> = arrows.iter().flat_map(|(from, to)| [from, to]).collect();
    let group = |title: &str, belongs: &dyn Fn(&str) -> bool| {
        let lines = parts.iter().filter(|part| belongs(part));
        let lines: String = lines
            .map(|part| format!("    {}[\"{part}\"]\n", id(part)))
            .collect();
        format!("  subgraph {title}\n{lines}  end\n")
    };
    let element = |part: &str| elements.iter().any(|it| it == part);
    let crates = |part: &str| part.contains('/');
    let built_on_it = |part: &str| {
        !part.contains('/') && (part.ends_with("-sim") || ["film", "recorder"].contains(&part))
    };
    let kit =
        |part: &str| !element(part) && !crates(part) && !built_on_it(part) && part != "the plugin";
    let mut drawing = "```mermaid\nflowchart LR\n".to_owned();
    drawing += &group("elements", &element);
    drawing += &group("kit", &kit);
    drawing += &group("crates", &crates);
    for (from, to) in &arrows {
        drawing += &format!("  {} --> {}\n", id(from), id(to));
    }
    drawing + "```\n"
}

/// With `UPDATE=1` in the environment the drawing is made anew.
#[test]
fn the_drawing_is_what_the_sources_say() {
    let page = page();
    let (head, rest) = page.split_once(BEGIN).expect("a place for the drawing");
    let (shown, tail) = rest.split_once(END).expect("its end");
    let drawing = drawing();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(
            root().join(PAGE),
            format!("{head}{BEGIN}{drawing}{END}{tail}"),
        )
        .unwrap();
    } else {
        assert_eq!(
            shown, drawing,
            "`UPDATE=1 cargo test --test house` draws it anew"
        );
    }
}

/// Nothing is reached from itself, and no crate leads to an element.
#[test]
fn the_arrows_lead_in_no_circle() {
    let arrows = arrows();
    let elements = elements();
    for (from, to) in &arrows {
        assert!(
            !from.contains('/') || (to.contains('/') && !elements.contains(to)),
            "{from} --> {to}"
        );
        let mut reached = BTreeSet::new();
        let mut open = vec![to];
        while let Some(part) = open.pop() {
            assert!(part != from, "{from} --> {to} --> ... --> {from}");
            if reached.insert(part) {
                open.extend(arrows.iter().filter(|it| it.0 == *part).map(|it| &it.1));
            }
        }
    }
}

/// The paths in the page's tables. A `*` stands for what there are several of.
fn mapped() -> BTreeSet<String> {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let tops = entries("")
        .iter()
        .map(|path| name(path).to_owned())
        .collect::<Vec<_>>();
    let path = |word: &&str| {
        let top = word.split('/').next().unwrap_or_default();
        tops.iter().any(|it| it == top) && !word.contains('*')
    };
    quoted.filter(path).map(str::to_owned).collect()
}

#[test]
fn the_map_names_what_is_there() {
    let mapped = mapped();
    assert!(mapped.len() > 30, "{mapped:?}");
    for path in mapped {
        assert!(root().join(&path).exists(), "{PAGE} names {path}");
    }
}

#[test]
fn the_map_names_every_part() {
    let mapped = mapped();
    let mut parts = entries("src");
    parts.extend(entries("crates"));
    for part in parts {
        let part = format!("{}/{}", name(part.parent().unwrap()), name(&part));
        let has = mapped.iter().any(|path| path.trim_end_matches('/') == part);
        assert!(has, "{PAGE} has no row for {part}");
    }
}
