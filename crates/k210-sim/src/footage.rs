// SPDX-License-Identifier: MIT OR Apache-2.0
//! Video files for the board to look at, decoded by the program `ffmpeg`: this crate knows no
//! GStreamer, whose users have footage of their own (`k210camerasrc device=sim:FILE`).

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::{Frame, Scene};

/// Pictures a second that a film is decoded to, for [`Pace::Time`].
const RATE: u32 = 30;

/// What a camera that was not asked for pictures makes up for; beyond it the film waits.
const FAR: Duration = Duration::from_secs(3);

/// Pixels a side that a film's picture may have.
const MAX_SIDE: usize = 16_384;

/// Which of the file's frames the camera sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// The one of that time; the file plays at its own speed from the first frame on. While nobody
    /// asks for pictures for more than three seconds, it stands still.
    #[default]
    Time,
    /// The next one, at every frame of the camera.
    Frame,
}

/// Why a file is no footage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is missing, or does not start.
    #[error(
        "cannot decode video: ffmpeg does not start: {0}; install it (Debian's package ffmpeg)"
    )]
    Setup(#[source] io::Error),
    /// The file cannot be read or decoded.
    #[error("{}: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        reason: String,
    },
}

/// A video file, over and over. The picture is scaled to fill the camera's, its middle shown.
#[derive(Debug)]
pub struct Footage {
    decoder: Child,
    pictures: BufReader<ChildStdout>,
    pace: Pace,
    /// The board's time of the film's beginning.
    base: Option<Duration>,
    /// Pictures taken.
    taken: u64,
    picture: Frame,
}

impl Footage {
    /// Opens a file and decodes its first frame.
    ///
    /// # Errors
    ///
    /// When there is no such file, no decoder for its video, or no program `ffmpeg`.
    pub fn new(path: &Path, pace: Pace) -> Result<Self, Error> {
        let mut decoder = start(path, pace).map_err(Error::Setup)?;
        let stdout = decoder.stdout.take();
        let stdout = stdout.ok_or_else(|| Error::Setup(io::ErrorKind::BrokenPipe.into()))?;
        let mut footage = Footage {
            decoder,
            pictures: BufReader::with_capacity(1 << 16, stdout),
            pace,
            base: None,
            taken: 0,
            picture: Frame::default(),
        };
        match footage.next() {
            Ok(()) => {
                footage.let_talk();
                Ok(footage)
            }
            Err(error) => Err(Error::Decode {
                path: path.into(),
                reason: footage.last_words().unwrap_or_else(|| error.to_string()),
            }),
        }
    }

    /// Takes the next frame.
    fn next(&mut self) -> io::Result<()> {
        read_picture(&mut self.pictures, &mut self.picture)?;
        self.taken += 1;
        Ok(())
    }

    /// What the decoder said before it ended; call it after it gave no picture.
    fn last_words(&mut self) -> Option<String> {
        let mut words = String::new();
        let stderr = self.decoder.stderr.take()?;
        stderr.take(1 << 16).read_to_string(&mut words).ok()?;
        words.lines().last().map(str::to_owned)
    }

    /// Lets the decoder's complaints go, so that it never waits for a reader.
    fn let_talk(&mut self) {
        if let Some(mut stderr) = self.decoder.stderr.take() {
            std::thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        }
    }

    fn advance(&mut self, time: Duration) {
        let Some(base) = self.base else {
            // The first frame was taken when the file was opened.
            self.base = Some(time);
            return;
        };
        let wanted = match self.pace {
            Pace::Frame => 1,
            Pace::Time => {
                let shown = Duration::from_secs(self.taken) / RATE;
                let behind = (time.saturating_sub(base) + Duration::from_secs(1) / RATE)
                    .saturating_sub(shown);
                if behind > FAR {
                    self.base = Some(base + behind);
                    return;
                }
                behind.as_nanos() * u128::from(RATE) / 1_000_000_000
            }
        };
        for _ in 0..wanted {
            if self.next().is_err() {
                // The picture stands still.
                return;
            }
        }
    }
}

impl Scene for Footage {
    fn draw(&mut self, frame: &mut Frame, _number: u32, time: Duration) {
        self.advance(time);
        frame.show_middle_of(&self.picture);
    }
}

impl Drop for Footage {
    fn drop(&mut self) {
        // It is gone, or goes now.
        let _ = self.decoder.kill();
        let _ = self.decoder.wait();
    }
}

/// Starts the decoder: pictures as PPM, one after the other, for ever.
fn start(path: &Path, pace: Pace) -> io::Result<Child> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-nostdin", "-stream_loop", "-1", "-i"])
        .arg(std::path::absolute(path)?)
        .args(["-map", "0:v:0", "-an", "-threads", "1"]);
    if pace == Pace::Time {
        command.args(["-r", &RATE.to_string()]);
    }
    command
        .args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Reads a picture as `ffmpeg` writes PPM: `P6`, width and height, the largest sample, then samples.
fn read_picture(from: &mut impl BufRead, picture: &mut Frame) -> io::Result<()> {
    let mut field = || -> io::Result<usize> {
        let mut word = Vec::new();
        loop {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            match (byte[0].is_ascii_whitespace(), word.is_empty()) {
                (true, true) => {}
                (true, false) => break,
                (false, _) if word.len() < 8 => word.push(byte[0]),
                (false, _) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        let text = std::str::from_utf8(&word).map_err(|_| io::ErrorKind::InvalidData)?;
        match text {
            "P6" => Ok(0),
            number => number
                .parse()
                .ok()
                .filter(|number| (1..=MAX_SIDE).contains(number))
                .ok_or_else(|| io::ErrorKind::InvalidData.into()),
        }
    };
    let (_magic, width, height, _largest) = (field()?, field()?, field()?, field()?);
    picture.resize(width, height);
    from.read_exact(&mut picture.rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_read_one_after_the_other() {
        let mut picture = Frame::default();
        let mut stream = &b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz"[..];
        read_picture(&mut stream, &mut picture).unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.rgb, b"abcdef");
        read_picture(&mut stream, &mut picture).unwrap();
        assert_eq!(picture.rgb, b"xyz");
        assert!(read_picture(&mut stream, &mut picture).is_err());
        for wrong in [&b"P6 0 1 255 "[..], b"P6 99999 1 255 ", b"P6 a 1 255 "] {
            assert!(read_picture(&mut { wrong }, &mut picture).is_err());
        }
    }
}
