// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names that a recording writes to, and that nobody else gets meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::settings::Order;
use crate::streams::containers::{Container, Kind};
use crate::streams::files::{self, CreateError};
use crate::streams::names::{self, Pattern, PatternError};

/// Why there is no name.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("set location, or muxer-factory and sink-factory")]
    NoLocation,
}

/// What a recording writes to.
#[derive(Debug, Default)]
pub struct Target {
    /// The name that messages have: of the file, or the pattern of the pictures' files.
    pub location: Option<String>,
    /// The pictures' names, where each has a file of its own.
    pub pictures: Option<Pattern>,
    /// The file that was made so that the name is taken.
    reserved: Option<PathBuf>,
}

impl Target {
    /// Finds the name and takes it. `chosen` is a name for this recording; it is meant as it is.
    pub fn reserve(&mut self, order: &Order, chosen: Option<String>) -> Result<(), TargetError> {
        let id = u64::from(order.id);
        let to_file = order.to_file();
        let name = chosen.as_ref().or(order.pattern.as_ref());
        let Some(name) = name else {
            return if to_file {
                Err(TargetError::NoLocation)
            } else {
                Ok(())
            };
        };
        if is_sequence(order, name) {
            return self.reserve_pictures(name, id, order.overwrite);
        }
        let pattern = match &chosen {
            Some(name) => Pattern::new(&names::escaped(name), 0)?,
            None => Pattern::new(name, 1)?,
        };
        self.location = Some(pattern.fill(&[id]));
        if to_file {
            // Numbers whose files are left from before are passed over.
            let (_, path, number) = files::create_numbered(&pattern, id, order.overwrite)?;
            self.location = Some(pattern.fill(&[number]));
            self.reserved = Some(path);
        }
        Ok(())
    }

    /// The first picture's file is made: whose it is, is the sequence.
    fn reserve_pictures(
        &mut self,
        location: &str,
        id: u64,
        overwrite: bool,
    ) -> Result<(), TargetError> {
        let numbered = Pattern::new(location, 2)?.places() > 0;
        let mut number = id;
        loop {
            let text = names::sequence(location, number)?;
            let pictures = Pattern::new(&text, 1)?;
            let first = PathBuf::from(pictures.fill(&[0]));
            self.location = Some(text);
            match files::create(&first, overwrite) {
                Ok(_) => {
                    self.reserved = Some(first);
                    self.pictures = Some(pictures);
                    return Ok(());
                }
                Err(CreateError::Exists(_)) if numbered && number < u64::MAX => number += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes what was made for the name, if nothing was written to it.
    pub fn give_back(&self) {
        // A device is as empty, and is not ours: only a file may go.
        let empty = |path: &&PathBuf| {
            std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
        };
        if let Some(path) = self.reserved.as_ref().filter(empty) {
            // It was made by us a moment ago and holds nothing.
            let _ = std::fs::remove_file(path);
        }
    }

    /// The file, if it is not there any more. Pictures may be taken away as they come.
    pub fn vanished(&self) -> Option<&Path> {
        let path = self.reserved.as_deref()?;
        (self.pictures.is_none() && !path.exists()).then_some(path)
    }
}

/// Checks the names that are set before anything is recorded: patterns, and directories that have
/// no number in them.
pub fn check(order: &Order) -> Result<(), TargetError> {
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

fn check_directory(pattern: &Pattern) -> Result<(), CreateError> {
    let [one, other] = [0, 1].map(|number| PathBuf::from(pattern.fill(&[number, number])));
    match one.parent() == other.parent() {
        true => files::check_directory(&one),
        false => Ok(()),
    }
}

/// Makes the file of frame times.
pub fn create_times(pattern: &str, order: &Order) -> Result<File, TargetError> {
    let pattern = Pattern::new(pattern, 1)?;
    let (file, _, _) = files::create_numbered(&pattern, order.id.into(), order.overwrite)?;
    Ok(file)
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
