// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device provider: which boards there are, and when one comes or goes.
//!
//! It looks into sysfs once a second while it is started, and opens no port.

use std::sync::{LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::PROVIDER_CAT as CAT;
use crate::sync::lock;
use k210_link::discovery::{Discovery, Port};
use k210_link::interrupt::Interrupt;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Default, glib::Properties)]
#[properties(wrapper_type = super::K210DeviceProvider)]
pub struct K210DeviceProvider {
    /// Written by `set_property` before the start, read by whoever looks.
    #[property(
        name = "sysfs",
        get,
        set,
        nick = "sysfs",
        blurb = "Where sysfs is mounted (default: /sys, or sys below K210_SYSROOT)"
    )]
    sysfs: Mutex<Option<String>>,
    /// The thread that looks, and what ends it. Written by start and stop.
    watch: Mutex<Option<(JoinHandle<()>, Interrupt)>>,
    /// What was announced. Written by the thread, and by start before there is one.
    known: Mutex<Vec<super::K210Device>>,
}

#[glib::object_subclass]
impl ObjectSubclass for K210DeviceProvider {
    const NAME: &'static str = "GstK210DeviceProvider";
    type Type = super::K210DeviceProvider;
    type ParentType = gst::DeviceProvider;
}

#[glib::derived_properties]
impl ObjectImpl for K210DeviceProvider {}

impl GstObjectImpl for K210DeviceProvider {}

impl DeviceProviderImpl for K210DeviceProvider {
    fn metadata() -> Option<&'static gst::subclass::DeviceProviderMetadata> {
        static METADATA: LazyLock<gst::subclass::DeviceProviderMetadata> = LazyLock::new(|| {
            gst::subclass::DeviceProviderMetadata::new(
                "K210 Device Provider",
                "Source/Video",
                "Lists K210 boards by the USB ids of their serial adapters",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn probe(&self) -> Vec<gst::Device> {
        self.discovery()
            .ports()
            .iter()
            .filter_map(super::K210Device::new)
            .map(|device| device.upcast())
            .collect()
    }

    fn start(&self) -> Result<(), gst::LoggableError> {
        let running = || lock(&self.watch);
        if running().is_some() {
            return Ok(());
        }
        let interrupt = Interrupt::default();
        let stop = interrupt.clone();
        let weak = self.obj().downgrade();
        // What is there now is announced before start returns, as monitors expect.
        self.look();
        let thread = std::thread::Builder::new()
            .name("k210-discovery".into())
            .spawn(move || {
                while stop.wait(PERIOD).is_ok() {
                    let Some(provider) = weak.upgrade() else {
                        return;
                    };
                    provider.imp().look();
                }
            })
            .map_err(|error| gst::loggable_error!(CAT, "no thread to look for boards: {error}"))?;
        *running() = Some((thread, interrupt));
        Ok(())
    }

    fn stop(&self) {
        let watch = lock(&self.watch).take();
        if let Some((thread, interrupt)) = watch {
            interrupt.set();
            // The thread itself may be the one that dropped the last reference.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        lock(&self.known).clear();
    }
}

impl K210DeviceProvider {
    fn discovery(&self) -> Discovery {
        match &*lock(&self.sysfs) {
            Some(root) => Discovery::at(root, "/dev"),
            None => Discovery::default(),
        }
    }

    /// Announces what came and what went since the last time.
    fn look(&self) {
        let ports = self.discovery().ports();
        let (gone, new) = {
            let mut known = lock(&self.known);
            let there =
                |device: &super::K210Device| device.port().is_some_and(|port| ports.contains(port));
            let gone: Vec<_> = known.iter().filter(|d| !there(d)).cloned().collect();
            known.retain(there);
            let is_new = |port: &&Port| !known.iter().any(|d| d.port() == Some(*port));
            let new: Vec<_> = ports
                .iter()
                .filter(is_new)
                .filter_map(super::K210Device::new)
                .collect();
            known.extend(new.iter().cloned());
            (gone, new)
        };
        let obj = self.obj();
        for device in gone {
            gst::info!(CAT, imp = self, "{} is gone", device.display_name());
            obj.device_remove(&device);
        }
        for device in new {
            gst::info!(CAT, imp = self, "{} is there", device.display_name());
            obj.device_add(&device);
        }
    }
}
