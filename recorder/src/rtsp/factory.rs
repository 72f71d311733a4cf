// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client gets at a camera's address: payloaders of its own, behind sources that get what the
//! camera's ring gets. Nothing is encoded for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::gst_rtsp;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::subclass::prelude::*;

use super::feed::{Feed, Lane};
use super::viewer::Viewer;

/// Whom permissions are for: whoever may watch.
pub(crate) const VIEWER: &str = "viewer";

/// How a stream goes over RTP. Parameter sets go with each key unit, for those who come later.
fn payloader(caps: &gst::CapsRef) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    let version = structure.get::<i32>("mpegversion");
    match structure.name().as_str() {
        "video/x-h264" => Some("rtph264pay config-interval=-1 aggregate-mode=zero-latency"),
        "video/x-h265" => Some("rtph265pay config-interval=-1 aggregate-mode=zero-latency"),
        "image/jpeg" => Some("rtpjpegpay"),
        "audio/mpeg" if version == Ok(4) => Some("rtpmp4gpay"),
        _ => None,
    }
}

glib::wrapper! {
    /// Makes what each client gets.
    pub struct Factory(ObjectSubclass<imp::Factory>)
        @extends gst_rtsp_server::RTSPMediaFactory;
}

glib::wrapper! {
    /// What one client gets.
    pub struct Media(ObjectSubclass<imp::Media>) @extends gst_rtsp_server::RTSPMedia;
}

impl Factory {
    /// Of a camera, by TCP alone if `tcp_only`.
    pub fn new(camera: &str, feed: Arc<Feed>, tcp_only: bool) -> Self {
        let factory = glib::Object::new::<Self>();
        // Nobody else sets it.
        let _ = factory.imp().0.set((camera.to_owned(), feed));
        factory.set_media_gtype(Media::static_type());
        let mut ways = gst_rtsp::RTSPLowerTrans::TCP;
        if !tcp_only {
            ways |= gst_rtsp::RTSPLowerTrans::UDP;
        }
        factory.set_protocols(ways);
        let role = gst::Structure::builder(VIEWER)
            .field("media.factory.access", true)
            .field("media.factory.construct", true);
        factory.add_role_from_structure(&role.build());
        factory
    }
}

/// The pipeline of a client, as `gst-launch-1.0` would take it; nothing if a stream goes by none of the
/// payloaders.
fn description(picture: &gst::CapsRef, sound: Option<&gst::CapsRef>) -> Option<String> {
    // As much as a viewer may wait for: sinks ask how much can be late.
    let source = "appsrc is-live=true format=time max-bytes=0 min-latency=0 max-latency=5000000000";
    let picture = payloader(picture)?;
    let mut text = format!("( {source} name=picture ! {picture} name=pay0 pt=96 ");
    if let Some(sound) = sound.and_then(payloader) {
        text += &format!("{source} name=sound ! {sound} name=pay1 pt=97 ");
    }
    text.push(')');
    Some(text)
}

/// The elements of a client, which follow the camera as soon as they start.
fn build(camera: &str, feed: &Arc<Feed>) -> Option<gst::Element> {
    let kept = |lane| feed.kept(lane)?.caps;
    let picture = kept(Lane::Picture)?;
    let sound = kept(Lane::Sound);
    let Some(text) = description(&picture, sound.as_deref()) else {
        tracing::warn!(camera, "RTSP: {picture} has no place in RTP here");
        return None;
    };
    let element = match gst::parse::launch(&text) {
        Ok(element) => element,
        Err(error) => {
            tracing::warn!(camera, "RTSP: {error}");
            return None;
        }
    };
    let bin = element.downcast_ref::<gst::Bin>()?;
    let source = |name: &str| bin.by_name(name)?.downcast::<gst_app::AppSrc>().ok();
    let (picture_source, sound_source) = (source("picture")?, source("sound"));
    picture_source.set_caps(Some(&picture));
    if let Some(source) = &sound_source {
        source.set_caps(sound.as_ref());
    }
    Viewer::attach(feed, &picture_source, sound_source.as_ref());
    Some(element)
}

mod imp {
    use super::*;

    /// The camera's name and streams.
    #[derive(Debug, Default)]
    pub struct Factory(pub OnceLock<(String, Arc<Feed>)>);

    #[glib::object_subclass]
    impl ObjectSubclass for Factory {
        const NAME: &'static str = "KendryteRtspFactory";
        type Type = super::Factory;
        type ParentType = gst_rtsp_server::RTSPMediaFactory;
    }

    impl ObjectImpl for Factory {}

    impl RTSPMediaFactoryImpl for Factory {
        fn create_element(&self, _: &gst_rtsp::RTSPUrl) -> Option<gst::Element> {
            let (camera, feed) = self.0.get()?;
            build(camera, feed)
        }
    }

    #[derive(Debug, Default)]
    pub struct Media {
        /// What was wrong has been said: `rtpjpegpay` warns of each picture.
        said: AtomicBool,
        /// The client is answered. `status()` would wait for that.
        prepared: AtomicBool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Media {
        const NAME: &'static str = "KendryteRtspMedia";
        type Type = super::Media;
        type ParentType = gst_rtsp_server::RTSPMedia;
    }

    impl ObjectImpl for Media {}

    impl RTSPMediaImpl for Media {
        fn prepared(&self) {
            self.prepared.store(true, Ordering::Relaxed);
            self.parent_prepared();
        }

        /// Says what the payloader cannot carry. It warns and waits for pictures that it can, for which the
        /// client would wait in vain: before it has begun, a warning is an error.
        fn handle_message(&self, message: &gst::MessageRef) -> bool {
            let (error, warning) = match message.view() {
                gst::MessageView::Error(error) => (error.error(), false),
                gst::MessageView::Warning(warning)
                    if warning.error().kind::<gst::StreamError>().is_some() =>
                {
                    (warning.error(), true)
                }
                _ => return self.parent_handle_message(message),
            };
            if !self.said.swap(true, Ordering::Relaxed) {
                let source = message.src().map(|source| source.name());
                let source = source.unwrap_or_default();
                tracing::warn!("RTSP: a client cannot be served: {source}: {error}");
            }
            if warning && !self.prepared.load(Ordering::Relaxed) {
                let error = gst::message::Error::builder_from_error(error);
                return self.parent_handle_message(&error.build());
            }
            self.parent_handle_message(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cameras_send_has_its_payloader() {
        gst::init().unwrap();
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        let aac = caps("audio/mpeg, mpegversion=4");
        for name in ["video/x-h264", "video/x-h265", "image/jpeg"] {
            let text = description(&caps(name), Some(&aac)).unwrap();
            let element = gst::parse::launch(&text).unwrap();
            let bin = element.downcast_ref::<gst::Bin>().unwrap();
            assert!(bin.by_name("pay0").is_some() && bin.by_name("pay1").is_some());
        }
        // Sound that has none is left out; a picture that has none is not sent.
        let text = description(&caps("image/jpeg"), Some(&caps("audio/x-raw"))).unwrap();
        assert!(!text.contains("pay1"), "{text}");
        assert!(description(&caps("video/x-raw"), Some(&aac)).is_none());
    }
}
