// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interlaced Motion JPEG has two pictures of half the height in a chunk. What decoders make of a
//! chunk is one frame of the whole height, the first field's rows first.

use gst::prelude::*;

use crate::common::{Pipeline, samples};
use crate::feed::Feed;

const WIDTH: usize = 320;
const HEIGHT: usize = 240;

/// A field that is of one shade all over.
fn field(pattern: &str) -> Vec<u8> {
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 pattern={pattern} ! \
         video/x-raw,format=I420,width={WIDTH},height={} ! jpegenc ! appsink name=out",
        HEIGHT / 2
    ));
    let out: gst_app::AppSink = pipeline.element("out").downcast().expect("an appsink");
    pipeline.play();
    let sample = samples(&out).next().expect("a picture");
    let buffer = sample.buffer().expect("a buffer");
    buffer.map_readable().expect("memory").to_vec()
}

/// A JPEG with the segment of AVI's Motion JPEG that tells which field it is.
fn with_polarity(jpeg: &[u8], polarity: u8) -> Vec<u8> {
    let mut app0 = vec![0xff, 0xe0, 0, 16];
    app0.extend(b"AVI1");
    app0.push(polarity);
    app0.resize(18, 0);
    [&jpeg[..2], &app0, &jpeg[2..]].concat()
}

/// The first and the second row, top and bottom, of each frame that `decoder` makes of the file.
fn rows(path: &std::path::Path, decoder: &str) -> Vec<[u8; 4]> {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! avimjpegdemux ! {decoder} ! videoconvert ! \
         video/x-raw,format=GRAY8 ! appsink name=out sync=false",
        path.display()
    ));
    let out: gst_app::AppSink = pipeline.element("out").downcast().expect("an appsink");
    pipeline.play();
    let rows = samples(&out).map(|sample| {
        let caps = sample.caps().expect("caps").structure(0).expect("one");
        let size = (caps.get("width"), caps.get("height"));
        assert_eq!(size, (Ok(WIDTH as i32), Ok(HEIGHT as i32)), "{decoder}");
        let buffer = sample.buffer().expect("a buffer");
        let map = buffer.map_readable().expect("memory");
        [0, 1, HEIGHT - 2, HEIGHT - 1].map(|row| map[row * WIDTH + WIDTH / 2])
    });
    rows.collect()
}

#[test]
fn two_fields_in_a_chunk_are_one_frame_to_decoders() {
    let (light, dark) = (field("white"), field("black"));
    let (odd, even) = (with_polarity(&light, 1), with_polarity(&dark, 2));
    let padded = [&odd[..], &[0xff; 7], &even].concat();
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("a.avi");
    for (what, chunk, is_light_first) in [
        ("top first", [&odd[..], &even].concat(), true),
        ("bottom first", [&even[..], &odd].concat(), false),
        ("without a word of it", [&light[..], &dark].concat(), true),
        ("with fill between them", padded, true),
    ] {
        let caps = format!("image/jpeg,width={WIDTH},height={HEIGHT},framerate=25/1");
        let feed = Feed::new("", &path, &[caps]);
        for n in 0..5 {
            feed.push(0, chunk.clone(), 40.0 * f64::from(n))
                .expect("it is taken");
        }
        feed.end().expect("a file");
        drop(feed);
        for decoder in ["jpegdec", "avdec_mjpeg"] {
            let frames = rows(&path, decoder);
            assert_eq!(frames.len(), 5, "{what}, {decoder}");
            for rows in frames {
                let is_light = rows.map(|shade| shade > 128);
                let (first, second) = (is_light_first, !is_light_first);
                let wanted = [first, second, first, second];
                assert_eq!(is_light, wanted, "{what}, {decoder}: {rows:?}");
            }
        }
    }
}
