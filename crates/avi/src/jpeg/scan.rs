// SPDX-License-Identifier: MIT OR Apache-2.0
//! The entropy-coded data of a picture: its bits, and the Huffman codes in them (ITU-T T.81,
//! annexes C and F).

/// Bits by which most codes are looked up.
const LOOKED_UP: usize = 9;

/// A Huffman code as it was read, and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Aligned like this it is loaded with one instruction, which is measurably faster.
#[repr(align(4))]
pub struct Code {
    /// Its length in bits, 1 to 16; 17 if the bits begin with no code of the table.
    pub length: u8,
    /// What it stands for: in tables for AC a run of zeros (upper four bits) and the number of bits
    /// that follow, in tables for DC the number of bits alone.
    pub symbol: u8,
    /// `length` and the number of bits that follow and belong to it.
    pub bits: u8,
    /// In tables for AC, how many coefficients it stands for; [`Code::END`] if for all that are left.
    pub step: u8,
}

impl Code {
    /// The [`step`](Self::step) of the code that ends a block.
    pub const END: u8 = 128;

    /// In the table of short codes: it is longer.
    const LONGER: Self = Self {
        length: 0,
        symbol: 0,
        bits: 0,
        step: 0,
    };

    /// What is read where there is no code.
    const NONE: Self = Self::new(17, 0);

    const fn new(length: u8, symbol: u8) -> Self {
        let (run, size) = (symbol >> 4, symbol & 15);
        Self {
            length,
            symbol,
            bits: length + size,
            step: if size == 0 && run < 15 {
                Self::END
            } else {
                run + 1
            },
        }
    }

    /// Whether the bits begin with a code of the table.
    pub fn is_known(self) -> bool {
        self.length <= 16
    }
}

/// A Huffman table, made and read as T.81's figures C.1 to C.3 and F.16 do.
///
/// A table of more codes than there can be is taken too, as small decoders do; see
/// [`overfull`](Self::overfull).
pub struct Codes<'a> {
    /// By the length of a code less 1: the first code, and the place of what it stands for.
    first: [(u16, u16); 16],
    /// The last code; `None` if there is none of that length.
    last: [Option<u16>; 16],
    symbols: &'a [u8],
    /// By the next bits, the code that they begin with.
    short: [Code; 1 << LOOKED_UP],
}

impl<'a> Codes<'a> {
    /// The table of a `DHT`: how many codes there are of 1 to 16 bits, and what they stand for. What
    /// is missing of `symbols` is 0.
    #[expect(
        clippy::indexing_slicing,
        reason = "there are 16 counts; what is filled begins at a multiple of its length, below the table's end"
    )]
    pub fn new(counts: &[u8; 16], symbols: &'a [u8]) -> Self {
        let mut table = Self {
            first: [(0, 0); 16],
            last: [None; 16],
            symbols,
            short: [Code::LONGER; 1 << LOOKED_UP],
        };
        let (mut code, mut place) = (0_u16, 0);
        // All codes below are of a lesser length.
        let mut next = 0;
        for (n, count) in counts.iter().enumerate() {
            let count = u16::from(*count);
            if count > 0 {
                table.first[n] = (code, place);
                // No code is all ones (C.2); decoders have that for "none".
                let last = code.wrapping_add(count - 1);
                table.last[n] = Some(last).filter(|last| *last != u16::MAX);
            }
            place += count;
            code = code.wrapping_add(count) << 1;
            if n < LOOKED_UP
                && let Some(last) = table.last[n]
            {
                let others = LOOKED_UP - n - 1;
                while next >> others <= usize::from(last) && next < table.short.len() {
                    let code = table.code(n, (next >> others) as u16);
                    table.short[next..next + (1 << others)].fill(code);
                    next += 1 << others;
                }
            }
        }
        table
    }

    /// Whether so many codes of 1 to 16 bits are more than there can be.
    pub fn overfull(counts: &[u8; 16]) -> bool {
        let mut room = 1_u32;
        counts.iter().any(|count| {
            room *= 2;
            let over = u32::from(*count) > room;
            room = room.saturating_sub((*count).into());
            over
        })
    }

    /// What a code of `n + 1` bits stands for.
    #[expect(clippy::indexing_slicing, reason = "a code has up to 16 bits")]
    fn code(&self, n: usize, code: u16) -> Code {
        let (first, place) = self.first[n];
        let place = place.wrapping_add(code.wrapping_sub(first));
        let symbol = self.symbols.get(usize::from(place)).copied();
        Code::new(n as u8 + 1, symbol.unwrap_or(0))
    }

    /// The code that bits begin with, the first of them the highest of `bits`.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "the table has a place for each value of so many bits"
    )]
    pub fn decode(&self, bits: u64) -> Code {
        let code = self.short[(bits >> (64 - LOOKED_UP)) as usize];
        if code.bits > 0 {
            code
        } else {
            self.longer(bits)
        }
    }

    #[cold]
    #[expect(clippy::indexing_slicing, reason = "a code has up to 16 bits")]
    fn longer(&self, bits: u64) -> Code {
        for n in LOOKED_UP..16 {
            let code = (bits >> (63 - n)) as u16;
            if self.last[n].is_some_and(|last| code <= last) {
                return self.code(n, code);
            }
        }
        Code::NONE
    }
}

/// Whether one of eight bytes has all its bits set.
fn has_ones(bytes: u64) -> bool {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    (!bytes).wrapping_sub(LOW) & bytes & LOW << 7 != 0
}

/// The bits of a scan, most significant first, without the stuffed zeros. At a marker and at the end
/// it stays and reads ones.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    data: &'a [u8],
    /// Where it began.
    start: usize,
    /// What is to be loaded next.
    at: usize,
    /// Bytes that were loaded since the start, without their stuffing.
    loaded: usize,
    /// How many of these are not in the data: zeros behind its end.
    made_up: usize,
    /// What is loaded and was not read, from the highest bit on; behind that, zeros.
    window: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    /// The bits from a place in a picture on, which is its end if that is before.
    pub fn new(data: &'a [u8], start: usize) -> Self {
        let start = start.min(data.len());
        Self {
            data,
            start,
            at: start,
            loaded: 0,
            made_up: 0,
            window: 0,
            left: 0,
        }
    }

    /// The byte at a place, without its stuffing, and the place of the next; `None` at a marker and
    /// at the end.
    fn octet(&self, at: usize) -> Option<(u8, usize)> {
        match self.data.get(at..) {
            Some([0xff, 0, ..]) => Some((0xff, at + 2)),
            None | Some([] | [0xff, ..]) => None,
            Some([byte, ..]) => Some((*byte, at + 1)),
        }
    }

    /// Makes sure that at least 32 bits can be read: as many as a code of 17 bits and the 15 that
    /// belong to it.
    #[inline]
    pub fn fill(&mut self) {
        if self.left < 32 {
            self.load();
        }
    }

    /// As a call of its own: what is done with a value leaves no registers for more.
    #[inline(never)]
    fn load_apart(&mut self) {
        self.load();
    }

    #[inline]
    fn load(&mut self) {
        if let Some(next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<8>)
            && let next = u64::from_be_bytes(*next)
            && !has_ones(next)
        {
            // The bits of an incomplete last byte are loaded again together with the rest of that byte.
            self.window |= next >> self.left;
            let bytes = (64 - self.left as usize) / 8;
            self.left += 8 * bytes as u32;
            self.at += bytes;
            self.loaded += bytes;
            return;
        }
        while self.left <= 56 {
            let byte = match self.octet(self.at) {
                Some((byte, next)) => {
                    self.at = next;
                    byte
                }
                None => {
                    self.made_up += 1;
                    0xff
                }
            };
            self.window |= u64::from(byte) << (56 - self.left);
            self.left += 8;
            self.loaded += 1;
        }
    }

    /// The next bits, from the highest on; zeros behind those that are loaded.
    #[inline]
    pub fn peek(&self) -> u64 {
        self.window
    }

    /// Reads `count` bits, at most those that [`fill`](Self::fill) made sure of.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.left -= count;
    }

    /// Reads a code and the number that follows it, of as many bits as its symbol says: by F.1.2.1,
    /// negative ones begin with 0.
    #[inline]
    pub fn read(&mut self, table: &Codes<'_>) -> (Code, i32) {
        if self.left < 32 {
            self.load_apart();
        }
        let code = table.decode(self.window);
        let behind = self.window << code.length;
        self.skip(code.bits.into());
        let size = u32::from(code.symbol & 15);
        let bits = (behind >> 1 >> (63 - size)) as i32;
        let positive = (behind as i64 >> 63) as i32;
        (code, bits - (((1 << size) - 1) & !positive))
    }

    /// Where in the data the next byte is loaded from.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether more was read than there is before the marker, or the end.
    pub fn overrun(&self) -> bool {
        8 * self.made_up > self.left as usize
    }

    /// Bits of the data that are loaded and not read.
    pub fn rest(&self) -> usize {
        (self.left as usize).saturating_sub(8 * self.made_up)
    }

    /// The place behind the byte that the bit after the last read one is in, found from the start. So
    /// far has a decoder come that loads a byte when it begins and one with the first bit of each eight.
    pub fn reached(&self) -> usize {
        let read = 8 * self.loaded - self.left as usize;
        let mut at = self.start;
        for _ in 0..1 + read.div_ceil(8) {
            match self.octet(at) {
                Some((_, next)) => at = next,
                None => break,
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_as_bit_by_bit() {
        // That of T.81's table K.5, one with codes of all ones, one with more codes than there are.
        let standard = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
        let full = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2];
        let too_many = [1, 3, 0, 4, 0, 0, 0, 90, 0, 0, 0, 90, 0, 0, 0, 9];
        for (counts, overfull) in [
            (standard, false),
            (full, false),
            (too_many, true),
            ([0; 16], false),
        ] {
            assert_eq!(Codes::overfull(&counts), overfull);
            let codes = counts.iter().map(|n| usize::from(*n)).sum();
            let symbols: Vec<_> = (0..codes).map(|n| (n * 37) as u8).collect();
            let table = Codes::new(&counts, &symbols);
            for next in 0..1_u64 << 16 {
                let (mut code, mut first, mut place) = (0, 0, 0);
                let mut expected = (17, 0);
                for (n, count) in counts.iter().enumerate() {
                    let count = u16::from(*count);
                    code = code << 1 | (next >> (15 - n) & 1) as u16;
                    let last = first + u32::from(count);
                    if count > 0 && last != 1 << 16 && u32::from(code) < last {
                        let at = place + code.wrapping_sub(first as u16);
                        expected = (n + 1, symbols.get(usize::from(at)).copied().unwrap_or(0));
                        break;
                    }
                    (first, place) = (last << 1, place + count);
                }
                let (length, symbol) = expected;
                let step = match (symbol >> 4, symbol & 15) {
                    (15, 0) => 16,
                    (_, 0) => Code::END,
                    (run, _) => run + 1,
                };
                let found = table.decode(next << 48);
                let bits = length + usize::from(symbol & 15);
                assert_eq!((usize::from(found.bits), found.step), (bits, step));
                assert_eq!((usize::from(found.length), found.symbol), (length, symbol));
                assert_eq!(found.is_known(), length <= 16);
            }
        }
    }

    #[test]
    fn bits_lose_their_stuffing_and_stay_at_a_marker() {
        let data = [0xaa, 0xff, 0x00, 0x0f, 0xff, 0xd9, 0x12];
        let mut bits = Bits::new(&data, 0);
        bits.fill();
        assert_eq!(bits.peek() >> 40, 0x00aa_ff0f);
        assert_eq!(bits.rest(), 24);
        bits.skip(20);
        assert!(!bits.overrun());
        assert_eq!((bits.position(), bits.reached()), (4, 4));
        bits.skip(5);
        assert!(bits.overrun());
        assert_eq!(Bits::new(&data, 100).position(), 7);
        // One code, of one bit: three bits follow.
        let codes = [[1_u8].as_slice(), &[0; 15]].concat();
        let codes = Codes::new(codes.first_chunk().unwrap(), &[3]);
        let mut bits = Bits::new(&[0b0010_0110, 0], 0);
        let values = [(); 2].map(|()| bits.read(&codes).1);
        assert_eq!(values, [-5, 6]);
    }
}
