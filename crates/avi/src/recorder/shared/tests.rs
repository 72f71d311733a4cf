// SPDX-License-Identifier: MIT OR Apache-2.0
use std::io::Cursor;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::header::WaveFormat;
use crate::output::Seekable;
use crate::reader::Reader;
use crate::recorder::Settings;
use crate::timeline::Rate;

type Memory = Seekable<Cursor<Vec<u8>>>;

/// Two inputs of those names into a file in memory, which is sent when it is complete, and what was told of them.
struct Test(mpsc::Sender<Stats>, Mutex<Vec<InputNotice>>);

impl Host for Test {
    type Input = &'static str;
    type Event = &'static str;
    type Storage = Disk;

    fn may_come(&self, _: &&'static str) -> bool {
        true
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn tell(&self, _: &&'static str, notice: InputNotice) {
        self.1.lock().unwrap().push(notice);
    }

    fn begin(&self, streams: &[Stream]) -> Result<Recorder<Disk>, Ended<Self>> {
        let memory =
            Seekable::new(Cursor::new(Vec::new())).map_err(|_| RecordError::Storage(()))?;
        Recorder::start(Disk(memory), Settings::new(Profile::Standard), streams)
    }

    fn event(&self, _: &mut Disk, event: &'static str) -> Result<(), ()> {
        match event {
            "fail" => Err(()),
            "panic" => panic!("as it is told"),
            _ => Ok(()),
        }
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }

    fn finished(&self, _: bool) {
        let _ = self.0.send(Stats::default());
    }

    fn failed(&self, _: Option<&mut Recorder<Disk>>, _: &Ended<Self>) {}
}

/// Memory whose errors are no more than that.
struct Disk(Memory);

impl crate::writer::Output for Disk {
    type Payload = Vec<u8>;
    type Error = ();

    fn put(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0.put(bytes).map_err(drop)
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> Result<(), ()> {
        self.0.put_payload(payload).map_err(drop)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), ()> {
        self.0.overwrite(position, bytes).map_err(drop)
    }
}

impl Storage for Disk {
    fn write_through(&mut self) -> Result<(), ()> {
        self.0.write_through().map_err(drop)
    }
}

const VIDEO: InputFormat = InputFormat::Video {
    size: Some((64, 48)),
    rate: Some(Rate::PAL),
    is_most: false,
};

/// A recorder of video at 25 frames a second and of sound, and what hears of its end.
fn recorder() -> (SharedRecorder<Test>, mpsc::Receiver<Stats>) {
    let (tell, told) = mpsc::channel();
    let shared = SharedRecorder::new(Test(tell, Mutex::default()));
    shared.add("video", true);
    shared.add("sound", false);
    shared.reset(Profile::Standard);
    let sound = InputFormat::Audio(WaveFormat::pcm(8000, 1, 16, 0));
    assert_eq!(shared.set_format(&"video", VIDEO), Some(true));
    assert_eq!(shared.set_format(&"sound", sound), Some(true));
    (shared, told)
}

const FRAME: i64 = 40_000_000;

fn bring(shared: &SharedRecorder<Test>, input: &'static str, n: i64) -> Result<(), NotTaken<()>> {
    let payload = match input {
        "video" => vec![0xff, 0xd8, 0xff, 0xd9],
        _ => vec![0; 640],
    };
    shared.push(&input, payload, Some(n * FRAME), None)
}

#[test]
fn what_several_threads_bring_is_in_one_file_by_time() {
    let (shared, told) = recorder();
    std::thread::scope(|threads| {
        for input in ["video", "sound"] {
            let shared = &shared;
            threads.spawn(move || {
                (0..500).for_each(|n| bring(shared, input, n).unwrap());
                assert!(shared.end(&input));
            });
        }
    });
    assert!(told.recv().is_ok());
    let stats = shared.stats();
    assert_eq!((stats.frames, stats.missing, stats.silence), (500, 0, 0));
    assert_eq!(
        bring(&shared, "sound", 501),
        Err(NotTaken::Refused(Refused::Ended))
    );
    let recorder = shared.lock().recorder.take().unwrap();
    let file = recorder.storage.0.into_inner().unwrap().into_inner();
    let mut reader = Reader::open(&file[..]).unwrap();
    while !reader.scan(1000).unwrap() {}
    assert_eq!(
        (reader.index().chunks(0), reader.index().chunks(1)),
        (500, 500)
    );
}

#[test]
fn a_thread_that_is_far_ahead_waits_until_it_is_let_go() {
    let (shared, _told) = recorder();
    std::thread::scope(|threads| {
        let ahead =
            threads.spawn(|| (0..).find_map(|n| bring(&shared, "video", n).err().map(|e| (n, e))));
        let is_held = || shared.lock().inputs.is_held(0);
        let until = Instant::now() + Duration::from_secs(30);
        while !is_held() && Instant::now() < until {
            std::thread::yield_now();
        }
        shared.begin_flush(&"video");
        let (n, why) = ahead.join().unwrap().unwrap();
        assert_eq!(why, NotTaken::Flushing);
        assert!((250..300).contains(&n), "{n}");
    });
    shared.flush(&"video");
    assert_eq!(bring(&shared, "video", 0), Ok(()));
}

#[test]
fn a_failure_and_a_panic_are_answered_to_all() {
    for (event, expected) in [("fail", NotTaken::Failed(())), ("panic", NotTaken::Lost)] {
        let (shared, _told) = recorder();
        bring(&shared, "video", 0).unwrap();
        bring(&shared, "sound", 0).unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            shared.event(&"video", event);
        }));
        assert_eq!(outcome.is_err(), event == "panic");
        assert_eq!(bring(&shared, "video", 1), Err(expected.clone()));
        assert_eq!(bring(&shared, "sound", 1), Err(expected));
    }
}

#[test]
fn what_the_file_is_without_is_told_once_for_each_file() {
    let (shared, _told) = recorder();
    let told = || std::mem::take(&mut *shared.host().1.lock().unwrap());
    let again = || {
        shared.begin_flush(&"video");
        shared.flush(&"video");
        bring(&shared, "video", 0).unwrap();
    };
    shared.remove(&"sound");
    shared.add("mute", false);
    assert!(shared.end(&"mute"));
    bring(&shared, "video", 0).unwrap();
    assert_eq!(told(), [InputNotice::LeftOut]);
    again();
    again();
    assert_eq!(told(), []);
    // It is another input that is missing then.
    shared.add("dumb", false);
    assert!(shared.end(&"dumb"));
    again();
    assert_eq!(told(), [InputNotice::LeftOut]);
    shared.reset(Profile::Standard);
    assert_eq!(shared.set_format(&"video", VIDEO), Some(true));
    for input in ["mute", "dumb"] {
        assert!(shared.end(&input));
    }
    bring(&shared, "video", 0).unwrap();
    assert_eq!(told(), [InputNotice::LeftOut; 2]);
}
