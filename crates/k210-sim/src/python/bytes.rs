// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that change: `bytearray`, and `memoryview`, which shows a part of others (`objarray.c`).

use std::rc::Rc;

use super::native::Method;
use super::value::{Bytearray, Value, View, buffer, bytearray, look, no_buffer, string};
use super::{Raise, Result, heap, int, operators};

/// How many bytes can be written into a value (`MP_BUFFER_WRITE`).
pub(crate) fn room(value: &Value) -> Result<usize> {
    match value {
        Value::Bytearray(data) => Ok(data.borrow().len()),
        Value::View(view) => {
            let whole = room(&view.of)?;
            Ok(view.length.min(whole.saturating_sub(view.start)))
        }
        _ => Err(no_buffer()),
    }
}

/// Writes over the beginning of a value, as much as there is room for.
pub(crate) fn fill(value: &Value, data: &[u8]) -> Result<()> {
    fill_at(value, 0, data)
}

fn fill_at(value: &Value, start: usize, data: &[u8]) -> Result<()> {
    match value {
        Value::Bytearray(bytes) => {
            let mut bytes = bytes.borrow_mut();
            let rest = bytes.get_mut(start..).unwrap_or_default();
            for (place, byte) in rest.iter_mut().zip(data) {
                *place = *byte;
            }
            Ok(())
        }
        Value::View(view) => {
            let data = &data[..data.len().min(view.length.saturating_sub(start))];
            fill_at(&view.of, view.start.saturating_add(start), data)
        }
        _ => Err(no_buffer()),
    }
}

/// `memoryview`.
pub(crate) fn view(of: &Value) -> Result<Value> {
    let length = look(of, <[u8]>::len)?;
    Ok(part(of, 0, length))
}

/// A view of bytes, or a smaller one of what another view shows: never a view of a view.
fn part(of: &Value, start: usize, length: usize) -> Value {
    let (of, start) = match of {
        Value::View(view) => (view.of.clone(), view.start.saturating_add(start)),
        other => (other.clone(), start),
    };
    Value::View(Rc::new(View { of, start, length }))
}

/// `+`: what is on the left gets longer by anything that has bytes.
pub(crate) fn join(left: &Value, right: &Value) -> Result<Value> {
    let (left, right) = (buffer(left)?, buffer(right)?);
    heap::reserve(left.len() + right.len())?;
    Ok(bytearray([&left[..], &right[..]].concat()))
}

/// `array_extend`.
pub(crate) fn extend(data: &Bytearray, more: &Value) -> Result<()> {
    let more = buffer(more)?;
    heap::reserve(more.len())?;
    data.borrow_mut().extend_from_slice(&more);
    Ok(())
}

/// `in`: bytes are looked for, single ones are not.
pub(crate) fn contains(data: &[u8], item: &Value) -> Result<bool> {
    match buffer(item) {
        Ok(part) if part.is_empty() => Ok(true),
        Ok(part) => Ok(data.windows(part.len()).any(|window| window == &part[..])),
        Err(_) if item.as_float().is_some() => Err(Raise::with("NotImplementedError", Vec::new())),
        Err(_) => Ok(false),
    }
}

/// `object[index]`.
pub(crate) fn index(object: &Value, index: &Value) -> Result<Value> {
    let index = int(index)?;
    look(object, |data| {
        let at = operators::position(index, data.len(), object.type_name())?;
        Ok(Value::Int(data[at].into()))
    })?
}

/// `object[index] = byte`.
pub(crate) fn set(object: &Value, index: &Value, byte: &Value) -> Result<()> {
    let room = room(object).map_err(|_| read_only(object))?;
    let at = operators::position(int(index)?, room, object.type_name())?;
    fill_at(object, at, &[int(byte)? as u8])
}

fn no_step() -> Raise {
    Raise::new(
        "NotImplementedError",
        "only slices with step=1 (aka None) are supported",
    )
}

fn read_only(object: &Value) -> Raise {
    let name = object.type_name();
    Raise::new(
        "TypeError",
        format!("'{name}' object does not support item assignment"),
    )
}

/// `object[start:stop]`.
pub(crate) fn slice(object: &Value, bounds: [Option<i64>; 3]) -> Result<Value> {
    look(object, |data| {
        let span = operators::span(bounds, data.len()).ok_or_else(no_step)?;
        if let Value::View(_) = object {
            return Ok(part(object, span.start, span.len()));
        }
        heap::reserve(span.len())?;
        Ok(bytearray(data[span].to_vec()))
    })?
}

/// `object[start:stop] = value`. A byte array gets longer or shorter by it, a view does not.
pub(crate) fn replace(object: &Value, bounds: [Option<i64>; 3], value: &Value) -> Result<()> {
    let length = look(object, <[u8]>::len)?;
    let span = operators::span(bounds, length).ok_or_else(no_step)?;
    if !matches!(
        value,
        Value::Bytes(_) | Value::Bytearray(_) | Value::View(_)
    ) {
        return Err(Raise::new(
            "NotImplementedError",
            "array/bytes required on right side",
        ));
    }
    let data = buffer(value)?;
    match object {
        Value::Bytearray(bytes) => {
            heap::reserve(data.len())?;
            bytes.borrow_mut().splice(span, data.iter().copied());
            Ok(())
        }
        _ if room(object).is_err() => Err(read_only(object)),
        _ if span.len() != data.len() => {
            Err(Raise::new("ValueError", "lhs and rhs should be compatible"))
        }
        _ => fill_at(object, span.start, &data),
    }
}

/// Methods of byte arrays.
pub(crate) static BYTEARRAY: &[Method<Bytearray>] = &[
    ("append", |_, this, args| {
        let byte = int(&args.exactly(1)?[0])? as u8;
        heap::reserve(1)?;
        this.borrow_mut().push(byte);
        Ok(Value::None)
    }),
    ("extend", |_, this, args| {
        extend(this, &args.exactly(1)?[0])?;
        Ok(Value::None)
    }),
    ("decode", |_, this, args| {
        args.between(0, 2)?;
        let data = this.borrow();
        let text = std::str::from_utf8(&data);
        Ok(string(
            text.map_err(|_| Raise::with("UnicodeError", Vec::new()))?,
        ))
    }),
];
