// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far it is: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;

const WIDTH: usize = 40;

/// The bar; its line ends with it.
#[derive(Debug)]
pub(crate) struct Bar {
    shown: bool,
    drawn: bool,
}

impl Bar {
    /// A bar where somebody sees it.
    pub(crate) fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            drawn: false,
        }
    }

    /// So much is done; how much there is may not be known.
    pub(crate) fn at(&mut self, done: gst::ClockTime, all: Option<gst::ClockTime>) {
        if !self.shown {
            return;
        }
        self.drawn = true;
        eprint!("\r{}", text(done, all));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn {
            eprintln!();
        }
    }
}

fn text(done: gst::ClockTime, all: Option<gst::ClockTime>) -> String {
    let seconds = done.nseconds() as f64 / 1e9;
    match all.filter(|all| !all.is_zero()) {
        Some(all) => {
            let part = (done.nseconds() as f64 / all.nseconds() as f64).min(1.0);
            let full = (part * WIDTH as f64) as usize;
            let (full, rest) = ("#".repeat(full), "-".repeat(WIDTH - full));
            format!("[{full}{rest}] {:3.0} %", part * 100.0)
        }
        None => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_the_part_that_is_done() {
        let at = |done| {
            let all = Some(gst::ClockTime::from_seconds(20));
            text(gst::ClockTime::from_seconds(done), all)
        };
        assert_eq!(at(0), format!("[{}]   0 %", "-".repeat(40)));
        assert_eq!(
            at(5),
            format!("[{}{}]  25 %", "#".repeat(10), "-".repeat(30))
        );
        assert_eq!(at(21), format!("[{}] 100 %", "#".repeat(40)));
        assert_eq!(text(gst::ClockTime::from_seconds(3), None), "3 s");
    }
}
