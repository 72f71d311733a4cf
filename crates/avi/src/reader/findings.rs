// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user should know about a file: each thing once, and many of a kind as one.

use super::walk::Item;

/// Something a user should know about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The header is lost; streams were found by their contents.
    NoHeader,
    /// The file's index is not right, and was not used.
    BadIndex {
        /// What was wrong with it.
        why: &'static str,
    },
    /// What the header said of a stream's sound is lost: it cannot be played.
    NoFormat {
        /// The stream, by the names of its chunks.
        stream: usize,
    },
    /// Bytes that belong to no intact chunk.
    Damage {
        /// The first one's offset in the file.
        from: u64,
        /// The offset behind the last.
        to: u64,
        /// Pictures that were found in it all the same.
        pictures: u32,
    },
    /// Chunks that are not intact, with others between them that are.
    Lost {
        /// Where the first one begins.
        from: u64,
        /// Where the last one ends.
        to: u64,
        /// How many.
        chunks: u64,
    },
    /// The file ends inside a chunk.
    Cut {
        /// The chunk's stream.
        stream: usize,
        /// Where its payload begins.
        pos: u64,
        /// Bytes of it that are there.
        have: u64,
        /// 1 if they are the upper part of a picture, which is played.
        pictures: u32,
    },
    /// There are fewer frames than the header tells.
    Missing {
        /// The stream.
        stream: usize,
        /// How many are not there.
        frames: u64,
    },
    /// Another file begins here.
    Joined {
        /// Its offset.
        pos: u64,
    },
    /// Another file that was joined on has more streams than the first, or of other kinds: they are not played. Told
    /// of the first such file; at 0 is the first of all, with pictures in a stream of which its header says nothing.
    LeftOut {
        /// The offset of the file.
        pos: u64,
        /// How many of its streams.
        streams: u64,
    },
    /// More of what was told before, too much to tell one by one.
    More {
        /// Files that were joined on, or else damaged regions.
        joined: bool,
        /// How many.
        count: u64,
        /// Where the first begins.
        from: u64,
        /// Where the last ends.
        to: u64,
    },
}

impl Finding {
    /// Its name and numbers, as a program reads them: offsets and counts.
    pub fn facts(&self) -> (&'static str, Vec<(&'static str, u64)>) {
        match *self {
            Self::Damage { from, to, pictures } => (
                "avi-damage",
                vec![("from", from), ("to", to), ("pictures", pictures.into())],
            ),
            Self::Lost { from, to, chunks } => (
                "avi-damage",
                vec![("from", from), ("to", to), ("chunks", chunks)],
            ),
            Self::Cut {
                stream,
                pos,
                have,
                pictures,
            } => (
                "avi-cut",
                vec![
                    ("stream", stream as u64),
                    ("from", pos),
                    ("have", have),
                    ("pictures", pictures.into()),
                ],
            ),
            Self::Missing { stream, frames } => (
                "avi-missing",
                vec![("stream", stream as u64), ("frames", frames)],
            ),
            Self::Joined { pos } => ("avi-joined", vec![("from", pos)]),
            Self::LeftOut { pos, streams } => {
                ("avi-left-out", vec![("from", pos), ("streams", streams)])
            }
            Self::More {
                joined,
                count,
                from,
                to,
            } => (
                if joined { "avi-joined" } else { "avi-damage" },
                vec![("count", count), ("from", from), ("to", to)],
            ),
            Self::NoHeader => ("avi-no-header", Vec::new()),
            Self::NoFormat { stream } => ("avi-no-format", vec![("stream", stream as u64)]),
            Self::BadIndex { .. } => ("avi-bad-index", Vec::new()),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoHeader => write!(
                f,
                "the file's header is lost; the video was found by its JPEG markers, its frame rate is a guess"
            ),
            Self::NoFormat { stream } => write!(
                f,
                "stream {stream} has sound, but what the header said of its format is lost: it is left out"
            ),
            Self::BadIndex { why } => write!(
                f,
                "the file's index is not used, because {why}; the file is read through instead"
            ),
            Self::Damage { from, to, pictures } => {
                write!(f, "damaged: bytes {from} to {to} hold no intact chunk")?;
                match pictures {
                    0 => Ok(()),
                    1 => write!(f, ", but 1 whole picture"),
                    n => write!(f, ", but {n} whole pictures"),
                }
            }
            Self::Lost { from, to, chunks } => write!(
                f,
                "damaged: {chunks} chunks in bytes {from} to {to} are not intact"
            ),
            Self::Cut {
                stream,
                pos,
                have,
                pictures,
            } => {
                write!(
                    f,
                    "the file ends inside a chunk of stream {stream}: {have} bytes are left of it at {pos}"
                )?;
                match pictures {
                    0 => Ok(()),
                    _ => write!(f, ", the upper part of a picture"),
                }
            }
            Self::Missing { stream, frames } => write!(
                f,
                "stream {stream} has {frames} frames fewer than the file's header tells; where no index says when they were, what follows comes as much earlier"
            ),
            Self::Joined { pos } => write!(f, "another file was joined to this one at {pos}"),
            Self::LeftOut { pos: 0, .. } => write!(
                f,
                "the file has pictures in a stream that its header does not tell of: they are left out"
            ),
            Self::LeftOut { pos, streams } => write!(
                f,
                "the file that was joined at {pos} has other streams than the first: {streams} of them are left out"
            ),
            Self::More {
                joined,
                count,
                from,
                to,
            } => {
                let what = match joined {
                    true => "joined files",
                    false => "damaged regions",
                };
                write!(f, "{count} more {what} in bytes {from} to {to}")
            }
        }
    }
}

/// Findings of a kind that are told one by one; what is more is counted.
const TOLD: u64 = 16;

/// Lost chunks this near to one another are told of as one region; the streams
/// do not come in the order of the file.
const JOIN: u64 = 16 << 10;

/// Bytes of a region that are of no lost chunk, nor of another one: heads and padding.
const NOTHING: u64 = 16;

/// Findings of one kind beyond those that were told.
#[derive(Debug, Default)]
struct Rest {
    told: u64,
    more: u64,
    from: u64,
    to: u64,
}

impl Rest {
    /// Whether one more is told by itself.
    fn take(&mut self, from: u64, to: u64) -> bool {
        if self.told < TOLD {
            self.told += 1;
            return true;
        }
        if self.more == 0 {
            (self.from, self.to) = (from, to);
        }
        self.more += 1;
        self.from = self.from.min(from);
        self.to = self.to.max(to);
        false
    }
}

/// Lost chunks near to one another.
#[derive(Debug)]
struct Region {
    from: u64,
    to: u64,
    chunks: u64,
    /// Their bytes.
    bytes: u64,
    /// Pictures in them that are whole.
    pictures: u32,
}

impl Region {
    fn new(from: u64, to: u64, pictures: u32) -> Self {
        Self {
            from,
            to,
            chunks: 1,
            bytes: to.saturating_sub(from),
            pictures,
        }
    }

    fn add(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.chunks += other.chunks;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.pictures = self.pictures.saturating_add(other.pictures);
    }

    /// As one piece if nothing is between them, in whatever order they came, else by their number.
    fn finding(&self) -> Finding {
        let Self {
            from,
            to,
            chunks,
            pictures,
            ..
        } = *self;
        let all = to.saturating_sub(from);
        match all > self.bytes.saturating_add(NOTHING * chunks) {
            true => Finding::Lost { from, to, chunks },
            false => Finding::Damage { from, to, pictures },
        }
    }
}

/// The findings that are to be told.
#[derive(Debug, Default)]
pub(super) struct Notices {
    findings: Vec<Finding>,
    damage: Rest,
    joined: Rest,
    /// The region that chunks were found lost in, not yet told of.
    lost: Option<Region>,
    /// Streams of a file that was joined on are left out, as was told.
    left_out: bool,
}

impl Notices {
    /// What is to be told, once.
    pub(crate) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Takes in what was found.
    pub(crate) fn say(&mut self, finding: Finding) {
        let told = match finding {
            Finding::Damage { from, to, .. } | Finding::Lost { from, to, .. } => {
                self.damage.take(from, to)
            }
            Finding::Joined { pos } => self.joined.take(pos, pos),
            _ => true,
        };
        if told {
            self.findings.push(finding);
        }
    }

    /// Takes in how many streams of the file that was joined at a place are left out.
    pub(crate) fn left_out(&mut self, pos: u64, streams: u64) {
        if streams > 0 && !std::mem::replace(&mut self.left_out, true) {
            self.say(Finding::LeftOut { pos, streams });
        }
    }

    /// Whether streams of a file that was joined on are left out: what is found of them is no news.
    pub(crate) fn leaves_out(&self) -> bool {
        self.left_out
    }

    /// Takes in what the walk came across, if it is something to tell.
    pub(crate) fn say_item(&mut self, item: Item) {
        match item {
            Item::Damage { from, to, pictures } => self.say(Finding::Damage { from, to, pictures }),
            Item::Cut {
                stream,
                pos,
                have,
                shown,
            } => self.say(Finding::Cut {
                stream,
                pos,
                have,
                pictures: shown.into(),
            }),
            _ => {}
        }
    }

    /// Takes in a region whose chunk is lost, but for so many whole `pictures`. Those near to one another are one
    /// region. Each chunk is to be told of once.
    pub(crate) fn lost(&mut self, from: u64, to: u64, pictures: u32) {
        let new = Region::new(from, to, pictures);
        if let Some(region) = &mut self.lost
            && from <= region.to + JOIN
            && region.from <= to + JOIN
        {
            region.add(&new);
            return;
        }
        if let Some(region) = self.lost.replace(new) {
            self.say(region.finding());
        }
    }

    /// Takes in that a chunk is intact: a lost region far enough before it is over.
    pub(crate) fn sound_at(&mut self, pos: u64) {
        let over = |region: &mut Region| pos.saturating_sub(JOIN) > region.to;
        if let Some(region) = self.lost.take_if(over) {
            self.say(region.finding());
        }
    }

    /// Nothing more comes: what is counted is told.
    pub(crate) fn flush(&mut self) {
        if let Some(region) = self.lost.take() {
            self.say(region.finding());
        }
        let kinds = [(&mut self.damage, false), (&mut self.joined, true)];
        for (rest, joined) in kinds {
            let Rest { more, from, to, .. } = std::mem::replace(
                rest,
                Rest {
                    told: TOLD,
                    ..Rest::default()
                },
            );
            if more > 0 {
                let count = more;
                self.findings.push(Finding::More {
                    joined,
                    count,
                    from,
                    to,
                });
            }
        }
    }
}
