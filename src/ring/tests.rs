// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring against numbered frames: what it must hold, and what a recording must get.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const FRAME: i64 = 40_000_000;
const SOUND: i64 = 20_000_000;

const NO_LIMITS: Limits = Limits {
    max_time: 0,
    max_bytes: 0,
    least_bytes: 0,
    max_buffers: 0,
};

/// A payload that tells what it is: the number of the frame in display order, or of the sound.
type Number = i64;

/// Frames of a stream in decoding order: key units every `gop` frames and, in between, `bframes`
/// frames that are shown before the one they follow. GOPs are closed.
struct Frames {
    gop: i64,
    bframes: i64,
    queue: std::collections::VecDeque<Number>,
    next: Number,
}

impl Frames {
    fn new(gop: i64, bframes: i64) -> Self {
        Self {
            gop,
            bframes,
            queue: Default::default(),
            next: 0,
        }
    }

    fn next(&mut self) -> Number {
        if self.queue.is_empty() {
            let first = self.next;
            if first % self.gop == 0 {
                self.queue.push_back(first);
                self.next += 1;
            } else {
                let left = self.gop - first % self.gop;
                let group = (self.bframes + 1).min(left);
                self.queue.push_back(first + group - 1);
                self.queue.extend(first..first + group - 1);
                self.next += group;
            }
        }
        self.queue.pop_front().unwrap_or_default()
    }

    fn item(&self, number: Number, bytes: u32) -> Item<Number> {
        Item {
            payload: number,
            time: number * FRAME,
            end: (number + 1) * FRAME,
            bytes,
            key: number % self.gop == 0,
            refresh: true,
        }
    }
}

fn sound(number: Number) -> Item<Number> {
    Item {
        payload: number,
        time: number * SOUND,
        end: (number + 1) * SOUND,
        bytes: 10,
        key: true,
        refresh: true,
    }
}

fn drain(ring: &mut Ring<Number>, id: RecordingId, stream: usize) -> (Vec<Number>, Taken) {
    let mut out = Vec::new();
    loop {
        match ring.take(id, stream, 7, u64::MAX, &mut out) {
            Taken::Items => (),
            other => return (out.iter().map(|i| i.payload).collect(), other),
        }
    }
}

#[test]
fn keeps_what_was_asked_and_at_most_a_gop_more() {
    for gop in [1, 30, 250] {
        for bframes in [0, 2] {
            let limits = Limits {
                max_time: 2_000_000_000,
                ..NO_LIMITS
            };
            let mut ring = Ring::new(limits);
            let video = ring.add_stream(true);
            let mut frames = Frames::new(gop, bframes);
            for count in 0..1000 {
                let number = frames.next();
                ring.push(video, frames.item(number, 100));
                let oldest = ring.oldest().expect("a key unit came first");
                assert!(oldest.key);
                let newest = ring.newest().expect("a frame was pushed");
                let held = newest - oldest.time;
                let longest = limits.max_time as i64 + gop * FRAME;
                assert!(held < longest, "GOP {gop}: {held}");
                if count > 50 + bframes {
                    let passed = newest.min(limits.max_time as i64);
                    assert!(held >= passed, "GOP {gop}: {held} < {passed}");
                }
            }
        }
    }
}

/// Key units every ten frames, of which every fourth is an IDR, or the first alone.
#[test]
fn begins_at_an_idr_that_is_near() {
    let max_time = 2_000_000_000;
    let gop = 10 * FRAME;
    for idr in [40, i64::MAX] {
        let mut ring = Ring::new(Limits {
            max_time: max_time as u64,
            ..NO_LIMITS
        });
        let video = ring.add_stream(true);
        let mut frames = Frames::new(10, 0);
        for _ in 0..1000 {
            let number = frames.next();
            let refresh = number % idr == 0;
            let item = frames.item(number, 100);
            ring.push(video, Item { refresh, ..item });
            let oldest = *ring.oldest().expect("a key unit came first");
            let held = number * FRAME - oldest.time;
            assert!(held >= max_time.min(number * FRAME), "{number}: {held}");
            if idr == 40 {
                assert!(oldest.refresh, "{number}: begins at {}", oldest.payload);
                assert!(held < max_time + 4 * gop, "{number}: {held}");
            } else if number * FRAME > max_time + 2_000_000_000 + 2 * gop {
                // The IDR is too far back: as without one.
                assert!(held < max_time + gop, "{number}: {held}");
            }
        }
    }
}

#[test]
fn a_ring_that_is_full_does_not_wait_for_an_idr() {
    let mut ring = Ring::new(Limits {
        max_time: 10_000_000_000,
        max_bytes: 3000,
        ..NO_LIMITS
    });
    let video = ring.add_stream(true);
    let mut frames = Frames::new(10, 0);
    for _ in 0..100 {
        let number = frames.next();
        let item = frames.item(number, 100);
        let refresh = number == 0;
        ring.push(video, Item { refresh, ..item });
        assert!(ring.level().bytes <= 3000);
    }
}

#[test]
fn counts_what_it_holds() {
    let mut ring = Ring::new(Limits {
        max_buffers: 25,
        ..NO_LIMITS
    });
    let video = ring.add_stream(true);
    let audio = ring.add_stream(false);
    let mut frames = Frames::new(10, 0);
    for number in 0..100 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 100));
        ring.push(audio, sound(2 * number));
        ring.push(audio, sound(2 * number + 1));
    }
    // 100 frames: the GOPs from 80 and 90 are within 25 buffers, the one from 70 is not.
    let level = ring.level();
    assert_eq!(level.buffers, 20);
    assert_eq!(level.time, 20 * FRAME as u64);
    assert_eq!(level.bytes, 20 * 100 + 40 * 10);
    assert_eq!(level.backlog, 0);
}

#[test]
fn forgets_payloads_in_whole_gops() {
    let mut ring = Ring::new(Limits {
        max_bytes: 1000,
        ..NO_LIMITS
    });
    let video = ring.add_stream(true);
    let mut frames = Frames::new(4, 0);
    let mut dropped = Vec::new();
    for _ in 0..11 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 100));
        dropped.extend(ring.take_dropped(Vec::new()));
    }
    assert_eq!(dropped, [0, 1, 2, 3]);
    assert_eq!(ring.level().bytes, 700);
}

#[test]
fn keeps_a_newest_gop_that_is_too_large_and_says_so_once() {
    let mut ring = Ring::new(Limits {
        max_bytes: 1000,
        ..NO_LIMITS
    });
    let video = ring.add_stream(true);
    let mut frames = Frames::new(30, 0);
    let mut told = Vec::new();
    for _ in 0..30 {
        let frame = frames.next();
        if ring.push(video, frames.item(frame, 100)).oversize {
            told.push(frame);
        }
    }
    assert_eq!(told, [10]);
    assert_eq!(ring.level().buffers, 30);
    // The next key unit makes it the second newest, which may not stay.
    let frame = frames.next();
    ring.push(video, frames.item(frame, 100));
    assert_eq!(ring.level().buffers, 1);
}

#[test]
fn gives_up_a_gop_that_never_ends() {
    let mut ring = Ring::new(Limits {
        max_bytes: 1000,
        ..NO_LIMITS
    });
    let video = ring.add_stream(true);
    let mut frames = Frames::new(i64::MAX, 0);
    let mut given_up = false;
    for _ in 0..1000 {
        let frame = frames.next();
        given_up |= ring.push(video, frames.item(frame, 100)).given_up;
        assert!(ring.level().bytes <= 4 * 1000);
    }
    assert!(given_up);
}

#[test]
fn keeps_one_picture_however_large() {
    let limits = Limits {
        max_bytes: 1,
        ..NO_LIMITS
    };
    let mut ring = Ring::new(limits);
    let (video, audio) = (ring.add_stream(true), ring.add_stream(false));
    let mut frames = Frames::new(1, 0);
    for _ in 0..10 {
        let frame = frames.next();
        assert!(!ring.push(video, frames.item(frame, 100)).given_up);
        assert_eq!(ring.level().buffers, 1);
    }
    // But not what another stream brings for ever.
    let mut frames = Frames::new(1, 0);
    let given_up = (0..10).any(|_| {
        let frame = frames.next();
        ring.push(audio, frames.item(frame, 100)).given_up
    });
    assert!(given_up);
}

#[test]
fn what_has_to_wait_has_room_whatever_the_limit() {
    let limits = Limits {
        max_bytes: 1,
        least_bytes: 1000,
        ..NO_LIMITS
    };
    let mut ring = Ring::new(limits);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(4, 0);
    ring.open(1, Begin::Oldest, End::Open);
    let cut_off = (0..20).position(|_| {
        let frame = frames.next();
        let pushed = ring.push(video, frames.item(frame, 100));
        assert!(!pushed.given_up);
        !pushed.cut_off.is_empty()
    });
    // The newest group of four is the ring's, and ten pictures may wait.
    assert_eq!(cut_off, Some(12));
}

#[test]
fn begins_at_a_key_unit() {
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(10, 0);
    for _ in 0..7 {
        frames.next();
    }
    ring.open(1, Begin::Oldest, End::Open);
    for _ in 7..10 {
        let frame = frames.next();
        assert!(ring.push(video, frames.item(frame, 1)).skipped);
    }
    let frame = frames.next();
    assert!(ring.push(video, frames.item(frame, 1)).settled);
    assert_eq!(drain(&mut ring, 1, video), (vec![10], Taken::Wait));
}

#[test]
fn leaves_out_leading_pictures_of_an_open_gop() {
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    // Shown 0 1 2 [3] 4: the key unit 3 is followed by 1 and 2, which need 0.
    for (number, key) in [(3, true), (1, false), (2, false), (4, false)] {
        let item = Frames::new(1, 0).item(number, 1);
        ring.push(video, Item { key, ..item });
    }
    ring.open(1, Begin::Oldest, End::Open);
    assert_eq!(drain(&mut ring, 1, video).0, [3, 4]);
}

#[test]
fn ends_where_no_frame_is_missing() {
    // Decoded 0 3 1 2 6 4 5 9 7 8: told to end after 6 has arrived, 4 and 5 belong to it too.
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(100, 2);
    for _ in 0..5 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 1));
    }
    ring.open(1, Begin::Oldest, End::Now);
    for _ in 0..6 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 1));
    }
    let (taken, state) = drain(&mut ring, 1, video);
    assert_eq!(state, Taken::End);
    assert_eq!(taken, [0, 3, 1, 2, 6, 4, 5]);
    assert_eq!(ring.span(1).and_then(|s| s.end), Some(7 * FRAME));
}

#[test]
fn sound_follows_the_pictures_span() {
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    let audio = ring.add_stream(false);
    let mut frames = Frames::new(5, 0);
    // The sound is two seconds ahead of the picture, as behind an encoder that looks ahead.
    for number in 0..100 {
        ring.push(audio, sound(number));
    }
    for number in 0..40 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 1));
        ring.push(audio, sound(100 + 2 * number));
        ring.push(audio, sound(101 + 2 * number));
        if number == 11 {
            ring.open(1, Begin::NextKey, End::At(20 * FRAME));
        }
    }
    assert_eq!(drain(&mut ring, 1, video), ((15..20).collect(), Taken::End));
    assert_eq!(drain(&mut ring, 1, audio), ((30..40).collect(), Taken::End));
}

#[test]
fn tells_of_silence() {
    let limits = Limits {
        max_time: 400_000_000,
        max_bytes: 4000,
        max_buffers: 0,
        ..NO_LIMITS
    };
    let mut ring = Ring::new(limits);
    let video = ring.add_stream(true);
    let audio = ring.add_stream(false);
    let mut frames = Frames::new(10, 0);
    let mut push = |ring: &mut Ring<Number>, count| {
        for _ in 0..count {
            let frame = frames.next();
            let pushed = ring.push(video, frames.item(frame, 100));
            assert!(pushed.cut_off.is_empty());
        }
    };
    ring.open(1, Begin::Oldest, End::Open);
    assert_eq!(ring.silence(1, audio), None, "it has not begun");
    push(&mut ring, 1);
    let silence = |heard, told, reached, pressed| {
        Some(Silence {
            heard,
            told,
            reached,
            pressed,
        })
    };
    // Nothing was heard yet: the silence begins where the recording does.
    assert_eq!(ring.silence(1, audio), silence(0, 0, FRAME, false));
    ring.push(audio, sound(0));
    assert_eq!(ring.silence(1, audio), None, "there is something to take");
    assert_eq!(drain(&mut ring, 1, audio), (vec![0], Taken::Wait));
    push(&mut ring, 3);
    assert_eq!(
        ring.silence(1, audio),
        silence(SOUND, SOUND, 4 * FRAME, false)
    );
    ring.gap(audio, 2 * FRAME);
    assert_eq!(
        ring.silence(1, audio),
        silence(SOUND, 2 * FRAME, 4 * FRAME, false)
    );
    assert_eq!(
        ring.silence(1, video),
        None,
        "the reference stream is never silent"
    );
    // The ring keeps up to two GOPs, the recording may be 40 frames behind that.
    push(&mut ring, 31);
    assert_eq!(ring.silence(1, audio).map(|s| s.pressed), Some(false));
    push(&mut ring, 10);
    assert_eq!(ring.silence(1, audio).map(|s| s.pressed), Some(true));
    // A gap in the picture is one of the last frame's.
    ring.gap(video, 100 * FRAME);
    assert_eq!(ring.silence(1, audio).map(|s| s.reached), Some(100 * FRAME));
    // Another that is not behind is not pressed by the first.
    ring.open(2, Begin::Oldest, End::Open);
    assert_eq!(ring.silence(2, audio).map(|s| s.pressed), Some(false));
    ring.set_end(1, End::Now);
    push(&mut ring, 1);
    assert_eq!(ring.silence(1, audio).map(|s| s.reached), Some(100 * FRAME));
}

#[test]
fn a_slow_recording_is_cut_off_and_the_fast_one_is_not() {
    let limits = Limits {
        max_time: 400_000_000,
        max_bytes: 10_000,
        max_buffers: 0,
        ..NO_LIMITS
    };
    let mut ring = Ring::new(limits);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(10, 0);
    let mut cut_off = Vec::new();
    ring.open(1, Begin::Oldest, End::Open);
    ring.open(2, Begin::Oldest, End::Open);
    let mut fast = Vec::new();
    for _ in 0..300 {
        let frame = frames.next();
        cut_off.extend(ring.push(video, frames.item(frame, 100)).cut_off);
        fast.extend(drain(&mut ring, 2, video).0);
        assert!(ring.level().backlog <= limits.max_bytes);
    }
    assert_eq!(cut_off, [1]);
    assert_eq!(drain(&mut ring, 1, video), (vec![], Taken::CutOff));
    assert_eq!(fast, (0..300).collect::<Vec<_>>());
    // Nothing is held for it any more.
    assert_eq!(ring.level().backlog, 0);
}

#[test]
fn nothing_is_kept_for_a_recording_that_does_not_want_it() {
    let limits = Limits {
        max_time: 400_000_000,
        max_bytes: 10_000,
        max_buffers: 0,
        ..NO_LIMITS
    };
    let mut ring = Ring::new(limits);
    let video = ring.add_stream(true);
    let audio = ring.add_stream(false);
    let mut frames = Frames::new(10, 0);
    ring.open(1, Begin::Oldest, End::Open);
    ring.open(2, Begin::Oldest, End::At(250 * FRAME));
    for number in 0..300 {
        if number == 1 {
            ring.leave(1, audio);
            ring.leave(2, video);
        }
        let frame = frames.next();
        let pushed = ring.push(video, frames.item(frame, 100));
        assert!(pushed.cut_off.is_empty());
        for number in [2 * number, 2 * number + 1] {
            ring.push(
                audio,
                Item {
                    bytes: 100,
                    ..sound(number)
                },
            );
        }
        drain(&mut ring, 1, video);
        drain(&mut ring, 2, audio);
    }
    assert_eq!(ring.level().backlog, 0);
    assert_eq!(ring.span(2).and_then(|s| s.end), Some(250 * FRAME));
}

#[test]
fn one_recording_succeeds_another_without_gap() {
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(10, 2);
    let mut push = |ring: &mut Ring<Number>, count| {
        for _ in 0..count {
            let frame = frames.next();
            ring.push(video, frames.item(frame, 1));
        }
    };
    ring.open(1, Begin::Oldest, End::Open);
    push(&mut ring, 15);
    assert!(ring.set_end(1, End::NextKey));
    ring.open(2, Begin::After(1), End::Open);
    // A third one is asked for before the second has begun.
    assert!(ring.set_end(2, End::NextKey));
    ring.open(3, Begin::After(2), End::Open);
    push(&mut ring, 25);
    let sorted = |ring: &mut Ring<Number>, id| {
        let (mut numbers, state) = drain(ring, id, video);
        numbers.sort_unstable();
        (numbers, state)
    };
    assert_eq!(sorted(&mut ring, 1), ((0..20).collect(), Taken::End));
    assert_eq!(sorted(&mut ring, 2), ((20..30).collect(), Taken::End));
    assert_eq!(sorted(&mut ring, 3), ((30..40).collect(), Taken::Wait));
}

/// Pushes frames in decoding order, each with the sound up to its number.
fn push_in_order(ring: &mut Ring<Number>, order: &[(Number, bool)], sounds: &mut Number) {
    for &(number, key) in order {
        while *sounds < 2 * (number + 1) {
            ring.push(1, sound(*sounds));
            *sounds += 1;
        }
        let item = Frames::new(1, 0).item(number, 1);
        ring.push(0, Item { key, ..item });
    }
}

/// Frames 0 to 25 in open GOPs of six: 0, then 3 1 2, then the key unit 6 before 4 5, and so on.
fn open_gops() -> Vec<(Number, bool)> {
    let mut order = vec![(0, true)];
    for anchor in (3..26).step_by(3) {
        order.push((anchor, anchor % 6 == 0));
        order.extend([(anchor - 2, false), (anchor - 1, false)]);
    }
    order
}

#[test]
fn a_split_of_open_gops_loses_nothing() {
    for max_time in [0, 1] {
        let mut ring = Ring::new(Limits {
            max_time,
            max_buffers: 100,
            ..NO_LIMITS
        });
        let (video, audio) = (ring.add_stream(true), ring.add_stream(false));
        let mut sounds = 0;
        let order = open_gops();
        ring.open(1, Begin::Oldest, End::Open);
        push_in_order(&mut ring, &order[..4], &mut sounds);
        assert!(ring.set_end(1, End::NextKey));
        ring.open(2, Begin::After(1), End::Open);
        push_in_order(&mut ring, &order[4..], &mut sounds);
        // The key unit 6 is passed over: there might be one without leading pictures.
        let sorted = |ring: &mut Ring<Number>, id| {
            let (mut numbers, state) = drain(ring, id, video);
            numbers.sort_unstable();
            (numbers, state)
        };
        assert_eq!(sorted(&mut ring, 1), ((0..10).collect(), Taken::End));
        assert_eq!(drain(&mut ring, 1, audio), ((0..20).collect(), Taken::End));
        assert_eq!(ring.span(2).and_then(|s| s.start), Some(10 * FRAME));
        assert_eq!(sorted(&mut ring, 2), ((10..25).collect(), Taken::Wait));
        assert_eq!(drain(&mut ring, 2, audio).0, (20..50).collect::<Vec<_>>());
    }
}

#[test]
fn a_split_waits_for_a_key_unit_without_leading_pictures() {
    let mut ring = Ring::new(NO_LIMITS);
    let (video, audio) = (ring.add_stream(true), ring.add_stream(false));
    let mut sounds = 0;
    let mut order = open_gops();
    // As an encoder that is asked for a key unit makes one: after 6 comes 7.
    order.truncate(7);
    order.extend([(7, true), (10, false), (8, false), (9, false)]);
    ring.open(1, Begin::Oldest, End::Open);
    push_in_order(&mut ring, &order[..2], &mut sounds);
    assert!(ring.set_end(1, End::NextKey));
    ring.open(2, Begin::After(1), End::Open);
    push_in_order(&mut ring, &order[2..8], &mut sounds);
    // It may turn out to be the place of the split: nothing behind it is given out yet.
    assert_eq!(
        drain(&mut ring, 1, video),
        (vec![0, 3, 1, 2, 6, 4, 5], Taken::Wait)
    );
    assert_eq!(drain(&mut ring, 1, audio), ((0..14).collect(), Taken::Wait));
    push_in_order(&mut ring, &order[8..], &mut sounds);
    assert_eq!(drain(&mut ring, 1, video), (vec![], Taken::End));
    assert_eq!(drain(&mut ring, 2, video), (vec![7, 10, 8, 9], Taken::Wait));
    assert_eq!(drain(&mut ring, 2, audio).0, (14..22).collect::<Vec<_>>());
}

#[test]
fn an_end_of_the_stream_settles_a_split() {
    for sealed in [false, true] {
        let mut ring = Ring::new(NO_LIMITS);
        let video = ring.add_stream(true);
        ring.add_stream(false);
        ring.open(1, Begin::Oldest, End::Open);
        push_in_order(&mut ring, &[(0, true), (1, false)], &mut 0);
        assert!(ring.set_end(1, End::NextKey));
        ring.open(2, Begin::After(1), End::Open);
        push_in_order(&mut ring, &[(2, true)], &mut 0);
        if sealed {
            ring.seal(1);
            ring.seal(2);
        } else {
            ring.end_stream(video);
        }
        assert_eq!(drain(&mut ring, 1, video), (vec![0, 1], Taken::End));
        assert_eq!(drain(&mut ring, 2, video), (vec![2], Taken::End));
    }
}

#[test]
fn a_reset_ends_recordings_and_starts_anew() {
    let mut ring = Ring::new(NO_LIMITS);
    let video = ring.add_stream(true);
    let mut frames = Frames::new(10, 0);
    for _ in 0..15 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 1));
    }
    ring.open(1, Begin::Oldest, End::Open);
    ring.reset();
    ring.open(2, Begin::Oldest, End::Open);
    assert_eq!(ring.level().buffers, 0);
    assert_eq!(
        (ring.reached_by(1), ring.reached_by(2)),
        (Some(15 * FRAME), None)
    );
    // The one that has ended goes no further with what comes behind it.
    let mut frames = Frames::new(10, 0);
    for number in 1..=25 {
        let frame = frames.next();
        ring.push(video, frames.item(frame, 1));
        assert_eq!(ring.reached_by(1), Some(15 * FRAME));
        assert_eq!(ring.reached_by(2), Some(number * FRAME));
    }
    assert_eq!(drain(&mut ring, 1, video), ((0..15).collect(), Taken::End));
    assert_eq!(drain(&mut ring, 2, video), ((0..25).collect(), Taken::Wait));
}

#[test]
fn bookkeeping_takes_at_most_64_bytes_a_buffer() {
    for gop in [1, 30] {
        let mut ring: Ring<usize> = Ring::new(Limits {
            max_time: 30_000_000_000,
            ..NO_LIMITS
        });
        let video = ring.add_stream(true);
        for number in 0..10_000 {
            let time = number * 33_333_333;
            ring.push(
                video,
                Item {
                    payload: 0,
                    time,
                    end: time + 33_333_333,
                    bytes: 1000,
                    key: number % gop == 0,
                    refresh: true,
                },
            );
            ring.take_dropped(Vec::new());
            let buffers = ring.level().buffers as usize;
            if buffers >= 512 {
                assert!(ring.overhead() <= 64 * buffers, "{buffers} buffers");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Frames(u8),
    Trigger { post: u16 },
    Finish,
    Split,
    Write { items: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            6 => (1u8..40).prop_map(Step::Frames),
            2 => (0u16..100).prop_map(|post| Step::Trigger { post }),
            1 => Just(Step::Finish),
            1 => Just(Step::Split),
            3 => (1u8..60).prop_map(|items| Step::Write { items }),
        ],
        1..60,
    )
}

/// What a recording got, and what it was promised.
struct Expected {
    id: RecordingId,
    oldest: Option<Number>,
    post: Option<Number>,
    follows: Option<RecordingId>,
    video: Vec<Number>,
    audio: Vec<Number>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is triggered, split and finished in whatever order, at whatever speed it is
    /// written: each recording has every frame from its first to its last once, the first is the
    /// oldest key unit the ring had, and the sound covers the same span.
    #[test]
    fn recordings_are_whole(
        gop in 1i64..40,
        bframes in 0i64..4,
        skew in -60i64..60,
        keep in 1i64..100,
        steps in steps(),
    ) {
        let limits = Limits { max_time: (keep * FRAME) as u64, ..NO_LIMITS };
        let mut ring = Ring::new(limits);
        let video = ring.add_stream(true);
        let audio = ring.add_stream(false);
        let mut frames = Frames::new(gop, bframes);
        let (mut pushed, mut sounds) = (0, 0);
        let mut expected: Vec<Expected> = Vec::new();
        let mut id = 0;
        let mut out = Vec::new();
        for step in steps {
            let last = expected.last().map(|e| e.id);
            match step {
                Step::Frames(count) => for _ in 0..count {
                    let number = frames.next();
                    ring.push(video, frames.item(number, 100));
                    pushed += 1;
                    while sounds < 2 * (pushed + skew) {
                        ring.push(audio, sound(sounds));
                        sounds += 1;
                    }
                    let (Some(oldest), Some(newest)) = (ring.oldest(), ring.newest()) else {
                        return Err(TestCaseError::fail("no key unit in the ring"));
                    };
                    prop_assert!(oldest.key);
                    let held = newest - oldest.time;
                    prop_assert!(held >= newest.min(keep * FRAME));
                    prop_assert!(held < (keep + gop) * FRAME);
                },
                Step::Trigger { post } => {
                    let now = ring.newest().map_or(0, |t| t / FRAME);
                    let at = now + i64::from(post);
                    let end = End::At((at + 1) * FRAME);
                    ring.open(id, Begin::Oldest, end);
                    expected.push(Expected {
                        id,
                        oldest: ring.oldest().map(|i| i.payload),
                        post: Some(at),
                        follows: None,
                        video: vec![],
                        audio: vec![],
                    });
                    id += 1;
                }
                Step::Finish => for i in 0..expected.len() {
                    // One that is to be followed by another already has its end.
                    let followed = expected.iter().any(|e| e.follows == Some(expected[i].id));
                    let e = &mut expected[i];
                    if !followed && ring.set_end(e.id, End::Now) {
                        e.post = None;
                    }
                },
                Step::Split => if let Some(last) = last && ring.set_end(last, End::NextKey) {
                    ring.open(id, Begin::After(last), End::Open);
                    if let Some(e) = expected.last_mut() {
                        e.post = None;
                    }
                    expected.push(Expected {
                        id,
                        oldest: None,
                        post: None,
                        follows: Some(last),
                        video: vec![],
                        audio: vec![],
                    });
                    id += 1;
                },
                Step::Write { items } => for e in &mut expected {
                    for (stream, to) in [(video, &mut e.video), (audio, &mut e.audio)] {
                        out.clear();
                        ring.take(e.id, stream, usize::from(items), u64::MAX, &mut out);
                        to.extend(out.iter().map(|i| i.payload));
                    }
                },
            }
        }
        // An encoder that is told to stop gives out the frames it holds back.
        while !frames.queue.is_empty() {
            let number = frames.next();
            ring.push(video, frames.item(number, 100));
            pushed += 1;
        }
        ring.end_stream(video);
        ring.end_stream(audio);
        let mut last_of = std::collections::HashMap::new();
        for mut e in expected {
            let began = ring.span(e.id).and_then(|s| s.start);
            let (rest, state) = drain(&mut ring, e.id, video);
            e.video.extend(rest);
            e.audio.extend(drain(&mut ring, e.id, audio).0);
            ring.remove(e.id);
            let Some(start) = began else {
                prop_assert!(e.video.is_empty() && e.audio.is_empty());
                continue;
            };
            prop_assert_eq!(state, Taken::End);
            let set: BTreeSet<_> = e.video.iter().copied().collect();
            prop_assert_eq!(set.len(), e.video.len(), "a frame came twice");
            let (Some(&first), Some(&last)) = (set.first(), set.last()) else {
                return Err(TestCaseError::fail("an empty recording"));
            };
            prop_assert_eq!(first * FRAME, start);
            prop_assert_eq!(first % gop, 0);
            prop_assert!(e.oldest.is_none_or(|oldest| oldest == first));
            prop_assert_eq!(last - first + 1, set.len() as i64, "frames are missing");
            prop_assert!(e.post.is_none_or(|post| last >= post.min(pushed - 1)));
            last_of.insert(e.id, last);
            if let Some(before) = e.follows.and_then(|id| last_of.get(&id)) {
                prop_assert_eq!(first, before + 1, "a gap or an overlap at a split");
            }
            let end = ring_end(last, pushed, sounds);
            let sound: Vec<_> = ((2 * first)..end).collect();
            prop_assert_eq!(e.audio, sound);
        }
        prop_assert_eq!(ring.level().backlog, 0);
    }
}

/// The sound ends with the last frame, or with the streams.
fn ring_end(last: Number, pushed: i64, sounds: Number) -> Number {
    if last + 1 == pushed {
        sounds
    } else {
        sounds.min(2 * (last + 1))
    }
}

#[test]
fn goes_on_without_a_reference_that_brought_nothing() {
    let mut ring = Ring::new(NO_LIMITS);
    let (video, audio) = (ring.add_stream(true), ring.add_stream(false));
    ring.open(0, Begin::Oldest, End::Open);
    assert!(!ring.give_up_reference(), "there is nothing else");
    for number in 0..10 {
        ring.push(audio, sound(number));
    }
    assert_eq!(drain(&mut ring, 0, audio), (vec![], Taken::Wait));
    assert!(ring.give_up_reference());
    assert_eq!(ring.reference(), Some(audio));
    assert_eq!(drain(&mut ring, 0, audio).0, (0..10).collect::<Vec<_>>());
    ring.push(audio, sound(10));
    ring.seal(0);
    assert_eq!(drain(&mut ring, 0, audio), (vec![10], Taken::End));
    assert!(!ring.give_up_reference(), "it has brought something");

    // The picture comes after all.
    ring.set_reference(video);
    ring.open(1, Begin::Oldest, End::Open);
    ring.push(video, Frames::new(1, 0).item(0, 1));
    assert_eq!(drain(&mut ring, 1, video).0, [0]);
}
