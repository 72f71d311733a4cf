// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of the file that is being written, and of the time of day.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use avi_mjpeg::output::SyncThread;

use crate::streams::claims::KeptNames;
use crate::streams::creation::Creation;
use crate::streams::files::Hold;
use crate::streams::retention::Retention;
use crate::streams::wallclock::WallClock;
use crate::sync::lock;

/// Who makes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// What begins it, which gets it open.
    Recorder,
    /// A sink, which opens it again.
    Sink,
}

/// What is known of the file that is being written.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// When its first picture was taken, in ns since 1970.
    pub utc: Option<i64>,
    /// Bytes that have reached what stores them.
    pub written: u64,
    pub path: PathBuf,
    /// It is to stay, and has no mark yet.
    pub to_be_pinned: bool,
    /// Nobody else writes it, nor deletes it.
    pub hold: Option<Hold>,
    /// It, as it was made, where a sink of files writes it.
    pub file: Option<File>,
    /// Sends it to the disk.
    pub sync: Option<SyncThread>,
}

/// What time of day it is.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    pub wall: WallClock,
    /// The running time at which the clocks were looked at last.
    pub looked: Option<i64>,
    pub live: bool,
}

/// Written by the streams' threads.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    pub begun: Mutex<Option<Begun>>,
    pub clock: Mutex<Clock>,
    pub retention: Retention,
    pub creation: Creation,
    /// The name that stays taken while others are written.
    pub names: Mutex<KeptNames>,
    /// The sink has failed: nothing more goes into the file.
    pub sink_failed: AtomicBool,
}

impl Keeping {
    /// Another recording begins.
    pub(crate) fn begin_anew(&self) {
        *lock(&self.begun) = None;
        lock(&self.names).clear();
        *lock(&self.clock) = Clock::default();
        self.sink_failed.store(false, Ordering::Release);
    }
}

/// Times in messages are unsigned; nothing was recorded before 1970.
pub(crate) fn unsigned(time: i64) -> u64 {
    time.max(0).unsigned_abs()
}
