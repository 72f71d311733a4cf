// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound that stops without saying so: how long a recording waits for it, and what it gets in its
//! place.
//!
//! A muxer wants buffers of all its streams, so a microphone that was unplugged would hold the
//! picture back until the recording is cut off. GAP events do not help: qtmux of GStreamer 1.22
//! drops them and waits on, matroskamux waits whatever they say. So the stream gets silence: raw
//! samples, or packets of AAC or Opus that decode to it. Other formats end there.

use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::ring::Silence;
use crate::streams::sentences::nothing_came;

/// How long nothing must have come, and by how much in time (ns) the sound must be behind the
/// picture, until a recording goes on without it. Encoders and sound cards that were fed late are
/// not behind by so much.
const PATIENCE: Duration = Duration::from_secs(2);
const BEHIND: i64 = 2_000_000_000;

/// The same where the recording is about to be cut off.
const BEHIND_PRESSED: i64 = 500_000_000;

/// A hole in raw sound that is filled, ns: a jump of the clock is shorter. GStreamer's own limit
/// for the same (`alignment-threshold` of audioaggregator and of audio sinks).
pub(crate) const HOLE: i64 = 40_000_000;

/// The longest buffer of raw silence, ns.
const LONGEST: i64 = 1_000_000_000;

/// Waits for a stream that may have fallen silent.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Silence has its place in the file: the stream may come back.
    pub lasting: bool,
    /// When the wait began.
    since: Option<Instant>,
    silent: bool,
    /// Silence was told of up to here.
    told: i64,
    /// The user is to hear of it.
    news: bool,
}

impl Patience {
    /// For a stream that may come back after a silence, or not.
    pub(crate) fn new(lasting: bool) -> Self {
        Self {
            lasting,
            since: None,
            silent: false,
            told: i64::MIN,
            news: false,
        }
    }

    /// Something came.
    pub(crate) fn heard(&mut self) {
        self.since = None;
        self.silent = false;
    }

    /// Whether to go on without the stream, up to which running time (ns).
    pub(crate) fn over(&mut self, silence: &Silence, now: Instant) -> Option<i64> {
        let since = *self.since.get_or_insert(now);
        let margin = if silence.pressed {
            BEHIND_PRESSED
        } else {
            BEHIND
        };
        // A gap that was announced is no loss where it has a place in the file.
        let known = if self.lasting {
            silence.told
        } else {
            silence.heard
        };
        let waited = silence.pressed || now.saturating_duration_since(since) >= PATIENCE;
        if !self.silent && waited && silence.reached.saturating_sub(known) > margin {
            self.silent = true;
            self.news = true;
        }
        let mut until = silence.told.min(silence.reached);
        if self.silent {
            until = until.max(silence.reached - margin);
        } else if !self.lasting || silence.told <= silence.heard {
            return None;
        }
        (until > self.told).then(|| {
            self.told = until;
            until
        })
    }

    /// How much longer to wait before [`Patience::over`] is to be asked again, if nothing comes.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let waited = now.saturating_duration_since(self.since?);
        (waited < PATIENCE).then(|| PATIENCE - waited)
    }

    /// Whether the user is to be told now; once a silence.
    pub(crate) fn told_user(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }
}

/// Silence in a stream's format.
#[derive(Debug, Clone)]
pub(crate) enum Stuff {
    /// Samples.
    Raw(Box<gst_audio::AudioInfo>),
    /// A packet, and its duration: samples, and samples a second.
    Packets(&'static [u8], u32, u32),
}

/// A raw_data_block of AAC LC with one element of one channel, or of two, in which nothing is
/// coded (max_sfb is 0), and the end (ISO/IEC 14496-3, tables 4.3 to 4.6, 4.50).
const AAC_MONO: &[u8] = &[0, 0, 0, 0b111];
const AAC_STEREO: &[u8] = &[0b0010_0000, 0, 0, 0, 0, 0, 0b1110];

/// A CELT frame of 20 ms with the silence flag, full band, mono, which a stereo stream may have
/// too (RFC 6716, 3.1 and 4.3).
const OPUS: &[u8] = &[0xf8, 0xff, 0xfe];

impl Stuff {
    /// For caps of sound; `None` where silence has no form that is known here.
    pub(crate) fn new(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        match structure.name().as_str() {
            "audio/x-raw" => gst_audio::AudioInfo::from_caps(caps)
                .ok()
                .map(Box::new)
                .map(Self::Raw),
            "audio/mpeg" if structure.get("mpegversion") == Ok(4) => {
                let config = structure.get::<gst::Buffer>("codec_data").ok()?;
                let config = config.map_readable().ok()?;
                let raw = structure.get("stream-format") == Ok("raw");
                let packet = aac(&config).filter(|_| raw)?;
                let rate = u32::try_from(structure.get::<i32>("rate").ok()?).ok()?;
                Some(Self::Packets(packet, 1024, rate))
            }
            "audio/x-opus" if structure.get("channel-mapping-family") == Ok(0) => {
                Some(Self::Packets(OPUS, 960, 48_000))
            }
            _ => None,
        }
    }

    /// The next buffer of silence from one running time (ns) up to another, and where it ends.
    /// `None` where there is no room for a sample or packet.
    pub(crate) fn next(&self, from: i64, until: i64) -> Option<(gst::Buffer, i64)> {
        match *self {
            Self::Raw(ref info) => raw(info, from, until.min(from.saturating_add(LONGEST))),
            Self::Packets(packet, samples, rate) => {
                let length = u64::from(samples) * 1_000_000_000 / u64::from(rate.max(1));
                let end = from.checked_add(i64::try_from(length).ok()?)?;
                (end <= until).then(|| (gst::Buffer::from_slice(packet), end))
            }
        }
    }
}

/// A silent packet for an AudioSpecificConfig of LC with frames of 1024 samples, one channel or
/// two, and nothing beyond (ISO/IEC 14496-3, 1.6.2.1 and 4.4.1; encoders append the sync extension
/// that says that there is none).
fn aac(config: &[u8]) -> Option<&'static [u8]> {
    let (&[first, second], rest) = config.split_first_chunk()?;
    let frequency = (first & 0b111) << 1 | second >> 7;
    let plain = first >> 3 == 2 && frequency != 15 && second & 0b111 == 0;
    let no_extension = matches!(rest, [] | [0x56, 0xe5, 0]);
    match second >> 3 & 0b1111 {
        _ if !(plain && no_extension) => None,
        1 => Some(AAC_MONO),
        2 => Some(AAC_STEREO),
        _ => None,
    }
}

/// Raw silence between two running times (ns), and where it ends, to the sample.
fn raw(info: &gst_audio::AudioInfo, from: i64, until: i64) -> Option<(gst::Buffer, i64)> {
    let rate = u128::from(info.rate());
    let length = u128::try_from(until.checked_sub(from)?).ok()?;
    let samples = (length * rate + 500_000_000) / 1_000_000_000;
    if samples == 0 {
        return None;
    }
    let bytes = usize::try_from(samples).ok()? * info.bpf() as usize;
    let mut buffer = gst::Buffer::with_size(bytes).ok()?;
    {
        let mut map = buffer.get_mut()?.map_writable().ok()?;
        info.format_info().fill_silence(&mut map);
    }
    let length = samples * 1_000_000_000 / rate.max(1);
    Some((buffer, from + i64::try_from(length).ok()?))
}

/// Says that nothing came of these streams, which are not in the recording, or silent in it.
pub(crate) fn warn_of_silence(element: &impl IsA<gst::Element>, streams: &[String], silent: bool) {
    let without = match streams {
        _ if silent => "has silence in its place",
        [only] if only == "video" => "has the sound alone",
        [_] => "is without it",
        _ => "is without them",
    };
    let names: Vec<_> = streams.iter().map(String::as_str).collect();
    let text = nothing_came(&names, &format!("the recording {without}"));
    gst::element_warning!(element, gst::StreamError::Failed, ("{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn silence(heard: i64, told: i64, reached: i64) -> Silence {
        Silence {
            heard,
            told,
            reached,
            pressed: false,
        }
    }

    #[test]
    fn waits_for_sound_and_then_does_not() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(true);
        // The picture is far ahead, as where a file is read: that alone is no silence.
        assert_eq!(patience.over(&silence(0, 0, 9 * SECOND), start), None);
        assert_eq!(patience.left(start), Some(PATIENCE));
        // Neither stream going on is no silence of the sound.
        assert_eq!(patience.over(&silence(0, 0, SECOND), after(3)), None);
        assert_eq!(patience.left(after(3)), None);
        let over = patience.over(&silence(0, 0, 9 * SECOND), after(3));
        assert_eq!(over, Some(7 * SECOND));
        assert!(patience.told_user() && !patience.told_user());
        // It then follows the picture.
        assert_eq!(patience.over(&silence(0, 0, 9 * SECOND), after(3)), None);
        let over = patience.over(&silence(0, 0, 10 * SECOND), after(3));
        assert_eq!(over, Some(8 * SECOND));
        patience.heard();
        let back = silence(9 * SECOND, 9 * SECOND, 20 * SECOND);
        assert_eq!(patience.over(&back, after(4)), None);
    }

    #[test]
    fn believes_what_it_is_told() {
        let now = Instant::now();
        let mut patience = Patience::new(true);
        let told = silence(SECOND, 3 * SECOND, 4 * SECOND);
        assert_eq!(patience.over(&told, now), Some(3 * SECOND));
        assert_eq!(patience.over(&told, now), None);
        assert!(!patience.told_user());
        // A format that has no silence has no use for it.
        let mut patience = Patience::new(false);
        assert_eq!(patience.over(&told, now), None);
        let over = patience.over(&told, now + PATIENCE);
        assert_eq!(over, Some(3 * SECOND));
    }

    #[test]
    fn does_not_wait_where_memory_is_short() {
        let mut patience = Patience::new(true);
        let mut short = silence(0, 0, SECOND);
        short.pressed = true;
        let over = patience.over(&short, Instant::now());
        assert_eq!(over, Some(SECOND - BEHIND_PRESSED));
    }
}
