// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions and classes that need no import.

use std::cmp::Ordering;
use std::rc::Rc;

use super::heap::{self, Store};
use super::interpreter::Interpreter;
use super::native::{Function, find};
use super::value::{
    Exception, Text, Value, buffer, exception_type, is_subclass, list, range_len, string, tuple,
};
use super::{
    Args, Raise, Result, bytes, float, int, methods, modules, operators, sets, text, value,
};

static FUNCTIONS: &[Function] = &[
    ("abs", |_, args| {
        Ok(match one(args)? {
            Value::Float(value) => Value::Float(value.abs()),
            value => Value::Int(int(value)?.wrapping_abs()),
        })
    }),
    ("all", |interpreter, args| {
        let items = interpreter.iterate(one(args)?)?;
        Ok(Value::Bool(items.iter().all(Value::is_true)))
    }),
    ("any", |interpreter, args| {
        let items = interpreter.iterate(one(args)?)?;
        Ok(Value::Bool(items.iter().any(Value::is_true)))
    }),
    ("bin", |_, args| {
        let (sign, magnitude) = parts(one(args)?)?;
        Ok(string(format!("{sign}0b{magnitude:b}")))
    }),
    ("callable", |_, args| {
        Ok(Value::Bool(matches!(
            one(args)?,
            Value::Function(_)
                | Value::Native(_)
                | Value::Method(_)
                | Value::Bound(_)
                | Value::Type(_)
                | Value::Class(_)
        )))
    }),
    ("chr", |_, args| {
        let code = u32::try_from(int(one(args)?)?).ok();
        let character = code.and_then(char::from_u32);
        let character = character
            .ok_or_else(|| Raise::new("ValueError", "chr() arg not in range(0x110000)"))?;
        Ok(string(character.to_string()))
    }),
    ("dir", dir),
    ("divmod", |_, args| {
        let given = args.exactly(2)?;
        Ok(tuple(vec![
            operators::binary("//", &given[0], &given[1])?,
            operators::binary("%", &given[0], &given[1])?,
        ]))
    }),
    ("enumerate", |interpreter, args| {
        let given = args.between(1, 2)?;
        let start = given.get(1).map_or(Ok(0), int)?;
        let items = interpreter.iterate(&given[0])?;
        let pairs = items.into_iter().zip(0..);
        let pairs = pairs.map(|(item, at)| tuple(vec![Value::Int(start.wrapping_add(at)), item]));
        Ok(list(pairs.collect()))
    }),
    ("getattr", |_, args| {
        let given = args.between(2, 3)?;
        let name = text(&given[1])?;
        methods::attribute(&given[0], &name)
            .or_else(|| given.get(2).cloned())
            .ok_or_else(|| methods::no_attribute(&given[0], &name))
    }),
    ("hasattr", |_, args| {
        let given = args.exactly(2)?;
        let value = methods::attribute(&given[0], &text(&given[1])?);
        Ok(Value::Bool(value.is_some()))
    }),
    ("eval", |interpreter, args| {
        interpreter.evaluate(&text(one(args)?)?)
    }),
    ("exec", |interpreter, args| {
        interpreter.execute(&text(one(args)?)?)
    }),
    ("globals", names),
    ("help", |interpreter, args| {
        let text = match args.between(0, 1)?.first() {
            Some(Value::Str(topic)) if &**topic == "modules" => modules::listing(),
            _ => "Welcome to MicroPython on the simulated Sipeed_M1!\n".into(),
        };
        interpreter.cpu.print(&text)?;
        Ok(Value::None)
    }),
    ("hex", |_, args| {
        let (sign, magnitude) = parts(one(args)?)?;
        Ok(string(format!("{sign}0x{magnitude:x}")))
    }),
    ("id", |_, _| Ok(Value::Int(0x8011_0000))),
    ("input", |interpreter, args| {
        if let Some(prompt) = args.between(0, 1)?.first() {
            let prompt = interpreter.text_of(prompt, false)?;
            interpreter.cpu.print(&prompt)?;
        }
        interpreter.cpu.input().map(string)
    }),
    ("isinstance", |_, args| {
        let given = args.exactly(2)?;
        Ok(Value::Bool(comes_from(&type_of(&given[0]), &given[1])))
    }),
    ("issubclass", |_, args| {
        let given = args.exactly(2)?;
        Ok(Value::Bool(comes_from(&given[0], &given[1])))
    }),
    ("len", len),
    // In functions, too, it gives the names of the script.
    ("locals", names),
    ("max", |interpreter, args| extreme(interpreter, ">", args)),
    ("min", |interpreter, args| extreme(interpreter, "<", args)),
    ("oct", |_, args| {
        let (sign, magnitude) = parts(one(args)?)?;
        Ok(string(format!("{sign}0o{magnitude:o}")))
    }),
    ("open", modules::open),
    ("ord", ord),
    ("pow", |_, args| {
        let given = args.between(2, 3)?;
        let power = operators::binary("**", &given[0], &given[1])?;
        match given.get(2) {
            Some(modulus) => operators::binary("%", &power, modulus),
            None => Ok(power),
        }
    }),
    ("print", print),
    ("repr", |interpreter, args| {
        let text = interpreter.text_of(one(args)?, true)?;
        heap::reserve(text.len())?;
        Ok(string(text))
    }),
    ("round", round),
    ("setattr", |_, args| {
        let given = args.exactly(3)?;
        let name = text(&given[1])?;
        let Value::Instance(instance) = &given[0] else {
            return Err(methods::no_attribute(&given[0], &name));
        };
        let mut names = instance.names.borrow_mut();
        names.insert((*name).into(), given[2].clone());
        Ok(Value::None)
    }),
    ("sorted", |interpreter, args| {
        let items = interpreter.iterate(&args.check_count(1, 1)?[0])?;
        sorted(interpreter, items, args).map(list)
    }),
    ("sum", |interpreter, args| {
        let given = args.between(1, 2)?;
        let start = given.get(1).cloned().unwrap_or(Value::Int(0));
        let items = interpreter.iterate(&given[0])?;
        items
            .iter()
            .try_fold(start, |sum, item| interpreter.binary("+", &sum, item))
    }),
];

/// Built-in classes: a name, and what calling it makes.
static TYPES: &[Function] = &[
    ("bool", |_, args| {
        let given = args.between(0, 1)?;
        Ok(Value::Bool(given.first().is_some_and(Value::is_true)))
    }),
    ("bytes", bytes_of),
    ("classmethod", |_, args| {
        Ok(Value::ClassMethod(vec![one(args)?.clone()].into()))
    }),
    ("bytearray", bytearray),
    ("dict", dict),
    ("filter", |interpreter, args| {
        let mut kept = Vec::new();
        for (item, value) in mapped(interpreter, args)? {
            if value.is_true() {
                kept.push(item);
            }
        }
        Ok(list(kept))
    }),
    ("float", |_, args| match args.between(0, 1)? {
        [] => Ok(Value::Float(0.0)),
        [Value::Str(digits), ..] => {
            let value = digits.trim().parse();
            let value = value.map_err(|_| Raise::new("ValueError", "invalid syntax for number"))?;
            Ok(Value::Float(value))
        }
        [value, ..] => float(value).map(Value::Float),
    }),
    ("int", |_, args| {
        Ok(Value::Int(match args.between(0, 2)? {
            [] => 0,
            [Value::Float(value)] if value.is_finite() => *value as i64,
            [Value::Float(_)] => {
                return Err(Raise::new("OverflowError", "can't convert float to int"));
            }
            [Value::Str(digits)] => parse_int(digits, 10)?,
            [Value::Str(digits), radix] => parse_int(digits, int(radix)?)?,
            [value, ..] => int(value)?,
        }))
    }),
    ("list", |interpreter, args| {
        Ok(list(items(interpreter, args)?))
    }),
    ("memoryview", |_, args| bytes::view(one(args)?)),
    ("map", |interpreter, args| {
        let values = mapped(interpreter, args)?;
        Ok(list(values.into_iter().map(|(_, value)| value).collect()))
    }),
    ("object", |_, _| {
        Err(Raise::new("TypeError", "cannot create 'object' instances"))
    }),
    ("range", range),
    ("reversed", |interpreter, args| {
        let mut items = items(interpreter, args)?;
        items.reverse();
        Ok(list(items))
    }),
    ("set", |interpreter, args| {
        sets::of(items(interpreter, args)?)
    }),
    ("staticmethod", |_, args| {
        Ok(Value::StaticMethod(vec![one(args)?.clone()].into()))
    }),
    ("str", |interpreter, args| {
        Ok(match args.between(0, 2)? {
            [] => string(""),
            [
                value @ (Value::Bytes(_) | Value::Bytearray(_) | Value::View(_)),
                _,
            ] => string(String::from_utf8_lossy(&buffer(value)?)),
            [value, ..] => string(interpreter.text_of(value, false)?),
        })
    }),
    ("tuple", |interpreter, args| {
        Ok(tuple(items(interpreter, args)?))
    }),
    ("type", |_, args| Ok(type_of(one(args)?))),
    ("zip", zip),
];

/// The builtin of that name.
pub(crate) fn lookup(name: &str) -> Option<Value> {
    find(FUNCTIONS, name)
        .map(Value::Native)
        .or_else(|| find(TYPES, name).map(|(name, _)| Value::Type(name)))
        .or_else(|| exception_type(name).map(Value::Type))
}

/// Calls a built-in class.
pub(crate) fn construct(
    interpreter: &mut Interpreter<'_>,
    name: &'static str,
    args: &Args,
) -> Result<Value> {
    if exception_type(name).is_some() {
        let exception = Exception::new(Value::Type(name), args.positional.clone());
        return Ok(Value::Exception(Rc::new(exception)));
    }
    match find(TYPES, name).or_else(|| modules::class(name)) {
        Some((_, construct)) => construct(interpreter, args),
        None => Err(Raise::new(
            "TypeError",
            format!("cannot create '{name}' instances"),
        )),
    }
}

/// The only argument.
fn one(args: &Args) -> Result<&Value> {
    Ok(&args.exactly(1)?[0])
}

/// The items of the only argument, none without one.
fn items(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Vec<Value>> {
    match args.between(0, 1)?.first() {
        None => Ok(Vec::new()),
        Some(iterable) => interpreter.iterate(iterable),
    }
}

/// An integer's sign and magnitude.
fn parts(value: &Value) -> Result<(&'static str, u64)> {
    let value = int(value)?;
    Ok((if value < 0 { "-" } else { "" }, value.unsigned_abs()))
}

/// `globals()`, as they are now.
fn names(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    let names = interpreter.globals.borrow();
    heap::reserve_slots(8 * names.len())?;
    let pairs = names.iter();
    let pairs = pairs.map(|(name, value)| (string(name), value.clone()));
    Ok(value::dict(pairs.collect()))
}

/// The names of all that needs no import.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().chain(TYPES).map(|(name, _)| *name)
}

fn dir(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    Ok(list(match args.between(0, 1)?.first() {
        None => interpreter.globals.borrow().keys().map(string).collect(),
        Some(Value::Module(module)) => module.names().map(string).collect(),
        Some(Value::Instance(instance)) => {
            let names = instance.names.borrow();
            names.keys().map(string).collect()
        }
        _ => Vec::new(),
    }))
}

/// Whether a class is `of`, or one of those in it, or comes from it.
fn comes_from(kind: &Value, of: &Value) -> bool {
    // `bool` does not come from `int` there.
    let is = |of: &Value| kind.is(of) || is_subclass(kind, of);
    match of {
        Value::Tuple(kinds) => kinds.iter().any(is),
        of => is(of),
    }
}

fn len(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    if let Some(length) = interpreter.special(one(args)?, "__len__", &[]) {
        return length;
    }
    let length = match one(args)? {
        Value::Str(text) => text.chars().count(),
        Value::Bytes(data) => data.len(),
        Value::Tuple(items) | Value::Fields(_, items) => items.len(),
        Value::Bytearray(data) => data.borrow().len(),
        Value::View(view) => view.length,
        Value::List(items) | Value::Set(items) => items.borrow().len(),
        Value::Dict(pairs) => pairs.borrow().len(),
        Value::Range(start, stop, step) => {
            return Ok(Value::Int(range_len(*start, *stop, *step)));
        }
        other => {
            return Err(Raise::new(
                "TypeError",
                format!("object of type '{}' has no len()", other.type_name()),
            ));
        }
    };
    Ok(Value::Int(length as i64))
}

fn ord(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let code = match one(args)? {
        Value::Str(text) => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(only), None) => u32::from(only),
                _ => {
                    let length = text.chars().count();
                    return Err(Raise::new(
                        "TypeError",
                        format!("ord() expected a character, but string of length {length} found"),
                    ));
                }
            }
        }
        value => match buffer(value).as_deref() {
            Ok([byte]) => (*byte).into(),
            _ => return Err(Raise::new("TypeError", "ord expects a character")),
        },
    };
    Ok(Value::Int(code.into()))
}

fn round(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let given = args.between(1, 2)?;
    Ok(match (&given[0], given.get(1)) {
        (Value::Float(value), None | Some(Value::None)) => {
            Value::Int(value.round_ties_even() as i64)
        }
        (Value::Float(value), Some(digits)) => {
            let scale = 10f32.powi(int(digits)?.clamp(-30, 30) as i32);
            Value::Float((value * scale).round_ties_even() / scale)
        }
        (value, _) => Value::Int(int(value)?),
    })
}

fn print(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let part = |name: &str, default: &str| match args.keyword(name) {
        None | Some(Value::None) => Ok(Text::from(default)),
        Some(value) => text(value),
    };
    let separator = part("sep", " ")?;
    let end = part("end", "\n")?;
    let mut line = String::new();
    for (index, value) in args.positional.iter().enumerate() {
        if index > 0 {
            line += &separator;
        }
        line += &interpreter.text_of(value, false)?;
        heap::reserve(line.len())?;
    }
    line += &end;
    interpreter.cpu.print(&line)?;
    Ok(Value::None)
}

/// The item that `operator` prefers to all others.
fn extreme(interpreter: &mut Interpreter<'_>, operator: &str, args: &Args) -> Result<Value> {
    let items = match &args.positional[..] {
        [only] => interpreter.iterate(only)?,
        many => many.to_vec(),
    };
    let keys = keys(interpreter, &items, args)?;
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in keys.into_iter().zip(items) {
        let better = match &best {
            None => true,
            Some((held, _)) => operators::compare(operator, &key, held)?,
        };
        if better {
            best = Some((key, item));
        }
    }
    best.map(|(_, item)| item)
        .or_else(|| args.keyword("default").cloned())
        .ok_or_else(|| Raise::new("ValueError", "arg is an empty sequence"))
}

fn keys(interpreter: &mut Interpreter<'_>, items: &[Value], args: &Args) -> Result<Vec<Value>> {
    match args.keyword("key") {
        None | Some(Value::None) => Ok(items.to_vec()),
        Some(function) => items
            .iter()
            .map(|item| interpreter.call(function, Args::of(vec![item.clone()])))
            .collect(),
    }
}

/// The items in order, by `key=` and `reverse=`.
pub(crate) fn sorted(
    interpreter: &mut Interpreter<'_>,
    items: Vec<Value>,
    args: &Args,
) -> Result<Vec<Value>> {
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
        Value::Function(_) | Value::Native(_) => Value::Type("function"),
        Value::Method(_) | Value::Bound(_) => Value::Type("bound_method"),
        Value::ClassMethod(_) => Value::Type("classmethod"),
        Value::StaticMethod(_) => Value::Type("staticmethod"),
        Value::Clock(_) => Value::Type("clock"),
        Value::Image => Value::Type("Image"),
        Value::Uart => Value::Type("UART"),
        Value::File(_) => Value::Type("file"),
        Value::Bool(_) => Value::Type("bool"),
        Value::Int(_) => Value::Type("int"),
        Value::Float(_) => Value::Type("float"),
        Value::Str(_) => Value::Type("str"),
        Value::Bytes(_) => Value::Type("bytes"),
        Value::Tuple(_) | Value::Fields(..) => Value::Type("tuple"),
        Value::Bytearray(_) => Value::Type("bytearray"),
        Value::View(_) => Value::Type("memoryview"),
        Value::Terminal(_) => Value::Type("FileIO"),
        Value::Hash(_) => Value::Type("sha256"),
        Value::List(_) => Value::Type("list"),
        Value::Set(_) => Value::Type("set"),
        Value::Dict(_) => Value::Type("dict"),
        Value::Range(..) => Value::Type("range"),
    }
}

fn bytes_of(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    match args.between(0, 3)?.first() {
        Some(Value::Bytes(data)) => Ok(Value::Bytes(data.clone())),
        _ => Ok(Value::Bytes(contents(interpreter, args)?.into())),
    }
}

fn bytearray(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.between(0, 3)?;
    contents(interpreter, args).map(value::bytearray)
}

/// What `bytes` and `bytearray` are made of.
fn contents(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Vec<u8>> {
    Ok(match args.positional.first() {
        None => Vec::new(),
        Some(Value::Int(length)) => {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            heap::reserve(length)?;
            vec![0; length]
        }
        Some(given) => match buffer(given) {
            Ok(data) => {
                heap::reserve(data.len())?;
                data.into_owned()
            }
            Err(_) => {
                let items = interpreter.iterate(given)?;
                let bytes = items.iter().map(|item| Ok(int(item)? as u8));
                bytes.collect::<Result<_>>()?
            }
        },
    })
}

fn dict(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let dict = Store::new(Vec::new());
    match args.positional.first() {
        Some(Value::Dict(pairs)) => {
            let pairs = pairs.borrow().clone();
            heap::reserve_slots(2 * pairs.len())?;
            *dict.borrow_mut() = pairs;
        }
        Some(pairs) => {
            for pair in interpreter.iterate(pairs)? {
                let [key, value] = &interpreter.iterate(&pair)?[..] else {
                    return Err(Raise::new(
                        "ValueError",
                        "dict update sequence has wrong length",
                    ));
                };
                methods::insert(&dict, key.clone(), value.clone())?;
            }
        }
        None => {}
    }
    for (key, value) in &args.keywords {
        methods::insert(&dict, string(key), value.clone())?;
    }
    Ok(Value::Dict(dict))
}

fn range(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let bounds = args.between(1, 3)?.iter().map(int);
    Ok(match bounds.collect::<Result<Vec<_>>>()?[..] {
        [stop] => Value::Range(0, stop, 1),
        [start, stop] => Value::Range(start, stop, 1),
        [_, _, 0] => return Err(Raise::new("ValueError", "zero step")),
        [start, stop, step, ..] => Value::Range(start, stop, step),
        [] => Value::Range(0, 0, 1),
    })
}

fn zip(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let columns = args.between(0, usize::MAX)?.iter();
    let columns = columns
        .map(|column| interpreter.iterate(column))
        .collect::<Result<Vec<_>>>()?;
    let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
    let row = |at: usize| tuple(columns.iter().map(|column| column[at].clone()).collect());
    Ok(list((0..rows).map(row).collect()))
}

/// The items of the second argument, each with what the function in the first makes of it.
fn mapped(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Vec<(Value, Value)>> {
    let given = args.exactly(2)?;
    let mut pairs = Vec::new();
    for item in interpreter.iterate(&given[1])? {
        let value = match &given[0] {
            Value::None => item.clone(),
            function => interpreter.call(function, Args::of(vec![item.clone()]))?,
        };
        pairs.push((item, value));
    }
    Ok(pairs)
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
    Ok(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}
