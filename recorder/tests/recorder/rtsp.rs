// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cameras by RTSP, as players and other recorders have them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::auth::{TOKEN, certificate, hash};
use crate::support::{FAILSAFE, Recorder, ask, ball, until};

const BY_TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
const RTSP: &str = "[rtsp]\nlisten = '127.0.0.1:0'\n";

/// A camera that encodes itself, of this pipeline.
fn camera(name: &str, source: &str) -> String {
    format!(
        "[[camera]]\nname = '{name}'\nbefore = 2\nafter = 0\nencode = 'none'\nsource = '{source}'\n"
    )
}

fn rtsp_port(recorder: &mut Recorder) -> u16 {
    let is_address = |line: &str| line.starts_with("rtsp");
    let line = recorder.program.says_what("where RTSP is", is_address);
    let port = line.trim_end_matches('/').rsplit_once(':').unwrap().1;
    port.parse().unwrap()
}

/// How the first camera is doing.
fn status(port: u16) -> Value {
    ask(port, "GET", "/api/state", "").json()["cameras"][0].clone()
}

/// What ffprobe says of an address: each stream's codec, and the width of pictures.
fn probe(address: &str) -> Result<Vec<String>, String> {
    probe_with(&[], address)
}

/// The same with more options.
fn probe_with(options: &[&str], address: &str) -> Result<Vec<String>, String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-of", "csv=p=0"])
        .args(options)
        .args(["-show_entries", "stream=codec_name,width", address])
        .stdin(Stdio::null())
        .output()
        .expect("ffprobe is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8(output.stdout).unwrap();
    match output.status.success() {
        true => Ok(text.lines().map(str::to_owned).collect()),
        false => Err(said),
    }
}

/// A client that takes what it is told to take.
struct Client {
    connection: BufReader<TcpStream>,
    address: String,
    session: String,
    asked: u32,
}

/// A packet of the picture.
struct Packet {
    time: u32,
    /// It is the last one of its picture.
    last: bool,
}

impl Client {
    fn new(port: u16, camera: &str) -> Self {
        let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.set_read_timeout(Some(FAILSAFE)).unwrap();
        Self {
            connection: BufReader::new(connection),
            address: format!("rtsp://127.0.0.1:{port}/{camera}"),
            session: String::new(),
            asked: 0,
        }
    }

    /// The answer's code and head.
    fn ask(&mut self, method: &str, of: &str, lines: &str) -> (u16, String) {
        self.asked += 1;
        let (address, asked, session) = (&self.address, self.asked, &self.session);
        let text =
            format!("{method} {address}{of} RTSP/1.0\r\nCSeq: {asked}\r\n{session}{lines}\r\n");
        self.connection
            .get_mut()
            .write_all(text.as_bytes())
            .unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = self.connection.read_line(&mut head).expect("it answers");
            assert!(count > 0, "it left after {head:?}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, head + &String::from_utf8(body).unwrap())
    }

    /// Begins to watch the picture.
    fn play(port: u16, camera: &str) -> Self {
        let mut client = Self::new(port, camera);
        let (code, described) = client.ask("DESCRIBE", "", "");
        assert_eq!(code, 200, "{described}");
        client.begin();
        client
    }

    /// Watches the picture of what has been described.
    fn begin(&mut self) {
        let (code, head) = self.ask("SETUP", "/stream=0", BY_TCP);
        assert_eq!(code, 200, "{head}");
        let session = head.lines().find(|line| line.starts_with("Session: "));
        let session = session.unwrap().split(';').next().unwrap();
        self.session = format!("{session}\r\n");
        let (code, head) = self.ask("PLAY", "", "");
        assert_eq!(code, 200, "{head}");
    }

    /// The next packet of the picture (RFC 2326, 10.12; RFC 3550, 5.1).
    fn packet(&mut self) -> Packet {
        loop {
            let mut head = [0; 4];
            self.connection.read_exact(&mut head).expect("it goes on");
            let [dollar, channel, high, low] = head;
            assert_eq!(dollar, b'$');
            let mut packet = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.connection.read_exact(&mut packet).unwrap();
            if channel == 0 {
                let time = packet[4..8].try_into().unwrap();
                return Packet {
                    time: u32::from_be_bytes(time),
                    last: packet[1] & 0x80 != 0,
                };
            }
        }
    }

    /// The times of so many pictures.
    fn pictures(&mut self, count: usize) -> Vec<u32> {
        let packets = std::iter::repeat_with(|| self.packet());
        let ends = packets.filter(|packet| packet.last);
        ends.take(count).map(|packet| packet.time).collect()
    }
}

#[test]
fn players_get_picture_and_sound() {
    let sound = "sound = 'audiotestsrc is-live=true'\n";
    let config = format!(
        "{RTSP}{}{sound}{}[[camera]]\nname = 'board'\nsource = 'k210:sim:'\nencode = 'none'\n\
         container = 'avi'\n",
        ball("gate"),
        camera(
            "hevc",
            "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=15/1 ! \
             x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! h265parse"
        ),
    );
    let mut recorder = Recorder::start(&config);
    let port = rtsp_port(&mut recorder);
    let address = |camera: &str| format!("rtsp://127.0.0.1:{port}/{camera}");
    for (camera, expected) in [
        ("gate", &["h264,160", "aac"][..]),
        ("board", &["mjpeg,320"]),
        ("hevc", &["hevc,160"]),
    ] {
        recorder.runs(camera);
        // The first sound may come a little later than the first picture.
        until(camera, || {
            let streams = probe(&address(camera)).ok()?;
            let streams: Vec<_> = streams.iter().map(|it| it.trim_end_matches(',')).collect();
            (streams == expected).then_some(())
        });
    }
    let error = probe(&address("none")).unwrap_err();
    assert!(error.contains("404"), "{error}");
}

/// The one who receives is `rtspsrc`, in another recorder, which saves what it gets.
#[test]
fn another_recorder_records_it() {
    let mut recorder = Recorder::start(&format!("{RTSP}{}", ball("gate")));
    recorder.runs("gate");
    let port = rtsp_port(&mut recorder);
    let config = format!(
        "[[camera]]\nname = 'copy'\nsource = 'rtsp://127.0.0.1:{port}/gate'\nbefore = 2\nafter = 1\n"
    );
    let mut other = Recorder::start(&config);
    other.runs("copy");
    let clip = other.clip("copy", "");
    assert!(clip["frames"].as_u64().unwrap() > 0, "{clip}");
}

/// There is one key unit, at the beginning, and none for those who come later.
#[test]
fn who_comes_late_has_a_picture_at_once() {
    let source = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=5/1 ! \
                  x264enc tune=zerolatency key-int-max=100000 ! h264parse";
    let mut recorder = Recorder::start(&format!("{RTSP}{}", camera("gate", source)));
    recorder.runs("gate");
    let port = (recorder.port(), rtsp_port(&mut recorder));
    let came = |count: u64| (status(port.0)["frames"].as_u64()? > count).then_some(());
    until("some frames have passed", || came(10));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-i"])
        .arg(format!("rtsp://127.0.0.1:{}/gate", port.1))
        .args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed");
    assert_eq!(output.stdout.len(), 160 * 120);
    // What has come before is sent without waiting: the times of all of it are pressed together.
    let times = Client::play(port.1, "gate").pictures(10);
    let ticks = times.last().unwrap().wrapping_sub(times[0]);
    assert!(ticks <= 90_000 / 5, "{times:?}");
}

#[test]
fn a_client_that_takes_nothing_holds_nobody_up() {
    let noise = "videotestsrc is-live=true pattern=snow ! video/x-raw,format=I420,width=640,height=480,framerate=30/1 ! \
                 jpegenc quality=95";
    let config = format!(
        "{RTSP}{}container = 'avi'\nmemory = 8\n",
        camera("gate", noise)
    );
    let mut recorder = Recorder::start(&config);
    recorder.runs("gate");
    let (page, port) = (recorder.port(), rtsp_port(&mut recorder));
    let mut stalled = Client::play(port, "gate");
    stalled.pictures(1);
    let dropped = || status(page)["rtsp"]["dropped"].as_u64().unwrap();
    until("frames are dropped for it", || {
        (dropped() > 0).then_some(())
    });
    // Another one, and the ring, go on.
    let mut other = Client::play(port, "gate");
    assert_eq!(status(page)["rtsp"]["clients"], 2);
    let before = dropped();
    other.pictures(30);
    until("more are dropped", || (dropped() > before).then_some(()));
    let clip = recorder.clip("gate", "");
    assert!(clip["frames"].as_u64().unwrap() > 0, "{clip}");
    // When it takes something again, it goes on; the pictures in between are missing.
    let mut last = stalled.pictures(1)[0];
    until("it misses more than a second", || {
        let next = stalled.pictures(1)[0];
        let step = next.wrapping_sub(last);
        last = next;
        (step > 90_000).then_some(())
    });
    drop(stalled);
    until("it is gone", || {
        (status(page)["rtsp"]["clients"] == 1).then_some(())
    });
    let metrics = ask(page, "GET", "/metrics", "");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = "kendryte_rtsp_clients{camera=\"gate\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("kendryte_rtsp_frames_dropped_total{camera=\"gate\"} "));
}

#[test]
fn twenty_watch_what_is_encoded_once() {
    let mut recorder = Recorder::start(&format!("{RTSP}clients = 20\n{}", ball("gate")));
    recorder.runs("gate");
    let (page, port) = (recorder.port(), rtsp_port(&mut recorder));
    let mut clients: Vec<_> = (0..20).map(|_| Client::play(port, "gate")).collect();
    for client in &mut clients {
        let times = client.pictures(40);
        assert!(
            times
                .windows(2)
                .all(|two| two[1].wrapping_sub(two[0]) < 1 << 31),
            "{times:?}"
        );
    }
    assert_eq!(status(page)["rtsp"]["clients"], 20);
    // There is room for so many.
    let mut one_more = Client::new(port, "gate");
    one_more.ask("DESCRIBE", "", "");
    assert_eq!(one_more.ask("SETUP", "/stream=0", BY_TCP).0, 503);
    clients.pop();
    until("there is room again", || {
        let mut client = Client::new(port, "gate");
        client.ask("DESCRIBE", "", "");
        (client.ask("SETUP", "/stream=0", BY_TCP).0 == 200).then_some(())
    });
}

/// Its pipeline ends after each second and is started again.
#[test]
fn who_watches_a_camera_that_drops_out_goes_on() {
    let source = "videotestsrc is-live=true num-buffers=15 ! video/x-raw,width=160,height=120,framerate=15/1 ! \
                  x264enc tune=zerolatency key-int-max=5 ! h264parse";
    let mut recorder = Recorder::start(&format!("{RTSP}{}", camera("gate", source)));
    let (page, port) = (recorder.port(), rtsp_port(&mut recorder));
    // While it is away, that is said; the client comes back.
    let mut client = until("it can be watched", || {
        let mut client = Client::new(port, "gate");
        let (code, _) = client.ask("DESCRIBE", "", "");
        assert!([200, 503].contains(&code), "{code}");
        (code == 200).then_some(client)
    });
    client.begin();
    let times = client.pictures(40);
    assert!(status(page)["restarts"].as_u64().unwrap() >= 2);
    let forward = |two: &[u32]| (1..1 << 31).contains(&two[1].wrapping_sub(two[0]));
    assert!(times.windows(2).all(forward), "{times:?}");
}

#[test]
fn only_who_has_password_or_token_may_watch() {
    let password = hash("open sesame");
    let keys = format!("password = '{password}'\ntoken = '{TOKEN}'\n");
    let mut recorder = Recorder::start(&format!("{keys}{RTSP}{}", ball("gate")));
    recorder.runs("gate");
    let port = rtsp_port(&mut recorder);
    let (code, head) = Client::new(port, "gate").ask("DESCRIBE", "", "");
    assert!(
        code == 401 && head.contains("WWW-Authenticate: Basic realm="),
        "{head}"
    );
    let by = |who: &str| probe(&format!("rtsp://{who}127.0.0.1:{port}/gate"));
    for wrong in ["", "me:sesame@"] {
        let error = by(wrong).unwrap_err();
        assert!(error.contains("401"), "{error}");
    }
    for right in ["me:open%20sesame@", "me:secret@"] {
        assert_eq!(by(right).unwrap(), ["h264,160"], "{right}");
    }
    // A session that somebody else has begun is not for the asking.
    assert_eq!(
        Client::new(port, "gate")
            .ask("SETUP", "/stream=0", BY_TCP)
            .0,
        401
    );
}

#[test]
fn in_the_network_it_goes_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let config = format!(
        "password = '{}'\ntls = {{ certificate = 'cert.pem', key = 'key.pem' }}\n\
         [rtsp]\nlisten = '0.0.0.0:0'\n{}",
        hash("open sesame"),
        ball("gate")
    );
    let mut recorder = Recorder::start_in(folder, &config);
    recorder.runs("gate");
    let port = rtsp_port(&mut recorder);
    let mut open = TcpStream::connect(("127.0.0.1", port)).unwrap();
    open.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        .unwrap();
    let address = format!("rtsps://me:open%20sesame@127.0.0.1:{port}/gate");
    // ffmpeg before 7 or so cannot be told what to trust, and trusts all; since 9 it asks for it.
    let options = Command::new("ffprobe")
        .args(["-v", "error", "-h", "demuxer=rtsp"])
        .output()
        .expect("ffprobe is installed");
    let can_verify = String::from_utf8_lossy(&options.stdout).contains("-ca_file");
    let folder = &recorder.folder;
    let certificate = folder.path().join("cert.pem");
    let trusted = [
        "-tls_verify",
        "1",
        "-ca_file",
        certificate.to_str().unwrap(),
    ];
    let trusted: &[&str] = if can_verify { &trusted } else { &[] };
    assert_eq!(probe_with(trusted, &address).unwrap(), ["h264,160"]);
    if can_verify {
        let error = probe_with(&["-tls_verify", "1"], &address).unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    }
    // What came before that in the open has no answer.
    open.set_nonblocking(true).unwrap();
    let mut answer = [0; 4];
    assert_ne!(open.read(&mut answer).ok(), Some(4), "{answer:?}");
}

#[test]
fn what_has_no_place_in_rtp_is_said() {
    let grey =
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=160,height=120 ! jpegenc";
    let mut recorder = Recorder::start(&format!(
        "{RTSP}{}container = 'avi'\n",
        camera("gate", grey)
    ));
    recorder.runs("gate");
    let port = rtsp_port(&mut recorder);
    let (code, _) = Client::new(port, "gate").ask("DESCRIBE", "", "");
    assert!(code >= 500, "{code}");
    recorder.program.says(&["RTSP: a client cannot be served"]);
}

#[test]
fn a_port_for_rtsp_that_is_taken_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "directory = 'clips'\n[http]\nlisten = '127.0.0.1:0'\n[rtsp]\nlisten = '{address}'\n"
    );
    std::fs::write(folder.path().join("a.toml"), config).unwrap();
    let output = Recorder::command(Path::new(folder.path()), &["a.toml"]).output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains(&format!("rtsp.listen = {address}")),
        "{said}"
    );
}
