// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::chain::PLAYABLE;
use super::recorder::Recorder;
use super::settings::PROPERTIES;
use crate::streams::{bin, entry};

const ENCODED_VIDEO: &[&str] = &[
    "image/jpeg",
    "video/x-h264",
    "video/x-h265",
    "video/x-vp8",
    "video/x-vp9",
    "video/x-av1",
    "video/mpeg",
    "video/x-prores",
];

const ENCODED_AUDIO: &[&str] = &[
    "audio/mpeg",
    "audio/x-opus",
    "audio/x-vorbis",
    "audio/x-flac",
    "audio/x-ac3",
    "audio/x-alaw",
    "audio/x-mulaw",
];

#[derive(Debug, Default)]
pub struct RecordSink {
    recorder: Arc<Recorder>,
}

/// Raw pictures as encoders take them first: a source that can choose gives those.
fn video_caps() -> gst::Caps {
    let mut caps = gst_video::VideoCapsBuilder::new()
        .format_list(PLAYABLE)
        .build();
    caps.merge(caps_of("video/x-raw", ENCODED_VIDEO));
    caps
}

fn caps_of(raw: &str, encoded: &[&str]) -> gst::Caps {
    let mut caps = gst::Caps::new_empty_simple(raw);
    for name in encoded {
        caps.merge(gst::Caps::new_empty_simple(*name));
    }
    caps
}

#[glib::object_subclass]
impl ObjectSubclass for RecordSink {
    const NAME: &'static str = "GstRecordSink";
    type Type = super::RecordSink;
    type ParentType = gst::Bin;
}

impl ObjectImpl for RecordSink {
    fn constructed(&self) {
        self.parent_constructed();
        bin::be_a_sink(&*self.obj());
        self.recorder.bin.set(Some(self.obj().upcast_ref()));
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        PROPERTIES.set(&self.recorder.settings, pspec, value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.recorder.stats().to_value(),
            _ => PROPERTIES.get(&self.recorder.settings, pspec),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // split(location or NULL): the next key unit begins another file.
                glib::subclass::Signal::builder("split")
                    .param_types([Option::<String>::static_type()])
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        element.imp().recorder.split(args[1].get().ok()?);
                        None
                    })
                    .build(),
                // pin(location or NULL) -> gboolean: the file, or the one that is being written, is
                // not deleted for others. False if there is none.
                glib::subclass::Signal::builder("pin")
                    .param_types([Option::<String>::static_type()])
                    .return_type::<bool>()
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok()?;
                        let recorder = &element.imp().recorder;
                        Some(recorder.pin(location.as_deref()).to_value())
                    })
                    .build(),
                // unpin(location) -> gboolean: undoes pin(). False if there is no such file.
                glib::subclass::Signal::builder("unpin")
                    .param_types([String::static_type()])
                    .return_type::<bool>()
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok()??;
                        Some(element.imp().recorder.unpin(&location).to_value())
                    })
                    .build(),
                // format-location(number) -> string, and format-location-full(number, first sample)
                // -> string, which is asked first: the next file's name, as with splitmuxsink. NULL
                // leaves it to location.
                glib::subclass::Signal::builder("format-location")
                    .param_types([u32::static_type()])
                    .return_type::<Option<String>>()
                    .build(),
                glib::subclass::Signal::builder("format-location-full")
                    .param_types([u32::static_type(), gst::Sample::static_type()])
                    .return_type::<Option<String>>()
                    .build(),
                // finish(): the recording ends here, with EOS.
                glib::subclass::Signal::builder("finish")
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        element.imp().recorder.finish();
                        None
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for RecordSink {}

impl ElementImpl for RecordSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Recorder",
                "Generic/Bin/Sink",
                "Records video and sound to the file that its location names",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            entry::pad_templates(&video_caps(), &caps_of("audio/x-raw", ENCODED_AUDIO))
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        self.add_stream(template)
            .inspect_err(|err| gst::warning!(CAT, imp = self, "{err}"))
            .ok()
    }

    fn send_event(&self, event: gst::Event) -> bool {
        // Some muxers pass a seek on, and wait for the flush that comes of it.
        if event.type_() == gst::EventType::Seek {
            return false;
        }
        self.parent_send_event(event)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.recorder.streams.release(&*self.obj(), pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let recorder = &self.recorder;
        // An error before the pipeline has prerolled leaves the bin in READY: it does not hear of PAUSED to READY.
        let ends = matches!(
            transition,
            gst::StateChange::PausedToReady | gst::StateChange::ReadyToNull
        );
        let refuse = |message| {
            self.obj().post_error_message(message);
            gst::StateChangeError
        };
        match transition {
            gst::StateChange::NullToReady => recorder.check().map_err(refuse)?,
            gst::StateChange::ReadyToPaused => {
                recorder.take_apart();
                recorder.prepare().map_err(refuse)?;
            }
            gst::StateChange::PausedToPlaying => recorder.preroll.wait(),
            _ if ends => recorder.release_streams(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if ends {
            recorder.take_apart();
        }
        Ok(success)
    }
}

impl BinImpl for RecordSink {
    fn handle_message(&self, message: gst::Message) {
        let recorder = &self.recorder;
        match message.view() {
            gst::MessageView::Eos(eos) => {
                if let Some(muxed) = recorder.muxed().filter(|muxed| muxed.is_sink(eos.src())) {
                    recorder.muxed_file_done(&muxed);
                    if muxed.goes_on() {
                        return;
                    }
                }
                recorder.ended(eos.src());
            }
            gst::MessageView::Error(error) => {
                recorder.failed_in(error.src());
                // What follows from an error is no news.
                if !recorder.fails() {
                    gst::debug!(CAT, imp = self, "After an error: {message:?}");
                    return;
                }
            }
            gst::MessageView::AsyncDone(_) => {
                return recorder
                    .preroll
                    .tell(|| self.parent_handle_message(message));
            }
            _ => (),
        }
        self.parent_handle_message(message);
    }
}

impl RecordSink {
    fn add_stream(&self, template: &gst::PadTemplate) -> Result<gst::Pad, glib::BoolError> {
        let name = template.name_template().to_owned();
        if self.recorder.is_chosen() {
            gst::element_warning!(
                self.obj(),
                gst::CoreError::Pad,
                ("There is no pad {name} any more: a recording's streams are chosen before its \
                     first data. Put a queue between it and what has its pads later")
            );
            return Err(glib::bool_error!(
                "No pad {name}: a recording's streams are chosen before its first data"
            ));
        }
        let weak = Arc::downgrade(&self.recorder);
        let inside = name.clone();
        let ended = {
            let (weak, name) = (weak.clone(), name.clone());
            move || {
                weak.upgrade()
                    .is_some_and(|recorder| recorder.has_ended(&name))
            }
        };
        let obj = self.obj();
        let pad =
            self.recorder
                .streams
                .add(
                    &*obj,
                    template,
                    ended,
                    move |_, pad, info, admission| match weak.upgrade() {
                        Some(recorder) => recorder.arrived(&name, pad, info, admission),
                        None => gst::PadProbeReturn::Ok,
                    },
                )?;
        let head = self.recorder.streams.pad(&inside);
        if let Some(head) = head.and_then(|pad| pad.target()) {
            let weak = Arc::downgrade(&self.recorder);
            // A segment follows the caps, which are told with the first readable picture.
            head.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                let event = info.event().map(|event| event.type_());
                let waits = event == Some(gst::EventType::Segment)
                    && weak
                        .upgrade()
                        .is_some_and(|recorder| recorder.waits_for_size(&inside));
                match waits {
                    true => gst::PadProbeReturn::Handled,
                    false => gst::PadProbeReturn::Ok,
                }
            });
        }
        // What is built for the first caps converts them. If upstream were asked to choose again,
        // an encoder would begin a second stream, and the file with it, after the first frame.
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
            match info.event().map(|event| event.type_()) {
                Some(gst::EventType::Reconfigure) => gst::PadProbeReturn::Handled,
                _ => gst::PadProbeReturn::Ok,
            }
        });
        Ok(pad)
    }
}
