// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether something moves: small grey pictures are compared with what was there in the last seconds.

use crate::config::Motion;

/// Pictures before which nothing is known.
const FIRST: u32 = 10;
/// Of what is new, one part in so many goes into the background: at five pictures a second it is that
/// of the last three.
const SLOWNESS: i32 = 16;
/// A picture of which so much has changed, per cent, is another light or another place.
const ALL: usize = 70;
/// A single picture is noise, or a bird.
const PICTURES: u32 = 2;

/// What was there in the last seconds.
#[derive(Debug)]
pub(crate) struct Watch {
    settings: Motion,
    /// Of each pixel its brightness, in 256ths.
    background: Vec<i32>,
    seen: u32,
    /// Pictures in a row in which something moved.
    moved: u32,
}

impl Watch {
    pub(crate) fn new(settings: Motion) -> Self {
        Self {
            settings,
            background: Vec::new(),
            seen: 0,
            moved: 0,
        }
    }

    /// Takes a picture, a byte for each pixel; true if something moves in it.
    pub(crate) fn look(&mut self, picture: &[u8]) -> bool {
        if self.background.len() != picture.len() {
            self.begin(picture);
        }
        let least = i32::from(self.settings.level) * 256;
        let mut changed = 0;
        for (was, is) in self.background.iter_mut().zip(picture) {
            let difference = i32::from(*is) * 256 - *was;
            changed += usize::from(difference.abs() > least);
            *was += difference / SLOWNESS;
        }
        self.seen = self.seen.saturating_add(1);
        let share = changed * 100;
        if share > ALL * picture.len() {
            self.begin(picture);
        }
        let moves = changed > 0 && share >= usize::from(self.settings.change) * picture.len();
        self.moved = match moves && self.seen > FIRST {
            true => self.moved.saturating_add(1),
            false => 0,
        };
        self.moved >= PICTURES
    }

    fn begin(&mut self, picture: &[u8]) {
        self.background.clear();
        let pixels = picture.iter().map(|pixel| i32::from(*pixel) * 256);
        self.background.extend(pixels);
        self.seen = 0;
        self.moved = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;

    fn watch() -> Watch {
        Watch::new(Motion::default())
    }

    /// A picture with a square in it.
    fn square(at: usize) -> Vec<u8> {
        let mut picture = vec![60; WIDTH * 48];
        for y in 10..20 {
            picture[y * WIDTH + at..][..10].fill(200);
        }
        picture
    }

    #[test]
    fn what_moves_is_seen_and_what_stays_is_not() {
        let mut watch = watch();
        assert!((0..50).all(|_| !watch.look(&square(5))));
        let moves = (5..40).filter(|at| watch.look(&square(*at))).count();
        assert!(moves >= 25, "{moves}");
        // What has come to a stand is a part of the place before long.
        let moves = (0..200).map(|_| watch.look(&square(40)));
        let moves: Vec<_> = moves.collect();
        assert!(!moves[150], "{moves:?}");
    }

    #[test]
    fn noise_and_another_light_are_no_motion() {
        let mut watch = watch();
        let mut noise = 7_u32;
        let mut noisy = |light: u8| {
            let mut picture = square(5);
            for pixel in &mut picture {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *pixel = pixel.saturating_add(light) + (noise >> 28) as u8;
            }
            picture
        };
        assert!((0..100).all(|_| !watch.look(&noisy(0))));
        assert!((0..100).all(|_| !watch.look(&noisy(40))));
    }

    #[test]
    fn a_picture_of_another_size_is_another_place() {
        let mut watch = watch();
        assert!((0..20).all(|_| !watch.look(&[0; 16])));
        assert!((0..20).all(|_| !watch.look(&[255; 32])));
        assert!(!watch.look(&[]));
    }
}
