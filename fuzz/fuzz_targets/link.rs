// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as what a board answers to the link: babbling, stalling, cut off or gone. Time is
//! simulated: it passes by waiting alone, and no board makes the link wait beyond its deadlines.
#![no_main]

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use k210_link::IDE_BAUD_RATE;
use k210_link::connect::{Goal, PATIENCE, connect};
use k210_link::interrupt::Interrupt;
use k210_link::script::SensorSetup;
use k210_link::session::{Fetched, Session};
use k210_link::transport::Transport;
use libfuzzer_sys::fuzz_target;

/// A board that says what it was told to, over and over: a byte that is 0
/// makes it silent until it is spoken to, or for a while.
struct Parrot {
    clock: Interrupt,
    text: VecDeque<u8>,
    every: Duration,
}

impl Transport for Parrot {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let _ = self.clock.wait(timeout.min(self.every));
        if timeout < self.every || self.text.front().is_none_or(|&byte| byte == 0) {
            let _ = self.clock.wait(timeout.saturating_sub(self.every));
            self.text.rotate_left(usize::from(!self.text.is_empty()));
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut count = 0;
        while count < buf.len().min(256) && self.text[0] != 0 {
            buf[count] = self.text[0];
            self.text.rotate_left(1);
            count += 1;
        }
        Ok(count)
    }
    fn write_all(&mut self, _: &[u8], _: Duration) -> io::Result<()> {
        if self.text.front() == Some(&0) {
            self.text.rotate_left(1);
        }
        Ok(())
    }
    fn set_baud_rate(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
    fn set_control_lines(&mut self, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn discard_input(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&pace, answers)) = data.split_first() else {
        return;
    };
    let clock = Interrupt::simulated();
    let parrot = || {
        Box::new(Parrot {
            clock: clock.clone(),
            text: answers.iter().copied().collect(),
            every: Duration::from_micros(107 + 500 * u64::from(pace)),
        })
    };
    let goal = Goal {
        baud: IDE_BAUD_RATE,
        script: SensorSetup::default().script().into_bytes(),
        greets: pace % 2 == 0,
        patience: PATIENCE,
    };
    let start = clock.now();
    // An error is as good an answer as any.
    let _ = connect(parrot(), &goal, &clock, &Arc::default());
    let took = clock.now() - start;
    assert!(took < Duration::from_secs(60), "connecting took {took:?}");

    let mut session = Session::new(parrot(), IDE_BAUD_RATE, clock.clone(), Arc::default());
    for _ in 0..20 {
        let start = clock.now();
        let fetched = session.fetch();
        let took = clock.now() - start;
        assert!(took < Duration::from_secs(30), "an answer took {took:?}");
        match fetched {
            Ok(Fetched::Frame(frame)) => assert!(frame.data.starts_with(&[0xff, 0xd8])),
            Ok(_) => {}
            Err(_) => break,
        }
    }
});
