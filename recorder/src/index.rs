// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds clips by camera, time and event.
//!
//! The files are what counts; the index follows them. When the program starts, what is not in it is
//! read from the folders, and what has no file any more is taken out.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use sqlx::Row;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};

use crate::clip::{self, Clip};
use crate::config;

/// The name of the database in the clips' directory.
pub const FILE: &str = ".index.sqlite";

/// The number of this form of the table. Another one is made anew from the files.
const FORM: i64 = 1;

const TABLE: &str = "
CREATE TABLE clips (
    camera TEXT NOT NULL,
    name TEXT NOT NULL,
    event TEXT,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (camera, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX clips_by_start ON clips (start);
CREATE INDEX clips_by_event ON clips (event);
PRAGMA user_version = 1;
";

/// What is wrong with the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the index: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the clips' directory: {0}")]
    Files(#[from] io::Error),
}

/// Which clips are looked for; all of what is set has to fit.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub camera: Option<String>,
    pub event: Option<String>,
    /// Clips that begin at this time or later, milliseconds since 1970.
    pub from: Option<i64>,
    /// Clips that begin before this time.
    pub to: Option<i64>,
    /// How many, the newest first.
    pub limit: u32,
}

/// The clips of all cameras.
#[derive(Debug, Clone)]
pub struct Index(SqlitePool);

impl Index {
    /// Opens the index of a directory, and follows the files in it. One that cannot be read is made
    /// anew.
    pub async fn open(directory: &Path) -> Result<Self, IndexError> {
        let path = directory.join(FILE);
        let index = match Self::connect(&path).await {
            Ok(index) => index,
            Err(error) => {
                tracing::warn!("{}: {error}; it is made anew", path.display());
                for end in ["", "-wal", "-shm"] {
                    remove(&directory.join(format!("{FILE}{end}")))?;
                }
                Self::connect(&path).await?
            }
        };
        index.follow(directory).await?;
        Ok(index)
    }

    async fn connect(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last clips, which are found again.
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().max_connections(2);
        let pool = pool.connect_with(options).await?;
        let form: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&pool)
            .await?;
        if form != FORM {
            sqlx::raw_sql("DROP TABLE IF EXISTS clips")
                .execute(&pool)
                .await?;
            sqlx::raw_sql(TABLE).execute(&pool).await?;
        }
        sqlx::query("SELECT count(*) FROM clips")
            .execute(&pool)
            .await?;
        Ok(Self(pool))
    }

    /// Takes in what the folders have and takes out what they have not.
    async fn follow(&self, directory: &Path) -> Result<(), IndexError> {
        let folder = directory.to_owned();
        let files = tokio::task::spawn_blocking(move || clips_in(&folder));
        let files = files.await.map_err(io::Error::other)??;
        let known = sqlx::query("SELECT camera, name FROM clips");
        let known: HashSet<(String, String)> = known
            .fetch_all(&self.0)
            .await?
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let (mut added, mut removed) = (0, 0);
        for (camera, name) in known.difference(&files) {
            self.remove(camera, name).await?;
            removed += 1;
        }
        for (camera, name) in files.difference(&known) {
            match Clip::read(&directory.join(camera), camera, name) {
                Ok(clip) => self.insert(&clip).await?,
                // It went meanwhile, or is not ours to read.
                Err(error) => tracing::warn!(camera, clip = name, "not taken in: {error}"),
            }
            added += 1;
        }
        if added + removed > 0 {
            tracing::info!(added, removed, "the index follows the files");
        }
        Ok(())
    }

    /// Takes in a clip, or what is known of it now.
    pub async fn insert(&self, clip: &Clip) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT OR REPLACE INTO clips VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
            .bind(&clip.camera)
            .bind(&clip.name)
            .bind(&clip.event)
            .bind(clip.start)
            .bind(signed(clip.length))
            .bind(signed(clip.frames))
            .bind(signed(clip.bytes))
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Takes out a clip.
    pub async fn remove(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM clips WHERE camera = ?1 AND name = ?2")
            .bind(camera)
            .bind(name)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// The clips that fit, the newest first.
    pub async fn find(&self, query: &Query) -> Result<Vec<Clip>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT camera, name, event, start, length, frames, bytes FROM clips
             WHERE (?1 IS NULL OR camera = ?1) AND (?2 IS NULL OR event = ?2)
               AND (?3 IS NULL OR start >= ?3) AND (?4 IS NULL OR start < ?4)
             ORDER BY start DESC, name DESC, camera LIMIT ?5",
        )
        .bind(&query.camera)
        .bind(&query.event)
        .bind(query.from)
        .bind(query.to)
        .bind(query.limit)
        .fetch_all(&self.0)
        .await?;
        Ok(rows.iter().map(clip_of).collect())
    }

    /// Waits until all is written.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

fn clip_of(row: &SqliteRow) -> Clip {
    Clip {
        camera: row.get(0),
        name: row.get(1),
        event: row.get(2),
        start: row.get(3),
        length: row.get::<i64, _>(4).unsigned_abs(),
        frames: row.get::<i64, _>(5).unsigned_abs(),
        bytes: row.get::<i64, _>(6).unsigned_abs(),
    }
}

/// SQLite's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The clips in the folders of all cameras, by camera and name.
fn clips_in(directory: &Path) -> io::Result<HashSet<(String, String)>> {
    let mut found = HashSet::new();
    for folder in std::fs::read_dir(directory)?.flatten() {
        let camera = folder.file_name().to_string_lossy().into_owned();
        // Links lead to what is none of ours.
        if !folder.file_type()?.is_dir() || !config::is_name(&camera) {
            continue;
        }
        for file in std::fs::read_dir(folder.path())?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if clip::is_name(&name) && file.file_type()?.is_file() {
                found.insert((camera.clone(), name));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(camera: &str, event: &str, start: i64) -> Clip {
        let name = clip::name(start * 1000, config::Container::Mp4).unwrap();
        Clip {
            camera: camera.into(),
            name,
            event: Some(event.into()),
            start,
            length: 3000,
            frames: 90,
            bytes: 4,
        }
    }

    fn store(directory: &Path, clip: &Clip) {
        let folder = directory.join(&clip.camera);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(&clip.name), "clip").unwrap();
        clip.write_facts(&folder).unwrap();
    }

    fn all() -> Query {
        Query {
            limit: 100,
            ..Query::default()
        }
    }

    #[tokio::test]
    async fn clips_are_found_by_camera_time_and_event() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::open(directory.path()).await.unwrap();
        let clips = [
            clip("gate", "a", 1000),
            clip("gate", "b", 2000),
            clip("door", "a", 3000),
        ];
        for clip in &clips {
            index.insert(clip).await.unwrap();
        }
        let found = async |query: Query| {
            let found = index.find(&query).await.unwrap();
            found.iter().map(|clip| clip.start).collect::<Vec<_>>()
        };
        assert_eq!(found(all()).await, [3000, 2000, 1000]);
        assert_eq!(found(Query { limit: 1, ..all() }).await, [3000]);
        let camera = Some("gate".to_owned());
        assert_eq!(found(Query { camera, ..all() }).await, [2000, 1000]);
        let event = Some("a".to_owned());
        assert_eq!(found(Query { event, ..all() }).await, [3000, 1000]);
        let (from, to) = (Some(1000), Some(2000));
        assert_eq!(found(Query { from, to, ..all() }).await, [1000]);
        index.remove("gate", &clips[0].name).await.unwrap();
        assert_eq!(found(all()).await, [3000, 2000]);
    }

    #[tokio::test]
    async fn it_follows_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let clips = [clip("gate", "a", 1000), clip("door", "b", 2000)];
        clips.iter().for_each(|clip| store(directory.path(), clip));
        // Neither links nor what is not a clip's.
        std::fs::write(directory.path().join("gate/notes.txt"), "").unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("gate/x.mp4")).unwrap();
        std::os::unix::fs::symlink("gate", directory.path().join("link")).unwrap();
        let index = Index::open(directory.path()).await.unwrap();
        let found = index.find(&all()).await.unwrap();
        assert_eq!(found, [clips[1].clone(), clips[0].clone()]);
        index.close().await;
        std::fs::remove_file(directory.path().join("gate").join(&clips[0].name)).unwrap();
        let index = Index::open(directory.path()).await.unwrap();
        assert_eq!(index.find(&all()).await.unwrap(), [clips[1].clone()]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_read_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let clip = clip("gate", "a", 1000);
        store(directory.path(), &clip);
        std::fs::write(directory.path().join(FILE), [7; 4096]).unwrap();
        let index = Index::open(directory.path()).await.unwrap();
        assert_eq!(index.find(&all()).await.unwrap(), [clip]);
    }
}
