// SPDX-License-Identifier: MIT OR Apache-2.0
//! Speakers as WAVE's formats have them (`SPEAKER_*` of `ksmedia.h`) and as GStreamer has them, who counts
//! those from the tenth on in another order.

use gst::glib::translate::IntoGlib;
use gst_audio::AudioChannelPosition as Position;

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
    fn what_one_has_not_or_in_another_order_is_none() {
        assert_eq!(wave_mask(&[Position::Lfe2]), 0);
        assert_eq!(wave_mask(&[Position::FrontRight, Position::FrontLeft]), 0);
        assert_eq!(channel_mask(1 << 18), 0);
        // GStreamer has top front centre behind top front right.
        assert_eq!(channel_mask(0b111 << 12), 0);
    }
}
