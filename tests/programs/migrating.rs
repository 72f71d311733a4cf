// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/migrating.md: each row's pipelines and lines of Python are run, and its programs are ones
//! that other tests run.

use std::path::Path;
use std::process::Stdio;

const TABLE: &str = include_str!("../../docs/migrating.md");
const PROGRAM_TESTS: &str = include_str!("python_examples.rs");

/// Says what became of each row that it gets on a line of its standard input.
const RUNNER: &str = r#"
import json, sys, time
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
HANG = 120 * Gst.SECOND

def first_sink(pipeline):
    sinks = pipeline.iterate_sinks()
    return sinks.next()[1]

def run(pipeline, lines):
    r = pipeline.get_by_name("r")
    passed = []
    if lines:
        # A line is said while the stream runs: three buffers have reached the element by then.
        for pad in (r or first_sink(pipeline)).sinkpads:
            pad.add_probe(Gst.PadProbeType.BUFFER, lambda *_: passed.append(1) or Gst.PadProbeReturn.OK)
    pipeline.set_state(Gst.State.PLAYING)
    bus = pipeline.get_bus()
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
    ended = None
    values = []
    if lines:
        end = time.monotonic() + 120
        while len(passed) < 3 and ended is None:
            ended = bus.timed_pop_filtered(10 * Gst.MSECOND, kinds)
            assert time.monotonic() < end, "nothing comes"
        names = {"Gst": Gst, "pipeline": pipeline, "r": r}
        for line in lines:
            try:
                values.append(eval(line, names))
            except SyntaxError:
                exec(line, names)
        if pipeline.get_state(0)[1] == Gst.State.NULL:
            return values
        pipeline.send_event(Gst.Event.new_eos())
        if r is not None and r.get_factory().get_name() == "appsink":
            # It ends when its samples have been pulled.
            while r.emit("pull-sample") is not None:
                pass
    message = ended or bus.timed_pop_filtered(HANG, kinds)
    assert message is not None, "it neither ends nor fails"
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        raise RuntimeError(f"{error.message} ({details})")
    return values

for row in sys.stdin:
    row = json.loads(row)
    pipeline = None
    try:
        pipeline = Gst.parse_launch(row["pipeline"])
        print(json.dumps({"values": [str(value) for value in run(pipeline, row["lines"])]}))
    except Exception as error:
        print(json.dumps({"error": repr(error)}))
    if pipeline is not None:
        pipeline.set_state(Gst.State.NULL)
"#;

#[derive(Debug)]
struct Row {
    call: String,
    pipelines: Vec<String>,
    lines: Vec<String>,
    programs: Vec<String>,
    is_absent: bool,
}

/// What is between backquotes.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows(section: &str) -> Vec<Row> {
    let text = TABLE
        .split("\n## ")
        .find(|text| text.starts_with(section))
        .unwrap_or_else(|| panic!("no section is called {section}"));
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells.len() > 1 && !cells[0].starts_with("---"))
        .map(|cells| {
            assert!(cells.len() <= 3, "{cells:?}");
            (cells[0].trim().to_owned(), cells[1].trim())
        })
        .filter(|(_, here)| !["here", "pipeline"].contains(here))
        .map(|(call, here)| {
            let (pipelines, rest): (Vec<_>, Vec<_>) = code(here)
                .into_iter()
                .filter(|code| !code.starts_with("appsrc"))
                .map(str::to_owned)
                .partition(|code| code.contains(" ! "));
            let lines = rest
                .into_iter()
                .filter(|code| code.contains('(') && !here.starts_with('–'))
                .collect();
            Row {
                call,
                pipelines,
                lines,
                programs: here
                    .split("../examples/python/")
                    .skip(1)
                    .map(|rest| rest.split(')').next().unwrap().to_owned())
                    .collect(),
                is_absent: here.starts_with('–'),
            }
        })
        .collect()
}

/// The names of the files that a pipeline writes.
fn written(pipeline: &str) -> Vec<&str> {
    pipeline
        .split_whitespace()
        .zip(["filesrc"].into_iter().chain(pipeline.split_whitespace()))
        .filter(|(_, before)| *before != "filesrc" && *before != "circularsink")
        .filter_map(|(word, _)| word.split_once("location=").map(|(_, name)| name))
        .filter(|name| !name.contains('%') && *name != "buffer.mkv")
        .collect()
}

fn check(section: &str) {
    let dir = tempfile::tempdir().unwrap();
    crate::common::init();
    for input in [
        "videotestsrc num-buffers=10 ! video/x-raw,width=320,height=240,framerate=20/1 ! jpegenc ! m. \
         audiotestsrc num-buffers=5 samplesperbuffer=4410 ! \
         audio/x-raw,format=S16LE,rate=44100,channels=1 ! m. \
         avimjpegmux name=m ! filesink location=film.avi",
        "audiotestsrc num-buffers=5 ! audio/x-raw,rate=48000,channels=1 ! recordsink location=sound.wav",
        "videotestsrc num-buffers=10 ! video/x-raw,format=BGR,width=640,height=480 ! \
         filesink location=frames",
    ] {
        let at = |name: &str| format!("location={}/{name}", dir.path().display());
        let input = input
            .replace("location=film.avi", &at("film.avi"))
            .replace("location=sound.wav", &at("sound.wav"))
            .replace("location=frames", &at("frames"));
        crate::common::Pipeline::launch(&input).run().unwrap();
    }

    let mut jobs = Vec::new();
    for row in rows(section) {
        let shown = !row.pipelines.is_empty() || !row.programs.is_empty();
        assert!(shown != row.is_absent, "{row:?}");
        assert!(
            row.lines.is_empty() || !row.pipelines.is_empty(),
            "lines want a pipeline: {row:?}"
        );
        for program in &row.programs {
            assert!(
                PROGRAM_TESTS.contains(&format!("\"{program}\"")),
                "no test runs {program}"
            );
        }
        for pipeline in row.pipelines {
            // One that is talked to goes on by itself until it is told to end.
            let live = !row.lines.is_empty();
            let (camera, microphone) = if live {
                ("is-live=true", "is-live=true samplesperbuffer=480")
            } else {
                ("num-buffers=30", "num-buffers=30 samplesperbuffer=1600")
            };
            let real = pipeline
                .replace(
                    "CAMERA",
                    &format!(
                        "videotestsrc {camera} ! video/x-raw,width=320,height=240,framerate=30/1"
                    ),
                )
                .replace(
                    "MICROPHONE",
                    &format!(
                        "audiotestsrc {microphone} ! audio/x-raw,format=S16LE,rate=48000,channels=1"
                    ),
                )
                .replace("SCREEN", "fakesink")
                .replace("SPEAKER", "fakesink sync=true")
                .replace("fdsrc ", "filesrc location=frames ");
            jobs.push((row.call.clone(), pipeline, real, row.lines.clone()));
        }
    }
    assert!(jobs.len() >= 3, "{section}: {jobs:?}");

    let mut wrong = Vec::new();
    // A program each: what one leaves behind is not the next one's.
    for (call, pipeline, real, lines) in jobs {
        let row = serde_json::json!({ "pipeline": real, "lines": lines });
        let mut runner = crate::common::python();
        let mut runner = runner
            .args(["-c", RUNNER])
            .current_dir(dir.path())
            .envs(crate::common::plugin_path(dir.path()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(
            &mut runner.stdin.take().unwrap(),
            format!("{row}\n").as_bytes(),
        )
        .unwrap();
        let output = runner.wait_with_output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut check = |right: bool, what: &str| {
            if !right {
                wrong.push(format!("{call}: {pipeline}\n  {lines:?}\n  {what}"));
            }
        };
        let succeeded = output.status.success() && answer.starts_with("{\"values\"");
        check(succeeded, &answer);
        for name in written(&pipeline) {
            let file = dir.path().join(name);
            let written = file.metadata().is_ok_and(|metadata| metadata.len() > 0);
            check(written, &format!("there is no {name}"));
            let _ = std::fs::remove_file(file);
        }
        for name in ["output.avi", "live.flv", "video.mp4"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows that say what a configuration of `kendryte-recorder` has: its manual explains each key and
/// address.
fn check_keys(section: &str) {
    const MANUAL: &str = include_str!("../../docs/recorder.md");
    let text = TABLE
        .split("\n## ")
        .find(|text| text.starts_with(section))
        .unwrap_or_else(|| panic!("no section is called {section}"));
    let mut keys = 0;
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        for code in code(cells[1]) {
            let key = code.split([' ', '?']).next().unwrap_or_default();
            let name = match code.split(' ').nth(1) {
                Some(path) if path.starts_with('/') => {
                    // What follows is a camera's and a clip's.
                    let fixed = if path.starts_with("/api/") { 3 } else { 2 };
                    let words: Vec<_> = path.split(['/', '?']).take(fixed).collect();
                    words.join("/")
                }
                _ => key.trim_matches(['[', ']']).to_owned(),
            };
            assert!(MANUAL.contains(&name), "{row}: {name}");
            keys += 1;
        }
    }
    assert!(keys >= 3, "{section}");
}

#[test]
fn maixpy() {
    check("MaixPy on the K210");
}

#[test]
fn picamera2() {
    check("picamera2 on the Raspberry Pi");
}

#[test]
fn opencv() {
    check("OpenCV");
}

#[test]
fn canmv() {
    check("CanMV on the K230");
}

#[test]
fn maixcam() {
    check("MaixCAM");
}

#[test]
fn jpeg_on_several_cores() {
    check("JPEG on several cores");
}

#[test]
fn splitmuxsink() {
    check("splitmuxsink");
}

#[test]
fn motion() {
    check_keys("motion and MotionEye");
}

#[test]
fn frigate() {
    check_keys("Frigate");
}

#[test]
fn every_section_is_run_and_every_link_leads_somewhere() {
    let tests = include_str!("migrating.rs");
    for section in TABLE.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        let is_run = tests
            .lines()
            .filter_map(|line| {
                let line = line.trim();
                let title = line.strip_prefix("check(\"");
                let title = title.or_else(|| line.strip_prefix("check_keys(\""));
                title?.strip_suffix("\");")
            })
            .any(|checked| title.starts_with(checked));
        assert!(is_run, "{title}");
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for link in TABLE.split("](").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(docs.join(link).exists(), "{link}");
    }
}
