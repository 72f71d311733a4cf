// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of MicroPython that camera scripts use.
//!
//! An interpreter of its own: modules, functions, classes, exceptions, the usual statements,
//! formatting, and the firmware's modules as far as they make sense without the hardware. What it
//! does not know raises what the firmware would raise. Not there: generators (a generator expression
//! is a list), properties, frozen sets, `exec` with names of its own, dict comprehensions, text that
//! is not UTF-8, modules that are files, integers beyond 64 bits, inheritance from built-in classes
//! other than exceptions, `super()` but to call a method, and the firmware's other modules.

mod ast;
mod builtins;
mod bytes;
mod format;
pub(crate) mod heap;
mod interpreter;
mod lexer;
mod methods;
mod modules;
mod native;
mod operators;
mod parser;
mod sets;
mod special;
mod stream;
mod value;

use std::rc::Rc;

pub(crate) use interpreter::{Interpreter, Mode, main_namespace};
pub(crate) use stream::Got;
use value::Text;
pub(crate) use value::{Exception, Namespace, Value, is_subclass, namespace};

/// Why a script's text is no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: &'static str,
}

/// Why running stopped.
#[derive(Clone)]
pub(crate) enum Raise {
    /// A script's or the interpreter's exception.
    Exception(Rc<Exception>),
    /// The processor stopped: a reset, or no power.
    Halt,
}

impl Raise {
    /// A built-in exception with a message.
    pub(crate) fn new(kind: &'static str, message: impl AsRef<str>) -> Self {
        Raise::with(kind, vec![value::string(message)])
    }

    /// A built-in exception with these arguments.
    pub(crate) fn with(kind: &'static str, args: Vec<Value>) -> Self {
        Raise::Exception(Rc::new(Exception::new(Value::Type(kind), args)))
    }

    /// `OSError` with a number.
    pub(crate) fn errno(number: i64) -> Self {
        Raise::with("OSError", vec![Value::Int(number)])
    }
}

/// What running gives.
pub(crate) type Result<T> = std::result::Result<T, Raise>;

/// The arguments of a call.
#[derive(Default)]
pub(crate) struct Args {
    /// In order.
    pub positional: Vec<Value>,
    /// By name.
    pub keywords: Vec<(Rc<str>, Value)>,
}

impl Args {
    /// Positional arguments alone.
    pub(crate) fn of(positional: Vec<Value>) -> Self {
        Args {
            positional,
            keywords: Vec::new(),
        }
    }

    /// The argument at `index`, or of that name.
    pub(crate) fn get(&self, index: usize, name: &str) -> Option<&Value> {
        self.keyword(name).or_else(|| self.positional.get(index))
    }

    /// The argument of that name.
    pub(crate) fn keyword(&self, name: &str) -> Option<&Value> {
        self.keywords
            .iter()
            .find(|(found, _)| &**found == name)
            .map(|(_, value)| value)
    }

    /// Exactly `count` positional arguments, as `MP_DEFINE_CONST_FUN_OBJ_n` checks.
    pub(crate) fn exactly(&self, count: usize) -> Result<&[Value]> {
        self.between(count, count)
    }

    /// At least `least`, at most `most` positional arguments and no others
    /// (`mp_arg_check_num`).
    pub(crate) fn between(&self, least: usize, most: usize) -> Result<&[Value]> {
        if !self.keywords.is_empty() {
            return Err(Raise::new(
                "TypeError",
                "function doesn't take keyword arguments",
            ));
        }
        self.check_count(least, most)
    }

    /// The positional arguments, if there are as many as there may be.
    pub(crate) fn check_count(&self, least: usize, most: usize) -> Result<&[Value]> {
        let given = self.positional.len();
        if least == most && given != least {
            return Err(Raise::new(
                "TypeError",
                format!("function takes {least} positional arguments but {given} were given"),
            ));
        }
        if given < least {
            let missing = least - given;
            return Err(Raise::new(
                "TypeError",
                format!("function missing {missing} required positional arguments"),
            ));
        }
        if given > most {
            return Err(Raise::new(
                "TypeError",
                format!("function expected at most {most} arguments, got {given}"),
            ));
        }
        Ok(&self.positional)
    }
}

/// So many of something: none for what is negative, and for what is more than a place has bits for, all of them.
pub(crate) fn amount(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

/// `mp_obj_get_int`.
pub(crate) fn int(value: &Value) -> Result<i64> {
    match value {
        Value::Float(_) => Err(Raise::new("TypeError", "can't convert float to int")),
        _ => value.as_int().ok_or_else(|| {
            Raise::new(
                "TypeError",
                format!("can't convert {} to int", value.type_name()),
            )
        }),
    }
}

/// `mp_obj_get_float`.
pub(crate) fn float(value: &Value) -> Result<f32> {
    value.as_float().ok_or_else(|| {
        Raise::new(
            "TypeError",
            format!("can't convert {} to float", value.type_name()),
        )
    })
}

/// A string argument.
pub(crate) fn text(value: &Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        _ => Err(Raise::new(
            "TypeError",
            format!(
                "can't convert '{}' object to str implicitly",
                value.type_name()
            ),
        )),
    }
}
