// SPDX-License-Identifier: MIT OR Apache-2.0
//! Video files for the simulated K210 board of `sim:FILE` to look at, decoded by GStreamer.
//!
//! The program `k210-sim` has its own, decoded by `ffmpeg`: a crate without GStreamer cannot use this
//! one, and an element that has GStreamer needs no other program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gst::prelude::*;

use k210_sim::{Frame, Scene};

/// Longest wait for the decoder; after it the picture stands still.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is decoded without being seen rather than skipped.
const FAR: Duration = Duration::from_secs(3);

/// How often to look whether the decoder failed, which the sink does not notice.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// Why a file is no footage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer, or an element of its base plugins, is missing.
    #[error("cannot decode video: {0}")]
    Setup(#[from] glib::Error),
    /// No file that can be read.
    #[error("{} {reason}", path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be decoded.
    #[error("{} is no video that can be decoded ({})", path.display(), reason.trim_end_matches('.'))]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        reason: String,
    },
}

/// Which of the file's frames the camera sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// The one of that time; the file plays at its own speed from the first frame on.
    #[default]
    Time,
    /// The next one, at every frame of the camera.
    Frame,
}

/// A video file, over and over. The picture is scaled to fill the camera's, its middle shown.
pub struct Footage {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    pace: Pace,
    /// The board's time of the file's beginning.
    base: Option<Duration>,
    /// End of the picture that is held, in the file's time.
    end: Duration,
    picture: Frame,
    /// Why the decoder stopped.
    error: Option<String>,
}

impl Footage {
    /// Opens a file and decodes its first frame.
    ///
    /// # Errors
    ///
    /// When there is no such file, or no decoder for its video.
    pub fn new(path: &Path, pace: Pace) -> Result<Self, Error> {
        gst::init()?;
        let path_error = |reason: String| Error::Path {
            path: path.into(),
            reason,
        };
        check(path).map_err(path_error)?;
        let absolute = std::path::absolute(path);
        let absolute = absolute.map_err(|error| path_error(format!("cannot be read: {error}")))?;
        let uri = glib::filename_to_uri(&absolute, None)?;
        let pipeline = gst::parse::launch(
            "uridecodebin name=source expose-all-streams=false caps=video/x-raw(ANY) \
             ! videoconvert ! appsink name=sink sync=false max-buffers=4 \
             caps=video/x-raw,format=RGB",
        )?;
        let decode_error = |reason: String| Error::Decode {
            path: path.into(),
            reason,
        };
        let pipeline = pipeline
            .downcast::<gst::Pipeline>()
            .map_err(|_| decode_error("no pipeline".into()))?;
        let element = |name: &str| {
            pipeline
                .by_name(name)
                .ok_or_else(|| decode_error(format!("no {name}")))
        };
        element("source")?.set_property("uri", uri.as_str());
        let sink = element("sink")?
            .downcast::<gst_app::AppSink>()
            .map_err(|_| decode_error("no sink".into()))?;
        let mut footage = Footage {
            pipeline,
            sink,
            pace,
            base: None,
            end: Duration::ZERO,
            picture: Frame::default(),
            error: None,
        };
        // The reason of a failure is on the bus.
        let _ = footage.pipeline.set_state(gst::State::Playing);
        if footage.next() {
            Ok(footage)
        } else {
            footage.failed();
            let reason = footage.error.take();
            Err(decode_error(
                reason.unwrap_or_else(|| "no video in it".into()),
            ))
        }
    }

    /// Looks for the decoder's error.
    fn failed(&mut self) -> bool {
        let message = self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|found| found.view()) {
            // What follows the first follows from it.
            let text = error.error().to_string();
            self.error.get_or_insert(text);
        }
        self.error.is_some()
    }

    fn pull(&mut self) -> Option<gst::Sample> {
        let start = Instant::now();
        loop {
            let sample = self.sink.try_pull_sample(LOOK);
            if sample.is_some() {
                return sample;
            }
            if self.sink.is_eos() || self.failed() || start.elapsed() > PATIENCE {
                return None;
            }
        }
    }

    /// Takes the next frame; false at the end.
    fn next(&mut self) -> bool {
        let Some(sample) = self.pull() else {
            return false;
        };
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return false;
        };
        let Ok(info) = gst_video::VideoInfo::from_caps(caps) else {
            return false;
        };
        let Ok(frame) = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info) else {
            return false;
        };
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = info.stride()[0] as usize;
        let Ok(data) = frame.plane_data(0) else {
            return false;
        };
        self.picture.resize(width, height);
        for (from, to) in data
            .chunks(stride)
            .zip(self.picture.rgb.chunks_exact_mut(3 * width))
        {
            to.copy_from_slice(&from[..3 * width]);
        }
        let start = buffer.pts().map_or(self.end, Duration::from);
        let length = buffer
            .duration()
            .map_or(Duration::from_millis(40), Duration::from);
        self.end = start + length;
        true
    }

    /// Goes to a time of the file and takes the frame there.
    fn seek(&mut self, time: Duration) -> bool {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let position = gst::ClockTime::try_from(time).unwrap_or(gst::ClockTime::ZERO);
        let end = std::mem::take(&mut self.end);
        if self.pipeline.seek_simple(flags, position).is_ok() && self.next() {
            return true;
        }
        self.end = end;
        false
    }

    fn advance(&mut self, time: Duration) {
        if self.base.is_none() {
            // The first frame was taken when the file was opened.
            self.base = Some(time);
        } else if self.pace == Pace::Frame {
            if !self.next() {
                self.seek(Duration::ZERO);
            }
            return;
        }
        let mut seeked = false;
        loop {
            let base = self.base.unwrap_or_default();
            let elapsed = time.saturating_sub(base);
            if elapsed < self.end {
                return;
            }
            if elapsed - self.end > FAR && !seeked {
                // Nobody looked for a while: no need to decode what was not seen.
                seeked = true;
                let length = self.pipeline.query_duration::<gst::ClockTime>();
                let length = length.map(Duration::from).unwrap_or_default();
                let rounds = elapsed.as_nanos().checked_div(length.as_nanos());
                let skipped = length * rounds.unwrap_or(0) as u32;
                self.base = Some(base + skipped);
                if !self.seek(elapsed - skipped) {
                    return;
                }
            } else if !self.next() {
                let end = self.end;
                if !self.seek(Duration::ZERO) {
                    return;
                }
                self.base = Some(base + end);
            }
        }
    }
}

/// What is wrong with a file before anybody decodes it, which decoders do not say or say at length.
fn check(path: &Path) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let found = path.metadata().map_err(unreadable)?;
    if found.is_dir() {
        return Err("is a directory".into());
    }
    if found.is_file() {
        // What is no file may wait for who opens it.
        File::open(path).map_err(unreadable)?;
        if found.len() == 0 {
            return Err("is empty".into());
        }
    }
    Ok(())
}

impl Scene for Footage {
    fn draw(&mut self, frame: &mut Frame, _number: u32, time: Duration) {
        self.advance(time);
        frame.show_middle_of(&self.picture);
    }
}

impl Drop for Footage {
    fn drop(&mut self) {
        // Going down cannot fail in a way that matters.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_none_is_refused() {
        let error = Footage::new(Path::new("/nonexistent.webm"), Pace::Time);
        let error = error.err().expect("an error").to_string();
        assert!(error.contains("/nonexistent.webm"), "{error}");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(Footage::new(&here, Pace::Time).is_err());
    }

    #[test]
    fn the_film_goes_on_and_starts_again() {
        let film = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bigbuckbunny.webm");
        let mut footage = Footage::new(&film, Pace::Time).expect("footage");
        let mut at = |millis: u64| {
            let mut frame = Frame::default();
            frame.resize(160, 120);
            footage.draw(&mut frame, 0, Duration::from_millis(5000 + millis));
            frame.rgb
        };
        let first = at(0);
        let second = at(1000);
        assert!(first != second);
        assert!(at(1001) == second || at(1050) != second);
        // Long after the end there is still a picture.
        let later = at(100_000_000);
        assert!(later.iter().any(|&sample| sample > 16));
    }
}
