// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same notion has the same name, type, range and default, whichever element has it.

use std::collections::BTreeMap;

use gst::glib;
use gst::prelude::*;

/// The bins that record, and what records sound.
const SINKS: [&str; 4] = [
    "audiorecordsink",
    "circularsink",
    "ffmpegsink",
    "recordsink",
];

/// Names that stand for something of each element's own: statistics have the element's fields, and one element writes
/// over files as picamera2 and MaixPy do, where another keeps what was recorded before an event.
const OWN: [(&str, &str); 1] = [(
    "overwrite",
    "circularsink's recordings are of events, which do not come again",
)];

/// What a property of ours is; what its base class has is GStreamer's.
fn properties(factory: &str) -> BTreeMap<String, glib::ParamSpec> {
    let element = gst::ElementFactory::make(factory).build().unwrap();
    let own = element.type_();
    element
        .list_properties()
        .iter()
        .filter(|spec| spec.owner_type() == own)
        .map(|spec| (spec.name().to_owned(), spec.clone()))
        .collect()
}

/// Least and most, where it is a number.
fn range(spec: &glib::ParamSpec) -> Option<(u64, u64)> {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        return Some((spec.minimum(), spec.maximum()));
    }
    let spec = spec.downcast_ref::<glib::ParamSpecUInt>()?;
    Some((spec.minimum().into(), spec.maximum().into()))
}

#[test]
fn a_property_of_one_name_is_the_same_in_all_sinks() {
    crate::common::init();
    let mut first: BTreeMap<String, (&str, glib::ParamSpec)> = BTreeMap::new();
    let mut shared = Vec::new();
    for factory in SINKS {
        for (name, spec) in properties(factory) {
            let Some((other, known)) = first.get(&name) else {
                first.insert(name, (factory, spec));
                continue;
            };
            let what = format!("{name} of {factory} and {other}");
            assert_eq!(spec.value_type(), known.value_type(), "{what}");
            assert_eq!(range(&spec), range(known), "{what}");
            // When it may be set is the element's.
            let access = glib::ParamFlags::READWRITE | glib::ParamFlags::DEPRECATED;
            assert_eq!(spec.flags() & access, known.flags() & access, "{what}");
            let default = |spec: &glib::ParamSpec| format!("{:?}", spec.default_value());
            match OWN.iter().any(|(own, _)| *own == name) {
                true => assert_ne!(default(&spec), default(known), "{what} are no exception"),
                false => assert_eq!(default(&spec), default(known), "{what}"),
            }
            shared.push(name);
        }
    }
    for name in [
        "location",
        "muxer-factory",
        "sink-properties",
        "pts-location",
        "max-files",
    ] {
        assert!(shared.iter().any(|it| it == name), "{name}: {shared:?}");
    }
}
