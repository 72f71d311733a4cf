// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of a recording's files, one after the other. Knows no GStreamer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::streams::names::{Pattern, PatternError, numbered, with_suffix};
use crate::streams::pins;
use crate::streams::retention::Family;

/// The names to come.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pattern: Pattern,
    next: u64,
    asked_for: VecDeque<String>,
}

impl Names {
    /// Names after `location`: with a `%d` in it that is replaced by 0, 1, 2...; otherwise
    /// `name.ext`, `name-00001.ext`, `name-00002.ext`...
    pub(crate) fn new(location: &str) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: Pattern::new(location, 1)?,
            next: 0,
            asked_for: VecDeque::new(),
        })
    }

    /// Whether the location has a place for a number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.pattern.places() > 0
    }

    /// Whether it names more than one file by itself.
    pub(crate) fn makes_many(&self) -> bool {
        self.is_numbered() || self.pattern.is_timed()
    }

    /// The next file is to be called this.
    pub(crate) fn ask_for(&mut self, location: String) {
        self.asked_for.push_back(location);
    }

    /// What the next file is to be called, if that was said.
    pub(crate) fn asked_for(&mut self) -> Option<PathBuf> {
        self.asked_for.pop_front().map(PathBuf::from)
    }

    /// The next file's number.
    pub(crate) fn number(&self) -> u64 {
        self.next
    }

    /// The next file has a name of another kind, and its number is used up.
    pub(crate) fn pass(&mut self) {
        self.next += 1;
    }

    /// The pattern with a time in it.
    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The next file's name; `text` has what stands for `strftime`'s letters. Numbers of files that
    /// are to stay are passed over, without `overwrite` those of all that are there; a name without a number comes as it
    /// is. A name that has a time and no number is that of a moment: where
    /// there is one already, a number is put behind it.
    pub(crate) fn next_name(
        &mut self,
        text: impl Fn(char) -> Option<String>,
        overwrite: bool,
    ) -> PathBuf {
        let timed = self.pattern.at(text);
        if timed.is_timed() && !self.is_numbered() {
            self.next += 1;
            let name = timed.fill(&[]);
            let again = (1..).map(|again: u64| with_suffix(&name, &format!("-{again}")));
            let names = std::iter::once(PathBuf::from(&name)).chain(again);
            // A link that leads nowhere is there too.
            let mut free = names.filter(|name| name.symlink_metadata().is_err());
            return free.next().unwrap_or_default();
        }
        loop {
            let number = self.next;
            self.next += 1;
            let name = timed.fill(&[number]);
            let name = match number > 0 && !self.is_numbered() {
                true => numbered(&name, number),
                false => name.into(),
            };
            let has_number = number > 0 || self.is_numbered();
            let is_taken = has_number && !overwrite && name.symlink_metadata().is_ok();
            if !is_taken && !pins::is_pinned(&name) {
                return name;
            }
        }
    }
}

/// Whether a recording to `location` makes files of that name.
pub(crate) fn are_of(location: &str, name: &Path) -> bool {
    // A directory without places in its name may be written in another way.
    let whole = |path: &Path| {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let directory = directory.canonicalize().unwrap_or(directory.to_owned());
        path.file_name()
            .and_then(|it| Some(directory.join(it).to_str()?.to_owned()))
    };
    let (Some(location), Some(name)) = (whole(Path::new(location)), whole(name)) else {
        return false;
    };
    let families = families(&location);
    let is_of = |family: &Family| family.names.read(&name).is_some();
    families.iter().any(is_of)
}

/// The names that files of a location have, from this run and from earlier ones.
pub(crate) fn families(location: &str) -> Vec<Family> {
    let family = |names: &str, suffixed: bool| {
        let names = Pattern::new(names, 1).ok()?;
        Some(Family { names, suffixed })
    };
    let Some(own) = family(location, false) else {
        return Vec::new();
    };
    let suffix = match (own.names.places(), own.names.is_timed()) {
        (0, true) => Some("-%i"),
        (0, false) => Some("-%05i"),
        _ => None,
    };
    let others = suffix.and_then(|suffix| {
        let name = with_suffix(location, suffix);
        family(&name.to_string_lossy(), true)
    });
    std::iter::once(own).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(location: &str, n: usize) -> Vec<String> {
        let mut names = Names::new(location).unwrap();
        (0..n)
            .map(|_| names.next_name(|_| None, true).to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_pattern_is_numbered_from_zero() {
        assert_eq!(names("/a/p%05d.jpg", 2), ["/a/p00000.jpg", "/a/p00001.jpg"]);
        assert_eq!(names("100%%-%02u.ts", 1), ["100%-00.ts"]);
    }

    #[test]
    fn a_plain_name_comes_first_and_is_numbered_then() {
        assert_eq!(
            names("/a.b/clip.mp4", 3),
            [
                "/a.b/clip.mp4",
                "/a.b/clip-00001.mp4",
                "/a.b/clip-00002.mp4"
            ]
        );
    }

    #[test]
    fn a_name_that_is_asked_for_comes_next() {
        let mut names = Names::new("a.mp4").unwrap();
        names.next_name(|_| None, true);
        names.ask_for("b.mp4".into());
        assert_eq!(names.asked_for().as_deref(), Some(Path::new("b.mp4")));
        assert_eq!(names.asked_for(), None);
        assert_eq!(names.next_name(|_| None, true), Path::new("a-00001.mp4"));
    }

    #[test]
    fn what_is_pinned_is_passed_over_and_a_moment_named_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let of = |name: &str| Names::new(at(name).to_str().unwrap()).unwrap();
        for name in ["a0.ts", "c.ts", "c-00001.ts", "2026.ts", "2026-1.ts"] {
            std::fs::write(at(name), "kept").unwrap();
        }
        for name in ["a0.ts", "c.ts", "c-00001.ts"] {
            pins::pin(&at(name)).unwrap();
        }
        let year = |_| Some("2026".to_owned());
        assert_eq!(of("a%d.ts").next_name(year, true), at("a1.ts"));
        assert_eq!(of("c.ts").next_name(year, true), at("c-00002.ts"));
        assert_eq!(of("%Y.ts").next_name(year, true), at("2026-2.ts"));
    }

    #[test]
    fn numbers_in_use_are_passed_over_without_overwrite() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["a0.ts", "a1.ts", "c.ts", "c-00001.ts"] {
            std::fs::write(at(name), "kept").unwrap();
        }
        std::os::unix::fs::symlink("nothing", at("a2.ts")).unwrap();
        let of = |name: &str| Names::new(at(name).to_str().unwrap()).unwrap();
        assert_eq!(of("a%d.ts").next_name(|_| None, false), at("a3.ts"));
        assert_eq!(of("a%d.ts").next_name(|_| None, true), at("a0.ts"));
        let mut plain = of("c.ts");
        let names = [(); 2].map(|()| plain.next_name(|_| None, false));
        assert_eq!(names, [at("c.ts"), at("c-00002.ts")]);
    }

    #[test]
    fn names_that_a_recording_makes_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        let is = |location: &str, name: &str| are_of(at(location).to_str().unwrap(), &at(name));
        for (location, name) in [
            ("a%05d.avi", "a00007.avi"),
            ("a%05d.avi", "sub/../a00007.avi"),
            ("sub/../a.avi", "a-00001.avi"),
            ("a.avi", "a.avi"),
            ("%Y/%H.ts", "2026/12.ts"),
        ] {
            assert!(is(location, name), "{location} {name}");
        }
        for (location, name) in [
            ("a%05d.avi", "a00007.txt"),
            ("a%05d.avi", "sub/a00007.avi"),
            ("a.avi", "a.txt"),
        ] {
            assert!(!is(location, name), "{location} {name}");
        }
    }

    #[test]
    fn families_have_all_names_of_a_location() {
        let has = |location: &str, name: &str| {
            let families = families(location);
            families
                .iter()
                .any(|family| family.names.read(name).is_some())
        };
        assert!(has("clip.mp4", "clip.mp4") && has("clip.mp4", "clip-00017.mp4"));
        assert!(!has("clip.mp4", "clip-17.mp4") && !has("clip-%05d.mp4", "clip.mp4"));
        assert!(has("%F.mp4", "2026-11-28.mp4") && has("%F.mp4", "2026-11-28-3.mp4"));
    }

    #[test]
    fn other_patterns_are_refused() {
        for bad in ["%s.mp4", "%d-%d.mp4", "50%", "%5%.mp4", "%-5d.mp4"] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
