// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's side of the debug protocol, as a machine fed with bytes
//! (`components/micropython/port/src/omv/ide_dbg.c`).
//!
//! It keeps the firmware's own variables under the firmware's own names, because what a host
//! meets on the wire is made of their side effects. The ones worth knowing:
//!
//! - Replies are built in the buffer that received the command (`cmd_buf`), so what a reply does not
//!   set is whatever an earlier command or reply left there: words 1 and 2 of FRAME_SIZE when no
//!   frame is ready, everything after the text's NUL in ARCH_STR.
//! - `length` of a request stays armed as a number of bytes to receive (`xfer_length - xfer_bytes`)
//!   for every command that stores it and sends nothing. FB_ENABLE has already consumed its data by
//!   then: any length but 0 swallows as many bytes of what follows.
//! - A reply longer than the command's own is sent in pieces of 64 bytes. All commands but TX_BUF
//!   forget themselves (`cmd = NONE`) after the first piece; the rest repeats the buffer as it is.
//! - A length of 2^31 or more is negative to the loop that sends: one piece goes out (none for
//!   FRAME_DUMP) and the rest stays armed, or the machine stays busy for ever.
//! - FRAME_SIZE locks the frame when it reports one. Asked again before the dump, it finds the lock
//!   its own, lets go and reports nothing (`mutex_try_lock` in `mutex.c`).
//!
//! # Where the C code reads what it should not
//!
//! - FRAME_DUMP longer than the 23 KiB buffer sends the memory behind it; here zeros.
//! - FILE_SAVE of less than 32 bytes hashes 4 GiB of memory; here the checksum is wrong (status 6).
//!   A path without its NUL ends with the data. Content of negative length, when the padding of the
//!   path reaches past the end, fails to be written (status 4) after the file was created.
//! - A FILE_SAVE whose length rounded up to 4 does not fit 32 bits gets an empty allocation and
//!   writes far behind it; here the bytes behind the allocation are dropped.
//! - SYS_RESET never returns on a board; its length stays unarmed.

use sha2::{Digest, Sha256};

use super::console::Console;
use super::flash::Flash;
use super::jpeg::JpegBuffer;

/// `IDE_DBG_MAX_PACKET`.
pub const MAX_PACKET: usize = 64;
/// `IDE_DBG_CMD_START_FLAG`.
pub const START_FLAG: u8 = 0x30;

/// Most that `malloc` gives for an upload: what a stock build leaves of 6 MiB of memory.
const HEAP: usize = 2 << 20;

/// The firmware's version that FW_VERSION reports: major, minor, patch.
pub const VERSION: [u32; 3] = [0, 6, 3];

/// `usbdbg_cmd`, as far as the dispatcher knows it.
mod command {
    pub(crate) const NONE: u8 = 0x00;
    pub(crate) const FW_VERSION: u8 = 0x80;
    pub(crate) const FRAME_SIZE: u8 = 0x81;
    pub(crate) const FRAME_DUMP: u8 = 0x82;
    pub(crate) const ARCH_STR: u8 = 0x83;
    pub(crate) const SCRIPT_EXEC: u8 = 0x05;
    pub(crate) const SCRIPT_STOP: u8 = 0x06;
    pub(crate) const FILE_SAVE: u8 = 0x07;
    pub(crate) const FILE_SAVE_STATUS: u8 = 0x88;
    pub(crate) const SCRIPT_RUNNING: u8 = 0x87;
    pub(crate) const TEMPLATE_SAVE: u8 = 0x08;
    pub(crate) const DESCRIPTOR_SAVE: u8 = 0x09;
    pub(crate) const ATTR_WRITE: u8 = 0x0b;
    pub(crate) const SYS_RESET: u8 = 0x0c;
    pub(crate) const FB_ENABLE: u8 = 0x0d;
    pub(crate) const QUERY_STATUS: u8 = 0x8d;
    pub(crate) const TX_BUF_LEN: u8 = 0x8e;
    pub(crate) const TX_BUF: u8 = 0x8f;
}

/// The rest of the board, as the dispatcher's interrupt handler sees it.
pub trait Peripherals {
    /// `uarths_send_data`.
    fn send(&mut self, data: &[u8]);
    /// `uarths_send_data`, `count` times the same.
    fn send_repeated(&mut self, data: &[u8], count: usize);
    /// `uarths_send_data` from the JPEG buffer on, `length` bytes.
    fn send_frame(&mut self, length: usize);
    /// What scripts printed.
    fn console(&mut self) -> &mut Console;
    /// The frame for the IDE.
    fn jpeg(&mut self) -> &mut JpegBuffer;
    /// The files.
    fn flash(&mut self) -> &mut Flash;
    /// Makes the `IDE interrupt` exception pending in the interpreter.
    fn raise_ide_interrupt(&mut self);
    /// ATTR_WRITE.
    fn set_attribute(&mut self, attribute: i16, value: i16);
    /// `sipeed_sys_reset`.
    fn reset(&mut self);
}

/// The debug protocol's state; [`feed`](Self::feed) is `ide_dbg_dispatch_cmd`.
#[derive(Debug)]
pub struct Dispatcher {
    cmd_buf: [u8; MAX_PACKET],
    cmd_len_count: usize,
    cmd: u8,
    xfer_bytes: i32,
    xfer_length: i32,
    is_busy_sending: bool,
    is_sending_jpeg: bool,
    script_buf: Vec<u8>,
    script_ready: bool,
    script_running: bool,
    file_save_status: u32,
    file_length: u32,
    /// `p_data_temp`: the bytes received and the size allocated.
    upload: Option<(Vec<u8>, usize)>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        let mut cmd_buf = [0; MAX_PACKET];
        cmd_buf[0] = START_FLAG;
        Dispatcher {
            cmd_buf,
            cmd_len_count: 0,
            cmd: command::NONE,
            xfer_bytes: 0,
            xfer_length: 0,
            is_busy_sending: false,
            is_sending_jpeg: false,
            script_buf: Vec::new(),
            script_ready: false,
            script_running: false,
            file_save_status: 0,
            file_length: 0,
            upload: None,
        }
    }
}

impl Dispatcher {
    /// `ide_dbg_init`: what entering IDE mode and the end of every script do. It disarms a transfer
    /// in progress, but leaves a header that is half received, and the JPEG flag.
    pub fn init(&mut self) {
        self.xfer_length = 0;
        self.xfer_bytes = 0;
        self.is_busy_sending = false;
        self.script_ready = false;
        self.script_running = false;
    }

    /// `ide_dbg_script_ready`.
    pub fn script_ready(&self) -> bool {
        self.script_ready
    }

    /// The script that arrived.
    pub fn script(&self) -> &[u8] {
        &self.script_buf
    }

    /// `ide_dbg_need_save_file`, which also frees an upload that is over.
    pub fn need_save_file(&mut self) -> bool {
        if !matches!(self.file_save_status, 1 | 5) {
            self.upload = None;
        }
        self.file_save_status == 5
    }

    /// `ide_save_file`.
    pub fn save_file(&mut self, flash: &mut Flash) {
        let Some((mut data, allocated)) = self.upload.take() else {
            self.file_save_status = 100;
            return;
        };
        data.resize(allocated, 0);
        let length = self.file_length as usize;
        let intact = data
            .get(32..length)
            .is_some_and(|content| Sha256::digest(content)[..] == data[..32]);
        if !intact {
            self.file_save_status = 6;
            return;
        }
        let path_length = data[32..].iter().position(|&byte| byte == 0);
        let path_length = path_length.unwrap_or(data.len() - 32);
        let path = String::from_utf8_lossy(&data[32..32 + path_length]).into_owned();
        let start = 32 + (path_length + 1).next_multiple_of(4);
        if flash.create(&path).is_err() {
            self.file_save_status = 3;
            return;
        }
        self.file_save_status = match data.get(start..length) {
            Some(content) if flash.append(&path, content) == Ok(()) => 0,
            _ => 4,
        };
    }

    /// `ide_dbg_dispatch_cmd`: takes one byte from the UART.
    pub fn feed(&mut self, byte: u8, board: &mut impl Peripherals) {
        if self.cmd_len_count == 0 {
            if self.is_busy_sending {
                return;
            }
            if self.xfer_length != self.xfer_bytes {
                self.receive(byte, board);
                self.xfer_bytes = self.xfer_bytes.wrapping_add(1);
                return;
            }
            if byte == START_FLAG {
                self.cmd_len_count = 1;
            }
            return;
        }
        self.cmd_buf[self.cmd_len_count] = byte;
        self.cmd_len_count += 1;
        if self.cmd_len_count < 6 {
            return;
        }
        let length = self.word(2);
        self.cmd = self.cmd_buf[1];
        if !self.begin(length, board) {
            return;
        }
        self.cmd_len_count = 0;
        if length != 0 && self.cmd & 0x80 != 0 {
            self.is_busy_sending = true;
            self.reply(board);
        }
    }

    /// What a header begins; false if the command wants more bytes first.
    fn begin(&mut self, length: u32, board: &mut impl Peripherals) -> bool {
        match self.cmd {
            command::FW_VERSION => {
                self.arm(length);
                // No error when there is none.
                let _ = board.flash().remove(super::flash::IDE_MODE_FILE);
            }
            command::FRAME_DUMP => {
                self.arm(length);
                if length != 0 {
                    self.is_sending_jpeg = true;
                }
            }
            command::SCRIPT_EXEC => {
                self.arm(length);
                self.script_buf.clear();
            }
            command::SCRIPT_STOP => {
                if self.script_running {
                    self.script_running = false;
                    board.raise_ide_interrupt();
                }
                self.cmd = command::NONE;
            }
            command::FILE_SAVE => self.begin_file(length),
            command::FRAME_SIZE
            | command::ARCH_STR
            | command::FILE_SAVE_STATUS
            | command::SCRIPT_RUNNING
            | command::TEMPLATE_SAVE
            | command::DESCRIPTOR_SAVE
            | command::TX_BUF
            | command::TX_BUF_LEN
            | command::QUERY_STATUS => self.arm(length),
            command::ATTR_WRITE => {
                if self.cmd_len_count < 10 {
                    return false;
                }
                board.set_attribute(self.half_word(6), self.half_word(8));
                self.cmd = command::NONE;
            }
            command::SYS_RESET => board.reset(),
            command::FB_ENABLE => {
                if self.cmd_len_count < 8 {
                    return false;
                }
                let enable = self.half_word(6);
                let jpeg = board.jpeg();
                jpeg.enabled = enable.into();
                if enable == 0 {
                    jpeg.lock.unlock(super::jpeg::Owner::Ide);
                }
                self.arm(length);
                self.cmd = command::NONE;
            }
            _ => self.cmd = command::NONE,
        }
        true
    }

    fn begin_file(&mut self, length: u32) {
        self.arm(length);
        self.file_save_status = 0;
        if length == 0 {
            return;
        }
        self.file_save_status = 1;
        self.file_length = length;
        // The sum wraps at 32 bits as the firmware's does.
        let padding = match length % 4 {
            0 => 0,
            rest => 4 - rest,
        };
        let allocated = length.wrapping_add(padding) as usize;
        self.upload = (allocated <= HEAP).then(|| (Vec::new(), allocated));
        if self.upload.is_none() {
            self.xfer_length = 0;
            self.file_length = 0;
            self.file_save_status = 2;
        }
    }

    fn arm(&mut self, length: u32) {
        self.xfer_bytes = 0;
        self.xfer_length = length as i32;
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|n| self.cmd_buf[at + n]))
    }

    fn half_word(&self, at: usize) -> i16 {
        i16::from_le_bytes(std::array::from_fn(|n| self.cmd_buf[at + n]))
    }

    fn set_word(&mut self, index: usize, value: u32) {
        self.cmd_buf[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
    }

    /// `ide_dbg_ack_data`.
    fn reply(&mut self, board: &mut impl Peripherals) {
        loop {
            let rest = self.xfer_length.wrapping_sub(self.xfer_bytes) as u32 as usize;
            let length = rest.min(MAX_PACKET);
            if length == 0 {
                if self.cmd == command::NONE {
                    self.is_busy_sending = false;
                }
                return;
            }
            self.fill(length, board);
            if !self.is_sending_jpeg {
                board.send(&self.cmd_buf[..length]);
                self.xfer_bytes = self.xfer_bytes.wrapping_add(length as i32);
                if self.xfer_bytes < self.xfer_length {
                    self.repeat(board);
                    continue;
                }
            }
            if self.cmd == command::NONE {
                self.is_sending_jpeg = false;
                self.is_busy_sending = false;
            }
            return;
        }
    }

    /// Sends all but the last of the pieces that will be the same as the one before, which may be
    /// millions when the length of the request was damaged.
    fn repeat(&mut self, board: &mut impl Peripherals) {
        let empty = self.cmd == command::TX_BUF && board.console().len() < MAX_PACKET;
        if self.cmd != command::NONE && !empty {
            return;
        }
        let rest = self.xfer_length.wrapping_sub(self.xfer_bytes) as usize;
        let count = (rest - 1) / MAX_PACKET;
        if count > 0 {
            board.send_repeated(&self.cmd_buf, count);
            let sent = (count * MAX_PACKET) as i32;
            self.xfer_bytes = self.xfer_bytes.wrapping_add(sent);
        }
    }

    /// The switch of `ide_dbg_ack_data`: puts one piece of the reply into the buffer.
    fn fill(&mut self, length: usize, board: &mut impl Peripherals) {
        match self.cmd {
            command::FW_VERSION => {
                for (index, part) in VERSION.into_iter().enumerate() {
                    self.set_word(index, part);
                }
            }
            command::TX_BUF_LEN => self.set_word(0, board.console().len() as u32),
            command::TX_BUF => {
                board.console().get(&mut self.cmd_buf[..length]);
                if self.xfer_bytes.wrapping_add(length as i32) != self.xfer_length {
                    return;
                }
            }
            command::FRAME_SIZE => {
                self.set_word(0, 0);
                let jpeg = board.jpeg();
                if jpeg.lock.try_lock(super::jpeg::Owner::Ide) {
                    if jpeg.size == 0 {
                        jpeg.lock.unlock(super::jpeg::Owner::Ide);
                    } else {
                        let words = [jpeg.width, jpeg.height, jpeg.size];
                        for (index, word) in words.into_iter().enumerate() {
                            self.set_word(index, word);
                        }
                    }
                }
            }
            command::FRAME_DUMP => {
                if self.xfer_bytes >= self.xfer_length {
                    return;
                }
                board.send_frame(self.xfer_length as usize);
                self.xfer_bytes = self.xfer_length;
                let jpeg = board.jpeg();
                jpeg.clear();
                jpeg.lock.unlock(super::jpeg::Owner::Ide);
            }
            command::ARCH_STR => {
                // snprintf writes the text and one NUL.
                let text = b"K210 [Maix:000000000000000000000000]\0";
                self.cmd_buf[..text.len()].copy_from_slice(text);
            }
            command::SCRIPT_RUNNING => self.set_word(0, self.script_running.into()),
            command::FILE_SAVE_STATUS => self.set_word(0, self.file_save_status),
            command::QUERY_STATUS => self.set_word(0, 0xffee_bbaa),
            _ => return,
        }
        self.cmd = command::NONE;
    }

    /// `ide_dbg_receive_data`: one byte of a command's data.
    fn receive(&mut self, byte: u8, board: &mut impl Peripherals) {
        let last = self.xfer_bytes.wrapping_add(1) == self.xfer_length;
        match self.cmd {
            command::SCRIPT_EXEC if !self.script_running => {
                if self.script_buf.len() < HEAP {
                    self.script_buf.push(byte);
                }
                if last {
                    self.script_ready = true;
                    self.script_running = true;
                    board.raise_ide_interrupt();
                }
            }
            command::FILE_SAVE => {
                if let Some((data, allocated)) = &mut self.upload
                    && data.len() < *allocated
                {
                    data.push(byte);
                }
                if last {
                    self.file_save_status = 5;
                    board.raise_ide_interrupt();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jpeg::Owner;
    use super::*;

    #[derive(Default)]
    struct Rest {
        sent: Vec<u8>,
        console: Console,
        jpeg: JpegBuffer,
        flash: Flash,
        interrupts: usize,
        resets: usize,
        attributes: Vec<(i16, i16)>,
    }

    impl Peripherals for Rest {
        fn send(&mut self, data: &[u8]) {
            self.sent.extend(data);
        }
        fn send_repeated(&mut self, data: &[u8], count: usize) {
            self.sent.extend(data.repeat(count.min(1000)));
        }
        fn send_frame(&mut self, length: usize) {
            let mut data = self.jpeg.pixels().to_vec();
            data.resize(length, 0);
            self.sent.extend(data);
        }
        fn console(&mut self) -> &mut Console {
            &mut self.console
        }
        fn jpeg(&mut self) -> &mut JpegBuffer {
            &mut self.jpeg
        }
        fn flash(&mut self) -> &mut Flash {
            &mut self.flash
        }
        fn raise_ide_interrupt(&mut self) {
            self.interrupts += 1;
        }
        fn set_attribute(&mut self, attribute: i16, value: i16) {
            self.attributes.push((attribute, value));
        }
        fn reset(&mut self) {
            self.resets += 1;
        }
    }

    #[derive(Default)]
    struct Bench {
        dispatcher: Dispatcher,
        rest: Rest,
    }

    impl Bench {
        fn new() -> Bench {
            let mut bench = Bench::default();
            bench.rest.console = Console::new(2048);
            bench.dispatcher.init();
            bench
        }

        fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
            for &byte in bytes {
                self.dispatcher.feed(byte, &mut self.rest);
            }
            std::mem::take(&mut self.rest.sent)
        }

        fn send(&mut self, command: u8, length: u32, data: &[u8]) -> Vec<u8> {
            let mut request = vec![START_FLAG, command];
            request.extend(length.to_le_bytes());
            request.extend(data);
            self.feed(&request)
        }

        fn is_alive(&mut self) -> bool {
            self.send(0x8d, 4, b"") == 0xffee_bbaa_u32.to_le_bytes()
        }

        fn save(&mut self, path: &[u8], content: &[u8]) -> u32 {
            let mut body = path.to_vec();
            body.push(0);
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(content);
            let mut data = Sha256::digest(&body).to_vec();
            data.extend(body);
            self.upload(&data)
        }

        fn upload(&mut self, data: &[u8]) -> u32 {
            self.send(0x07, data.len() as u32, data);
            if self.dispatcher.need_save_file() {
                self.dispatcher.save_file(&mut self.rest.flash);
            }
            self.status()
        }

        fn status(&mut self) -> u32 {
            let reply = self.send(0x88, 4, b"");
            u32::from_le_bytes(reply.try_into().unwrap())
        }

        fn put_frame(&mut self, size: u32) {
            self.rest.jpeg.enabled = 1;
            self.rest.jpeg.width = 320;
            self.rest.jpeg.height = 240;
            self.rest.jpeg.size = size;
        }
    }

    #[test]
    fn words_that_a_reply_does_not_set_are_the_commands() {
        let mut bench = Bench::new();
        // The header's last two bytes of length, then nothing yet.
        assert_eq!(bench.send(0x81, 12, b""), [0; 12]);
        // ATTR_WRITE leaves its data where FRAME_SIZE's second and third words are.
        bench.send(0x0b, 0, &[2, 0, 0xfe, 0xff]);
        assert_eq!(bench.rest.attributes, [(2, -2)]);
        assert_eq!(
            bench.send(0x81, 12, b""),
            [0, 0, 0, 0, 0, 0, 2, 0, 0xfe, 0xff, 0, 0]
        );
        // ARCH_STR is not padded: its text hides what was there only as far as it goes.
        bench.put_frame(77);
        let text = bench.send(0x83, 64, b"");
        assert_eq!(&text[..37], b"K210 [Maix:000000000000000000000000]\0");
        let mut after = *b"K210 [Maix:0";
        after[1..6].copy_from_slice(&[0x8d, 12, 0, 0, 0]);
        after[..4].copy_from_slice(&0xffee_bbaa_u32.to_le_bytes());
        assert_eq!(bench.send(0x8d, 12, b""), after);
    }

    #[test]
    fn a_length_too_long_repeats_the_buffer() {
        let mut bench = Bench::new();
        let reply = bench.send(0x8d, 300, b"");
        assert_eq!(reply.len(), 300);
        assert_eq!(reply[..4], 0xffee_bbaa_u32.to_le_bytes());
        for piece in reply.chunks(64) {
            assert_eq!(*piece, reply[..piece.len()]);
        }
        assert!(bench.is_alive());
        // A gigabyte is told, not made.
        assert_eq!(bench.send(0x8d, 1 << 30, b"").len(), 64 + 1000 * 64 + 64);
        assert!(bench.is_alive());
    }

    #[test]
    fn a_negative_length_leaves_the_rest_armed_or_the_machine_busy() {
        let mut bench = Bench::new();
        assert_eq!(bench.send(0x8d, 0xffff_ffff, b"").len(), 64);
        assert!(!bench.is_alive(), "bytes to receive");
        bench.dispatcher.init();
        assert!(bench.is_alive());
        assert_eq!(bench.send(0x82, 0x8000_0000, b"").len(), 0);
        assert!(!bench.is_alive(), "busy");
        bench.dispatcher.init();
        assert!(!bench.is_alive(), "takes it for a JPEG once");
        bench.feed(&[0; 4]);
        assert!(bench.is_alive());
    }

    #[test]
    fn fb_enable_arms_its_length() {
        let mut bench = Bench::new();
        bench.send(0x0d, 0, &[1, 0]);
        assert_eq!(bench.rest.jpeg.enabled, 1);
        assert!(bench.is_alive());
        bench.send(0x0d, 2, &[0xff, 0xff]);
        assert_eq!(bench.rest.jpeg.enabled, -1);
        assert!(!bench.is_alive(), "its start was swallowed");
        assert!(bench.is_alive());
    }

    #[test]
    fn asking_twice_for_a_frame_lets_it_go() {
        let mut bench = Bench::new();
        bench.put_frame(5);
        let told = bench.send(0x81, 12, b"");
        assert_eq!(told, [64, 1, 0, 0, 240, 0, 0, 0, 5, 0, 0, 0]);
        assert!(!bench.rest.jpeg.lock.try_lock(Owner::Camera), "locked");
        assert_eq!(bench.send(0x81, 12, b"")[..4], [0; 4]);
        assert!(bench.rest.jpeg.begin().is_some(), "free again");
        bench.rest.jpeg.lock.unlock(Owner::Camera);
        // A dump empties the buffer, with any length and with no lock.
        assert_eq!(bench.send(0x82, 30_000, b"").len(), 30_000);
        assert_eq!(bench.rest.jpeg.size, 0);
        assert!(bench.is_alive());
    }

    #[test]
    fn disabling_frees_the_frame() {
        let mut bench = Bench::new();
        bench.put_frame(5);
        bench.send(0x81, 12, b"");
        bench.send(0x0d, 0, &[0, 0]);
        bench.rest.jpeg.enabled = 1;
        assert!(bench.rest.jpeg.begin().is_some());
    }

    #[test]
    fn output_that_is_not_there_is_made_of_the_buffer() {
        let mut bench = Bench::new();
        bench.rest.console.put(b"hello");
        assert_eq!(bench.send(0x8e, 4, b""), [5, 0, 0, 0]);
        assert_eq!(bench.send(0x8f, 6, b""), [5, 0x8f, 6, 0, 0, 0]);
        assert_eq!(bench.send(0x8f, 5, b""), b"hello");
        let long = "x".repeat(70);
        bench.rest.console.put(long.as_bytes());
        let reply = bench.send(0x8f, 200, b"");
        assert_eq!(reply.len(), 200);
        assert_eq!(reply[..64], long.as_bytes()[..64]);
        assert_eq!(bench.rest.console.len(), 6, "a piece of 64 was not there");
    }

    #[test]
    fn scripts_are_taken_unless_one_runs() {
        let mut bench = Bench::new();
        bench.send(0x05, 0, b"");
        assert!(!bench.dispatcher.script_ready());
        bench.send(0x05, 5, b"first");
        assert!(bench.dispatcher.script_ready());
        assert_eq!(bench.rest.interrupts, 1);
        assert_eq!(bench.send(0x87, 4, b""), [1, 0, 0, 0]);
        bench.send(0x05, 6, b"second");
        assert_eq!(bench.rest.interrupts, 1);
        assert!(bench.is_alive(), "its bytes were taken");
        bench.send(0x06, 0, b"");
        assert_eq!(bench.rest.interrupts, 2);
        bench.send(0x06, 0, b"");
        assert_eq!(bench.rest.interrupts, 2, "nothing runs");
        // A script's end disarms an upload on its way: the rest of it is taken for commands.
        bench.send(0x05, 10, b"half");
        bench.dispatcher.init();
        assert!(bench.is_alive());
        assert!(!bench.dispatcher.script_ready());
    }

    #[test]
    fn files_are_saved_with_every_status() {
        let mut bench = Bench::new();
        assert_eq!(bench.save(b"/flash/a.txt", b"content"), 0);
        assert_eq!(bench.rest.flash.read("a.txt"), Ok(&b"content"[..]));
        assert_eq!(bench.save(b"/sd/a.txt", b"content"), 3);
        assert_eq!(bench.upload(&[0; 40]), 6);
        assert_eq!(bench.upload(b"short"), 6);
        bench.send(0x07, 1 << 30, b"");
        assert_eq!(bench.status(), 2);
        bench.send(0x07, 40, b"");
        // The rest of it is awaited, whatever comes.
        assert!(!bench.is_alive());
        bench.dispatcher.init();
        assert_eq!(bench.status(), 1);
        // A path whose padding is not sent: the content's length is negative.
        let mut data = Sha256::digest(b"/flash/bc\0").to_vec();
        data.extend(b"/flash/bc\0");
        assert_eq!(bench.upload(&data), 4);
        assert_eq!(bench.rest.flash.read("bc"), Ok(&b""[..]));
    }

    #[test]
    fn unknown_commands_are_dropped() {
        let mut bench = Bench::new();
        for command in [0x00, 0x8a, 0x99, 0xff] {
            assert_eq!(bench.send(command, 4, b""), []);
            assert!(bench.is_alive());
        }
        assert_eq!(bench.feed(b"noise without its start"), []);
        assert_eq!(bench.send(0x80, 12, b"")[4..8], VERSION[1].to_le_bytes());
        bench.send(0x0c, 0, b"");
        assert_eq!(bench.rest.resets, 1);
    }
}
