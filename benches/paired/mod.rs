// SPDX-License-Identifier: MIT OR Apache-2.0
//! Paired runs: two ways to do the same work, each in a process of its own, taken in turns.
//!
//! What else the machine does falls on both sides of a pair alike, so the ratio of the two is worth
//! more than either figure. A bench is a program with `harness = false`:
//!
//! ```no_run
//! mod paired;
//! use paired::{Bench, Side};
//!
//! fn main() {
//!     let mut bench = Bench::new("avimjpegmux");
//!     bench.prepare(|scratch| std::fs::write(scratch.join("frames"), b"...").unwrap());
//!     bench.pair(
//!         "3 KB frames into fakesink",
//!         Side::here("avimjpegmux", |scratch| { /* the work */ }),
//!         Side::here("avimux", |scratch| { /* the same work */ }),
//!     );
//!     bench.finish();
//! }
//! ```
//!
//! The program starts itself again for each run and tells the copy which side to take; so everything
//! in `main` before and between the calls runs in every copy and has to be cheap. What has to be made
//! once for all runs goes into [`Bench::prepare`], which has a process of its own too: the peak
//! memory that the kernel reports for a child begins with that of the parent it was forked from.
//!
//! `cargo bench --bench NAME -- [--runs N] [--write PAGE] [WORD]` takes N runs a side (9 unless told) of
//! the pairs whose title contains WORD, and puts what comes out into the page, in the bench's place.
//!
//! A bench that can not measure what it was asked to fails: nothing here has a default.
#![allow(dead_code)]

mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const TAKE: &str = "PAIRED_TAKE";
const SCRATCH: &str = "PAIRED_SCRATCH";

enum Doing<'a> {
    Here(Box<dyn FnOnce(&Path) + 'a>),
    Command(Box<dyn Fn(&Path) -> Command + 'a>),
}

/// One of the two ways to do the work.
pub(crate) struct Side<'a> {
    name: String,
    doing: Doing<'a>,
    input: Option<&'static str>,
    output: Option<&'static str>,
}

impl<'a> Side<'a> {
    /// Work done by this program, in a copy of it. The path is the bench's scratch directory.
    pub(crate) fn here(name: impl Into<String>, work: impl FnOnce(&Path) + 'a) -> Self {
        Self {
            name: name.into(),
            doing: Doing::Here(Box::new(work)),
            input: None,
            output: None,
        }
    }

    /// Work done by another program.
    pub(crate) fn command(
        name: impl Into<String>,
        command: impl Fn(&Path) -> Command + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            doing: Doing::Command(Box::new(command)),
            input: None,
            output: None,
        }
    }

    /// A file in the scratch directory that the work finds on its standard input.
    pub(crate) fn input(mut self, file: &'static str) -> Self {
        self.input = Some(file);
        self
    }

    /// A file in the scratch directory that the work writes. It is removed after each run: to write
    /// over the last one would cost its truncation, and what the system has not written to the disk
    /// yet it would write during the next run.
    pub(crate) fn output(mut self, file: &'static str) -> Self {
        self.output = Some(file);
        self
    }
}

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// User and system time of the process and of the children it waited for.
    pub cpu: Duration,
    pub wall: Duration,
    /// Peak resident memory in bytes.
    pub memory: u64,
}

/// A bench program: a list of pairs, and the table that comes out.
pub(crate) struct Bench {
    name: &'static str,
    runs: usize,
    only: Option<String>,
    /// The page that gets what comes out.
    page: Option<PathBuf>,
    take: Option<String>,
    scratch: PathBuf,
    owner: Option<tempfile::TempDir>,
    rows: Vec<String>,
    notes: Vec<String>,
    /// The last thing printed is a row of a table.
    in_table: bool,
    /// Pairs that cost more than they may.
    exceeded: Vec<String>,
}

impl Bench {
    pub(crate) fn new(name: &'static str) -> Self {
        let take = std::env::var(TAKE).ok();
        let (scratch, owner) = match std::env::var_os(SCRATCH) {
            Some(path) if take.is_some() => (PathBuf::from(path), None),
            _ => {
                let dir = tempfile::tempdir().expect("a directory for the bench's files");
                (dir.path().to_owned(), Some(dir))
            }
        };
        let (mut runs, mut only, mut page) = (9, None, None);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {} // what cargo adds by itself
                "--runs" => {
                    runs = arguments
                        .next()
                        .and_then(|n| n.parse().ok())
                        .filter(|n| *n > 0)
                        .expect("--runs takes a number above 0")
                }
                "--write" => {
                    page = Some(
                        arguments
                            .next()
                            .expect("--write takes a page's path")
                            .into(),
                    );
                }
                _ => only = Some(argument),
            }
        }
        if take.is_none() {
            println!("## {name}\n");
        }
        let bench = Self {
            name,
            runs,
            only,
            page,
            take,
            scratch,
            owner,
            rows: Vec::new(),
            notes: Vec::new(),
            in_table: false,
            exceeded: Vec::new(),
        };
        if bench.is_reporting() {
            println!("{}\n", bench.how());
        }
        bench
    }

    /// How the pairs are measured.
    fn how(&self) -> String {
        let pairs = match &self.only {
            None => String::new(),
            Some(word) => format!(" of the pairs with “{word}” alone"),
        };
        format!(
            "{} runs a side{pairs}, in turns; medians, and the ratio's quartiles in brackets",
            self.runs
        )
    }

    /// Makes what all runs need, once, in the scratch directory.
    pub(crate) fn prepare(&mut self, work: impl FnOnce(&Path)) {
        match self.take.as_deref() {
            None => {
                let status = self
                    .again("prepare")
                    .status()
                    .expect("the bench starts itself");
                assert!(
                    status.success(),
                    "{}: preparing failed: {status}",
                    self.name
                );
                // Or it would be written during the first runs.
                rustix::fs::sync();
            }
            Some("prepare") => {
                work(&self.scratch);
                std::process::exit(0);
            }
            Some(_) => {}
        }
    }

    /// Runs the two sides in turns and prints how they compare. What each pair of runs cost, which is
    /// nothing in a copy.
    pub(crate) fn pair(
        &mut self,
        title: &str,
        ours: Side<'_>,
        peer: Side<'_>,
    ) -> Vec<(Cost, Cost)> {
        self.pair_within(title, f64::INFINITY, ours, peer)
    }

    /// A pair of which ours may take so many times the CPU time of the peer's: the bench fails at its
    /// end if it takes more.
    pub(crate) fn pair_within(
        &mut self,
        title: &str,
        most: f64,
        ours: Side<'_>,
        peer: Side<'_>,
    ) -> Vec<(Cost, Cost)> {
        if let Some(take) = self.take.as_deref() {
            if let Some(side) = take.strip_prefix(title).and_then(|t| t.strip_prefix('|')) {
                let side = if side == "ours" { ours } else { peer };
                if let Doing::Here(work) = side.doing {
                    work(&self.scratch);
                    std::process::exit(0);
                }
            }
            return Vec::new();
        }
        if self
            .only
            .as_ref()
            .is_some_and(|word| !title.contains(word.as_str()))
        {
            return Vec::new();
        }
        let costs = self.costs(title, &ours, &peer);
        let ratio = ratios(&costs, |cost| cost.cpu.as_secs_f64())[1];
        self.at_most(&format!("{title}: of the peer's CPU time"), ratio, most);
        let row = format!(
            "| {title} | {} / {} | {} | {} | {} |",
            ours.name,
            peer.name,
            column(&costs, |cost| cost.cpu.as_secs_f64(), 3),
            column(&costs, |cost| cost.wall.as_secs_f64(), 3),
            column(&costs, |cost| cost.memory as f64 / 1024.0 / 1024.0, 1),
        );
        if !self.in_table {
            println!("{HEAD}");
            self.in_table = true;
        }
        println!("{row}");
        self.rows.push(row);
        costs
    }

    /// Has the bench fail at its end if this is more than it may be.
    pub(crate) fn at_most(&mut self, what: &str, value: f64, most: f64) {
        if value > most {
            self.exceeded
                .push(format!("{what}: {value:.2}, {most} at most"));
        }
    }

    /// One run of a side, and what it leaves behind removed.
    fn run(&self, title: &str, side: &Side<'_>, key: &str) -> Cost {
        let command = match &side.doing {
            Doing::Here(_) => self.again(&format!("{title}|{key}")),
            Doing::Command(command) => command(&self.scratch),
        };
        let cost = self.cost(command, side.input);
        if let Some(file) = side.output {
            let path = self.scratch.join(file);
            let written = std::fs::metadata(&path).map(|file| file.len());
            assert!(
                written.as_ref().is_ok_and(|len| *len > 0),
                "{title}, {}: it has written {written:?} into {file}",
                side.name
            );
            std::fs::remove_file(path).expect("the output is a file");
        }
        cost
    }

    /// What the two sides cost in each pair of runs.
    fn costs(&self, title: &str, ours: &Side<'_>, peer: &Side<'_>) -> Vec<(Cost, Cost)> {
        let run = |side: &Side<'_>, key: &str| self.run(title, side, key);
        // One run each to fill the page cache and GStreamer's registry, not counted.
        run(ours, "ours");
        run(peer, "peer");
        let mut costs = Vec::new();
        for n in 0..self.runs {
            // Who goes first alternates, so that neither always follows the other.
            costs.push(if n % 2 == 0 {
                let ours = run(ours, "ours");
                (ours, run(peer, "peer"))
            } else {
                let peer = run(peer, "peer");
                (run(ours, "ours"), peer)
            });
        }
        costs
    }

    /// A figure that is not a pair's, in the same list.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        if self.take.is_none() {
            println!("\n{}\n", text.as_ref());
            self.in_table = false;
            self.notes.push(text.as_ref().to_owned());
        }
    }

    /// The directory that all runs share.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Whether this is the process that prints, not one of the copies that work.
    pub(crate) fn is_reporting(&self) -> bool {
        self.take.is_none()
    }

    /// Ends the bench and writes the page if there is one. A copy that found nothing to do fails here
    /// instead of passing for a fast one, and so does a bench that has run nothing, or in which
    /// something costs more than it may.
    pub(crate) fn finish(self) {
        let name = self.name;
        if let Some(take) = self.take {
            panic!("{name}: no work is called {take:?}");
        }
        assert!(
            !self.rows.is_empty(),
            "{name}: no pair's title contains {:?}",
            self.only
        );
        println!();
        if let Some(file) = &self.page {
            let (stamp, how) = (page::stamp(), self.how());
            let (rows, notes) = (self.rows.join("\n"), self.notes.join("\n\n"));
            let text = format!("{stamp}\n\n{how}\n\n{HEAD}\n{rows}\n\n{notes}");
            page::write(file, name, &text);
        }
        assert!(self.exceeded.is_empty(), "{name}: {:#?}", self.exceeded);
    }

    fn again(&self, take: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("the bench's own path"));
        command.env(TAKE, take).env(SCRATCH, &self.scratch);
        command
    }

    fn cost(&self, mut command: Command, input: Option<&str>) -> Cost {
        let input = input.map_or_else(Stdio::null, |file| {
            std::fs::File::open(self.scratch.join(file))
                .expect("the input is prepared")
                .into()
        });
        let start = Instant::now();
        #[expect(clippy::zombie_processes, reason = "wait4 below is what waits for it")]
        let child = command
            .stdin(input)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let pid = child.id() as libc::pid_t;
        let mut status = 0;
        // SAFETY: rusage is plain numbers, for which all zeros is a value, and both pointers are to
        // locals that outlive the call. The child is waited for here only.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert_eq!(libc::wait4(pid, &mut status, 0, &mut usage), pid);
            usage
        };
        let wall = start.elapsed();
        use std::os::unix::process::ExitStatusExt;
        let status = ExitStatus::from_raw(status);
        assert!(status.success(), "{command:?}: {status}");
        let time = |t: libc::timeval| {
            Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
        };
        let cpu = time(usage.ru_utime) + time(usage.ru_stime);
        assert!(
            !cpu.is_zero() && usage.ru_maxrss > 0,
            "{command:?} has cost nothing"
        );
        Cost {
            cpu,
            wall,
            memory: usage.ru_maxrss as u64 * 1024,
        }
    }
}

const HEAD: &str = "| work | sides | CPU, s | wall, s | peak memory, MiB |\n|---|---|---|---|---|";

/// The quartiles of ours / the peer's.
fn ratios(costs: &[(Cost, Cost)], value: fn(&Cost) -> f64) -> [f64; 3] {
    let ratios = costs.iter().map(|(ours, peer)| value(ours) / value(peer));
    quartiles(ratios.collect())
}

/// A column of the table: the medians, and how they compare.
fn column(costs: &[(Cost, Cost)], value: fn(&Cost) -> f64, digits: usize) -> String {
    let [low, median, high] = ratios(costs, value);
    let ours = quartiles(costs.iter().map(|(ours, _)| value(ours)).collect())[1];
    let peer = quartiles(costs.iter().map(|(_, peer)| value(peer)).collect())[1];
    format!("{ours:.digits$} / {peer:.digits$} = {median:.2} ({low:.2}..{high:.2})")
}

/// Lower quartile, median and upper quartile.
pub(crate) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|n| {
        let place = (values.len() - 1) as f64 * n as f64 / 4.0;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        values[low] + (values[high] - values[low]) * (place - low as f64)
    })
}
