// SPDX-License-Identifier: MIT OR Apache-2.0
//! The properties of the recording sinks, each declared once: what it is called and may be beside
//! where the settings have it. `glib::Properties` carries neither a `GstStructure` nor a second,
//! deprecated name for a setting.
//!
//! ```ignore
//! static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
//!     Properties::new(vec![
//!         property!(Settings: location => |name| glib::ParamSpecString::builder(name).blurb("...")),
//!         property!(Settings: muxer_factory => |name| glib::ParamSpecString::builder(name).blurb("...")),
//!         property!(Settings: muxer_factory as "muxer" => |name| glib::ParamSpecString::builder(name).deprecated()),
//!     ])
//!     .with_read_only(vec![glib::ParamSpecUInt64::builder("level-time").read_only().build()])
//! });
//! ```

use std::sync::Mutex;

use gst::glib;

use crate::sync::lock;

/// A property, and how the settings `S` of an element have it.
pub(crate) struct Property<S> {
    /// What it is called and may be.
    pub spec: glib::ParamSpec,
    /// Its value in the settings.
    pub get: fn(&S) -> glib::Value,
    /// Puts a value into the settings; false if it is of another type, which GObject rules out.
    pub set: fn(&mut S, &glib::Value) -> bool,
}

/// Declares the property of a field: `property!(Settings: max_time => |name| specification)`. It is called as
/// the field is, `max-time`, or as `as` says.
macro_rules! property {
    ($settings:ty: $field:ident => |$name:ident| $builder:expr) => {
        $crate::streams::property::property!(
            $settings: $field as &stringify!($field).replace('_', "-") => |$name| $builder
        )
    };
    ($settings:ty: $field:ident as $called:expr => |$name:ident| $builder:expr) => {{
        let $name: &str = $called;
        $crate::streams::property::Property {
            spec: $builder.build(),
            get: |settings: &$settings| glib::prelude::ToValue::to_value(&settings.$field),
            set: |settings: &mut $settings, value| match value.get() {
                Ok(value) => {
                    settings.$field = value;
                    true
                }
                Err(_) => false,
            },
        }
    }};
}
pub(crate) use property;

/// All properties of an element.
pub(crate) struct Properties<S: 'static> {
    settings: Vec<Property<S>>,
    specs: Vec<glib::ParamSpec>,
}

impl<S> Properties<S> {
    /// Those that the user sets.
    pub(crate) fn new(settings: Vec<Property<S>>) -> Self {
        let specs = settings.iter().map(|property| property.spec.clone());
        Self {
            specs: specs.collect(),
            settings,
        }
    }

    /// Those that the element itself answers for.
    pub(crate) fn with_read_only(mut self, specs: Vec<glib::ParamSpec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// What `ObjectImpl::properties()` gives.
    pub(crate) fn specs(&self) -> &[glib::ParamSpec] {
        &self.specs
    }

    /// What `ObjectImpl::set_property()` does.
    pub(crate) fn set(&self, settings: &Mutex<S>, pspec: &glib::ParamSpec, value: &glib::Value) {
        let done = self
            .find(pspec)
            .is_some_and(|property| (property.set)(&mut lock(settings), value));
        if !done {
            gst::error!(
                gst::CAT_DEFAULT,
                "{} can't be set to {value:?}",
                pspec.name()
            );
        }
    }

    /// What `ObjectImpl::property()` gives, but for the properties that are read only.
    pub(crate) fn get(&self, settings: &Mutex<S>, pspec: &glib::ParamSpec) -> glib::Value {
        match self.find(pspec) {
            Some(property) => (property.get)(&lock(settings)),
            None => pspec.default_value().clone(),
        }
    }

    fn find(&self, pspec: &glib::ParamSpec) -> Option<&Property<S>> {
        self.settings
            .iter()
            .find(|property| property.spec.name() == pspec.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glib::prelude::*;

    #[derive(Default)]
    struct Settings {
        max_time: u64,
        muxer_factory: Option<String>,
    }

    #[test]
    fn two_names_may_stand_for_one_setting() {
        gst::init().unwrap();
        let properties = Properties::new(vec![
            property!(Settings: max_time => |name| glib::ParamSpecUInt64::builder(name).default_value(3)),
            property!(Settings: muxer_factory => |name| glib::ParamSpecString::builder(name)),
            property!(Settings: muxer_factory as "muxer" => |name| glib::ParamSpecString::builder(name)),
        ])
        .with_read_only(vec![glib::ParamSpecInt::builder("level").build()]);
        let names: Vec<_> = properties.specs().iter().map(|spec| spec.name()).collect();
        assert_eq!(names, ["max-time", "muxer-factory", "muxer", "level"]);

        let settings = Mutex::new(Settings::default());
        let [time, factory, alias, level] = properties.specs() else {
            panic!("there are four");
        };
        properties.set(&settings, alias, &"avimux".to_value());
        assert_eq!(lock(&settings).muxer_factory.as_deref(), Some("avimux"));
        let value = properties.get(&settings, factory);
        assert_eq!(value.get::<Option<String>>(), Ok(Some("avimux".into())));
        properties.set(&settings, time, &7_u64.to_value());
        assert_eq!(lock(&settings).max_time, 7);
        assert_eq!(properties.get(&settings, level).get(), Ok(0));
    }
}
