// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attributes, items and methods of values.

use std::cell::RefCell;
use std::rc::Rc;

use super::interpreter::Interpreter;
use super::value::{File, Value, list, string, tuple};
use super::{Args, Raise, Result, format, int, modules, operators, text};

const STR: [&str; 21] = [
    "format",
    "split",
    "rsplit",
    "strip",
    "lstrip",
    "rstrip",
    "join",
    "startswith",
    "endswith",
    "replace",
    "find",
    "rfind",
    "index",
    "upper",
    "lower",
    "encode",
    "count",
    "isdigit",
    "isalpha",
    "center",
    "splitlines",
];
const BYTES: [&str; 5] = ["decode", "startswith", "endswith", "find", "hex"];
const LIST: [&str; 11] = [
    "append", "extend", "insert", "pop", "remove", "reverse", "sort", "index", "count", "clear",
    "copy",
];
const DICT: [&str; 9] = [
    "get",
    "keys",
    "values",
    "items",
    "pop",
    "update",
    "setdefault",
    "clear",
    "copy",
];
const FILE: [&str; 10] = [
    "read",
    "readline",
    "readlines",
    "write",
    "close",
    "flush",
    "seek",
    "tell",
    "__enter__",
    "__exit__",
];
const CLOCK: [&str; 4] = ["tick", "fps", "avg", "reset"];

/// An attribute of a value.
pub fn attribute(object: &Value, name: &str) -> Option<Value> {
    let known: &[&str] = match object {
        Value::Module(module) => return modules::attribute(module, name),
        Value::Type(kind) => return modules::type_attribute(kind, name),
        Value::Class(class) if name == "__name__" => return Some(Value::Str(class.name.clone())),
        Value::Class(_) => return class_attribute(object, name),
        Value::Instance(instance) => {
            if let Some(value) = instance.names.borrow().get(name) {
                return Some(value.clone());
            }
            return match class_attribute(object, name)? {
                Value::Function(_) => Some(bound(object, name)),
                value => Some(value),
            };
        }
        Value::Exception(exception) => {
            return match name {
                "args" => Some(tuple(exception.args.clone())),
                "value" | "errno" => Some(exception.args.first().cloned().unwrap_or(Value::None)),
                _ => None,
            };
        }
        Value::Function(closure) if name == "__name__" => {
            return Some(Value::Str(closure.code.name.clone()));
        }
        Value::Str(_) => &STR,
        Value::Bytes(_) => &BYTES,
        Value::List(_) => &LIST,
        Value::Tuple(_) => &["index", "count"],
        Value::Dict(_) => &DICT,
        Value::File(_) => &FILE,
        Value::Clock(_) => &CLOCK,
        Value::Image => modules::IMAGE_METHODS,
        Value::Uart => modules::UART_METHODS,
        _ => &[],
    };
    if known.contains(&name) {
        return Some(bound(object, name));
    }
    match object {
        Value::Uart => modules::type_attribute("UART", name),
        _ => None,
    }
}

fn bound(object: &Value, name: &str) -> Value {
    Value::Method(Rc::new((object.clone(), name.into())))
}

/// An attribute of a script's class or of an instance's class.
pub fn class_attribute(object: &Value, name: &str) -> Option<Value> {
    let class = match object {
        Value::Instance(instance) => &instance.class,
        Value::Class(class) => class,
        _ => return None,
    };
    if let Some(value) = class.names.borrow().get(name) {
        return Some(value.clone());
    }
    class
        .bases
        .iter()
        .find_map(|base| class_attribute(base, name))
}

/// `object[index]`.
pub fn index(object: &Value, index: &Value) -> Result<Value> {
    match object {
        Value::List(items) => {
            let items = items.borrow();
            Ok(items[operators::position(int(index)?, items.len(), "list")?].clone())
        }
        Value::Tuple(items) => {
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
            Ok(Value::Int(start + step * at as i64))
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
pub fn slice(object: &Value, bounds: [Option<i64>; 3]) -> Result<Value> {
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
            Value::Bytes(positions.into_iter().map(|at| data[at]).collect())
        }
        Value::List(items) => {
            let items = items.borrow();
            let positions = operators::slice(bounds, items.len())?;
            list(positions.into_iter().map(|at| items[at].clone()).collect())
        }
        Value::Tuple(items) => {
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

/// Puts a pair into a dict.
pub fn insert(pairs: &RefCell<Vec<(Value, Value)>>, key: Value, value: Value) {
    let mut pairs = pairs.borrow_mut();
    match pairs.iter_mut().find(|(found, _)| found.equals(&key)) {
        Some((_, old)) => *old = value,
        None => pairs.push((key, value)),
    }
}

/// Calls a method of a built-in value.
pub fn call(
    interpreter: &mut Interpreter,
    object: &Value,
    name: &str,
    args: Args,
) -> Result<Value> {
    match object {
        Value::Str(text) => str_method(interpreter, text, name, args),
        Value::Bytes(data) => bytes_method(data, name, &args),
        Value::List(items) => list_method(interpreter, items, name, args),
        Value::Tuple(items) => sequence_method(items, name, &args),
        Value::Dict(pairs) => dict_method(pairs, name, &args),
        Value::File(file) => file_method(interpreter, object, file, name, &args),
        Value::Clock(clock) => {
            args.exactly(0)?;
            let now = interpreter.cpu.millis() as u32;
            let mut clock = clock.borrow_mut();
            let elapsed = now.wrapping_sub(clock.start);
            match name {
                "tick" => clock.start = now,
                "reset" => *clock = Default::default(),
                _ => {
                    clock.frames = clock.frames.wrapping_add(1);
                    clock.ticks = clock.ticks.wrapping_add(elapsed);
                    let average = clock.ticks as f32 / clock.frames as f32;
                    if name == "avg" {
                        return Ok(Value::Float(average));
                    }
                    if clock.ticks >= 2000 {
                        clock.frames = 0;
                        clock.ticks = 0;
                    }
                    return Ok(Value::Float(1000.0 / average));
                }
            }
            Ok(Value::None)
        }
        Value::Image => modules::image_method(interpreter, name, &args),
        Value::Uart => modules::uart_method(interpreter, name, &args),
        _ => Err(Raise::new(
            "TypeError",
            format!("'{}' object isn't callable", object.type_name()),
        )),
    }
}

fn str_method(
    interpreter: &mut Interpreter,
    this: &Rc<str>,
    name: &str,
    args: Args,
) -> Result<Value> {
    if name == "format" {
        return format::braces(this, &args).map(string);
    }
    let given = args.between(0, 3)?;
    let first = |default: &'static str| match given.first() {
        Some(Value::None) | None => Ok(Rc::from(default)),
        Some(value) => text(value),
    };
    let needed = || {
        given
            .first()
            .map_or_else(|| args.exactly(1).map(|_| "".into()), text)
    };
    let any = |test: &dyn Fn(&str) -> bool| match given.first() {
        Some(Value::Tuple(options)) => options
            .iter()
            .try_fold(false, |found, option| Ok(found || test(&text(option)?))),
        _ => Ok(test(&needed()?)),
    };
    let blank = |wanted: &str| -> Box<dyn Fn(char) -> bool> {
        let wanted = wanted.to_owned();
        Box::new(move |found| wanted.contains(found))
    };
    Ok(match name {
        "split" | "rsplit" => {
            let parts: Vec<Value> = match given.first() {
                None | Some(Value::None) => this.split_whitespace().map(string).collect(),
                Some(separator) => {
                    let separator = text(separator)?;
                    let most = given.get(1).map_or(Ok(-1), int)?;
                    let most =
                        usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
                    if separator.is_empty() {
                        return Err(Raise::new("ValueError", "empty separator"));
                    }
                    if name == "split" {
                        this.splitn(most, &*separator).map(string).collect()
                    } else {
                        let mut parts: Vec<Value> =
                            this.rsplitn(most, &*separator).map(string).collect();
                        parts.reverse();
                        parts
                    }
                }
            };
            list(parts)
        }
        "strip" => string(this.trim_matches(&*blank(&first(" \t\n\r\x0b\x0c")?))),
        "lstrip" => string(this.trim_start_matches(&*blank(&first(" \t\n\r\x0b\x0c")?))),
        "rstrip" => string(this.trim_end_matches(&*blank(&first(" \t\n\r\x0b\x0c")?))),
        "join" => {
            let items = interpreter.iterate(&args.exactly(1)?[0])?;
            let parts = items.iter().map(text).collect::<Result<Vec<_>>>()?;
            string(parts.join(this))
        }
        "startswith" => Value::Bool(any(&|part| this.starts_with(part))?),
        "endswith" => Value::Bool(any(&|part| this.ends_with(part))?),
        "replace" => {
            let given = args.between(2, 3)?;
            string(this.replace(&*text(&given[0])?, &text(&given[1])?))
        }
        "find" | "rfind" | "index" => {
            let part = needed()?;
            let found = if name == "rfind" {
                this.rfind(&*part)
            } else {
                this.find(&*part)
            };
            match found {
                Some(at) => Value::Int(this[..at].chars().count() as i64),
                None if name == "index" => {
                    return Err(Raise::new("ValueError", "substring not found"));
                }
                None => Value::Int(-1),
            }
        }
        "upper" => string(this.to_ascii_uppercase()),
        "lower" => string(this.to_ascii_lowercase()),
        "encode" => Value::Bytes(this.as_bytes().into()),
        "count" => Value::Int(this.matches(&*needed()?).count() as i64),
        "isdigit" => Value::Bool(!this.is_empty() && this.bytes().all(|b| b.is_ascii_digit())),
        "isalpha" => Value::Bool(!this.is_empty() && this.bytes().all(|b| b.is_ascii_alphabetic())),
        "center" => {
            let width = usize::try_from(int(&args.exactly(1)?[0])?)
                .unwrap_or(0)
                .min(10_000);
            string(format!("{this:^width$}"))
        }
        _ => list(this.lines().map(string).collect()),
    })
}

fn bytes_method(data: &[u8], name: &str, args: &Args) -> Result<Value> {
    let given = args.between(0, 2)?;
    let part = || match given.first() {
        Some(Value::Bytes(part)) => Ok(part.clone()),
        _ => Err(Raise::new(
            "TypeError",
            "object with buffer protocol required",
        )),
    };
    Ok(match name {
        "decode" => {
            string(std::str::from_utf8(data).map_err(|_| Raise::with("UnicodeError", Vec::new()))?)
        }
        "hex" => string(
            data.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        ),
        "startswith" => Value::Bool(data.starts_with(&part()?)),
        "endswith" => Value::Bool(data.ends_with(&part()?)),
        _ => {
            let part = part()?;
            let at = (0..=data.len().saturating_sub(part.len()))
                .find(|&at| data[at..].starts_with(&part));
            Value::Int(at.map_or(-1, |at| at as i64))
        }
    })
}

fn sequence_method(items: &[Value], name: &str, args: &Args) -> Result<Value> {
    let wanted = &args.exactly(1)?[0];
    if name == "count" {
        let count = items.iter().filter(|item| item.equals(wanted)).count();
        return Ok(Value::Int(count as i64));
    }
    items
        .iter()
        .position(|item| item.equals(wanted))
        .map(|at| Value::Int(at as i64))
        .ok_or_else(|| Raise::new("ValueError", "object not in sequence"))
}

fn list_method(
    interpreter: &mut Interpreter,
    items: &RefCell<Vec<Value>>,
    name: &str,
    args: Args,
) -> Result<Value> {
    match name {
        "append" => items.borrow_mut().push(args.exactly(1)?[0].clone()),
        "extend" => {
            let more = interpreter.iterate(&args.exactly(1)?[0])?;
            items.borrow_mut().extend(more);
        }
        "insert" => {
            let given = args.exactly(2)?;
            let mut items = items.borrow_mut();
            let length = items.len() as i64;
            let at = int(&given[0])?;
            let at = if at < 0 { at + length } else { at }.clamp(0, length);
            items.insert(at as usize, given[1].clone());
        }
        "pop" => {
            let given = args.between(0, 1)?;
            let mut items = items.borrow_mut();
            if items.is_empty() {
                return Err(Raise::new("IndexError", "pop from empty list"));
            }
            let at = given.first().map_or(Ok(-1), int)?;
            let at = operators::position(at, items.len(), "pop")?;
            return Ok(items.remove(at));
        }
        "remove" => {
            let at = sequence_method(&items.borrow(), "index", &args)?;
            items.borrow_mut().remove(int(&at)? as usize);
        }
        "reverse" => items.borrow_mut().reverse(),
        "sort" => {
            let sorted = super::builtins::sorted(interpreter, items.borrow().clone(), &args)?;
            *items.borrow_mut() = sorted;
        }
        "clear" => items.borrow_mut().clear(),
        "copy" => return Ok(list(items.borrow().clone())),
        _ => return sequence_method(&items.borrow(), name, &args),
    }
    Ok(Value::None)
}

fn dict_method(pairs: &Rc<RefCell<Vec<(Value, Value)>>>, name: &str, args: &Args) -> Result<Value> {
    let find = |key: &Value| {
        let pairs = pairs.borrow();
        let found = pairs.iter().find(|(found, _)| found.equals(key));
        found.map(|(_, value)| value.clone())
    };
    Ok(match name {
        "get" => {
            let given = args.between(1, 2)?;
            let default = given.get(1).cloned().unwrap_or(Value::None);
            find(&given[0]).unwrap_or(default)
        }
        "setdefault" => {
            let given = args.between(1, 2)?;
            find(&given[0]).unwrap_or_else(|| {
                let default = given.get(1).cloned().unwrap_or(Value::None);
                insert(pairs, given[0].clone(), default.clone());
                default
            })
        }
        "pop" => {
            let given = args.between(1, 2)?;
            let mut pairs = pairs.borrow_mut();
            match pairs.iter().position(|(key, _)| key.equals(&given[0])) {
                Some(at) => pairs.remove(at).1,
                None => given
                    .get(1)
                    .cloned()
                    .ok_or_else(|| Raise::with("KeyError", vec![given[0].clone()]))?,
            }
        }
        "update" => {
            if let Some(Value::Dict(other)) = args.positional.first() {
                for (key, value) in other.borrow().clone() {
                    insert(pairs, key, value);
                }
            }
            for (key, value) in &args.keywords {
                insert(pairs, Value::Str(key.clone()), value.clone());
            }
            Value::None
        }
        "clear" => {
            pairs.borrow_mut().clear();
            Value::None
        }
        "copy" => Value::Dict(Rc::new(RefCell::new(pairs.borrow().clone()))),
        _ => {
            args.exactly(0)?;
            let pairs = pairs.borrow();
            list(match name {
                "keys" => pairs.iter().map(|(key, _)| key.clone()).collect(),
                "values" => pairs.iter().map(|(_, value)| value.clone()).collect(),
                _ => pairs
                    .iter()
                    .map(|(key, value)| tuple(vec![key.clone(), value.clone()]))
                    .collect(),
            })
        }
    })
}

fn file_method(
    interpreter: &mut Interpreter,
    object: &Value,
    file: &RefCell<File>,
    name: &str,
    args: &Args,
) -> Result<Value> {
    let mut file = file.borrow_mut();
    let give = |data: &[u8], binary: bool| match binary {
        true => Value::Bytes(data.into()),
        false => string(String::from_utf8_lossy(data)),
    };
    match name {
        "__enter__" => return Ok(object.clone()),
        "close" | "__exit__" => {
            file.closed = true;
            return Ok(Value::None);
        }
        "flush" => return Ok(Value::None),
        "tell" => return Ok(Value::Int(file.position as i64)),
        _ if file.closed => return Err(Raise::errno(22)),
        _ => {}
    }
    if name == "write" {
        let data = match &args.exactly(1)?[0] {
            Value::Str(text) => text.as_bytes().to_vec(),
            Value::Bytes(data) => data.to_vec(),
            _ => {
                return Err(Raise::new(
                    "TypeError",
                    "object with buffer protocol required",
                ));
            }
        };
        if !file.writable {
            return Err(Raise::errno(1));
        }
        let mut state = interpreter.cpu.shared.lock();
        let written = state
            .core
            .flash
            .append(&file.path, &data)
            .map_err(|error| Raise::errno(error.number()))?;
        if written < data.len() {
            return Err(Raise::errno(5));
        }
        return Ok(Value::Int(written as i64));
    }
    let state = interpreter.cpu.shared.lock();
    let content = state
        .core
        .flash
        .read(&file.path)
        .map_err(|error| Raise::errno(error.number()))?;
    let rest = content.get(file.position..).unwrap_or_default();
    let (data, length) = match name {
        "seek" => {
            let given = args.between(1, 2)?;
            let offset = int(&given[0])?;
            let base = match given.get(1).map_or(Ok(0), int)? {
                1 => file.position as i64,
                2 => content.len() as i64,
                _ => 0,
            };
            file.position = usize::try_from(base + offset).map_err(|_| Raise::errno(22))?;
            return Ok(Value::Int(file.position as i64));
        }
        "readline" => {
            let length = rest.iter().position(|&byte| byte == b'\n');
            let length = length.map_or(rest.len(), |at| at + 1);
            (give(&rest[..length], file.binary), length)
        }
        "readlines" => {
            let lines = rest.split_inclusive(|&byte| byte == b'\n');
            let lines = lines.map(|line| give(line, file.binary)).collect();
            (list(lines), rest.len())
        }
        _ => {
            let most = args.between(0, 1)?.first().map_or(Ok(-1), int)?;
            let length = usize::try_from(most).unwrap_or(usize::MAX).min(rest.len());
            (give(&rest[..length], file.binary), length)
        }
    };
    file.position += length;
    Ok(data)
}
