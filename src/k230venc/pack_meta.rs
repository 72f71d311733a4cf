// SPDX-License-Identifier: MIT OR Apache-2.0
//! The custom meta that lists the packs in a buffer of `k230venc`.
//!
//! Its name is [`NAME`]; `gst_buffer_get_custom_meta()` finds it from any language. The structure
//! has one field, `packs`, a `GstValueArray` of structures named `pack` in decoding order, each
//! with `type` (string: `header`, `I` or `P`), `size` (uint, bytes) and `header` (boolean, true for
//! the parameter sets). The sizes add up to the buffer's. A buffer with a header pack has
//! `GST_BUFFER_FLAG_HEADER` as well.

use std::sync::{LazyLock, Once};

use gst::glib;
use k230_venc::{Pack, PackKind};

/// The meta's name.
pub const NAME: &str = "GstK230VencPacks";

/// Makes the meta known, once a process.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !gst::meta::CustomMeta::is_registered(NAME) {
            gst::meta::CustomMeta::register(NAME, &[]);
        }
    });
}

/// A pack of each kind, of no bytes, of which each picture has copies: to name their fields again with each takes
/// longer.
struct Patterns {
    header: gst::Structure,
    i: gst::Structure,
    p: gst::Structure,
    /// The names of what is set with each picture.
    size: glib::Quark,
    packs: glib::Quark,
}

impl Patterns {
    fn of(&self, kind: PackKind) -> &gst::Structure {
        match kind {
            PackKind::Header => &self.header,
            PackKind::I => &self.i,
            PackKind::P => &self.p,
        }
    }
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let pattern = |kind: PackKind| {
        gst::Structure::builder("pack")
            .field("type", kind.name())
            .field("size", 0u32)
            .field("header", kind == PackKind::Header)
            .build()
    };
    Patterns {
        header: pattern(PackKind::Header),
        i: pattern(PackKind::I),
        p: pattern(PackKind::P),
        size: glib::Quark::from_str("size"),
        packs: glib::Quark::from_str("packs"),
    }
});

/// Attaches `packs` to `buffer`.
#[allow(
    deprecated,
    reason = "before GStreamer 1.26 what takes their place looks names up with each picture"
)]
pub(super) fn add(buffer: &mut gst::BufferRef, packs: &[Pack]) {
    let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) else {
        return;
    };
    let list = gst::Array::new(packs.iter().map(|pack| {
        let mut structure = PATTERNS.of(pack.kind).clone();
        structure.set_by_quark(PATTERNS.size, pack.len as u32);
        structure
    }));
    meta.mut_structure().set_by_quark(PATTERNS.packs, list);
}

/// The packs of a buffer that `k230venc` made, `None` for any other.
pub fn packs(buffer: &gst::BufferRef) -> Option<Vec<Pack>> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, NAME).ok()?;
    let list = meta.structure().get::<gst::Array>("packs").ok()?;
    list.iter()
        .map(|value| {
            let pack = value.get::<gst::Structure>().ok()?;
            let kind = match pack.get::<&str>("type").ok()? {
                "header" => PackKind::Header,
                "I" => PackKind::I,
                _ => PackKind::P,
            };
            let len = pack.get::<u32>("size").ok()? as usize;
            Some(Pack { kind, len })
        })
        .collect()
}
