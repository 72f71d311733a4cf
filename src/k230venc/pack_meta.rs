// SPDX-License-Identifier: MIT OR Apache-2.0
//! The custom meta that lists the packs in a buffer of `k230venc`.
//!
//! Its name is [`NAME`]; `gst_buffer_get_custom_meta()` finds it from any language. The structure
//! has one field, `packs`, a `GstValueArray` of structures named `pack` in decoding order, each
//! with `type` (string: `header`, `I` or `P`), `size` (uint, bytes) and `header` (boolean, true for
//! the parameter sets). The sizes add up to the buffer's. A buffer with a header pack has
//! `GST_BUFFER_FLAG_HEADER` as well.

use std::{
    ptr::{self, NonNull},
    sync::{LazyLock, Once},
};

use gst::glib::{self, translate::ToGlibPtr};
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

/// What GStreamer has the meta by, which it would look for by name with each buffer.
struct Info(NonNull<gst::ffi::GstMetaInfo>);

// SAFETY: it is registered for good, and nobody writes to it.
unsafe impl Send for Info {}
// SAFETY: as above.
unsafe impl Sync for Info {}

static INFO: LazyLock<Option<Info>> = LazyLock::new(|| {
    register();
    // SAFETY: a name.
    let info = unsafe { gst::ffi::gst_meta_get_info(NAME.to_glib_none().0) };
    NonNull::new(info.cast_mut()).map(Info)
});

/// Adds the meta, with an empty structure, as `gst_buffer_add_custom_meta` does once it has the info.
fn add_empty(buffer: &mut gst::BufferRef) -> Option<&mut gst::StructureRef> {
    let info = INFO.as_ref()?;
    // SAFETY: a buffer that can be written, and the info of a meta that has no parameters. What is added is a custom
    // meta, by its registration, and its structure lives and is written as the buffer is.
    unsafe {
        let meta =
            gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), info.0.as_ptr(), ptr::null_mut());
        let structure =
            gst::ffi::gst_custom_meta_get_structure(NonNull::new(meta)?.as_ptr().cast());
        Some(gst::StructureRef::from_glib_borrow_mut(structure))
    }
}

/// Attaches `packs` to `buffer`.
#[allow(
    deprecated,
    reason = "before GStreamer 1.26 what takes their place looks names up with each picture"
)]
pub(super) fn add(buffer: &mut gst::BufferRef, packs: &[Pack]) {
    let Some(structure) = add_empty(buffer) else {
        return;
    };
    let list = gst::Array::new(packs.iter().map(|pack| {
        let mut structure = PATTERNS.of(pack.kind).clone();
        structure.set_by_quark(PATTERNS.size, pack.len as u32);
        structure
    }));
    structure.set_by_quark(PATTERNS.packs, list);
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
