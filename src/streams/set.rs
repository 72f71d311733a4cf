// SPDX-License-Identifier: MIT OR Apache-2.0
//! How values reach the properties of other elements: never unchecked. `set_property()` panics at a
//! name, a type or a value that the element does not have, and a panic in a function that C calls
//! ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gst::glib;
use gst::prelude::*;

/// Why a property was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetError {
    /// The element has none of that name that can be written.
    #[error("'{element}' has no property '{property}'")]
    NoProperty {
        /// The element's factory.
        element: String,
        /// The property's name.
        property: String,
    },
    /// It does not take the value.
    #[error("'{property}' of '{element}' can't be set to {value}{range}")]
    Value {
        /// The element's factory.
        element: String,
        /// The property's name.
        property: String,
        /// The value.
        value: String,
        /// What it takes, where that is known: `: it takes 1 to 30`.
        range: String,
    },
}

/// Sets a property. The value is of the property's type or one that can be made into it: text
/// stands for anything (enumerations by nick, flags, caps, structures), a number for any number
/// that can hold it.
pub(crate) fn set(element: &gst::Element, name: &str, value: &glib::Value) -> Result<(), SetError> {
    let pspec = specification(element, name)?;
    let refused = || SetError::Value {
        element: factory(element),
        property: name.to_owned(),
        value: text(value),
        range: range(&pspec).map_or_else(String::new, |range| format!(": it takes {range}")),
    };
    let converted = convert(value, &pspec).ok_or_else(refused)?;
    if !takes(&pspec, &converted) {
        return Err(refused());
    }
    // Specifications of a kind that is not known here may refuse what looks right.
    catch_unwind(AssertUnwindSafe(|| {
        element.set_property_from_value(name, &converted);
    }))
    .map_err(|_| refused())
}

/// Sets a property that is a number, to the nearest value that the element takes. Returns that
/// value where it is another one, for a warning.
pub(crate) fn set_nearest(
    element: &gst::Element,
    name: &str,
    value: impl Into<f64>,
) -> Result<Option<f64>, SetError> {
    let value = value.into();
    let pspec = specification(element, name)?;
    let nearest = match range(&pspec) {
        Some(Range::Whole(least, most)) => value.round().clamp(least as f64, most as f64),
        Some(Range::Real(least, most)) => value.clamp(least, most),
        Some(Range::Fraction(..)) | None => value,
    };
    let whole = matches!(range(&pspec), Some(Range::Whole(..)));
    let converted = match whole {
        // Text goes into every width, to the last digit.
        true => format!("{nearest:.0}").to_value(),
        false => nearest.to_value(),
    };
    set(element, name, &converted)?;
    Ok((nearest != value).then_some(nearest))
}

/// Sets an element's properties from the fields of a structure, as `muxer-properties` gives them.
pub(crate) fn set_all(
    element: &gst::Element,
    properties: Option<&gst::Structure>,
) -> Result<(), SetError> {
    for (name, value) in properties.into_iter().flat_map(|p| p.iter()) {
        set(element, name.as_str(), &value.to_value())?;
    }
    Ok(())
}

/// Sets a property if the element has it, from text; for our own defaults.
pub(crate) fn set_if_there(element: &gst::Element, property: &str, value: &str) {
    if specification(element, property).is_ok()
        && let Err(error) = set(element, property, &value.to_value())
    {
        gst::warning!(gst::CAT_DEFAULT, obj = element, "{error}");
    }
}

/// The specification of a property that can be written at any time.
fn specification(element: &gst::Element, name: &str) -> Result<glib::ParamSpec, SetError> {
    element
        .find_property(name)
        .filter(|pspec| {
            let flags = pspec.flags();
            flags.contains(glib::ParamFlags::WRITABLE)
                && !flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        })
        .ok_or_else(|| SetError::NoProperty {
            element: factory(element),
            property: name.to_owned(),
        })
}

fn factory(element: &gst::Element) -> String {
    let factory = element.factory().map(|factory| factory.name().to_string());
    factory.unwrap_or_else(|| element.type_().name().to_owned())
}

/// The value as a user would write it.
fn text(value: &glib::Value) -> String {
    match value.serialize() {
        Ok(text) => text.into(),
        Err(_) => format!("{value:?}"),
    }
}

/// The value in the property's type.
fn convert(value: &glib::Value, pspec: &glib::ParamSpec) -> Option<glib::Value> {
    if value.type_().is_a(pspec.value_type()) {
        return Some(value.clone());
    }
    if let Ok(text) = value.get::<Option<&str>>() {
        return glib::Value::deserialize_with_pspec(text?, pspec).ok();
    }
    let converted = value.transform_with_type(pspec.value_type()).ok()?;
    // Between widths of whole numbers GObject cuts off what does not fit.
    let whole = |value: &glib::Value| {
        let wide = value.transform::<i64>().ok();
        wide.and_then(|wide| wide.get::<i64>().ok())
    };
    let is_whole = matches!(range(pspec), Some(Range::Whole(..)));
    (!is_whole || whole(value) == whole(&converted)).then_some(converted)
}

/// What a property of numbers takes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Range {
    Whole(i128, i128),
    Real(f64, f64),
    Fraction(gst::Fraction, gst::Fraction),
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(least, most) => write!(f, "{least} to {most}"),
            Self::Real(least, most) => write!(f, "{least} to {most}"),
            Self::Fraction(least, most) => write!(f, "{least} to {most}"),
        }
    }
}

fn range(pspec: &glib::ParamSpec) -> Option<Range> {
    macro_rules! of {
        ($($kind:ident($spec:ty)),*) => {
            $(if let Some(spec) = pspec.downcast_ref::<$spec>() {
                return Some(Range::$kind(spec.minimum().into(), spec.maximum().into()));
            })*
        };
    }
    of!(
        Whole(glib::ParamSpecInt),
        Whole(glib::ParamSpecUInt),
        Whole(glib::ParamSpecInt64),
        Whole(glib::ParamSpecUInt64),
        Whole(glib::ParamSpecChar),
        Whole(glib::ParamSpecUChar),
        Whole(glib::ParamSpecLong),
        Whole(glib::ParamSpecULong),
        Real(glib::ParamSpecFloat),
        Real(glib::ParamSpecDouble),
        Fraction(gst::ParamSpecFraction)
    );
    None
}

/// Whether a value of the property's type is one that it takes.
fn takes(pspec: &glib::ParamSpec, value: &glib::Value) -> bool {
    let number = |value: &glib::Value| -> Option<i128> {
        if let Ok(value) = value.get::<u64>() {
            return Some(value.into());
        }
        let wide = value.transform::<i64>().ok()?;
        Some(wide.get::<i64>().ok()?.into())
    };
    match range(pspec) {
        Some(Range::Whole(least, most)) => {
            number(value).is_some_and(|n| (least..=most).contains(&n))
        }
        Some(Range::Real(least, most)) => {
            let wide = value.transform::<f64>().ok();
            wide.and_then(|wide| wide.get::<f64>().ok())
                .is_some_and(|n| (least..=most).contains(&n))
        }
        Some(Range::Fraction(least, most)) => value
            .get::<gst::Fraction>()
            .is_ok_and(|n| (least..=most).contains(&n)),
        None => match glib::EnumValue::from_value(value) {
            // A number that was made into an enumeration need not be one of its values.
            Some((class, known)) => class.value(known.value()).is_some(),
            None => !pspec.value_type().is_a(glib::Type::ENUM),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> gst::Element {
        gst::init().unwrap();
        gst::ElementFactory::make("identity").build().unwrap()
    }

    fn error(element: &gst::Element, name: &str, value: impl ToValue) -> String {
        set(element, name, &value.to_value())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn values_of_every_kind_are_set() {
        let identity = identity();
        set(&identity, "sync", &true.to_value()).unwrap();
        assert!(identity.property::<bool>("sync"));
        set(&identity, "sync", &"false".to_value()).unwrap();
        assert!(!identity.property::<bool>("sync"));
        set(&identity, "datarate", &7_u64.to_value()).unwrap();
        assert_eq!(identity.property::<i32>("datarate"), 7);
        set(&identity, "drop-probability", &"0.5".to_value()).unwrap();
        assert_eq!(identity.property::<f32>("drop-probability"), 0.5);
        let queue = gst::ElementFactory::make("queue").build().unwrap();
        set(&queue, "leaky", &"downstream".to_value()).unwrap();
        set(&queue, "max-size-time", &u64::MAX.to_value()).unwrap();
        assert_eq!(queue.property::<u64>("max-size-time"), u64::MAX);
    }

    #[test]
    fn what_an_element_does_not_take_is_an_error_and_no_panic() {
        let identity = identity();
        assert_eq!(
            error(&identity, "nosuch", 1),
            "'identity' has no property 'nosuch'"
        );
        // Read only.
        assert!(error(&identity, "last-message", "x").contains("no property"));
        assert_eq!(
            error(&identity, "datarate", -1),
            "'datarate' of 'identity' can't be set to -1: it takes 0 to 2147483647"
        );
        assert!(error(&identity, "datarate", 1_u64 << 32).contains("4294967296: it takes 0"));
        assert!(error(&identity, "drop-probability", 2.0).contains("it takes 0 to 1"));
        assert!(error(&identity, "drop-probability", f64::NAN).contains("it takes 0 to 1"));
        assert!(error(&identity, "sync", "perhaps").contains("can't be set to perhaps"));
        let queue = gst::ElementFactory::make("queue").build().unwrap();
        assert!(error(&queue, "leaky", 77).contains("can't be set to 77"));
        assert!(error(&queue, "leaky", None::<&str>).contains("can't be set"));
    }

    #[test]
    fn numbers_are_brought_into_the_range() {
        let identity = identity();
        assert_eq!(set_nearest(&identity, "datarate", 7), Ok(None));
        assert_eq!(set_nearest(&identity, "datarate", -3), Ok(Some(0.0)));
        assert_eq!(
            set_nearest(&identity, "datarate", 1e12),
            Ok(Some(2147483647.0))
        );
        assert_eq!(identity.property::<i32>("datarate"), i32::MAX);
        assert_eq!(
            set_nearest(&identity, "drop-probability", 31),
            Ok(Some(1.0))
        );
        assert!(set_nearest(&identity, "nosuch", 1).is_err());
    }
}
