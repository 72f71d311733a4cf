// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ffmpegsink`: hands streams to the program `ffmpeg`, with their timestamps.
//!
//! ```text
//! gst-launch-1.0 -e videotestsrc num-buffers=90 ! video/x-raw,format=BGR,width=640,height=480 ! \
//!     ffmpegsink args="-c:v mjpeg -q:v 3 output.avi"
//! ```
//!
//! The streams go through a pipe to ffmpeg's standard input as Matroska, which carries raw and
//! encoded pictures and sound together with their times (in steps of 0.1 ms). So a frame that comes
//! late stays late, and the file is as long as the recording was: bare frames on a pipe get the
//! times at which ffmpeg happens to read them, or none.
//!
//! The command is `ffmpeg -y -f matroska -i pipe:0 ARGS`, with `-n` instead of `-y` when
//! `overwrite=false`. `args` is what a shell's user would write after the inputs: quotes,
//! backslashes and comments mean what they mean there, but no shell runs and nothing is expanded.
//!
//! The program starts with the first data, gets the end of its input at EOS, and the element's own
//! EOS comes when it has ended: the file is complete then. Its messages are log lines of the
//! category `ffmpegsink`. Where it fails, the element's error has its last lines. When it ends
//! by itself and is content (`-t 10`), the stream ends. A stream that ends before anything of it has come is left out;
//! when nothing comes at all, the program is not started, and a warning says so.
//!
//! Buffers without timestamps are counted by the caps' frame or sample rate where each is a picture, or a package of
//! sound, as it comes (raw, JPEG, VP8, VP9, Opus, framed sound); without a rate, and of anything else, that is an error. Timestamps that go back, begin anew or jump ahead by more than an hour go on behind
//! what came, with a warning. When a stream goes on in another size or format, the program gets the
//! end of its input and is started again with the same arguments, except that the files it writes
//! have numbers: `clip.mp4`, `clip-00001.mp4` and so on; an INFO message says so. That is with the first buffer of the
//! other format: caps that nothing follows begin no file. Where several streams change in one moment, each buffer is in the
//! file before or in the one behind; between the changes there may be a short one.
//!
//! A flush, as of a seek by others, takes nothing out of a file: what has come is in it, and what follows goes on behind
//! it. Pictures that are empty, or that come behind the end of their stream after a flush, are in no file and are counted.
//! ffmpeg itself leaves pictures out where it encodes and two have the same time. Where the sound changes its format amid
//! a group of H.264 or another encoder's pictures, the next file has them from the next key unit on: parsers and ffmpeg leave
//! out what nothing can show, and `stats` counts it among `frames`.
//!
//! Behind an error of its own the element tells upstream that the stream ends, so that files on other branches of a
//! `tee` are completed.
//!
//! Stopped without EOS, the program gets the end of its input and completes its file; if it neither
//! reads nor ends for five seconds it gets SIGTERM, and five seconds later SIGKILL. The same happens
//! when this process dies, by SIGKILL or in a crash, where a shell that watches (`/bin/sh`) gives it
//! ten seconds until SIGTERM and twenty more until SIGKILL: it outlives this process by half a minute
//! at most. When somebody stops the program (SIGSTOP), or it has read nothing for ten seconds while there was
//! something to read, a warning says so.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod descriptors;
mod imp;
mod messages;
mod pack;
mod pipe;
pub mod process;
mod settings;
mod turn;
mod watchdog;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "ffmpegsink",
        gst::DebugColorFlags::empty(),
        Some("Sink to the program ffmpeg"),
    )
});

glib::wrapper! {
    /// A sink that is the program `ffmpeg`; see the module's documentation.
    pub struct FfmpegSink(ObjectSubclass<imp::FfmpegSink>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "ffmpegsink",
        gst::Rank::NONE,
        FfmpegSink::static_type(),
    )
}
