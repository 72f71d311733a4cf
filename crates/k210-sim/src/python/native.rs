// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of what the firmware brings along: a name, and the function that it calls.
//!
//! Each name stands in one table and nowhere else, so a name that is in none is unknown.

use super::interpreter::Interpreter;
use super::value::Value;
use super::{Args, Result};

/// What a function of the firmware does.
pub(crate) type Call = fn(&mut Interpreter<'_>, &Args) -> Result<Value>;

/// A function of the firmware, or a built-in class and what calling it makes.
pub(crate) type Function = (&'static str, Call);

/// A method of a built-in type.
pub(crate) type Method<T> = (
    &'static str,
    fn(&mut Interpreter<'_>, &T, &Args) -> Result<Value>,
);

/// The entry of that name.
pub(crate) fn find<T>(
    table: &'static [(&'static str, T)],
    name: &str,
) -> Option<&'static (&'static str, T)> {
    table.iter().find(|(found, _)| *found == name)
}

/// A function that takes anything and does nothing: what it drives is not simulated.
pub(crate) fn nothing(_: &mut Interpreter<'_>, _: &Args) -> Result<Value> {
    Ok(Value::None)
}
