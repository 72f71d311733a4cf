// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a recording in a window with sound or, where there is no display, decodes all of it and
//! counts the frames.
//!
//! ```console
//! $ cargo run --release --example play -- capture.avi
//! ```

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Error, bail};
use gst::prelude::*;

fn main() -> Result<(), Error> {
    let Some(file) = std::env::args_os().nth(1) else {
        bail!("usage: play FILE");
    };
    gst::init()?;
    gstkendryte::plugin_register_static()?;

    let display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let path = std::fs::canonicalize(&file).with_context(|| file.display().to_string())?;
    let player = gst::ElementFactory::make("playbin")
        .property("uri", glib::filename_to_uri(path, None)?)
        .build()?;
    let video = if display {
        gst::ElementFactory::make("autovideosink").build()?
    } else {
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .build()?;
        player.set_property(
            "audio-sink",
            gst::ElementFactory::make("fakesink")
                .property("sync", false)
                .build()?,
        );
        sink
    };
    // What reaches the sink has been decoded.
    let frames = Arc::new(AtomicU64::new(0));
    video
        .static_pad("sink")
        .context("a sink has a sink pad")?
        .add_probe(gst::PadProbeType::BUFFER, {
            let frames = frames.clone();
            move |_, _| {
                frames.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            }
        });
    player.set_property("video-sink", &video);

    let bus = player.bus().context("a pipeline has a bus")?;
    let doing = if display { "playing" } else { "decoding" };
    let terminal = std::io::stdout().is_terminal();
    let show = |end: &str| {
        let seconds =
            |time: Option<gst::ClockTime>| time.unwrap_or_default().nseconds() as f64 / 1e9;
        print!(
            "{}{doing}: {:.1} of {:.1} s, {} frames  {end}",
            if terminal { "\r" } else { "" },
            seconds(player.query_position()),
            seconds(player.query_duration()),
            frames.load(Ordering::Relaxed),
        );
        let _ = std::io::stdout().flush();
    };
    let outcome = player.set_state(gst::State::Playing);
    let result = loop {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match bus.timed_pop_filtered(gst::ClockTime::from_mseconds(200), &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => {
                    break Err(Error::msg(format!(
                        "{} ({})",
                        error.error(),
                        error.debug().unwrap_or_default()
                    )));
                }
                _ => break Ok(()),
            },
            None if terminal => show(""),
            None => {}
        }
    };
    show("\n");
    player.set_state(gst::State::Null)?;
    result?;
    outcome?;
    Ok(())
}
