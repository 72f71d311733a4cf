// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel at work: which frames are inside it, when a stream is due, and how long to wait.
//! Knows no GStreamer.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use k230_venc::{
    Channel, ChannelAttr, Code, Codec, Error, Frame, LentPlane, RateControl, STUCK_AFTER, Status,
    Stream,
};

/// How long one wait for the device lasts before an interruption is looked for.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// How long a stream that is due is waited for before the next frame is sent: an encoder may leave
/// a frame out, which nothing tells but the stream of one that comes after it. It is more than
/// the hardware takes for its largest picture.
const GRACE: Duration = Duration::from_millis(250);

/// Why a session does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// A flush or the way down to READY.
    Interrupted,
    /// The device's refusal or silence.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What came out of the channel.
#[derive(Debug)]
pub(super) struct Encoded {
    /// What comes to its end before the frame of `stream`: the oldest frames.
    pub before: Gone,
    /// The next frame's stream; `None` if all that is known is what was lost.
    pub stream: Option<Stream>,
    /// Whether the frame, or one that was lost before it, came with DISCONT.
    pub discont: bool,
}

/// Frames that have no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gone {
    /// Those whose stream will never come.
    pub lost: usize,
    /// Those that were left out on purpose.
    pub skipped: usize,
}

/// A frame that the element has taken and not yet handed on.
struct Inside {
    /// The presentation time that it was sent with, by which its stream is told.
    pts: u64,
    discont: bool,
    /// It was not sent, and waits for its turn.
    skipped: bool,
}

/// A created channel.
pub(super) struct Session {
    /// `None` between the end of one channel and the creation of its successor.
    channel: Option<Box<dyn Channel>>,
    attr: ChannelAttr,
    started: bool,
    /// Frames that may be inside when a stream is waited for.
    delay: u32,
    /// The frames inside, oldest first.
    inside: VecDeque<Inside>,
    /// A frame that has no stream came with DISCONT.
    lost_discont: bool,
    /// When the last stream came, or a frame was sent while none was inside.
    heard: Instant,
}

fn gone() -> Error {
    Error::refused(Code::Unexist, "the channel is gone")
}

impl Session {
    /// The session of a channel that was created with `attr`.
    pub(crate) fn new(channel: Box<dyn Channel>, mut attr: ChannelAttr) -> Self {
        // A successor keeps it: it is in the caps.
        attr.level = channel.level().or(attr.level);
        Self {
            delay: channel.delay(),
            channel: Some(channel),
            attr,
            started: false,
            inside: VecDeque::new(),
            lost_discont: false,
            heard: Instant::now(),
        }
    }

    /// What the channel says of itself.
    pub(crate) fn status(&self) -> Status {
        self.channel
            .as_ref()
            .map_or_else(Status::default, |channel| channel.query())
    }

    pub(crate) fn attr(&self) -> &ChannelAttr {
        &self.attr
    }

    /// Frames that may be inside when a stream is waited for.
    pub(crate) fn delay(&self) -> u32 {
        self.delay
    }

    /// Memory of the device for up to `count` pictures, before the first frame is sent.
    pub(crate) fn lend(&mut self, count: u32) -> Result<Vec<Vec<LentPlane>>, Error> {
        self.channel()?.lend(count)
    }

    /// Whether regions of frames have an effect.
    pub(crate) fn takes_regions(&self) -> bool {
        self.channel
            .as_ref()
            .is_some_and(|channel| channel.takes_regions())
    }

    /// What the encoder could not be given, a sentence each.
    pub(crate) fn unmapped(&self) -> &[String] {
        self.channel
            .as_ref()
            .map_or(&[], |channel| channel.unmapped())
    }

    fn channel(&mut self) -> Result<&mut dyn Channel, Error> {
        match &mut self.channel {
            Some(channel) => Ok(channel.as_mut()),
            None => Err(gone()),
        }
    }

    /// Opens the channel for frames, unless it is.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        if !self.started {
            self.channel()?.start()?;
            self.started = true;
        }
        Ok(())
    }

    /// Changes rate control and GOP. Where a running channel cannot, the answer has the attributes
    /// of the channel to [`replace`](Self::replace) it by, once it is complete.
    pub(crate) fn set_rate(
        &mut self,
        rate: RateControl,
        gop: u32,
    ) -> Result<Option<ChannelAttr>, Error> {
        if (rate, gop) == (self.attr.rate, self.attr.gop) {
            return Ok(None);
        }
        let mut attr = self.attr;
        (attr.rate, attr.gop) = (rate, gop);
        match self.channel()?.set_rate(rate, gop) {
            Ok(()) => {
                self.attr = attr;
                Ok(None)
            }
            Err(error) if error.code() == Some(Code::NotSupport) => {
                // Whether the device reads the pictures is settled.
                attr.validate_for(|_| true)?;
                Ok(Some(attr))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the channel and puts another in its place, which is what `create` makes: the old one
    /// has to be gone before its number is created anew.
    pub(crate) fn replace(
        &mut self,
        create: impl FnOnce() -> Result<Session, Error>,
    ) -> Result<(), Error> {
        self.channel = None;
        self.started = false;
        self.inside.clear();
        *self = create()?;
        self.start()
    }

    /// Makes the next frame an IDR.
    pub(crate) fn request_idr(&mut self) -> Result<(), Error> {
        self.channel()?.request_idr()
    }

    /// Sends a frame, waiting for room.
    pub(crate) fn send(
        &mut self,
        frame: &Frame,
        discont: bool,
        interrupted: &AtomicBool,
    ) -> Result<(), Halt> {
        // Of no interest where there is room at once.
        let mut since = None;
        loop {
            match self.channel()?.send_frame(frame, SLICE) {
                Ok(()) => break,
                Err(error) if !error.is_transient() => return Err(error.into()),
                Err(error) => {
                    let waiting = since.get_or_insert_with(Instant::now).elapsed() + SLICE;
                    if waiting > STUCK_AFTER {
                        return Err(error.into());
                    }
                    if interrupted.load(Ordering::SeqCst) {
                        return Err(Halt::Interrupted);
                    }
                }
            }
        }
        if self.sent() == 0 {
            self.heard = Instant::now();
        }
        self.inside.push_back(Inside {
            pts: frame.pts,
            discont,
            skipped: false,
        });
        Ok(())
    }

    /// Leaves a frame out. Those that are inside come before it.
    pub(crate) fn skip(&mut self, discont: bool) {
        self.inside.push_back(Inside {
            pts: 0,
            discont,
            skipped: true,
        });
    }

    /// Takes the frames out that were skipped and have no frame before them that is inside.
    pub(crate) fn take_skipped(&mut self) -> Gone {
        let count = self.inside.iter().take_while(|frame| frame.skipped).count();
        self.lose(count)
    }

    /// How many frames were sent whose streams have not come.
    fn sent(&self) -> usize {
        self.inside.iter().filter(|frame| !frame.skipped).count()
    }

    /// The next stream if there is one; one that is due, as more frames are inside than need to
    /// be, is waited for: for a while at first, then until the device counts as stuck.
    pub(crate) fn next(&mut self, interrupted: &AtomicBool) -> Result<Option<Encoded>, Halt> {
        let sent = self.sent();
        if sent == 0 {
            return Ok(None);
        }
        let due = self.started && sent > self.delay as usize;
        let one_more = sent == self.delay as usize + 1;
        let mut since = None;
        // What is waited for first is not measured: it is there before long, with each frame.
        let mut left = match due {
            true => SLICE,
            false => Duration::ZERO,
        };
        loop {
            match self.channel()?.get_stream(left.min(SLICE)) {
                Ok(stream) => {
                    self.heard = Instant::now();
                    let encoded = self.arrived(stream);
                    if encoded.before.lost > 0 && self.attr.codec != Codec::Jpeg {
                        // What follows may refer to what was lost.
                        self.request_idr()?;
                    }
                    return Ok(Some(encoded));
                }
                Err(Error::Damaged { .. }) => {
                    self.heard = Instant::now();
                    let damaged = self.inside.iter().position(|frame| !frame.skipped);
                    return Ok(Some(Encoded {
                        before: self.lose(damaged.map_or(0, |at| at + 1)),
                        stream: None,
                        discont: false,
                    }));
                }
                Err(error) if !error.is_transient() => return Err(error.into()),
                Err(_) if interrupted.load(Ordering::SeqCst) => return Err(Halt::Interrupted),
                Err(_) if !due => return Ok(None),
                Err(error) => {
                    left = STUCK_AFTER.saturating_sub(self.heard.elapsed());
                    if let (Error::Refused { what, .. }, true) = (error, left.is_zero()) {
                        return Err(Halt::Failed(Error::Stuck {
                            what,
                            after: STUCK_AFTER,
                        }));
                    }
                    let waiting = since.get_or_insert_with(Instant::now).elapsed() + SLICE;
                    if one_more && waiting >= GRACE {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes the oldest frames out, which have no stream.
    fn lose(&mut self, count: usize) -> Gone {
        let mut gone = Gone::default();
        for frame in self.inside.drain(..count.min(self.inside.len())) {
            self.lost_discont |= frame.discont;
            if frame.skipped {
                gone.skipped += 1;
            } else {
                gone.lost += 1;
            }
        }
        gone
    }

    /// The frame that a stream is of, by its time, and what was lost before it.
    fn arrived(&mut self, stream: Stream) -> Encoded {
        let sent = |frame: &Inside| !frame.skipped;
        let own = self
            .inside
            .iter()
            .position(|frame| sent(frame) && frame.pts == stream.pts)
            // A device that hands other times through has lost nothing.
            .or_else(|| self.inside.iter().position(sent));
        let before = self.lose(own.unwrap_or_default());
        let own = self.inside.pop_front().is_some_and(|frame| frame.discont);
        Encoded {
            before,
            stream: Some(stream),
            discont: std::mem::take(&mut self.lost_discont) || own,
        }
    }

    /// Takes no more frames; [`next`](Self::next) has the streams of those inside.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if self.started {
            self.channel()?.stop()?;
            self.started = false;
        }
        Ok(())
    }

    /// Forgets the frames that never came out of a stopped channel.
    pub(crate) fn forget(&mut self) -> Gone {
        self.lose(self.inside.len())
    }

    /// Throws away what is inside. The stream goes on with an IDR.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if !self.inside.is_empty() {
            self.stop()?;
            let channel = self.channel()?;
            while channel.get_stream(Duration::ZERO).is_ok() {}
        }
        self.inside.clear();
        self.request_idr()
    }
}

#[cfg(test)]
mod tests {
    use std::{any::Any, sync::Arc};

    use super::*;
    use k230_venc::{FrameData, Pack, PackKind, PixelFormat, Profile};

    /// A channel that keeps `delay` frames inside and is silent after `silent_after` streams.
    struct Lazy {
        delay: u32,
        silent_after: u32,
        frames: VecDeque<u64>,
        stopped: bool,
        takes_rates: bool,
        idrs: u32,
    }

    impl Channel for Lazy {
        fn start(&mut self) -> Result<(), Error> {
            self.stopped = false;
            Ok(())
        }
        fn send_frame(&mut self, frame: &Frame, _: Duration) -> Result<(), Error> {
            self.frames.push_back(frame.pts);
            Ok(())
        }
        fn get_stream(&mut self, _: Duration) -> Result<Stream, Error> {
            let ready = self.stopped || self.frames.len() > self.delay as usize;
            match self.frames.front() {
                Some(pts) if ready && self.silent_after > 0 => {
                    let pts = *pts;
                    self.frames.pop_front();
                    self.silent_after -= 1;
                    Ok(Stream {
                        packs: vec![Pack {
                            kind: PackKind::P,
                            len: 0,
                        }],
                        pts,
                        data: Box::new(Vec::new()),
                    })
                }
                _ => Err(Error::refused(Code::BufEmpty, "lazy")),
            }
        }
        fn query(&self) -> Status {
            Status::default()
        }
        fn request_idr(&mut self) -> Result<(), Error> {
            self.idrs += 1;
            Ok(())
        }
        fn set_rate(&mut self, _: RateControl, _: u32) -> Result<(), Error> {
            if self.takes_rates {
                return Ok(());
            }
            Err(Error::refused(Code::NotSupport, "lazy"))
        }
        fn stop(&mut self) -> Result<(), Error> {
            self.stopped = true;
            Ok(())
        }
        fn delay(&self) -> u32 {
            self.delay
        }
        fn describe(&self) -> String {
            "lazy".into()
        }
    }

    struct Nothing;

    impl FrameData for Nothing {
        fn plane(&self, _: usize) -> Option<(&[u8], usize)> {
            None
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    fn frame(pts: u64) -> Frame {
        Frame {
            format: PixelFormat::Nv12,
            width: 128,
            height: 64,
            pts,
            regions: Vec::new(),
            data: Arc::new(Nothing),
        }
    }

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn session(delay: u32, silent_after: u32, takes_rates: bool) -> Session {
        let attr = ChannelAttr::new(Codec::H264, Profile::H264Main, 128, 64);
        let channel = Lazy {
            delay,
            silent_after,
            frames: VecDeque::new(),
            stopped: false,
            takes_rates,
            idrs: 0,
        };
        let mut session = Session::new(Box::new(channel), attr);
        session.start().expect("it starts");
        session
    }

    #[test]
    fn frames_inside_come_out_in_order_with_their_discont() {
        let mut session = session(2, 9, true);
        for n in 0..4 {
            session.send(&frame(n), n == 1, &NEVER).expect("room");
            let next = session.next(&NEVER).expect("no failure");
            match n {
                0 | 1 => assert!(next.is_none(), "two may be inside"),
                _ => {
                    let next = next.expect("one is due");
                    let pts = next.stream.expect("a stream").pts;
                    assert_eq!(next.before, Gone::default());
                    assert_eq!((pts, next.discont), (n - 2, n == 3));
                }
            }
        }
        session.stop().expect("it stops");
        for n in 2..4 {
            let next = session.next(&NEVER).expect("no failure").expect("inside");
            assert_eq!(next.stream.expect("a stream").pts, n);
        }
        assert!(session.next(&NEVER).expect("no failure").is_none());
        assert_eq!(session.forget(), Gone::default());
    }

    #[test]
    fn what_never_comes_out_is_counted() {
        let mut session = session(3, 1, true);
        for n in 0..3 {
            session.send(&frame(n), false, &NEVER).expect("room");
        }
        session.stop().expect("it stops");
        assert!(session.next(&NEVER).expect("no failure").is_some());
        assert!(session.next(&NEVER).expect("no failure").is_none());
        assert_eq!(session.forget().lost, 2);
    }

    #[test]
    fn a_stream_is_its_frames_by_its_time() {
        let mut session = session(9, 9, true);
        for n in 0..4 {
            session.send(&frame(n), n == 1, &NEVER).expect("room");
        }
        let stream = |pts| Stream {
            packs: Vec::new(),
            pts,
            data: Box::new(Vec::new()),
        };
        // Those of frames 0 and 1 never came.
        let encoded = session.arrived(stream(2));
        assert_eq!((encoded.before.lost, encoded.discont), (2, true));
        // A time that no frame has is the oldest's.
        let encoded = session.arrived(stream(77));
        assert_eq!((encoded.before.lost, encoded.discont), (0, false));
        assert_eq!(session.forget(), Gone::default());
    }

    #[test]
    fn frames_that_are_left_out_keep_their_place() {
        let mut session = session(1, 9, true);
        session.skip(true);
        assert_eq!(session.take_skipped().skipped, 1);
        session.send(&frame(1), false, &NEVER).expect("room");
        session.skip(false);
        assert_eq!(session.take_skipped(), Gone::default(), "1 is before it");
        assert!(session.next(&NEVER).expect("no failure").is_none());
        session.send(&frame(2), false, &NEVER).expect("room");
        session.send(&frame(3), false, &NEVER).expect("room");
        let next = session.next(&NEVER).expect("no failure").expect("due");
        assert_eq!(next.before, Gone::default());
        assert!(next.discont, "that of the frame that was left out");
        assert_eq!(session.take_skipped().skipped, 1);
        session.skip(false);
        let stream = Stream {
            packs: Vec::new(),
            pts: 3,
            data: Box::new(Vec::new()),
        };
        // That of frame 2 never came.
        assert_eq!(session.arrived(stream).before.lost, 1);
        let rest = session.forget();
        assert_eq!((rest.lost, rest.skipped), (0, 1));
    }

    /// The encoder says nothing of it: only the next frame's stream tells.
    #[test]
    fn a_frame_that_is_left_out_is_counted_with_the_next() {
        let mut session = session(0, 9, true);
        let leave_out = |session: &mut Session| {
            let channel = session.channel.as_mut().expect("there is one");
            let _ = channel.get_stream(Duration::ZERO);
        };
        session.send(&frame(0), true, &NEVER).expect("room");
        leave_out(&mut session);
        assert!(session.next(&NEVER).expect("no failure").is_none());
        session.send(&frame(1), false, &NEVER).expect("room");
        let next = session.next(&NEVER).expect("no failure").expect("due");
        assert_eq!((next.before.lost, next.discont), (1, true));
        assert_eq!(next.stream.expect("a stream").pts, 1);
        assert_eq!(session.forget(), Gone::default());
    }

    #[test]
    fn an_interruption_ends_a_wait() {
        let mut session = session(0, 0, true);
        session.send(&frame(0), false, &NEVER).expect("room");
        let interrupted = AtomicBool::new(true);
        assert!(matches!(session.next(&interrupted), Err(Halt::Interrupted)));
    }

    #[test]
    fn a_rate_that_a_channel_cannot_follow_takes_another_channel() {
        let rate = RateControl::Cbr { bitrate: 100 };
        let mut follows = session(0, 9, true);
        assert_eq!(follows.set_rate(rate, 30).expect("followed"), None);
        assert_eq!(follows.attr().rate, rate);

        let mut cannot = session(0, 9, false);
        let attr = cannot.set_rate(rate, 7).expect("valid").expect("another");
        assert_eq!((attr.rate, attr.gop), (rate, 7));
        // Those of a device that reads more than VENC's manual has.
        cannot.attr.format = PixelFormat::I420;
        let another = cannot.set_rate(rate, 7).expect("valid").expect("another");
        assert_eq!(another.format, PixelFormat::I420);
        let refused = cannot.set_rate(RateControl::Cbr { bitrate: 0 }, 7);
        let refused = refused.expect_err("out of range");
        assert_eq!(refused.code(), Some(Code::IllegalParam));
        cannot
            .replace(|| Ok(session(0, 9, true)))
            .expect("it is replaced");
        assert_eq!(cannot.set_rate(rate, 7).expect("followed"), None);
        let failed = cannot.replace(|| Err(gone()));
        assert!(failed.is_err());
        assert!(cannot.request_idr().is_err(), "there is none any more");
    }
}
