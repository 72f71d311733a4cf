// SPDX-License-Identifier: MIT OR Apache-2.0
//! File names with places in them: for numbers, as `printf` and with it splitmuxsink and
//! multifilesink write them (`event-%05d.mp4`), and for the time of day, as `strftime` writes them
//! (`%Y-%m-%d_%H-%M-%S.mp4`). Knows no GStreamer.
//!
//! `%d` is a number for the one and the day for the other: it is the day in a name that has another
//! place for a time, and a number in all others. With a width, `%05d`, it is always a number.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Something other than a number's or a time's place, or `%%`.
    #[error(
        "'{0}' is no place for a number or a time: use %d, %5d or %05d, for a time %Y %m %d %H %M %S \
         %j %y %F %T %z %f, and %% for a percent sign"
    )]
    Conversion(String),
    /// More places than there are numbers.
    #[error("'{pattern}' has {places} places for a number, and may have {most}")]
    TooMany {
        /// The pattern.
        pattern: String,
        /// How many it has.
        places: usize,
        /// How many it may have.
        most: usize,
    },
}

/// Numbers have 20 digits at most; a wider place is a slip of the finger.
const WIDEST: usize = 20;

/// `strftime`'s letters that a name may have, and what their texts look like: `0` is a digit, `+` a
/// sign. All are of one length and the same in every language, so that a name can be read again.
const TIMES: &[(char, &str)] = &[
    ('Y', "0000"),
    ('y', "00"),
    ('m', "00"),
    ('d', "00"),
    ('j', "000"),
    ('H', "00"),
    ('M', "00"),
    ('S', "00"),
    ('f', "000000"),
    ('F', "0000-00-00"),
    ('T', "00:00:00"),
    ('z', "+0000"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// At least so many columns, filled with zeros or with spaces.
    Number {
        columns: usize,
        zeros: bool,
    },
    /// A letter of [`TIMES`].
    Time(char),
}

/// A name with places for numbers and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    places: usize,
    timed: bool,
}

/// What stands in the places of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In the places for numbers, in order.
    pub numbers: Vec<u64>,
    /// In the places for times, by their letters.
    pub times: BTreeMap<char, String>,
}

impl Pattern {
    /// Reads a pattern that may have up to `most` places for numbers, and any number for times.
    pub fn new(pattern: &str, most: usize) -> Result<Self, PatternError> {
        let pieces = pieces(pattern);
        let is_time = |place: &str| time(place).is_some_and(|letter| letter != 'd');
        let timed = pieces.iter().any(|piece| is_time(piece));
        let mut parts = Vec::new();
        let mut text = String::new();
        for piece in pieces {
            let part = match piece {
                "%%" => {
                    text.push('%');
                    continue;
                }
                place if place.starts_with('%') => time(place)
                    .filter(|_| timed)
                    .map(Part::Time)
                    .or_else(|| number(place))
                    .ok_or_else(|| PatternError::Conversion(place.to_owned()))?,
                other => {
                    text.push_str(other);
                    continue;
                }
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(part);
        }
        parts.push(Part::Text(text));
        let places = places(&parts);
        if places > most {
            return Err(PatternError::TooMany {
                pattern: pattern.to_owned(),
                places,
                most,
            });
        }
        Ok(Self {
            parts,
            places,
            timed,
        })
    }

    /// How many places for numbers it has.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Whether the name has, or had before [`Pattern::at`], places for times.
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// The pattern with a time in its places for times; `text` gives what stands for a letter of
    /// `strftime`, where it has one. Places that get none stay.
    pub fn at(&self, text: impl Fn(char) -> Option<String>) -> Self {
        let parts = self.parts.iter().map(|part| match *part {
            Part::Time(letter) => text(letter).map_or_else(|| part.clone(), Part::Text),
            _ => part.clone(),
        });
        Self {
            parts: parts.collect(),
            ..*self
        }
    }

    /// Whether places for times are left.
    pub fn awaits_time(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Time(_)))
    }

    /// The name with `numbers` in its places, in order. Numbers left over are not used; places
    /// left over have a zero.
    pub fn fill(&self, numbers: &[u64]) -> String {
        let mut numbers = numbers.iter().copied();
        let mut name = String::new();
        for part in &self.parts {
            // A string takes everything.
            let _ = match *part {
                Part::Text(ref text) => name.write_str(text),
                Part::Time(letter) => write!(name, "%{letter}"),
                Part::Number { columns, zeros } => {
                    let number = numbers.next().unwrap_or(0);
                    name.write_str(&digits(number, columns, zeros))
                }
            };
        }
        name
    }

    /// What stands in the places, if `name` is one that the pattern makes.
    pub fn read(&self, name: &str) -> Option<Found> {
        let mut found = Found::default();
        read(&self.parts, name, &mut found).then_some(found)
    }

    /// The directory in front of all places, and the names that follow, one below the other.
    pub fn steps(&self) -> (PathBuf, Vec<Self>) {
        let mut steps = vec![Vec::new()];
        for part in &self.parts {
            let Part::Text(text) = part else {
                if let Some(step) = steps.last_mut() {
                    step.push(part.clone());
                }
                continue;
            };
            for (number, piece) in text.split('/').enumerate() {
                if number > 0 {
                    steps.push(Vec::new());
                }
                if let Some(step) = steps.last_mut() {
                    step.push(Part::Text(piece.to_owned()));
                }
            }
        }
        let fixed = |step: &Vec<Part>| step.iter().all(|part| matches!(part, Part::Text(_)));
        let first = steps.iter().position(|step| !fixed(step));
        // The last one is the file.
        let first = first.unwrap_or(steps.len()).min(steps.len() - 1);
        let below = steps.split_off(first);
        let mut directory = String::new();
        for step in steps {
            for part in step {
                if let Part::Text(text) = part {
                    directory.push_str(&text);
                }
            }
            directory.push('/');
        }
        let below = below.into_iter().map(|parts| Self {
            places: places(&parts),
            timed: self.timed,
            parts,
        });
        (PathBuf::from(directory), below.collect())
    }
}

/// A pattern's texts and places, one after the other.
fn pieces(pattern: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        let (text, place) = rest.split_at(at);
        let length = place
            .char_indices()
            .skip(1)
            .find(|(_, c)| !c.is_ascii_digit())
            .map_or(place.len(), |(i, c)| i + c.len_utf8());
        let (place, after) = place.split_at(length);
        pieces.extend([text, place]);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn places(parts: &[Part]) -> usize {
    let places = parts
        .iter()
        .filter(|part| matches!(part, Part::Number { .. }));
    places.count()
}

/// A number as a place has it.
fn digits(number: u64, columns: usize, zeros: bool) -> String {
    match zeros {
        true => format!("{number:0columns$}"),
        false => format!("{number:columns$}"),
    }
}

/// Whether `name` is what the parts make; what stands in their places is added to `found`.
fn read(parts: &[Part], name: &str, found: &mut Found) -> bool {
    let Some((part, others)) = parts.split_first() else {
        return name.is_empty();
    };
    match *part {
        Part::Text(ref text) => name
            .strip_prefix(text.as_str())
            .is_some_and(|rest| read(others, rest, found)),
        Part::Time(letter) => {
            let form = form_of(letter).unwrap_or_default();
            let Some((text, rest)) = name.split_at_checked(form.len()) else {
                return false;
            };
            let same = |(form, c): (char, char)| match form {
                '0' => c.is_ascii_digit(),
                '+' => matches!(c, '+' | '-'),
                other => c == other,
            };
            let fits = form.chars().zip(text.chars()).all(same);
            fits && read(others, rest, found) && {
                found.times.insert(letter, text.to_owned());
                true
            }
        }
        Part::Number { columns, zeros } => {
            let blank = name.len() - name.trim_start_matches(' ').len();
            let numerals = name[blank..].chars().take_while(char::is_ascii_digit);
            let longest = blank + numerals.count();
            // As long as it can be, unless what follows needs a digit.
            (1..=longest).rev().any(|length| {
                let (text, rest) = name.split_at(length);
                let Ok(number) = text.trim_start_matches(' ').parse::<u64>() else {
                    return false;
                };
                let fits = digits(number, columns, zeros) == text && read(others, rest, found);
                if fits {
                    found.numbers.insert(0, number);
                }
                fits
            })
        }
    }
}

impl std::fmt::Display for Pattern {
    /// As `printf` and `strftime` read it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_time = |part: &Part| matches!(part, Part::Time(_));
        // Beside a time, "%d" is the day.
        let number = match self.parts.iter().any(has_time) {
            true => "%i",
            false => "%d",
        };
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&escaped(text))?,
                Part::Time(letter) => write!(f, "%{letter}")?,
                Part::Number { columns: 0, .. } => f.write_str(number)?,
                Part::Number {
                    columns,
                    zeros: true,
                } => write!(f, "%0{columns}d")?,
                Part::Number { columns, .. } => write!(f, "%{columns}d")?,
            }
        }
        Ok(())
    }
}

/// The pattern by which the pictures of a recording are named, one file each: the recording's
/// number goes into the first place, the picture's into the second. Where there is no second, one
/// is appended to the name.
pub(crate) fn sequence(location: &str, number: u64) -> Result<String, PatternError> {
    let pattern = Pattern::new(location, 2)?;
    if pattern.places < 2 {
        let name = escaped(&pattern.fill(&[number]));
        return Ok(with_suffix(&name, "-%06d").to_string_lossy().into_owned());
    }
    let mut fixed = pattern;
    let first = fixed
        .parts
        .iter_mut()
        .find(|part| matches!(part, Part::Number { .. }));
    if let Some(first) = first {
        let only = Pattern {
            parts: vec![first.clone()],
            places: 1,
            timed: false,
        };
        *first = Part::Text(only.fill(&[number]));
    }
    Ok(fixed.to_string())
}

/// What the text of a letter of [`TIMES`] looks like.
fn form_of(letter: char) -> Option<&'static str> {
    let known = TIMES.iter().find(|(known, _)| *known == letter);
    known.map(|(_, form)| *form)
}

/// The name that a `location` with places for the time has at a moment that is zeros all over: what all of its
/// names look like. `None` if it cannot be used, or has places for numbers.
pub fn blank_name(location: &str) -> Option<String> {
    let pattern = Pattern::new(location, 0).ok()?;
    let zeros = |letter| form_of(letter).map(str::to_owned);
    Some(pattern.at(zeros).fill(&[]))
}

/// The letter of a place for a time: `%` and one of [`TIMES`].
fn time(place: &str) -> Option<char> {
    let letter = place.strip_prefix('%')?;
    let known = TIMES.iter().map(|(known, _)| *known);
    known.into_iter().find(|known| letter.chars().eq([*known]))
}

/// A place for a number: `%`, digits, and `d`, `u` or `i`.
fn number(place: &str) -> Option<Part> {
    let width = place.strip_prefix('%')?.strip_suffix(['d', 'u', 'i'])?;
    let columns = match width {
        "" => 0,
        digits => digits.parse().ok().filter(|&columns| columns <= WIDEST)?,
    };
    let zeros = width.starts_with('0');
    Some(Part::Number { columns, zeros })
}

/// The extension in lower case, without the dot.
pub(crate) fn extension(location: &str) -> Option<String> {
    let extension = Path::new(location).extension()?.to_str()?;
    Some(extension.to_ascii_lowercase())
}

/// The name with a number in front of the extension: `clip.mp4` becomes `clip-00001.mp4`.
pub(crate) fn numbered(location: &str, number: u64) -> PathBuf {
    with_suffix(location, &format!("-{number:05}"))
}

/// The name with `suffix` in front of the extension.
pub(crate) fn with_suffix(location: &str, suffix: &str) -> PathBuf {
    let path = Path::new(location);
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// A name as a pattern that has no place for a number in it.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pattern: &str, numbers: &[u64]) -> Result<String, PatternError> {
        Pattern::new(pattern, numbers.len()).map(|pattern| pattern.fill(numbers))
    }

    #[test]
    fn fills_in_numbers() {
        assert_eq!(fill("a.mp4", &[7]), Ok("a.mp4".into()));
        assert_eq!(fill("a%d.mp4", &[7]), Ok("a7.mp4".into()));
        assert_eq!(fill("é%03u%%-%2i", &[7, 8]), Ok("é007%- 8".into()));
        assert_eq!(fill("%05d", &[123_456]), Ok("123456".into()));
        let err = fill("%d%d", &[1]).unwrap_err().to_string();
        assert_eq!(err, "'%d%d' has 2 places for a number, and may have 1");
        for wrong in ["%s", "%", "a%5", "%é", "%99d", "%-3d", "%ld", "%5%"] {
            assert!(
                matches!(fill(wrong, &[1]), Err(PatternError::Conversion(_))),
                "{wrong}"
            );
        }
    }

    /// 7 March 2026, 08:09:10.
    fn moment(letter: char) -> Option<String> {
        let text = match letter {
            'Y' => "2026",
            'm' => "03",
            'd' => "07",
            'H' => "08",
            'M' => "09",
            'S' => "10",
            'F' => "2026-03-07",
            'z' => "-0330",
            _ => return None,
        };
        Some(text.to_owned())
    }

    #[test]
    fn times_stand_beside_numbers() {
        let at = |pattern: &str| {
            let pattern = Pattern::new(pattern, 1).unwrap().at(moment);
            (pattern.fill(&[4]), pattern.places(), pattern.is_timed())
        };
        assert_eq!(
            at("%Y-%m-%d_%H-%M-%S.mp4"),
            ("2026-03-07_08-09-10.mp4".into(), 0, true)
        );
        assert_eq!(
            at("%F%z-%05d%%"),
            ("2026-03-07-0330-00004%".into(), 1, true)
        );
        // Without another time it is the number, as it always was.
        assert_eq!(at("a%d.mp4"), ("a4.mp4".into(), 1, false));
        assert_eq!(at("a%d-%Hh.mp4"), ("a07-08h.mp4".into(), 0, true));
        assert!(!Pattern::new("%H", 0).unwrap().at(moment).awaits_time());
        // As a pattern, a time is filled in once and for all.
        let sequence = Pattern::new("%F/%d-%05d", 1).unwrap().at(moment);
        assert_eq!(sequence.to_string(), "2026-03-07/07-%05d");
        for wrong in ["%b", "%p", "%5Y", "%Y %q"] {
            assert!(
                matches!(Pattern::new(wrong, 1), Err(PatternError::Conversion(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_number_beside_a_time_is_shown_as_one() {
        for (pattern, shown) in [
            ("%i-%S", "%i-%S"),
            ("%0d-%S", "%i-%S"),
            ("%d-%S", "%d-%S"),
            ("%i", "%d"),
        ] {
            let pattern = Pattern::new(pattern, 1).unwrap();
            assert_eq!(pattern.to_string(), shown);
            let again = Pattern::new(shown, 1).unwrap();
            assert_eq!(again.fill(&[7]), pattern.fill(&[7]), "{shown}");
        }
    }

    #[test]
    fn a_blank_name_has_the_form_of_all() {
        assert_eq!(blank_name("%F_%H.ts").as_deref(), Some("0000-00-00_00.ts"));
        assert_eq!(blank_name("50%%.ts").as_deref(), Some("50%.ts"));
        // Alone it is a number.
        for other in ["%d", "%Y-%05d", "%q"] {
            assert_eq!(blank_name(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_read_again() {
        let read = |pattern: &str, name: &str| Pattern::new(pattern, 2).unwrap().read(name);
        let numbers = |pattern, name| read(pattern, name).map(|found| found.numbers);
        assert_eq!(numbers("a%05d.mp4", "a00012.mp4"), Some(vec![12]));
        assert_eq!(numbers("a%05d.mp4", "a123456.mp4"), Some(vec![123_456]));
        assert_eq!(numbers("a%3d", "a  7"), Some(vec![7]));
        assert_eq!(numbers("%d-%04d.jpg", "7-0001.jpg"), Some(vec![7, 1]));
        assert_eq!(numbers("%d0", "770"), Some(vec![77]));
        // What the pattern does not make is not ours.
        for other in [
            "a0012.mp4",
            "a000123.mp4",
            "a00012.mp4.part",
            "a-0012.mp4",
            "b00012.mp4",
            "a99999999999999999999.mp4",
        ] {
            assert_eq!(numbers("a%05d.mp4", other), None, "{other}");
        }
        let found = read("%F_%H%M-%d.ts", "2026-03-07_0809-07.ts").unwrap();
        let times: Vec<_> = found.times.into_iter().collect();
        let expected = [('F', "2026-03-07"), ('H', "08"), ('M', "09"), ('d', "07")];
        assert_eq!(times, expected.map(|(letter, text)| (letter, text.into())));
        for other in ["2026-03-7_0809-07.ts", "é026-03-07_0809-07.ts", "2026"] {
            assert_eq!(read("%F_%H%M-%d.ts", other), None, "{other}");
        }
    }

    #[test]
    fn names_are_looked_for_below_what_has_no_places() {
        let steps = |pattern: &str| {
            let (directory, below) = Pattern::new(pattern, 1).unwrap().steps();
            let below = below.iter().map(Pattern::to_string).collect::<Vec<_>>();
            (directory, below.join(" "))
        };
        assert_eq!(steps("/a/b%d.mp4"), ("/a/".into(), "b%d.mp4".into()));
        assert_eq!(steps("b.mp4"), ("".into(), "b.mp4".into()));
        assert_eq!(
            steps("/a/%F-x/y/%05d.mp4"),
            ("/a/".into(), "%F-x y %05d.mp4".into())
        );
    }

    #[test]
    fn numbers_stand_in_front_of_the_extension() {
        assert_eq!(numbered("/a.b/c.mp4", 1), Path::new("/a.b/c-00001.mp4"));
        assert_eq!(numbered("/a.b/c", 2), Path::new("/a.b/c-00002"));
        assert_eq!(with_suffix("50%.jpg", "-%d"), Path::new("50%-%d.jpg"));
    }

    #[test]
    fn names_sequences() {
        let name = |pattern| sequence(pattern, 3);
        assert_eq!(name("/x/shot.jpg"), Ok("/x/shot-%06d.jpg".into()));
        assert_eq!(name("/x/%02d.jpg"), Ok("/x/03-%06d.jpg".into()));
        assert_eq!(name("/x%%/%d/%04d.jpg"), Ok("/x%%/3/%04d.jpg".into()));
        assert!(matches!(
            name("/x/%d-%d-%d.jpg"),
            Err(PatternError::TooMany { most: 2, .. })
        ));
    }

    #[test]
    fn finds_extensions() {
        assert_eq!(extension("/a.b/c.MP4").as_deref(), Some("mp4"));
        assert_eq!(extension("/a.b/c"), None);
        assert_eq!(extension(".mp4"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_pattern_or_refused(text: String, number: u64) {
            if let Ok(pattern) = Pattern::new(&text, 1) {
                let name = pattern.fill(&[number]);
                if pattern.places() == 0 && !pattern.is_timed() {
                    assert_eq!(escaped(&name), text);
                }
                if !pattern.is_timed() {
                    assert!(pattern.read(&name).is_some());
                }
            }
            assert_eq!(Pattern::new(&escaped(&text), 0).map(|p| p.fill(&[])), Ok(text));
        }
    }
}
