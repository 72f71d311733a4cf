// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element tests share: the plugin in this process, pipelines run to their end, and the
//! programs of other people that read our files.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// Long enough for the slowest machine; only a hang reaches it.
pub(crate) const HANG: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// Starts GStreamer with the plugin registered in this process.
pub(crate) fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstkendryte::plugin_register_static().expect("the plugin registers");
    });
}

/// The footage that the tests carry: 5.28 s, 640x360, 25 frames a second, with sound.
pub(crate) fn footage() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bigbuckbunny.webm")
}

/// The environment in which another program finds the plugin that was built along with the tests;
/// the directory keeps what that takes.
pub(crate) fn plugin_path(scratch: &Path) -> [(&'static str, PathBuf); 2] {
    const NAME: &str = "libgstkendryte.so";
    // Cargo leaves it beside the test, among libraries that are no plugins.
    let test = std::env::current_exe().expect("a test has a path");
    let plugins = scratch.join("plugins");
    std::fs::create_dir_all(&plugins).expect("a directory");
    let plugin = plugins.join(NAME);
    // The link itself: what it leads to may be being built anew.
    if plugin.symlink_metadata().is_err() {
        std::os::unix::fs::symlink(test.with_file_name(NAME), &plugin).expect("a link");
    }
    [
        ("GST_PLUGIN_PATH", plugins),
        ("GST_REGISTRY", scratch.join("registry")),
    ]
}

/// The node that the double of the K230's V4L2 device has.
pub(crate) const K230_NODE: &str = "/dev/video-k230";

/// The double of the K230's V4L2 device, to be preloaded.
pub(crate) fn v4l2_double() -> PathBuf {
    dependency("libk230v4l2_sim.so")
}

/// The double of the K230's MPP library.
pub(crate) fn mpp_double() -> PathBuf {
    dependency("libk230mpp_sim.so")
}

/// A library that cargo builds as a dependency of the tests.
fn dependency(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    let deps = exe.parent().expect("a directory");
    [deps.join(name), deps.join("..").join(name)]
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is built with the tests"))
}

/// The program of an example, as its source is now. `cargo test --test NAME` builds no examples, so
/// that the one that lies there may be of any age.
pub(crate) fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// A program of a crate beside the plugin, as its source is now.
pub(crate) fn program(name: &str) -> PathBuf {
    built().join(name)
}

/// Builds examples and programs; answers with their profile's directory. They are built together and for
/// the whole workspace, as the tests were: one by one, what they depend on is built again with the features
/// that one alone asks for.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/TEST-HASH
    let profile = test.ancestors().nth(2).expect("a profile's directory");
    let target = profile.parent().expect("the directory of all profiles");
    let profile_name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What says which package this test is of: build scripts that look at it would run again.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_", "OUT_DIR"];
        if of_package
            .iter()
            .any(|it| name.to_string_lossy().starts_with(it))
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "--quiet", "--locked", "--workspace"])
        .args(["--examples", "--bins"])
        .args(["--profile", profile_name, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "the programs do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    profile.to_owned()
}

/// A pipeline that is taken to NULL when a test ends, however it ends.
pub(crate) struct Pipeline(pub gst::Pipeline);

impl Pipeline {
    /// Builds the pipeline that `gst-launch-1.0` would from the same words.
    pub(crate) fn launch(description: &str) -> Self {
        init();
        Self(
            gst::parse::launch(description)
                .unwrap_or_else(|error| panic!("{description}: {error}"))
                .downcast()
                .expect("a pipeline"),
        )
    }

    pub(crate) fn element(&self, name: &str) -> gst::Element {
        self.0
            .by_name(name)
            .unwrap_or_else(|| panic!("no element is called {name}"))
    }

    pub(crate) fn play(&self) {
        self.0
            .set_state(gst::State::Playing)
            .expect("the pipeline starts");
    }

    /// Plays to the end; an error on the bus comes back as its message and debug text.
    pub(crate) fn run(&self) -> Result<(), String> {
        if self.0.set_state(gst::State::Playing).is_err() {
            return Err(self.error().unwrap_or_else(|| "state change failed".into()));
        }
        self.wait()
    }

    /// Waits for EOS or an error, longer where the stream gets on.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let bus = self.0.bus().expect("a pipeline has a bus");
        let last = [gst::MessageType::Eos, gst::MessageType::Error];
        let mut before = None;
        let message = (0..2).find_map(|_| {
            let message = bus.timed_pop_filtered(HANG, &last);
            if message.is_none() {
                let now = self.0.query_position::<gst::ClockTime>();
                assert!(
                    now != before,
                    "neither EOS nor an error: the pipeline hangs"
                );
                before = now;
            }
            message
        });
        let message = message.expect("neither EOS nor an error: the pipeline hangs");
        match message.view() {
            gst::MessageView::Error(error) => Err(text_of(error)),
            _ => Ok(()),
        }
    }

    /// Waits for EOS, which comes as often as the pipeline plays to its end.
    pub(crate) fn ends(&self, what: &str) {
        self.wait()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// The words of the warnings up to EOS.
    pub(crate) fn warned(&self) -> Vec<String> {
        let bus = self.0.bus().expect("a pipeline has a bus");
        let mut warned = Vec::new();
        loop {
            let message = bus.timed_pop(HANG).expect("it hangs");
            match message.view() {
                gst::MessageView::Eos(_) => return warned,
                gst::MessageView::Error(error) => panic!("{}", text_of(error)),
                gst::MessageView::Warning(warning) => warned.push(warning.error().to_string()),
                _ => (),
            }
        }
    }

    /// The words of the warnings that are posted from here on, whoever takes messages from the bus.
    pub(crate) fn warnings(&self) -> Arc<Mutex<Vec<String>>> {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let keep = heard.clone();
        let bus = self.0.bus().expect("a pipeline has a bus");
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Warning(warning) = message.view() {
                let text = warning.error().to_string();
                keep.lock().expect("nobody panics").push(text);
            }
            gst::BusSyncReply::Pass
        });
        heard
    }

    /// The error that is waiting on the bus, if there is one.
    pub(crate) fn error(&self) -> Option<String> {
        let message = self.0.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(text_of(error)),
            _ => None,
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A seek to the beginning, with a flush.
pub(crate) fn to_the_beginning() -> gst::Event {
    gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        gst::ClockTime::ZERO,
        gst::SeekType::None,
        gst::ClockTime::NONE,
    )
}

/// What comes out of a sink until EOS. An error of its pipeline ends the wait for either.
pub(crate) fn samples(sink: &gst_app::AppSink) -> impl Iterator<Item = gst::Sample> + '_ {
    std::iter::from_fn(|| next_sample(sink))
}

/// What comes out of a sink next, if EOS is not what does.
pub(crate) fn next_sample(sink: &gst_app::AppSink) -> Option<gst::Sample> {
    let start = Instant::now();
    // What fails may be at its last sample, or send EOS itself: an error counts at the second look.
    let mut error = None;
    loop {
        let sample = sink.try_pull_sample(gst::ClockTime::from_mseconds(500));
        if sample.is_some() || sink.is_eos() {
            return sample;
        }
        if let Some(error) = error.replace(error_of(sink.upcast_ref())).flatten() {
            panic!("neither a sample nor EOS comes after an error: {error}");
        }
        assert!(
            start.elapsed().as_nanos() < u128::from(HANG.nseconds()),
            "neither a sample nor EOS: the pipeline hangs"
        );
    }
}

/// The error on the bus of an element's pipeline. Every message stays there.
fn error_of(element: &gst::Element) -> Option<String> {
    let parents = std::iter::successors(Some(element.clone().upcast::<gst::Object>()), |it| {
        it.parent()
    });
    let bus = parents.last()?.downcast::<gst::Pipeline>().ok()?.bus()?;
    let messages: Vec<_> = std::iter::from_fn(|| bus.pop()).collect();
    let error = messages.iter().find_map(|message| match message.view() {
        gst::MessageView::Error(error) => Some(text_of(error)),
        _ => None,
    });
    for message in messages {
        // Refused where the pipeline is being stopped.
        let _ = bus.post(message);
    }
    error
}

/// An error's message and debug text.
fn text_of(error: &gst::message::Error) -> String {
    let debug = error.debug().unwrap_or_default();
    format!("{} ({debug})", error.error())
}

/// Asserts that a message has all of these words.
pub(crate) fn assert_mentions(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "“{word}” is missing in: {text}");
    }
}

/// Debian's Python, which sees Debian's gi and cv2; another one in the PATH would not.
pub(crate) fn python() -> Command {
    let debian = Path::new("/usr/bin/python3");
    Command::new(if debian.exists() {
        debian
    } else {
        Path::new("python3")
    })
}

/// What a program printed; it has to succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// `ffprobe -show_entries`: the values, one a line, of entries such as `stream=nb_read_frames`.
pub(crate) fn ffprobe(file: &Path, options: &[&str], entries: &str) -> Vec<String> {
    output(
        Command::new("ffprobe")
            .args(["-v", "error"])
            .args(options)
            .args([
                "-show_entries",
                entries,
                "-of",
                "default=noprint_wrappers=1:nokey=1",
            ])
            .arg(file),
    )
    .lines()
    .map(str::to_owned)
    .collect()
}

/// The pictures in a file, decoded and counted.
pub(crate) fn frames(file: &Path) -> usize {
    let options = ["-count_frames", "-select_streams", "v"];
    let counts = ffprobe(file, &options, "stream=nb_read_frames");
    counts[0].parse().expect("a number")
}

/// How many of something a test does: `default`, or what the environment asks for.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(asked) => asked
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={asked} is no number")),
        Err(std::env::VarError::NotPresent) => default,
        Err(error) => panic!("{variable}: {error}"),
    }
}

/// What another thread has to send.
pub(crate) fn received<T>(receiver: &std::sync::mpsc::Receiver<T>) -> T {
    let hang = Duration::from_nanos(HANG.nseconds());
    receiver.recv_timeout(hang).expect("the other thread sends")
}

/// Waits for something that has to come about.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        let waited = start.elapsed().as_nanos();
        assert!(waited < u128::from(HANG.nseconds()), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
