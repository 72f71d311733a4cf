// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions and classes that need no import.

use std::cmp::Ordering;
use std::rc::Rc;

use super::interpreter::Interpreter;
use super::value::{Exception, Value, exception_type, is_subclass, list, range_len, string, tuple};
use super::{Args, Raise, Result, float, int, methods, modules, operators, text};

const FUNCTIONS: [&str; 29] = [
    "abs",
    "all",
    "any",
    "bin",
    "callable",
    "chr",
    "dir",
    "divmod",
    "enumerate",
    "getattr",
    "hasattr",
    "help",
    "hex",
    "id",
    "isinstance",
    "issubclass",
    "len",
    "max",
    "min",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "repr",
    "round",
    "setattr",
    "sorted",
    "sum",
];

const TYPES: [&str; 15] = [
    "bool",
    "bytes",
    "bytearray",
    "dict",
    "filter",
    "float",
    "int",
    "list",
    "map",
    "object",
    "range",
    "reversed",
    "str",
    "tuple",
    "type",
];

/// The builtin of that name.
pub fn lookup(name: &str) -> Option<Value> {
    let find = |names: &[&'static str]| names.iter().find(|found| **found == name).copied();
    if name == "zip" {
        return Some(Value::Type("zip"));
    }
    find(&FUNCTIONS)
        .map(|name| Value::Native("", name))
        .or_else(|| find(&TYPES).map(Value::Type))
        .or_else(|| exception_type(name).map(Value::Type))
}

/// Calls a builtin function.
pub fn call(interpreter: &mut Interpreter, name: &str, args: Args) -> Result<Value> {
    match name {
        "print" => return print(interpreter, &args),
        "sorted" => {
            let items = interpreter.iterate(&args.check_count(1, 1)?[0])?;
            return sorted(interpreter, items, &args).map(list);
        }
        "max" | "min" => return extreme(interpreter, name == "max", &args),
        "open" => return modules::open(interpreter, &args),
        _ => {}
    }
    let given = args.between(0, 3)?;
    let one = || args.exactly(1).map(|given| &given[0]);
    Ok(match name {
        "abs" => match one()? {
            Value::Float(value) => Value::Float(value.abs()),
            value => Value::Int(int(value)?.wrapping_abs()),
        },
        "all" => Value::Bool(interpreter.iterate(one()?)?.iter().all(Value::is_true)),
        "any" => Value::Bool(interpreter.iterate(one()?)?.iter().any(Value::is_true)),
        "bin" | "hex" | "oct" => {
            let value = int(one()?)?;
            let sign = if value < 0 { "-" } else { "" };
            let magnitude = value.unsigned_abs();
            string(match name {
                "bin" => format!("{sign}0b{magnitude:b}"),
                "hex" => format!("{sign}0x{magnitude:x}"),
                _ => format!("{sign}0o{magnitude:o}"),
            })
        }
        "callable" => Value::Bool(matches!(
            one()?,
            Value::Function(_)
                | Value::Native(..)
                | Value::Method(_)
                | Value::Type(_)
                | Value::Class(_)
        )),
        "chr" => {
            let code = u32::try_from(int(one()?)?).ok().and_then(char::from_u32);
            let character =
                code.ok_or_else(|| Raise::new("ValueError", "chr() arg not in range(0x110000)"))?;
            string(character.to_string())
        }
        "ord" => match one()? {
            Value::Str(text) if text.chars().count() == 1 => {
                Value::Int(text.chars().next().map_or(0, u32::from).into())
            }
            Value::Bytes(data) if data.len() == 1 => Value::Int(data[0].into()),
            Value::Str(text) => {
                let length = text.chars().count();
                return Err(Raise::new(
                    "TypeError",
                    format!("ord() expected a character, but string of length {length} found"),
                ));
            }
            _ => return Err(Raise::new("TypeError", "ord expects a character")),
        },
        "dir" => match given.first() {
            Some(module @ Value::Module(_)) => {
                let names = modules::everything(module);
                list(names.into_iter().map(|(name, _)| string(name)).collect())
            }
            Some(Value::Instance(instance)) => {
                list(instance.names.borrow().keys().map(string).collect())
            }
            _ => list(Vec::new()),
        },
        "divmod" => {
            let given = args.exactly(2)?;
            tuple(vec![
                operators::binary("//", &given[0], &given[1])?,
                operators::binary("%", &given[0], &given[1])?,
            ])
        }
        "enumerate" => {
            let start = given.get(1).map_or(Ok(0), int)?;
            let items = interpreter.iterate(&args.between(1, 2)?[0])?;
            let pairs = items.into_iter().zip(start..);
            list(
                pairs
                    .map(|(item, index)| tuple(vec![Value::Int(index), item]))
                    .collect(),
            )
        }
        "getattr" | "hasattr" => {
            let given = args.between(2, 3)?;
            let name_of = text(&given[1])?;
            let value = methods::attribute(&given[0], &name_of);
            if name == "hasattr" {
                Value::Bool(value.is_some())
            } else {
                value.or_else(|| given.get(2).cloned()).ok_or_else(|| {
                    let kind = given[0].type_name();
                    Raise::new(
                        "AttributeError",
                        format!("'{kind}' object has no attribute '{name_of}'"),
                    )
                })?
            }
        }
        "setattr" => match args.exactly(3)? {
            [Value::Instance(instance), name, value] => {
                instance
                    .names
                    .borrow_mut()
                    .insert(text(name)?, value.clone());
                Value::None
            }
            _ => return Err(Raise::new("AttributeError", "no such attribute")),
        },
        "help" => {
            interpreter
                .cpu
                .print("Welcome to MicroPython on the simulated Sipeed_M1!\n")?;
            Value::None
        }
        "id" => Value::Int(0x8011_0000),
        "isinstance" | "issubclass" => {
            let given = args.exactly(2)?;
            let kind = if name == "isinstance" {
                type_of(&given[0])
            } else {
                given[0].clone()
            };
            let is = |of: &Value| {
                let bool_is_int = matches!((&kind, of), (Value::Type("bool"), Value::Type("int")));
                bool_is_int || kind.is(of) || is_subclass(&kind, of)
            };
            Value::Bool(match &given[1] {
                Value::Tuple(kinds) => kinds.iter().any(is),
                of => is(of),
            })
        }
        "len" => Value::Int(match one()? {
            Value::Str(text) => text.chars().count() as i64,
            Value::Bytes(data) => data.len() as i64,
            Value::Tuple(items) => items.len() as i64,
            Value::List(items) => items.borrow().len() as i64,
            Value::Dict(pairs) => pairs.borrow().len() as i64,
            Value::Range(start, stop, step) => range_len(*start, *stop, *step),
            other => {
                return Err(Raise::new(
                    "TypeError",
                    format!("object of type '{}' has no len()", other.type_name()),
                ));
            }
        }),
        "pow" => {
            let given = args.between(2, 3)?;
            let power = operators::binary("**", &given[0], &given[1])?;
            match given.get(2) {
                Some(modulus) => operators::binary("%", &power, modulus)?,
                None => power,
            }
        }
        "repr" => string(one()?.repr()),
        "round" => {
            let given = args.between(1, 2)?;
            match (&given[0], given.get(1)) {
                (Value::Float(value), None | Some(Value::None)) => {
                    Value::Int(value.round_ties_even() as i64)
                }
                (Value::Float(value), Some(digits)) => {
                    let scale = 10f32.powi(int(digits)?.clamp(-30, 30) as i32);
                    Value::Float((value * scale).round_ties_even() / scale)
                }
                (value, _) => Value::Int(int(value)?),
            }
        }
        _ => {
            let given = args.between(1, 2)?;
            let start = given.get(1).cloned().unwrap_or(Value::Int(0));
            let items = interpreter.iterate(&given[0])?;
            items
                .iter()
                .try_fold(start, |sum, item| operators::binary("+", &sum, item))?
        }
    })
}

fn print(interpreter: &mut Interpreter, args: &Args) -> Result<Value> {
    let part = |name: &str, default: &str| match args.keyword(name) {
        None | Some(Value::None) => Ok(Rc::from(default)),
        Some(value) => text(value),
    };
    let separator = part("sep", " ")?;
    let end = part("end", "\n")?;
    let parts: Vec<String> = args.positional.iter().map(Value::str).collect();
    let line = parts.join(&separator) + &end;
    interpreter.cpu.print(&line)?;
    Ok(Value::None)
}

fn extreme(interpreter: &mut Interpreter, largest: bool, args: &Args) -> Result<Value> {
    let items = match &args.positional[..] {
        [only] => interpreter.iterate(only)?,
        many => many.to_vec(),
    };
    let keys = keys(interpreter, &items, args)?;
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in keys.into_iter().zip(items) {
        let better = match &best {
            None => true,
            Some((held, _)) => operators::compare(if largest { ">" } else { "<" }, &key, held)?,
        };
        if better {
            best = Some((key, item));
        }
    }
    best.map(|(_, item)| item)
        .or_else(|| args.keyword("default").cloned())
        .ok_or_else(|| Raise::new("ValueError", "arg is an empty sequence"))
}

fn keys(interpreter: &mut Interpreter, items: &[Value], args: &Args) -> Result<Vec<Value>> {
    match args.keyword("key") {
        None | Some(Value::None) => Ok(items.to_vec()),
        Some(function) => items
            .iter()
            .map(|item| {
                let args = Args {
                    positional: vec![item.clone()],
                    keywords: Vec::new(),
                };
                interpreter.call(function, args)
            })
            .collect(),
    }
}

/// The items in order, by `key=` and `reverse=`.
pub fn sorted(interpreter: &mut Interpreter, items: Vec<Value>, args: &Args) -> Result<Vec<Value>> {
    let keys = keys(interpreter, &items, args)?;
    if let Some((a, b)) = keys
        .windows(2)
        .map(|pair| (&pair[0], &pair[1]))
        .find(|(a, b)| operators::order(a, b).is_none())
    {
        operators::compare("<", a, b)?;
    }
    let mut pairs: Vec<(Value, Value)> = keys.into_iter().zip(items).collect();
    pairs.sort_by(|(a, _), (b, _)| operators::order(a, b).unwrap_or(Ordering::Equal));
    if args.keyword("reverse").is_some_and(Value::is_true) {
        pairs.reverse();
    }
    Ok(pairs.into_iter().map(|(_, item)| item).collect())
}

fn type_of(value: &Value) -> Value {
    match value {
        Value::Instance(instance) => Value::Class(instance.class.clone()),
        Value::Exception(exception) => exception.kind.clone(),
        Value::None => Value::Type("NoneType"),
        Value::Type(_) | Value::Class(_) => Value::Type("type"),
        Value::Module(_) => Value::Type("module"),
        Value::Function(_) | Value::Native(..) => Value::Type("function"),
        Value::Method(_) => Value::Type("bound_method"),
        Value::Clock(_) => Value::Type("clock"),
        Value::Image => Value::Type("Image"),
        Value::Uart => Value::Type("UART"),
        Value::File(_) => Value::Type("file"),
        Value::Bool(_) => Value::Type("bool"),
        Value::Int(_) => Value::Type("int"),
        Value::Float(_) => Value::Type("float"),
        Value::Str(_) => Value::Type("str"),
        Value::Bytes(_) => Value::Type("bytes"),
        Value::Tuple(_) => Value::Type("tuple"),
        Value::List(_) => Value::Type("list"),
        Value::Dict(_) => Value::Type("dict"),
        Value::Range(..) => Value::Type("range"),
    }
}

/// Calls a built-in class.
pub fn construct(interpreter: &mut Interpreter, name: &'static str, args: Args) -> Result<Value> {
    if exception_type(name).is_some() {
        return Ok(Value::Exception(Rc::new(Exception {
            kind: Value::Type(name),
            args: args.positional,
            traceback: Default::default(),
        })));
    }
    if name == "dict" {
        let dict = Rc::default();
        match args.positional.first() {
            Some(Value::Dict(pairs)) => {
                for (key, value) in pairs.borrow().iter() {
                    methods::insert(&dict, key.clone(), value.clone());
                }
            }
            Some(pairs) => {
                for pair in interpreter.iterate(pairs)? {
                    let [key, value] = &interpreter.iterate(&pair)?[..] else {
                        return Err(Raise::new(
                            "ValueError",
                            "dict update sequence has wrong length",
                        ));
                    };
                    methods::insert(&dict, key.clone(), value.clone());
                }
            }
            None => {}
        }
        for (key, value) in args.keywords {
            methods::insert(&dict, Value::Str(key), value);
        }
        return Ok(Value::Dict(dict));
    }
    if let Some(value) = modules::construct(interpreter, name, &args)? {
        return Ok(value);
    }
    let given = args.between(0, 9)?;
    let items = |interpreter: &mut Interpreter| match given.first() {
        None => Ok(Vec::new()),
        Some(iterable) => interpreter.iterate(iterable),
    };
    Ok(match name {
        "bool" => Value::Bool(given.first().is_some_and(Value::is_true)),
        "int" => match given {
            [] => Value::Int(0),
            [Value::Float(value)] if value.is_finite() => Value::Int(*value as i64),
            [Value::Float(_)] => {
                return Err(Raise::new("OverflowError", "can't convert float to int"));
            }
            [Value::Str(digits)] => Value::Int(parse_int(digits, 10)?),
            [Value::Str(digits), radix] => Value::Int(parse_int(digits, int(radix)?)?),
            [value, ..] => Value::Int(int(value)?),
        },
        "float" => match given {
            [] => Value::Float(0.0),
            [Value::Str(digits)] => Value::Float(
                digits
                    .trim()
                    .parse()
                    .map_err(|_| Raise::new("ValueError", "invalid syntax for number"))?,
            ),
            [value, ..] => Value::Float(float(value)?),
        },
        "str" => match given {
            [] => string(""),
            [Value::Bytes(data), _] => string(String::from_utf8_lossy(data)),
            [value, ..] => string(value.str()),
        },
        "bytes" | "bytearray" => match given.first() {
            None => Value::Bytes([].into()),
            Some(Value::Str(text)) => Value::Bytes(text.as_bytes().into()),
            Some(Value::Int(length)) => {
                let length = usize::try_from(*length)
                    .ok()
                    .filter(|&length| length <= 1 << 20);
                let length =
                    length.ok_or_else(|| Raise::new("MemoryError", "memory allocation failed"))?;
                Value::Bytes(vec![0; length].into())
            }
            Some(Value::Bytes(data)) => Value::Bytes(data.clone()),
            Some(_) => {
                let items = items(interpreter)?;
                let bytes = items.iter().map(|item| Ok(int(item)? as u8));
                Value::Bytes(bytes.collect::<Result<Vec<u8>>>()?.into())
            }
        },
        "list" => list(items(interpreter)?),
        "tuple" => tuple(items(interpreter)?),
        "range" => {
            let bounds = args
                .between(1, 3)?
                .iter()
                .map(int)
                .collect::<Result<Vec<_>>>()?;
            match bounds[..] {
                [stop] => Value::Range(0, stop, 1),
                [start, stop] => Value::Range(start, stop, 1),
                [_, _, 0] => return Err(Raise::new("ValueError", "zero step")),
                [start, stop, step] => Value::Range(start, stop, step),
                _ => Value::Range(0, 0, 1),
            }
        }
        "reversed" => {
            let mut items = items(interpreter)?;
            items.reverse();
            list(items)
        }
        "zip" => {
            let columns = given
                .iter()
                .map(|column| interpreter.iterate(column))
                .collect::<Result<Vec<_>>>()?;
            let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
            let row = |at: usize| tuple(columns.iter().map(|column| column[at].clone()).collect());
            list((0..rows).map(row).collect())
        }
        "map" | "filter" => {
            let given = args.exactly(2)?;
            let mut out = Vec::new();
            for item in interpreter.iterate(&given[1])? {
                let args = Args {
                    positional: vec![item.clone()],
                    keywords: Vec::new(),
                };
                let value = match &given[0] {
                    Value::None => item.clone(),
                    function => interpreter.call(function, args)?,
                };
                if name == "map" {
                    out.push(value);
                } else if value.is_true() {
                    out.push(item);
                }
            }
            list(out)
        }
        "type" => type_of(&args.exactly(1)?[0]),
        _ => {
            return Err(Raise::new(
                "TypeError",
                format!("cannot create '{name}' instances"),
            ));
        }
    })
}

fn parse_int(digits: &str, radix: i64) -> Result<i64> {
    let invalid = || {
        Raise::new(
            "ValueError",
            format!("invalid syntax for integer with base {radix}"),
        )
    };
    let digits = digits.trim();
    let (negative, rest) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, rest) = match (radix, lower.get(..2)) {
        (0 | 16, Some("0x")) => (16, &lower[2..]),
        (0 | 2, Some("0b")) => (2, &lower[2..]),
        (0 | 8, Some("0o")) => (8, &lower[2..]),
        (0, _) => (10, &lower[..]),
        (radix @ 2..=36, _) => (radix as u32, &lower[..]),
        _ => return Err(invalid()),
    };
    let value = i64::from_str_radix(rest, radix).map_err(|_| invalid())?;
    Ok(if negative { -value } else { value })
}
