// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `ujson` (`modujson.c`).

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use super::Module;
use crate::python::value::{Value, dict, list, string};
use crate::python::{Raise, Result, heap, text};

pub(crate) static MODULE: Module = Module::of(
    "ujson",
    &[
        ("dumps", |_, args| {
            let mut out = String::new();
            write(&mut out, &args.exactly(1)?[0], 0)?;
            Ok(string(out))
        }),
        ("loads", |_, args| {
            let given = args.exactly(1)?;
            let source = match &given[0] {
                Value::Bytes(data) => String::from_utf8_lossy(data).into_owned(),
                value => text(value)?.to_string(),
            };
            let mut reader = Reader {
                rest: source.chars().peekable(),
            };
            let value = reader.value(0)?;
            match reader.next() {
                None => Ok(value),
                Some(_) => Err(wrong()),
            }
        }),
    ],
);

/// Lists in lists, before there is no stack any more.
const DEEPEST: usize = 60;

fn too_deep() -> Raise {
    Raise::new("RuntimeError", "maximum recursion depth exceeded")
}

fn wrong() -> Raise {
    Raise::new("ValueError", "syntax error in JSON")
}

fn write(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    heap::reserve(out.len())?;
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Str(text) => quote(out, text),
        Value::Tuple(_) | Value::List(_) => {
            out.push('[');
            for (n, item) in value.items().unwrap_or_default().iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write(out, item, depth + 1)?;
            }
            out.push(']');
        }
        Value::Dict(pairs) => {
            out.push('{');
            for (n, (key, value)) in pairs.borrow().iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write(out, key, depth + 1)?;
                out.push_str(": ");
                write(out, value, depth + 1)?;
            }
            out.push('}');
        }
        other => out.push_str(&other.repr()),
    }
    Ok(())
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// The next character that is no space.
    fn next(&mut self) -> Option<char> {
        while self
            .rest
            .next_if(|found| found.is_ascii_whitespace())
            .is_some()
        {}
        self.rest.next()
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(too_deep());
        }
        match self.next().ok_or_else(wrong)? {
            '[' => {
                let mut items = Vec::new();
                while !self.is_end(']', items.is_empty())? {
                    heap::reserve_slots(items.len())?;
                    items.push(self.value(depth + 1)?);
                }
                Ok(list(items))
            }
            '{' => {
                let mut pairs = Vec::new();
                while !self.is_end('}', pairs.is_empty())? {
                    let key = self.value(depth + 1)?;
                    if self.next() != Some(':') {
                        return Err(wrong());
                    }
                    heap::reserve_slots(2 * pairs.len())?;
                    let value = self.value(depth + 1)?;
                    pairs.push((key, value));
                }
                Ok(dict(pairs))
            }
            '"' => self.text().map(string),
            first => self.word(first),
        }
    }

    /// Whether a container ends here, or goes on after a comma.
    fn is_end(&mut self, end: char, is_empty: bool) -> Result<bool> {
        while self
            .rest
            .next_if(|found| found.is_ascii_whitespace())
            .is_some()
        {}
        if self.rest.next_if_eq(&end).is_some() {
            return Ok(true);
        }
        match is_empty || self.rest.next_if_eq(&',').is_some() {
            true => Ok(false),
            false => Err(wrong()),
        }
    }

    fn text(&mut self) -> Result<String> {
        let mut out = String::new();
        loop {
            match self.rest.next().ok_or_else(wrong)? {
                '"' => return Ok(out),
                '\\' => out.push(match self.rest.next().ok_or_else(wrong)? {
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let digits: String = self.rest.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        code.and_then(char::from_u32).ok_or_else(wrong)?
                    }
                    other => other,
                }),
                character => out.push(character),
            }
        }
    }

    fn word(&mut self, first: char) -> Result<Value> {
        let mut word = String::from(first);
        let is_part = |found: &char| found.is_ascii_alphanumeric() || "+-.".contains(*found);
        while let Some(character) = self.rest.next_if(is_part) {
            word.push(character);
        }
        match &*word {
            "null" => return Ok(Value::None),
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        if let Ok(value) = word.parse() {
            return Ok(Value::Int(value));
        }
        let is_number = word.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
        let value = word.parse().ok().filter(|_| is_number);
        value.map(Value::Float).ok_or_else(wrong)
    }
}
