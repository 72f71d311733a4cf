// SPDX-License-Identifier: MIT OR Apache-2.0
//! Speakers as WAVE's formats have them (`SPEAKER_*` of `ksmedia.h`) and as GStreamer has them, who counts
//! those from the tenth on in another order.

use gst::glib::translate::IntoGlib;
use gst_audio::AudioChannelPosition as Position;

use super::containers::{AudioCodec, Container};
use super::is_raw;

/// Channels that libav's encoder of AAC knows, and others too.
const USUAL: [u64; 10] = [0x3, 0x7, 0xb, 0x103, 0x33, 0x107, 0xf, 0x37, 0x3f, 0xc3f];

/// Those of them that a transport stream can tell of (ISO/IEC 14496-3, table 1.19): behind others no player hears
/// anything.
const IN_TRANSPORT: [u64; 6] = [0x3, 0x7, 0x107, 0x37, 0x3f, 0xc3f];

/// The caps of raw sound that is encoded for a container, with places for its channels that the encoder knows: the
/// microphones of an array have none, and are refused or lost. Samples stay as they are.
pub(crate) fn placed_for(container: &Container, mut caps: gst::Caps) -> gst::Caps {
    let is_encoded = matches!(container.audio, Some(AudioCodec::Aac | AudioCodec::Opus));
    let channels = || {
        let structure = caps.structure(0).filter(|_| is_raw(&caps) && is_encoded)?;
        let own = structure.get::<gst::Bitmask>("channel-mask").ok()?.0;
        let channels = structure.get::<i32>("channels").ok()?;
        Some((own, u32::try_from(channels).ok()?))
    };
    let in_transport = container.extensions.contains(&"ts");
    let known: &[u64] = if in_transport { &IN_TRANSPORT } else { &USUAL };
    if let Some((own, channels)) = channels()
        && channels > 1
        && !known.contains(&own)
    {
        let mask = match channels {
            3 if in_transport => 0x7,
            4 if in_transport => 0x107,
            _ => Position::fallback_mask(channels),
        };
        if mask != 0 {
            caps.make_mut().set("channel-mask", gst::Bitmask::new(mask));
        }
    }
    caps
}

/// The speakers of WAVE's bits, the lowest first.
const SPEAKERS: [Position; 18] = [
    Position::FrontLeft,
    Position::FrontRight,
    Position::FrontCenter,
    Position::Lfe1,
    Position::RearLeft,
    Position::RearRight,
    Position::FrontLeftOfCenter,
    Position::FrontRightOfCenter,
    Position::RearCenter,
    Position::SideLeft,
    Position::SideRight,
    Position::TopCenter,
    Position::TopFrontLeft,
    Position::TopFrontCenter,
    Position::TopFrontRight,
    Position::TopRearLeft,
    Position::TopRearCenter,
    Position::TopRearRight,
];

/// WAVE's mask of some channels, or 0 (no particular speakers) if it has not all of them, or the samples would
/// have to be put into another order.
pub(crate) fn wave_mask(positions: &[Position]) -> u32 {
    let bit = |position: &Position| match position {
        Position::Mono => Some(1 << 2),
        position => {
            let bit = SPEAKERS.iter().position(|speaker| speaker == position);
            bit.map(|bit| 1 << bit)
        }
    };
    in_order(positions.iter().map(bit))
}

/// GStreamer's `channel-mask` for WAVE's; 0 if it has not all of them, or the samples would have to be put into
/// another order.
pub(crate) fn channel_mask(wave: u32) -> u64 {
    let bits = (0..u32::BITS).filter(|bit| wave & (1 << bit) != 0);
    let bit = |bit| {
        let speaker = SPEAKERS.get(usize::try_from(bit).ok()?)?;
        Some(1 << u32::try_from(speaker.into_glib()).ok()?)
    };
    in_order(bits.map(bit))
}

/// Puts bits together that all have to be there, each higher than the one before.
fn in_order<T>(bits: impl Iterator<Item = Option<T>>) -> T
where
    T: Copy + Default + PartialOrd + std::ops::BitOr<Output = T>,
{
    let mut mask = T::default();
    for bit in bits {
        match bit {
            Some(bit) if bit > mask => mask = mask | bit,
            _ => return T::default(),
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_in_the_same_order_is_the_same() {
        use Position::*;
        // 7.1 as Windows has it.
        let all = [
            FrontLeft,
            FrontRight,
            FrontCenter,
            Lfe1,
            RearLeft,
            RearRight,
            SideLeft,
            SideRight,
        ];
        assert_eq!(wave_mask(&all), 0x63f);
        gst::init().unwrap();
        assert_eq!(
            channel_mask(0x63f),
            Position::positions_to_mask(&all, true).unwrap()
        );
        assert_eq!(wave_mask(&[Mono]), 4);
        assert_eq!(channel_mask(3), 3);
        assert_eq!((wave_mask(&[]), channel_mask(0)), (0, 0));
    }

    #[test]
    fn microphones_without_places_get_some_where_sound_is_encoded() {
        gst::init().unwrap();
        let placed = |name: &str, channels: i32, mask: u64| {
            let caps = gst::Caps::builder("audio/x-raw")
                .field("channels", channels)
                .field("channel-mask", gst::Bitmask::new(mask));
            let caps = placed_for(Container::of(name).unwrap(), caps.build());
            let structure = caps.structure(0).unwrap();
            structure.get::<gst::Bitmask>("channel-mask").unwrap().0
        };
        assert_eq!(placed("a.mp4", 2, 0), 0x3);
        assert_eq!(placed("a.mkv", 8, 0), 0xc3f);
        assert_eq!(placed("a.mp4", 4, 0x603), 0x33);
        assert_eq!(placed("a.mp4", 4, 0x33), 0x33);
        assert_eq!(placed("a.ts", 3, 0), 0x7);
        assert_eq!(placed("a.ts", 4, 0x33), 0x107);
        assert_eq!(placed("a.ts", 6, 0x3f), 0x3f);
        for name in ["a.wav", "a.avi"] {
            assert_eq!(placed(name, 4, 0), 0, "{name}");
        }
    }

    #[test]
    fn what_one_has_not_or_in_another_order_is_none() {
        assert_eq!(wave_mask(&[Position::Lfe2]), 0);
        assert_eq!(wave_mask(&[Position::FrontRight, Position::FrontLeft]), 0);
        assert_eq!(channel_mask(1 << 18), 0);
        // GStreamer has top front centre behind top front right.
        assert_eq!(channel_mask(0b111 << 12), 0);
    }
}
