// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be uploaded, is being uploaded, and is to be deleted in the store.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Entry, Index, table};
use crate::clip::Clip;

/// An upload in parts that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    pub id: String,
    /// What the store calls the parts that it has, in order.
    pub parts: Vec<String>,
}

/// What waits for the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Backlog {
    pub clips: u64,
    pub bytes: u64,
}

impl Index {
    /// The clip that is to be uploaded next, if there is one: the oldest of those that have failed the
    /// fewest times. What is recorded `all_the_time` is uploaded or not.
    pub(crate) async fn next_upload(
        &self,
        all_the_time: bool,
    ) -> Result<Option<Clip>, sqlx::Error> {
        let row = sqlx::query(table::select!(
            "WHERE here = 1 AND sha256 IS NULL AND gone = 0 AND (event IS NOT NULL OR $1)
             ORDER BY attempts, start LIMIT 1"
        ));
        let row = row.bind(all_the_time).fetch_optional(&self.pool).await?;
        Ok(row
            .as_ref()
            .map(table::entry)
            .transpose()?
            .map(|entry| entry.clip))
    }

    /// What is still to be uploaded.
    pub(crate) async fn backlog(&self, all_the_time: bool) -> Result<Backlog, sqlx::Error> {
        let row = sqlx::query(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM clips
             WHERE here = 1 AND sha256 IS NULL AND gone = 0 AND (event IS NOT NULL OR $1)",
        );
        let row = row.bind(all_the_time).fetch_one(&self.pool).await?;
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
        Ok(Backlog {
            clips: number(0)?,
            bytes: number(1)?,
        })
    }

    /// An upload has failed; others are tried first.
    pub(crate) async fn postpone(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE clips SET attempts = attempts + 1 WHERE camera = $1 AND name = $2")
            .bind(camera)
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The store has a clip, whole; false if it was deleted meanwhile.
    pub(crate) async fn stored(
        &self,
        camera: &str,
        name: &str,
        sha256: &str,
    ) -> Result<bool, sqlx::Error> {
        let mut both = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE clips SET sha256 = $3 WHERE camera = $1 AND name = $2 AND gone = 0",
        );
        let done = done.bind(camera).bind(name).bind(sha256);
        let done = done.execute(&mut *both).await?;
        sqlx::query("DELETE FROM uploads WHERE camera = $1 AND name = $2")
            .bind(camera)
            .bind(name)
            .execute(&mut *both)
            .await?;
        both.commit().await?;
        self.touch(camera, name);
        Ok(done.rows_affected() > 0)
    }

    /// Clips of which both the machine and the store have a file.
    pub(crate) async fn twice(&self) -> Result<Vec<Clip>, sqlx::Error> {
        let rows = sqlx::query(table::select!(
            "WHERE here = 1 AND sha256 IS NOT NULL AND gone = 0"
        ));
        clips(&rows.fetch_all(&self.pool).await?)
    }

    /// What the store has and nobody was told of.
    pub(crate) async fn untold(&self) -> Result<Vec<Clip>, sqlx::Error> {
        let rows = sqlx::query(table::select!(
            "WHERE sha256 IS NOT NULL AND told = 0 AND gone = 0"
        ));
        let rows = rows.fetch_all(&self.pool).await?;
        clips(&rows)
    }

    /// It was told that the store has a clip.
    pub(crate) async fn told(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE clips SET told = 1 WHERE camera = $1 AND name = $2")
            .bind(camera)
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The store has a clip that was deleted here: it is to be deleted there.
    pub(crate) async fn condemn(&self, clip: &Clip) -> Result<(), sqlx::Error> {
        let entry = Entry {
            site: self.site.clone(),
            clip: clip.clone(),
            here: false,
        };
        let mut both = self.pool.begin().await?;
        table::put!(&entry).execute(&mut *both).await?;
        sqlx::query("UPDATE clips SET gone = 1 WHERE camera = $1 AND name = $2")
            .bind(&clip.camera)
            .bind(&clip.name)
            .execute(&mut *both)
            .await?;
        both.commit().await?;
        self.touch(&clip.camera, &clip.name);
        Ok(())
    }

    /// Clips that are to be deleted in the store, those that it has refused least often first.
    pub(crate) async fn gone(&self) -> Result<Vec<Clip>, sqlx::Error> {
        let rows = sqlx::query(table::select!("WHERE gone = 1 ORDER BY attempts, start"));
        clips(&rows.fetch_all(&self.pool).await?)
    }

    /// The store has a clip no more.
    pub(crate) async fn deleted(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        self.change(
            "DELETE FROM clips WHERE camera = $1 AND name = $2 AND gone = 1",
            camera,
            name,
        )
        .await?;
        Ok(())
    }

    /// The upload in parts of a clip, if one is under way.
    pub(crate) async fn upload(
        &self,
        camera: &str,
        name: &str,
    ) -> Result<Option<Upload>, sqlx::Error> {
        let row = sqlx::query("SELECT upload, parts FROM uploads WHERE camera = $1 AND name = $2");
        let row = row.bind(camera).bind(name);
        let row = row.fetch_optional(&self.pool).await?;
        row.as_ref().map(|row| upload(row, 0)).transpose()
    }

    /// An upload in parts has begun, or has one part more.
    pub(crate) async fn set_upload(
        &self,
        camera: &str,
        name: &str,
        upload: &Upload,
    ) -> Result<(), sqlx::Error> {
        let parts = serde_json::to_string(&upload.parts).unwrap_or_default();
        sqlx::query("INSERT OR REPLACE INTO uploads VALUES ($1, $2, $3, $4)")
            .bind(camera)
            .bind(name)
            .bind(&upload.id)
            .bind(parts)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// An upload in parts has ended.
    pub(crate) async fn end_upload(&self, camera: &str, name: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM uploads WHERE camera = $1 AND name = $2")
            .bind(camera)
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// All uploads in parts that are under way: by camera, name and id.
    pub(crate) async fn uploads(&self) -> Result<Vec<(String, String, String)>, sqlx::Error> {
        let rows = sqlx::query("SELECT camera, name, upload FROM uploads");
        names(&rows.fetch_all(&self.pool).await?)
    }

    /// Uploads in parts of clips that are not there any more: by camera, name and id.
    pub(crate) async fn orphans(&self) -> Result<Vec<(String, String, String)>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT camera, name, upload FROM uploads WHERE NOT EXISTS
                 (SELECT 1 FROM clips WHERE clips.camera = uploads.camera
                  AND clips.name = uploads.name AND here = 1 AND gone = 0)",
        );
        names(&rows.fetch_all(&self.pool).await?)
    }

    /// Whether the store may have clips that this index has not: it was made anew.
    pub(crate) async fn is_unread(&self) -> Result<bool, sqlx::Error> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM unread")
            .fetch_one(&self.pool)
            .await?;
        Ok(count > 0)
    }

    /// Takes in what the store has; clips that are known already stay as they are. Returns how many
    /// are new.
    pub(crate) async fn read(&self, clips: &[Clip]) -> Result<u64, sqlx::Error> {
        let mut added = 0;
        for clip in clips {
            if self.get(&clip.camera, &clip.name).await?.is_some() {
                continue;
            }
            let entry = Entry {
                site: self.site.clone(),
                clip: clip.clone(),
                here: false,
            };
            table::put!(&entry).execute(&self.pool).await?;
            self.told(&clip.camera, &clip.name).await?;
            self.touch(&clip.camera, &clip.name);
            added += 1;
        }
        sqlx::query("DELETE FROM unread")
            .execute(&self.pool)
            .await?;
        Ok(added)
    }
}

fn names(rows: &[SqliteRow]) -> Result<Vec<(String, String, String)>, sqlx::Error> {
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect()
}

fn clips(rows: &[SqliteRow]) -> Result<Vec<Clip>, sqlx::Error> {
    rows.iter()
        .map(|row| table::entry(row).map(|entry| entry.clip))
        .collect()
}

fn upload(row: &SqliteRow, at: usize) -> Result<Upload, sqlx::Error> {
    let parts: String = row.try_get(at + 1)?;
    Ok(Upload {
        id: row.try_get(at)?,
        // A list that cannot be read is one without parts: they are sent again.
        parts: serde_json::from_str(&parts).unwrap_or_default(),
    })
}
