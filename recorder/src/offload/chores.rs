// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done in the store beside uploads. Each chore fails for itself: a store that refuses one of them, or has no
//! call for it, is told of once, asked again later and later, and holds up nothing else.

use std::collections::HashSet;
use std::error::Error;
use std::mem::{Discriminant, discriminant};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use object_store::client::{HttpError, HttpErrorKind};

use super::mark::{Step, Watch};
use super::store::StoreError;
use super::{FIRST_DELAY, LONGEST_DELAY, Offload, TURN};
use crate::clip;

/// How often unfinished uploads are looked for that nobody here knows of.
const SWEEP: Duration = Duration::from_secs(24 * 3600);
/// Deletions that may fail in a row before the store is left alone for a while.
const MOST_REFUSALS: usize = 8;

/// When something is to be done, and how it went.
#[derive(Debug)]
struct Chore {
    /// What the log calls it.
    what: &'static str,
    due: Instant,
    delay: Duration,
    /// What was told of it: of many clips the same is told once.
    told: Option<Kind>,
}

/// What a failure is, whatever it is of.
type Kind = (
    Discriminant<StoreError>,
    Option<Discriminant<object_store::Error>>,
);

fn kind(error: &StoreError) -> Kind {
    let of_store = match error {
        StoreError::Store(error) => Some(discriminant(error)),
        _ => None,
    };
    (discriminant(error), of_store)
}

impl Chore {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            due: Instant::now(),
            delay: FIRST_DELAY,
            told: None,
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// It is done, until some time later, or has failed; true if it was done.
    fn settle(&mut self, result: Result<(), StoreError>, again: Duration) -> bool {
        let Err(error) = result else {
            self.due = Instant::now() + again;
            self.delay = FIRST_DELAY;
            if self.told.take().is_some() {
                tracing::info!("{} goes on", self.what);
            }
            return true;
        };
        self.due = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        let kind = kind(&error);
        // A store that is gone is told of by the uploads, with which it is of consequence.
        if is_away(&error) {
            tracing::debug!("{}: {error}", self.what);
        } else if self.told != Some(kind) {
            tracing::warn!("{}: {error}", self.what);
            self.told = Some(kind);
        }
        false
    }
}

/// Whether nobody has answered.
fn is_away(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            let kind = error.kind();
            return matches!(
                kind,
                HttpErrorKind::Connect
                    | HttpErrorKind::Request
                    | HttpErrorKind::Timeout
                    | HttpErrorKind::Interrupted
            );
        }
        cause = error.source();
    }
    false
}

/// All of them.
#[derive(Debug)]
pub(super) struct Chores {
    read: Chore,
    abort: Chore,
    delete: Chore,
    mark: Chore,
    sweep: Chore,
    watch: Watch,
}

impl Chores {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            read: Chore::new("what the store has"),
            abort: Chore::new("the end of an upload that nobody goes on with"),
            delete: Chore::new("a deletion in the store"),
            mark: Chore::new("the mark of this recorder in the store"),
            sweep: Chore::new("unfinished uploads in the store"),
            watch,
        }
    }
}

impl Offload {
    /// Does what is due.
    pub(super) async fn do_chores(&self, chores: &mut Chores) {
        let turn = Duration::from_secs(self.config.watch.into());
        let mut well = true;
        if !turn.is_zero() && chores.mark.is_due() {
            let result = self.mark(&mut chores.watch).await;
            well &= chores.mark.settle(result, turn);
        }
        if chores.read.is_due() {
            well &= chores.read.settle(self.read_store().await, TURN);
        }
        if chores.abort.is_due() {
            well &= chores.abort.settle(self.abort_orphans().await, TURN);
        }
        if chores.delete.is_due() {
            well &= chores.delete.settle(self.delete_gone().await, TURN);
        }
        // Another recorder of this name may be amid what nobody here knows of.
        if chores.sweep.is_due() && (turn.is_zero() || chores.watch.is_alone()) {
            well &= chores.sweep.settle(self.end_unknown().await, SWEEP);
        }
        if !well {
            self.progress.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks whether another recorder has this one's name.
    async fn mark(&self, watch: &mut Watch) -> Result<(), StoreError> {
        let found = self.store.mark().await?;
        let step = watch.judge(found.as_deref(), Instant::now());
        if let Step::Tell(host) = &step {
            tracing::error!(
                site = self.index.site(),
                host,
                "another recorder has the same site and store: they delete each other's clips; give each a site of its own"
            );
        }
        if step != Step::Wait {
            self.store.set_mark(watch.text(clip::now())).await?;
        }
        Ok(())
    }

    /// Reads what the store has, where the index is new.
    async fn read_store(&self) -> Result<(), StoreError> {
        if self.index.is_unread().await? {
            let clips = self.store.list().await?;
            let added = self.index.read(&clips).await?;
            tracing::info!(added, "the index follows the store");
        }
        Ok(())
    }

    /// Ends uploads of clips that are not there any more.
    async fn abort_orphans(&self) -> Result<(), StoreError> {
        let mut first = Ok(());
        for (camera, name, id) in self.index.orphans().await? {
            match self.store.abort(&camera, &name, &id).await {
                Ok(()) => self.index.end_upload(&camera, &name).await?,
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// Deletes in the store what was deleted here. What it refuses stands behind the rest next time.
    async fn delete_gone(&self) -> Result<(), StoreError> {
        let (mut first, mut refusals) = (Ok(()), 0);
        for clip in self.index.gone().await? {
            match self.store.delete(&clip).await {
                Ok(()) => self.index.deleted(&clip.camera, &clip.name).await?,
                Err(error) => {
                    self.index.postpone(&clip.camera, &clip.name).await?;
                    first = first.and(Err(error));
                    refusals += 1;
                }
            }
            if refusals == MOST_REFUSALS {
                break;
            }
        }
        first
    }

    /// Ends uploads of this machine's clips that were begun by a run that was killed before it knew
    /// their ids. This run's own, and what it goes on with, are in the index.
    async fn end_unknown(&self) -> Result<(), StoreError> {
        let mut uploads = self.store.unfinished().await?;
        let known: HashSet<_> = self.index.uploads().await?.into_iter().collect();
        uploads.retain(|upload| !known.contains(upload));
        self.store.end_unknown(uploads).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> StoreError {
        StoreError::Refused {
            status: 403,
            code: "AccessDenied".into(),
        }
    }

    #[test]
    fn what_fails_is_told_once_and_tried_later_and_later() {
        let mut chore = Chore::new("it");
        assert!(chore.is_due());
        assert!(!chore.settle(Err(refused()), SWEEP));
        assert!(chore.told.is_some() && !chore.is_due());
        let delay = chore.delay;
        assert!(!chore.settle(Err(refused()), SWEEP));
        assert_eq!(chore.delay, delay * 2);
        for _ in 0..20 {
            chore.settle(Err(refused()), SWEEP);
        }
        assert_eq!(chore.delay, LONGEST_DELAY);
        assert!(chore.settle(Ok(()), Duration::ZERO));
        assert!(chore.told.is_none() && chore.is_due());
        assert_eq!(chore.delay, FIRST_DELAY);
    }

    #[test]
    fn who_does_not_answer_is_away() {
        let error = |kind| HttpError::new(kind, std::io::Error::other("it"));
        let of = |kind| is_away(&StoreError::Http(error(kind)));
        assert!(of(HttpErrorKind::Connect) && of(HttpErrorKind::Interrupted));
        assert!(!of(HttpErrorKind::Decode) && !is_away(&refused()));
        let wrapped = object_store::Error::Generic {
            store: "S3",
            source: Box::new(error(HttpErrorKind::Timeout)),
        };
        assert!(is_away(&StoreError::Store(wrapped)));
    }
}
