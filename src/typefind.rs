// SPDX-License-Identifier: MIT OR Apache-2.0
//! How players find `avimjpegdemux`: Motion JPEG in AVI has a type of its own, so that any other AVI stays with
//! what takes it without this plugin.

use avi_mjpeg::reader::recognize::{self, Verdict, recognize};

/// The least that is looked at; most heads are within.
const LEAST: usize = 4 << 10;

/// The type of what is taken apart here. Elements that know no variants take it as `video/x-msvideo`.
pub(crate) fn caps() -> gst::Caps {
    gst::Caps::builder("video/x-msvideo")
        .field("variant", "mjpeg")
        .build()
}

/// Registers what finds that type.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    // GStreamer's own is sure of every AVI by its first twelve bytes, and the first that is sure ends the
    // search. One for a file's extension is asked before all others, hence the extension.
    gst::TypeFind::register(
        Some(plugin),
        "avi_mjpeg",
        gst::Rank::PRIMARY + 1,
        Some("avi"),
        Some(&caps()),
        |find| {
            if find.peek(0, 12).is_some_and(recognize::begins) && verdict(find) == Verdict::Ours {
                find.suggest(gst::TypeFindProbability::Maximum, &caps());
            }
        },
    )?;
    // Asked after all that are sure, and less sure than those that have a file's first bytes to go by.
    gst::TypeFind::register(
        Some(plugin),
        "avi_mjpeg_damaged",
        gst::Rank::MARGINAL,
        Some("avi"),
        Some(&caps()),
        |find| {
            if verdict(find) == Verdict::Damaged {
                find.suggest(gst::TypeFindProbability::Likely, &caps());
            }
        },
    )
}

/// What a file is by as much of it as there is, and as it takes.
fn verdict(find: &mut gst::TypeFind) -> Verdict {
    let mut want = LEAST;
    loop {
        let head = head(find, want);
        let complete = head.len() < want || want >= recognize::ENOUGH;
        match recognize(head, complete) {
            Verdict::More if !complete => want *= 2,
            verdict => return verdict,
        }
    }
}

/// The first `most` bytes, or all there are.
fn head(find: &mut gst::TypeFind, most: usize) -> &[u8] {
    let most = match find.length() {
        Some(length) => usize::try_from(length).map_or(most, |length| length.min(most)),
        None => most,
    };
    // A stream does not say how much of it has come.
    let (mut some, mut none) = (0, most + 1);
    let mut try_next = most;
    while some < most && none - some > 1 {
        match peek(find, try_next) {
            Some(_) => some = try_next,
            None => none = try_next,
        }
        try_next = some + (none - some) / 2;
    }
    peek(find, some).unwrap_or_default()
}

fn peek(find: &mut gst::TypeFind, len: usize) -> Option<&[u8]> {
    find.peek(0, u32::try_from(len).ok()?)
}
