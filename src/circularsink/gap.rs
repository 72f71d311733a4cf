// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stream that was away.

/// From where what came ended to where it goes on, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// In running time.
    pub from: i64,
    pub to: i64,
    /// The same as times of day, since 1970. They are further apart than `from` and `to` where
    /// timestamps began anew.
    pub utc: Option<(i64, i64)>,
}

impl Gap {
    /// How long it was, ns.
    pub fn length(&self) -> i64 {
        let of_day = self.utc.map_or(0, |(from, to)| to.saturating_sub(from));
        self.to.saturating_sub(self.from).max(of_day)
    }
}
