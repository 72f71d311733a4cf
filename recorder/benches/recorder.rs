// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recorder of twenty cameras takes beyond the cameras themselves, and how soon it answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

#[allow(dead_code)]
#[path = "../tests/recorder/browser.rs"]
mod browser;
#[path = "../../benches/paired/mod.rs"]
mod paired;
#[allow(dead_code)]
#[path = "../tests/recorder/servers.rs"]
mod servers;
#[path = "../tests/recorder/support.rs"]
mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gst::prelude::*;
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::json;

use browser::Browser;
use paired::{Bench, Cost, Side, quartiles};
use servers::Broker;
use support::{FAILSAFE, HEAD, Program, Recorder, ask, until};

const CAMERAS: usize = 20;
/// Pictures of the film that the cameras look at, and how often it is run through.
const PICTURES: usize = 150;
const ROUNDS: usize = 60;
/// How long (s) a run has all cameras.
const ARMED: u64 = 30;
/// What twenty cameras may take beyond what their sources take, of a core.
const MOST: f64 = 0.10;
/// Clips that are triggered each way, and how often the page is opened.
const CLIPS: usize = 40;
const OPENINGS: usize = 20;

/// A camera of 320x240 whose pictures are in the page cache, 15 a second for ten minutes.
fn source(scratch: &Path) -> String {
    format!(
        "filesrc location={} ! avidemux ! identity sync=true",
        scratch.join("film.avi").display()
    )
}

/// Plays pipelines until the first of them ends, or for so long.
fn play(descriptions: &[String], most: Option<Duration>) {
    gst::init().expect("GStreamer starts");
    let pipelines: Vec<_> = descriptions
        .iter()
        .map(|description| gst::parse::launch(description).expect("the pipeline is one"))
        .collect();
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Playing).expect("it plays");
    }
    let bus = pipelines[0].bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let most = most.map(|most| gst::ClockTime::from_nseconds(most.as_nanos() as u64));
    let end = bus.timed_pop_filtered(most, &kinds);
    assert!(
        !matches!(&end, Some(end) if end.type_() == gst::MessageType::Error),
        "{end:?}"
    );
    assert_eq!(end.is_some(), most.is_none(), "{end:?}");
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Null).expect("it stops");
    }
}

fn make_film(scratch: &Path) {
    let footage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bigbuckbunny.webm");
    let (round, film) = (scratch.join("round.avi"), scratch.join("film.avi"));
    play(
        &[format!(
            "filesrc location={} ! matroskademux ! vp8dec ! videorate ! videoconvert ! videoscale ! \
             video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! \
             identity eos-after={} ! jpegenc ! avimux ! filesink location={}",
            footage.display(),
            PICTURES + 1,
            round.display()
        )],
        None,
    );
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-stream_loop", &(ROUNDS - 1).to_string()]);
    ffmpeg.arg("-i").arg(&round).args(["-c", "copy"]).arg(&film);
    assert!(ffmpeg.status().expect("ffmpeg starts").success());
    let size = |file: &Path| std::fs::metadata(file).expect("it is there").len();
    assert!(size(&film) > (ROUNDS as u64 - 1) * size(&round));
}

fn name(camera: usize) -> String {
    format!("camera-{camera}")
}

/// A recorder whose cameras all run. What is found of plugins stays in its folder from run to run.
struct Armed {
    program: Program,
    folder: PathBuf,
    port: u16,
}

impl Armed {
    fn start(scratch: &Path, more: &str) -> Self {
        let folder = scratch.join("recorder");
        std::fs::create_dir_all(&folder).unwrap();
        let cameras = (0..CAMERAS).map(|camera| {
            format!(
                "[[camera]]\nname = '{}'\nsource = '{}'\nencode = 'none'\nbefore = 10\nafter = 0\n",
                name(camera),
                source(scratch)
            )
        });
        let cameras: String = cameras.collect();
        let config = format!("site = 'bench'\n{HEAD}{more}{cameras}");
        std::fs::write(folder.join("config.toml"), config).unwrap();
        let mut program = Program::start(&mut Recorder::command(&folder, &["config.toml"]));
        for camera in 0..CAMERAS {
            program.runs(&name(camera));
        }
        let port = program.port();
        Self {
            program,
            folder,
            port,
        }
    }

    /// The clips of a camera that have a byte.
    fn begun(&self, camera: usize) -> HashSet<PathBuf> {
        let folder = self.folder.join("clips").join(name(camera));
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .filter(|file| file.path().extension().is_some_and(|kind| kind == "mkv"))
            .filter(|file| file.metadata().is_ok_and(|file| file.len() > 0))
            .map(|file| file.path())
            .collect()
    }

    /// How long it takes from a trigger to the first byte of its file, in ms. Returns when the clip is whole.
    fn first_byte(&self, event: usize, trigger: impl FnOnce(&str, &str) + Send) -> f64 {
        let camera = event % CAMERAS;
        let before = self.begun(camera);
        let (name, id) = (name(camera), format!("event-{event}"));
        let time = std::thread::scope(|scope| {
            let begin = Instant::now();
            scope.spawn(|| trigger(&name, &id));
            while self.begun(camera).is_subset(&before) {
                assert!(begin.elapsed() < FAILSAFE, "{id} begins no clip");
                std::thread::sleep(Duration::from_micros(200));
            }
            begin.elapsed()
        });
        until("the clip is whole", || {
            let clips = ask(self.port, "GET", &format!("/api/clips?event={id}"), "");
            (!clips.json().as_array()?.is_empty()).then_some(())
        });
        time.as_secs_f64() * 1000.0
    }
}

/// Triggers by HTTP and by MQTT.
fn first_bytes(scratch: &Path) -> [Vec<f64>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let armed = Armed::start(scratch, &broker.config());
    let http = (0..CLIPS).map(|event| {
        armed.first_byte(event, |camera, id| {
            let path = format!("/api/cameras/{camera}/trigger?event={id}");
            assert_eq!(ask(armed.port, "POST", &path, "").status, 200);
        })
    });
    let http = http.collect();
    let options = MqttOptions::new("bench", "127.0.0.1", broker.port);
    let (client, mut connection) = Client::new(options, 8);
    let connected =
        |event: &Result<Event, _>| matches!(event, Ok(Event::Incoming(Packet::ConnAck(_))));
    assert!(connection.iter().take(10).any(|event| connected(&event)));
    std::thread::spawn(move || connection.iter().all(|event| event.is_ok()));
    let mqtt = (CLIPS..2 * CLIPS).map(|event| {
        armed.first_byte(event, |camera, id| {
            let topic = format!("kendryte/bench/{camera}/trigger");
            client.publish(topic, QoS::AtLeastOnce, false, id).unwrap();
        })
    });
    let times = [http, mqtt.collect()];
    let Armed { mut program, .. } = armed;
    program.terminate();
    times
}

/// How long after it was asked for the page shows a camera's picture, in ms.
fn first_pictures(scratch: &Path) -> Option<Vec<f64>> {
    let browser = Browser::start()?;
    let armed = Armed::start(scratch, "");
    browser.look(1280, 800, "light");
    let script = "const look = () => {
        if ([...document.querySelectorAll('.live')].some(image => image.naturalWidth > 0)) {
          window.firstPicture = performance.now();
        } else {
          requestAnimationFrame(look);
        }
      };
      requestAnimationFrame(look);";
    browser.command(
        "goog/cdp/execute",
        &json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": script}}),
    );
    let times = (0..OPENINGS).map(|_| {
        browser.open(&format!("http://127.0.0.1:{}/", armed.port));
        browser.wait("window.firstPicture");
        let time = browser.run("return window.firstPicture");
        time.as_f64().expect("a number of milliseconds")
    });
    let times = times.collect();
    let Armed { mut program, .. } = armed;
    program.terminate();
    Some(times)
}

/// Median and extremes of times in ms.
fn spread(times: Vec<f64>) -> String {
    let most = times.iter().copied().fold(0.0, f64::max);
    let least = times.iter().copied().fold(most, f64::min);
    let [_, median, _] = quartiles(times);
    format!("{median:.1} ms ({least:.1}..{most:.1})")
}

fn main() {
    let mut bench = Bench::new("recorder");
    bench.prepare(make_film);
    let costs = bench.pair(
        &format!("{CAMERAS} cameras of 320x240, 15 frames a second, armed for {ARMED} s"),
        Side::here("kendryte-recorder", |scratch| {
            let mut armed = Armed::start(scratch, "");
            std::thread::sleep(Duration::from_secs(ARMED));
            armed.program.terminate();
        }),
        Side::here("their sources alone", |scratch| {
            let camera = format!("{} ! fakesink", source(scratch));
            play(&vec![camera; CAMERAS], Some(Duration::from_secs(ARMED)));
        }),
    );
    if bench.is_reporting() {
        let beyond = |(ours, peer): &(Cost, Cost)| {
            (ours.cpu.as_secs_f64() - peer.cpu.as_secs_f64()) / ARMED as f64
        };
        let [low, median, high] = quartiles(costs.iter().map(beyond).collect());
        bench.note(format!(
            "Beyond the sources, its start included: {:.1} % of a core ({:.1}..{:.1}), {:.0} at most",
            median * 100.0,
            low * 100.0,
            high * 100.0,
            MOST * 100.0
        ));
        bench.at_most("of a core beyond the sources", median, MOST);
        let [http, mqtt] = first_bytes(bench.scratch()).map(spread);
        bench.note(format!(
            "From a trigger to the first byte of its file, median and extremes of {CLIPS}: by HTTP {http}, by MQTT {mqtt}"
        ));
        if let Some(times) = first_pictures(bench.scratch()) {
            bench.note(format!(
                "From a browser's start of the page to a camera's picture, median and extremes of {OPENINGS}: {}",
                spread(times)
            ));
        }
    }
    bench.finish();
}
