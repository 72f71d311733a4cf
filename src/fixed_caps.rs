// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pads that have the caps that they were given and no others (`GST_PAD_FLAG_FIXED_CAPS`), however they are asked.

use gst::glib;
use gst::prelude::*;

/// Answers a query as GStreamer does, but for those for caps. GStreamer takes no reference to the caps while they are
/// the pad's (`gst_pad_query_caps_default`, 1.22 to 1.28): of a pad that is being linked as it is deactivated they may
/// be gone, which ends the process.
pub(crate) fn query(
    pad: &gst::Pad,
    parent: Option<&impl glib::object::IsA<gst::Object>>,
    query: &mut gst::QueryRef,
) -> bool {
    if let gst::QueryViewMut::Caps(query) = query.view_mut()
        && let Some(caps) = pad.current_caps()
    {
        let first = gst::CapsIntersectMode::First;
        let filter = query.filter();
        let known = filter.map(|filter| filter.intersect_with_mode(&caps, first));
        query.set_result(&known.unwrap_or(caps));
        return true;
    }
    gst::Pad::query_default(pad, parent, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_has_its_own_caps_as_far_as_the_filter_lets_them() {
        gst::init().expect("GStreamer starts");
        let caps = |text: &str| text.parse::<gst::Caps>().expect("caps");
        let all = caps("image/jpeg");
        let (src, always) = (gst::PadDirection::Src, gst::PadPresence::Always);
        let template = gst::PadTemplate::new("src", src, always, &all).expect("a template");
        // Of a template GStreamer's own answer would be that one's caps.
        let pad = gst::Pad::builder_from_template(&template)
            .query_function(query)
            .build();
        assert_eq!(pad.query_caps(None), all);
        pad.set_active(true).expect("it is new");
        pad.push_event(gst::event::StreamStart::new("x"));
        let own = caps("image/jpeg, width=320");
        pad.push_event(gst::event::Caps::new(&own));
        assert_eq!(pad.query_caps(None), own);
        assert_eq!(
            pad.query_caps(Some(&caps("image/png; image/jpeg, height=240"))),
            caps("image/jpeg, height=240, width=320")
        );
        assert!(pad.query_caps(Some(&caps("image/png"))).is_empty());
        pad.set_active(false).expect("it is active");
        assert_eq!(pad.query_caps(None), all);
    }
}
