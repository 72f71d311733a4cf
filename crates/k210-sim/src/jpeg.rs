// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JPEG buffer between the camera and the debug protocol: `jpegbuffer_t` and its lock
//! (`framebuffer.c`, `mutex.c`), and the encoder's choices (`img/jpeg.c`).

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// `OMV_JPEG_BUF_SIZE`.
pub(crate) const BUFFER_SIZE: usize = 23 * 1024;

/// What the encoder may fill: `OMV_JPEG_BUF_SIZE - 64`.
pub(crate) const LARGEST_FRAME: usize = BUFFER_SIZE - 64;

/// `sensor_init_fb`'s quality, until the script sets another.
pub(crate) const DEFAULT_QUALITY: i32 = 35;

/// Who holds the frame: `MUTEX_TID_IDE` and `MUTEX_TID_OMV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The debug protocol.
    Ide,
    /// The camera.
    Camera,
}

/// `mutex_t`, whose owner loses it by trying to lock it again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock(Option<Owner>);

impl Lock {
    /// `mutex_try_lock`: lets go, and fails, when `owner` holds the lock already.
    pub fn try_lock(&mut self, owner: Owner) -> bool {
        if self.0 == Some(owner) {
            self.0 = None;
        } else if self.0.is_none() {
            self.0 = Some(owner);
            return true;
        }
        false
    }

    /// `mutex_unlock`: nothing happens unless `owner` holds it.
    pub fn unlock(&mut self, owner: Owner) {
        if self.0 == Some(owner) {
            self.0 = None;
        }
    }
}

/// A picture to compress: RGB, 3 bytes a pixel, or luma.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Pixels a row; a row has no padding.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// One component.
    pub grayscale: bool,
    /// The samples.
    pub data: &'a [u8],
}

/// `jpegbuffer_t`.
#[derive(Debug)]
pub struct JpegBuffer {
    /// Of the frame that waits, else 0.
    pub width: u32,
    /// Of the frame that waits, else 0.
    pub height: u32,
    /// Bytes of the frame that waits, else 0.
    pub size: u32,
    /// What FB_ENABLE set; frames are made unless it is 0.
    pub enabled: i32,
    /// 1 (coarse) to 100; the encoder divides by it below 50, so 0 and less act as 100 does.
    pub quality: i32,
    /// Held by the debug protocol between FRAME_SIZE and FRAME_DUMP.
    pub lock: Lock,
    pixels: Vec<u8>,
}

impl Default for JpegBuffer {
    fn default() -> Self {
        JpegBuffer {
            width: 0,
            height: 0,
            size: 0,
            enabled: 0,
            quality: 0,
            lock: Lock::default(),
            pixels: vec![0; BUFFER_SIZE],
        }
    }
}

impl JpegBuffer {
    /// `sensor_init_fb`: what `sensor.reset()` does. `enabled` survives it.
    pub fn init(&mut self) {
        self.lock = Lock::default();
        self.clear();
        self.quality = DEFAULT_QUALITY;
    }

    /// Forgets the frame; the bytes stay.
    pub fn clear(&mut self) {
        self.width = 0;
        self.height = 0;
        self.size = 0;
    }

    /// The buffer, as FRAME_DUMP sends it.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The first half of `fb_update_jpeg_buffer`: locks the buffer for the camera and gives the
    /// quality to `encode` at, unless the debug protocol holds the frame or has not enabled it.
    pub fn begin(&mut self) -> Option<i32> {
        (self.enabled != 0 && self.lock.try_lock(Owner::Camera)).then_some(self.quality)
    }

    /// The second half: stores the frame and unlocks. One that does not fit empties the buffer and
    /// halves the quality of the following ones, down to 1.
    pub fn finish(&mut self, picture: Picture<'_>, stream: &[u8]) {
        if !stream.is_empty() && stream.len() < LARGEST_FRAME {
            self.pixels[..stream.len()].copy_from_slice(stream);
            self.width = picture.width.into();
            self.height = picture.height.into();
            self.size = stream.len() as u32;
        } else {
            if self.quality > 1 {
                self.quality = (self.quality / 2).max(1);
            }
            self.clear();
        }
        self.lock.unlock(Owner::Camera);
    }
}

/// Compresses as the firmware does: baseline, the standard's example tables scaled as usual, and
/// chroma by quality: whole from 60 on, half as wide from 36 on, half as wide and high below. The
/// chroma of a pair or square is its first pixel's.
///
/// The firmware lets its second core encode the lower half into a buffer of its own of half the
/// size and never looks whether that overflowed: a frame with a busy lower half then arrives with its
/// last rows missing. It also joins the halves without stuffing the byte at the seam. Both are left
/// out here: every frame is whole.
///
/// The stream is empty when the picture has no pixels.
pub(crate) fn encode(picture: Picture<'_>, quality: i32) -> Vec<u8> {
    let mut stream = Vec::with_capacity(LARGEST_FRAME);
    let scale = if (1..=100).contains(&quality) {
        quality as u8
    } else {
        100
    };
    let mut encoder = Encoder::new(&mut stream, scale);
    encoder.set_sampling_factor(match quality {
        60.. => SamplingFactor::F_1_1,
        36..60 => SamplingFactor::F_2_1,
        _ => SamplingFactor::F_2_2,
    });
    let color = if picture.grayscale {
        ColorType::Luma
    } else {
        ColorType::Rgb
    };
    let result = encoder.encode(picture.data, picture.width, picture.height, color);
    if result.is_err() {
        stream.clear();
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that does not compress.
    fn noise(width: u16, height: u16) -> Vec<u8> {
        let mut state = 1u32;
        (0..usize::from(width) * usize::from(height) * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    fn update(jpeg: &mut JpegBuffer, picture: Picture<'_>) {
        if let Some(quality) = jpeg.begin() {
            jpeg.finish(picture, &encode(picture, quality));
        }
    }

    #[test]
    fn a_frame_too_large_is_skipped_and_halves_the_quality() {
        let data = noise(320, 240);
        let picture = Picture {
            width: 320,
            height: 240,
            grayscale: false,
            data: &data,
        };
        let mut jpeg = JpegBuffer::default();
        jpeg.init();
        jpeg.enabled = 1;
        jpeg.quality = 90;
        let mut qualities = Vec::new();
        while jpeg.size == 0 {
            update(&mut jpeg, picture);
            qualities.push(jpeg.quality);
        }
        assert_eq!(qualities[..2], [45, 22]);
        assert!(
            qualities
                .windows(2)
                .all(|pair| pair[1] == pair[0] / 2 || pair[1] == pair[0])
        );
        assert!((jpeg.size as usize) < LARGEST_FRAME);
        assert_eq!(jpeg.pixels()[..2], [0xff, 0xd8]);
        assert_eq!(jpeg.pixels()[jpeg.size as usize - 2..][..2], [0xff, 0xd9]);
        assert_eq!((jpeg.width, jpeg.height), (320, 240));
    }

    #[test]
    fn a_locked_or_disabled_buffer_keeps_its_frame() {
        let data = [100; 64 * 64];
        let picture = Picture {
            width: 64,
            height: 64,
            grayscale: true,
            data: &data,
        };
        let mut jpeg = JpegBuffer::default();
        jpeg.init();
        update(&mut jpeg, picture);
        assert_eq!(jpeg.size, 0);
        jpeg.enabled = 1;
        assert!(jpeg.lock.try_lock(Owner::Ide));
        update(&mut jpeg, picture);
        assert_eq!(jpeg.size, 0);
        assert!(!jpeg.lock.try_lock(Owner::Ide), "a second try lets go");
        update(&mut jpeg, picture);
        assert_ne!(jpeg.size, 0);
    }

    #[test]
    fn chroma_and_tables_follow_the_quality() {
        let data = noise(32, 32);
        for (quality, sampling, first) in [
            (100, 0x11, 1),
            (60, 0x11, 13),
            (59, 0x21, 13),
            (50, 0x21, 16),
            (36, 0x21, 22),
            (35, 0x22, 23),
            (1, 0x22, 255),
            (0, 0x22, 1),
            (-3, 0x22, 1),
            (150, 0x11, 1),
        ] {
            let picture = Picture {
                width: 32,
                height: 32,
                grayscale: false,
                data: &data,
            };
            let stream = encode(picture, quality);
            let at = |marker: u8| {
                stream
                    .windows(2)
                    .position(|pair| pair == [0xff, marker])
                    .unwrap()
            };
            assert_eq!(stream[at(0xc0) + 11], sampling, "sampling at {quality}");
            assert_eq!(stream[at(0xdb) + 5], first, "table at {quality}");
        }
    }
}
