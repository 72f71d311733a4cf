// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of a file that comes in pieces, as far as they are here.

use std::convert::Infallible;

use super::walk::{Stop, View};

/// The bytes that have come one after another and are still of use.
#[derive(Debug, Default)]
pub struct Arrived {
    bytes: Vec<u8>,
    /// Bytes at the beginning that are not.
    done: usize,
    /// Where in the file the first of those that are is.
    base: u64,
    /// The file's size once it is known.
    end: Option<u64>,
}

impl Arrived {
    /// Takes the bytes in that come next.
    pub fn push(&mut self, piece: &[u8]) {
        if self.done > self.bytes.len() / 2 {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Forgets all; what comes next is at `pos`.
    pub fn begin(&mut self, pos: u64) {
        self.bytes.clear();
        self.done = 0;
        self.base = pos;
        self.end = None;
    }

    /// Nothing comes behind what is here.
    pub fn finish(&mut self) {
        self.end = Some(self.reached());
    }

    /// Whether nothing comes any more.
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Where the first byte that is here is in the file.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Where the byte that comes next is in the file.
    pub fn reached(&self) -> u64 {
        self.base + self.here().len() as u64
    }

    /// What is here.
    pub fn here(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    /// Forgets what is before `pos`.
    pub fn skip_to(&mut self, pos: u64) {
        let len = usize::try_from(pos.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let len = len.min(self.here().len());
        self.done += len;
        self.base += len as u64;
    }

    /// Up to `len` bytes at `pos`.
    pub fn at(&self, pos: u64, len: usize) -> &[u8] {
        let from = pos.checked_sub(self.base).map(usize::try_from);
        let there = match from {
            Some(Ok(from)) => self.here().get(from..).unwrap_or(&[]),
            _ => &[],
        };
        there.get(..len).unwrap_or(there)
    }
}

impl View for Arrived {
    type Error = Infallible;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Infallible>> {
        let there = self.at(pos.max(self.base), most);
        if there.len() < least && self.end.is_none() {
            return Err(Stop::Short { pos, len: least });
        }
        Ok(self.at(pos.max(self.base), most))
    }

    fn size(&self) -> Option<u64> {
        self.end
    }

    fn streamed(&self) -> bool {
        true
    }
}

/// Parts of a file, fetched one after another; the last one grows.
#[derive(Debug)]
pub struct Parts {
    parts: Vec<(u64, Vec<u8>)>,
    size: u64,
}

impl Parts {
    /// None yet, of a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        let parts = Vec::new();
        Self { parts, size }
    }

    /// What comes next is at `pos`.
    pub fn begin(&mut self, pos: u64) {
        self.parts.push((pos, Vec::new()));
    }

    /// Takes the bytes in that come next.
    pub fn push(&mut self, piece: &[u8]) {
        if let Some((_, bytes)) = self.parts.last_mut() {
            bytes.extend_from_slice(piece);
        }
    }

    /// The file ends behind what has come.
    pub fn finish(&mut self) {
        self.size = self.last().1;
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> u64 {
        self.size
    }

    /// Where the part that grows begins and ends.
    pub fn last(&self) -> (u64, u64) {
        let last = self.parts.last();
        last.map_or((0, 0), |(pos, bytes)| (*pos, pos + bytes.len() as u64))
    }

    /// Bytes of all parts.
    pub fn total(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

impl View for Parts {
    type Error = Infallible;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Infallible>> {
        let left = self.size.saturating_sub(pos);
        let least = usize::try_from(left).map_or(least, |left| left.min(least));
        for (start, bytes) in &self.parts {
            let from = pos.checked_sub(*start).map(usize::try_from);
            let Some(Ok(from)) = from else { continue };
            let found = bytes.get(from..).unwrap_or(&[]);
            if found.len() >= least {
                return Ok(found.get(..most).unwrap_or(found));
            }
        }
        if least == 0 {
            return Ok(&[]);
        }
        Err(Stop::Short { pos, len: least })
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn streamed(&self) -> bool {
        true
    }
}
