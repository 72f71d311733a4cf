// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipelines in the elements' documentation, run as they are written.

use std::path::Path;

use crate::command_line::{Place, in_markdown, in_module};
use k210_sim::{Board, BootMode, Config, SerialPort};

/// Runs all the lines of an element's page.
fn run_pipelines(place: &Place, source: &str) {
    let lines = in_module(source);
    assert!(!lines.is_empty(), "it shows no pipeline");
    for line in lines {
        place.run(&line);
    }
}

/// A test for each element, and the list of those that have one.
macro_rules! pages {
    ($($name:ident: $prepare:expr,)*) => {
        $(
            #[test]
            fn $name() {
                let mut place = Place::new();
                let prepare: fn(&mut Place) -> Option<SerialPort> = $prepare;
                let _board = prepare(&mut place);
                run_pipelines(&place, include_str!(concat!("../../src/", stringify!($name), "/mod.rs")));
            }
        )*
        const PAGES: &[&str] = &[$(stringify!($name)),*];
    };
}

pages! {
    audiorecordsink: |_| None,
    // What it plays has to be recorded first, with sound.
    avimjpegdemux: |place| {
        place.run(
            "gst-launch-1.0 -e k210camerasrc device=sim: num-buffers=20 ! queue ! \
             avimjpegmux name=mux ! filesink location=capture.avi \
             audiotestsrc is-live=true num-buffers=80 ! queue ! mux.",
        );
        None
    },
    avimjpegmux: |_| None,
    circularsink: |_| None,
    ffmpegsink: |_| None,
    k210camerasrc: |place| {
        let board = Board::new(Config { boot: BootMode::Repl, ..Config::default() }).unwrap();
        let port = SerialPort::new(board, None).unwrap();
        place.substitute("/dev/ttyUSB0", port.path());
        Some(port)
    },
    k230venc: |_| None,
    parallelenc: |_| None,
    recordsink: |_| None,
}

#[test]
fn each_element_shows_a_pipeline() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut elements: Vec<String> = std::fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let page = std::fs::read_to_string(path.join("mod.rs")).unwrap_or_default();
            page.contains("gst::Element::register(")
        })
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    elements.sort();
    assert_eq!(elements, PAGES);
}

#[test]
fn k230vencs_guide() {
    let mut place = Place::new();
    // A machine with a camera would show something else.
    place.substitute("v4l2src", "videotestsrc num-buffers=30");
    // Cargo builds it as a dependency of the tests.
    let test = std::env::current_exe().unwrap();
    let library = test
        .ancestors()
        .map(|directory| directory.join("libk230mpp_sim.so"))
        .find(|path| path.exists())
        .expect("it is built with the tests");
    place.substitute("$PWD/target/release/libk230mpp_sim.so", library);
    let lines = in_markdown(include_str!("../../docs/k230venc.md"));
    assert!(lines.len() >= 2, "{lines:?}");
    for line in lines {
        place.run(&line);
    }
}
