// SPDX-License-Identifier: MIT OR Apache-2.0
//! What packages install against what the programs and crates say.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

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
fn every_program_is_in_a_debian_package_with_its_page() {
    let lists = ["gst-plugin-kendryte-tools", "kendryte-recorder"];
    let lists = lists.map(|package| read(&format!("debian/{package}.install")));
    let installed: Vec<_> = lists.iter().flat_map(|list| list.lines()).collect();
    for program in PROGRAMS {
        for file in [
            format!("usr/bin/{program}"),
            format!("usr/share/man/man1/{program}.1"),
        ] {
            assert!(installed.contains(&&*file), "no package has {file}");
        }
    }
}

/// What pkg-config says of the plugin's place once meson has been given an option, the file having been moved.
fn place_of_the_plugin(moved: &Path, option: &str) -> PathBuf {
    let scratch = tempfile::tempdir().expect("a directory");
    let output = Command::new("meson")
        .args(["setup", "--prefix=/opt/kendryte", "--libdir=lib"])
        .arg(option)
        .arg(scratch.path())
        .arg(root())
        .output()
        .expect("meson is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{option}: {said}");
    let file = moved.join("lib/pkgconfig/gstkendryte.pc");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
    std::fs::copy(scratch.path().join("meson-private/gstkendryte.pc"), &file).expect("a file");
    let output = Command::new("pkg-config")
        .arg("--variable=plugin")
        .arg(&file)
        .output()
        .expect("pkg-config is installed");
    let place = String::from_utf8(output.stdout).expect("text");
    place.trim().into()
}

#[test]
fn the_pc_file_says_where_the_plugin_is_wherever_its_tree_is() {
    let moved = tempfile::tempdir().expect("a directory");
    let moved = moved.path().canonicalize().expect("it is there");
    for (option, directory) in [
        ("-Dplugindir=", moved.join("lib/gstreamer-1.0")),
        ("-Dplugindir=lib/plugins", moved.join("lib/plugins")),
        ("-Dplugindir=/opt/kendryte/plugins", moved.join("plugins")),
        // Not under the prefix: it does not move with it.
        ("-Dplugindir=/srv/plugins", "/srv/plugins".into()),
    ] {
        let place = place_of_the_plugin(&moved, option);
        let place = place
            .components()
            .fold(PathBuf::new(), |mut path, component| {
                match component {
                    Component::ParentDir => {
                        path.pop();
                    }
                    component => path.push(component),
                }
                path
            });
        assert_eq!(place, directory.join("libgstkendryte.so"), "{option}");
    }
}

/// As cross files of distributions have it, a list, and as Buildroot's has it, one string.
#[test]
fn what_a_cross_file_says_of_pkg_config_is_said_to_cargo() {
    let output = Command::new("pkg-config")
        .args(["--variable=pc_path", "pkg-config"])
        .output()
        .expect("pkg-config is installed");
    let path = String::from_utf8(output.stdout).expect("text");
    let path = path.trim();
    let list = format!("['{}']", path.replace(':', "', '"));
    for directories in [list, format!("'{path}'")] {
        let scratch = tempfile::tempdir().expect("a directory");
        let cross = scratch.path().join("cross");
        // This machine's tools stand for another's.
        let said = format!(
            "[binaries]\nc = 'cc'\npkgconfig = 'pkg-config'\npkg-config = 'pkg-config'\n[properties]\n\
             needs_exe_wrapper = true\nsys_root = '/'\npkg_config_libdir = {directories}\n[host_machine]\n\
             system = 'linux'\ncpu_family = 'riscv64'\ncpu = ''\nendian = 'little'\n"
        );
        std::fs::write(&cross, said).expect("a file");
        let build = scratch.path().join("build");
        let output = Command::new("meson")
            .args(["setup", "--cross-file"])
            .args([&cross, &build])
            .arg(root())
            .output()
            .expect("meson is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{directories}: {said}");
        let commands = std::fs::read_to_string(build.join("build.ninja")).expect("a file");
        for part in [
            format!(" PKG_CONFIG_LIBDIR={path} "),
            " CARGO_BUILD_TARGET=riscv64gc-unknown-linux-gnu ".into(),
        ] {
            assert!(commands.contains(&part), "{directories}: no {part:?}");
        }
    }
}

#[test]
fn buildroot_knows_the_licences_texts() {
    let output = Command::new("sha256sum")
        .args(["LICENSE-APACHE", "LICENSE-MIT"])
        .current_dir(root())
        .output()
        .expect("coreutils");
    let sums = String::from_utf8(output.stdout).expect("text");
    let known = read("packaging/buildroot/package/gst-plugin-kendryte/gst-plugin-kendryte.hash");
    for line in sums.lines() {
        let known = known
            .lines()
            .any(|known| known == format!("sha256  {line}"));
        assert!(known, "the hash file has no {line:?}");
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
    has(
        "packaging/buildroot/package/gst-plugin-kendryte/gst-plugin-kendryte.mk",
        &format!("GST_PLUGIN_KENDRYTE_VERSION = {version}\n"),
    );
    for program in PROGRAMS {
        has(
            &format!("packaging/man/{program}.1"),
            &format!("gst-plugin-kendryte {version}"),
        );
    }
}

/// What `scripts/setup.sh build` says on a system with this rustc and this GStreamer to be installed. Nothing is: it
/// ends there.
fn refused(rustc: &str, gstreamer: &str) -> String {
    let scratch = tempfile::tempdir().expect("a directory");
    let script = |name: &str, does: &str| {
        let path = scratch.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it is ours");
    };
    let installs = scratch.path().join("installs");
    script("id", "echo 0");
    script("cargo", "exit 1");
    script(
        "rustc",
        &format!("echo 'rustc {rustc} (4d91de4e4 2025-02-17)'"),
    );
    script("dpkg-query", "exit 0");
    script("apt-cache", &format!("echo '  Candidate: {gstreamer}'"));
    let noticed = format!(
        "case $1 in update) ;; *) echo \"$@\" >'{}' ;; esac",
        installs.display()
    );
    script("apt-get", &noticed);
    let path = std::env::var("PATH").expect("there is one");
    let output = Command::new(root().join("scripts/setup.sh"))
        .arg("build")
        .env("PATH", format!("{}:{path}", scratch.path().display()))
        .env_remove("RUSTC")
        .output()
        .expect("bash is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(!installs.exists(), "{said}");
    said
}

#[test]
fn what_is_too_old_is_said_before_anything_is_installed() {
    // Debian 13's, whose cargo would say more; Ubuntu 24.04's does not know the edition.
    for rustc in ["1.85.0", "1.75.0", "1.91.1-nightly"] {
        let said = refused(rustc, "1.26.2-2");
        let number = rustc.split('-').next().expect("a number");
        assert!(said.starts_with("Rust 1.92 or newer is needed"), "{said}");
        assert!(
            said.contains(number) && said.contains("https://rustup.rs"),
            "{said}"
        );
    }
    // Ubuntu 22.04's.
    let said = refused("1.92.0", "1.20.3-0ubuntu1");
    let sentence = "GStreamer 1.22 or newer is needed; this system has 1.20.3.";
    assert!(said.starts_with(sentence), "{said}");
}
