// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as what a host sends to the simulated board's dispatcher. It may reset, but never panics,
//! and takes no more memory than the board has.
#![no_main]

use avi_fuzz::stretched;
use k210_sim::dispatch::{Dispatcher, Peripherals};
use k210_sim::{Console, Flash, JpegBuffer};
use libfuzzer_sys::fuzz_target;

/// What the dispatcher reaches; nothing that it sends is kept.
#[derive(Default)]
struct Rest {
    console: Console,
    jpeg: JpegBuffer,
    flash: Flash,
}

impl Peripherals for Rest {
    fn send(&mut self, _: &[u8]) {}
    fn send_repeated(&mut self, _: &[u8], _: usize) {}
    fn send_frame(&mut self, _: usize) {}
    fn console(&mut self) -> &mut Console {
        &mut self.console
    }
    fn jpeg(&mut self) -> &mut JpegBuffer {
        &mut self.jpeg
    }
    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }
    fn raise_ide_interrupt(&mut self) {}
    fn set_attribute(&mut self, _: i16, _: i16) {}
    fn reset(&mut self) {}
}

fuzz_target!(|data: &[u8]| {
    let mut dispatcher = Dispatcher::default();
    let mut rest = Rest::default();
    dispatcher.init();
    for &byte in &*stretched(data) {
        dispatcher.feed(byte, &mut rest);
        if dispatcher.need_save_file() {
            dispatcher.save_file(&mut rest.flash);
        }
        if dispatcher.script_ready() {
            dispatcher.init();
        }
    }
});
