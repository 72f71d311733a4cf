// SPDX-License-Identifier: MIT OR Apache-2.0
//! From chunk to chunk through `movi`, whatever is in the way.
//!
//! The sizes of RIFF and LIST are never needed: lists are stepped into, chunks
//! follow one another. A chunk counts as sound if another chunk's header (or
//! the end of the file) follows it, or if it is a picture that ends where it
//! says. If neither, its size was overwritten, or what follows was; the JPEG's
//! own markers then tell where it ends. Where there is no header at all, the
//! walker searches byte by byte for the next one that can be believed, or for a
//! whole picture without a header, and reports the region once.

use crate::header::{ChunkHeader, FourCc, ListHeader, OldIndexEntry, padded};
use crate::jpeg;

use super::firsts::Firsts;

/// Bytes of a chunk's name and size.
pub(super) const CHUNK_HEAD: u64 = ChunkHeader::SIZE as u64;

/// Bytes looked at in one go while searching.
const WINDOW: usize = 64 << 10;

/// No picture is larger than this.
pub(super) const MAX_PICTURE: usize = 64 << 20;

/// After so many bytes without a find the search pauses, so that its caller
/// can tell how far it is, or stop.
const PAUSE: u64 = 1 << 20;

/// Bytes looked at in vain, besides [`RETRY`] times those that were walked through, before nothing
/// more is tried: the whole takes time in proportion to the file. A picture that is none, or one whose
/// end is lost, is followed no further than to the next that begins, so it is seldom more than once.
const PATIENCE: u64 = 16 << 20;

/// So often may a byte be looked at in vain.
const RETRY: u64 = 4;

/// Places that look like the start of something which are tried before the search is noted to have passed
/// them: what of them is not all there is tried anew when more has come.
const TRIED: usize = 16;

/// What a header that can be believed begins with, and a picture.
const SIGNS: Firsts = Firsts::of(b"0123456789LRJi\xff");

/// A chunk of another name is stepped over in a stream if it is no larger than this.
const MAX_FOREIGN: u64 = 1 << 20;

/// Padding that may stand between a picture's end and the next header: to 8
/// bytes, as MaixPy does, and to an even number.
const MAX_PADDING: usize = 9;

/// No JPEG is smaller: a quantization table alone has 69 bytes.
const MIN_PICTURE: u32 = 70;

/// A chunk that is read from a stream that cannot seek is believed up to this
/// size; no camera's picture and no second of sound is larger.
const MAX_STREAMED: u64 = 64 << 20;

/// Why there is no answer yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop<E> {
    /// These bytes have to be there (or the end of the file known) first.
    Short {
        /// Where they are.
        pos: u64,
        /// How many.
        len: usize,
    },
    /// Reading failed.
    Source(E),
}

/// The bytes of a file, as far as they are there.
pub trait View {
    /// Why reading failed.
    type Error;

    /// As many bytes at `pos` as there are, but no more than `most`; fewer
    /// than `least` only if the file ends there.
    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Self::Error>>;

    /// `len` bytes at `pos`; fewer only if the file ends there.
    fn get(&mut self, pos: u64, len: usize) -> Result<&[u8], Stop<Self::Error>> {
        self.some(pos, len, len)
    }

    /// The file's size, if it is known.
    fn size(&self) -> Option<u64>;

    /// Whether the bytes come in order and are in memory anyway: then looking
    /// into a payload costs nothing, but looking ahead costs time.
    fn streamed(&self) -> bool;
}

/// What is known of a stream's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each chunk is a picture.
    Jpeg,
    /// Samples; so many bytes are one of all channels.
    Sound(u32),
    /// Nothing.
    Other,
}

/// What the walker came across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A chunk's payload.
    Chunk {
        /// The number in its name.
        stream: usize,
        /// Where the payload begins.
        pos: u64,
        /// Its size in bytes.
        size: u32,
        /// Whether it has no sound header.
        bare: bool,
    },
    /// The head of a chunk whose picture is not there, nor the head behind it.
    Lost {
        /// The number in its name.
        stream: usize,
    },
    /// The file ends inside a chunk.
    Cut {
        /// The number in its name.
        stream: usize,
        /// Where the payload begins.
        pos: u64,
        /// Bytes of it that there are.
        have: u64,
        /// They are the upper part of a picture, and came as a chunk.
        shown: bool,
    },
    /// A RIFF begins; `first` if it is a file of its own and not the
    /// continuation of an OpenDML file.
    Riff {
        /// Where it begins.
        pos: u64,
        /// `AVI `, not `AVIX`.
        first: bool,
    },
    /// An `idx1`.
    Index {
        /// Where its first entry is.
        pos: u64,
        /// Its size in bytes.
        size: u32,
    },
    /// No chunk header could be believed between these two places.
    Damage {
        /// The first byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
        /// Pictures found in it all the same.
        pictures: u32,
    },
    /// Still searching.
    Searching,
    /// The end of the file.
    End,
}

impl Item {
    /// The bytes that it says hold no intact chunk.
    pub(super) fn damaged(&self) -> u64 {
        match self {
            Self::Damage { from, to, .. } => to.saturating_sub(*from),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    from: u64,
    pictures: u32,
    /// All of it so far is zeros.
    is_blank: bool,
}

/// What is known of the streams of a file.
#[derive(Debug, Clone)]
pub struct Streams {
    /// By the numbers in its chunks' names.
    pub kinds: Vec<Kind>,
    /// The numbers that they are told of by, where these are others.
    pub numbers: Vec<usize>,
    /// The pictures' size, if known.
    pub size: Option<(u32, u32)>,
}

/// The streams of so many joined files are remembered.
const MAX_FILES: usize = 128;

/// Walks through a file; see the module's documentation.
#[derive(Debug, Clone)]
pub struct Walker {
    kinds: Vec<Kind>,
    numbers: Vec<usize>,
    /// The same of each of the joined files that was met, and where it begins.
    files: Vec<(u64, Streams)>,
    pos: u64,
    lost: Option<Lost>,
    /// The picture's size that a naked picture must have, if known.
    size: Option<(u32, u32)>,
    largest: u64,
    /// The largest chunk so far that is no picture, and is known to hold none.
    largest_other: u64,
    /// The chunk before had an odd size, and whether its padding is there has
    /// not been looked at.
    odd: bool,
    queue: [Option<Item>; 2],
    ended: bool,
    /// Where it began.
    start: u64,
    /// Bytes that were looked at in vain.
    wasted: u64,
    /// Where the RIFF that it is in ends, by its size.
    riff_end: Option<u64>,
    /// Where the last index that was stepped over ends.
    index_end: Option<u64>,
    /// The first stream that has sound by the names of its chunks, and is not known to.
    unknown_sound: Option<usize>,
    /// Where the first file begins, of those that are joined, that has pictures which no stream is known to have.
    left_out: Option<u64>,
}

impl Item {
    /// The same, told of by the streams' own numbers.
    fn numbered(mut self, numbers: &[usize]) -> Self {
        if let Self::Chunk { stream, .. } | Self::Lost { stream } | Self::Cut { stream, .. } =
            &mut self
        {
            *stream = numbers.get(*stream).copied().unwrap_or(*stream);
        }
        self
    }
}

impl Walker {
    /// Starts at `pos`, which should be that of a chunk header.
    pub fn new(kinds: Vec<Kind>, pos: u64, size: Option<(u32, u32)>) -> Self {
        let first = Streams {
            kinds: kinds.clone(),
            numbers: Vec::new(),
            size,
        };
        Self {
            kinds,
            numbers: Vec::new(),
            files: vec![(0, first)],
            pos,
            lost: None,
            size,
            largest: 0,
            largest_other: 0,
            odd: false,
            queue: [None; 2],
            ended: false,
            start: pos,
            wasted: 0,
            riff_end: None,
            index_end: None,
            unknown_sound: None,
            left_out: None,
        }
    }

    /// The first stream that has sound by the names of its chunks, of which no more is known.
    pub fn unknown_sound(&self) -> Option<usize> {
        self.unknown_sound
    }

    /// Where the first file begins, of those that are joined, that has pictures in chunks of a stream which is none of
    /// pictures.
    pub fn left_out(&self) -> Option<u64> {
        self.left_out
    }

    /// Where the RIFF that it begins in ends, by its size.
    pub fn set_riff_end(&mut self, end: Option<u64>) {
        self.riff_end = end;
    }

    /// Whether so much was looked at in vain that only chunks' heads are believed.
    fn is_tired(&self) -> bool {
        let walked = self.pos.saturating_sub(self.start);
        self.wasted > PATIENCE.saturating_add(walked.saturating_mul(RETRY))
    }

    /// Follows the markers of the picture that may begin at a place.
    fn walk<V: View>(&mut self, view: &mut V, pos: u64) -> Result<Picture, Stop<V::Error>> {
        if self.is_tired() {
            return Ok(Picture::None);
        }
        let (picture, looked) = walk_picture(view, pos)?;
        if !matches!(picture, Picture::Whole(_)) {
            self.wasted += looked as u64;
        }
        Ok(picture)
    }

    /// What is known of the streams of the file that begins at `from`, in which it is.
    pub fn set_streams(&mut self, from: u64, streams: Streams) {
        self.use_streams(streams.clone());
        let later = self.files.partition_point(|(other, _)| *other < from);
        if later < MAX_FILES {
            self.files.truncate(later);
            self.files.push((from, streams));
        }
    }

    /// By which number a stream is told of that chunks at a place name so.
    pub fn number_at(&self, pos: u64, named: usize) -> usize {
        let file = self.files.iter().rev().find(|(from, _)| *from <= pos);
        let number = file.and_then(|(_, streams)| streams.numbers.get(named));
        number.copied().unwrap_or(named)
    }

    fn use_streams(&mut self, streams: Streams) {
        self.kinds = streams.kinds;
        self.numbers = streams.numbers;
        self.size = streams.size;
    }

    /// Where it is; no byte before this will be looked at again.
    pub fn pos(&self) -> u64 {
        self.pos - u64::from(self.odd)
    }

    /// Goes on elsewhere, at a chunk header.
    pub fn set_pos(&mut self, pos: u64) {
        let file = self.files.iter().rev().find(|(from, _)| *from <= pos);
        if let Some(streams) = file.map(|(_, streams)| streams.clone()) {
            self.use_streams(streams);
        }
        self.pos = pos;
        self.lost = None;
        self.odd = false;
        self.queue = [None; 2];
        self.ended = false;
        self.start = pos;
        self.wasted = 0;
    }

    fn say(&mut self, item: Item) {
        match &mut self.queue {
            [slot @ None, _] | [_, slot] => *slot = Some(item),
        }
    }

    /// Steps to the next thing worth telling. After [`Stop::Short`] it can be
    /// called again, when there is more.
    pub fn next<V: View>(&mut self, view: &mut V) -> Result<Item, Stop<V::Error>> {
        loop {
            if let Some(item) = self.queue[0].take() {
                self.queue.swap(0, 1);
                return Ok(item.numbered(&self.numbers));
            }
            if self.ended {
                return Ok(Item::End);
            }
            match self.lost {
                None => self.step(view)?,
                Some(lost) => self.search(view, lost)?,
            }
        }
    }

    /// One chunk, expected at `pos`.
    fn step<V: View>(&mut self, view: &mut V) -> Result<(), Stop<V::Error>> {
        if self.odd {
            // Some writers leave the padding out.
            if !self.believable(view, self.pos)? && self.believable(view, self.pos - 1)? {
                self.pos -= 1;
            }
            self.odd = false;
        }
        let pos = self.pos;
        let head = view.get(pos, 12)?;
        let Ok(ChunkHeader { id, size }) = ChunkHeader::parse(head) else {
            self.ended = true;
            return Ok(());
        };
        let kind = head.get(8..).and_then(FourCc::parse);
        if let Some(form) = kind
            && let Some(list) = self.list_without_name(view, id, form)?
        {
            self.enter(list, size);
            return Ok(());
        }
        match (id, kind) {
            (FourCc::RIFF, Some(form @ (FourCc::AVI | FourCc::AVIX))) => {
                self.riff_end = (size > 4).then_some(pos + CHUNK_HEAD + u64::from(size));
                self.say(Item::Riff {
                    pos,
                    first: form == FourCc::AVI,
                });
                self.pos = pos + 12;
            }
            (FourCc::LIST, Some(FourCc::MOVI | FourCc::REC)) => self.pos = pos + 12,
            // Others do not know lists of other names either, but their chunks.
            (FourCc::LIST, Some(_)) if self.is_stream_head(view, pos + 12)? => self.pos = pos + 12,
            _ => match id.stream_and_kind() {
                Some((stream, letters)) if self.is_picture_head(view, stream, letters, size)? => {
                    self.picture(view, stream.into(), size)?;
                }
                Some((stream, letters)) if is_stream_kind(letters) => {
                    let stream = usize::from(stream);
                    match (self.kinds.get(stream), &letters) {
                        (Some(&Kind::Sound(block)), b"wb") => {
                            self.sound(view, stream, size, block)?;
                        }
                        (None | Some(Kind::Other), b"wb") => {
                            self.unknown_sound.get_or_insert(stream);
                            self.skip(view, size)?;
                        }
                        (_, b"dc" | b"db") if jpeg::begins(view.get(pos + CHUNK_HEAD, 3)?) => {
                            self.leave_out(pos, stream);
                            self.skip(view, size)?;
                        }
                        _ => self.skip(view, size)?,
                    }
                }
                _ if !is_known(id) && self.is_foreign(view, pos)? => self.step_over(view, size)?,
                _ if !is_known(id) => {
                    self.lose(pos);
                    if let Some(lost) = &mut self.lost {
                        lost.is_blank = id == FourCc([0; 4]);
                    }
                    // What is no picture of the stream may look like one to the search, which would come
                    // back here.
                    self.pos += u64::from(id.stream_and_kind().is_some());
                }
                _ if id == FourCc::IDX1 && self.is_index(view, size)? => {
                    self.pos = pos + CHUNK_HEAD + padded(size.into());
                    self.index_end = Some(self.pos);
                    self.say(Item::Index { pos: pos + 8, size });
                }
                _ if id == FourCc::IDX1 => {
                    let payload = pos + CHUNK_HEAD;
                    let end = index_end(view, payload)?;
                    if end > payload {
                        (self.pos, self.index_end) = (end, Some(end));
                    } else if size <= OldIndexEntry::SIZE as u32 {
                        self.skip(view, size)?;
                    } else {
                        // Something else that has an index's name now.
                        self.lose(pos);
                        self.pos = payload;
                        return Ok(());
                    }
                    self.say(Item::Index { pos: payload, size });
                }
                _ => self.skip(view, size)?,
            },
        }
        Ok(())
    }

    /// The file or list at `pos` whose name or form was overwritten: known by the other of the two, and by what
    /// stands first in it. As the chunk that its name says it would take along all that is in it.
    fn list_without_name<V: View>(
        &self,
        view: &mut V,
        id: FourCc,
        form: FourCc,
    ) -> Result<Option<Nameless>, Stop<V::Error>> {
        let (name, content) = (self.pos, self.pos + ListHeader::SIZE as u64);
        let is_list = matches!(form, FourCc::MOVI | FourCc::REC);
        let is_file = matches!(form, FourCc::AVI | FourCc::AVIX);
        let is_whole = (is_list && id == FourCc::LIST) || (is_file && id == FourCc::RIFF);
        // What a recorder has made void holds nothing any more.
        if is_whole || is_void(id) {
            return Ok(None);
        }
        if is_list {
            let first = FourCc::parse(view.get(content, 4)?);
            let is_list = first == Some(FourCc::LIST) || self.is_stream_head(view, content)?;
            return Ok(is_list.then_some(Nameless::List { lost: name }));
        }
        if !is_file && id != FourCc::RIFF {
            return Ok(None);
        }
        let list = ListHeader::parse(view.get(content, ListHeader::SIZE)?).ok();
        let list = list
            .filter(|list| list.id == FourCc::LIST)
            .map(|list| list.kind);
        Ok(match list {
            Some(kind @ (FourCc::HDRL | FourCc::MOVI)) => Some(Nameless::File {
                lost: if is_file { name } else { name + CHUNK_HEAD },
                first: kind == FourCc::HDRL,
            }),
            _ => None,
        })
    }

    /// Steps into such a file or list at `pos`.
    fn enter(&mut self, list: Nameless, size: u32) {
        let pos = self.pos;
        self.pos = pos + ListHeader::SIZE as u64;
        let (Nameless::File { lost, .. } | Nameless::List { lost }) = list;
        if let Nameless::File { first, .. } = list {
            self.riff_end = (size > 4).then_some(pos + CHUNK_HEAD + u64::from(size));
            self.say(Item::Riff { pos, first });
        }
        self.say(Item::Damage {
            from: lost,
            to: lost + 4,
            pictures: 0,
        });
    }

    /// A picture at `pos` is not played.
    fn leave_out(&mut self, pos: u64, stream: usize) {
        let file = self.files.iter().rev().find(|(from, _)| *from <= pos);
        // Whoever reads the first file's header knows which of its streams are of kinds that are not played.
        let is_told = self.kinds.get(stream) == Some(&Kind::Other);
        if let Some((from, _)) = file.filter(|(from, _)| *from > 0 || !is_told) {
            self.left_out.get_or_insert(*from);
        }
    }

    /// Whether the head of a stream's pictures or sound is at `pos`.
    fn is_stream_head<V: View>(&self, view: &mut V, pos: u64) -> Result<bool, Stop<V::Error>> {
        let id = FourCc::parse(view.get(pos, 4)?).and_then(FourCc::stream_and_kind);
        Ok(id.is_some_and(|(stream, letters)| {
            let known = self.kinds.get(usize::from(stream));
            match (known, &letters) {
                (Some(Kind::Sound(_)), b"wb") => true,
                _ => self.may_name_pictures(stream, letters),
            }
        }))
    }

    /// Whether the head at `pos` is that of a picture: by its name, or of a stream of pictures whose
    /// recorder names its chunks otherwise, by what is in it.
    fn is_picture_head<V: View>(
        &self,
        view: &mut V,
        stream: u8,
        letters: [u8; 2],
        size: u32,
    ) -> Result<bool, Stop<V::Error>> {
        if !self.may_name_pictures(stream, letters) {
            return Ok(false);
        }
        let payload = self.pos + CHUNK_HEAD;
        if matches!(&letters, b"dc" | b"db") {
            return Ok(true);
        }
        if !Self::fits(view, payload, size.into()) || !jpeg::begins(view.get(payload, 3)?) {
            return Ok(false);
        }
        let data = view.some(payload, WINDOW.min(size as usize), WINDOW)?;
        Ok(self.is_ours(jpeg::FrameHeader::parse(data).ok()))
    }

    /// Whether a chunk's name may be that of a picture. By the book it ends in `dc` or `db`, but
    /// players go by the stream alone, and some recorders write other letters.
    fn may_name_pictures(&self, stream: u8, letters: [u8; 2]) -> bool {
        let known = self.kinds.get(usize::from(stream));
        let others = [b"wb", b"pc", b"tx", b"sb", b"dd", b"ix"];
        known == Some(&Kind::Jpeg)
            && !others.contains(&&letters)
            && letters
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    }

    /// Whether an `idx1` at `pos` names chunks first and last, as such an index does.
    fn is_index<V: View>(&self, view: &mut V, size: u32) -> Result<bool, Stop<V::Error>> {
        let payload = self.pos + CHUNK_HEAD;
        let entry = OldIndexEntry::SIZE as u32;
        if size < entry || !size.is_multiple_of(entry) || !Self::fits(view, payload, size.into()) {
            return Ok(false);
        }
        // In a stream the last one would have to be waited for.
        let last = match view.streamed() {
            true => 0,
            false => size - entry,
        };
        for at in [0, last] {
            let id = FourCc::parse(view.get(payload + u64::from(at), 4)?);
            if !id.is_some_and(is_index_name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a file may end here: where its RIFF does, by its size, or its index.
    fn is_end(&self, pos: u64) -> bool {
        let riff = self
            .riff_end
            .is_some_and(|end| pos == end || pos == padded(end));
        riff || self.index_end == Some(pos)
    }

    fn lose(&mut self, from: u64) {
        self.lost = Some(Lost {
            from,
            pictures: 0,
            is_blank: false,
        });
        self.pos = from;
    }

    /// Whether a chunk of this size can be there.
    fn fits<V: View>(view: &V, payload: u64, size: u64) -> bool {
        match view.size() {
            Some(end) => payload + size <= end,
            None => size <= MAX_STREAMED,
        }
    }

    /// Past a chunk that is of no interest and whose size can be right, or to the first picture in it that nobody would
    /// know of otherwise.
    fn step_over<V: View>(&mut self, view: &mut V, size: u32) -> Result<(), Stop<V::Error>> {
        let pos = self.pos;
        let payload = pos + CHUNK_HEAD;
        let id = FourCc::parse(view.get(pos, 4)?);
        let picture = match id.is_some_and(is_void) {
            true => None,
            false => self.swallowed(view, payload, size)?,
        };
        match picture {
            Some(head) => {
                self.lose(pos);
                self.pos = head;
            }
            None => self.pos = payload + padded(size.into()),
        }
        Ok(())
    }

    /// Past a chunk that is of no interest.
    fn skip<V: View>(&mut self, view: &mut V, size: u32) -> Result<(), Stop<V::Error>> {
        let payload = self.pos + 8;
        let next = payload + padded(size.into());
        // In a stream too: one whose size was overwritten would take along all that comes.
        let sound = Self::fits(view, payload, size.into()) && self.believable(view, next)?;
        if sound {
            self.step_over(view, size)?;
        } else if view
            .size()
            .is_some_and(|end| payload + u64::from(size) > end)
            && self.believable(view, payload)?
        {
            // Its size is wrong, but it has no content: a list that was
            // being written.
            self.pos = payload;
        } else {
            self.lose(self.pos);
            self.pos += 4;
        }
        Ok(())
    }

    /// Whether a chunk, a list or the end of the file is at `pos`.
    fn believable<V: View>(&self, view: &mut V, pos: u64) -> Result<bool, Stop<V::Error>> {
        // A last chunk of odd size may lack its padding.
        if view.size().is_some_and(|end| pos > end + 1) {
            return Ok(false);
        }
        Ok(self.is_head(view, pos)? || self.is_end(pos) || self.is_foreign(view, pos)?)
    }

    /// Whether a head that is known is at `pos`, or the end of the file.
    fn is_head<V: View>(&self, view: &mut V, pos: u64) -> Result<bool, Stop<V::Error>> {
        let head = view.get(pos, 12)?;
        let Ok(chunk) = ChunkHeader::parse(head) else {
            return Ok(true);
        };
        Ok(match head.get(8..).and_then(FourCc::parse) {
            Some(form) if chunk.id == FourCc::RIFF => {
                matches!(form, FourCc::AVI | FourCc::AVIX)
            }
            _ => {
                is_known(chunk.id)
                    || chunk.id.stream_and_kind().is_some_and(|(stream, letters)| {
                        is_stream_kind(letters) || self.may_name_pictures(stream, letters)
                    })
            }
        })
    }

    /// Whether a chunk of another name is at `pos`, as cameras write for positions and thumbnails:
    /// another chunk is behind it, which may be of another name too.
    fn is_foreign<V: View>(&self, view: &mut V, pos: u64) -> Result<bool, Stop<V::Error>> {
        let mut at = pos;
        for _ in 0..2 {
            let Ok(chunk) = ChunkHeader::parse(view.get(at, 8)?) else {
                return Ok(false);
            };
            let named = chunk.id.0.iter();
            let named = named.clone().all(|b| b.is_ascii_graphic() || *b == b' ')
                && named.clone().any(u8::is_ascii_alphabetic);
            let small = u64::from(chunk.size) <= MAX_FOREIGN || !view.streamed();
            let payload = at + CHUNK_HEAD;
            if !named || !small || !Self::fits(view, payload, chunk.size.into()) {
                return Ok(false);
            }
            at = payload + chunk.padded_size();
            if self.is_head(view, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the chunk after a payload is, if it is there. Some writers leave
    /// out the padding.
    fn following<V: View>(
        &self,
        view: &mut V,
        payload: u64,
        size: u32,
    ) -> Result<Option<u64>, Stop<V::Error>> {
        let end = payload + u64::from(size);
        let padded = end + u64::from(size & 1);
        if self.believable(view, padded)? {
            return Ok(Some(padded));
        }
        if padded != end && self.believable(view, end)? {
            return Ok(Some(end));
        }
        Ok(None)
    }

    fn picture<V: View>(
        &mut self,
        view: &mut V,
        stream: usize,
        size: u32,
    ) -> Result<(), Stop<V::Error>> {
        let payload = self.pos + 8;
        let chunk = Item::Chunk {
            stream,
            pos: payload,
            size,
            bare: false,
        };
        if size == 0 {
            // MaixPy writes the size after the picture; a power cut leaves 0.
            if jpeg::begins(view.get(payload, 3)?) {
                return self.unsized_picture(view, stream, (size, false));
            }
            if self.believable(view, payload)? {
                self.say(chunk);
                self.pos = payload;
            } else {
                self.lose(self.pos);
                self.pos += 4;
            }
            return Ok(());
        }
        let fits = Self::fits(view, payload, size.into());
        // A size like those before it is worth waiting for; of another the
        // markers are asked first.
        let usual = u64::from(size) <= (self.largest * 4).max(1 << 20);
        if fits && view.streamed() && usual && Self::is_picture(view, payload, size)? {
            self.accept(chunk, payload, size, None);
            return Ok(());
        }
        let mut sized = true;
        if fits
            && view.streamed()
            && !usual
            && let Picture::Whole(len) = self.walk(view, payload)?
        {
            if (size as usize).wrapping_sub(len) <= MAX_PADDING {
                self.accept(chunk, payload, size, None);
                return Ok(());
            }
            sized = !self.believable(view, payload + padded(len as u64))?;
        }
        if fits && sized {
            if let Some(next) = self.following(view, payload, size)? {
                let size = with_its_end(view, payload, size)?;
                let chunk = Item::Chunk {
                    stream,
                    pos: payload,
                    size,
                    bare: false,
                };
                self.accept(chunk, payload, size, Some(next));
                return Ok(());
            }
            if Self::is_picture(view, payload, size)? {
                self.accept(chunk, payload, size, None);
                return Ok(());
            }
        }
        self.unsized_picture(view, stream, (size, fits))
    }

    /// Whether a payload begins and ends as a picture does.
    fn is_picture<V: View>(view: &mut V, payload: u64, size: u32) -> Result<bool, Stop<V::Error>> {
        let tail = size.min(16);
        let end = view.get(payload + u64::from(size - tail), tail as usize)?;
        if jpeg::end_in_tail(end).is_none() {
            return Ok(false);
        }
        let lead = size.min(jpeg::LEAD as u32 + 3);
        Ok(jpeg::begins(view.get(payload, 3)?)
            || jpeg::start(view.get(payload, lead as usize)?).is_some())
    }

    fn accept(&mut self, chunk: Item, payload: u64, size: u32, next: Option<u64>) {
        self.largest = self.largest.max(size.into());
        self.say(chunk);
        self.odd = next.is_none() && size & 1 == 1;
        self.pos = next.unwrap_or(payload + padded(size.into()));
    }

    /// A picture whose chunk size cannot be right: up to its end marker.
    fn unsized_picture<V: View>(
        &mut self,
        view: &mut V,
        stream: usize,
        (size, fits): (u32, bool),
    ) -> Result<(), Stop<V::Error>> {
        let header = self.pos;
        let payload = header + 8;
        match self.walk(view, payload)? {
            Picture::Whole(len) => {
                self.say(Item::Chunk {
                    stream,
                    pos: payload,
                    size: len as u32,
                    bare: true,
                });
                self.lost = Some(Lost {
                    from: header,
                    pictures: 1,
                    is_blank: false,
                });
                self.pos = payload + len as u64;
            }
            Picture::CutOff(have) if !fits => {
                // Decoders show what there is of a picture, and leave the rest grey.
                let shown = jpeg::begins_scan(view.get(payload, have as usize)?);
                if shown {
                    self.say(Item::Chunk {
                        stream,
                        pos: payload,
                        size: have as u32,
                        bare: false,
                    });
                }
                self.say(Item::Cut {
                    stream,
                    pos: payload,
                    have,
                    shown,
                });
                self.pos = payload + have;
                self.ended = true;
            }
            Picture::CutOff(_) | Picture::None => {
                // There was a frame: what follows keeps its time. An index's entries, which begin as a
                // chunk does, are none.
                if size == 0 || size >= MIN_PICTURE {
                    self.say(Item::Lost { stream });
                }
                self.lose(header);
                self.pos = payload;
            }
        }
        Ok(())
    }

    /// Where the first picture's chunk is within one of something else that is much larger than those before: its size
    /// or its name was overwritten, and what follows it is by chance what may follow.
    fn swallowed<V: View>(
        &mut self,
        view: &mut V,
        payload: u64,
        size: u32,
    ) -> Result<Option<u64>, Stop<V::Error>> {
        let size = u64::from(size);
        // Each that is looked through is larger than all before together.
        if size <= self.largest_other * 4 {
            return Ok(None);
        }
        let end = payload + size.min(PATIENCE);
        let mut at = payload;
        while end - at > SIGN as u64 {
            let most = usize::try_from(end - at).map_or(WINDOW, |left| left.min(WINDOW));
            let data = view.some(at, SIGN, most)?;
            let heads = memchr::memmem::find_iter(data, &[0xff, 0xd8, 0xff]);
            let mut heads = heads.filter_map(|soi| soi.checked_sub(ChunkHeader::SIZE));
            if let Some(head) = heads.find(|head| self.is_picture_within(data, *head, end - at)) {
                return Ok(Some(at + head as u64));
            }
            if data.len() <= SIGN {
                break;
            }
            at += (data.len() - SIGN) as u64;
        }
        self.largest_other = size;
        Ok(None)
    }

    /// Whether the head of a picture's chunk is there, which ends before `end`.
    fn is_picture_within(&self, data: &[u8], head: usize, end: u64) -> bool {
        let chunk = data.get(head..).map(ChunkHeader::parse);
        let Some(Ok(ChunkHeader { id, size })) = chunk else {
            return false;
        };
        let is_named = id.stream_and_kind().is_some_and(|(stream, letters)| {
            matches!(&letters, b"dc" | b"db")
                && self.kinds.get(usize::from(stream)) == Some(&Kind::Jpeg)
        });
        let behind = head as u64 + CHUNK_HEAD + u64::from(size);
        is_named && size >= MIN_PICTURE && behind <= end
    }

    fn sound<V: View>(
        &mut self,
        view: &mut V,
        stream: usize,
        size: u32,
        block: u32,
    ) -> Result<(), Stop<V::Error>> {
        let payload = self.pos + 8;
        let chunk = |size, bare| Item::Chunk {
            stream,
            pos: payload,
            size,
            bare,
        };
        let fits = Self::fits(view, payload, size.into());
        if fits && let Some(next) = self.following(view, payload, size)? {
            let picture = self.swallowed(view, payload, size)?;
            match picture {
                None => self.say(chunk(size, false)),
                Some(head) => {
                    let samples = (head - payload) / u64::from(block) * u64::from(block);
                    self.say(chunk(samples as u32, true));
                    self.say(Item::Damage {
                        from: self.pos,
                        to: payload,
                        pictures: 0,
                    });
                }
            }
            self.pos = picture.unwrap_or(next);
            return Ok(());
        }
        // Either this chunk's size is wrong, or the chunk that follows is damaged.
        let declared = if fits { u64::from(size) } else { u64::MAX };
        let mut at = payload;
        let found = loop {
            if self.is_tired() {
                break None;
            }
            match again(self.find(view, at), payload, at)? {
                Found::At(header) => break Some(header),
                Found::Picture { .. } => break None,
                Found::Nothing { next } if next - payload < declared.min(MAX_SOUND) => at = next,
                Found::Nothing { .. } | Found::End => break None,
            }
        };
        if found.is_none() {
            self.wasted += at - payload + WINDOW as u64;
        }
        match (found, view.size()) {
            (Some(next), _) if next - payload < declared.min(MAX_SOUND) => {
                let samples = (next - payload) / u64::from(block) * u64::from(block);
                self.say(chunk(samples as u32, true));
                self.say(Item::Damage {
                    from: self.pos,
                    to: payload,
                    pictures: 0,
                });
                self.pos = next;
            }
            _ if fits => {
                self.say(chunk(size, false));
                self.pos = payload + padded(size.into());
            }
            (None, Some(end)) if end.saturating_sub(payload) < MAX_SOUND => {
                let have = end.saturating_sub(payload);
                self.say(chunk(
                    (have / u64::from(block) * u64::from(block)) as u32,
                    true,
                ));
                self.say(Item::Cut {
                    stream,
                    pos: payload,
                    have,
                    shown: false,
                });
                self.pos = end.max(payload);
                self.ended = true;
            }
            _ => {
                self.lose(self.pos);
                self.pos = payload;
            }
        }
        Ok(())
    }

    /// Between chunks that can be believed.
    fn search<V: View>(&mut self, view: &mut V, mut lost: Lost) -> Result<(), Stop<V::Error>> {
        let started = self.pos;
        loop {
            let found = self.find(view, self.pos)?;
            if lost.is_blank {
                let to = match found {
                    Found::At(to) | Found::Nothing { next: to } => to,
                    Found::End => view.size().unwrap_or(self.pos).max(self.pos),
                    Found::Picture { .. } => self.pos,
                };
                let passed = usize::try_from(to - self.pos).unwrap_or(usize::MAX);
                let passed = view.get(self.pos, passed)?;
                lost.is_blank = passed.iter().all(|byte| *byte == 0);
                self.lost = Some(lost);
            }
            match found {
                Found::At(header) => {
                    self.lost = None;
                    self.pos = header;
                    self.report(lost, header);
                    return Ok(());
                }
                // What other programs put behind a file is no part of it.
                Found::Picture { pos, len } if self.is_end(lost.from) => {
                    self.pos = pos + len as u64;
                }
                Found::Picture { pos, len } => {
                    let Some(stream) = self.kinds.iter().position(|k| *k == Kind::Jpeg) else {
                        self.pos = pos + len as u64;
                        continue;
                    };
                    self.lost = Some(Lost {
                        from: lost.from,
                        pictures: lost.pictures + 1,
                        is_blank: false,
                    });
                    self.pos = pos + len as u64;
                    self.say(Item::Chunk {
                        stream,
                        pos,
                        size: len as u32,
                        bare: true,
                    });
                    return Ok(());
                }
                Found::Nothing { next } => {
                    self.pos = next;
                    if next - started >= PAUSE {
                        self.say(Item::Searching);
                        return Ok(());
                    }
                }
                Found::End => {
                    let end = view.size().unwrap_or(self.pos);
                    self.pos = end.max(self.pos);
                    self.ended = true;
                    self.lost = None;
                    // What other programs put behind a file is no part of it.
                    if lost.pictures > 0 || !self.is_end(lost.from) {
                        self.report(lost, end);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn report(&mut self, lost: Lost, to: u64) {
        let is_padding = lost.is_blank && is_aligned(lost.from, to);
        if to > lost.from && !is_padding {
            self.say(Item::Damage {
                from: lost.from,
                to,
                pictures: lost.pictures,
            });
        }
    }

    /// Searches one window for a header to believe or a whole picture.
    fn find<V: View>(&mut self, view: &mut V, from: u64) -> Result<Found, Stop<V::Error>> {
        let data = view.some(from, SIGN, WINDOW)?;
        let at_end = data.len() < SIGN;
        let last = if at_end {
            data.len()
        } else {
            data.len() - SIGN + 1
        };
        let (signs, looked) = self.signs(data, last);
        for (at, sign) in signs {
            let pos = from + at as u64;
            match sign {
                Sign::Certain => return Ok(Found::At(pos)),
                Sign::IfFollowed(size) => {
                    let payload = pos + 8;
                    let next = payload + padded(size.into());
                    if Self::fits(view, payload, size.into())
                        && u64::from(size) <= MAX_SOUND
                        && self.believable(view, next)?
                    {
                        return Ok(Found::At(pos));
                    }
                }
                Sign::Picture => {
                    if let Picture::Whole(len) = self.walk(view, pos)? {
                        if self.is_ours(jpeg::FrameHeader::parse(view.get(pos, len)?).ok()) {
                            return Ok(Found::Picture { pos, len });
                        }
                        self.wasted += len as u64;
                    }
                }
            }
        }
        Ok(if at_end && looked == last {
            Found::End
        } else {
            Found::Nothing {
                next: from + looked as u64,
            }
        })
    }

    /// What in the first `last` bytes looks like the start of something, up to some of them, the first that is
    /// sure to be one, or a picture, which may take long to follow; and behind how many bytes that is.
    fn signs(&self, data: &[u8], last: usize) -> (Vec<(usize, Sign)>, usize) {
        let mut signs = Vec::new();
        let mut at = 0;
        while let Some(found) = data.get(at..last).and_then(|rest| SIGNS.find(rest)) {
            at += found + 1;
            let Some(sign) = data.get(at - 1..).and_then(|data| self.sign(data)) else {
                continue;
            };
            let is_last = !matches!(sign, Sign::IfFollowed(_));
            signs.push((at - 1, sign));
            if is_last || signs.len() == TRIED {
                return (signs, at);
            }
        }
        (signs, last)
    }

    /// Whether a picture has the size of the stream's, not that of a
    /// thumbnail in it.
    fn is_ours(&self, frame: Option<jpeg::FrameHeader>) -> bool {
        match (frame, self.size) {
            (Some(frame), Some((width, height))) => {
                // A field has half the lines.
                u32::from(frame.width) == width
                    && [height, height / 2].contains(&u32::from(frame.height))
            }
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// What bytes look like, in the middle of nowhere.
    fn sign(&self, data: &[u8]) -> Option<Sign> {
        if jpeg::begins(data) {
            // Only markers that a picture begins with.
            return matches!(data.get(3)?, 0xC0..=0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE)
                .then_some(Sign::Picture);
        }
        let ChunkHeader { id, size } = ChunkHeader::parse(data).ok()?;
        let kind = data.get(8..).and_then(FourCc::parse);
        match id {
            FourCc::RIFF => {
                matches!(kind, Some(FourCc::AVI | FourCc::AVIX)).then_some(Sign::Certain)
            }
            FourCc::LIST => match kind {
                Some(FourCc::MOVI | FourCc::REC) => Some(Sign::Certain),
                _ => Some(Sign::IfFollowed(size)),
            },
            FourCc::IDX1 => {
                let entry = kind?.stream_and_kind();
                (size >= 16 && size % 16 == 0 && entry.is_some()).then_some(Sign::Certain)
            }
            _ => {
                let Some((stream, letters)) = id.stream_and_kind() else {
                    return (is_known(id)).then_some(Sign::IfFollowed(size));
                };
                match (self.kinds.get(usize::from(stream))?, &letters) {
                    (Kind::Jpeg, b"dc" | b"db") => match data.get(8..) {
                        Some(payload) if jpeg::begins(payload) => Some(Sign::Certain),
                        _ => Some(Sign::IfFollowed(size)),
                    },
                    (Kind::Jpeg, _) if self.may_name_pictures(stream, letters) => {
                        let begins = data.get(8..).is_some_and(jpeg::begins);
                        begins.then_some(Sign::IfFollowed(size))
                    }
                    (Kind::Sound(_), b"wb") => Some(Sign::IfFollowed(size)),
                    (Kind::Other, _) if is_stream_kind(letters) => Some(Sign::IfFollowed(size)),
                    _ => None,
                }
            }
        }
    }
}

/// Whether bytes are no more than are between something and a place that is aligned, to a sector or more.
fn is_aligned(from: u64, to: u64) -> bool {
    let alignment = 1_u64 << to.trailing_zeros().min(16);
    alignment >= 512 && to - from < alignment
}

/// Bytes a sign is recognised by.
const SIGN: usize = 12;

/// No second of sound is longer.
const MAX_SOUND: u64 = 4 << 20;

/// A file or list whose name or form was overwritten, which of them is lost, and whether a file begins anew.
#[derive(Debug, Clone, Copy)]
enum Nameless {
    File { lost: u64, first: bool },
    List { lost: u64 },
}

enum Sign {
    Certain,
    IfFollowed(u32),
    Picture,
}

enum Found {
    At(u64),
    Picture { pos: u64, len: usize },
    Nothing { next: u64 },
    End,
}

enum Picture {
    Whole(usize),
    /// The file ends in it, after this many bytes.
    CutOff(u64),
    None,
}

/// Whether an entry of an `idx1` may have this name.
fn is_index_name(id: FourCc) -> bool {
    id == FourCc::REC || id.stream_and_kind().is_some()
}

/// The size of a picture's chunk, with the byte behind it if that is the second of the picture's end marker and was taken
/// for padding: what it says is too small by one.
fn with_its_end<V: View>(view: &mut V, payload: u64, size: u32) -> Result<u32, Stop<V::Error>> {
    if size.is_multiple_of(2) {
        return Ok(size);
    }
    let end = view.get(payload + u64::from(size) - 1, 2)?;
    Ok(size + u32::from(end == [0xff, 0xd9]))
}

/// Where the entries end of an index that was cut off or whose size is wrong; where they should begin if there
/// are no two.
fn index_end<V: View>(view: &mut V, payload: u64) -> Result<u64, Stop<V::Error>> {
    let mut at = payload;
    loop {
        let bytes = again(view.get(at, OldIndexEntry::SIZE), payload, at)?;
        let Ok(entry) = OldIndexEntry::parse(bytes) else {
            // The file ends in it.
            at += bytes.len() as u64;
            break;
        };
        if !is_index_name(entry.id) || entry.flags & !OldIndexEntry::FLAGS != 0 {
            break;
        }
        at += OldIndexEntry::SIZE as u64;
    }
    match at - payload < 2 * OldIndexEntry::SIZE as u64 {
        true => Ok(payload),
        false => Ok(at),
    }
}

/// What has been looked through up to `at` is looked through from `from` again when there is more of it: then
/// twice as much, so that the whole takes time in proportion to it, in however small pieces it comes.
fn again<T, E>(looked: Result<T, Stop<E>>, from: u64, at: u64) -> Result<T, Stop<E>> {
    looked.map_err(|stop| match stop {
        Stop::Short { pos, len } => Stop::Short {
            pos: from,
            len: usize::try_from((2 * (at - from)).max(pos + len as u64 - from))
                .unwrap_or(usize::MAX),
        },
        failed => failed,
    })
}

/// Follows a picture's markers, asking for more in doubling steps.
/// Also how many bytes were looked at.
fn walk_picture<V: View>(view: &mut V, pos: u64) -> Result<(Picture, usize), Stop<V::Error>> {
    let mut least = 4 << 10;
    loop {
        let data = view.some(pos, least, least.max(WINDOW))?;
        let have = data.len();
        match jpeg::walk(data) {
            jpeg::End::At(end) => return Ok((Picture::Whole(end), have)),
            jpeg::End::Broken(at) => return Ok((Picture::None, at)),
            jpeg::End::Short if have < least => {
                let picture = match jpeg::begins(data) {
                    true => Picture::CutOff(have as u64),
                    false => Picture::None,
                };
                return Ok((picture, have));
            }
            jpeg::End::Short if have >= MAX_PICTURE => return Ok((Picture::None, have)),
            jpeg::End::Short => least = have * 2,
        }
    }
}

/// The letters after the stream's number: pictures, sound, palettes, text,
/// subtitles, indexes.
fn is_stream_kind(letters: [u8; 2]) -> bool {
    matches!(
        &letters,
        b"dc" | b"db" | b"wb" | b"pc" | b"tx" | b"sb" | b"dd" | b"iv" | b"ix"
    )
}

/// What chunks are named that hold nothing.
fn is_void(id: FourCc) -> bool {
    matches!(&id.0, b"JUNK" | b"JUNQ" | b"PAD ")
}

/// Chunks and lists that are between or after the streams' chunks.
fn is_known(id: FourCc) -> bool {
    matches!(
        &id.0,
        b"LIST"
            | b"JUNK"
            | b"JUNQ"
            | b"PAD "
            | b"idx1"
            | b"indx"
            | b"avih"
            | b"strh"
            | b"strf"
            | b"strd"
            | b"strn"
            | b"vprp"
            | b"dmlh"
            | b"IDIT"
    ) || id.standard_index_stream().is_some()
}
