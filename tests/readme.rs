// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README's command lines, run as they are written.

use std::path::Path;
use std::process::Command;

mod common;

/// The lines that the README shows after a `$`.
fn commands() -> Vec<String> {
    include_str!("../README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn pipelines_run_as_written() {
    let scratch = tempfile::tempdir().unwrap();
    let pipelines: Vec<String> = commands()
        .into_iter()
        .filter(|command| command.starts_with("gst-launch-1.0 "))
        .collect();
    assert!(pipelines.len() >= 5, "{pipelines:#?}");
    // In the README's order: what is played was recorded before.
    for pipeline in pipelines {
        let output = Command::new("sh")
            .args(["-c", &pipeline])
            .current_dir(scratch.path())
            .envs(common::plugin_path(scratch.path()))
            // There is no window to be had here, and autovideosink then makes do without.
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            // Without a display this one takes the program down (Debian 12).
            .env("GST_PLUGIN_FEATURE_RANK", "dfbvideosink:NONE")
            .output()
            .expect("a shell");
        assert!(
            output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("ERROR"),
            "{pipeline}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    for (file, streams) in [("capture.avi", 1), ("sound.avi", 2)] {
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-count_frames",
                "-show_entries",
                "stream=codec_name,nb_read_frames",
            ])
            .args(["-of", "csv=print_section=0"])
            .arg(scratch.path().join(file))
            .output()
            .expect("ffprobe");
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.lines().count(), streams, "{file}: {output}");
        assert!(output.contains("mjpeg,50"), "{file}: {output}");
    }
}

#[test]
fn everything_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    for command in commands() {
        if let Some(target) = command.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}: ")), "{command}");
        }
    }
    for link in include_str!("../README.md").split("](").skip(1) {
        let link = link.split(')').next().unwrap().trim();
        if !link.starts_with("https://") {
            assert!(root.join(link).exists(), "{link}");
        }
    }
}
