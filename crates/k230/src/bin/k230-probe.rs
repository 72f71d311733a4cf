// SPDX-License-Identifier: MIT OR Apache-2.0
//! `k230-probe [DEVICE]`: what the K230's encoder on this machine has, and whether it encodes a
//! second of test picture, as a report that one can send.
#![forbid(unsafe_code)]

use std::{
    any::Any,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use closed_output::say;
use k230_venc::{
    ChannelAttr, Codec, Device, Error, Frame, FrameData, PackKind, PixelFormat, Profile,
    STUCK_AFTER,
    v4l2::{self, V4l2Device},
};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const FRAMES: u64 = 30;

/// A grey ramp that moves.
struct Ramp(Vec<u8>);

impl Ramp {
    fn new(count: u64) -> Self {
        let mut bytes = vec![128; WIDTH * HEIGHT * 3 / 2];
        for (y, row) in bytes.chunks_exact_mut(WIDTH).take(HEIGHT).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = (x + y + 4 * count as usize) as u8;
            }
        }
        Self(bytes)
    }
}

impl FrameData for Ramp {
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let (luma, chroma) = self.0.split_at_checked(WIDTH * HEIGHT)?;
        Some(([luma, chroma].get(plane)?, WIDTH))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Encodes a second and says what came of it.
fn encode(device: &V4l2Device, codec: Codec, profile: Profile) -> Result<String, Error> {
    let mut attr = ChannelAttr::new(codec, profile, WIDTH as u32, HEIGHT as u32);
    attr.gop = 10;
    let mut channel = device.create_channel(0, &attr)?;
    channel.start()?;
    let (mut bytes, mut keys, mut headers, mut other_times) = (0, 0, 0, 0);
    let mut longest = Duration::ZERO;
    let begin = Instant::now();
    for count in 0..FRAMES {
        let pts = count * 1_000_000 / FRAMES;
        let frame = Frame {
            format: PixelFormat::Nv12,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            pts,
            regions: Vec::new(),
            data: Arc::new(Ramp::new(count)),
        };
        let since = Instant::now();
        channel.send_frame(&frame, STUCK_AFTER)?;
        let stream = channel.get_stream(STUCK_AFTER)?;
        longest = longest.max(since.elapsed());
        bytes += stream.data.bytes().len();
        keys += u64::from(stream.is_key());
        let has_header = stream.packs.iter().any(|p| p.kind == PackKind::Header);
        headers += u64::from(has_header);
        other_times += u64::from(stream.pts != pts);
    }
    let mean = begin.elapsed() / FRAMES as u32;
    channel.stop()?;
    let mut said = format!(
        "{FRAMES} frames, {bytes} bytes, {keys} key pictures, {headers} with parameter sets; \
         {:.1} ms a frame, {:.1} ms at most",
        mean.as_secs_f64() * 1000.0,
        longest.as_secs_f64() * 1000.0
    );
    if other_times > 0 {
        said += &format!("; {other_times} had another frame's time");
    }
    for sentence in channel.unmapped() {
        said += &format!("; {sentence}");
    }
    Ok(said)
}

fn report(named: Option<PathBuf>) -> Result<bool, Box<dyn std::error::Error>> {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let is_k230 = yes(v4l2::is_k230());
    say(concat!("k230-probe   ", env!("CARGO_PKG_VERSION")))?;
    say(&format!("a K230       {is_k230} (by the device tree)"))?;
    let device = match V4l2Device::find(named.as_deref()) {
        Ok(device) => device,
        Err(error) => {
            // What there is instead is worth knowing.
            if let Some(path) = &named
                && let Ok(report) = v4l2::probe(path)
            {
                say(report.to_string().trim_end())?;
            }
            return Err(error.into());
        }
    };
    say(&v4l2::probe(device.path())?.to_string())?;
    say(&format!("a second of {WIDTH}x{HEIGHT}:"))?;
    let mut all = true;
    for (codec, profile) in [
        (Codec::H264, Profile::H264High),
        (Codec::H265, Profile::H265Main),
        (Codec::Jpeg, Profile::None),
    ] {
        let name = codec.name();
        match encode(&device, codec, profile) {
            Ok(said) => say(&format!("  {name}: {said}"))?,
            Err(error) => {
                all = false;
                say(&format!("  {name}: {error}"))?;
            }
        }
    }
    Ok(all)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let named = arguments.next();
    let help = named
        .as_ref()
        .is_some_and(|word| word == "--help" || word == "-h");
    if help || arguments.next().is_some() {
        let usage = "usage: k230-probe [DEVICE]\n\nReports what the K230's encoder has and encodes with it.";
        return match say(usage) {
            Ok(()) if help => ExitCode::SUCCESS,
            _ => ExitCode::from(2),
        };
    }
    match report(named.map(PathBuf::from)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody left to tell if that cannot be said either.
            let _ = say(&format!("no encoder: {error}"));
            ExitCode::FAILURE
        }
    }
}
