// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether another recorder has this one's name in the store.
//!
//! Each writes a mark below its site's name, again and again, as two of one name would delete and overwrite each
//! other's clips and end each other's uploads. No clock is asked: a mark of somebody else that changes is of one
//! that runs; one that does not for some time is of one that does not, such as a machine in whose place this
//! one is.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::lock::Identity;

/// Times that a mark of somebody else may be found unchanged.
const PATIENCE: u32 = 3;

/// What is in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    recorder: String,
    host: String,
    /// Makes it another one, milliseconds since 1970.
    written: i64,
}

/// What is to be done about a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Write an own one.
    Write,
    /// Wait whether it changes.
    Wait,
    /// Say that this machine has the same name, and write an own one so that it says so too.
    Tell(String),
}

/// What is known of marks.
#[derive(Debug)]
pub(super) struct Watch {
    identity: Identity,
    patience: Duration,
    /// This run has written its own.
    written: bool,
    /// The mark of somebody else, and when it was first seen so.
    other: Option<(String, Instant)>,
    told: bool,
}

impl Watch {
    pub(super) fn new(identity: Identity, turn: Duration) -> Self {
        Self {
            identity,
            patience: turn * PATIENCE,
            written: false,
            other: None,
            told: false,
        }
    }

    /// Whether nobody else has this name, as far as one can know.
    pub(super) fn is_alone(&self) -> bool {
        self.written && self.other.is_none()
    }

    /// An own mark.
    pub(super) fn text(&mut self, now: i64) -> String {
        self.written = true;
        let mark = Mark {
            recorder: self.identity.id.clone(),
            host: self.identity.host.clone(),
            written: now,
        };
        serde_json::to_string(&mark).unwrap_or_default()
    }

    /// What follows from what is in the store.
    pub(super) fn judge(&mut self, found: Option<&str>, now: Instant) -> Step {
        let mark = found.map(serde_json::from_str::<Mark>);
        let (recorder, host) = match &mark {
            None => (None, ""),
            Some(Ok(mark)) => (Some(mark.recorder.as_str()), mark.host.as_str()),
            Some(Err(_)) => (Some(""), "?"),
        };
        let own = recorder.is_none_or(|id| {
            // Of an earlier run of this recorder; once this one has written, that one would run beside it.
            id == self.identity.id || (!self.written && self.identity.was(id))
        });
        let since = self.other.as_ref().map(|(_, since)| *since);
        let is_gone = since.is_none_or(|since| now.duration_since(since) >= self.patience);
        let text = found.unwrap_or_default();
        let same = self.other.as_ref().is_some_and(|(known, _)| known == text);
        if own || same {
            if is_gone {
                self.other = None;
                self.told = false;
            }
            return if own || is_gone {
                Step::Write
            } else {
                Step::Wait
            };
        }
        let runs = self.written || self.other.is_some();
        self.other = Some((text.to_owned(), now));
        match runs {
            false => Step::Wait,
            true if std::mem::replace(&mut self.told, true) => Step::Write,
            true => Step::Tell(host.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_secs(10);

    fn watch(id: &str, former: &[&str]) -> Watch {
        let identity = Identity {
            id: id.into(),
            host: format!("host-of-{id}"),
            former: former.iter().map(|id| (*id).to_owned()).collect(),
        };
        Watch::new(identity, TURN)
    }

    /// Does what is to be done with a store of one mark; what was to be told.
    fn turn(
        watch: &mut Watch,
        store: &mut Option<String>,
        now: Instant,
        number: i64,
    ) -> Option<String> {
        let step = watch.judge(store.as_deref(), now);
        if step != Step::Wait {
            *store = Some(watch.text(number));
        }
        match step {
            Step::Tell(host) => Some(host),
            _ => None,
        }
    }

    #[test]
    fn one_that_starts_again_is_alone_at_once() {
        let (mut store, now) = (None, Instant::now());
        let mut first = watch("a", &[]);
        assert_eq!(turn(&mut first, &mut store, now, 1), None);
        assert!(first.is_alone());
        let mut second = watch("b", &["a"]);
        assert!(!second.is_alone());
        assert_eq!(turn(&mut second, &mut store, now, 2), None);
        assert!(second.is_alone());
    }

    #[test]
    fn two_of_one_name_are_told_both() {
        let (mut store, mut now) = (None, Instant::now());
        // The second one is a copy of the first one's disk.
        let (mut first, mut second) = (watch("a", &[]), watch("b", &["a"]));
        let mut told = [Vec::new(), Vec::new()];
        for number in 0..20 {
            told[0].extend(turn(&mut first, &mut store, now, number));
            told[1].extend(turn(&mut second, &mut store, now, number));
            now += TURN;
        }
        assert_eq!(
            told,
            [vec!["host-of-b".to_owned()], vec!["host-of-a".to_owned()]]
        );
        assert!(!first.is_alone() && !second.is_alone());
        // When one has gone the other is alone again, and would tell of the next one.
        for number in 20..25 {
            assert_eq!(turn(&mut first, &mut store, now, number), None);
            now += TURN;
        }
        assert!(first.is_alone());
        let mut third = watch("c", &[]);
        assert_eq!(turn(&mut third, &mut store, now, 30), None);
        assert!(!third.is_alone());
        assert_eq!(turn(&mut first, &mut store, now, 31), None);
        let told = turn(&mut third, &mut store, now + TURN, 32);
        assert_eq!(told.as_deref(), Some("host-of-a"));
        let told = turn(&mut first, &mut store, now + TURN, 33);
        assert_eq!(told.as_deref(), Some("host-of-c"));
    }

    #[test]
    fn one_in_whose_place_this_one_is_is_waited_for() {
        let (mut store, now) = (Some("what nobody can read".to_owned()), Instant::now());
        let mut watch = watch("b", &[]);
        for turns in 0..3 {
            assert_eq!(turn(&mut watch, &mut store, now + TURN * turns, 1), None);
            assert!(!watch.is_alone());
        }
        assert_eq!(turn(&mut watch, &mut store, now + TURN * 3, 1), None);
        assert!(watch.is_alone());
    }
}
