// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any sequence of chunks, checkpoints and cuts through the writer: what the
//! reader makes of the file, whole or cut off, is what went in.
#![no_main]

use std::io::Cursor as File;

use avi_mjpeg::header::WaveFormat;
use avi_mjpeg::output::Seekable;
use avi_mjpeg::reader::{Payload, Reader, index::Cursor};
use avi_mjpeg::recorder::Storage;
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::{Options, Profile, StreamFormat, Tags, Writer};
use libfuzzer_sys::fuzz_target;

/// A picture as far as markers go.
fn picture(n: usize, len: usize) -> Vec<u8> {
    let mut v = vec![0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 48, 0, 64, 1, 1, 0x11, 0];
    v.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0x3F, 0]);
    v.extend((0..len).map(|i| ((n + i) % 251) as u8 & 0x7F));
    v.extend([0xFF, 0xD9]);
    v
}

fn contents(bytes: &[u8], stream: usize) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(bytes).unwrap_or_else(|e| panic!("{e}"));
    while !matches!(reader.scan(1000), Ok(true)) {}
    let mut cursor = Cursor::new(stream);
    let mut all = Vec::new();
    while let Some(entry) = cursor.peek(reader.index()) {
        cursor.advance();
        match reader.payload(&entry) {
            Ok(Payload::Bytes { pos, len, .. }) => {
                all.push(bytes[pos as usize..pos as usize + len].to_vec());
            }
            Ok(Payload::Empty) => all.push(Vec::new()),
            Ok(Payload::Lost) => panic!("lost at {}", entry.pos),
        }
    }
    all
}

fuzz_target!(|bytes: &[u8]| {
    let [flags, riff, operations @ ..] = bytes else {
        return;
    };
    let mut options = Options::new(Profile::Standard);
    options.big_file = flags & 1 == 0;
    let seekable = flags & 2 == 0;
    options.seekable = seekable;
    options.riff_limit = 40_000 + u64::from(*riff) * 500;
    let sound = flags & 4 != 0;
    let rate = Rate::new(u32::from(*riff) + 1, 7).unwrap_or(Rate::PAL);
    let mut formats = vec![StreamFormat::Video {
        width: 64,
        height: 48,
        rate,
    }];
    if sound {
        formats.push(StreamFormat::Audio(WaveFormat::pcm(8000, 1, 16, 0)));
    }
    let tags = Tags {
        title: "t".repeat(usize::from(flags >> 3)),
        ..Tags::default()
    };
    let mut writer = Writer::new(options, &formats, &tags);
    let mut out = Seekable::new(File::new(Vec::new())).expect("memory");
    writer.start(&mut out).expect("memory");
    let mut expected = [Vec::new(), Vec::new()];
    for (n, operation) in operations.chunks_exact(2).enumerate() {
        let len = usize::from(operation[1]) * 4;
        let (stream, payload) = match operation[0] % 8 {
            0 => {
                writer.checkpoint(false, &mut out).expect("memory");
                // A file that is cut off right here is whole to here. What cannot go back has no checkpoints.
                if seekable {
                    assert_eq!(contents(out.get_ref().get_ref(), 0), expected[0]);
                }
                continue;
            }
            1..=2 if sound => (1, (0..len).map(|i| (i + n) as u8 | 1).collect()),
            3 => (0, Vec::new()),
            _ => (0, picture(n, len)),
        };
        if stream == 1 && len == 0 {
            continue;
        }
        if writer
            .chunk(stream, payload.len(), payload.clone(), false, &mut out)
            .is_ok()
        {
            expected[stream].push(payload);
        }
    }
    out.write_through().expect("memory");
    // Nothing past the last checkpoint is known to the headers, but it is there.
    assert_eq!(contents(out.get_ref().get_ref(), 0), expected[0]);
    writer.finish(&mut out).expect("memory");
    out.write_through().expect("memory");
    for (stream, expected) in expected.iter().enumerate().take(formats.len()) {
        assert_eq!(contents(out.get_ref().get_ref(), stream), *expected);
    }
});
