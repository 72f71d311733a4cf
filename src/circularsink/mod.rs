// SPDX-License-Identifier: MIT OR Apache-2.0
//! `circularsink`: records what happened before the trigger.
//!
//! The element keeps the last `max-time` of a video and any number of sounds in memory (see
//! [`ring`](crate::ring)), beginning at a key unit. A trigger starts a *recording*, which writes
//! what is kept and then what arrives to a file of its own, through a muxer and a sink of its own.
//! Recordings may overlap; they share the buffers in memory.
//!
//! ```text
//! video   ──► ┌──────┐   ┌ recording0 ───────────────────────────┐
//!             │ ring │──►│ source ─► (parser) ─► muxer ─► filesink │
//! audio_0 ──► └──────┘   └───────────────────────────────────────┘
//!                 └────► ┌ recording1 ─ ...
//! ```
//!
//! The pads' chain functions only put a reference into the ring under a short lock: whatever the
//! storage does, the stream does not wait. Each recording has its own threads that take references
//! out. Its elements are in the element's bin, and thus in its dot graph, but their errors, ends
//! and states are not the pipeline's: an error becomes a `circularsink-recording-failed` message,
//! and the end of the stream is posted when the last file is closed.
//!
//! # Timestamps
//! What comes without timestamps is counted from the caps' rate. Of H.264 and H.265 one of the two times is enough,
//! with B frames that of presentation. Sound may be cut anywhere, and the lines of raw pictures may be apart
//! (`GstVideoMeta`): a file has whole samples, and lines as the caps say. Timestamps that go back or begin
//! anew, as when a camera was plugged in again, or that jump ahead by more than an hour (or ten
//! frames of a slow camera) are moved behind what came, with one warning: the recording goes on in
//! the same file. Another size or format begins another file, a flush of what is not live too: where `location` has no
//! number and no time, it gets the recording's number (`a-1.mkv`), and the first one stays.
//!
//! # Many triggers
//! A trigger during a recording extends it. With another `location` it starts one of its own, of
//! which `max-recordings` are open at the same time at most; what is beyond is refused with a
//! `circularsink-recording-failed` message. Each recording that fails is a warning on the bus too.
//!
//! # Sound that stops
//! A recording goes on without sound that stops without an end, as that of a microphone that was
//! unplugged: two seconds later, or earlier where memory is short, a warning says so and the file
//! gets silence until something comes (raw sound, AAC, Opus). Sound of other formats ends there in
//! that file. At a change of state to READY ten seconds of it are made at most, and the sound ends there if there is
//! more to fill. Where more than a minute is to be filled at once, as when everything was away for an hour, MP4, MOV,
//! Matroska, WebM and FLV have a gap there, and the sound behind it is at its time. A file that counts its samples has to be
//! filled, up to an hour for each gap: raw sound in an AVI takes as much room as if it had been there (690 MB an hour of
//! stereo at 48 kHz), AAC in a transport stream, where players would take a gap for another clock, about 30 MB an hour and
//! some seconds of work. GAP events upstream are silence at once, without a warning. A linked stream of which nothing at all
//! came is not in the file, or silent in it; a warning for each recording names it.
//!
//! # What no file can have
//! If no recording could be written, the element fails before one is asked for. At its start: the directory is missing or
//! may not be written, or a pattern, property or element is wrong. With a stream's first buffer, and the first one of
//! another format: the muxer of `location` cannot store the stream. Without `location` and `muxer-factory`, or where
//! `format-location` is connected, each recording has a format of its own, and this shows when it begins. A name without a number or a time that is taken already is a warning at the start.
//!
//! # Raw sound in a MOV
//! It is Apple Lossless (`avenc_alac`) there, sample for sample; of more than 16 bits the upper 24. `qtmux` would write
//! eight bytes or more of table for each sample into a file that plays when it is cut off, and take more memory
//! the longer there are no pictures. What has no such form (192 kHz, microphones without places) is refused:
//! record it to a `.mkv`, or with `muxer-properties=properties,fragment-duration=0` as it is, to a file that nothing
//! plays before it is complete.
//!
//! # Names
//! `location` may have a place for the recording's number, as `printf` has it (`%05d`), and for the
//! time of day of its first picture, as `strftime` has it: `%Y %m %d %H %M %S`, `%j %y %F %T %z` and
//! `%f`, the microseconds. It is the local time (`TZ`), with `utc-names` UTC. `%d` is the day beside
//! another time, and the number without. Directories that a time names are made. A name that has a
//! time and no number is never given twice: a second recording of that second gets `-1`. What a
//! trigger or `format-location` names is meant as it is. With `overwrite` a recording of a name that another one has waits
//! until that is closed, if it is about to be, and takes its place.
//!
//! # Time of day
//! It comes from the stream where buffers carry it (`GstReferenceTimestampMeta`, `timestamp/x-unix`
//! or `timestamp/x-ntp`, as from `rtspsrc add-reference-timestamp-meta=true`); else it is the system's
//! when a picture arrives, less the time that a live one was on its way. A recording takes it for its
//! first picture and goes on by running time: a clock that is set meanwhile changes no length. It is
//! told of, and the next recording has the new time. MP4 and MOV have it as `creation_time`, Matroska
//! as `DateUTC`, AVI as `IDIT` and as the tag of the date.
//!
//! # What stays
//! `max-files`, `max-total-bytes` and `min-free-bytes` have the oldest recordings deleted, with their
//! files of `pts-location`: those that have a name of `location`'s pattern, from earlier runs too, and
//! no others. Never deleted is one that is open, the newest, and one that is pinned: by a trigger event
//! with `pinned=true`, or the signal `pin(location or NULL)`, with NULL for those that are open. A pin
//! lasts until `unpin(location)`: it is the extended attribute `user.kendryte.pinned` of the file, or
//! where the file system has none, an empty file `NAME.pinned` beside it. What is pinned is neither
//! counted nor overwritten. Of pictures in files of their own each counts.
//!
//! # Messages
//! Element messages; times in ns, those called `-utc` since 1970, where the time of day is known.
//!
//! | message | fields |
//! |---|---|
//! | `circularsink-recording-started` | `id`, `location`, `start-running-time`, `start-utc` |
//! | `circularsink-recording-finished` | the same, and `end-running-time`, `end-utc` (where the last picture ends), `frames`, `dropped`, `bytes` |
//! | `circularsink-recording-failed` | the same as far as it came, and `error`, a sentence |
//! | `circularsink-file-deleted` | `location`, `bytes`, `reason`: the property whose limit it was |
//! | `circularsink-gap` | `stream`, the pad's name; `start-running-time`, `start-utc`: where what came ended; `end-running-time`, `end-utc`: where it goes on |
//! | `circularsink-clock-set` | `running-time` at which it was seen, `source` (`stream`, `system`), `difference`: by how much it is ahead of before |
//!
//! The event `circularsink-trigger`, sent to the element or coming in the stream, may have `location`
//! (string), `post-time` (guint64 ns) and `pinned` (boolean).
//!
//! Messages count what is in the file: `frames` of video (of the first sound where there is no
//! picture), and `dropped`, those that were kept for it and that the muxer did not put into it. What
//! comes before the first key unit is in no file, nor is an empty buffer; `stats` counts them as `buffers-skipped`.
//!
//! # After a power cut
//! Files are sent to the disk itself each second (but for pictures in files of their own), and when they are
//! complete, a moment later. MP4 and MOV are written in fragments of half a second until then.
//!
//! # Elsewhere than to files
//! `sink-factory` and `sink-properties` have recordings stored by any element that takes a stream:
//! `giosink`, `srtsink`, `awss3sink`, `fdsink`, an application's `appsink`. It gets the recording's name as
//! its `location`, `key` or `uri`, whichever it has first; `location` may be a URI then. A name without an
//! extension needs `muxer-factory`.
//!
//! By SRT each recording is a connection of its own, a transport stream to
//! `location=srt://HOST:PORT?mode=caller muxer-factory=mpegtsmux sink-factory=srtsink`. It is finished when whoever receives
//! it has played all of it, which takes the connection's latency; what comes too late for that is left out, as SRT does. All
//! that is kept is sent at once: where the network does not take that, `sink-properties=p,sync=true` sends it as fast as
//! it was recorded.
//!
//! # A source that is away
//! What was kept stays when the video is away and comes back, by later timestamps, timestamps that
//! begin anew, a flush of a live source, or its end and a new beginning: a gap is no time of the video,
//! and does not count for `max-time`. A message `circularsink-gap` tells of each that is longer than 2 s
//! and ten pictures. A recording goes on in its file, where the picture stands still meanwhile.
//!
//! # Where a file begins
//! With a key unit, and where H.264 or H.265 has key units that are no IDR (those of open GOPs, or
//! where the scene changes), with an IDR that is up to two seconds earlier. Where there is none,
//! ffmpeg and what is made of it show such a file from its first picture on, and so does GStreamer
//! 1.28. `avdec_h264` of older ones shows the first GOP of H.264 grey, in 1.26 always and in 1.22
//! where it has one thread; behind leading pictures, 1.26 may leave out pictures of the whole file.
//! `avdec_h265` of 1.26 leaves out one picture. An encoder without open GOPs makes none of these.
//!
//! # Splitting
//! With `split-on-trigger` a trigger asks upstream for a key unit and splits at the next one that
//! no leading pictures follow (those of an open GOP, shown before it). A stream that has no such
//! key units is split at its second one; its leading pictures are in the new file, but a player
//! can show them only if it plays the files as one.
//!
//! ```console
//! gst-launch-1.0 -e videotestsrc is-live=true ! x264enc key-int-max=30 ! circularsink \
//!     location=event-%05d.mp4 max-time=10000000000 recording=true
//! ```
#![doc = include_str!("reference.md")]

mod context;
mod gap;
mod headers;
mod imp;
mod input;
mod keeping;
mod recording;
mod session;
mod settings;
mod shared;
mod silence;
mod source;
mod standby;
mod target;
mod writer;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "circularsink",
        gst::DebugColorFlags::empty(),
        Some("Sink that records from before the trigger"),
    )
});

glib::wrapper! {
    /// The element `circularsink`.
    pub struct CircularSink(ObjectSubclass<imp::CircularSink>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy, gst::TagSetter;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "circularsink",
        gst::Rank::NONE,
        CircularSink::static_type(),
    )
}
