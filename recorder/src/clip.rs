// SPDX-License-Identifier: MIT OR Apache-2.0
//! A clip: a file in a camera's folder, and beside it what is known of it.
//!
//! `20261128T203000.123Z_EVENT.mp4` is the clip of an event that was triggered at that time in UTC.
//! `NAME.json` says what it holds, `NAME.jpg` is what the camera saw at the trigger.

use std::io::{self, Write};
use std::path::Path;

use gst::glib;
use serde::{Deserialize, Serialize};

use crate::config::Container;

/// What is known of a clip; the text of `NAME.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clip {
    pub camera: String,
    /// The file's, without its folder.
    pub name: String,
    /// What triggered it; of what is recorded all the time, nothing.
    pub event: Option<String>,
    /// UTC of the first picture, milliseconds since 1970.
    pub start: i64,
    /// Milliseconds.
    pub length: u64,
    /// Pictures.
    pub frames: u64,
    pub bytes: u64,
}

/// The end of the name of what is known of a clip.
pub const FACTS: &str = ".json";
/// The end of the name of its picture.
pub const PICTURE: &str = ".jpg";

/// UTC now, milliseconds since 1970.
pub fn now() -> i64 {
    glib::real_time() / 1000
}

/// The name of a clip whose event was triggered at this time.
pub fn name(triggered: i64, event: &str, container: Container) -> Option<String> {
    let time = glib::DateTime::from_unix_utc(triggered.div_euclid(1000)).ok()?;
    let time = time.format("%Y%m%dT%H%M%S").ok()?;
    let millis = triggered.rem_euclid(1000);
    let extension = container.extension();
    Some(format!("{time}.{millis:03}Z_{event}.{extension}"))
}

/// Whether a text can be an event's id, which is a part of a file's name and of an address.
pub fn is_event(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

/// Whether a text can be a clip's name: of a file of ours, in its camera's folder.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= 128 && text.bytes().all(plain) && Container::of(text).is_some()
}

impl Clip {
    /// Writes what is known beside the file, in one step.
    pub fn write_facts(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let new = folder.join(format!(".{}{FACTS}.new", self.name));
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, folder.join(format!("{}{FACTS}", self.name)))
    }

    /// What is known of a file: from beside it, or what the file itself and its name say.
    pub fn read(folder: &Path, camera: &str, name: &str) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(folder.join(name))?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let facts = std::fs::read(folder.join(format!("{name}{FACTS}")));
        let facts = facts
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(clip @ Self { .. }) = facts
            && clip.name == name
            && clip.camera == camera
        {
            return Ok(clip);
        }
        let changed = metadata.modified()?;
        let changed = changed
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let (time, event) = parts(name);
        Ok(Self {
            camera: camera.to_owned(),
            name: name.to_owned(),
            event,
            start: time.unwrap_or_else(|| i64::try_from(changed.as_millis()).unwrap_or(0)),
            length: 0,
            frames: 0,
            bytes: metadata.len(),
        })
    }
}

/// The time and the event in a name.
fn parts(name: &str) -> (Option<i64>, Option<String>) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let Some((time, event)) = stem.split_once('_') else {
        return (None, None);
    };
    let time = glib::DateTime::from_iso8601(time, None).ok();
    let time = time.map(|time| time.to_unix() * 1000 + i64::from(time.microsecond()) / 1000);
    (time, time.map(|_| event.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_when_and_what() {
        let name = name(1_796_070_600_123, "door-7", Container::Mp4).unwrap();
        assert_eq!(name, "20261130T203000.123Z_door-7.mp4");
        assert!(is_name(&name));
        assert_eq!(
            parts(&name),
            (Some(1_796_070_600_123), Some("door-7".to_owned()))
        );
        assert_eq!(parts("part-00001.mp4"), (None, None));
    }

    #[test]
    fn names_lead_nowhere() {
        for wrong in [
            "",
            ".mp4",
            "../a.mp4",
            "a/b.mp4",
            "a.txt",
            "a.mp4.json",
            "a b.mp4",
            ".a.mp4",
        ] {
            assert!(!is_name(wrong), "{wrong}");
        }
        for wrong in ["", "a/b", "..", "a b", &"a".repeat(65)] {
            assert!(!is_event(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_known_is_read_from_beside_the_file_or_from_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = "20261130T203000.123Z_a.mp4";
        std::fs::write(folder.path().join(name), "12345").unwrap();
        let bare = Clip::read(folder.path(), "gate", name).unwrap();
        assert_eq!((bare.start, bare.bytes), (1_796_070_600_123, 5));
        assert_eq!(bare.event.as_deref(), Some("a"));
        let known = Clip {
            length: 3000,
            frames: 90,
            ..bare
        };
        known.write_facts(folder.path()).unwrap();
        assert_eq!(Clip::read(folder.path(), "gate", name).unwrap(), known);
    }
}
