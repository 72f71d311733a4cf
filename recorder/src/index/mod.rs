// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds clips by camera, time and event.
//!
//! The files and the store are what counts; the index follows them. When the program starts, what is
//! not in it is read from the folders, and what has no file any more is taken out, unless the store has
//! it. An index that is made anew reads the store's list as well ([`Index::is_unread`]).
//!
//! It is also the queue of what is to be uploaded: a clip is in it, in one transaction, as soon as it is
//! known ([`Index::next_upload`]). With an index for many machines in PostgreSQL, [`shared`] passes on
//! what changes.

mod queue;
mod shared;
mod table;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Row;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::mpsc;

use crate::clip::{self, Clip};
use crate::config;

pub(crate) use queue::{Backlog, Upload};
pub(crate) use shared::Shared;
pub(crate) use table::{Entry, Query};

/// The name of the database in the clips' directory.
pub(crate) const FILE: &str = ".index.sqlite";

/// The number of this form of the tables. Another one is made anew from the files and the store.
const FORM: i64 = 2;

/// What only this machine has to know: how often an upload was tried, whether what came of it was
/// told, and the uploads in parts that are under way. `unread` has a row until the store was read.
const OWN: &str = "
ALTER TABLE clips ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clips ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
CREATE INDEX clips_to_upload ON clips (attempts, start) WHERE here = 1 AND sha256 IS NULL;
CREATE TABLE uploads (
    camera TEXT NOT NULL,
    name TEXT NOT NULL,
    upload TEXT NOT NULL,
    parts TEXT NOT NULL,
    PRIMARY KEY (camera, name)
);
CREATE TABLE IF NOT EXISTS unread (store INTEGER PRIMARY KEY);
INSERT OR IGNORE INTO unread VALUES (1);
PRAGMA user_version = 2;
";

/// What is wrong with the index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("the index: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the clips' directory: {0}")]
    Files(#[from] io::Error),
}

/// The clips of all cameras of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pool: SqlitePool,
    site: String,
    /// It was made by this run.
    is_new: bool,
    /// Counts what changes, for those who show it.
    changes: Arc<AtomicU64>,
    /// Hears of each clip that changes.
    listener: Option<Listener>,
}

/// Those who hear which clips changed.
type Listener = mpsc::UnboundedSender<(String, String)>;

impl Index {
    /// Opens the index of a directory, and follows the files in it. One that cannot be read is made
    /// anew. Returns as well what an earlier run has recorded and not taken in.
    pub(crate) async fn open(
        directory: &Path,
        site: &str,
    ) -> Result<(Self, Vec<Clip>), IndexError> {
        let path = directory.join(FILE);
        let index = match Self::connect(&path, site).await {
            Ok(index) => index,
            Err(error) => {
                tracing::warn!("{}: {error}; it is made anew", path.display());
                for end in ["", "-wal", "-shm"] {
                    remove(&directory.join(format!("{FILE}{end}")))?;
                }
                Self::connect(&path, site).await?
            }
        };
        let mut found = index.follow(directory).await?;
        if index.is_new {
            // What was told of them and what was not went with the old one.
            found.clear();
            sqlx::query("UPDATE clips SET told = 1 WHERE sha256 IS NOT NULL")
                .execute(&index.pool)
                .await?;
        }
        Ok((index, found))
    }

    async fn connect(path: &Path, site: &str) -> Result<Self, sqlx::Error> {
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
        let is_new = form != FORM;
        if is_new {
            for table in ["clips", "uploads"] {
                let drop = format!("DROP TABLE IF EXISTS {table}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
                    .execute(&pool)
                    .await?;
            }
            sqlx::raw_sql(table::TABLE).execute(&pool).await?;
            sqlx::raw_sql(OWN).execute(&pool).await?;
        }
        // Of another name of this machine nothing is known.
        sqlx::query("DELETE FROM clips WHERE site <> $1")
            .bind(site)
            .execute(&pool)
            .await?;
        sqlx::query("UPDATE clips SET attempts = 0")
            .execute(&pool)
            .await?;
        Ok(Self {
            pool,
            is_new,
            site: site.to_owned(),
            changes: Arc::default(),
            listener: None,
        })
    }

    /// Takes in what the folders have and takes out what they have not; returns what was taken in and
    /// is an event's.
    async fn follow(&self, directory: &Path) -> Result<Vec<Clip>, IndexError> {
        let folder = directory.to_owned();
        let files = tokio::task::spawn_blocking(move || clips_in(&folder));
        let files = files.await.map_err(io::Error::other)??;
        let known = sqlx::query("SELECT camera, name FROM clips WHERE here = 1");
        let mut here: HashSet<(String, String)> = HashSet::new();
        for row in known.fetch_all(&self.pool).await? {
            here.insert((row.try_get(0)?, row.try_get(1)?));
        }
        let (mut added, mut removed) = (Vec::new(), 0);
        for (camera, name) in here.difference(&files) {
            self.lose(camera, name).await?;
            removed += 1;
        }
        for (camera, name) in files.difference(&here) {
            match Clip::read(&directory.join(camera), camera, name) {
                Ok(clip) => {
                    self.put(&clip).await?;
                    added.push(clip);
                }
                // It went meanwhile, or is not ours to read.
                Err(error) => tracing::warn!(camera, clip = name, "not taken in: {error}"),
            }
        }
        if !added.is_empty() || removed > 0 {
            tracing::info!(added = added.len(), removed, "the index follows the files");
        }
        added.retain(|clip| clip.event.is_some());
        Ok(added)
    }

    /// Has somebody hear of each clip that changes; before this index is given to others.
    fn listen(&mut self) -> mpsc::UnboundedReceiver<(String, String)> {
        let (listener, heard) = mpsc::unbounded_channel();
        self.listener = Some(listener);
        heard
    }

    /// What this machine is called.
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    /// A number that is another one when clips have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// A clip has changed.
    pub(crate) fn touch(&self, camera: &str, name: &str) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(listener) = &self.listener {
            // At the end nobody listens any more.
            let _ = listener.send((camera.to_owned(), name.to_owned()));
        }
    }

    /// Takes in a clip whose file is here, or what is known of it now.
    pub(crate) async fn put(&self, clip: &Clip) -> Result<(), sqlx::Error> {
        let entry = Entry {
            site: self.site.clone(),
            clip: clip.clone(),
            here: true,
        };
        table::put!(&entry).execute(&self.pool).await?;
        self.touch(&clip.camera, &clip.name);
        Ok(())
    }

    /// A clip's file is gone. The clip stays if the store has it.
    pub(crate) async fn lose(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        self.change(
            "UPDATE clips SET here = 0 WHERE camera = $1 AND name = $2",
            camera,
            name,
        )
        .await?;
        self.change(
            "DELETE FROM clips WHERE camera = $1 AND name = $2 AND sha256 IS NULL",
            camera,
            name,
        )
        .await?;
        Ok(())
    }

    /// A clip is to be nowhere any more; the store is still to be told.
    pub(crate) async fn forget(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        self.lose(camera, name).await?;
        self.change(
            "UPDATE clips SET gone = 1 WHERE camera = $1 AND name = $2",
            camera,
            name,
        )
        .await?;
        Ok(())
    }

    /// Changes a clip; false if there is none that fits.
    async fn change(
        &self,
        sql: &'static str,
        camera: &str,
        name: &str,
    ) -> Result<bool, sqlx::Error> {
        let change = sqlx::query(sql).bind(camera).bind(name);
        let done = change.execute(&self.pool).await?;
        self.touch(camera, name);
        Ok(done.rows_affected() > 0)
    }

    /// The clips that fit, the newest first.
    pub(crate) async fn find(&self, query: &Query) -> Result<Vec<Entry>, sqlx::Error> {
        let rows = table::find!(query).fetch_all(&self.pool).await?;
        rows.iter().map(table::entry).collect()
    }

    /// By its name.
    pub(crate) async fn get(&self, camera: &str, name: &str) -> Result<Option<Entry>, sqlx::Error> {
        let row = sqlx::query(table::select!(
            "WHERE camera = $1 AND name = $2 AND gone = 0"
        ));
        let row = row.bind(camera).bind(name);
        let row = row.fetch_optional(&self.pool).await?;
        row.as_ref().map(table::entry).transpose()
    }

    /// All that is to be found.
    async fn all(&self) -> Result<Vec<Entry>, sqlx::Error> {
        let rows = sqlx::query(table::select!("WHERE gone = 0"));
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(table::entry).collect()
    }

    /// Waits until all is written.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
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
            sha256: None,
        }
    }

    async fn clips_of(index: &Index) -> Vec<Clip> {
        let found = index.find(&all()).await.unwrap();
        found.into_iter().map(|entry| entry.clip).collect()
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
        let index = Index::open(directory.path(), "home").await.unwrap().0;
        let clips = [
            clip("gate", "a", 1000),
            clip("gate", "b", 2000),
            clip("door", "a", 3000),
        ];
        for clip in &clips {
            index.put(clip).await.unwrap();
        }
        let found = async |query: Query| {
            let found = index.find(&query).await.unwrap();
            found
                .iter()
                .map(|entry| entry.clip.start)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(all()).await, [3000, 2000, 1000]);
        assert_eq!(found(Query { limit: 1, ..all() }).await, [3000]);
        let camera = Some("gate".to_owned());
        assert_eq!(found(Query { camera, ..all() }).await, [2000, 1000]);
        let event = Some("a".to_owned());
        assert_eq!(found(Query { event, ..all() }).await, [3000, 1000]);
        let (from, to) = (Some(1000), Some(2000));
        assert_eq!(found(Query { from, to, ..all() }).await, [1000]);
        index.lose("gate", &clips[0].name).await.unwrap();
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
        let index = Index::open(directory.path(), "home").await.unwrap().0;
        let found = clips_of(&index).await;
        assert_eq!(found, [clips[1].clone(), clips[0].clone()]);
        index.close().await;
        std::fs::remove_file(directory.path().join("gate").join(&clips[0].name)).unwrap();
        let index = Index::open(directory.path(), "home").await.unwrap().0;
        assert_eq!(clips_of(&index).await, [clips[1].clone()]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_read_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let clip = clip("gate", "a", 1000);
        store(directory.path(), &clip);
        std::fs::write(directory.path().join(FILE), [7; 4096]).unwrap();
        let index = Index::open(directory.path(), "home").await.unwrap().0;
        assert_eq!(clips_of(&index).await, [clip]);
    }

    #[tokio::test]
    async fn what_the_store_has_stays_without_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let clips = [clip("gate", "a", 1000), clip("gate", "b", 2000)];
        clips.iter().for_each(|clip| store(directory.path(), clip));
        let (index, found) = Index::open(directory.path(), "home").await.unwrap();
        assert!(found.is_empty(), "the index is new: nobody waits for these");
        let next = || async { index.next_upload(false).await.unwrap().map(|it| it.start) };
        assert_eq!(next().await, Some(1000));
        index.postpone("gate", &clips[0].name).await.unwrap();
        assert_eq!(next().await, Some(2000));
        let backlog = Backlog { clips: 2, bytes: 8 };
        assert_eq!(index.backlog(false).await.unwrap(), backlog);
        // What is recorded all the time is uploaded if that is said only.
        let part = Clip {
            name: "part-1.mp4".into(),
            event: None,
            ..clip("gate", "", 500)
        };
        index.put(&part).await.unwrap();
        assert_eq!(next().await, Some(2000));
        let all_the_time = index.next_upload(true).await.unwrap();
        assert_eq!(all_the_time, Some(part.clone()));
        index.lose("gate", &part.name).await.unwrap();
        assert!(index.stored("gate", &clips[0].name, "ab").await.unwrap());
        assert_eq!(index.untold().await.unwrap().len(), 1);
        index.told("gate", &clips[0].name).await.unwrap();
        assert_eq!(index.untold().await.unwrap(), []);
        index.close().await;
        for clip in &clips {
            std::fs::remove_file(directory.path().join("gate").join(&clip.name)).unwrap();
        }
        let (index, _) = Index::open(directory.path(), "home").await.unwrap();
        let left = index.find(&all()).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].clip.sha256.as_deref(), Some("ab"));
        assert!(!left[0].here);
        // One that was deleted meanwhile is not marked.
        assert!(!index.stored("gate", &clips[1].name, "cd").await.unwrap());
        // Deleted, it is not found, but in the store it is still to go.
        index.forget("gate", &clips[0].name).await.unwrap();
        assert_eq!(index.find(&all()).await.unwrap(), []);
        assert_eq!(index.gone().await.unwrap().len(), 1);
        index.deleted("gate", &clips[0].name).await.unwrap();
        assert_eq!(index.gone().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_an_earlier_run_did_not_take_in_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(directory.path(), "home").await.unwrap();
        index.close().await;
        let clips = [clip("gate", "a", 1000), clip("gate", "b", 2000)];
        store(directory.path(), &clips[0]);
        // Of this one nothing is known: its recording was cut off.
        std::fs::write(directory.path().join("gate").join(&clips[1].name), "x").unwrap();
        let (_, found) = Index::open(directory.path(), "home").await.unwrap();
        assert_eq!(found, [clips[0].clone()]);
    }

    #[tokio::test]
    async fn an_upload_in_parts_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let clip = clip("gate", "a", 1000);
        store(directory.path(), &clip);
        let (index, _) = Index::open(directory.path(), "home").await.unwrap();
        let upload = Upload {
            id: "u".into(),
            parts: vec!["one".into()],
        };
        index.set_upload("gate", &clip.name, &upload).await.unwrap();
        index.close().await;
        let (index, _) = Index::open(directory.path(), "home").await.unwrap();
        assert_eq!(
            index.upload("gate", &clip.name).await.unwrap(),
            Some(upload)
        );
        assert_eq!(index.orphans().await.unwrap(), []);
        index.lose("gate", &clip.name).await.unwrap();
        assert_eq!(index.orphans().await.unwrap().len(), 1);
    }
}
