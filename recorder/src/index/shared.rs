// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index of many machines, in PostgreSQL: the same table, in which each machine keeps the rows of its
//! own site as its own index has them. A server that is gone holds nobody up; when it is back, the
//! rows are compared.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Index;
use super::table::{self, Entry, Query};
use crate::sync::is_true;

/// How long to wait before the server is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last changes may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The index of many machines.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pool: PgPool,
    follows: Arc<AtomicBool>,
}

impl Shared {
    /// Begins to pass on what changes in an index, until `stopped` is true.
    pub(crate) fn start(
        url: &str,
        index: &mut Index,
        stopped: watch::Receiver<bool>,
    ) -> Result<(Self, JoinHandle<()>), sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(PATIENCE)
            .connect_lazy(url)?;
        let shared = Self {
            pool,
            follows: Arc::default(),
        };
        let changed = index.listen();
        let running = shared.clone().run(index.clone(), changed, stopped);
        Ok((shared, tokio::spawn(running)))
    }

    /// Whether it has all that this machine's index has, but for what has just changed.
    pub(crate) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    /// The clips of all machines that fit, the newest first.
    pub(crate) async fn find(&self, query: &Query) -> Result<Vec<Entry>, sqlx::Error> {
        let rows = table::find!(query).fetch_all(&self.pool).await?;
        rows.iter().map(table::entry).collect()
    }

    async fn run(
        self,
        index: Index,
        mut changed: mpsc::UnboundedReceiver<(String, String)>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut told = false;
        while !*stopped.borrow() {
            let Err(error) = self.follow(&index, &mut changed, stopped.clone()).await else {
                break;
            };
            if self.follows.swap(false, Ordering::Relaxed) {
                told = false;
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("the index of all machines: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => (),
                () = is_true(&mut stopped) => (),
            }
        }
        self.pool.close().await;
    }

    /// Compares all, and passes on what changes then. `Ok` at the end of the program.
    async fn follow(
        &self,
        index: &Index,
        changed: &mut mpsc::UnboundedReceiver<(String, String)>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(table::TABLE).execute(&self.pool).await?;
        // What changed before is compared; what changes meanwhile is passed on.
        while changed.try_recv().is_ok() {}
        let count = self.compare(index).await?;
        tracing::info!(count, "the index of all machines follows");
        self.follows.store(true, Ordering::Relaxed);
        loop {
            tokio::select! {
                Some((camera, name)) = changed.recv() => {
                    self.pass_on(index, &camera, &name).await?;
                }
                () = is_true(&mut stopped) => break,
            }
        }
        let rest = async {
            while let Ok((camera, name)) = changed.try_recv() {
                self.pass_on(index, &camera, &name).await?;
            }
            Ok(())
        };
        // What is left is compared when the program starts again.
        tokio::time::timeout(FAREWELL, rest).await.unwrap_or(Ok(()))
    }

    /// Has the rows of this site be as the index has them; returns how many were not.
    async fn compare(&self, index: &Index) -> Result<usize, sqlx::Error> {
        let rows = sqlx::query(table::select!("WHERE site = $1"));
        let rows = rows.bind(index.site()).fetch_all(&self.pool).await?;
        let mut theirs = HashMap::new();
        for row in &rows {
            let entry = table::entry(row)?;
            let key = (entry.clip.camera.clone(), entry.clip.name.clone());
            theirs.insert(key, entry);
        }
        let mut count = 0;
        for entry in index.all().await? {
            let key = (entry.clip.camera.clone(), entry.clip.name.clone());
            if theirs.remove(&key).as_ref() != Some(&entry) {
                table::put!(&entry).execute(&self.pool).await?;
                count += 1;
            }
        }
        for (camera, name) in theirs.keys() {
            self.remove(index.site(), camera, name).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Has the row of a clip be as the index has it.
    async fn pass_on(&self, index: &Index, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        match index.get(camera, name).await? {
            Some(entry) => table::put!(&entry).execute(&self.pool).await.map(drop),
            None => self.remove(index.site(), camera, name).await,
        }
    }

    async fn remove(&self, site: &str, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        sqlx::query(table::REMOVE)
            .bind(site)
            .bind(camera)
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
