// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board that the device provider found.

use std::sync::OnceLock;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::PROVIDER_CAT as CAT;
use super::board::known_identity;
use k210_link::discovery::Port;

#[derive(Debug, Default)]
pub struct K210Device {
    port: OnceLock<Port>,
}

#[glib::object_subclass]
impl ObjectSubclass for K210Device {
    const NAME: &'static str = "GstK210Device";
    type Type = super::K210Device;
    type ParentType = gst::Device;
}

impl ObjectImpl for K210Device {}

impl GstObjectImpl for K210Device {}

impl DeviceImpl for K210Device {
    fn create_element(&self, name: Option<&str>) -> Result<gst::Element, gst::LoggableError> {
        let port = self
            .port
            .get()
            .ok_or_else(|| gst::loggable_error!(CAT, "a board without a port"))?;
        gst::Object::builder::<super::K210CameraSrc>()
            .name_if_some(name)
            .property("device", port.path.to_string_lossy().as_ref())
            .build()
            .map(|element| element.upcast())
            .map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }

    fn reconfigure_element(&self, element: &gst::Element) -> Result<(), gst::LoggableError> {
        let port = self
            .port
            .get()
            .filter(|_| element.is::<super::K210CameraSrc>())
            .ok_or_else(|| gst::loggable_error!(CAT, "not a k210camerasrc"))?;
        element.set_property("device", port.path.to_string_lossy().as_ref());
        Ok(())
    }
}

impl super::K210Device {
    /// A device for the board at `port`; `None` if GStreamer refuses it.
    pub fn new(port: &Port) -> Option<Self> {
        let class = glib::Class::<gst::Element>::from_type(super::K210CameraSrc::static_type())?;
        let caps = class.pad_template("src")?.caps().clone();
        let mut properties = gst::Structure::builder("k210-board")
            .field("device.api", "k210")
            .field("device.path", port.path.to_string_lossy().as_ref())
            .field("device.vendor.id", format!("{:04x}", port.vendor))
            .field("device.product.id", format!("{:04x}", port.product))
            .field("device.description", port.description)
            .field("device.port", u32::from(port.interface));
        if let Some(name) = &port.name {
            properties = properties.field("device.product.name", name);
        }
        if let Some(serial) = &port.serial {
            properties = properties.field("device.serial", serial);
        }
        // Only who has talked to the board knows more, and that means to open its port.
        if let Some(identity) = known_identity(port) {
            properties = properties
                .field("device.firmware", identity.firmware())
                .field("device.arch", identity.arch);
        }
        let device = gst::Object::builder::<super::K210Device>()
            .property("caps", &caps)
            .property("display-name", port.display_name())
            .property("device-class", "Source/Video")
            .property("properties", properties.build())
            .build()
            .ok()?;
        device.imp().port.set(port.clone()).ok()?;
        Some(device)
    }

    /// Where the board is.
    pub fn port(&self) -> Option<&Port> {
        self.imp().port.get()
    }
}
