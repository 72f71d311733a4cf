// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to tell the user when something goes wrong: what it is, and what to do about it.

use std::io;
use std::path::Path;

use k210_link::address::{Address, AddressError};
use k210_link::connect::ConnectError;
use k210_link::session::SessionError;
use k210_link::transport::serial::OpenError;

#[cfg(feature = "sim")]
use super::footage::Error;

/// An error to post: its code, and the sentence that the user reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub code: gst::ResourceError,
    pub text: String,
}

impl From<Report> for gst::ErrorMessage {
    fn from(report: Report) -> Self {
        gst::ErrorMessage::new(
            &report.code,
            Some(&report.text),
            None,
            file!(),
            module_path!(),
            line!(),
        )
    }
}

macro_rules! report {
    ($code:ident, $($text:tt)+) => {
        Report { code: gst::ResourceError::$code, text: format!($($text)+) }
    };
}

/// Why there is no frame.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The element is being stopped or flushed.
    Flushing,
    /// The script came to its end.
    Eos,
    /// The board is gone, and may come back.
    Lost(Report),
    /// There is no board, or none that gives pictures. One that has given some may do so again.
    Unfit(Report),
    /// Nothing that waiting would mend.
    Fatal(Report),
}

impl Trouble {
    /// Something that may mend itself.
    pub(crate) fn from_session(error: SessionError, device: &str) -> Self {
        match error {
            SessionError::Interrupted => Trouble::Flushing,
            // It is there, and does not come to an end.
            SessionError::Overdue => Trouble::Unfit(session_error(&SessionError::Overdue, device)),
            error => Trouble::Lost(session_error(&error, device)),
        }
    }
}

/// A device property, or `K210_DEVICE`, that names nothing.
pub(crate) fn bad_address(error: &AddressError) -> Report {
    report!(
        Settings,
        "{error}; the property device takes a serial port such as /dev/ttyUSB0, \
             tcp://host:port, or sim: for the built-in simulated board"
    )
}

/// No board was named and none was found.
pub(crate) fn no_board() -> Report {
    report!(
        NotFound,
        "No K210 board was found on USB. Plug one in, or name its port with the property \
             device or the environment variable K210_DEVICE; device=sim: is a simulated board"
    )
}

/// A serial port that cannot be opened.
pub(crate) fn open_error(error: &OpenError) -> Report {
    match error {
        OpenError::NotFound(_) => report!(
            NotFound,
            "Cannot open the board's port: {error}. Is the board plugged in? \
                 `gst-device-monitor-1.0 Video/Source` lists boards; device=sim: is a simulated one"
        ),
        OpenError::Denied {
            group: Some(group), ..
        } => report!(
            NotAuthorized,
            "Cannot open the board's port: {error}. Join the group that may \
                 (`sudo usermod -aG {group} $USER`) and log in again"
        ),
        OpenError::Denied { path, group: None } => report!(
            NotAuthorized,
            "Cannot open the board's port: {error}. No group may: have its owner let you \
                 (`sudo chmod a+rw {}`), or a udev rule do so each time",
            path.display()
        ),
        OpenError::InUse { .. } => report!(
            Busy,
            "Cannot open the board's port: {error}. Close that program first"
        ),
        OpenError::NotAPort(_) => report!(
            Settings,
            "{error}; the property device takes a serial port such as /dev/ttyUSB0, and \
                 sim:FILE for a simulated board that looks at a video file"
        ),
        OpenError::Speed { .. } => report!(
            Settings,
            "{error}; set the property baudrate to a speed that the adapter does, such as 115200"
        ),
        OpenError::Io { .. } => {
            report!(OpenReadWrite, "{error}")
        }
    }
}

/// A board whose port belongs to another one now.
pub(crate) fn other_board(path: &Path) -> Report {
    report!(
        NotFound,
        "The board is gone, and {} is another board's port now. Plug it in again",
        path.display()
    )
}

/// A serial server that cannot be reached.
pub(crate) fn tcp_error(error: &io::Error, address: &Address) -> Report {
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "Nothing listens there: start the serial server (ser2net, say), or check the port"
        }
        io::ErrorKind::TimedOut => "There is no answer: check the address and the firewall",
        _ => "Check the name and the network",
    };
    report!(
        OpenReadWrite,
        "Cannot connect to {address}: {error}. {advice}"
    )
}

/// A simulated board in a plugin that has none.
#[cfg(not(feature = "sim"))]
pub(super) fn no_sim(address: &Address) -> Report {
    report!(
        NotFound,
        "{address}: this plugin was built without the simulated board (feature sim); start the \
             program k210-sim and give its port as device"
    )
}

/// A simulated board that cannot be made.
#[cfg(feature = "sim")]
pub(crate) fn sim_error(error: &str, address: &Address) -> Report {
    report!(
        OpenRead,
        "Cannot start the simulated board {address}: {error}"
    )
}

/// A simulated board whose film cannot be shown.
#[cfg(feature = "sim")]
pub(super) fn no_footage(error: &Error, address: &Address) -> Report {
    let advice = match error {
        Error::Setup(_) => "Install it, or take sim: for a test picture",
        _ => "Name a video file behind sim:, or nothing for a test picture",
    };
    report!(
        OpenRead,
        "Cannot start the simulated board {address}: {error}. {advice}"
    )
}

/// A script file that cannot be read.
pub(crate) fn script_error(error: &io::Error, path: &str) -> Report {
    report!(OpenRead, "Cannot read the script “{path}”: {error}")
}

/// A board that could not be brought to stream.
pub(crate) fn connect_error(error: &ConnectError, device: &str) -> Report {
    match error {
        ConnectError::Silent => report!(
            Read,
            "The board on {device} is silent. Is it a K210 board with MaixPy firmware, and is \
                 this its port (some adapters have two)? Press its reset button and try again"
        ),
        ConnectError::Garbage(bytes) => report!(
            Read,
            "What comes from {device} is garbage ({bytes} bytes, no answer). Is it a K210 \
                 board with MaixPy firmware? Check the cable, and that nothing else drives the line"
        ),
        ConnectError::Deaf(line) => report!(
            Busy,
            "A script on the board at {device} ignores Ctrl-C (its last line is “{line}”). Press \
                 the board's reset button, and remove or rename its main.py"
        ),
        ConnectError::Wedged => report!(
            Busy,
            "The board at {device} is stuck in a script that does not let itself be stopped. \
                 Press its reset button and try again"
        ),
        ConnectError::NoIdeMode(baud) => report!(
            Settings,
            "The board at {device} does not answer at {baud} baud after it was switched there. \
                 Reset it and set baudrate to a speed that both ends do; over tcp:// to the speed \
                 that the serial server is set to"
        ),
        ConnectError::ScriptFailed(text) => {
            report!(Failed, "The script on the board at {device} failed: {text}")
        }
        ConnectError::NotStarted => report!(
            Failed,
            "The board at {device} does not start the script, or the script ended at once without \
                 a word. Press its reset button and try again"
        ),
        ConnectError::Session(error) | ConnectError::Lost(error) => session_error(error, device),
        ConnectError::Interrupted => {
            report!(Failed, "Connecting was interrupted")
        }
    }
}

/// A link that failed.
pub(crate) fn session_error(error: &SessionError, device: &str) -> Report {
    match error {
        SessionError::Gone(_) if device.starts_with("tcp://") => report!(
            Read,
            "The board at {device} is gone: {error}. Is it plugged in there? Serial servers also \
                 turn away whoever comes second: close other programs that use it"
        ),
        SessionError::Gone(_) => report!(
            Read,
            "The board at {device} is gone: {error}. Check its cable and plug it in again"
        ),
        SessionError::Babble(_) | SessionError::Nonsense { .. } => report!(
            Read,
            "What comes from the board at {device} is garbage: {error}. Check the cable, and \
                 that the adapter does the speed (property baudrate)"
        ),
        _ => report!(
            Read,
            "The board at {device} does not answer any more: {error}. Press its reset button, \
                 or plug it in again"
        ),
    }
}

/// A script that raised an exception.
pub(crate) fn script_failed(text: &str, device: &str) -> Report {
    report!(
        Failed,
        "The script on the board at {device} ended with an error: {text}"
    )
}

/// A line that spoils every picture.
pub(crate) fn damaged(device: &str) -> String {
    format!(
        "Every picture from the board at {device} arrives damaged. Check the cable, and that the \
         adapter does the speed (property baudrate)"
    )
}

/// A script that runs and takes no pictures.
pub(crate) fn no_frames(device: &str, seconds: f64) -> Report {
    report!(
        Read,
        "The board at {device} is stuck: its script runs and has taken no picture for \
             {seconds:.1} s. Press its reset button; if the script needs longer, set frame-timeout"
    )
}
