// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets (`objset.c`), in the order in which they were filled; the board's order is that of hashes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::heap::{self, Store};
use super::interpreter::Interpreter;
use super::native::Method;
use super::value::{Items, Value, buffer};
use super::{Args, Raise, Result};

/// What is in both, in the left alone, in either.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    Left,
    Either,
    One,
}

/// Whether an item is in a set.
pub(crate) fn contains(items: &[Value], wanted: &Value) -> bool {
    items.iter().any(|item| item.equals(wanted))
}

/// Whether a value can be in a set.
fn check(item: &Value) -> Result<()> {
    match item {
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::Bytearray(_) => {
            let message = format!("unsupported type for __hash__: '{}'", item.type_name());
            Err(Raise::new("TypeError", message))
        }
        _ => Ok(()),
    }
}

/// Puts an item into a set unless it is there.
pub(crate) fn insert(set: &Items, item: Value) -> Result<()> {
    check(&item)?;
    if !contains(&set.borrow(), &item) {
        heap::reserve_slots(1)?;
        set.borrow_mut().push(item);
    }
    Ok(())
}

/// Items by what equal ones have in common: a heap full of them is gone through once.
#[derive(Default)]
struct Index(HashMap<u64, Vec<Value>>);

impl Index {
    fn of(items: &[Value]) -> Self {
        let mut index = Index::default();
        for item in items {
            index.add(item);
        }
        index
    }

    fn key(item: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        match item {
            Value::Tuple(items) | Value::Fields(_, items) => items.len().hash(&mut hasher),
            _ => match (item.as_float(), buffer(item)) {
                // An integer is equal to a float with the same nearest float; both zeros are one.
                (Some(value), _) => (value + 0.0).to_bits().hash(&mut hasher),
                (None, Ok(data)) => data.hash(&mut hasher),
                (None, Err(_)) => {}
            },
        }
        hasher.finish()
    }

    fn contains(&self, item: &Value) -> bool {
        let found = self.0.get(&Self::key(item));
        found.is_some_and(|items| contains(items, item))
    }

    /// False when it is there.
    fn add(&mut self, item: &Value) -> bool {
        let items = self.0.entry(Self::key(item)).or_default();
        let new = !contains(items, item);
        if new {
            items.push(item.clone());
        }
        new
    }
}

/// A set of these.
pub(crate) fn of(mut items: Vec<Value>) -> Result<Value> {
    for item in &items {
        check(item)?;
    }
    let mut index = Index::default();
    items.retain(|item| index.add(item));
    Ok(Value::Set(Store::new(items)))
}

fn combine(left: &[Value], right: &[Value], of: Of) -> Result<Value> {
    let (in_left, in_right) = (Index::of(left), Index::of(right));
    let wanted = |item: &&Value| match of {
        Of::Both => in_right.contains(item),
        Of::Left | Of::One => !in_right.contains(item),
        Of::Either => true,
    };
    let mut items: Vec<Value> = left.iter().filter(wanted).cloned().collect();
    if matches!(of, Of::Either | Of::One) {
        let new = right.iter().filter(|item| !in_left.contains(item));
        items.extend(new.cloned());
    }
    heap::reserve_slots(items.len())?;
    self::of(items)
}

/// `left operator right` of two sets; `None` if there is no such operator.
pub(crate) fn binary(operator: &str, left: &Items, right: &Items) -> Option<Result<Value>> {
    let of = match operator {
        "&" => Of::Both,
        "-" => Of::Left,
        "|" => Of::Either,
        "^" => Of::One,
        _ => return None,
    };
    Some(combine(&left.borrow(), &right.borrow(), of))
}

/// Whether all of the left are in the right.
fn is_within(left: &[Value], right: &[Value]) -> bool {
    let index = Index::of(right);
    left.iter().all(|item| index.contains(item))
}

/// `left operator right`: whether one is within the other.
pub(crate) fn compare(operator: &str, left: &[Value], right: &[Value]) -> bool {
    match operator {
        "<" => left.len() < right.len() && is_within(left, right),
        ">" => right.len() < left.len() && is_within(right, left),
        "<=" => is_within(left, right),
        _ => is_within(right, left),
    }
}

fn with(interpreter: &mut Interpreter<'_>, this: &Items, args: &Args, of: Of) -> Result<Value> {
    let other = interpreter.iterate(&args.exactly(1)?[0])?;
    let items = this.borrow().clone();
    combine(&items, &other, of)
}

fn take(this: &Items, wanted: &Value) -> Option<Value> {
    let mut items = this.borrow_mut();
    let at = items.iter().position(|item| item.equals(wanted))?;
    Some(items.remove(at))
}

/// Methods of sets.
pub(crate) static SET: &[Method<Items>] = &[
    ("add", |_, this, args| {
        insert(this, args.exactly(1)?[0].clone())?;
        Ok(Value::None)
    }),
    ("clear", |_, this, args| {
        args.exactly(0)?;
        let items = std::mem::take(&mut *this.borrow_mut());
        drop(items);
        Ok(Value::None)
    }),
    ("copy", |_, this, args| {
        args.exactly(0)?;
        heap::reserve_slots(this.borrow().len())?;
        let items = this.borrow().clone();
        Ok(Value::Set(Store::new(items)))
    }),
    ("discard", |_, this, args| {
        drop(take(this, &args.exactly(1)?[0]));
        Ok(Value::None)
    }),
    ("remove", |_, this, args| {
        let item = &args.exactly(1)?[0];
        match take(this, item) {
            Some(_) => Ok(Value::None),
            None => Err(Raise::with("KeyError", vec![item.clone()])),
        }
    }),
    ("pop", |_, this, args| {
        args.exactly(0)?;
        let mut items = this.borrow_mut();
        match items.is_empty() {
            true => Err(Raise::new("KeyError", "pop from an empty set")),
            false => Ok(items.remove(0)),
        }
    }),
    ("update", |interpreter, this, args| {
        for more in args.between(0, usize::MAX)? {
            for item in interpreter.iterate(more)? {
                insert(this, item)?;
            }
        }
        Ok(Value::None)
    }),
    ("union", |interpreter, this, args| {
        with(interpreter, this, args, Of::Either)
    }),
    ("intersection", |interpreter, this, args| {
        with(interpreter, this, args, Of::Both)
    }),
    ("difference", |interpreter, this, args| {
        with(interpreter, this, args, Of::Left)
    }),
    ("symmetric_difference", |interpreter, this, args| {
        with(interpreter, this, args, Of::One)
    }),
    ("isdisjoint", |interpreter, this, args| {
        let other = interpreter.iterate(&args.exactly(1)?[0])?;
        let other = Index::of(&other);
        let items = this.borrow();
        Ok(Value::Bool(!items.iter().any(|item| other.contains(item))))
    }),
    ("issubset", |interpreter, this, args| {
        let other = interpreter.iterate(&args.exactly(1)?[0])?;
        Ok(Value::Bool(is_within(&this.borrow(), &other)))
    }),
    ("issuperset", |interpreter, this, args| {
        let other = interpreter.iterate(&args.exactly(1)?[0])?;
        Ok(Value::Bool(is_within(&other, &this.borrow())))
    }),
];
