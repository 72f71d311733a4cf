// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder behind the MPP's C library.
//!
//! Each channel has a thread on which every call into the library is made, and whoever waits for
//! one waits [`STUCK_AFTER`] at most: a call that hangs costs a thread and not
//! the program. A frame is copied once, into a VB block, as VENC reads nothing but physically
//! contiguous planes on 4 KiB boundaries. A stream is copied once, out of the mapped packs, and
//! released at once: the channel never waits for us, and no mapping outlives it.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{
    Channel, ChannelAttr, Code, Device, Error, Frame, RateControl, STUCK_AFTER, Status, Stream,
    library::Library,
};

mod attributes;
mod inside;
mod memory;

use inside::Inside;

/// An error for every answer of the library but 0.
fn check(result: i32, call: &str) -> Result<(), Error> {
    if result == 0 {
        return Ok(());
    }
    Err(Error::refused(Code::from_raw(result), call))
}

/// The MPP's encoder.
#[derive(Debug, Clone)]
pub struct MppDevice {
    library: Arc<Library>,
}

impl MppDevice {
    /// The encoder of a loaded library.
    pub fn new(library: Arc<Library>) -> Self {
        Self { library }
    }
}

impl Device for MppDevice {
    fn describe(&self) -> String {
        self.library.path().display().to_string()
    }

    fn create_channel(&self, number: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        attr.validate()?;
        let (calls, inbox) = mpsc::channel::<Call>();
        let library = self.library.clone();
        let attr = *attr;
        thread::Builder::new()
            .name(format!("venc{number}"))
            .spawn(move || {
                let mut inside = Inside::new(library, number, attr);
                while let Ok(call) = inbox.recv() {
                    call(&mut inside);
                }
            })
            .map_err(|error| Error::refused(Code::NoMem, format!("starting a thread: {error}")))?;
        let mut channel = MppChannel {
            calls,
            stuck: false,
            frames_inside: 0,
            copied: 0,
            name: self.describe(),
            unmapped: Vec::new(),
        };
        // k_venc_chn_attr has a profile and no level.
        if let Some(level) = attr.level {
            let name = &channel.name;
            channel
                .unmapped
                .push(format!("{name} cannot be told to say {level}"));
        }
        channel.call("kd_mpi_venc_create_chn", Inside::create)?;
        Ok(Box::new(channel))
    }
}

type Call = Box<dyn FnOnce(&mut Inside) + Send>;

/// The handle that other threads have.
struct MppChannel {
    calls: mpsc::Sender<Call>,
    stuck: bool,
    frames_inside: u32,
    copied: u64,
    name: String,
    unmapped: Vec<String>,
}

impl MppChannel {
    /// Runs `f` on the channel's thread.
    fn call<T: Send + 'static>(
        &mut self,
        what: &str,
        f: impl FnOnce(&mut Inside) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stuck = || Error::Stuck {
            what: what.into(),
            after: STUCK_AFTER,
        };
        if self.stuck {
            return Err(stuck());
        }
        let (reply, answer) = mpsc::sync_channel(1);
        let call: Call = Box::new(move |inside| {
            let _ = reply.send(f(inside));
        });
        if self.calls.send(call).is_err() {
            return Err(Error::refused(Code::Unexist, what));
        }
        answer.recv_timeout(STUCK_AFTER).unwrap_or_else(|_| {
            self.stuck = true;
            Err(stuck())
        })
    }
}

fn milliseconds(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
}

impl Channel for MppChannel {
    fn start(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_start_chn", Inside::start)
    }

    fn send_frame(&mut self, frame: &Frame, limit: Duration) -> Result<(), Error> {
        let frame = frame.clone();
        self.call("kd_mpi_venc_send_frame", move |inside| {
            inside.send(&frame, milliseconds(limit))
        })?;
        self.frames_inside += 1;
        self.copied += 1;
        Ok(())
    }

    fn get_stream(&mut self, limit: Duration) -> Result<Stream, Error> {
        let stream = self.call("kd_mpi_venc_get_stream", move |inside| {
            inside.get(milliseconds(limit))
        })?;
        self.frames_inside = self.frames_inside.saturating_sub(1);
        Ok(stream)
    }

    fn query(&self) -> Status {
        Status {
            frames_inside: self.frames_inside,
            copied: self.copied,
            ..Status::default()
        }
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_request_idr", Inside::request_idr)
    }

    fn set_rate(&mut self, _rate: RateControl, _gop: u32) -> Result<(), Error> {
        // mpi_venc_api.h has no kd_mpi_venc_set_chn_attr.
        Err(Error::refused(
            Code::NotSupport,
            "changing the rate of a created channel",
        ))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_stop_chn", Inside::stop)
    }

    fn delay(&self) -> u32 {
        0
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn unmapped(&self) -> &[String] {
        &self.unmapped
    }
}

impl Drop for MppChannel {
    fn drop(&mut self) {
        // The thread ends when the sender is gone; a stuck one is left to itself.
        let _ = self.call("kd_mpi_venc_destroy_chn", |inside| {
            inside.destroy();
            Ok(())
        });
    }
}
