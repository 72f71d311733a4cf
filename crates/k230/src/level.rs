// SPDX-License-Identifier: MIT OR Apache-2.0
//! Levels of H.264 and H.265: what a decoder has to be able to do.

use std::fmt;

use super::{ChannelAttr, Codec, Profile, RateControl};

/// The limits of a level. Luma is counted in macroblocks by H.264 and in samples by H.265.
struct Limits {
    name: &'static str,
    /// Luma of a second.
    rate: u64,
    /// Luma of a picture.
    picture: u64,
    /// Units of 1000 bits a second, or what the profile makes of them; 0 where a tier has no such
    /// level.
    bits: [u32; 2],
}

const fn limits(name: &'static str, rate: u64, picture: u64, bits: [u32; 2]) -> Limits {
    Limits {
        name,
        rate,
        picture,
        bits,
    }
}

/// ITU-T H.264, table A-1.
const H264: [Limits; 20] = [
    limits("1", 1485, 99, [64, 0]),
    limits("1b", 1485, 99, [128, 0]),
    limits("1.1", 3000, 396, [192, 0]),
    limits("1.2", 6000, 396, [384, 0]),
    limits("1.3", 11_880, 396, [768, 0]),
    limits("2", 11_880, 396, [2000, 0]),
    limits("2.1", 19_800, 792, [4000, 0]),
    limits("2.2", 20_250, 1620, [4000, 0]),
    limits("3", 40_500, 1620, [10_000, 0]),
    limits("3.1", 108_000, 3600, [14_000, 0]),
    limits("3.2", 216_000, 5120, [20_000, 0]),
    limits("4", 245_760, 8192, [20_000, 0]),
    limits("4.1", 245_760, 8192, [50_000, 0]),
    limits("4.2", 522_240, 8704, [50_000, 0]),
    limits("5", 589_824, 22_080, [135_000, 0]),
    limits("5.1", 983_040, 36_864, [240_000, 0]),
    limits("5.2", 2_073_600, 36_864, [240_000, 0]),
    limits("6", 4_177_920, 139_264, [240_000, 0]),
    limits("6.1", 8_355_840, 139_264, [480_000, 0]),
    limits("6.2", 16_711_680, 139_264, [800_000, 0]),
];

/// ITU-T H.265, tables A.8 and A.9.
const H265: [Limits; 13] = [
    limits("1", 552_960, 36_864, [128, 0]),
    limits("2", 3_686_400, 122_880, [1500, 0]),
    limits("2.1", 7_372_800, 245_760, [3000, 0]),
    limits("3", 16_588_800, 552_960, [6000, 0]),
    limits("3.1", 33_177_600, 983_040, [10_000, 0]),
    limits("4", 66_846_720, 2_228_224, [12_000, 30_000]),
    limits("4.1", 133_693_440, 2_228_224, [20_000, 50_000]),
    limits("5", 267_386_880, 8_912_896, [25_000, 100_000]),
    limits("5.1", 534_773_760, 8_912_896, [40_000, 160_000]),
    limits("5.2", 1_069_547_520, 8_912_896, [60_000, 240_000]),
    limits("6", 1_069_547_520, 35_651_584, [60_000, 240_000]),
    limits("6.1", 2_139_095_040, 35_651_584, [120_000, 480_000]),
    limits("6.2", 4_278_190_080, 35_651_584, [240_000, 800_000]),
];

/// A level of H.264, or a level and tier of H.265.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    /// H.264 or H.265.
    codec: Codec,
    /// Its place in the codec's table.
    place: usize,
    high_tier: bool,
}

/// As `H.264 level 3.1` and `H.265 level 4, high tier`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} level {}", self.codec.name(), self.name())?;
        if self.high_tier {
            f.write_str(", high tier")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn table(codec: Codec) -> &'static [Limits] {
    match codec {
        Codec::H264 => &H264,
        Codec::H265 => &H265,
        Codec::Jpeg => &[],
    }
}

impl Level {
    /// All levels of a codec, the lowest first, those of the high tier behind all of the main tier;
    /// JPEG has none.
    pub fn all(codec: Codec) -> impl Iterator<Item = Self> {
        let tier = move |high_tier: bool| {
            let has = move |limits: &Limits| limits.bits[usize::from(high_tier)] > 0;
            let places = table(codec).iter().enumerate();
            places
                .filter(move |(_, limits)| has(limits))
                .map(move |(place, _)| Self {
                    codec,
                    place,
                    high_tier,
                })
        };
        tier(false).chain(tier(true))
    }

    /// The level at this place of the standard's table, from 0; `None` if there is none, or not in
    /// that tier.
    pub fn at(codec: Codec, place: usize, high_tier: bool) -> Option<Self> {
        Self::all(codec).find(|level| (level.place, level.high_tier) == (place, high_tier))
    }

    /// The lowest level for a channel's streams, of those that have this to say; `None` for JPEG and
    /// beyond them all.
    pub fn lowest(attr: &ChannelAttr) -> Option<Self> {
        Self::all(attr.codec).find(|level| level.suffices(attr))
    }

    /// The standard's name, which is GStreamer's too: `1b`, `3.1`.
    pub fn name(self) -> &'static str {
        self.limits().map_or("", |limits| limits.name)
    }

    /// Its codec.
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// Its place in the standard's table, from 0.
    pub fn place(self) -> usize {
        self.place
    }

    /// Whether it is of H.265's high tier.
    pub fn is_high_tier(self) -> bool {
        self.high_tier
    }

    fn limits(self) -> Option<&'static Limits> {
        table(self.codec).get(self.place)
    }

    /// Whether a channel's streams stay within its limits: size, frames a second (30 if they are not
    /// known), and the bit rate, unless quantizers are fixed.
    pub fn suffices(self, attr: &ChannelAttr) -> bool {
        let Some(limits) = self.limits().filter(|_| self.codec == attr.codec) else {
            return false;
        };
        let (width, height) = attr.encoded_size();
        // Macroblocks, and samples in coding blocks of the smallest size.
        let (unit, scale) = match self.codec {
            Codec::H264 => (16, 1),
            _ => (8, 8),
        };
        let sides = [width, height].map(|side| u64::from(side.div_ceil(unit)) * scale);
        let picture = sides[0] * sides[1];
        let (numerator, denominator) = match attr.framerate {
            (0, _) | (_, 0) => (30, 1),
            (n, d) => (u64::from(n), u64::from(d)),
        };
        picture <= limits.picture
            // Neither side is longer than the root of eight pictures.
            && sides.iter().all(|side| side * side <= 8 * limits.picture)
            && picture * numerator <= limits.rate * denominator
            && bits(attr) <= u64::from(limits.bits[usize::from(self.high_tier)]) * unit_of(attr.profile)
    }
}

/// The most bits a second that a rate control lets through on average; none are known of fixed
/// quantizers.
fn bits(attr: &ChannelAttr) -> u64 {
    let kbit = match attr.rate {
        RateControl::Cbr { bitrate } => bitrate,
        RateControl::Vbr { max_bitrate, .. } => max_bitrate,
        RateControl::FixQp { .. } | RateControl::JpegQuality { .. } => 0,
    };
    u64::from(kbit) * 1000
}

/// `cpbBrVclFactor` of table A-2 and `CpbVclFactor` of table A.10: bits in the tables' unit.
fn unit_of(profile: Profile) -> u64 {
    match profile {
        Profile::H264High => 1250,
        Profile::H264High10 => 3000,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowest(profile: Profile, size: (u32, u32), rate: (u32, u32), kbit: u32) -> String {
        let codec = profile.codec().expect("a video codec");
        let mut attr = ChannelAttr::new(codec, profile, size.0, size.1);
        attr.framerate = rate;
        attr.rate = RateControl::Cbr { bitrate: kbit };
        let level = Level::lowest(&attr).expect("a level");
        assert!(level.suffices(&attr));
        let lower = Level::at(codec, level.place().wrapping_sub(1), level.is_high_tier());
        assert!(lower.is_none_or(|lower| !lower.suffices(&attr)));
        level.name().to_string()
    }

    #[test]
    fn the_lowest_level_is_the_standards() {
        use Profile::*;
        let hd = (1280, 720);
        let full = (1920, 1080);
        for (profile, size, rate, kbit, expected) in [
            (H264Main, (176, 144), (15, 1), 64, "1"),
            (H264Main, (176, 144), (15, 1), 65, "1b"),
            (H264Main, (320, 240), (30, 1), 700, "1.3"),
            (H264Main, (320, 240), (30, 1), 4000, "2.1"),
            (H264Main, (320, 240), (30, 1), 4001, "3"),
            (H264High, (320, 240), (30, 1), 5000, "2.1"),
            (H264High10, (320, 240), (30, 1), 6000, "2"),
            (H264Main, hd, (30, 1), 4000, "3.1"),
            (H264Main, hd, (0, 1), 4000, "3.1"),
            (H264Main, hd, (30_000, 1001), 14_001, "3.2"),
            (H264High, full, (30, 1), 4000, "4"),
            (H264High, full, (60, 1), 4000, "4.2"),
            (H264High, full, (30, 1), 25_001, "4.1"),
            // 256 macroblocks wide.
            (H264High, (4096, 64), (5, 1), 4000, "4"),
            (H264High, (4096, 2160), (30, 1), 4000, "5.2"),
            (H264High, (4096, 4096), (30, 1), 4000, "6"),
            (H265Main, (128, 64), (30, 1), 128, "1"),
            (H265Main, (320, 240), (30, 1), 4000, "3"),
            (H265Main, hd, (30, 1), 4000, "3.1"),
            (H265Main10, full, (30, 1), 4000, "4"),
            (H265Main, full, (60, 1), 4000, "4.1"),
            (H265Main, full, (30, 1), 60_000, "5.2"),
            (H265Main, (4096, 4096), (30, 1), 4000, "6"),
        ] {
            let found = lowest(profile, size, rate, kbit);
            assert_eq!(found, expected, "{profile:?} {size:?} {rate:?} {kbit}");
        }
    }

    #[test]
    fn the_picture_counts_as_it_is_encoded_and_fixed_quantizers_have_no_rate() {
        let mut attr = ChannelAttr::new(Codec::H264, Profile::H264High, 128, 4096);
        attr.rate = RateControl::FixQp { i: 1, p: 1 };
        assert_eq!(Level::lowest(&attr).map(Level::name), Some("4"));
        attr.rate = RateControl::Vbr {
            bitrate: 4000,
            max_bitrate: 100_000,
        };
        assert_eq!(Level::lowest(&attr).map(Level::name), Some("5"));
        let jpeg = ChannelAttr::new(Codec::Jpeg, Profile::None, 640, 480);
        assert_eq!(Level::lowest(&jpeg), None);
    }

    #[test]
    fn the_high_tier_begins_with_level_4() {
        let high: Vec<&str> = Level::all(Codec::H265)
            .filter(|level| level.is_high_tier())
            .map(Level::name)
            .collect();
        assert_eq!(high.first(), Some(&"4"));
        assert_eq!(high.len(), 8);
        assert_eq!(Level::all(Codec::H264).count(), 20);
        assert_eq!(Level::at(Codec::H265, 4, true), None);
        let level = Level::at(Codec::H265, 5, true).expect("it has one");
        assert_eq!(level.to_string(), "H.265 level 4, high tier");
    }
}
