// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cameras that send pictures over HTTP, as ESP32-CAMs and phones do: no rate in the caps, times of arrival, and none for
//! the pictures that come in one packet with another.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use crate::common::{Pipeline, assert_mentions};
use crate::feed::{numbers, picture};
use gst::prelude::*;

const PICTURES: u32 = 60;

/// A camera for one viewer. Its first interval is long, each third picture comes together with the next.
fn camera() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let camera = std::thread::spawn(move || {
        let (mut viewer, _) = listener.accept().unwrap();
        let mut asked = BufReader::new(viewer.try_clone().unwrap()).lines();
        while asked.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let head = "HTTP/1.0 200 OK\r\n\
                    Content-Type: multipart/x-mixed-replace;boundary=next\r\n\r\n";
        viewer.write_all(head.as_bytes()).unwrap();
        let mut packet = Vec::new();
        for n in 0..PICTURES {
            let picture = picture(n, 700);
            let head = "--next\r\nContent-Type: image/jpeg\r\nContent-Length: ";
            packet.extend(format!("{head}{}\r\n\r\n", picture.len()).as_bytes());
            packet.extend(picture);
            packet.extend(b"\r\n");
            if n % 3 == 1 && n + 1 < PICTURES {
                continue;
            }
            viewer.write_all(&packet).unwrap();
            packet.clear();
            let interval = if n == 0 {
                300
            } else {
                20 + u64::from(n % 4) * 5
            };
            std::thread::sleep(Duration::from_millis(interval));
        }
        viewer.write_all(b"--next--\r\n").unwrap();
    });
    (port, camera)
}

#[test]
fn each_picture_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.avi");
    let location = file.display();
    for sink in [
        format!("avimjpegmux ! filesink location={location}"),
        format!("queue ! recordsink location={location}"),
        format!("circularsink recording=true overwrite=true location={location}"),
    ] {
        let (port, camera) = camera();
        let pipeline = Pipeline::launch(&format!(
            "souphttpsrc location=http://127.0.0.1:{port}/ is-live=true do-timestamp=true ! \
             multipartdemux ! {sink}"
        ));
        pipeline
            .run()
            .unwrap_or_else(|error| panic!("{sink}: {error}"));
        drop(pipeline);
        camera.join().unwrap();
        let found = numbers(&std::fs::read(&file).unwrap());
        let found: Vec<u32> = found.into_iter().flatten().collect();
        assert_eq!(found, (0..PICTURES).collect::<Vec<_>>(), "{sink}");
    }
}

#[test]
fn a_pad_that_is_linked_too_late_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=5 ! recordsink name=r location={}",
        dir.path().join("a.avi").display()
    ));
    let sink = pipeline.element("r");
    let _ = pipeline.0.set_state(gst::State::Paused);
    assert!(sink.request_pad_simple("audio").is_none());
    let bus = pipeline.0.bus().unwrap();
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).unwrap();
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!()
    };
    assert_mentions(&warning.error().to_string(), &["audio", "queue"]);
}
