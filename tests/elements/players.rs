// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which demuxer players take for which AVI, and that it is played.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::common::{Pipeline, init, output, plugin_path};
use gst::prelude::*;

const OURS: &str = "avimjpegdemux";
const THEIRS: &str = "avidemux";

/// Pictures of each film.
const FRAMES: usize = 40;

/// Films as they are made by our muxer and by another program's.
struct Films {
    directory: tempfile::TempDir,
}

static FILMS: LazyLock<Films> = LazyLock::new(Films::make);

impl Films {
    fn make() -> Self {
        let films = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        Pipeline::launch(&format!(
            "videotestsrc num-buffers={FRAMES} ! video/x-raw,width=320,height=240,framerate=20/1 ! \
             jpegenc ! mux. audiotestsrc num-buffers=20 samplesperbuffer=4410 ! \
             audio/x-raw,format=S16LE,rate=44100,channels=1 ! mux. \
             avimjpegmux name=mux ! filesink location={}",
            films.path("mjpeg.avi").display()
        ))
        .run()
        .expect("it is recorded");
        for (name, codecs) in [
            (
                "mjpeg_ffmpeg.avi",
                "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
            ),
            ("mjpeg_ac3.avi", "-c:v mjpeg -pix_fmt yuvj420p -c:a ac3"),
            (
                "h264.avi",
                "-c:v libx264 -pix_fmt yuv420p -g 5 -c:a pcm_s16le",
            ),
            ("xvid.avi", "-c:v mpeg4 -vtag XVID -g 5 -c:a libmp3lame"),
        ] {
            let input = "-v error -f lavfi -i testsrc2=size=320x240:rate=20 -f lavfi -i sine -t 2";
            output(
                Command::new("ffmpeg")
                    .args(input.split(' '))
                    .args(codecs.split(' '))
                    .arg(films.path(name)),
            );
        }
        films
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A film with something done to its bytes.
    fn damaged(&self, name: &str, damage: &str) -> PathBuf {
        let path = self.path(&format!("{damage}-{name}"));
        let mut bytes = std::fs::read(self.path(name)).expect("it is there");
        let find = |bytes: &[u8], what: &[u8]| {
            bytes
                .windows(what.len())
                .position(|it| it == what)
                .expect("it is there")
        };
        match damage {
            "no-index" => {
                let movi = find(&bytes, b"movi");
                let index = movi + find(&bytes[movi..], b"idx1");
                bytes.truncate(index);
            }
            "cut" => bytes.truncate(bytes.len() * 2 / 3),
            "hole" => {
                let (middle, some) = (bytes.len() / 2, bytes.len() / 20);
                bytes[middle..middle + some].fill(0);
            }
            "no-strh" => {
                for what in [b"strh", b"strf"] {
                    let at = find(&bytes, what);
                    bytes[at..at + 40].fill(0);
                }
            }
            "no-start" => bytes[..512].fill(0),
            "no-riff" => bytes[..4].fill(0),
            _ => assert_eq!(damage, "good"),
        }
        // Each test has a file of its own to write.
        let own = tempfile::NamedTempFile::new_in(self.directory.path()).expect("a file");
        std::fs::write(own.path(), bytes).expect("written");
        own.persist(&path).expect("renamed");
        path
    }
}

/// What is expected of a film: who takes it, and how many pictures are waited for. That every intact picture comes
/// is the demuxer's own tests' to see, and how well others play is theirs.
type Row = (&'static str, &'static str, &'static str, usize);

/// Of files that can be read anywhere.
const FILES: &[Row] = &[
    ("mjpeg.avi", "good", OURS, 1),
    ("mjpeg.avi", "cut", OURS, 1),
    ("mjpeg.avi", "hole", OURS, 1),
    ("mjpeg.avi", "no-strh", OURS, 1),
    ("mjpeg.avi", "no-start", OURS, 1),
    ("mjpeg.avi", "no-riff", OURS, 1),
    ("mjpeg_ffmpeg.avi", "good", OURS, 1),
    ("mjpeg_ffmpeg.avi", "no-index", OURS, 1),
    ("mjpeg_ffmpeg.avi", "no-start", OURS, 1),
    // Its sound would be lost.
    ("mjpeg_ac3.avi", "good", THEIRS, 0),
    ("h264.avi", "good", THEIRS, 0),
    ("h264.avi", "cut", THEIRS, 0),
    ("h264.avi", "hole", THEIRS, 0),
    ("h264.avi", "no-strh", THEIRS, 0),
    ("xvid.avi", "good", THEIRS, 0),
    ("xvid.avi", "no-index", THEIRS, 0),
    ("xvid.avi", "hole", THEIRS, 0),
];

/// Of streams, whose beginning is all that is known when it is decided.
const STREAMS: &[Row] = &[
    ("mjpeg.avi", "good", OURS, 1),
    ("mjpeg.avi", "cut", OURS, 1),
    ("mjpeg.avi", "hole", OURS, 1),
    ("mjpeg_ffmpeg.avi", "good", OURS, 1),
    ("mjpeg_ffmpeg.avi", "no-index", OURS, 1),
    ("h264.avi", "good", THEIRS, 0),
    ("xvid.avi", "good", THEIRS, 0),
];

/// How long a player may do nothing. Those of 1.22 stand still once in some hundred times, with files that
/// avidemux takes as with ours; then the same is tried again, twice.
const STANDSTILL: Duration = Duration::from_secs(20);
const TRIES: usize = 3;

/// Plays until so many pictures came out, to the end or to an error: which demuxers took part, and how many
/// pictures there were; nothing if it stood still.
fn play(pipeline: &Pipeline, sink: &gst::Element, enough: usize) -> Option<(Vec<String>, usize)> {
    let demuxers = Arc::new(Mutex::new(Vec::new()));
    let seen = demuxers.clone();
    pipeline.0.connect_deep_element_added(move |_, _, element| {
        let factory = element.factory();
        if let Some(factory) = factory.filter(|it| it.name().contains("demux")) {
            seen.lock().unwrap().push(factory.name().to_string());
        }
    });
    let pictures = Arc::new(AtomicUsize::new(0));
    let counted = pictures.clone();
    sink.static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            gst::PadProbeReturn::Ok
        });
    pipeline.play();
    let bus = pipeline.0.bus().unwrap();
    let deadline = Instant::now() + STANDSTILL;
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    // What is damaged beyond repair for who takes it ends in an error.
    while bus.pop_filtered(&end).is_none()
        && (demuxers.lock().unwrap().is_empty() || pictures.load(Ordering::SeqCst) < enough)
    {
        if Instant::now() > deadline {
            for element in pipeline.0.iterate_recurse().into_iter().flatten() {
                eprintln!("{}: {:?}", element.name(), element.current_state());
            }
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let seen = demuxers.lock().unwrap().clone();
    Some((seen, pictures.load(Ordering::SeqCst)))
}

fn fake_sink() -> gst::Element {
    gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .build()
        .unwrap()
}

fn by_playbin(player: &str, uri: &str, enough: usize) -> Option<(Vec<String>, usize)> {
    let sink = fake_sink();
    let player = gst::ElementFactory::make(player)
        .property("uri", uri)
        .property("video-sink", &sink)
        .property("audio-sink", fake_sink())
        .build()
        .unwrap();
    play(&Pipeline(player.downcast().unwrap()), &sink, enough)
}

fn by_decodebin(source: &str, enough: usize) -> Option<(Vec<String>, usize)> {
    let pipeline = Pipeline::launch(&format!(
        "{source} name=decoder decoder. ! videoconvert ! fakesink name=video sync=false async=false \
         decoder. ! audioconvert ! fakesink sync=false async=false"
    ));
    let sink = pipeline.element("video");
    play(&pipeline, &sink, enough)
}

fn check(rows: &[Row], player: &str, play: impl Fn(&Path, usize) -> Option<(Vec<String>, usize)>) {
    init();
    for &(film, damage, who, least) in rows {
        let path = FILMS.damaged(film, damage);
        eprintln!("{player}: {film}, {damage}");
        let played = (0..TRIES).find_map(|_| play(&path, least));
        let (demuxers, pictures) = played.expect("it does not stand still each time");
        assert_eq!(demuxers, [who], "{player}, {film}, {damage}");
        assert!(
            (least..=FRAMES).contains(&pictures),
            "{player}, {film}, {damage}: {pictures} pictures"
        );
    }
}

fn uri(scheme: &str, path: &Path) -> String {
    format!("{scheme}://{}", path.display())
}

#[test]
fn playbins_take_the_right_demuxer() {
    for player in ["playbin", "playbin3"] {
        check(FILES, player, |path, enough| {
            by_playbin(player, &uri("file", path), enough)
        });
    }
}

#[test]
fn decodebins_take_the_right_demuxer() {
    for player in ["decodebin", "decodebin3"] {
        check(FILES, player, |path, enough| {
            let source = format!("filesrc location={} ! {player}", path.display());
            by_decodebin(&source, enough)
        });
    }
    for player in ["uridecodebin", "uridecodebin3"] {
        check(FILES, player, |path, enough| {
            by_decodebin(&format!("{player} uri={}", uri("file", path)), enough)
        });
    }
}

/// A web server for the films.
struct Server(Arc<tiny_http::Server>, Option<std::thread::JoinHandle<()>>);

impl Server {
    fn start() -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("a port"));
        let serving = server.clone();
        let thread = std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                let bytes = std::fs::read(request.url()).expect("a film");
                let length = bytes.len();
                let body = Cursor::new(bytes);
                let status = tiny_http::StatusCode(200);
                let response =
                    tiny_http::Response::new(status, Vec::new(), body, Some(length), None);
                // A player may have enough before the end.
                let _ = request.respond(response);
            }
        });
        Self(server, Some(thread))
    }

    fn uri(&self, path: &Path) -> String {
        let address = self.0.server_addr();
        format!("http://{address}{}", path.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.unblock();
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn streams_go_to_the_right_demuxer() {
    let server = Server::start();
    for player in ["playbin", "playbin3"] {
        check(STREAMS, player, |path, enough| {
            by_playbin(player, &server.uri(path), enough)
        });
    }
    for player in ["uridecodebin", "uridecodebin3"] {
        check(STREAMS, player, |path, enough| {
            by_decodebin(&format!("{player} uri={}", server.uri(path)), enough)
        });
    }
    check(STREAMS, "decodebin of what is pushed", |path, enough| {
        let source = format!("pushfilesrc location={} ! decodebin", path.display());
        by_decodebin(&source, enough)
    });
}

#[test]
fn it_is_found_behind_a_tag() {
    init();
    let film = std::fs::read(FILMS.path("mjpeg.avi")).unwrap();
    // An ID3v2 tag of 10 bytes of padding.
    let mut bytes = b"ID3\x03\0\0\0\0\0\x0a".to_vec();
    bytes.extend([0; 10]);
    bytes.extend(film);
    let path = FILMS.path("tagged.avi");
    std::fs::write(&path, bytes).unwrap();
    let played = (0..TRIES).find_map(|_| by_playbin("playbin", &uri("file", &path), 1));
    let (demuxers, pictures) = played.expect("it does not stand still each time");
    assert_eq!(demuxers, ["id3demux", OURS]);
    assert!(pictures > 0);
}

#[test]
fn programs_find_it_as_well() {
    init();
    let scratch = tempfile::tempdir().unwrap();
    let program = |name: &str, args: &[&str], film: &Path| {
        let result = Command::new(name)
            .args(args)
            .arg(film)
            .envs(plugin_path(scratch.path()))
            .env("GST_DEBUG", "GST_ELEMENT_FACTORY:4")
            .env("GST_DEBUG_NO_COLOR", "1")
            .output()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(result.status.success(), "{name}: {result:?}");
        let said = [result.stdout, result.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    };
    for (film, damage, who) in [
        ("mjpeg.avi", "good", OURS),
        ("mjpeg.avi", "hole", OURS),
        ("xvid.avi", "good", THEIRS),
    ] {
        let path = FILMS.damaged(film, damage);
        let said = program("gst-discoverer-1.0", &["-v"], &path);
        assert!(
            said.contains(&format!("creating element \"{who}\"")),
            "{said}"
        );
        assert!(said.contains("Duration: 0:00:0"), "{said}");
        assert!(said.contains("video #"), "{said}");
        let sinks = ["--videosink=fakesink", "--audiosink=fakesink", "--quiet"];
        let said = program("gst-play-1.0", &sinks, &path);
        assert!(
            said.contains(&format!("creating element \"{who}\"")),
            "{said}"
        );
    }
}
