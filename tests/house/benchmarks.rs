// SPDX-License-Identifier: MIT OR Apache-2.0
//! `docs/benchmarks.md` has a place for what each bench writes, and the writer puts it there.

#[path = "../../benches/paired/page.rs"]
mod page;

use page::{NoPlace, replaced};

use crate::root;

const PAGE: &str = "docs/benchmarks.md";

#[test]
fn a_bench_writes_between_its_markers_and_nowhere_else() {
    let page =
        "prose\n<!-- a: begin -->\nold\n<!-- a: end -->\nmore\n<!-- b: begin --><!-- b: end -->";
    assert_eq!(
        replaced(page, "a", "\n| new |\n").unwrap(),
        "prose\n<!-- a: begin -->\n\n| new |\n\n<!-- a: end -->\nmore\n<!-- b: begin --><!-- b: end -->"
    );
    for place in ["", "<!-- a: begin -->", "<!-- a: end --><!-- a: begin -->"] {
        assert_eq!(replaced(place, "a", "new"), Err(NoPlace("a".into())));
    }
    let twice = page.repeat(2);
    assert_eq!(replaced(&twice, "a", "new"), Err(NoPlace("a".into())));
}

#[test]
fn a_page_is_written_with_date_commit_and_machine() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.md");
    std::fs::write(&file, "<!-- a: begin --><!-- a: end -->").unwrap();
    page::write(&file, "a", &page::stamp());
    let text = std::fs::read_to_string(&file).unwrap();
    for word in ["20", ", commit ", " cores of ", "GStreamer 1.", "Rust 1."] {
        assert!(text.contains(word), "no '{word}' in {text}");
    }
}

#[test]
fn each_bench_has_a_place_on_the_page() {
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    for package in [root(), &root().join("recorder")] {
        let manifest = std::fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let benches = manifest["bench"].as_array().unwrap();
        assert!(!benches.is_empty());
        for bench in benches {
            let name = bench["name"].as_str().unwrap();
            if let Err(error) = replaced(&text, name, "") {
                panic!("{PAGE}: {error}");
            }
            let source = package.join(format!("benches/{name}.rs"));
            let source = std::fs::read_to_string(source).unwrap();
            assert!(
                source.contains(&format!("Bench::new(\"{name}\")")),
                "{name}"
            );
        }
    }
}
