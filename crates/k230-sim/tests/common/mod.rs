// SPDX-License-Identifier: MIT OR Apache-2.0
//! An encoder that takes no time: its streams say which frame they are of and how they were asked
//! for.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k230_venc::{
    Channel, ChannelAttr, Code, Device, Error, Frame, Pack, PackKind, RateControl, Status, Stream,
};

/// Keeps the other tests of this process waiting, as the double is one for the process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    k230_sim::set_encoder(|| Some(Box::new(Dummy)));
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The width of a picture that the dummy fails at.
pub(crate) const FAILING_WIDTH: u32 = 130;

/// The parameter sets of every IDR: start codes, an SPS and a PPS of H.264.
pub(crate) const PARAMETER_SETS: &[u8] = &[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2];

struct Dummy;

struct DummyChannel {
    attr: ChannelAttr,
    /// Frames since the last IDR.
    since_idr: u32,
    idr_wanted: bool,
    streams: VecDeque<Stream>,
}

impl Device for Dummy {
    fn describe(&self) -> String {
        "dummy".into()
    }

    fn create_channel(&self, _: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        attr.validate()?;
        Ok(Box::new(DummyChannel {
            attr: *attr,
            since_idr: 0,
            idr_wanted: true,
            streams: VecDeque::new(),
        }))
    }
}

impl Channel for DummyChannel {
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn send_frame(&mut self, frame: &Frame, _: Duration) -> Result<(), Error> {
        if self.attr.width == FAILING_WIDTH {
            return Err(Error::refused(Code::BadAddr, "the dummy"));
        }
        let (luma, _) = frame.data.plane(0).expect("a luma plane");
        let key = std::mem::take(&mut self.idr_wanted) || self.since_idr >= self.attr.gop;
        self.since_idr = if key { 1 } else { self.since_idr + 1 };
        let picture = [0, 0, 1, if key { 0x65 } else { 0x41 }, luma[0]];
        let mut packs = Vec::new();
        let mut data = Vec::new();
        if key {
            data.extend_from_slice(PARAMETER_SETS);
            packs.push(Pack {
                kind: PackKind::Header,
                len: data.len(),
            });
        }
        data.extend_from_slice(&picture);
        packs.push(Pack {
            kind: if key { PackKind::I } else { PackKind::P },
            len: picture.len(),
        });
        self.streams.push_back(Stream {
            packs,
            pts: frame.pts,
            data: Box::new(data),
        });
        Ok(())
    }

    fn get_stream(&mut self, _: Duration) -> Result<Stream, Error> {
        self.streams
            .pop_front()
            .ok_or_else(|| Error::refused(Code::BufEmpty, "the dummy"))
    }

    fn query(&self) -> Status {
        Status::default()
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.idr_wanted = true;
        Ok(())
    }

    fn set_rate(&mut self, _: RateControl, gop: u32) -> Result<(), Error> {
        self.attr.gop = gop;
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn delay(&self) -> u32 {
        0
    }

    fn describe(&self) -> String {
        "dummy".into()
    }
}
