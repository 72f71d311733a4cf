// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volume in percent, on samples as they lie in memory.

use super::{ByteOrder, Encoding, Layout};

/// Scales every sample of `data` to `percent` of itself (0 to 100; more is taken as 100).
///
/// Integers are rounded towards silence, as MaixPy's `volume` does on the K210
/// (`video_hal.c`: sample * volume / 100). A trailing part of a sample is left alone.
pub fn scale(data: &mut [u8], layout: &Layout, percent: u32) {
    if percent >= 100 {
        return;
    }
    let percent = i64::from(percent);
    let big = layout.order == ByteOrder::Big;
    let bytes = usize::from(layout.sample_bytes);
    match (layout.encoding, bytes) {
        (Encoding::Float, 4) => {
            for sample in data.chunks_exact_mut(4) {
                let raw = [sample[0], sample[1], sample[2], sample[3]];
                let gain = percent as f32 / 100.0;
                if big {
                    sample.copy_from_slice(&(f32::from_be_bytes(raw) * gain).to_be_bytes());
                } else {
                    sample.copy_from_slice(&(f32::from_le_bytes(raw) * gain).to_le_bytes());
                }
            }
        }
        (Encoding::Float, _) => {
            for sample in data.chunks_exact_mut(8) {
                let mut raw = [0; 8];
                raw.copy_from_slice(sample);
                let gain = percent as f64 / 100.0;
                if big {
                    sample.copy_from_slice(&(f64::from_be_bytes(raw) * gain).to_be_bytes());
                } else {
                    sample.copy_from_slice(&(f64::from_le_bytes(raw) * gain).to_le_bytes());
                }
            }
        }
        (Encoding::Signed, 2) if !big => {
            // What nearly every microphone gives, kept simple enough to be vectorised.
            let percent = percent as i32;
            for sample in data.chunks_exact_mut(2) {
                let value = i32::from(i16::from_le_bytes([sample[0], sample[1]]));
                let scaled = (value * percent / 100) as i16;
                sample.copy_from_slice(&scaled.to_le_bytes());
            }
        }
        (encoding, 1..=4) => {
            let bits = bytes as u32 * 8;
            let silence = match encoding {
                Encoding::Unsigned => 1_i64 << (bits - 1),
                _ => 0,
            };
            for sample in data.chunks_exact_mut(bytes) {
                let mut raw = 0_u64;
                for i in 0..bytes {
                    let byte = if big {
                        sample[i]
                    } else {
                        sample[bytes - 1 - i]
                    };
                    raw = raw << 8 | u64::from(byte);
                }
                let value = match encoding {
                    // Move the sign bit to the top and back: the shift copies it down.
                    Encoding::Signed => ((raw << (64 - bits)) as i64) >> (64 - bits),
                    _ => raw as i64,
                };
                let scaled = silence + (value - silence) * percent / 100;
                for i in 0..bytes {
                    let byte = (scaled >> (8 * i)) as u8;
                    sample[if big { bytes - 1 - i } else { i }] = byte;
                }
            }
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::super::S16_MONO_48K;
    use super::*;

    fn layout(encoding: Encoding, order: ByteOrder, sample_bytes: u8) -> Layout {
        Layout {
            encoding,
            order,
            sample_bytes,
            ..S16_MONO_48K
        }
    }

    #[test]
    fn every_encoding_keeps_its_silence_and_halves() {
        use ByteOrder::*;
        use Encoding::*;
        let cases: &[(Layout, &[u8], &[u8])] = &[
            (
                layout(Signed, Little, 2),
                &[0x00, 0x80, 0xff, 0x7f],
                &[0x00, 0xc0, 0xff, 0x3f],
            ),
            (
                layout(Signed, Big, 2),
                &[0x80, 0x00, 0x7f, 0xff],
                &[0xc0, 0x00, 0x3f, 0xff],
            ),
            (
                layout(Signed, Little, 1),
                &[0x80, 0x7f, 0x00],
                &[0xc0, 0x3f, 0x00],
            ),
            (
                layout(Unsigned, Little, 1),
                &[0x80, 0x00, 0xff],
                &[0x80, 0x40, 0xbf],
            ),
            (
                layout(Unsigned, Big, 2),
                &[0x80, 0x00, 0x00, 0x00],
                &[0x80, 0x00, 0x40, 0x00],
            ),
            (
                layout(Signed, Little, 3),
                &[0x00, 0x00, 0x80],
                &[0x00, 0x00, 0xc0],
            ),
            (
                layout(Signed, Little, 4),
                &[0x00, 0x00, 0x00, 0x80],
                &[0x00, 0x00, 0x00, 0xc0],
            ),
            (
                layout(Float, Little, 4),
                &1.0_f32.to_le_bytes(),
                &0.5_f32.to_le_bytes(),
            ),
            (
                layout(Float, Big, 8),
                &(-1.0_f64).to_be_bytes(),
                &(-0.5_f64).to_be_bytes(),
            ),
        ];
        for (layout, input, expected) in cases {
            let mut data = input.to_vec();
            scale(&mut data, layout, 50);
            assert_eq!(&data, expected, "{layout:?}");
            let mut untouched = input.to_vec();
            scale(&mut untouched, layout, 100);
            assert_eq!(&untouched, input, "{layout:?} at full volume");
        }
    }

    #[test]
    fn nothing_is_left_at_zero() {
        let mut data = vec![0x12, 0x34, 0xff, 0x7f, 0x55];
        scale(&mut data, &S16_MONO_48K, 0);
        assert_eq!(
            data,
            [0, 0, 0, 0, 0x55],
            "half a sample at the end is not a sample"
        );
        let mut unsigned = vec![0x00, 0xff, 0x81];
        scale(
            &mut unsigned,
            &layout(Encoding::Unsigned, ByteOrder::Little, 1),
            0,
        );
        assert_eq!(unsigned, [0x80; 3]);
    }
}
