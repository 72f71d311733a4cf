// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command lines that the documentation shows, run as they are written there.
#![allow(dead_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common;

/// Only a hang takes that long.
const FAILSAFE: Duration = Duration::from_secs(150);

/// A file that was recorded to has more than its headers from here on.
const RECORDED: u64 = 20_000;

/// The `gst-launch-1.0` lines in the fenced blocks of a Markdown text, with or without a prompt.
pub(crate) fn in_markdown(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut fenced, mut goes_on) = (false, false);
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let (words, more) = match line.strip_suffix('\\') {
            Some(words) => (words, true),
            None => (line, false),
        };
        if goes_on {
            found.last_mut().expect("it has begun").push_str(words);
        } else if fenced && line.starts_with("gst-launch-1.0 ") {
            found.push(words.to_owned());
        } else {
            continue;
        }
        goes_on = more;
    }
    found
}

/// The same in the documentation of a Rust module.
pub(crate) fn in_module(source: &str) -> Vec<String> {
    let text: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    in_markdown(&text.join("\n"))
}

/// A directory to run command lines in, with the plugin at hand and no display.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    /// What is somewhere else here than the documentation says.
    substitutes: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place {
            directory: tempfile::tempdir().unwrap(),
            substitutes: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on `documented` is replaced.
    pub(crate) fn substitute(&mut self, documented: &str, by: impl AsRef<Path>) {
        let by = by.as_ref().to_str().expect("a path in UTF-8");
        self.substitutes.push((documented.into(), by.into()));
    }

    /// Starts a line.
    pub(crate) fn start(&self, line: &str) -> Running<'_> {
        let mut text = line.to_owned();
        for (documented, by) in &self.substitutes {
            text = text.replace(documented, by);
        }
        let number = fs::read_dir(self.path()).unwrap().count();
        let output = self.path().join(format!("{number}.output"));
        let trace = self.path().join(format!("{number}.trace"));
        let file = File::create(&output).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec {text}")])
            .current_dir(self.path())
            .envs(common::plugin_path(self.path()))
            // There is no window to be had here, and autovideosink then makes do without.
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            // Without a display this one takes the program down (Debian 12).
            .env("GST_PLUGIN_FEATURE_RANK", "dfbvideosink:NONE")
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let files = files_in(&text);
        let endless = !["num-buffers=", "filesrc ", "fdsrc ", "duration="]
            .iter()
            .any(|end| text.contains(end));
        if endless && files.is_empty() {
            // A line for each buffer that a sink shows. The latency tracer would say the same, but
            // locks itself out in GStreamer 1.26.2.
            command
                .env("GST_DEBUG", "basesink:DEBUG")
                .env("GST_DEBUG_NO_COLOR", "1")
                .env("GST_DEBUG_FILE", &trace);
        }
        Running {
            child: command.spawn().expect("a shell"),
            place: self,
            text,
            endless,
            files,
            output,
            trace,
        }
    }

    /// Runs a line to its end, or until it has shown or recorded something and is interrupted.
    pub(crate) fn run(&self, line: &str) {
        let mut running = self.start(line);
        if running.endless {
            let deadline = Instant::now() + FAILSAFE;
            while !running.has_shown_something() {
                assert!(Instant::now() < deadline, "no picture: {}", running.said());
                running.wait_a_little();
            }
        }
        running.finish();
    }
}

/// The recordings that a line names.
fn files_in(line: &str) -> Vec<String> {
    line.split([' ', '=', '"'])
        .filter(|word| {
            [".avi", ".mp4", ".mkv", ".wav"]
                .iter()
                .any(|extension| word.ends_with(extension))
        })
        .map(str::to_owned)
        .collect()
}

/// A line that was started; it is killed if it is not waited for.
pub(crate) struct Running<'a> {
    child: Child,
    place: &'a Place,
    text: String,
    endless: bool,
    files: Vec<String>,
    output: PathBuf,
    trace: PathBuf,
}

impl Running<'_> {
    fn said(&self) -> String {
        let output = fs::read(&self.output).unwrap_or_default();
        format!("{}\n{}", self.text, String::from_utf8_lossy(&output))
    }

    /// Files that a name stands for, which may be a pattern for several.
    fn recordings(&self, name: &str) -> Vec<PathBuf> {
        let Some((start, end)) = name.split_once('%') else {
            return vec![self.place.path().join(name)];
        };
        let end = &end[end.find('d').map_or(0, |at| at + 1)..];
        let entries = fs::read_dir(self.place.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with(start) && name.ends_with(end)
            })
            .collect()
    }

    /// Whether pictures have got to the sink, or into the file.
    pub(crate) fn has_shown_something(&self) -> bool {
        if self.files.is_empty() {
            let trace = fs::read_to_string(&self.trace).unwrap_or_default();
            let shown = |line: &&str| line.contains(" rendering object ");
            return trace.lines().filter(shown).count() >= 5;
        }
        let recorded = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.len() > RECORDED);
        self.files
            .iter()
            .all(|name| self.recordings(name).iter().any(recorded))
    }

    /// Passes some time; the line must not end meanwhile.
    pub(crate) fn wait_a_little(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended early: {}", self.said());
        std::thread::sleep(Duration::from_millis(50));
    }

    /// Whether it goes on by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Interrupts a line without an end, waits, and reads what it has recorded.
    pub(crate) fn finish(mut self) {
        if self.endless {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        }
        let deadline = Instant::now() + FAILSAFE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it hangs: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        };
        let said = self.said();
        assert!(status.success() && !said.contains("ERROR"), "{said}");
        for name in &self.files {
            let recordings = self.recordings(name);
            assert!(!recordings.is_empty(), "there is no {name}: {said}");
            for path in recordings {
                let counts = common::ffprobe(&path, &["-count_frames"], "stream=nb_read_frames");
                let full = |count: &String| count.parse::<u64>().is_ok_and(|count| count > 0);
                assert!(
                    !counts.is_empty() && counts.iter().all(full),
                    "{}: {counts:?} frames: {said}",
                    path.display()
                );
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
