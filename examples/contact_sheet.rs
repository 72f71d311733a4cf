// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows a recording at a glance: frames from start to end, each with its time, in one PNG picture.
//!
//! ```console
//! $ cargo run --release --example contact_sheet -- capture.avi contact-sheet.png
//! ```
#![allow(clippy::expect_used, reason = "what the program itself made is there")]

use anyhow::{Context, Error, bail};
use gst::prelude::*;
use gst_video::prelude::*;

const COLUMNS: usize = 4;
const ROWS: usize = 3;
const TILE_WIDTH: usize = 240;
const TILE_HEIGHT: usize = 180;
const BORDER: usize = 4;

type Tile = gst_video::VideoFrame<gst_video::video_frame::Readable>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [video, picture] = arguments.as_slice() else {
        bail!("usage: contact_sheet VIDEO PICTURE.png");
    };
    gst::init()?;
    gstkendryte::plugin_register_static()?;
    let tiles = tiles(video)?;
    write_png(&tiles, picture)?;
    println!("{picture}: {} frames of {video}", tiles.len());
    Ok(())
}

/// Frames at equal distances over the whole of the video, scaled, with their times written on them.
fn tiles(video: &str) -> Result<Vec<Tile>, Error> {
    let pipeline = gst::parse::launch(&format!(
        "uridecodebin name=file caps=video/x-raw expose-all-streams=false ! videoconvert ! \
         videoscale add-borders=true ! video/x-raw,width={TILE_WIDTH},height={TILE_HEIGHT},pixel-aspect-ratio=1/1 ! \
         timeoverlay time-mode=buffer-time halignment=left valignment=bottom font-desc=\"Sans 20\" ! \
         videoconvert ! video/x-raw,format=RGB ! appsink name=tiles sync=false"
    ))?
    .downcast::<gst::Pipeline>()
    .expect("several elements make a pipeline");
    let path = std::fs::canonicalize(video).with_context(|| video.to_owned())?;
    let file = pipeline.by_name("file").expect("named above");
    file.set_property("uri", glib::filename_to_uri(path, None)?);
    let sink = pipeline.by_name("tiles").expect("named above");
    let sink = sink.downcast::<gst_app::AppSink>().expect("an appsink");

    let outcome = pipeline.set_state(gst::State::Paused).map(|_| ());
    let (result, _, _) = pipeline.state(gst::ClockTime::from_seconds(30));
    let error = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    if let Some(gst::MessageView::Error(error)) = error.as_ref().map(|message| message.view()) {
        pipeline.set_state(gst::State::Null)?;
        bail!(
            "{video}: {} ({})",
            error.error(),
            error.debug().unwrap_or_default()
        );
    }
    outcome?;
    result?;

    let mut tiles = Vec::new();
    let duration = pipeline
        .query_duration::<gst::ClockTime>()
        .with_context(|| format!("{video} has no duration"))?;
    let wanted = (COLUMNS * ROWS) as u64;
    for n in 0..wanted {
        // An accurate seek shows the very frame of that time, and its own timestamp.
        let time = duration.mul_div_floor(n, wanted).unwrap_or_default();
        pipeline.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, time)?;
        let Ok(sample) = sink.pull_preroll() else {
            break;
        };
        let caps = sample.caps().context("a sample without caps")?;
        let info = gst_video::VideoInfo::from_caps(caps)?;
        let buffer = sample.buffer_owned().context("a sample without a buffer")?;
        tiles.push(
            Tile::from_buffer_readable(buffer, &info)
                .map_err(|_| Error::msg("unreadable frame"))?,
        );
    }
    pipeline.set_state(gst::State::Null)?;
    if tiles.is_empty() {
        bail!("{video} holds no picture");
    }
    Ok(tiles)
}

fn write_png(tiles: &[Tile], picture: &str) -> Result<(), Error> {
    let columns = tiles.len().min(COLUMNS);
    let rows = tiles.len().div_ceil(COLUMNS);
    let width = columns * (TILE_WIDTH + BORDER) + BORDER;
    let height = rows * (TILE_HEIGHT + BORDER) + BORDER;
    let info =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width as u32, height as u32)
            .fps(gst::Fraction::new(1, 1))
            .build()?;
    let mut sheet = gst::Buffer::with_size(info.size())?;
    {
        let sheet = sheet.get_mut().expect("just made");
        sheet.set_pts(gst::ClockTime::ZERO);
        let mut map = sheet.map_writable()?;
        map.fill(0x20);
        let stride = info.stride()[0] as usize;
        for (n, tile) in tiles.iter().enumerate() {
            let left = BORDER + n % COLUMNS * (TILE_WIDTH + BORDER);
            let top = BORDER + n / COLUMNS * (TILE_HEIGHT + BORDER);
            let from = tile.plane_data(0)?;
            let from_stride = tile.plane_stride()[0] as usize;
            for y in 0..TILE_HEIGHT {
                let at = (top + y) * stride + left * 3;
                map[at..at + TILE_WIDTH * 3]
                    .copy_from_slice(&from[y * from_stride..][..TILE_WIDTH * 3]);
            }
        }
    }

    let pipeline = gst::parse::launch(
        "appsrc name=sheet format=time ! pngenc snapshot=true ! filesink name=file",
    )?
    .downcast::<gst::Pipeline>()
    .expect("several elements make a pipeline");
    let source = pipeline.by_name("sheet").expect("named above");
    let source = source.downcast::<gst_app::AppSrc>().expect("an appsrc");
    source.set_caps(Some(&info.to_caps()?));
    pipeline
        .by_name("file")
        .expect("named above")
        .set_property("location", picture);
    pipeline.set_state(gst::State::Playing)?;
    source.push_buffer(sheet)?;
    source.end_of_stream()?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let message = bus
        .timed_pop_filtered(
            gst::ClockTime::NONE,
            &[gst::MessageType::Eos, gst::MessageType::Error],
        )
        .context("no end")?;
    pipeline.set_state(gst::State::Null)?;
    match message.view() {
        gst::MessageView::Error(error) => bail!("{picture}: {}", error.error()),
        _ => Ok(()),
    }
}
