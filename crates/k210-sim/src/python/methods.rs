// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attributes, items and methods of values.

use std::rc::Rc;

use super::heap::{self, Held};
use super::interpreter::Interpreter;
use super::native::{Function, Method, find};
use super::value::{Items, Pairs, Terminal, Text, Value, dict, list, no_buffer, string, tuple};
use super::{Args, Raise, Result, amount, bytes, format, int, modules, operators, sets, text};

static STR: &[Method<Text>] = &[
    ("format", |interpreter, this, args| {
        let positional = args.positional.iter();
        let keywords = args.keywords.iter();
        let mut args = Args::default();
        for value in positional {
            args.positional.push(interpreter.with_texts(value)?);
        }
        for (name, value) in keywords {
            let value = interpreter.with_texts(value)?;
            args.keywords.push((name.clone(), value));
        }
        format::braces(this, &args).map(string)
    }),
    ("split", |_, this, args| {
        split(this, args, |text, most, separator| {
            text.splitn(most, separator).map(string).collect()
        })
    }),
    ("rsplit", |_, this, args| {
        split(this, args, |text, most, separator| {
            let mut parts: Vec<Value> = text.rsplitn(most, separator).map(string).collect();
            parts.reverse();
            parts
        })
    }),
    ("strip", |_, this, args| {
        let blanks = blanks(args)?;
        Ok(string(this.trim_matches(|found| blanks.contains(found))))
    }),
    ("lstrip", |_, this, args| {
        let blanks = blanks(args)?;
        Ok(string(
            this.trim_start_matches(|found| blanks.contains(found)),
        ))
    }),
    ("rstrip", |_, this, args| {
        let blanks = blanks(args)?;
        Ok(string(
            this.trim_end_matches(|found| blanks.contains(found)),
        ))
    }),
    ("join", |interpreter, this, args| {
        let items = interpreter.iterate(&args.exactly(1)?[0])?;
        let parts = items.iter().map(text).collect::<Result<Vec<_>>>()?;
        let length = parts.iter().map(|part| part.len() + this.len());
        heap::reserve(length.sum())?;
        Ok(string(parts.join(&**this)))
    }),
    ("startswith", |_, this, args| {
        any_part(args, |part| this.starts_with(part))
    }),
    ("endswith", |_, this, args| {
        any_part(args, |part| this.ends_with(part))
    }),
    ("replace", |_, this, args| {
        let given = args.between(2, 3)?;
        let (old, new) = (text(&given[0])?, text(&given[1])?);
        let count = this.matches(&*old).count();
        heap::reserve(this.len() + count.saturating_mul(new.len()))?;
        Ok(string(this.replace(&*old, &new)))
    }),
    ("find", |_, this, args| {
        let part = first_text(args)?;
        Ok(Value::Int(place(this, this.find(&*part)).unwrap_or(-1)))
    }),
    ("rfind", |_, this, args| {
        let part = first_text(args)?;
        Ok(Value::Int(place(this, this.rfind(&*part)).unwrap_or(-1)))
    }),
    ("index", |_, this, args| {
        let part = first_text(args)?;
        let place = place(this, this.find(&*part));
        place
            .map(Value::Int)
            .ok_or_else(|| Raise::new("ValueError", "substring not found"))
    }),
    ("upper", |_, this, _| Ok(string(this.to_ascii_uppercase()))),
    ("lower", |_, this, _| Ok(string(this.to_ascii_lowercase()))),
    ("encode", |_, this, _| {
        Ok(Value::Bytes(this.as_bytes().into()))
    }),
    ("count", |_, this, args| {
        let part = first_text(args)?;
        Ok(Value::Int(this.matches(&*part).count() as i64))
    }),
    ("isdigit", |_, this, _| {
        let all = this.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Value::Bool(all && !this.is_empty()))
    }),
    ("isalpha", |_, this, _| {
        let all = this.bytes().all(|byte| byte.is_ascii_alphabetic());
        Ok(Value::Bool(all && !this.is_empty()))
    }),
    ("center", |_, this, args| {
        let width = amount(int(&args.exactly(1)?[0])?).min(10_000);
        Ok(string(format!("{this:^width$}")))
    }),
    ("splitlines", |_, this, _| {
        Ok(list(this.lines().map(string).collect()))
    }),
];

/// The only argument of those that may not be missing, as text.
fn first_text(args: &Args) -> Result<Text> {
    match args.between(0, 3)?.first() {
        Some(value) => text(value),
        None => args.exactly(1).map(|_| Text::from("")),
    }
}

/// What `strip` takes away.
fn blanks(args: &Args) -> Result<Text> {
    match args.between(0, 1)?.first() {
        Some(Value::None) | None => Ok(Text::from(" \t\n\r\x0b\x0c")),
        Some(value) => text(value),
    }
}

/// Whether `test` holds for the only argument, or for one of those in it.
fn any_part(args: &Args, test: impl Fn(&str) -> bool) -> Result<Value> {
    let found = match args.positional.first() {
        Some(Value::Tuple(options)) => options
            .iter()
            .try_fold(false, |found, option| -> Result<bool> {
                Ok(found || test(&text(option)?))
            })?,
        _ => test(&first_text(args)?),
    };
    Ok(Value::Bool(found))
}

/// A byte's place counted in characters.
fn place(text: &str, at: Option<usize>) -> Option<i64> {
    at.map(|at| text[..at].chars().count() as i64)
}

fn split(this: &str, args: &Args, parts: fn(&str, usize, &str) -> Vec<Value>) -> Result<Value> {
    let given = args.between(0, 2)?;
    let separator = match given.first() {
        None | Some(Value::None) => {
            return Ok(list(this.split_whitespace().map(string).collect()));
        }
        Some(separator) => text(separator)?,
    };
    if separator.is_empty() {
        return Err(Raise::new("ValueError", "empty separator"));
    }
    let most = given.get(1).map_or(Ok(-1), int)?;
    let most = usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
    Ok(list(parts(this, most, &separator)))
}

static BYTES: &[Method<Held<[u8]>>] = &[
    ("decode", |_, this, _| {
        let text = std::str::from_utf8(this);
        Ok(string(
            text.map_err(|_| Raise::with("UnicodeError", Vec::new()))?,
        ))
    }),
    ("startswith", |_, this, args| {
        Ok(Value::Bool(this.starts_with(first_bytes(args)?)))
    }),
    ("endswith", |_, this, args| {
        Ok(Value::Bool(this.ends_with(first_bytes(args)?)))
    }),
    ("find", |_, this, args| {
        let part = first_bytes(args)?;
        let at =
            (0..=this.len().saturating_sub(part.len())).find(|&at| this[at..].starts_with(part));
        Ok(Value::Int(at.map_or(-1, |at| at as i64)))
    }),
    ("hex", |_, this, _| {
        let digits: String = this.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(string(digits))
    }),
];

fn first_bytes(args: &Args) -> Result<&[u8]> {
    match args.between(1, 2)?.first() {
        Some(Value::Bytes(part)) => Ok(part),
        _ => Err(no_buffer()),
    }
}

static TUPLE: &[Method<Held<[Value]>>] = &[
    ("index", |_, this, args| {
        index_of(this, args).map(Value::Int)
    }),
    ("count", |_, this, args| count(this, args)),
];

static LIST: &[Method<Items>] = &[
    ("append", |_, this, args| {
        let item = args.exactly(1)?[0].clone();
        heap::reserve_slots(1)?;
        this.borrow_mut().push(item);
        Ok(Value::None)
    }),
    ("extend", |interpreter, this, args| {
        let more = interpreter.iterate(&args.exactly(1)?[0])?;
        this.borrow_mut().extend(more);
        Ok(Value::None)
    }),
    ("insert", |_, this, args| {
        let given = args.exactly(2)?;
        let at = int(&given[0])?;
        heap::reserve_slots(1)?;
        let mut items = this.borrow_mut();
        let length = items.len() as i64;
        let at = if at < 0 { at + length } else { at }.clamp(0, length);
        items.insert(at as usize, given[1].clone());
        Ok(Value::None)
    }),
    ("pop", |_, this, args| {
        let at = args.between(0, 1)?.first().map_or(Ok(-1), int)?;
        let mut items = this.borrow_mut();
        if items.is_empty() {
            return Err(Raise::new("IndexError", "pop from empty list"));
        }
        let at = operators::position(at, items.len(), "pop")?;
        Ok(items.remove(at))
    }),
    ("remove", |_, this, args| {
        let at = index_of(&this.borrow(), args)?;
        let removed = this.borrow_mut().remove(at as usize);
        drop(removed);
        Ok(Value::None)
    }),
    ("reverse", |_, this, _| {
        this.borrow_mut().reverse();
        Ok(Value::None)
    }),
    ("sort", |interpreter, this, args| {
        let items = this.borrow().clone();
        let sorted = super::builtins::sorted(interpreter, items, args)?;
        *this.borrow_mut() = sorted;
        Ok(Value::None)
    }),
    ("index", |_, this, args| {
        index_of(&this.borrow(), args).map(Value::Int)
    }),
    ("count", |_, this, args| count(&this.borrow(), args)),
    ("clear", |_, this, _| {
        let items = std::mem::take(&mut *this.borrow_mut());
        drop(items);
        Ok(Value::None)
    }),
    ("copy", |_, this, _| {
        heap::reserve_slots(this.borrow().len())?;
        Ok(list(this.borrow().clone()))
    }),
];

fn index_of(items: &[Value], args: &Args) -> Result<i64> {
    let wanted = &args.exactly(1)?[0];
    let at = items.iter().position(|item| item.equals(wanted));
    at.map(|at| at as i64)
        .ok_or_else(|| Raise::new("ValueError", "object not in sequence"))
}

fn count(items: &[Value], args: &Args) -> Result<Value> {
    let wanted = &args.exactly(1)?[0];
    let count = items.iter().filter(|item| item.equals(wanted)).count();
    Ok(Value::Int(count as i64))
}

static DICT: &[Method<Pairs>] = &[
    ("get", |_, this, args| {
        let given = args.between(1, 2)?;
        let default = || given.get(1).cloned().unwrap_or(Value::None);
        Ok(lookup(this, &given[0]).unwrap_or_else(default))
    }),
    ("keys", |_, this, args| {
        args.exactly(0)?;
        let pairs = this.borrow();
        Ok(list(pairs.iter().map(|(key, _)| key.clone()).collect()))
    }),
    ("values", |_, this, args| {
        args.exactly(0)?;
        let pairs = this.borrow();
        Ok(list(pairs.iter().map(|(_, value)| value.clone()).collect()))
    }),
    ("items", |_, this, args| {
        args.exactly(0)?;
        let pairs = this.borrow();
        let items = pairs
            .iter()
            .map(|(key, value)| tuple(vec![key.clone(), value.clone()]));
        Ok(list(items.collect()))
    }),
    ("pop", |_, this, args| {
        let given = args.between(1, 2)?;
        let mut pairs = this.borrow_mut();
        match pairs.iter().position(|(key, _)| key.equals(&given[0])) {
            Some(at) => Ok(pairs.remove(at).1),
            None => given
                .get(1)
                .cloned()
                .ok_or_else(|| Raise::with("KeyError", vec![given[0].clone()])),
        }
    }),
    ("update", |_, this, args| {
        if let Some(Value::Dict(other)) = args.positional.first() {
            let other = other.borrow().clone();
            for (key, value) in other {
                insert(this, key, value)?;
            }
        }
        for (key, value) in &args.keywords {
            insert(this, string(key), value.clone())?;
        }
        Ok(Value::None)
    }),
    ("setdefault", |_, this, args| {
        let given = args.between(1, 2)?;
        if let Some(value) = lookup(this, &given[0]) {
            return Ok(value);
        }
        let default = given.get(1).cloned().unwrap_or(Value::None);
        insert(this, given[0].clone(), default.clone())?;
        Ok(default)
    }),
    ("clear", |_, this, _| {
        let pairs = std::mem::take(&mut *this.borrow_mut());
        drop(pairs);
        Ok(Value::None)
    }),
    ("copy", |_, this, _| {
        heap::reserve_slots(2 * this.borrow().len())?;
        Ok(dict(this.borrow().clone()))
    }),
];

fn lookup(pairs: &Pairs, key: &Value) -> Option<Value> {
    let pairs = pairs.borrow();
    let found = pairs.iter().find(|(found, _)| found.equals(key));
    found.map(|(_, value)| value.clone())
}

/// Puts a pair into a dict.
pub(crate) fn insert(pairs: &Pairs, key: Value, value: Value) -> Result<()> {
    let mut pairs = pairs.borrow_mut();
    match pairs.iter_mut().find(|(found, _)| found.equals(&key)) {
        Some((_, old)) => drop(std::mem::replace(old, value)),
        None => {
            heap::reserve_slots(2)?;
            pairs.push((key, value));
        }
    }
    Ok(())
}

/// An attribute of a value.
pub(crate) fn attribute(object: &Value, name: &str) -> Option<Value> {
    match object {
        Value::Module(module) => module.attribute(name),
        Value::Type(kind) if name == "__name__" => Some(string(kind)),
        Value::Type(kind) => modules::class_attribute(kind, name),
        Value::Class(class) if name == "__name__" => Some(string(&class.name)),
        Value::Class(_) => class_attribute(object, name).map(|found| of_class(found, object)),
        Value::Instance(instance) => {
            if let Some(value) = instance.names.borrow().get(name) {
                return Some(value.clone());
            }
            match class_attribute(object, name)? {
                Value::Function(_) => Some(bound(object, name)),
                value => Some(of_class(value, &Value::Class(instance.class.clone()))),
            }
        }
        Value::Exception(exception) => match name {
            "args" => Some(tuple(exception.args.clone())),
            "value" | "errno" => Some(exception.args.first().cloned().unwrap_or(Value::None)),
            _ => None,
        },
        Value::Function(closure) if name == "__name__" => Some(string(&closure.code.name)),
        Value::Fields(names, items) => {
            let at = names.iter().position(|found| *found == name)?;
            items.get(at).cloned()
        }
        Value::Terminal(_) if name == "buffer" => Some(Value::Terminal(Terminal::Buffer)),
        _ if has_method(object, name) => Some(bound(object, name)),
        Value::Uart => modules::class_attribute("UART", name),
        _ => None,
    }
}

/// What is found in a class, by way of that class.
fn of_class(found: Value, class: &Value) -> Value {
    match &found {
        Value::ClassMethod(function) => match function.first() {
            Some(function) => Value::Bound(vec![function.clone(), class.clone()].into()),
            None => found,
        },
        Value::StaticMethod(function) => function.first().cloned().unwrap_or(found),
        _ => found,
    }
}

/// What a name that is none raises.
pub(crate) fn no_attribute(object: &Value, name: &str) -> Raise {
    let message = match object {
        Value::Type(kind) => format!("type object '{kind}' has no attribute '{name}'"),
        Value::Class(class) => {
            format!("type object '{}' has no attribute '{name}'", class.name)
        }
        _ => format!("'{}' object has no attribute '{name}'", object.type_name()),
    };
    Raise::new("AttributeError", message)
}

fn bound(object: &Value, name: &str) -> Value {
    Value::Method(Rc::new((object.clone(), name.into())))
}

fn has_method(object: &Value, name: &str) -> bool {
    match object {
        Value::Str(_) => find(STR, name).is_some(),
        Value::Bytes(_) => find(BYTES, name).is_some(),
        Value::Tuple(_) => find(TUPLE, name).is_some(),
        Value::Bytearray(_) => find(bytes::BYTEARRAY, name).is_some(),
        Value::Terminal(_) => find(modules::TERMINAL_METHODS, name).is_some(),
        Value::Hash(_) => find(modules::HASH_METHODS, name).is_some(),
        Value::List(_) => find(LIST, name).is_some(),
        Value::Set(_) => find(sets::SET, name).is_some(),
        Value::Dict(_) => find(DICT, name).is_some(),
        Value::File(_) => find(modules::FILE_METHODS, name).is_some(),
        Value::Clock(_) => find(modules::CLOCK_METHODS, name).is_some(),
        Value::Image => find(modules::IMAGE_METHODS, name).is_some(),
        Value::Uart => find(modules::UART_METHODS, name).is_some(),
        _ => false,
    }
}

/// Calls a method of a built-in value.
pub(crate) fn call(
    interpreter: &mut Interpreter<'_>,
    object: &Value,
    name: &str,
    args: &Args,
) -> Result<Value> {
    let unknown = || no_attribute(object, name);
    /// Finds the method and calls it; `None` if there is none.
    fn run<T>(
        table: &'static [Method<T>],
        interpreter: &mut Interpreter<'_>,
        this: &T,
        name: &str,
        args: &Args,
    ) -> Option<Result<Value>> {
        let (_, method) = find(table, name)?;
        Some(method(interpreter, this, args))
    }
    let function = |table: &'static [Function]| find(table, name).map(|(_, call)| *call);
    match object {
        Value::Str(this) => run(STR, interpreter, this, name, args),
        Value::Bytes(this) => run(BYTES, interpreter, this, name, args),
        Value::Tuple(this) => run(TUPLE, interpreter, this, name, args),
        Value::Bytearray(this) => run(bytes::BYTEARRAY, interpreter, this, name, args),
        Value::Terminal(this) => run(modules::TERMINAL_METHODS, interpreter, this, name, args),
        Value::Hash(this) => run(modules::HASH_METHODS, interpreter, this, name, args),
        Value::List(this) => run(LIST, interpreter, this, name, args),
        Value::Set(this) => run(sets::SET, interpreter, this, name, args),
        Value::Dict(this) => run(DICT, interpreter, this, name, args),
        Value::File(this) => run(modules::FILE_METHODS, interpreter, this, name, args),
        Value::Clock(this) => run(modules::CLOCK_METHODS, interpreter, this, name, args),
        Value::Image => function(modules::IMAGE_METHODS).map(|call| call(interpreter, args)),
        Value::Uart => function(modules::UART_METHODS).map(|call| call(interpreter, args)),
        _ => None,
    }
    .unwrap_or_else(|| Err(unknown()))
}

/// An attribute of a script's class or of an instance's class.
pub(crate) fn class_attribute(object: &Value, name: &str) -> Option<Value> {
    let class = match object {
        Value::Instance(instance) => &instance.class,
        Value::Class(class) => class,
        _ => return None,
    };
    class
        .lineage()
        .iter()
        .find_map(|class| class.names.borrow().get(name).cloned())
}

/// `object[index]`.
pub(crate) fn index(object: &Value, index: &Value) -> Result<Value> {
    match object {
        Value::List(items) => {
            let items = items.borrow();
            Ok(items[operators::position(int(index)?, items.len(), "list")?].clone())
        }
        Value::Bytearray(_) | Value::View(_) => bytes::index(object, index),
        Value::Tuple(items) | Value::Fields(_, items) => {
            Ok(items[operators::position(int(index)?, items.len(), "tuple")?].clone())
        }
        Value::Str(text) => {
            let characters: Vec<char> = text.chars().collect();
            let at = operators::position(int(index)?, characters.len(), "string")?;
            Ok(string(characters[at].to_string()))
        }
        Value::Bytes(data) => {
            let at = operators::position(int(index)?, data.len(), "bytes")?;
            Ok(Value::Int(data[at].into()))
        }
        Value::Range(start, stop, step) => {
            let length = super::value::range_len(*start, *stop, *step) as usize;
            let at = operators::position(int(index)?, length, "range")?;
            Ok(super::value::range_item(*start, *step, at as i64))
        }
        Value::Dict(pairs) => pairs
            .borrow()
            .iter()
            .find(|(key, _)| key.equals(index))
            .map(|(_, value)| value.clone())
            .ok_or_else(|| Raise::with("KeyError", vec![index.clone()])),
        _ => Err(Raise::new(
            "TypeError",
            format!("'{}' object is not subscriptable", object.type_name()),
        )),
    }
}

/// `object[start:stop:step]`.
pub(crate) fn slice(object: &Value, bounds: [Option<i64>; 3]) -> Result<Value> {
    Ok(match object {
        Value::Str(text) => {
            let characters: Vec<char> = text.chars().collect();
            let positions = operators::slice(bounds, characters.len())?;
            string(
                positions
                    .into_iter()
                    .map(|at| characters[at])
                    .collect::<String>(),
            )
        }
        Value::Bytes(data) => {
            let positions = operators::slice(bounds, data.len())?;
            let bytes: Vec<u8> = positions.into_iter().map(|at| data[at]).collect();
            Value::Bytes(bytes.into())
        }
        Value::List(items) => {
            let items = items.borrow();
            let positions = operators::slice(bounds, items.len())?;
            list(positions.into_iter().map(|at| items[at].clone()).collect())
        }
        Value::Bytearray(_) | Value::View(_) => bytes::slice(object, bounds)?,
        Value::Tuple(items) | Value::Fields(_, items) => {
            let positions = operators::slice(bounds, items.len())?;
            tuple(positions.into_iter().map(|at| items[at].clone()).collect())
        }
        _ => {
            return Err(Raise::new(
                "TypeError",
                format!("'{}' object is not subscriptable", object.type_name()),
            ));
        }
    })
}
