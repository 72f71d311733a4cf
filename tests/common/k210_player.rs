// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a file as MaixPy's player on the K210 does, read by read and buffer by buffer, from the
//! behaviour of its `avi_init`, `video_play_avi_init` and `video_play_avi`.
#![allow(dead_code)]

use std::ops::Range;

/// What the player reads at first, and what its buffer for frames takes.
const BUFFER: usize = 35 * 1024;

/// What the player showed and played.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub micro_sec_per_frame: u32,
    pub size: (u32, u32),
    pub frames: Vec<Vec<u8>>,
    pub sample_rate: u32,
    pub channels: u16,
    pub sound: Vec<Vec<u8>>,
    /// `V` and `A` in the order of the chunks.
    pub order: String,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The firmware's search: where `id` is, from 0; also 0 if it is not there.
fn search(bytes: &[u8], id: &[u8]) -> usize {
    let end = bytes.len().saturating_sub(4);
    (0..end).find(|at| &bytes[*at..*at + 4] == id).unwrap_or(0)
}

fn expect(bytes: &[u8], at: usize, id: &str, what: &str) -> Result<(), String> {
    if bytes.get(at..at + 4) == Some(id.as_bytes()) {
        Ok(())
    } else {
        Err(format!("{what}: no {id} at {at}"))
    }
}

/// The kind of the chunk whose head is at `at`, and its size made even.
fn stream_info(bytes: &[u8], at: usize) -> ([u8; 2], usize) {
    let size = word(bytes, at + 4) as usize;
    ([bytes[at + 2], bytes[at + 3]], size + size % 2)
}

/// Reads into the start of a buffer; what the file does not have any more stays as it was.
fn read(file: &[u8], position: &mut usize, range: Range<usize>, buffer: &mut [u8]) {
    let left = file.get(*position..).unwrap_or_default();
    let count = range.len().min(left.len());
    buffer[..count].copy_from_slice(&left[..count]);
    *position += count;
}

/// Plays a file to its end; an error is what the player stops with, or a buffer that overflows.
pub(crate) fn play(file: &[u8]) -> Result<Played, String> {
    let mut played = Played::default();
    let mut buffer = vec![0; BUFFER];
    let mut position = 0;
    read(file, &mut position, 0..BUFFER, &mut buffer);
    let read_size = position;

    expect(&buffer, 0, "RIFF", "riff")?;
    expect(&buffer, 8, "AVI ", "riff")?;
    expect(&buffer, 12, "LIST", "hdrl")?;
    expect(&buffer, 20, "hdrl", "hdrl")?;
    expect(&buffer, 24, "avih", "avih")?;
    played.micro_sec_per_frame = word(&buffer, 32);
    let total_frames = word(&buffer, 48);
    let mut list = 24 + word(&buffer, 28) as usize + 8;
    expect(&buffer, list, "LIST", "strl")?;
    expect(&buffer, list + 8, "strl", "strl")?;
    let strh = list + 12;
    expect(&buffer, strh, "strh", "video")?;
    expect(&buffer, strh + 8, "vids", "video comes first")?;
    expect(&buffer, strh + 12, "MJPG", "handler")?;
    let strf = strh + word(&buffer, strh + 4) as usize + 8;
    expect(&buffer, strf, "strf", "video")?;
    played.size = (word(&buffer, strf + 12), word(&buffer, strf + 16));
    list += word(&buffer, list + 4) as usize + 8;
    if buffer[list + 8..list + 12] == *b"strl" {
        let strh = list + 12;
        expect(&buffer, strh, "strh", "sound")?;
        expect(&buffer, strh + 8, "auds", "sound")?;
        let strf = strh + word(&buffer, strh + 4) as usize + 8;
        expect(&buffer, strf, "strf", "sound")?;
        played.channels = u16::from_le_bytes([buffer[strf + 10], buffer[strf + 11]]);
        played.sample_rate = word(&buffer, strf + 12);
    }
    let movi = search(&buffer[..read_size], b"movi");
    if movi == 0 {
        return Err("no movi".into());
    }
    let mut sound_buffer = 0;
    if played.sample_rate > 0 {
        let found = search(&buffer[movi + 4..read_size], b"01wb");
        if found == 0 {
            return Err("no sound in the first 35 KiB after the first chunk".into());
        }
        // Where the size is taken from: 4 bytes after `movi`, plus what was found.
        sound_buffer = usize::from(word(&buffer, movi + 4 + found) as u16);
    }

    let (mut kind, mut size) = stream_info(&buffer, movi + 4);
    if ![*b"dc", *b"wb"].contains(&kind) {
        return Err("the first chunk is neither dc nor wb".into());
    }
    position = movi + 12;
    let mut sound_buffers = vec![vec![0; sound_buffer + 8]; 4];
    let mut slot = 0;
    loop {
        let target = if kind == *b"dc" {
            &mut buffer
        } else {
            slot = (slot + 1) % 4;
            &mut sound_buffers[slot]
        };
        if size + 8 > target.len() {
            return Err(format!(
                "{} of {size} bytes overflows a buffer of {}",
                if kind == *b"dc" { "a frame" } else { "sound" },
                target.len()
            ));
        }
        read(file, &mut position, 0..size + 8, target);
        let payload = target[..size].to_vec();
        let (next_kind, next_size) = stream_info(target, size);
        if kind == *b"dc" {
            let (width, height) = jpeg_size(&payload)?;
            if (width, height) != played.size {
                return Err(format!("a frame of {width}x{height}"));
            }
            played.frames.push(payload);
            played.order.push('V');
        } else {
            played.sound.push(payload);
            played.order.push('A');
        }
        (kind, size) = (next_kind, next_size);
        if ![*b"dc", *b"wb"].contains(&kind) {
            break;
        }
    }
    if played.frames.len() != total_frames as usize {
        return Err(format!(
            "frame error: {} of {total_frames}",
            played.frames.len()
        ));
    }
    Ok(played)
}

/// The size of a picture that the player's decoder takes, from the behaviour of picojpeg's
/// `pjpeg_decode_init`. What it refuses is not shown.
fn jpeg_size(jpeg: &[u8]) -> Result<(u32, u32), String> {
    if !jpeg.starts_with(&[0xff, 0xd8]) {
        return Err("a frame is no JPEG".into());
    }
    let (mut huffman, mut quantization) = (0_u8, 0_u8);
    let mut frame: &[u8] = &[];
    let mut at = 2;
    while jpeg.len() >= at + 4 && jpeg[at] == 0xff {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let segment = jpeg.get(at + 4..at + 2 + length).ok_or("a cut segment")?;
        match jpeg[at + 1] {
            0xc0 => frame = segment,
            0xc4 => {
                let mut left = segment;
                while !left.is_empty() {
                    if left[0] & 15 > 1 || left[0] & 0xf0 > 0x10 {
                        return Err("a Huffman table's index".into());
                    }
                    huffman |= 1 << ((left[0] >> 3 & 2) + (left[0] & 1));
                    let codes: usize = left[1..17].iter().map(|n| usize::from(*n)).sum();
                    if codes > if left[0] < 2 { 12 } else { 255 } {
                        return Err("a Huffman table's codes".into());
                    }
                    left = &left[17 + codes..];
                }
            }
            0xdb => {
                let mut left = segment;
                while !left.is_empty() {
                    if left[0] & 15 > 1 {
                        return Err("a quantization table's index".into());
                    }
                    quantization |= 1 << (left[0] & 15);
                    left = &left[if left[0] > 15 { 129 } else { 65 }..];
                }
            }
            0xda => {
                let parts = usize::from(segment[0]);
                if frame.len() != 6 + 3 * parts {
                    return Err("no frame header, or not all in one scan".into());
                }
                for n in 0..parts {
                    let (tables, table) = (segment[2 + 2 * n], frame[6 + 3 * n + 2]);
                    let wanted = 1 << (tables >> 4) | 1 << ((tables & 15) + 2);
                    if huffman & wanted != wanted || table > 1 || quantization & 1 << table == 0 {
                        return Err("a table that is not there".into());
                    }
                }
                let sampling: Vec<u8> = (0..parts).map(|n| frame[6 + 3 * n + 1]).collect();
                if !matches!(
                    sampling.as_slice(),
                    [0x11] | [0x11 | 0x12 | 0x21 | 0x22, 0x11, 0x11]
                ) {
                    return Err(format!("sampled {sampling:x?}"));
                }
                let number = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
                return Ok((number(3), number(1)));
            }
            0x01 | 0xd0..=0xd9 | 0xc1..=0xcf => return Err("not baseline".into()),
            _ => {}
        }
        at += 2 + length;
    }
    Err("a frame has no picture".into())
}
