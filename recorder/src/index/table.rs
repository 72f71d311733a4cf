// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of clips, which is the same in SQLite and in PostgreSQL, and what is asked of it.

use sqlx::{ColumnIndex, Database, Decode, Row, Type};

use crate::clip::Clip;

/// The table. `here` is whether the machine has the file, `sha256` says what the store has, and is not
/// set where it has nothing; a clip that is `gone` is not to be found and is to be deleted in the store.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS clips (
    site TEXT NOT NULL,
    camera TEXT NOT NULL,
    name TEXT NOT NULL,
    event TEXT,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT,
    here BIGINT NOT NULL,
    gone BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (site, camera, name)
);
CREATE INDEX IF NOT EXISTS clips_by_start ON clips (start);
CREATE INDEX IF NOT EXISTS clips_by_event ON clips (event);
";

/// Takes in a clip, or what is known of it now.
pub(crate) const PUT: &str = "
INSERT INTO clips (site, camera, name, event, start, length, frames, bytes, sha256, here)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (site, camera, name) DO UPDATE SET
    event = excluded.event, start = excluded.start, length = excluded.length,
    frames = excluded.frames, bytes = excluded.bytes, sha256 = excluded.sha256, here = excluded.here";

/// Takes out a clip.
pub(crate) const REMOVE: &str = "DELETE FROM clips WHERE site = $1 AND camera = $2 AND name = $3";

/// What is read of a clip, in the order of [`entry`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT site, camera, name, event, start, length, frames, bytes, sha256, here FROM clips ",
            $rest
        )
    };
}
pub(super) use select;

/// The clips that fit a [`Query`], the newest first.
pub(crate) const FIND: &str = select!(
    "WHERE gone = 0 AND ($1 IS NULL OR site = $1) AND ($2 IS NULL OR camera = $2)
       AND ($3 IS NULL OR event = $3) AND ($4 IS NULL OR start >= $4) AND ($5 IS NULL OR start < $5)
     ORDER BY start DESC, name DESC, camera, site LIMIT $6"
);

/// Which clips are looked for; all of what is set has to fit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub site: Option<String>,
    pub camera: Option<String>,
    pub event: Option<String>,
    /// Clips that begin at this time or later, milliseconds since 1970.
    pub from: Option<i64>,
    /// Clips that begin before this time.
    pub to: Option<i64>,
    /// How many, the newest first.
    pub limit: u32,
}

/// A clip of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The machine that recorded it.
    pub site: String,
    pub clip: Clip,
    /// Whether that machine has its file.
    pub here: bool,
}

/// Binds what [`PUT`] wants.
macro_rules! put {
    ($entry:expr) => {{
        let $crate::index::table::Entry { site, clip, here } = $entry;
        sqlx::query($crate::index::table::PUT)
            .bind(site)
            .bind(&clip.camera)
            .bind(&clip.name)
            .bind(&clip.event)
            .bind(clip.start)
            .bind($crate::index::table::signed(clip.length))
            .bind($crate::index::table::signed(clip.frames))
            .bind($crate::index::table::signed(clip.bytes))
            .bind(&clip.sha256)
            .bind(i64::from(*here))
    }};
}
pub(super) use put;

/// Binds what [`FIND`] wants.
macro_rules! find {
    ($query:expr) => {{
        let query: &$crate::index::table::Query = $query;
        sqlx::query($crate::index::table::FIND)
            .bind(&query.site)
            .bind(&query.camera)
            .bind(&query.event)
            .bind(query.from)
            .bind(query.to)
            .bind(i64::from(query.limit))
    }};
}
pub(super) use find;

/// A row of what [`select`] asks for.
pub(crate) fn entry<R>(row: &R) -> Result<Entry, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    R::Database: Database,
{
    let number = |at: usize| row.try_get::<i64, _>(at);
    Ok(Entry {
        site: row.try_get(0)?,
        clip: Clip {
            camera: row.try_get(1)?,
            name: row.try_get(2)?,
            event: row.try_get(3)?,
            start: number(4)?,
            length: number(5)?.unsigned_abs(),
            frames: number(6)?.unsigned_abs(),
            bytes: number(7)?.unsigned_abs(),
            sha256: row.try_get(8)?,
        },
        here: number(9)? != 0,
    })
}

/// The databases' integers have a sign.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
