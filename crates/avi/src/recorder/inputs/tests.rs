// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::Instant;

use super::*;
use crate::header::WaveFormat;
use crate::recorder::SILENT;
use crate::timeline::Rate;
use crate::writer::StreamFormat;

const MS: i64 = 1_000_000;

fn sound() -> InputFormat {
    InputFormat::Audio(WaveFormat::pcm(8000, 1, 16, 0))
}

fn video(rate: Option<Rate>) -> InputFormat {
    InputFormat::Video {
        size: Some((64, 48)),
        rate,
        is_most: false,
    }
}

/// Inputs of one file, frames if `true`, and a clock that stands.
fn inputs(profile: Profile, kinds: &[bool]) -> (Inputs<Vec<u8>, &'static str>, Instant) {
    let now = Instant::now();
    let mut all = Inputs::default();
    kinds.iter().for_each(|kind| all.add(*kind, now));
    all.reset(profile, now);
    (all, now)
}

impl Inputs<Vec<u8>, &'static str> {
    fn bring(&mut self, n: usize, bytes: usize, ms: i64, now: Instant) -> Option<Jump> {
        let (next, jump) = self.push(n, vec![0; bytes], Some(ms * MS), None, false, || now);
        assert!(next.is_none());
        jump
    }

    /// What is next in short, of all inputs.
    fn say(&mut self, now: Instant) -> String {
        match self.next(|_| true, now) {
            Ok(Next::AskSeekable) => "seekable?".into(),
            Ok(Next::Waits(n)) => format!("waits for {n}"),
            Ok(Next::Begin(begin)) => {
                let kinds = begin.streams.iter().map(|stream| {
                    let kind = match stream.format {
                        StreamFormat::Video { .. } => "video",
                        StreamFormat::Audio(_) => "audio",
                    };
                    format!("{kind}{}", if stream.is_awaited { "?" } else { "" })
                });
                let kinds: Vec<_> = kinds.collect();
                format!("begin {} without {:?}", kinds.join(" "), begin.left_out)
            }
            Ok(Next::Known(number, _)) => format!("known {number}"),
            Ok(Next::Payload { stream, time, .. }) => {
                format!("{stream} at {}", time.unwrap_or(-MS) / MS)
            }
            Ok(Next::Event(event)) => event.into(),
            Ok(Next::End) => "end".into(),
            Err(Idle::Waiting) => "-".into(),
            Err(Idle::Until(time)) => format!("in {:?}", time - now),
        }
    }
}

#[test]
fn a_file_is_begun_when_each_input_has_something_and_video_is_first() {
    let (mut all, now) = inputs(Profile::Standard, &[false, true]);
    assert_eq!(all.takes(0), Err(Refused::NoFormat));
    assert!(all.set_format(0, sound(), now) && all.set_format(1, video(Some(Rate::PAL)), now));
    assert_eq!(all.takes(0), Ok(()));
    all.bring(0, 320, 0, now);
    assert_eq!(all.say(now), "-");
    all.bring(1, 9, 10, now);
    all.event(1, "event");
    assert_eq!(all.say(now), "begin video audio without []");
    assert_eq!(all.say(now), "1 at 0");
    all.end(0);
    assert_eq!(
        (all.say(now), all.say(now)),
        ("0 at 10".into(), "event".into())
    );
    assert_eq!(all.takes(0), Err(Refused::Ended));
    all.end(1);
    assert_eq!((all.say(now), all.say(now)), ("end".into(), "-".into()));
}

#[test]
fn what_is_silent_is_not_waited_for_and_comes_later() {
    let (mut all, now) = inputs(Profile::Standard, &[true, false]);
    all.set_format(0, video(Some(Rate::PAL)), now);
    (0..=250).for_each(|n| {
        all.bring(0, 9, 40 * n, now);
    });
    assert!(all.hold(0) || all.queue.span(0) >= AHEAD_AT_START);
    assert_eq!(all.say(now), "seekable?");
    all.set_seekable(true);
    assert_eq!(all.say(now), "in 1s");
    assert_eq!(all.say(now + SILENT), "begin video audio? without []");
    assert_eq!(all.say(now + SILENT), "0 at 0");
    let later = now + 2 * SILENT;
    all.set_format(1, sound(), later);
    all.bring(1, 16, 50, later);
    assert_eq!(all.say(later), "0 at 40");
    assert_eq!(
        (all.say(later), all.say(later)),
        ("known 1".into(), "1 at 50".into())
    );
}

#[test]
fn what_cannot_be_put_into_the_head_later_is_waited_for() {
    for (profile, seekable) in [(Profile::Standard, false), (Profile::K210, true)] {
        let (mut all, now) = inputs(profile, &[true, false]);
        all.set_format(1, sound(), now);
        (0..=100).for_each(|n| {
            all.bring(1, 1600, 100 * n, now);
        });
        all.set_seekable(seekable);
        let long = now + 9 * SILENT;
        assert_eq!(all.say(long), "waits for 0");
        assert_eq!(all.say(long), "-");
        all.set_format(0, video(Some(Rate::PAL)), long);
        all.bring(0, 9, 0, long);
        assert_eq!(all.say(long), "begin video audio without []");
    }
}

#[test]
fn what_ended_without_a_word_is_left_out() {
    let (mut all, now) = inputs(Profile::Standard, &[true, false, false]);
    all.set_format(0, video(Some(Rate::PAL)), now);
    all.bring(0, 9, 0, now);
    all.end(1);
    // Nothing is linked to the last.
    let next = all.next(|n| n != 2, now);
    let Ok(Next::Begin(begin)) = next else {
        panic!("{next:?}");
    };
    assert_eq!((begin.streams.len(), begin.left_out), (1, vec![1]));
    assert_eq!(all.can_add(true, Profile::Standard), Err(NoInput::Begun));
    all.set_format(2, sound(), now);
    assert_eq!(all.takes(2), Err(Refused::NotInFile));
}

#[test]
fn an_only_input_does_not_wait_once_the_file_is_begun() {
    let (mut all, now) = inputs(Profile::Standard, &[true]);
    all.set_format(0, video(Some(Rate::PAL)), now);
    all.bring(0, 9, 0, now);
    assert!(!all.is_next(0));
    assert_eq!(all.say(now), "begin video without []");
    assert_eq!(all.say(now), "0 at 0");
    assert!(all.is_next(0));
    let push = |all: &mut Inputs<_, _>, is_free| {
        all.push(0, vec![1], Some(40 * MS), None, is_free, || now).0
    };
    assert!(matches!(
        push(&mut all, true),
        Some(Next::Payload { stream: 0, .. })
    ));
    assert!(push(&mut all, false).is_none());
    assert!(push(&mut all, true).is_none(), "one waits");
}

#[test]
fn unreadable_pictures_are_passed_over_until_one_tells_the_size() {
    let (mut all, now) = inputs(Profile::Standard, &[true]);
    let format = InputFormat::Video {
        size: None,
        rate: Some(Rate::PAL),
        is_most: false,
    };
    all.set_format(0, format, now);
    all.bring(0, 9, 0, now);
    assert_eq!((all.say(now), all.unreadable()), ("-".into(), 1));
    let picture = vec![
        0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 48, 0, 64, 1, 1, 0x11, 0, 0xff, 0xd9,
    ];
    all.push(0, picture, Some(40 * MS), None, false, || now);
    assert_eq!(all.say(now), "begin video without []");
}

#[test]
fn a_flush_begins_another_file_with_what_is_known() {
    let (mut all, now) = inputs(Profile::Standard, &[true]);
    all.set_format(0, video(Some(Rate::PAL)), now);
    all.bring(0, 9, 5000, now);
    assert_eq!(all.say(now), "begin video without []");
    assert!(!all.set_format(0, sound(), now), "it is in use");
    all.flush(0, now);
    assert_eq!((all.is_open(), all.takes(0)), (false, Ok(())));
    assert_eq!(all.bring(0, 9, 0, now), None, "no jump");
    assert_eq!(all.say(now), "begin video without []");
    assert!(all.bring(0, 9, 4_000_000, now).is_some());
    assert_eq!(all.can_add(true, Profile::K210), Err(NoInput::Full));
}
