// SPDX-License-Identifier: MIT OR Apache-2.0
//! The custom meta that lists the packs in a buffer of `k230venc`.
//!
//! Its name is [`NAME`]; `gst_buffer_get_custom_meta()` finds it from any language. The structure
//! has one field, `packs`, a `GstValueArray` of structures named `pack` in decoding order, each
//! with `type` (string: `header`, `I` or `P`), `size` (uint, bytes) and `header` (boolean, true for
//! the parameter sets). The sizes add up to the buffer's. A buffer with a header pack has
//! `GST_BUFFER_FLAG_HEADER` as well.

use std::sync::Once;

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

/// Attaches `packs` to `buffer`.
pub(super) fn add(buffer: &mut gst::BufferRef, packs: &[Pack]) {
    let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) else {
        return;
    };
    let list = gst::Array::new(packs.iter().map(|pack| {
        gst::Structure::builder("pack")
            .field("type", pack.kind.name())
            .field("size", pack.len as u32)
            .field("header", pack.kind == PackKind::Header)
            .build()
    }));
    meta.mut_structure().set("packs", list);
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
