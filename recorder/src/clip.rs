// SPDX-License-Identifier: MIT OR Apache-2.0
//! A clip: a file in a camera's folder, and beside it what is known of it.
//!
//! `20261128T203000-123456.mp4` is the clip of an event that was triggered at that time in UTC.
//! `NAME.json` says what it holds and of which event it is, `NAME.jpg` is what the camera saw at the trigger.

use std::io::{self, Write};
use std::path::Path;

use gst::glib;
use serde::{Deserialize, Serialize};

use crate::config::Container;

/// What is known of a clip; the text of `NAME.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Clip {
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
    /// Of the file, hexadecimal, once the store has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The end of the name of what is known of a clip.
pub(crate) const FACTS: &str = ".json";
/// The end of the name of its picture.
pub(crate) const PICTURE: &str = ".jpg";

/// UTC now, milliseconds since 1970.
pub(crate) fn now() -> i64 {
    glib::real_time() / 1000
}

/// The names of clips, as `circularsink` reads them when it looks for those that may go.
pub(crate) const PATTERN: &str = "%Y%m%dT%H%M%S-%f";

/// UTC now, microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    glib::real_time()
}

/// The name of a clip that was triggered at this time, in microseconds since 1970. It fits
/// [`PATTERN`].
pub(crate) fn name(triggered: i64, container: Container) -> Option<String> {
    let time = glib::DateTime::from_unix_utc(triggered.div_euclid(1_000_000)).ok()?;
    let time = time.format("%Y%m%dT%H%M%S").ok()?;
    let micros = triggered.rem_euclid(1_000_000);
    let extension = container.extension();
    Some(format!("{time}-{micros:06}.{extension}"))
}

/// Whether a text can be an event's id, which is a part of a file's name and of an address.
pub(crate) fn is_event(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

/// Whether a text can be a clip's name: of a file of ours, in its camera's folder.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= 128 && text.bytes().all(plain) && Container::of(text).is_some()
}

impl Clip {
    /// Writes what is known beside the file, in one step.
    pub(crate) fn write_facts(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let new = folder.join(format!(".{}{FACTS}.new", self.name));
        let mut file = std::fs::File::create(&new)?;
        let written = file
            .write_all(&text)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&new, folder.join(format!("{}{FACTS}", self.name))));
        if written.is_err() {
            // On a full disk it would take what room is left.
            let _ = std::fs::remove_file(&new);
        }
        written
    }

    /// What is known of a file: from beside it, or what the file itself and its name say.
    pub(crate) fn read(folder: &Path, camera: &str, name: &str) -> io::Result<Self> {
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
        let time = time_in(name);
        Ok(Self {
            camera: camera.to_owned(),
            name: name.to_owned(),
            event: None,
            start: time.unwrap_or_else(|| i64::try_from(changed.as_millis()).unwrap_or(0)),
            length: 0,
            frames: 0,
            bytes: metadata.len(),
            sha256: None,
        })
    }
}

/// The time in a name, milliseconds since 1970.
fn time_in(name: &str) -> Option<i64> {
    let (stem, _) = name.rsplit_once('.')?;
    let (time, micros) = stem.split_once('-')?;
    let micros: i64 = micros.parse().ok()?;
    let time = glib::DateTime::from_iso8601(&format!("{time}Z"), None).ok()?;
    Some(time.to_unix() * 1000 + micros / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_when() {
        let name = name(1_796_070_600_123_456, Container::Mp4).unwrap();
        assert_eq!(name, "20261130T203000-123456.mp4");
        assert!(is_name(&name));
        assert_eq!(time_in(&name), Some(1_796_070_600_123));
        assert_eq!(time_in("part-00001.mp4"), None);
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
        let name = "20261130T203000-123456.mp4";
        std::fs::write(folder.path().join(name), "12345").unwrap();
        let bare = Clip::read(folder.path(), "gate", name).unwrap();
        assert_eq!((bare.start, bare.bytes), (1_796_070_600_123, 5));
        let known = Clip {
            event: Some("a".into()),
            length: 3000,
            frames: 90,
            ..bare
        };
        known.write_facts(folder.path()).unwrap();
        assert_eq!(Clip::read(folder.path(), "gate", name).unwrap(), known);
    }
}
