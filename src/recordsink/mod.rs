// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink`: records video and sound, raw or encoded, to the file that `location` names.
//!
//! ```text
//! gst-launch-1.0 -e videotestsrc num-buffers=150 ! video/x-raw,width=640,height=480 ! \
//!     recordsink location=clip.mp4 quality=high
//! gst-launch-1.0 -e videotestsrc is-live=true ! r.video audiotestsrc is-live=true ! r.audio \
//!     recordsink name=r location=clip.avi duration=10000000000
//! ```
//!
//! The extension chooses container and encoders:
//!
//! | file | raw video becomes | raw sound becomes |
//! |---|---|---|
//! | `.avi` | Motion JPEG | PCM |
//! | `.mp4` `.mov` `.mkv` `.ts` `.flv` | H.264 | AAC, or Opus where no AAC encoder is installed |
//! | `.webm` `.ogg` | VP8 | Opus |
//! | `.h264` `.h265` `.mjpeg` | that, without a container | |
//! | `.jpg` | one picture; `%05d` in the name: one picture a frame | |
//! | `.wav` `.pcm` | | samples |
//!
//! Encoders of sound put something in front of it that is heard too, and do not take that off the times: 1024 samples by
//! `avenc_aac`, 21 ms at 48 kHz and 128 ms at 8 kHz, so that the sound is later by that. Opus has no such delay.
//! In an Ogg file sound that begins less than 40 ms behind the picture begins with it, as `oggmux` writes it.
//!
//! H.264 and H.265 are encoded by `k230venc`, or by a software encoder where pictures are smaller
//! than VENC's 128x64. `video-encoder`, `audio-encoder` and `muxer-factory` name other elements;
//! `video-encoder=h265` (or `h264`, `mjpeg`) names a codec only. Encoded input is not decoded.
//! Inside, everything is ordinary elements: they show in the dot graph and in `deep-element-added`.
//!
//! `profile=k210` makes an AVI that MaixPy's player on the K210 plays too: Motion JPEG that its decoder
//! takes, a picture a frame and none larger than its buffer (one that is gets less quality, with a
//! warning), sound in 16 bits, one or two channels and at most 48 kHz. `width` and `height` scale raw
//! pictures without distorting them: 320x240 is the K210's screen, the rest of it is black.
//!
//! ```text
//! gst-launch-1.0 -e videotestsrc num-buffers=50 ! video/x-raw,width=640,height=360,framerate=10/1 ! \
//!     recordsink location=board.avi profile=k210 width=320 height=240
//! ```
//!
//! A new file begins when `split-time` or `split-bytes` is reached, when `split(location)` is emitted
//! and when a stream goes on in another size or format (rate and channels of sound too, but for rates in Opus),
//! each time at a key unit, with no frame lost. Behind a key unit of an open GOP, as `x265enc` makes them, come pictures that
//! are shown before it and need what is in the file before: they are in the new file, players leave them out, and a warning
//! says so.
//! Every file begins at 0, whatever the running time is (in an MPEG transport stream the clock does,
//! which runs ahead of the pictures by an eighth of a second). With two streams the first file begins when both have come. If one has
//! brought 20 s, or 64 MiB encoded, and the other nothing, the file does without it, with a warning;
//! when it comes after all, it begins another file.
//!
//! # Timestamps
//! Buffers without timestamps are counted by the caps' frame or sample rate; without a rate that is an error. H.264 and
//! H.265 need one of their two times. Where only the time of presentation is there, as by RTP, the element works out when
//! pictures are decoded; where only the time of decoding is there, as from an AVI, the picture is shown at that time.
//! Pictures outside their segment are recorded, and sound behind its end; sound from before its begin is in a file of
//! samples (`.wav`, `.pcm`) only. Without a segment timestamps are running times. Raw pictures and JPEGs
//! that are played backward are recorded in the order in which they are shown. Sound may be cut anywhere: the rest of a
//! sample waits for the next buffer, unless that has the flag `DISCONT`.
//!
//! Timestamps that go back or begin anew, or that jump ahead by more than an hour (or ten frames of a slow camera), go on
//! behind what came, with one warning; so they do after a flush. What goes back by no more than clocks jitter, or than
//! pictures are reordered, keeps its time; encoded pictures that nothing reorders are just behind the one before, and what
//! would be before the begin of its file is just behind that. A seek by others takes nothing out of a file, and the element
//! itself takes part in none.
//!
//! Of a stream that is joined amid a group of pictures `h264parse` and `h265parse` leave out what comes before the first
//! parameter sets, unless the caps have them, and `av1parse` what needs pictures that have not come: that is counted, and a
//! warning says so. Other pictures are recorded from the first one on. Motion JPEG goes into the file as it comes, damaged
//! pictures too, from the first picture with a readable head on.
//!
//! # Messages
//! For each complete file the bin posts an element message `recordsink-file` with `location`, `frames`, `bytes`,
//! `duration` (from the first picture or sound to the end of the last), all of the file that is on the disk, and `dropped`,
//! the frames that came for it and are not in it. Of these, `dropped-interval` came before `interval` had passed,
//! `dropped-unreadable` were empty, came before the first picture with a readable head, or were left out by a parser,
//! `dropped-flushed` were in an encoder, a parser or a queue when the stream was flushed, or came behind its end, and `lost`
//! were not put into the file by the muxer. With `frame-messages=true` each frame posts `recordsink-frame` with its `bytes`
//! and `pts`.
//!
//! # Names, writers, time of day
//! Names may have a place for the time of day of the first picture, as `strftime` has it: `%Y %m %d %H
//! %M %S`, `%j %y %F %T %z %f`, the local time or with `utc-names` UTC; `%d` is the day beside another
//! time, and the file's number without. Directories that a time names are made, and a name that has a
//! time and no number is never given twice: the second gets `-1`. What `split(location)` names wins,
//! then what `format-location-full(number, first sample)` or `format-location(number)` answer, as with
//! splitmuxsink; both are meant as they are.
//!
//! A file has one writer: a second recorder, of this plugin in any program, fails when it would begin with a file that
//! is being written (other programs are known by a lock, on file systems of the machine itself; a program like `ffmpeg` asks
//! for none).
//!
//! The time of day comes from the stream where buffers carry it (`GstReferenceTimestampMeta` of
//! `timestamp/x-unix` or `timestamp/x-ntp`), else from the system's clock. `recordsink-file` has it in
//! ns since 1970 as `start-utc` and `end-utc`, MP4 and MOV as `creation_time`, Matroska as `DateUTC`,
//! AVI as `IDIT` and as the tag of the date. A clock that is set while a file is recorded changes no length; the
//! message `recordsink-clock-set` has the `running-time` at which it was seen, `source` (`stream`,
//! `system`) and the `difference` in ns.
//!
//! `max-files`, `max-total-bytes` and `min-free-bytes` have the oldest files deleted that have a name of
//! `location`'s pattern, from earlier runs too, and no others; each posts a message
//! `recordsink-file-deleted` with `location`, `bytes` and `reason`, the property whose limit it was.
//! Never deleted is the newest, and what is pinned: `pin(location or NULL)`, with NULL for the one that
//! is being written, until `unpin(location)`. The pin is the extended attribute `user.kendryte.pinned`,
//! or where the file system has none, an empty file `NAME.pinned` beside it; what is pinned is neither
//! counted nor overwritten. `pts-location` is one file for the whole recording, which stays; `overwrite=false` is for it too, and has
//! the numbers of files that are there passed over.
//!
//! A recording ends with its streams. What a seek has them bring behind their end goes into further files where the
//! format has no container (`.mjpeg`, `.jpg`, `.h264`); else it is refused with EOS, and a warning says so.
//!
//! `sink-factory` and `sink-properties` have what the muxer makes stored by another element (`giosink`,
//! `srtsink`, `awss3sink`, `appsink`), which gets the name as its `location`, `key` or `uri`, whichever it
//! has; `location` may be a URI then, and may be missing if `muxer-factory` is set. A file by SRT
//! (`location=srt://HOST:PORT?mode=caller muxer-factory=mpegtsmux sink-factory=srtsink`) is a connection of its own, and
//! complete when whoever receives it has played all of it, which takes the connection's latency.
//!
//! What a killed program, a full disk or a power cut leaves of a file plays: an AVI up to its last
//! checkpoint (a second), MP4 and MOV, which are written in fragments and made plain files at their
//! end, up to the last half a second or group of pictures, the others as far as they go. Nothing waits in
//! buffers of this process, and files are sent to the disk itself each second (but for pictures in
//! files of their own), which is what is lost with the power; so are they when they are complete, a
//! moment later.
//!
//! Behind an error of its own the element tells upstream that the stream ends, so that files on other branches of a
//! `tee` are completed.
//!
//! `duration`, `finish()` and a single `.jpg` end the recording by itself: the bin posts EOS as if
//! the stream had ended, and what still arrives is dropped.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod begun;
mod chain;
mod cut;
mod elementary;
mod encoder;
mod first;
mod fit;
mod gate;
mod imp;
mod keeping;
mod lane;
mod mixdown;
mod muxed;
mod names;
mod parsing;
mod preroll;
mod profile;
pub mod quality;
mod recorder;
mod settings;
mod size;
mod stream;
mod tally;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "recordsink",
        gst::DebugColorFlags::empty(),
        Some("Recorder by file name"),
    )
});

pub use crate::streams::Profile;
pub use crate::streams::names::blank_name;
pub use quality::Quality;

glib::wrapper! {
    /// Records to a file by its extension; see the module's documentation.
    pub struct RecordSink(ObjectSubclass<imp::RecordSink>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Profile::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    Quality::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "recordsink",
        gst::Rank::NONE,
        RecordSink::static_type(),
    )
}
