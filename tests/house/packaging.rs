// SPDX-License-Identifier: MIT OR Apache-2.0
//! What packages install against what the programs and crates say.

use std::collections::BTreeSet;

use crate::{entries, name, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_udev_rule_has_the_boards_that_are_searched_for() {
    let rules = read("packaging/udev/70-k210.rules");
    let value = |line: &str, key: &str| {
        let rest = line.split_once(&format!("ENV{{{key}}}==\""))?.1;
        Some(rest.split('"').next()?.to_owned())
    };
    let ids = rules
        .lines()
        .filter_map(|line| Some((value(line, "ID_VENDOR_ID")?, value(line, "ID_MODEL_ID")?)));
    let searched = k210_link::discovery::ADAPTERS.iter();
    let searched =
        searched.map(|(vendor, product, _)| (format!("{vendor:04x}"), format!("{product:04x}")));
    assert_eq!(ids.collect::<BTreeSet<_>>(), searched.collect());
}

/// The options in a text, as in `--frame-rate`.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
    options.map(str::to_owned).collect()
}

#[test]
fn man_pages_have_the_programs_options() {
    for (program, source) in [
        ("avi-repair", "crates/avi/src/bin/avi-repair.rs"),
        ("k210-film", "film/src/options.rs"),
        ("k210-sim", "crates/k210-sim/src/bin/k210-sim.rs"),
        ("k230-probe", "crates/k230/src/bin/k230-probe.rs"),
        ("kendryte-recorder", "recorder/src/options.rs"),
    ] {
        let page = read(&format!("packaging/man/{program}.1")).replace("\\-", "-");
        let known = options(&read(source));
        assert_eq!(options(&page), known, "{program}");
    }
}

/// What is installed beside the plugin.
const PROGRAMS: [&str; 5] = [
    "avi-repair",
    "k210-film",
    "k210-sim",
    "k230-probe",
    "kendryte-recorder",
];

#[test]
fn every_program_is_installed_with_its_page() {
    let meson = read("meson.build");
    for program in PROGRAMS {
        for part in [
            format!("['{program}', '"),
            format!("'packaging/man/{program}.1'"),
        ] {
            assert!(meson.contains(&part), "meson.build has no {part:?}");
        }
        let packages = entries("debian").into_iter();
        let lists = packages.filter(|file| file.extension().is_some_and(|it| it == "install"));
        let lists: String = lists
            .map(|file| read(&format!("debian/{}", name(&file))))
            .collect();
        for part in [
            format!("usr/bin/{program}\n"),
            format!("usr/share/man/man1/{program}.1\n"),
        ] {
            assert!(lists.contains(&part), "no Debian package has {part:?}");
        }
    }
}

#[test]
fn every_package_has_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let has = |path: &str, line: &str| assert!(read(path).contains(line), "{path} has no {line:?}");
    has("meson.build", &format!("version: '{version}'"));
    has(
        "debian/changelog",
        &format!("gst-plugin-kendryte ({version}-"),
    );
    for program in PROGRAMS {
        has(
            &format!("packaging/man/{program}.1"),
            &format!("gst-plugin-kendryte {version}"),
        );
    }
}
