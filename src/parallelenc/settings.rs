// SPDX-License-Identifier: MIT OR Apache-2.0
//! `parallelenc`'s properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use crate::streams::property::{Properties, property};

const DEFAULT_ENCODER: &str = "jpegenc";
const MAX_THREADS: u32 = 64;

/// What the user set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub encoder: Option<String>,
    pub threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encoder: Some(DEFAULT_ENCODER.into()),
            threads: 0,
        }
    }
}

impl Settings {
    /// The encoder and its properties.
    pub(crate) fn encoder(&self) -> &str {
        self.encoder.as_deref().unwrap_or(DEFAULT_ENCODER)
    }

    /// How many encoders there are.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism()
                .map_or(1, std::num::NonZero::get)
                .min(MAX_THREADS as usize),
            n => n as usize,
        }
    }
}

/// What the properties are called and may be.
pub(crate) static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
    Properties::new(vec![
        property!(Settings: encoder => |name| glib::ParamSpecString::builder(name)
            .nick("Encoder")
            .blurb(
                "The encoder and its properties, as for gst-launch-1.0; one whose pictures \
                 stand alone (default jpegenc)",
            )
            .default_value(Some(DEFAULT_ENCODER))
            .mutable_ready()),
        property!(Settings: threads => |name| glib::ParamSpecUInt::builder(name)
            .nick("Threads")
            .blurb(
                "Encoders, each with a thread, 1 to 64; 0: as many as there are cores \
                 (default 0)",
            )
            .maximum(MAX_THREADS)
            .mutable_ready()),
    ])
});
