// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be published and has not arrived yet. It is on the disk: neither a broker that is gone nor
//! an end of the program loses it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use tokio::sync::Notify;

use crate::clip;

/// The name of the database in the clips' directory.
pub(crate) const FILE: &str = ".outbox.sqlite";

/// Messages that wait at most; then the oldest goes.
const MOST: i64 = 100_000;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Later ones have higher numbers; none comes twice.
    pub sequence: i64,
    pub topic: String,
    pub payload: String,
}

/// Messages in the order in which they are to be published.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    letters: SqlitePool,
    /// There is something new.
    pub news: Arc<Notify>,
    /// The last message that has arrived. The disk may not take that for a while: it is not sent again then.
    arrived: Arc<AtomicI64>,
}

impl Outbox {
    /// Opens the outbox in a directory. One that is broken is put aside, and another one made.
    pub(crate) async fn open(directory: &Path) -> Result<Self, sqlx::Error> {
        match Self::connect(directory).await {
            Err(error) if is_broken(&error) => {
                let aside = put_aside(directory)?;
                tracing::error!(
                    "{}: {error}; it is put aside as {}, and what it had is not told",
                    directory.join(FILE).display(),
                    aside.display()
                );
                let new = Self::connect(directory).await?;
                // Nobody knows how far the old one had counted. It was not one a millisecond since 1970.
                sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ('letters', ?1)")
                    .bind(clip::now())
                    .execute(&new.letters)
                    .await?;
                Ok(new)
            }
            opened => opened,
        }
    }

    async fn connect(directory: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(2);
        let letters = pool.connect_with(options).await?;
        // AUTOINCREMENT: the number of what has gone is not given again.
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS letters (
                 sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                 topic TEXT NOT NULL,
                 payload TEXT NOT NULL
             ) STRICT",
        )
        .execute(&letters)
        .await?;
        let sound: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&letters)
            .await?;
        if sound != "ok" {
            return Err(sqlx::Error::Protocol(sound));
        }
        let outbox = Self {
            letters,
            news: Arc::default(),
            arrived: Arc::new(AtomicI64::new(0)),
        };
        // Whether it is a table of letters.
        outbox.first().await?;
        Ok(outbox)
    }

    /// Puts a message behind the others.
    pub(crate) async fn put(&self, topic: &str, payload: &str) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO letters (topic, payload) VALUES (?1, ?2)")
            .bind(topic)
            .bind(payload)
            .execute(&self.letters)
            .await?;
        let gone = sqlx::query(
            "DELETE FROM letters WHERE sequence <= (SELECT max(sequence) FROM letters) - ?1",
        )
        .bind(MOST)
        .execute(&self.letters)
        .await?;
        if gone.rows_affected() > 0 {
            tracing::warn!(
                "the broker is gone for too long: the oldest event is not told any more"
            );
        }
        self.news.notify_one();
        Ok(())
    }

    /// The oldest message that has not arrived.
    pub(crate) async fn first(&self) -> Result<Option<Letter>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT sequence, topic, payload FROM letters WHERE sequence > ?1
             ORDER BY sequence LIMIT 1",
        );
        let row = row.bind(self.arrived.load(Ordering::Relaxed));
        let row = row.fetch_optional(&self.letters).await?;
        row.map(|row| {
            Ok(Letter {
                sequence: row.try_get(0)?,
                topic: row.try_get(1)?,
                payload: row.try_get(2)?,
            })
        })
        .transpose()
    }

    /// A message has arrived, and so have those before it.
    pub(crate) async fn arrived(&self, sequence: i64) -> Result<(), sqlx::Error> {
        self.arrived.store(sequence, Ordering::Relaxed);
        sqlx::query("DELETE FROM letters WHERE sequence <= ?1")
            .bind(sequence)
            .execute(&self.letters)
            .await?;
        Ok(())
    }

    /// Waits until all is written.
    pub(crate) async fn close(&self) {
        self.letters.close().await;
    }
}

/// Whether it will be no better next time, as it would be of a disk that is full.
fn is_broken(error: &sqlx::Error) -> bool {
    /// SQLite's numbers of what it says: an error of the statement (another table has the name), a
    /// malformed file, one that is no database.
    const BROKEN: [i32; 3] = [1, 11, 26];
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            // The higher bits say more of it.
            .is_some_and(|code| BROKEN.contains(&(code & 0xff))),
        sqlx::Error::Protocol(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => true,
        _ => false,
    }
}

/// Renames it with what SQLite keeps beside it; returns what it is called now.
fn put_aside(directory: &Path) -> io::Result<PathBuf> {
    let name = format!("{FILE}.broken-{}", clip::now());
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (format!("{FILE}{end}"), format!("{name}{end}"));
        match std::fs::rename(directory.join(from), directory.join(to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that were put aside.
    fn aside(directory: &Path) -> Vec<PathBuf> {
        let files = std::fs::read_dir(directory).unwrap().flatten();
        let files = files.map(|file| file.path());
        files
            .filter(|path| path.to_string_lossy().contains(".broken-"))
            .filter(|path| !path.to_string_lossy().ends_with("-wal"))
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .collect()
    }

    async fn make(directory: &Path, script: &'static str) {
        let options = SqliteConnectOptions::new()
            .filename(directory.join(FILE))
            .create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql(script).execute(&pool).await.unwrap();
        pool.close().await;
    }

    #[tokio::test]
    async fn one_that_is_broken_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        // No database; a table that is another one.
        std::fs::write(&path, [7; 4096]).unwrap();
        let outbox = Outbox::open(directory.path()).await.unwrap();
        outbox.put("t", "one").await.unwrap();
        let first = outbox.first().await.unwrap().unwrap();
        outbox.close().await;
        assert_eq!(aside(directory.path()).len(), 1);
        std::fs::remove_file(&path).unwrap();
        make(directory.path(), "CREATE TABLE letters (word TEXT)").await;
        let outbox = Outbox::open(directory.path()).await.unwrap();
        outbox.put("t", "two").await.unwrap();
        let second = outbox.first().await.unwrap().unwrap();
        assert!(second.sequence > first.sequence);
        outbox.close().await;
        assert_eq!(aside(directory.path()).len(), 2);
        // A page that the disk has spoilt.
        let outbox = Outbox::open(directory.path()).await.unwrap();
        for _ in 0..300 {
            outbox.put("t", &"x".repeat(100)).await.unwrap();
        }
        outbox.close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let outbox = Outbox::open(directory.path()).await.unwrap();
        outbox.put("t", "three").await.unwrap();
        let third = outbox.first().await.unwrap().unwrap();
        assert_eq!(third.payload, "three");
        assert!(third.sequence > second.sequence);
        assert_eq!(aside(directory.path()).len(), 3);
    }

    /// What a full disk or a missing right keeps from being read stays where it is.
    #[tokio::test]
    async fn one_that_cannot_be_read_now_stays() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(FILE)).unwrap();
        assert!(Outbox::open(directory.path()).await.is_err());
        assert!(aside(directory.path()).is_empty());
    }

    #[tokio::test]
    async fn messages_keep_their_order_over_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path()).await.unwrap();
        outbox.put("t", "one").await.unwrap();
        outbox.put("t", "two").await.unwrap();
        let first = outbox.first().await.unwrap().unwrap();
        assert_eq!(first.payload, "one");
        outbox.arrived(first.sequence).await.unwrap();
        outbox.close().await;
        let outbox = Outbox::open(directory.path()).await.unwrap();
        let second = outbox.first().await.unwrap().unwrap();
        assert_eq!(second.payload, "two");
        outbox.arrived(second.sequence).await.unwrap();
        assert_eq!(outbox.first().await.unwrap(), None);
        outbox.put("t", "three").await.unwrap();
        let third = outbox.first().await.unwrap().unwrap();
        assert!(third.sequence > second.sequence);
    }
}
