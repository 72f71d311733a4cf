// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names that a recording writes to, and that nobody else gets meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use avi_mjpeg::output::SyncThread;
use avi_mjpeg::pcm::file::is_at;

use super::settings::Order;
use crate::streams::containers::{Container, Kind};
use crate::streams::files::{self, Claimed, CreateError, Hold};
use crate::streams::names::{self, Pattern, PatternError};
use crate::streams::ondisk;
use crate::streams::retention::{Family, Policy};
use crate::streams::wallclock::Moment;

/// Why there is no name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("set location, or muxer-factory and sink-factory")]
    NoLocation,
}

/// What a recording writes to.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// The name that messages have: of the file, or the pattern of the pictures' files.
    pub location: Option<String>,
    /// The pictures' names, where each has a file of its own.
    pub pictures: Option<Pattern>,
    /// The file that was made so that the name is taken.
    reserved: Option<PathBuf>,
    /// The number in the name, where it has one.
    number: Option<u64>,
    /// What is in the name's places for times.
    moment: Option<Moment>,
    /// Nobody else writes the file meanwhile, nor deletes it.
    hold: Option<Hold>,
    /// The file, as it was made.
    made: Option<File>,
}

impl Target {
    /// What a recording would write to, by its pattern alone: nothing is made.
    pub(super) fn rehearsed(order: &Order) -> Self {
        let pictures = |name: &String| is_sequence(order, name);
        let pictures = order.pattern.as_ref().filter(|name| pictures(name));
        Self {
            location: order.pattern.clone(),
            pictures: pictures.and_then(|name| Pattern::new(name, 2).ok()),
            ..Self::default()
        }
    }

    /// Finds the name and takes it. `chosen` is a name for this recording; it is meant as it is.
    /// The first picture was taken `utc` ns after 1970.
    pub(crate) fn reserve(
        &mut self,
        order: &Order,
        chosen: Option<String>,
        utc: Option<i64>,
    ) -> Result<(), TargetError> {
        let id = u64::from(order.id);
        self.moment = match utc {
            Some(utc) => Moment::new(utc, order.utc_names),
            None => Moment::now(order.utc_names),
        };
        let name = chosen.as_ref().or(order.pattern.as_ref());
        let Some(name) = name else {
            return match order.to_file() {
                true => Err(TargetError::NoLocation),
                false => Ok(()),
            };
        };
        if is_sequence(order, name) {
            return self.reserve_pictures(name, id, order.overwrite);
        }
        let pattern = match &chosen {
            Some(name) => Pattern::new(&names::escaped(name), 0)?,
            None => Pattern::new(name, 1)?,
        };
        let timed = self.with_time(&pattern);
        self.location = Some(timed.fill(&[id]));
        if order.to_file() {
            files::create_directories(&pattern, Path::new(&timed.fill(&[id])))?;
            // Numbers whose files are left from before are passed over.
            let times = order.pts_pattern.as_deref();
            let times = times.map(|times| Pattern::new(times, 1)).transpose()?;
            let times = times.map(|times| self.with_time(&times));
            let (made, number) =
                files::create_numbered(&timed, id, order.overwrite, times.as_ref())?;
            self.hold = Some(made.hold);
            self.made = Some(made.file);
            self.location = Some(made.path.to_string_lossy().into_owned());
            self.number = (timed.places() > 0).then_some(number);
            self.reserved = Some(made.path);
        }
        Ok(())
    }

    fn with_time(&self, pattern: &Pattern) -> Pattern {
        pattern.at(|letter| self.moment.as_ref()?.text(letter))
    }

    /// The first picture's file is made: whose it is, is the sequence.
    fn reserve_pictures(
        &mut self,
        location: &str,
        id: u64,
        overwrite: bool,
    ) -> Result<(), TargetError> {
        let pattern = Pattern::new(location, 2)?;
        let numbered = pattern.places() > 0;
        let location = self.with_time(&pattern).to_string();
        let mut number = id;
        loop {
            let text = names::sequence(&location, number)?;
            let pictures = Pattern::new(&text, 1)?;
            let first = PathBuf::from(pictures.fill(&[0]));
            files::create_directories(&pattern, &first)?;
            self.location = Some(text);
            match Claimed::create(first, overwrite) {
                Ok(made) => {
                    self.hold = Some(made.hold);
                    self.reserved = Some(made.path);
                    self.pictures = Some(pictures);
                    self.number = numbered.then_some(number);
                    return Ok(());
                }
                Err(error) if error.is_of_name() && numbered && number < u64::MAX => number += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// It is written no more.
    pub(crate) fn close(&mut self) {
        self.hold = None;
        self.made = None;
    }

    /// Has what `sink` writes to the file sent to the disk each second.
    pub(crate) fn sync(&self, sink: &gst::Element) -> Option<SyncThread> {
        ondisk::sync(self.file()?, self.made.as_ref()?, sink)
    }

    /// The sink has failed and has closed the file, which ends where it plays.
    pub(crate) fn cut_back(&self) {
        if let (Some(path), Some(file)) = (self.file(), &self.made) {
            ondisk::cut_back(path, file);
        }
    }

    /// The file, where it is written to one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.reserved.as_deref()
    }

    /// Makes the file of frame times, with the number that the recording has.
    pub(crate) fn create_times(
        &self,
        pattern: &str,
        order: &Order,
    ) -> Result<Claimed, TargetError> {
        let pattern = Pattern::new(pattern, 1)?;
        let timed = self.with_time(&pattern);
        let number = self.number.unwrap_or(order.id.into());
        files::create_directories(&pattern, Path::new(&timed.fill(&[number])))?;
        let (made, _) = files::create_numbered(&timed, number, order.overwrite, None)?;
        Ok(made)
    }

    /// Removes what was made for the name, if nothing was written to it.
    pub(crate) fn give_back(&self) {
        // A device is as empty, and is not ours: only a file may go.
        let empty = |path: &&PathBuf| {
            std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
        };
        if let Some(path) = self.reserved.as_ref().filter(empty) {
            // It was made by us a moment ago and holds nothing.
            let _ = std::fs::remove_file(path);
        }
    }

    /// The file, if it is not there any more, or another is. Pictures may be taken away as they come.
    pub(crate) fn vanished(&self) -> Option<&Path> {
        let path = self.reserved.as_deref()?;
        let made = self.made.as_ref()?;
        (self.pictures.is_none() && !is_at(made, path)).then_some(path)
    }
}

/// Checks the names that are set before anything is recorded: patterns, and directories that have
/// no number in them.
pub(crate) fn check(order: &Order) -> Result<(), TargetError> {
    if let Some(location) = &order.pattern {
        let most = if is_sequence(order, location) { 2 } else { 1 };
        let pattern = Pattern::new(location, most)?;
        if order.to_file() {
            check_directory(&pattern)?;
        }
    }
    if let Some(pattern) = &order.pts_pattern {
        check_directory(&Pattern::new(pattern, 1)?)?;
    }
    Ok(())
}

/// The file name that recordings have one after the other, each in the place of the one before: it has no place for a
/// number or a time. `chosen` is meant as it is.
pub(super) fn shared_name(order: &Order, chosen: Option<&str>) -> Option<String> {
    let name = chosen.or(order.pattern.as_deref())?;
    if !order.to_file() || !order.overwrite {
        return None;
    }
    if chosen.is_some() && !is_sequence(order, name) {
        return Some(name.to_owned());
    }
    fixed(name).map(|pattern| pattern.fill(&[]))
}

/// A name without places for a number or a time.
fn fixed(name: &str) -> Option<Pattern> {
    let pattern = Pattern::new(name, 2).ok()?;
    (!pattern.is_timed() && pattern.places() == 0).then_some(pattern)
}

/// Has a recording that takes another one's place leave its files alone: names that have no place for a number get one.
pub(super) fn put_beside(order: &mut Order) {
    if !order.to_file() {
        return;
    }
    for name in [&mut order.pattern, &mut order.pts_pattern] {
        if let Some(own) = name.as_ref().filter(|name| fixed(name).is_some()) {
            let numbered = names::with_suffix(own, "-%d");
            *name = Some(numbered.to_string_lossy().into_owned());
        }
    }
}

/// Why recordings can't have their name, where it has no number and no time and is given once: a file of it is there
/// and stays, or is being written.
pub(super) fn taken(order: &Order) -> Option<CreateError> {
    let name = order.pattern.as_ref().filter(|_| order.to_file())?;
    let pattern = fixed(name)?;
    let path = match is_sequence(order, name) {
        true => {
            let pictures = Pattern::new(&names::sequence(name, 0).ok()?, 1).ok()?;
            PathBuf::from(pictures.fill(&[0]))
        }
        false => PathBuf::from(pattern.fill(&[])),
    };
    if let Err(in_use) = files::check_unclaimed(&path) {
        return Some(in_use);
    }
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|it| it.is_file() || it.is_symlink());
    (is_file && !order.overwrite).then_some(CreateError::Exists(path))
}

fn check_directory(pattern: &Pattern) -> Result<(), CreateError> {
    let [one, other] = [0, 1].map(|number| PathBuf::from(pattern.fill(&[number, number])));
    if pattern.is_timed() {
        // What a time names is made when it comes.
        let (directory, _) = pattern.steps();
        return files::check_directory(&directory.join("a"));
    }
    match one.parent() == other.parent() {
        true => files::check_directory(&one),
        false => Ok(()),
    }
}

/// What may be kept of the files that the location names.
pub(crate) fn policy(order: &Order) -> Policy {
    let times = order.pts_pattern.as_deref();
    Policy {
        limits: order.retention,
        families: order.pattern.as_deref().map_or_else(Vec::new, |location| {
            match order.to_file() {
                true => families(order, location),
                false => Vec::new(),
            }
        }),
        times: times.and_then(|times| Pattern::new(times, 1).ok()),
    }
}

fn families(order: &Order, location: &str) -> Vec<Family> {
    let family = |names: &str, suffixed: bool| {
        let names = Pattern::new(names, 2).ok()?;
        Some(Family { names, suffixed })
    };
    let suffix = |suffix: &str| {
        let name = names::with_suffix(location, suffix);
        family(&name.to_string_lossy(), true)
    };
    let Some(own) = family(location, false) else {
        return Vec::new();
    };
    let places = own.names.places();
    if is_sequence(order, location) {
        let each = match places {
            2 => Some(own),
            _ => suffix("-%06d"),
        };
        return each.into_iter().collect();
    }
    let again = (own.names.is_timed() && places == 0).then(|| suffix("-%i"));
    [Some(own), again.flatten()].into_iter().flatten().collect()
}

/// Whether each picture gets a file of its own.
fn is_sequence(order: &Order, location: &str) -> bool {
    let pictures = || Container::of(location).is_ok_and(|it| it.kind == Kind::Pictures);
    order.muxer.is_none() && order.sink.is_none() && pictures()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_holds_nothing_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let [empty, full, pipe] = ["empty", "full", "pipe"].map(|name| directory.path().join(name));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&full, "kept").unwrap();
        // A device such as /dev/full is as empty; this is one that every user can make.
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [&empty, &full, &pipe] {
            let target = Target {
                reserved: Some(path.clone()),
                ..Target::default()
            };
            target.give_back();
        }
        assert!(!empty.exists() && full.exists() && pipe.exists());
    }
}
