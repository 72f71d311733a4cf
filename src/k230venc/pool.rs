// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pool of the encoder's own memory, so that upstream writes its pictures where they are read.
//!
//! The device lends memory for a few pictures. Upstream that wants more of them at a time gets
//! buffers of ordinary memory of the same layout, which are copied: it never waits for the encoder.

use glib::subclass::prelude::*;
use gst::subclass::prelude::*;

use k230_venc::{LentPlane, PlaneMemory};

/// The memory of one plane, as GStreamer wraps it.
struct Bytes(Box<dyn PlaneMemory>);

impl AsMut<[u8]> for Bytes {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Where the planes of a picture are in a buffer whose memories are one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub offsets: Vec<usize>,
    pub strides: Vec<i32>,
    pub size: usize,
}

impl Layout {
    /// That of lent memory; `None` if it is larger than GStreamer can say.
    pub(crate) fn of(planes: &[LentPlane]) -> Option<Self> {
        let mut layout = Self::default();
        for plane in planes {
            layout.offsets.push(layout.size);
            layout.strides.push(i32::try_from(plane.stride).ok()?);
            layout.size += plane.memory.bytes().len();
        }
        u32::try_from(layout.size).ok()?;
        Some(layout)
    }
}

mod imp {
    use std::sync::Mutex;

    use super::*;
    use crate::sync::lock;

    /// Written when the pool is made and configured, and by whichever thread asks for buffers.
    #[derive(Default)]
    pub(super) struct State {
        /// Memory that no buffer has yet.
        pub lent: Vec<Vec<LentPlane>>,
        pub layout: Layout,
        pub info: Option<gst_video::VideoInfo>,
        /// Upstream reads where planes are from the buffer.
        pub told: bool,
    }

    #[derive(Default)]
    pub struct DevicePool {
        pub(super) state: Mutex<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for DevicePool {
        const NAME: &'static str = "GstK230VencPool";
        type Type = super::DevicePool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for DevicePool {}
    impl GstObjectImpl for DevicePool {}

    impl BufferPoolImpl for DevicePool {
        fn options() -> &'static [&'static str] {
            &["GstBufferPoolOptionVideoMeta"]
        }

        fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
            let told = config.has_option("GstBufferPoolOptionVideoMeta");
            let caps = config.params().and_then(|(caps, ..)| caps);
            let info = caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
            {
                let mut state = lock(&self.state);
                state.told = told;
                // Another picture than the memory is for has no place in it.
                if info.as_ref().map(picture) != state.info.as_ref().map(picture) {
                    state.lent.clear();
                    state.info = info;
                }
            }
            self.parent_set_config(config)
        }

        fn alloc_buffer(
            &self,
            params: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            let (lent, layout, info) = {
                let mut state = lock(&self.state);
                // Rows and planes are as far apart as the device has them, which has to be told.
                let lent = if state.told { state.lent.pop() } else { None };
                (lent, state.layout.clone(), state.info.clone())
            };
            let (Some(planes), Some(info)) = (lent, info) else {
                return self.parent_alloc_buffer(params);
            };
            let mut buffer = gst::Buffer::new();
            let b = buffer.make_mut();
            for plane in planes {
                b.append_memory(gst::Memory::from_mut_slice(Bytes(plane.memory)));
            }
            gst_video::VideoMeta::add_full(
                b,
                gst_video::VideoFrameFlags::empty(),
                info.format(),
                info.width(),
                info.height(),
                &layout.offsets,
                &layout.strides,
            )
            .map_err(|_| gst::FlowError::Error)?;
            Ok(buffer)
        }
    }

    fn picture(info: &gst_video::VideoInfo) -> (gst_video::VideoFormat, u32, u32) {
        (info.format(), info.width(), info.height())
    }
}

glib::wrapper! {
    /// The pool.
    pub struct DevicePool(ObjectSubclass<imp::DevicePool>) @extends gst::BufferPool, gst::Object;
}

impl DevicePool {
    /// A pool of memory that was lent for pictures of `info`, and the bytes of a buffer.
    pub(super) fn new(
        lent: Vec<Vec<LentPlane>>,
        info: &gst_video::VideoInfo,
    ) -> Option<(Self, u32)> {
        let layout = Layout::of(lent.first()?)?;
        let same = |planes: &Vec<LentPlane>| Layout::of(planes).as_ref() == Some(&layout);
        if !lent.iter().all(same) || layout.size < info.size() {
            return None;
        }
        let pool: Self = glib::Object::new();
        let size = layout.size as u32;
        let mut state = crate::sync::lock(&pool.imp().state);
        state.lent = lent;
        state.layout = layout;
        state.info = Some(info.clone());
        drop(state);
        Some((pool, size))
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    struct Memory(Vec<u8>);

    impl PlaneMemory for Memory {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    /// Memory for 320x240 in NV12 with rows of 384 bytes.
    fn lent() -> Vec<LentPlane> {
        let plane = |rows: usize| LentPlane {
            stride: 384,
            memory: Box::new(Memory(vec![0; 384 * rows])),
        };
        vec![plane(240), plane(120)]
    }

    fn pool(told: bool) -> gst::BufferPool {
        gst::init().expect("GStreamer starts");
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Nv12, 320, 240)
            .build()
            .expect("a format");
        let (pool, size) = DevicePool::new(vec![lent(), lent()], &info).expect("a pool");
        assert_eq!(size, 384 * 360);
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps().expect("caps")), size, 0, 0);
        if told {
            config.add_option("GstBufferPoolOptionVideoMeta");
        }
        pool.set_config(config).expect("it is taken");
        pool.set_active(true).expect("it starts");
        pool.upcast()
    }

    #[test]
    fn what_was_lent_is_given_first_and_nobody_waits_for_more() {
        let pool = pool(true);
        let buffers: Vec<gst::Buffer> = (0..3)
            .map(|_| pool.acquire_buffer(None).expect("a buffer"))
            .collect();
        let memories: Vec<usize> = buffers.iter().map(|b| b.n_memory()).collect();
        assert_eq!(memories, [2, 2, 1]);
        let meta = buffers[0].meta::<gst_video::VideoMeta>().expect("a layout");
        assert_eq!(meta.stride(), [384, 384]);
        assert_eq!(meta.offset(), [0, 384 * 240]);
        // It comes back as it was.
        drop(buffers);
        let again = pool.acquire_buffer(None).expect("a buffer");
        assert_eq!(again.n_memory(), 2);
        assert_eq!(again.size(), 384 * 360);
        assert!(again.meta::<gst_video::VideoMeta>().is_some());
        drop(again);
        pool.set_active(false).expect("it stops");
    }

    #[test]
    fn who_does_not_ask_where_planes_are_gets_ordinary_memory() {
        let pool = pool(false);
        let buffer = pool.acquire_buffer(None).expect("a buffer");
        assert_eq!(buffer.n_memory(), 1);
        drop(buffer);
        pool.set_active(false).expect("it stops");
    }
}
