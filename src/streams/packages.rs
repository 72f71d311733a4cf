// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which Debian package has which of the elements that recordings are made with.
//! Knows no GStreamer.

const PACKAGES: &[(&str, &[&str])] = &[
    (
        "gstreamer1.0-plugins-base",
        &[
            "audioconvert",
            "audioresample",
            "oggmux",
            "opusenc",
            "videoconvert",
            "videorate",
            "videoscale",
            "vorbisenc",
        ],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "autovideosink",
            "avimux",
            "flacenc",
            "flacparse",
            "flvmux",
            "jpegenc",
            "lamemp3enc",
            "matroskamux",
            "mp4mux",
            "mpegaudioparse",
            "multifilesink",
            "qtmux",
            "splitmuxsink",
            "v4l2h264enc",
            "vp8enc",
            "vp9enc",
            "wavenc",
            "webmmux",
        ],
    ),
    (
        "gstreamer1.0-plugins-bad",
        &[
            "av1parse",
            "fdkaacenc",
            "h264parse",
            "h265parse",
            "jpegparse",
            "mpegtsmux",
            "openh264enc",
            "opusparse",
            "voaacenc",
            "vp9parse",
            "x265enc",
        ],
    ),
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    (
        "gstreamer1.0-libav",
        &["avenc_aac", "avenc_alac", "avenc_mjpeg"],
    ),
];

/// The package that has the element `factory`, where known.
pub(crate) fn package_of(factory: &str) -> Option<&'static str> {
    PACKAGES
        .iter()
        .find(|(_, factories)| factories.contains(&factory))
        .map(|(package, _)| *package)
        .or_else(|| {
            factory
                .starts_with("avenc_")
                .then_some("gstreamer1.0-libav")
        })
}
