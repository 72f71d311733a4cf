// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: k210-film [OPTION...] FILM BOARD.avi    a film, for the player of MaixPy on a K210
       k210-film [OPTION...] BOARD.avi FILM    a recording of a K210, as .mp4, .mkv, .mov ...

  --size WIDTHxHEIGHT  of the pictures, 2 to 4096 each (320x240 for a board, which has that screen; else as they are)
  --rate N             frames a second at most (15 for a board, else as many as there are)
  --quality LEVEL      very-low, low, medium, high or very-high (medium)
  --no-sound           pictures alone
  --force              overwrite a file that is there
  --help, --version    this, and which one it is";

/// Columns and rows of the board's screen.
const SCREEN: (u32, u32) = (320, 240);

/// Frames a second of a film for a board. The player decodes each by itself and waits for none; sound
/// stops where it falls behind.
const RATE: u32 = 15;

const QUALITIES: [&str; 5] = ["very-low", "low", "medium", "high", "very-high"];

/// What to make of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub film: PathBuf,
    pub file: PathBuf,
    /// Columns and rows; as they are if `None`.
    pub size: Option<(u32, u32)>,
    /// Frames a second at most.
    pub rate: Option<u32>,
    pub quality: String,
    pub sound: bool,
    pub force: bool,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    Convert(Options),
    Help,
    Version,
}

impl Options {
    /// The film's name, for a sentence.
    pub(crate) fn shown(&self) -> String {
        self.film.display().to_string()
    }

    /// Whether the file is for a board.
    pub(crate) fn for_board(&self) -> bool {
        let extension = self.file.extension();
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case("avi"))
    }
}

/// Reads the program's arguments.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut paths: Vec<PathBuf> = Vec::new();
    let (mut size, mut rate) = (None, None);
    let (mut quality, mut sound, mut force) = ("medium".to_owned(), true, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("size") => size = Some(parser.value()?.parse_with(parse_size)?),
            Long("rate") => rate = Some(parser.value()?.parse_with(parse_rate)?),
            Long("quality") => quality = parser.value()?.parse_with(parse_quality)?,
            Long("no-sound") => sound = false,
            Long("force") => force = true,
            Short('h') | Long("help") => return Ok(Task::Help),
            Short('V') | Long("version") => return Ok(Task::Version),
            Value(path) if paths.len() < 2 => paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    let Ok([film, file]) = <[PathBuf; 2]>::try_from(paths) else {
        return Err("give a film and the file that it becomes".into());
    };
    let mut options = Options {
        film,
        file,
        size,
        rate,
        quality,
        sound,
        force,
    };
    if options.for_board() {
        options.size = size.or(Some(SCREEN));
        options.rate = rate.or(Some(RATE));
    }
    Ok(Task::Convert(options))
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let size = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|side| (2..=4096).contains(side));
        Some((side(width)?, side(height)?))
    });
    size.ok_or_else(|| "a size is written as 320x240, and each side is 2 to 4096".to_owned())
}

fn parse_rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=240).contains(rate));
    rate.ok_or_else(|| "a rate is 1 to 240 frames a second".to_owned())
}

fn parse_quality(text: &str) -> Result<String, String> {
    match QUALITIES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("a quality is {}", QUALITIES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, lexopt::Error> {
        parse(lexopt::Parser::from_args(line.split_whitespace()))
    }

    fn options(line: &str) -> Options {
        match parsed(line) {
            Ok(Task::Convert(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_board_has_a_screen_and_a_pace() {
        let board = options("film.mp4 board.AVI");
        assert!(board.for_board() && board.sound && !board.force);
        assert_eq!((board.size, board.rate), (Some((320, 240)), Some(15)));
        let film = options("board.avi film.mp4");
        assert!(!film.for_board());
        assert_eq!((film.size, film.rate), (None, None));
    }

    #[test]
    fn what_is_asked_for_wins() {
        let line = "--size 240x240 --rate 10 --quality high --no-sound --force a.mp4 b.avi";
        let asked = options(line);
        assert_eq!((asked.size, asked.rate), (Some((240, 240)), Some(10)));
        assert!(asked.force && !asked.sound);
        assert_eq!(asked.quality, "high");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "a.mp4",
            "a.mp4 b.avi c.avi",
            "--size 320 a.mp4 b.avi",
            "--size 0x0 a.mp4 b.avi",
            "--rate 0 a.mp4 b.avi",
            "--quality best a.mp4 b.avi",
            "-x a.mp4 b.avi",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert_eq!(parsed("--help").ok(), Some(Task::Help));
    }
}
