// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated K210 board, seen from its cable.

use std::io;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstkendryte::k210::sim::{self, BootMode, Config, Port, counter};
use gstkendryte::k210::transport::Transport;

/// Long enough that only a board that hangs reaches it.
const FAILSAFE: Duration = Duration::from_secs(20);

/// A host's end that reads until it has what it wants.
struct Host {
    port: Port,
}

impl Host {
    fn ide(config: Config) -> Host {
        let mut port = sim::open(Config {
            boot: BootMode::Ide,
            ..config
        })
        .unwrap();
        port.set_baud_rate(1_500_000).unwrap();
        let mut host = Host { port };
        host.wait_for_ide();
        host
    }

    fn wait_for_ide(&mut self) {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            self.send(0x8d, 4, b"");
            let mut reply = [0; 4];
            if self
                .port
                .read(&mut reply, Duration::from_millis(50))
                .is_ok()
                && reply == 0xffee_bbaa_u32.to_le_bytes()
            {
                return;
            }
            assert!(Instant::now() < deadline, "no IDE mode");
        }
    }

    fn at(boot: BootMode) -> Host {
        Host {
            port: sim::open(Config {
                boot,
                ..Config::default()
            })
            .unwrap(),
        }
    }

    fn write(&mut self, data: &[u8]) {
        self.port.write_all(data, FAILSAFE).unwrap();
    }

    fn send(&mut self, command: u8, length: u32, data: &[u8]) {
        let mut request = vec![0x30, command];
        request.extend(length.to_le_bytes());
        request.extend(data);
        self.write(&request);
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        let mut filled = 0;
        while filled < count {
            filled += self
                .port
                .read(&mut data[filled..], FAILSAFE)
                .unwrap_or_else(|error| panic!("{error} after {filled} of {count} bytes"));
        }
        data
    }

    fn ask(&mut self, command: u8, length: u32) -> Vec<u8> {
        self.send(command, length, b"");
        self.read(length as usize)
    }

    fn ask_word(&mut self, command: u8) -> u32 {
        u32::from_le_bytes(self.ask(command, 4).try_into().unwrap())
    }

    /// Nothing comes for a while.
    fn assert_silent(&mut self) {
        let mut byte = [0];
        let error = self.port.read(&mut byte, Duration::from_millis(30));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    fn read_until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + FAILSAFE;
        let mut text = Vec::new();
        loop {
            let mut piece = [0; 512];
            match self.port.read(&mut piece, Duration::from_millis(200)) {
                Ok(count) => text.extend(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => panic!("{error}"),
            }
            let so_far = String::from_utf8_lossy(&text);
            if so_far.contains(wanted) {
                return so_far.into_owned();
            }
            assert!(Instant::now() < deadline, "no {wanted:?} in {so_far:?}");
        }
    }

    /// What the script printed until it has printed `wanted`.
    fn console_until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + FAILSAFE;
        let mut text = String::new();
        while !text.contains(wanted) {
            let length = self.ask_word(0x8e);
            text += &String::from_utf8_lossy(&self.ask(0x8f, length));
            assert!(Instant::now() < deadline, "no {wanted:?} in {text:?}");
        }
        text
    }

    fn run(&mut self, script: &str) {
        self.send(0x05, script.len() as u32, script.as_bytes());
    }

    fn run_to_end(&mut self, script: &str) -> String {
        // What came before, the prompt's banner included.
        self.console_until(">>> ");
        self.run(script);
        self.console_until(">>> ")
    }

    fn frame(&mut self) -> (u32, u32, Vec<u8>) {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            let header = self.ask(0x81, 12);
            let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            if word(0) != 0 {
                return (word(0), word(4), self.ask(0x82, word(8)));
            }
            assert!(Instant::now() < deadline, "no frame");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Decodes a JPEG to luma.
fn decode(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(
        "appsrc name=in caps=image/jpeg ! jpegdec ! videoconvert ! \
         video/x-raw,format=GRAY8 ! appsink name=out sync=false",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let source: gst_app::AppSrc = pipeline.by_name("in").unwrap().downcast().unwrap();
    let sink: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    source
        .push_buffer(gst::Buffer::from_slice(jpeg.to_vec()))
        .unwrap();
    source.end_of_stream().unwrap();
    let sample = sink.pull_sample().expect("a picture");
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info)
        .unwrap();
    let (width, height) = (info.width() as usize, info.height() as usize);
    let stride = info.stride()[0] as usize;
    let luma = frame.plane_data(0).unwrap();
    let packed = (0..height)
        .flat_map(|y| &luma[y * stride..][..width])
        .copied()
        .collect();
    drop(frame);
    pipeline.set_state(gst::State::Null).unwrap();
    (width, height, packed)
}

fn number(jpeg: &[u8]) -> Option<u16> {
    let (width, height, luma) = decode(jpeg);
    counter::read(&luma, width, height, width)
}

const HELLO: &str = "\
# Hello World Example
import sensor, image, time, lcd

lcd.init(freq=15000000)
sensor.reset()                      # Reset and initialize the sensor. It will
sensor.set_pixformat(sensor.RGB565) # Set pixel format to RGB565 (or GRAYSCALE)
sensor.set_framesize(sensor.QVGA)   # Set frame size to QVGA (320x240)
sensor.skip_frames(time = 100)      # Wait for settings take effect.
clock = time.clock()                # Create a clock object to track the FPS.

while(True):
    clock.tick()                    # Update the FPS clock.
    img = sensor.snapshot()         # Take a picture and return the image.
    lcd.display(img)                # Display on LCD
    print(clock.fps())              # Note: MaixPy's Cam runs about half as fast when connected
";

#[test]
fn the_ides_first_script_streams_frames() {
    let mut host = Host::ide(Config::default());
    host.send(0x0d, 0, &[1, 0]);
    host.run(HELLO);
    let mut last = None;
    for _ in 0..10 {
        let (width, height, jpeg) = host.frame();
        assert_eq!((width, height), (320, 240));
        let number = number(&jpeg).expect("a counter");
        assert!(
            last.is_none_or(|last| number > last),
            "{last:?} then {number}"
        );
        last = Some(number);
    }
    assert_eq!(host.ask_word(0x87), 1);
    let text = host.console_until("\r\n");
    assert!(!text.is_empty());
    host.send(0x06, 0, b"");
    let text = host.console_until("IDE interrupt");
    assert!(text.contains("Traceback (most recent call last):\r\n  File \"<stdin>\", line "));
    assert_eq!(host.ask_word(0x87), 0);
}

#[test]
fn a_board_boots_and_enters_ide_mode_by_its_prompt() {
    let mut host = Host::at(BootMode::PowerOn);
    let text = host.read_until(">>> ");
    assert!(text.contains("[MAIXPY] Pll0:freq:"), "{text:?}");
    assert!(text.contains("[MaixPy] init end\r\n"), "{text:?}");
    host.write(b"print(1 + 2)\r");
    assert!(host.read_until("3\r\n>>> ").starts_with("print(1 + 2)\r\n"));
    for line in [
        "from machine import UART",
        "repl = UART.repl_uart()",
        "repl.init(1500000, 8, None, 1, read_buf_len=2048, ide=True, from_ide=True)",
    ] {
        host.write(line.as_bytes());
        host.write(b"\r");
        host.read_until(line);
    }
    host.port.set_baud_rate(1_500_000).unwrap();
    host.wait_for_ide();
}

#[test]
fn scripts_print_and_fail_as_micropython_does() {
    let mut host = Host::ide(Config::default());
    let script = "\
def f(x):
    return 10 // x
for i in range(2):
    print(i, 'of', 2, sep='-')
print('%d %.2f %s' % (3, 2.5, 'x'), '{:04d}|{}'.format(42, [1, 'a']))
f(0)
";
    assert_eq!(
        host.run_to_end(script),
        "0-of-2\r\n1-of-2\r\n3 2.50 x 0042|[1, 'a']\r\n\
         Traceback (most recent call last):\r\n  \
         File \"<stdin>\", line 6, in <module>\r\n  \
         File \"<stdin>\", line 2, in f\r\n\
         ZeroDivisionError: divide by zero\r\n\
         MicroPython v0.6.3 on 2024-01-16; Sipeed_M1 with kendryte-k210\r\n\
         Type \"help()\" for more information.\r\n>>> "
    );
}

#[test]
fn commands_without_an_answer_stay_silent() {
    let mut host = Host::ide(Config::default());
    // Nothing, the unknown with bit 7, ATTR_READ, a reply of no bytes.
    for command in [0x00, 0x99, 0x8a] {
        host.send(command, 4, b"");
        host.assert_silent();
    }
    host.send(0x8d, 0, b"");
    host.assert_silent();
    assert_eq!(host.ask_word(0x8d), 0xffee_bbaa);
}
