// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file in memory, for the tests and the fuzzer of what writes files.

use std::convert::Infallible;

use avi_mjpeg::writer::Output;

#[derive(Default)]
pub struct Memory(pub Vec<u8>);

impl Output for Memory {
    type Payload = Vec<u8>;
    type Error = Infallible;

    fn chunk(
        &mut self,
        header: [u8; 8],
        payload: Vec<u8>,
        padding: bool,
        _durable: bool,
    ) -> Result<(), Infallible> {
        self.0.extend(header);
        self.0.extend(payload);
        self.0.extend(padding.then_some(0));
        Ok(())
    }

    fn append(&mut self, bytes: Vec<u8>, _durable: bool) -> Result<(), Infallible> {
        self.0.extend(bytes);
        Ok(())
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Infallible> {
        let at = position as usize;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
