// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sink that is a disk in memory and fails when a test says so.

use std::sync::{Arc, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;

/// What goes wrong once so many bytes have been written, overwriting included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full: what is there can be overwritten, nothing appended.
    Full,
    /// One write fails.
    Once,
    /// The disk was removed: everything fails from then on.
    Gone,
}

/// The disk, which a test looks at when the pipeline is done.
#[derive(Debug, Default)]
pub struct Disk {
    pub bytes: Vec<u8>,
    position: usize,
    fails: Option<(Failure, usize)>,
    written: usize,
    failed: bool,
}

/// Systems and disks write what is overwritten in pages.
const PAGE: usize = 4096;

impl Disk {
    /// How many of `len` bytes are written at the position.
    fn spend(&mut self, len: usize) -> usize {
        let appends = self.position >= self.bytes.len();
        let Some((failure, after)) = self.fails else {
            return len;
        };
        if self.failed {
            return match failure {
                Failure::Full if appends => 0,
                Failure::Full | Failure::Once => len,
                Failure::Gone => 0,
            };
        }
        if self.written + len <= after || (failure == Failure::Full && !appends) {
            self.written += len;
            return len;
        }
        self.failed = true;
        let part = after.saturating_sub(self.written);
        if appends {
            part
        } else {
            ((self.position + part) / PAGE * PAGE).saturating_sub(self.position)
        }
    }

    /// Whether it has failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn write(&mut self, data: &[u8]) -> bool {
        let len = self.spend(data.len());
        let (from, to) = (self.position, self.position + len);
        if to > self.bytes.len() {
            self.bytes.resize(to, 0);
        }
        self.bytes[from..to].copy_from_slice(&data[..len]);
        self.position = to;
        len == data.len()
    }
}

mod imp {
    use gst::subclass::prelude::*;
    use gst_base::prelude::*;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    pub struct FailingDisk {
        pub disk: Arc<Mutex<Disk>>,
    }

    impl FailingDisk {
        pub fn disk(&self) -> MutexGuard<'_, Disk> {
            self.disk.lock().expect("no panic")
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FailingDisk {
        const NAME: &'static str = "TestFailingDisk";
        type Type = super::FailingDisk;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for FailingDisk {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_sync(false);
        }
    }

    impl GstObjectImpl for FailingDisk {}

    impl ElementImpl for FailingDisk {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                std::sync::LazyLock::new(|| {
                    gst::subclass::ElementMetadata::new("Failing disk", "Sink", "Fails", "Tests")
                });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                std::sync::LazyLock::new(|| {
                    vec![
                        gst::PadTemplate::new(
                            "sink",
                            gst::PadDirection::Sink,
                            gst::PadPresence::Always,
                            &gst::Caps::new_any(),
                        )
                        .expect("any caps"),
                    ]
                });
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for FailingDisk {
        fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            if self.disk().write(&data) {
                return Ok(gst::FlowSuccess::Ok);
            }
            gst::element_imp_error!(self, gst::ResourceError::Write, ["the disk fails"]);
            Err(gst::FlowError::Error)
        }

        fn event(&self, event: gst::Event) -> bool {
            if let gst::EventView::Segment(segment) = event.view()
                && let Some(segment) = segment.segment().downcast_ref::<gst::format::Bytes>()
            {
                let start = segment.start().map_or(0, |start| *start as usize);
                let mut disk = self.disk();
                if matches!(disk.fails, Some((Failure::Gone, _))) && disk.failed {
                    return false;
                }
                disk.position = start;
            }
            self.parent_event(event)
        }

        fn query(&self, query: &mut gst::QueryRef) -> bool {
            match query.view_mut() {
                gst::QueryViewMut::Seeking(query) if query.format() == gst::Format::Bytes => {
                    query.set(
                        true,
                        gst::format::Bytes::ZERO,
                        gst::format::Bytes::from_u64(u64::MAX / 2),
                    );
                    true
                }
                gst::QueryViewMut::Position(query) if query.format() == gst::Format::Bytes => {
                    query.set(gst::format::Bytes::from_usize(self.disk().position));
                    true
                }
                _ => BaseSinkImplExt::parent_query(self, query),
            }
        }
    }
}

glib::wrapper! {
    pub struct FailingDisk(ObjectSubclass<imp::FailingDisk>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl FailingDisk {
    /// Makes the sink that a pipeline description calls `failingdisk` known.
    pub fn register() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            gst::Element::register(
                None,
                "failingdisk",
                gst::Rank::NONE,
                FailingDisk::static_type(),
            )
            .expect("a new name");
        });
    }

    pub fn disk(&self) -> Arc<Mutex<Disk>> {
        glib::subclass::prelude::ObjectSubclassIsExt::imp(self)
            .disk
            .clone()
    }

    /// Has it fail once `after` bytes are written.
    pub fn fail(&self, failure: Failure, after: usize) {
        self.disk().lock().expect("no panic").fails = Some((failure, after));
    }
}
