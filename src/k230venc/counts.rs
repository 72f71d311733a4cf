// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element counts.

use k230_venc::Status;

/// Counts since the start; written by the streaming thread, read by `stats`.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub backend: &'static str,
    pub encoder: String,
    pub frames_in: u64,
    pub frames_out: u64,
    pub bytes_out: u64,
    pub idr: u64,
    /// Left out to keep `frame-rate`.
    pub dropped: u64,
    /// Left out because there was not enough of them.
    pub short: u64,
    pub lost: u64,
    pub stalls: u64,
    /// What the channel said of itself last.
    pub status: Status,
    /// Frames of the channels before it, by the way they went in.
    before: Ways,
}

/// Frames by the way they went into a device.
#[derive(Debug, Clone, Copy, Default)]
struct Ways {
    imported: u64,
    pooled: u64,
    copied: u64,
}

impl Counts {
    /// Those of all channels since the start.
    fn ways(&self) -> Ways {
        Ways {
            imported: self.before.imported + self.status.imported,
            pooled: self.before.pooled + self.status.pooled,
            copied: self.before.copied + self.status.copied,
        }
    }

    /// Those of another channel are counted on top of what was counted.
    pub(crate) fn begin(&mut self, backend: &'static str, encoder: String) {
        self.before = self.ways();
        self.status = Status::default();
        self.backend = backend;
        self.encoder = encoder;
    }

    /// What the property `stats` says; `channel` is -1 before there is one.
    pub(crate) fn structure(&self, channel: Option<u32>, held: u32) -> gst::Structure {
        let c = self;
        let ways = c.ways();
        gst::Structure::builder("k230venc-stats")
            .field("backend", c.backend)
            .field("encoder", &c.encoder)
            .field("channel", channel.map_or(-1, |number| number as i32))
            .field("frames-in", c.frames_in)
            .field("frames-out", c.frames_out)
            .field("bytes-out", c.bytes_out)
            .field("idr", c.idr)
            .field("dropped", c.dropped)
            .field("dropped-short", c.short)
            .field("lost", c.lost)
            .field("imported", ways.imported)
            .field("pooled", ways.pooled)
            .field("copied", ways.copied)
            .field("held", held)
            .field("stalls", c.stalls)
            .build()
    }
}
