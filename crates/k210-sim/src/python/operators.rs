// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operators do.

use std::cmp::Ordering;

use super::value::{DEEPEST, Value, buffer, list, range_len, string, tuple};
use super::{Raise, Result, bytes, format, heap, sets};

fn unsupported(name: &str, left: &Value, right: &Value) -> Raise {
    Raise::new(
        "TypeError",
        format!(
            "unsupported types for {name}: '{}', '{}'",
            left.type_name(),
            right.type_name()
        ),
    )
}

/// The method of a class that does what an operator does.
pub(crate) fn method(operator: &str) -> &'static str {
    match operator {
        "+" => "__add__",
        "-" => "__sub__",
        "*" => "__mul__",
        "/" => "__truediv__",
        "//" => "__floordiv__",
        "%" => "__mod__",
        "**" => "__pow__",
        "<<" => "__lshift__",
        ">>" => "__rshift__",
        "&" => "__and__",
        "|" => "__or__",
        "^" => "__xor__",
        "@" => "__matmul__",
        "<" => "__lt__",
        ">" => "__gt__",
        "<=" => "__le__",
        ">=" => "__ge__",
        _ => "__contains__",
    }
}

/// `operator x`.
pub(crate) fn unary(operator: &str, operand: &Value) -> Result<Value> {
    if operator == "not" {
        return Ok(Value::Bool(!operand.is_true()));
    }
    match (operator, operand, operand.as_int()) {
        ("-", Value::Float(value), _) => Ok(Value::Float(-value)),
        ("+", Value::Float(value), _) => Ok(Value::Float(*value)),
        ("-", _, Some(value)) => integer(value.checked_neg()),
        ("+", _, Some(value)) => Ok(Value::Int(value)),
        ("~", _, Some(value)) => Ok(Value::Int(!value)),
        _ => {
            let name = match operator {
                "-" => "__neg__",
                "+" => "__pos__",
                _ => "__invert__",
            };
            Err(Raise::new(
                "TypeError",
                format!("unsupported type for {name}: '{}'", operand.type_name()),
            ))
        }
    }
}

fn integer(value: Option<i64>) -> Result<Value> {
    value.map(Value::Int).ok_or_else(|| {
        Raise::new(
            "OverflowError",
            "the simulated board has no integers beyond 64 bits",
        )
    })
}

/// `left operator right`.
pub(crate) fn binary(operator: &str, left: &Value, right: &Value) -> Result<Value> {
    if operator == "%"
        && let Value::Str(template) = left
    {
        return format::percent(template, right).map(string);
    }
    if let Some(result) = sequence(operator, left, right) {
        return result;
    }
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        return integers(operator, a, b)
            .unwrap_or_else(|| Err(unsupported(method(operator), left, right)));
    }
    let (Some(a), Some(b)) = (left.as_float(), right.as_float()) else {
        return Err(unsupported(method(operator), left, right));
    };
    let value = match operator {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" | "//" | "%" if b == 0.0 => {
            return Err(Raise::new("ZeroDivisionError", "divide by zero"));
        }
        "/" => a / b,
        "//" => (a / b).floor(),
        "%" => a - b * (a / b).floor(),
        "**" => a.powf(b),
        _ => return Err(unsupported(method(operator), left, right)),
    };
    Ok(Value::Float(value))
}

fn integers(operator: &str, a: i64, b: i64) -> Option<Result<Value>> {
    Some(match operator {
        "+" => integer(a.checked_add(b)),
        "-" => integer(a.checked_sub(b)),
        "*" => integer(a.checked_mul(b)),
        "/" | "//" | "%" if b == 0 => Err(Raise::new("ZeroDivisionError", "divide by zero")),
        "/" => Ok(Value::Float(a as f32 / b as f32)),
        "//" => integer(
            a.checked_div_euclid(b)
                .map(|quotient| quotient - i64::from(b < 0 && a.rem_euclid(b) != 0)),
        ),
        "%" => integer(
            a.checked_rem_euclid(b)
                .map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        ),
        "**" if b < 0 => Ok(Value::Float((a as f32).powf(b as f32))),
        "**" => integer(u32::try_from(b).ok().and_then(|b| a.checked_pow(b))),
        "<<" | ">>" if b < 0 => Err(Raise::new("ValueError", "negative shift count")),
        "<<" => integer(
            u32::try_from(b)
                .ok()
                .filter(|&b| b < 63)
                .and_then(|b| a.checked_mul(1 << b))
                .or((a == 0).then_some(0)),
        ),
        ">>" => Ok(Value::Int(a >> b.min(63))),
        "&" => Ok(Value::Int(a & b)),
        "|" => Ok(Value::Int(a | b)),
        "^" => Ok(Value::Int(a ^ b)),
        _ => return None,
    })
}

fn sequence(operator: &str, left: &Value, right: &Value) -> Option<Result<Value>> {
    match (operator, left, right) {
        ("+", Value::Str(a), Value::Str(b)) => {
            let room = heap::reserve(a.len() + b.len());
            Some(room.map(|()| string([&**a, &**b].concat())))
        }
        (_, Value::Set(a), Value::Set(b)) => sets::binary(operator, a, b),
        ("+", Value::Bytearray(_), other) => Some(bytes::join(left, other)),
        ("+", Value::Bytes(_), Value::Bytearray(_) | Value::View(_)) => {
            let joined = bytes::join(left, right);
            Some(joined.and_then(|joined| Ok(Value::Bytes(buffer(&joined)?.into_owned().into()))))
        }
        ("+", Value::Bytes(a), Value::Bytes(b)) => {
            let room = heap::reserve(a.len() + b.len());
            Some(room.map(|()| Value::Bytes([&a[..], &b[..]].concat().into())))
        }
        ("+", Value::Tuple(a) | Value::Fields(_, a), Value::Tuple(b) | Value::Fields(_, b)) => {
            let room = heap::reserve_slots(a.len() + b.len());
            Some(room.map(|()| tuple([&a[..], &b[..]].concat())))
        }
        ("+", Value::List(a), Value::List(b)) => {
            let (a, b) = (a.borrow(), b.borrow());
            let room = heap::reserve_slots(a.len() + b.len());
            Some(room.map(|()| list([&a[..], &b[..]].concat())))
        }
        ("*", a, b) => {
            let (value, count) = match (a, b) {
                (Value::Str(_) | Value::Bytes(_) | Value::Tuple(_) | Value::List(_), count) => {
                    (a, count.as_int()?)
                }
                (count, Value::Str(_) | Value::Bytes(_) | Value::Tuple(_) | Value::List(_)) => {
                    (b, count.as_int()?)
                }
                _ => return None,
            };
            Some(multiply(value, super::amount(count)))
        }
        _ => None,
    }
}

/// A sequence as many times.
fn multiply(value: &Value, count: usize) -> Result<Value> {
    let bytes = |length: usize| heap::reserve(length.saturating_mul(count));
    let slots = |length: usize| heap::reserve_slots(length.saturating_mul(count));
    Ok(match value {
        Value::Str(text) => {
            bytes(text.len())?;
            string(text.repeat(count))
        }
        Value::Bytes(data) => {
            bytes(data.len())?;
            Value::Bytes(data.repeat(count).into())
        }
        Value::Tuple(items) => {
            slots(items.len())?;
            tuple(repeat(items, count))
        }
        Value::List(items) => {
            let items = items.borrow();
            slots(items.len())?;
            list(repeat(&items, count))
        }
        other => other.clone(),
    })
}

fn repeat(items: &[Value], count: usize) -> Vec<Value> {
    std::iter::repeat_n(items, count)
        .flatten()
        .cloned()
        .collect()
}

/// The order of two values, if they have one.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    order_within(left, right, DEEPEST)
}

/// The same, as many levels deep.
fn order_within(left: &Value, right: &Value, levels: usize) -> Option<Ordering> {
    match (left, right) {
        (Value::Str(a), Value::Str(b)) => Some((**a).cmp(&**b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some((**a).cmp(&**b)),
        (Value::Tuple(_) | Value::Fields(..), Value::Tuple(_) | Value::Fields(..))
        | (Value::List(_), Value::List(_)) => {
            let levels = levels.checked_sub(1)?;
            let (a, b) = (left.items()?, right.items()?);
            for (a, b) in a.iter().zip(&b) {
                if !a.equals(b) {
                    return order_within(a, b, levels);
                }
            }
            Some(a.len().cmp(&b.len()))
        }
        _ => match (left.as_int(), right.as_int()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => left.as_float()?.partial_cmp(&right.as_float()?),
        },
    }
}

/// `left operator right`, of those that compare.
pub(crate) fn compare(operator: &str, left: &Value, right: &Value) -> Result<bool> {
    Ok(match operator {
        "==" => left.equals(right),
        "!=" => !left.equals(right),
        "is" => left.is(right),
        "is not" => !left.is(right),
        "in" => contains(right, left)?,
        "not in" => !contains(right, left)?,
        _ => {
            if let (Value::Set(a), Value::Set(b)) = (left, right) {
                return Ok(sets::compare(operator, &a.borrow(), &b.borrow()));
            }
            let order = order(left, right);
            let numbers = left.as_float().is_some() && right.as_float().is_some();
            if order.is_none() && !numbers {
                return Err(unsupported(method(operator), left, right));
            }
            match operator {
                "<" => order == Some(Ordering::Less),
                ">" => order == Some(Ordering::Greater),
                "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            }
        }
    })
}

fn contains(container: &Value, item: &Value) -> Result<bool> {
    Ok(match container {
        Value::Str(text) => match item {
            Value::Str(part) => text.contains(&**part),
            _ => return Err(unsupported("__contains__", container, item)),
        },
        Value::Bytes(data) => match item {
            Value::Bytes(part) => {
                part.is_empty() || data.windows(part.len()).any(|window| window == &part[..])
            }
            _ => item
                .as_int()
                .is_some_and(|byte| data.iter().any(|&found| i64::from(found) == byte)),
        },
        Value::Tuple(items) | Value::Fields(_, items) => {
            items.iter().any(|found| found.equals(item))
        }
        Value::Bytearray(data) => bytes::contains(&data.borrow(), item)?,
        // `array_binary_op` looks for nothing in them.
        Value::View(_) => false,
        Value::List(items) | Value::Set(items) => {
            items.borrow().iter().any(|found| found.equals(item))
        }
        Value::Dict(pairs) => pairs.borrow().iter().any(|(key, _)| key.equals(item)),
        Value::Range(start, stop, step) => item.as_int().is_some_and(|value| {
            let distance = i128::from(value) - i128::from(*start);
            let (step, length) = (i128::from(*step), range_len(*start, *stop, *step));
            distance % step == 0 && (0..i128::from(length)).contains(&(distance / step))
        }),
        _ => {
            return Err(Raise::new(
                "TypeError",
                format!("'{}' object isn't iterable", container.type_name()),
            ));
        }
    })
}

/// Where an index points in a sequence of that length.
pub(crate) fn position(index: i64, length: usize, name: &str) -> Result<usize> {
    let at = if index < 0 {
        index + length as i64
    } else {
        index
    };
    usize::try_from(at)
        .ok()
        .filter(|&at| at < length)
        .ok_or_else(|| Raise::new("IndexError", format!("{name} index out of range")))
}

/// The part of a sequence of that length that a slice without a step takes; `None` if it has one
/// (`mp_seq_get_fast_slice_indexes`).
pub(crate) fn span(parts: [Option<i64>; 3], length: usize) -> Option<std::ops::Range<usize>> {
    let [start, stop, step] = parts;
    if step.is_some_and(|step| step != 1) {
        return None;
    }
    let length = length as i64;
    let place = |bound: Option<i64>, without: i64| {
        let bound = bound.unwrap_or(without);
        let bound = if bound < 0 {
            bound.saturating_add(length)
        } else {
            bound
        };
        bound.clamp(0, length) as usize
    };
    let start = place(start, 0);
    Some(start..place(stop, length).max(start))
}

/// The positions that a slice takes from a sequence of that length.
pub(crate) fn slice(parts: [Option<i64>; 3], length: usize) -> Result<Vec<usize>> {
    let length = length as i64;
    let [start, stop, step] = parts;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Raise::new("ValueError", "slice step cannot be zero"));
    }
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let clamp = |value: i64| (if value < 0 { value + length } else { value }).clamp(low, high);
    let mut at = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let mut positions = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        positions.push(at as usize);
        at = at.saturating_add(step);
    }
    Ok(positions)
}
