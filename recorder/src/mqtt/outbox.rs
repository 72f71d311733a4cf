// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be published and has not arrived yet. It is on the disk: neither a broker that is gone nor
//! an end of the program loses it.

use std::path::Path;
use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use tokio::sync::Notify;

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
}

impl Outbox {
    /// Opens the outbox in a directory.
    pub(crate) async fn open(directory: &Path) -> Result<Self, sqlx::Error> {
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
        Ok(Self {
            letters,
            news: Arc::default(),
        })
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

    /// The oldest message.
    pub(crate) async fn first(&self) -> Result<Option<Letter>, sqlx::Error> {
        let row =
            sqlx::query("SELECT sequence, topic, payload FROM letters ORDER BY sequence LIMIT 1")
                .fetch_optional(&self.letters)
                .await?;
        Ok(row.map(|row| Letter {
            sequence: row.get(0),
            topic: row.get(1),
            payload: row.get(2),
        }))
    }

    /// A message has arrived.
    pub(crate) async fn arrived(&self, sequence: i64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM letters WHERE sequence = ?1")
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

#[cfg(test)]
mod tests {
    use super::*;

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
