// SPDX-License-Identifier: MIT OR Apache-2.0
//! The example in C, built as its Makefile builds it against an installed package, and its tests with
//! gst-check.

use std::path::Path;
use std::process::Command;

/// `make` in examples/c, with what pkg-config says of an installed plugin.
fn make(scratch: &Path, target: &str) -> Command {
    let plugins = crate::common::plugin_path(scratch);
    let directory = scratch.join("pkgconfig");
    std::fs::create_dir_all(&directory).unwrap();
    let package = format!(
        "pluginsdir={}\n\nName: gstkendryte\nDescription: as meson writes it\nVersion: 0.1.0\n",
        plugins[0].1.display()
    );
    std::fs::write(directory.join("gstkendryte.pc"), package).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/c");
    let mut command = Command::new("make");
    command
        .arg("-C")
        .arg(source)
        .arg(format!("OUT={}", scratch.display()))
        .args(["CFLAGS=-O1 -Wall -Wextra -Werror", target])
        .env_remove("GST_PLUGIN_PATH")
        .env("PKG_CONFIG_PATH", directory)
        .env("GST_REGISTRY", scratch.join("registry"));
    command
}

#[test]
fn packs_are_read_in_c() {
    let dir = tempfile::tempdir().unwrap();
    crate::common::output(&mut make(dir.path(), "all"));
    let mut encode = Command::new(dir.path().join("encode"));
    let said = crate::common::output(
        encode
            .args(["stream.265", "8"])
            .current_dir(dir.path())
            .envs(crate::common::plugin_path(dir.path())),
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 8, "{said}");
    assert!(
        lines[0].starts_with("0:00:00.000000000: header: "),
        "{said}"
    );
    assert!(
        lines[0].contains(" I: ") && lines[7].contains(" P: "),
        "{said}"
    );
    let bytes: u64 = said
        .split(" bytes at ")
        .filter_map(|before| before.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    let file = dir.path().join("stream.265");
    assert_eq!(bytes, file.metadata().unwrap().len(), "{said}");
    assert_eq!(crate::common::frames(&file), 8);

    let refused = Command::new(dir.path().join("encode"))
        .args(["no/where.265", "1"])
        .current_dir(dir.path())
        .envs(crate::common::plugin_path(dir.path()))
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no/where.265"));
}

#[test]
fn the_c_example_passes_its_own_tests() {
    let dir = tempfile::tempdir().unwrap();
    let said = crate::common::output(&mut make(dir.path(), "check"));
    assert!(
        said.contains("100%: Checks: 2, Failures: 0, Errors: 0"),
        "{said}"
    );
}
