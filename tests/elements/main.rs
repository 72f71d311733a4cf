// SPDX-License-Identifier: MIT OR Apache-2.0
//! The elements in pipelines and harnesses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "../../crates/avi/tests/common/avi_bytes.rs"]
mod avi_bytes;
#[path = "../../crates/avi/tests/common/avi_memory.rs"]
mod avi_memory;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/failing_disk.rs"]
mod failing_disk;
#[path = "../common/feed.rs"]
mod feed;
#[path = "../common/k210_player.rs"]
mod k210_player;
#[path = "../../crates/avi/tests/common/mutants.rs"]
mod mutants;

mod anysink;
mod audiorecordsink;
mod avimjpegdemux;
mod avimjpegdemux_mutants;
mod avimjpegmux;
mod avimjpegmux_cameras;
mod avimjpegmux_crash;
mod avimjpegmux_time;
mod circularsink;
mod cut_off;
mod dropout;
mod encodebin;
mod failing_offsets;
mod ffmpegsink;
mod harness;
mod http_cameras;
mod interlaced;
mod k210_ports;
mod k210_trouble;
mod k210camerasrc;
mod k230venc;
mod k230venc_v4l2;
mod ogg;
mod ondisk;
mod one_error;
mod one_location;
mod parallelenc;
mod players;
mod properties;
mod random_cameras;
mod random_streams;
mod recording;
mod recordsink;
mod recordsink_cameras;
mod recordsink_joins;
mod recordsink_k210;
mod recordsink_live;
mod recordsink_sound;
mod recordsink_splitmux;
mod recordsink_times;
mod retention;
mod sample_rates;
mod segments;
mod sink_extremes;
mod splitmux;
mod wallclock;
