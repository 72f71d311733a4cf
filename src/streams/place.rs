// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a sink that is not ours learns where a recording goes.

use gst::glib;
use gst::prelude::*;

use super::set::{self, SetError};

/// What sinks call it, the first that a sink has: files have a `location`, objects in a store
/// (`awss3sink`) a `key`, connections (`srtsink`, `rtmp2sink`) a `uri`.
const PROPERTIES: [&str; 3] = ["location", "key", "uri"];

/// Gives a sink the name of what it is to write. A sink that has no place for a name (`appsink`,
/// `fdsink`) does without.
pub(crate) fn set_name(sink: &gst::Element, name: &str) -> Result<(), SetError> {
    let takes_text = |property: &&str| {
        sink.find_property(property).is_some_and(|pspec| {
            let writable = pspec.flags().contains(glib::ParamFlags::WRITABLE);
            writable && pspec.value_type() == String::static_type()
        })
    };
    let Some(property) = PROPERTIES.into_iter().find(takes_text) else {
        return Ok(());
    };
    let factory = sink.factory().map(|factory| factory.name());
    // What giosink calls a location is a URI.
    let uri = match factory.as_deref() {
        Some("giosink") if !name.contains("://") => {
            let path = std::path::absolute(name).ok();
            path.and_then(|path| glib::filename_to_uri(path, None).ok())
        }
        _ => None,
    };
    set::set(sink, property, &uri.as_deref().unwrap_or(name).to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(factory: &str, property: &str, name: &str) -> Option<String> {
        gst::init().unwrap();
        let sink = gst::ElementFactory::make(factory).build().unwrap();
        set_name(&sink, name).unwrap();
        sink.find_property(property)?;
        sink.property(property)
    }

    #[test]
    fn each_sink_gets_the_name_where_it_looks_for_one() {
        let place = |factory, property, name| named(factory, property, name).unwrap();
        assert_eq!(place("filesink", "location", "/a b.ts"), "/a b.ts");
        assert_eq!(place("giosink", "location", "/a b.ts"), "file:///a%20b.ts");
        let uri = "ftp://host/a.ts";
        assert_eq!(place("giosink", "location", uri), uri);
        assert_eq!(named("fakesink", "location", "a.ts"), None);
        if gst::ElementFactory::find("srtsink").is_some() {
            let uri = "srt://127.0.0.1:7099?mode=listener";
            assert!(place("srtsink", "uri", uri).starts_with("srt://127.0.0.1:7099"));
        }
    }
}
