// SPDX-License-Identifier: MIT OR Apache-2.0
//! An output that only counts.

use std::convert::Infallible;

use avi_mjpeg::writer::Output;

/// So many bytes were written.
pub(crate) struct Length(pub usize);

impl Output for Length {
    type Payload = Vec<u8>;
    type Error = Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> Result<(), Infallible> {
        self.put(&payload)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Infallible> {
        assert!(position as usize + bytes.len() <= self.0);
        Ok(())
    }
}
