// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a ring begins that is to be so long: at the last key unit that is far enough back, or at an
//! IDR shortly before it.

use super::{Item, Log};

/// How much longer (ns) a ring is than was asked so that it begins at an IDR. Encoders put other key
/// units where the scene changes within a second of an IDR (x264: `min-keyint`), and those of open
/// GOPs half a second apart.
const NEAR: i64 = 2_000_000_000;

/// A key unit's number and presentation time (ns).
pub(crate) type KeyUnit = (u64, i64);

/// The search, which goes on where it stopped.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    next: u64,
    /// The last key unit that is far enough back.
    key: Option<KeyUnit>,
    /// The last IDR that is.
    refresh: Option<KeyUnit>,
    /// The key unit at `next`, which was not.
    awaited: Option<KeyUnit>,
}

impl Horizon {
    /// Looks which key units behind item `start` of `log` have become far enough back by now.
    pub(crate) fn look<P>(&mut self, log: &Log<Item<P>>, start: u64, far: impl Fn(i64) -> bool) {
        self.next = self.next.max(start + 1);
        self.key = self.key.filter(|(number, _)| *number > start);
        self.refresh = self.refresh.filter(|(number, _)| *number > start);
        // So it is with nearly every buffer.
        if let Some((number, time)) = self.awaited
            && number == self.next
            && !far(time)
        {
            return;
        }
        self.awaited = None;
        while let Some(item) = log.get(self.next) {
            if item.key {
                if !far(item.time) {
                    self.awaited = Some((self.next, item.time));
                    break;
                }
                self.key = Some((self.next, item.time));
                if item.refresh {
                    self.refresh = self.key;
                }
            }
            self.next += 1;
        }
    }

    /// Whether any key unit is far enough back.
    pub(crate) fn is_reached(&self) -> bool {
        self.key.is_some()
    }

    /// Where a ring is to begin that begins with `start`, if not there.
    pub(crate) fn begin<P>(&self, start: &Item<P>) -> Option<KeyUnit> {
        let (_, latest) = self.key?;
        let near = |time: i64| latest.saturating_sub(time) <= NEAR;
        match self.refresh.filter(|(_, time)| near(*time)) {
            Some(refresh) => Some(refresh),
            None if start.refresh && near(start.time) => None,
            None => self.key,
        }
    }
}
