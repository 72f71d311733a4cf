// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the pictures that arrive count as whole.

use super::jpeg::{self, JpegError};

/// How thoroughly pictures are looked at.
#[derive(Default)]
pub(super) struct PictureCheck {
    /// The last damage, and how many frames in a row had that very same one.
    last: Option<(JpegError, u32)>,
    /// A picture passed, or the encoder turned out to be one whose data we cannot follow.
    settled: Option<bool>,
}

impl PictureCheck {
    /// Judges a picture; its ends are checked in any case.
    ///
    /// Noise damages at random places. When the data of the first frames of a session all fails at
    /// the very same place, it is the encoder that writes something else than this checker
    /// understands. A header that cannot be read, or tells another size than was announced, is never
    /// let through: decoders would believe it.
    pub(crate) fn judge(&mut self, data: &[u8], width: u16, height: u16) -> Result<(), JpegError> {
        const SAME: u32 = 3;
        let result = match jpeg::check(data, width, height) {
            Ok(()) => {
                self.settled.get_or_insert(true);
                return Ok(());
            }
            Err(error @ JpegError::Data(_)) => error,
            Err(error) => return Err(error),
        };
        if self.settled.is_none() {
            let same = match self.last {
                Some((last, count)) if last == result => count + 1,
                _ => 1,
            };
            self.last = Some((result, same));
            if same >= SAME {
                self.settled = Some(false);
            }
        }
        match self.settled {
            Some(false) => Ok(()),
            _ => Err(result),
        }
    }
}
