// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sink that makes each buffer a file of its own, as `multifilesink` does, but overwrites nothing
//! that it is not told to.

use std::io::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::files::{self, Claimed, CreateError};
use super::names::Pattern;
use crate::sync::lock;

glib::wrapper! {
    /// Writes pictures to numbered files.
    pub struct Pictures(ObjectSubclass<imp::Pictures>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl Pictures {
    /// A sink whose files are called as `pattern` says, numbered from 0. With `overwrite` files may
    /// be there already, and with `reserved` the first one is, made for this.
    pub fn new(pattern: Pattern, overwrite: bool, reserved: bool) -> Self {
        let sink: Self = glib::Object::builder().property("name", "pictures").build();
        sink.set_sync(false);
        sink.set_async(false);
        *lock(&sink.imp().files) = Some(imp::Files {
            pattern,
            overwrite,
            reserved,
            next: 0,
        });
        sink
    }
}

mod imp {
    use super::*;

    #[derive(Debug)]
    pub(super) struct Files {
        pub(super) pattern: Pattern,
        pub(super) overwrite: bool,
        pub(super) reserved: bool,
        pub(super) next: u64,
    }

    impl Files {
        fn write(&mut self, picture: &[u8]) -> Result<(), gst::ErrorMessage> {
            let path = self.pattern.fill(&[self.next]);
            let created = match std::mem::take(&mut self.reserved) {
                // Whoever reserved it has the claim.
                true => files::reopen(Path::new(&path)).map(|file| (file, None)),
                false => Claimed::create(path.clone().into(), self.overwrite)
                    .map(|made| (made.file, Some(made.hold))),
            };
            let (mut file, _hold) = created.map_err(|error| create_error(&error))?;
            self.next += 1;
            file.write_all(picture).map_err(|source| {
                // Half a picture is none. That it can't be removed is no news beside the error.
                let _ = std::fs::remove_file(&path);
                match source.kind() {
                    std::io::ErrorKind::StorageFull => gst::error_msg!(
                        gst::ResourceError::NoSpaceLeft,
                        ("There is no space left for '{path}'")
                    ),
                    _ => gst::error_msg!(
                        gst::ResourceError::Write,
                        ("'{path}' can't be written: {source}")
                    ),
                }
            })
        }
    }

    fn create_error(error: &CreateError) -> gst::ErrorMessage {
        gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}"))
    }

    #[derive(Debug, Default)]
    pub struct Pictures {
        pub(super) files: Mutex<Option<Files>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Pictures {
        const NAME: &'static str = "GstKendrytePictures";
        type Type = super::Pictures;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Pictures {}

    impl GstObjectImpl for Pictures {}

    impl ElementImpl for Pictures {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Picture files",
                    "Sink/File",
                    "Makes each picture a file",
                    env!("CARGO_PKG_AUTHORS"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                gst::PadTemplate::new(
                    "sink",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Always,
                    &gst::Caps::new_any(),
                )
                .into_iter()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for Pictures {
        fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let map = buffer.map_readable().map_err(|_| {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("Can't map a buffer"));
                gst::FlowError::Error
            })?;
            // Only this thread takes it while data flows.
            let written = match &mut *lock(&self.files) {
                Some(files) => files.write(&map),
                None => Ok(()),
            };
            written.map(|()| gst::FlowSuccess::Ok).map_err(|message| {
                self.post_error_message(message);
                gst::FlowError::Error
            })
        }
    }
}
