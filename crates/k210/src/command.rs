// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests of the firmware's debug protocol.
//!
//! A request is a header of six bytes: [`START_FLAG`], the command's code, a little-endian `u32`
//! length; some carry data behind it. There is no checksum, no framing of replies and no
//! acknowledgement of requests without a reply.
//!
//! # The length field
//! It means three different things to `ide_dbg_dispatch_cmd` (`ide_dbg.c`), which is why it is
//! computed here and nowhere else:
//! - for a command that answers, it is the number of bytes that the board will send. The board
//!   does not check it: it sends as many as it was asked for, meaningful or not;
//! - for `SCRIPT_EXEC` and `FILE_SAVE` it arms the dispatcher to take that many bytes as data;
//! - `ATTR_WRITE` and `FB_ENABLE` have their operands read as part of the header itself. For
//!   `ATTR_WRITE` the length is ignored. For `FB_ENABLE` it is stored as "bytes to receive"
//!   *after* the operand was read, so any other value than 0 swallows the beginning of the next
//!   request. Both are sent with 0, and so are the commands without operands.

use std::time::Duration;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The first byte of each request (`IDE_DBG_CMD_START_FLAG`).
pub const START_FLAG: u8 = 0x30;

/// Size of a request's header in bytes.
pub const HEADER_SIZE: usize = 6;

/// What `QUERY_STATUS` answers.
pub const STATUS_ALIVE: u32 = 0xFFEE_BBAA;

/// Size of the answer to `ARCH_STR` in bytes (`IDE_DBG_MAX_PACKET`).
pub const ARCH_STR_SIZE: u32 = 64;

/// The longest file that [`file_image`] accepts, in bytes.
///
/// The firmware collects the whole upload in one `malloc`. When that fails it goes back to reading
/// commands while the data still arrives, and takes the data for commands; so the host has to stay
/// well below the memory a board has free beside its frame buffers.
pub const MAX_FILE_SIZE: usize = 512 * 1024;

/// The command codes of `enum usbdbg_cmd` (`ide_dbg.h`) that the dispatcher implements; what
/// each does stands at [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The firmware's version.
    FwVersion = 0x80,
    /// Whether a frame is ready, and its size.
    FrameSize = 0x81,
    /// The frame.
    FrameDump = 0x82,
    /// The kind of board.
    ArchStr = 0x83,
    /// Runs a script.
    ScriptExec = 0x05,
    /// Interrupts the script.
    ScriptStop = 0x06,
    /// Whether a script runs.
    ScriptRunning = 0x87,
    /// Writes a file.
    FileSave = 0x07,
    /// What became of the file.
    FileSaveStatus = 0x88,
    /// Changes a sensor setting.
    AttrWrite = 0x0B,
    /// Reboots the board.
    SysReset = 0x0C,
    /// Turns the making of frames on or off.
    FbEnable = 0x0D,
    /// A sign of life.
    QueryStatus = 0x8D,
    /// How much script output waits.
    TxBufLen = 0x8E,
    /// Script output.
    TxBuf = 0x8F,
}

impl Code {
    /// Every code, in the order of the counters that are kept by command.
    pub const ALL: [Code; 15] = [
        Code::FwVersion,
        Code::FrameSize,
        Code::FrameDump,
        Code::ArchStr,
        Code::ScriptExec,
        Code::ScriptStop,
        Code::ScriptRunning,
        Code::FileSave,
        Code::FileSaveStatus,
        Code::AttrWrite,
        Code::SysReset,
        Code::FbEnable,
        Code::QueryStatus,
        Code::TxBufLen,
        Code::TxBuf,
    ];

    /// The firmware's name in lower case with dashes, as statistics show it.
    pub fn name(self) -> &'static str {
        match self {
            Code::FwVersion => "fw-version",
            Code::FrameSize => "frame-size",
            Code::FrameDump => "frame-dump",
            Code::ArchStr => "arch-str",
            Code::ScriptExec => "script-exec",
            Code::ScriptStop => "script-stop",
            Code::ScriptRunning => "script-running",
            Code::FileSave => "file-save",
            Code::FileSaveStatus => "file-save-status",
            Code::AttrWrite => "attr-write",
            Code::SysReset => "sys-reset",
            Code::FbEnable => "fb-enable",
            Code::QueryStatus => "query-status",
            Code::TxBufLen => "tx-buf-len",
            Code::TxBuf => "tx-buf",
        }
    }
}

/// A byte that is no command code of the dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("0x{0:02x} is not a command of the debug protocol")]
pub struct UnknownCode(pub u8);

impl TryFrom<u8> for Code {
    type Error = UnknownCode;

    fn try_from(byte: u8) -> Result<Self, UnknownCode> {
        Code::ALL
            .into_iter()
            .find(|code| *code as u8 == byte)
            .ok_or(UnknownCode(byte))
    }
}

/// A sensor setting that can be changed while a script runs (`sensor_attr_t`, `sensor.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Attribute {
    /// -2 to 2.
    Contrast = 0,
    /// -2 to 2.
    Brightness = 1,
    /// -2 to 2.
    Saturation = 2,
    /// The position in `gainceiling_t`, 0 for a gain of 2 to 6 for a gain of 128: unlike
    /// MicroPython's `sensor.set_gainceiling`, the dispatcher passes the number on untranslated.
    GainCeiling = 3,
}

/// Which way data goes after the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The board answers with exactly this many bytes.
    In(u32),
    /// The host sends this many bytes of data; the board answers nothing.
    Out(u32),
    /// Nothing follows.
    None,
}

/// What may be done about a request whose answer did not come or made no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It changes nothing on the board, or the same again: repeat it once the line is quiet.
    Repeat,
    /// Asking again gives a later frame or later text: what was in flight is lost, and counted so.
    Lost,
    /// There is no answer to miss; whether it worked shows in the state it was to bring about.
    Verify,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Three `u32`: major, minor, patch. Also removes `/flash/ide_mode.conf`, so that the next
    /// boot leads to the prompt.
    FwVersion,
    /// Three `u32`: width, height, bytes of the JPEG. The first is 0 when no frame is ready and
    /// then the others are leftovers. Any other answer locks the frame; asking again while it is
    /// locked unlocks it and answers 0 (`mutex_try_lock`, `mutex.c`).
    FrameSize,
    /// `size` bytes of the frame, which is emptied and unlocked whatever `size` is.
    FrameDump {
        /// Bytes to send, as [`Command::FrameSize`] told.
        size: u32,
    },
    /// 64 bytes of NUL-padded text, `ARCH [BOARD:UID]`.
    ArchStr,
    /// Runs MicroPython source; swallowed without effect while a script runs.
    ScriptExec {
        /// The script.
        source: &'a [u8],
    },
    /// Raises `IDE interrupt` in the running script.
    ScriptStop,
    /// A `u32`, 0 or 1.
    ScriptRunning,
    /// Writes a file to the board's flash; stops a running script.
    FileSave {
        /// What [`file_image`] made.
        image: &'a [u8],
    },
    /// A `u32`, see [`FileStatus`].
    FileSaveStatus,
    /// Changes a sensor setting. The board writes the sensor's registers over I2C before it reads
    /// on, with room for a few bytes only.
    AttrWrite {
        /// Which setting.
        attribute: Attribute,
        /// Its value, see [`Attribute`].
        value: i16,
    },
    /// Reboots the board at once.
    SysReset,
    /// Turns the making of JPEG frames on or off.
    FbEnable {
        /// On or off.
        enabled: bool,
    },
    /// A `u32`, [`STATUS_ALIVE`].
    QueryStatus,
    /// A `u32`: bytes of script output that wait.
    TxBufLen,
    /// Takes script output. More than waits must not be asked for: the board would send leftovers.
    TxBuf {
        /// Bytes to take.
        len: u32,
    },
}

impl Command<'_> {
    /// The byte that names the command.
    pub fn code(&self) -> Code {
        match self {
            Command::FwVersion => Code::FwVersion,
            Command::FrameSize => Code::FrameSize,
            Command::FrameDump { .. } => Code::FrameDump,
            Command::ArchStr => Code::ArchStr,
            Command::ScriptExec { .. } => Code::ScriptExec,
            Command::ScriptStop => Code::ScriptStop,
            Command::ScriptRunning => Code::ScriptRunning,
            Command::FileSave { .. } => Code::FileSave,
            Command::FileSaveStatus => Code::FileSaveStatus,
            Command::AttrWrite { .. } => Code::AttrWrite,
            Command::SysReset => Code::SysReset,
            Command::FbEnable { .. } => Code::FbEnable,
            Command::QueryStatus => Code::QueryStatus,
            Command::TxBufLen => Code::TxBufLen,
            Command::TxBuf { .. } => Code::TxBuf,
        }
    }

    /// Which way data goes, and how much.
    pub fn direction(&self) -> Direction {
        match self {
            Command::FwVersion | Command::FrameSize => Direction::In(12),
            Command::FrameDump { size } => Direction::In(*size),
            Command::ArchStr => Direction::In(ARCH_STR_SIZE),
            Command::ScriptRunning
            | Command::FileSaveStatus
            | Command::QueryStatus
            | Command::TxBufLen => Direction::In(4),
            Command::TxBuf { len } => Direction::In(*len),
            Command::ScriptExec { source: data } | Command::FileSave { image: data } => {
                Direction::Out(u32::try_from(data.len()).unwrap_or(u32::MAX))
            }
            Command::AttrWrite { .. } => Direction::Out(4),
            Command::FbEnable { .. } => Direction::Out(2),
            Command::ScriptStop | Command::SysReset => Direction::None,
        }
    }

    /// What belongs into the header's length field; see the module's documentation.
    pub fn length(&self) -> u32 {
        match (self, self.direction()) {
            (Command::AttrWrite { .. } | Command::FbEnable { .. }, _) => 0,
            (_, Direction::In(n) | Direction::Out(n)) => n,
            (_, Direction::None) => 0,
        }
    }

    /// Bytes of the answer.
    pub fn reply_len(&self) -> usize {
        match self.direction() {
            Direction::In(n) => n as usize,
            Direction::Out(_) | Direction::None => 0,
        }
    }

    /// The bytes to send: the header, and the data if there is any.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_SIZE + 4);
        bytes.extend([START_FLAG, self.code() as u8]);
        bytes.extend(self.length().to_le_bytes());
        match self {
            Command::ScriptExec { source: data } | Command::FileSave { image: data } => {
                bytes.extend_from_slice(data)
            }
            Command::AttrWrite { attribute, value } => {
                bytes.extend((*attribute as i16).to_le_bytes());
                bytes.extend(value.to_le_bytes());
            }
            Command::FbEnable { enabled } => bytes.extend(i16::from(*enabled).to_le_bytes()),
            _ => {}
        }
        bytes
    }

    /// How long the board may take before the first byte of the answer, beyond the time the bytes
    /// themselves spend on the wire.
    ///
    /// For a command without an answer, how long to leave the board alone afterwards.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(match self {
            // The dispatcher answers from the receive interrupt: at once, but for the latency of
            // the adapter (16 ms for an FTDI chip) and of the network.
            Command::FrameSize
            | Command::FrameDump { .. }
            | Command::ArchStr
            | Command::ScriptRunning
            | Command::FileSaveStatus
            | Command::QueryStatus
            | Command::TxBufLen
            | Command::TxBuf { .. } => 250,
            // It removes a file first, which can erase a block of the flash.
            Command::FwVersion => 1500,
            // The interpreter notices the interrupt between two bytecodes.
            Command::ScriptExec { .. } | Command::ScriptStop => 0,
            Command::FileSave { .. } => 0,
            // Up to a dozen registers over I2C at 100 kHz, from the interrupt.
            Command::AttrWrite { .. } => 20,
            Command::SysReset => 100,
            Command::FbEnable { .. } => 0,
        })
    }

    /// What may be done when the answer did not come.
    ///
    /// Where a lost answer to `FRAME_SIZE` had locked a frame, its repetition lets go of it and
    /// announces none; the one after announces it again.
    pub fn retry(&self) -> Retry {
        match self {
            Command::FwVersion
            | Command::FrameSize
            | Command::ArchStr
            | Command::ScriptRunning
            | Command::FileSaveStatus
            | Command::QueryStatus
            | Command::TxBufLen => Retry::Repeat,
            Command::FrameDump { .. } | Command::TxBuf { .. } => Retry::Lost,
            Command::ScriptExec { .. }
            | Command::ScriptStop
            | Command::FileSave { .. }
            | Command::AttrWrite { .. }
            | Command::SysReset
            | Command::FbEnable { .. } => Retry::Verify,
        }
    }
}

/// What `FILE_SAVE_STATUS` answers (`ide_file_save_status`, `ide_dbg.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// Saved, or nothing was ever sent.
    Ok,
    /// Bytes of the upload are outstanding.
    Receiving,
    /// The board has no memory for the upload.
    NoMemory,
    /// The path cannot be opened for writing.
    OpenFailed,
    /// The flash is full or failed.
    WriteFailed,
    /// All bytes are there, the file is being written.
    Saving,
    /// The SHA-256 did not match: bytes were damaged on the way.
    BadChecksum,
    /// A number that the firmware does not define.
    Other(u32),
}

impl From<u32> for FileStatus {
    fn from(status: u32) -> Self {
        match status {
            0 => FileStatus::Ok,
            1 => FileStatus::Receiving,
            2 => FileStatus::NoMemory,
            3 => FileStatus::OpenFailed,
            4 => FileStatus::WriteFailed,
            5 => FileStatus::Saving,
            6 => FileStatus::BadChecksum,
            other => FileStatus::Other(other),
        }
    }
}

/// Why a file cannot be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileImageError {
    /// The path is empty or holds a NUL, which ends it on the board.
    #[error("“{0}” is not a path on the board's flash")]
    BadPath(String),
    /// The content is longer than [`MAX_FILE_SIZE`].
    #[error("the file has {0} bytes, the board takes at most {MAX_FILE_SIZE}")]
    TooLong(usize),
}

/// Lays a file out for [`Command::FileSave`]: the SHA-256 of the rest, the NUL-terminated path
/// padded to a multiple of four, the content (`ide_save_file`, `ide_dbg.c`).
///
/// `path` is absolute on the board, as `/flash/main.py`.
pub fn file_image(path: &str, content: &[u8]) -> Result<Vec<u8>, FileImageError> {
    if path.is_empty() || path.contains('\0') {
        return Err(FileImageError::BadPath(path.into()));
    }
    if content.len() > MAX_FILE_SIZE {
        return Err(FileImageError::TooLong(content.len()));
    }
    let mut body = path.as_bytes().to_vec();
    body.push(0);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend_from_slice(content);

    let mut image = Sha256::digest(&body).to_vec();
    image.append(&mut body);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_six_bytes_little_endian() {
        assert_eq!(
            Command::FrameDump { size: 0x1234 }.encode(),
            [0x30, 0x82, 0x34, 0x12, 0, 0]
        );
        assert_eq!(Command::FrameSize.encode(), [0x30, 0x81, 12, 0, 0, 0]);
        assert_eq!(Command::ArchStr.encode(), [0x30, 0x83, 64, 0, 0, 0]);
        assert_eq!(
            Command::ScriptExec { source: b"a=1" }.encode(),
            *b"\x30\x05\x03\0\0\0a=1"
        );
    }

    #[test]
    fn operands_read_with_the_header_leave_nothing_armed() {
        assert_eq!(
            Command::FbEnable { enabled: true }.encode(),
            [0x30, 0x0d, 0, 0, 0, 0, 1, 0]
        );
        assert_eq!(
            Command::AttrWrite {
                attribute: Attribute::Saturation,
                value: -2
            }
            .encode(),
            [0x30, 0x0b, 0, 0, 0, 0, 2, 0, 0xfe, 0xff]
        );
        assert_eq!(Command::ScriptStop.encode(), [0x30, 0x06, 0, 0, 0, 0]);
        assert_eq!(Command::SysReset.encode(), [0x30, 0x0c, 0, 0, 0, 0]);
    }

    #[test]
    fn codes_go_both_ways_and_no_other_byte_is_one() {
        let known = (0..=255u8)
            .filter(|byte| match Code::try_from(*byte) {
                Ok(code) => {
                    assert_eq!(code as u8, *byte);
                    true
                }
                Err(UnknownCode(unknown)) => {
                    assert_eq!(unknown, *byte);
                    false
                }
            })
            .count();
        assert_eq!(known, Code::ALL.len());
    }

    #[test]
    fn only_commands_with_bit_7_have_an_answer() {
        let commands = [
            Command::FwVersion,
            Command::FrameSize,
            Command::FrameDump { size: 9 },
            Command::ArchStr,
            Command::ScriptExec { source: b"x" },
            Command::ScriptStop,
            Command::ScriptRunning,
            Command::FileSave { image: b"x" },
            Command::FileSaveStatus,
            Command::AttrWrite {
                attribute: Attribute::Contrast,
                value: 0,
            },
            Command::SysReset,
            Command::FbEnable { enabled: false },
            Command::QueryStatus,
            Command::TxBufLen,
            Command::TxBuf { len: 5 },
        ];
        assert_eq!(commands.len(), Code::ALL.len());
        for command in commands {
            let answers = matches!(command.direction(), Direction::In(_));
            assert_eq!(command.code() as u8 & 0x80 != 0, answers, "{command:?}");
            assert_eq!(command.reply_len() > 0, answers, "{command:?}");
        }
    }

    #[test]
    fn file_image_is_hash_padded_path_content() {
        let image = file_image("/flash/a.py", b"print(1)\n").unwrap();
        assert_eq!(&image[32..44], b"/flash/a.py\0");
        assert_eq!(&image[44..], b"print(1)\n");
        assert_eq!(&image[..32], &Sha256::digest(&image[32..])[..]);

        let image = file_image("/flash/ab.py", b"x").unwrap();
        assert_eq!(&image[32..], b"/flash/ab.py\0\0\0\0x");
    }

    #[test]
    fn files_the_board_cannot_take_are_refused() {
        assert_eq!(
            file_image("a\0b", b""),
            Err(FileImageError::BadPath("a\0b".into()))
        );
        assert!(matches!(
            file_image("/flash/x", &vec![0; MAX_FILE_SIZE + 1]),
            Err(FileImageError::TooLong(_))
        ));
    }
}
