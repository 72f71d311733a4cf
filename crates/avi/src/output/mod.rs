// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the bytes of a file go: outputs for whatever is [`Write`], and [`Seek`] if it can.
//!
//! Each is an [`Output`] for the [writer](crate::writer) and for [`repair`](crate::repair), and a
//! [`Storage`] for the [recorder](crate::recorder).

mod piece;
mod reserve;
mod room;
mod sync;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::Path;

pub use piece::{Copied, Piece};
pub use room::Room;
pub use sync::{SYNC_INTERVAL, SyncThread};

use crate::recorder::{Payload, Storage};
use crate::writer::Output;

/// A file, or whatever else can be written and sought in, that begins where it stands when it is given.
///
/// What is appended is collected into pieces of 64 KiB, so a `BufWriter` is not needed. With
/// [`Seekable::create`] it is a file on a disk, of which is known what room there is, and whose data are on
/// the disk itself when the writer asks for it.
#[derive(Debug)]
pub struct Seekable<W, P = Vec<u8>> {
    inner: W,
    /// Where the file begins in `inner`.
    start: u64,
    /// Bytes written.
    end: u64,
    /// What comes behind those.
    held: Piece<Infallible>,
    /// Whether `inner` is where the next piece goes.
    at_end: bool,
    disk: Option<Disk>,
    payload: PhantomData<fn(P)>,
}

/// A file on a disk.
#[derive(Debug)]
struct Disk {
    file: File,
    room: Option<Room>,
}

impl<P> Seekable<File, P> {
    /// Makes a file, or empties the one that is there.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = File::create(path)?;
        let disk = Disk {
            file: file.try_clone()?,
            room: Room::of(path, true),
        };
        Ok(Self {
            disk: Some(disk),
            ..Self::new(file)?
        })
    }
}

impl<W: Write + Seek, P> Seekable<W, P> {
    /// Writes to `inner` from where it is on.
    pub fn new(mut inner: W) -> io::Result<Self> {
        Ok(Self {
            start: inner.stream_position()?,
            inner,
            end: 0,
            held: Piece::default(),
            at_end: true,
            disk: None,
            payload: PhantomData,
        })
    }

    /// Writes what is held back, and gives `inner` back, which is at the end of the file.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.write_held()?;
        self.go_to_end()?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// What was written so far, but for the up to 64 KiB that are held back until
    /// [`Storage::write_through`].
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    fn go_to_end(&mut self) -> io::Result<()> {
        if !self.at_end {
            self.inner.seek(SeekFrom::Start(self.start + self.end))?;
            self.at_end = true;
        }
        Ok(())
    }

    fn write_held(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        // Taken out first, so that nothing is written twice after a failure; how much of it was written, the file tells.
        let (held, _) = self.held.take();
        self.append_now(held.as_ref())
    }

    fn append_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.go_to_end()?;
        self.at_end = false;
        self.inner.write_all(bytes)?;
        self.at_end = true;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write + Seek, P: AsRef<[u8]>> Output for Seekable<W, P> {
    type Payload = P;
    type Error = io::Error;

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= Piece::<Infallible>::SIZE {
            self.write_held()?;
            return self.append_now(bytes);
        }
        while !bytes.is_empty() {
            let size = self.held.copy(bytes, self.end);
            bytes = &bytes[size..];
            if self.held.is_full(self.end) {
                self.write_held()?;
            }
        }
        Ok(())
    }

    fn put_payload(&mut self, payload: P) -> io::Result<()> {
        self.put(payload.as_ref())
    }

    fn end(&mut self, durable: bool) -> io::Result<()> {
        if durable {
            self.write_held()?;
            self.inner.flush()?;
            if let Some(disk) = &self.disk {
                disk.file.sync_data()?;
            }
        }
        Ok(())
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_held()?;
        self.at_end = false;
        self.inner.seek(SeekFrom::Start(self.start + position))?;
        self.inner.write_all(bytes)
    }
}

impl<W: Write + Seek, P: Payload + AsRef<[u8]>> Storage for Seekable<W, P> {
    fn room(&mut self) -> Option<&mut Room> {
        self.disk.as_mut()?.room.as_mut()
    }

    fn write_through(&mut self) -> io::Result<()> {
        self.write_held()?;
        self.inner.flush()
    }

    fn complete(&mut self, len: u64) -> io::Result<()> {
        self.write_through()?;
        if let Some(room) = self.room() {
            room.finish(len);
        }
        self.disk
            .as_ref()
            .map_or(Ok(()), |disk| disk.file.sync_data())
    }

    fn on_disk(&mut self) -> Option<u64> {
        self.held = Piece::default();
        self.at_end = false;
        let end = self.inner.seek(SeekFrom::End(0)).ok()?;
        end.checked_sub(self.start)
    }
}

/// A pipe, a socket, or whatever else can only be written: the file has no index and no sizes, and is
/// still one that players play.
#[derive(Debug)]
pub struct Unseekable<W, P = Vec<u8>> {
    inner: W,
    payload: PhantomData<fn(P)>,
}

impl<W: Write, P> Unseekable<W, P> {
    /// Writes to `inner`, several times for each chunk.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            payload: PhantomData,
        }
    }

    /// Gives `inner` back.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write, P: AsRef<[u8]>> Output for Unseekable<W, P> {
    type Payload = P;
    type Error = io::Error;

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)
    }

    fn put_payload(&mut self, payload: P) -> io::Result<()> {
        self.put(payload.as_ref())
    }

    fn overwrite(&mut self, _position: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<W: Write, P: Payload + AsRef<[u8]>> Storage for Unseekable<W, P> {
    fn is_seekable(&mut self) -> bool {
        false
    }

    fn write_through(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_appended_and_overwritten_is_where_it_belongs() {
        let mut inner = Cursor::new(b"before".to_vec());
        inner.set_position(6);
        let mut out = Seekable::new(inner).unwrap();
        let large = vec![7; Piece::<()>::SIZE + 1];
        out.append(&[0; 8], false).unwrap();
        out.chunk(*b"00dc\x03\0\0\0", vec![1, 2, 3], true, false)
            .unwrap();
        out.overwrite(4, &[9, 9]).unwrap();
        out.append(&large, true).unwrap();
        out.append(&[5], false).unwrap();
        let mut expected = b"before\0\0\0\0\x09\x09\0\x0000dc\x03\0\0\0\x01\x02\x03\0".to_vec();
        expected.extend(large);
        expected.push(5);
        let inner = out.into_inner().unwrap();
        assert_eq!(inner.position(), expected.len() as u64);
        assert_eq!(inner.into_inner(), expected);
    }

    #[test]
    fn a_full_disk_tells_what_it_has() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut out: Seekable<_> = Seekable::new(file).unwrap();
        out.append(&[0; 100], false).unwrap();
        let error = out.write_through().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(out.on_disk(), Some(0));
    }
}
