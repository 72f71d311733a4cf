// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a script computes with. Floats have single precision, as the firmware's do.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

use super::ast::Function;
use super::heap::{self, Charge, Held, Store};
use super::modules::Module;
use super::native;
use super::{Raise, Result};
use crate::flash::Descriptor;

/// A string.
pub(crate) type Text = Held<str>;

/// The items of a list.
pub(crate) type Items = Rc<Store<Vec<Value>>>;

/// The pairs of a dict, in the order they were put in.
pub(crate) type Pairs = Rc<Store<Vec<(Value, Value)>>>;

/// Bytes that change.
pub(crate) type Bytearray = Rc<Store<Vec<u8>>>;

/// Names and what they are bound to.
pub(crate) type Namespace = Rc<Store<HashMap<Rc<str>, Value>>>;

/// No names.
pub(crate) fn namespace() -> Namespace {
    Store::new(HashMap::new())
}

/// A value.
#[derive(Clone)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f32),
    Str(Text),
    Bytes(Held<[u8]>),
    Tuple(Held<[Value]>),
    /// A tuple whose items have names (`objattrtuple.c`).
    Fields(&'static [&'static str], Held<[Value]>),
    /// Bytes that change.
    Bytearray(Bytearray),
    /// A part of other bytes, `memoryview`.
    View(Rc<View>),
    List(Items),
    Set(Items),
    Dict(Pairs),
    Range(i64, i64, i64),
    /// A function of the script.
    Function(Rc<Closure>),
    /// A function of the firmware.
    Native(&'static native::Function),
    /// A function with its first argument.
    Bound(Held<[Value]>),
    /// A function in a class that wants the class.
    ClassMethod(Held<[Value]>),
    /// One that wants neither.
    StaticMethod(Held<[Value]>),
    /// A method of a built-in value.
    Method(Rc<(Value, Rc<str>)>),
    Module(&'static Module),
    /// A built-in class, exceptions included.
    Type(&'static str),
    Exception(Rc<Exception>),
    Clock(Rc<RefCell<Clock>>),
    /// What `snapshot` returns: the camera's frame buffer.
    Image,
    /// The UART of the prompt.
    Uart,
    File(Rc<RefCell<File>>),
    /// The terminal, by one of its names in `sys`.
    Terminal(Terminal),
    /// A SHA-256 on its way.
    Hash(Rc<RefCell<sha2::Sha256>>),
    Class(Rc<Class>),
    Instance(Rc<Instance>),
}

/// A script's function with where it was defined.
pub(crate) struct Closure {
    pub code: Rc<Function>,
    pub defaults: Vec<Option<Value>>,
    pub globals: Namespace,
    /// The locals of the functions around it, the innermost last.
    pub outer: Vec<Namespace>,
}

impl Drop for Closure {
    fn drop(&mut self) {
        heap::bury(self.defaults.drain(..).flatten());
    }
}

/// A script's class.
pub(crate) struct Class {
    pub name: Rc<str>,
    pub bases: Vec<Value>,
    pub names: Namespace,
}

impl Class {
    /// The class and all that it comes from, each once, in the order in which names are looked for.
    pub(crate) fn lineage(self: &Rc<Self>) -> Vec<Rc<Class>> {
        let mut found: Vec<Rc<Class>> = Vec::new();
        let mut waiting = vec![self.clone()];
        while let Some(class) = waiting.pop() {
            if found.iter().any(|other| Rc::ptr_eq(other, &class)) {
                continue;
            }
            waiting.extend(class.bases.iter().rev().filter_map(|base| match base {
                Value::Class(base) => Some(base.clone()),
                _ => None,
            }));
            found.push(class);
        }
        found
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        heap::bury(self.bases.drain(..));
    }
}

/// An instance of a script's class.
pub(crate) struct Instance {
    pub class: Rc<Class>,
    pub names: Namespace,
}

/// `time.clock()`, in milliseconds.
#[derive(Default)]
pub(crate) struct Clock {
    pub start: u32,
    pub ticks: u32,
    pub frames: u32,
}

/// A file; writing goes to flash at once.
pub(crate) struct File {
    /// `None` once it is closed.
    pub descriptor: Option<Descriptor>,
    pub position: usize,
    pub binary: bool,
}

/// A part of the bytes of another value.
pub(crate) struct View {
    pub of: Value,
    pub start: usize,
    pub length: usize,
}

/// The terminal as `sys` has it (`sys_stdio_mphal.c`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    In,
    Out,
    Err,
    /// Both ways, and no line end changed.
    Buffer,
}

/// An exception with the lines it came through, innermost first.
pub(crate) struct Exception {
    pub kind: Value,
    pub args: Vec<Value>,
    traceback: RefCell<Vec<(u32, Rc<str>)>>,
    _charge: Charge,
}

impl Exception {
    /// One that was not raised yet.
    pub(crate) fn new(kind: Value, args: Vec<Value>) -> Self {
        Exception {
            kind,
            _charge: Charge::new(std::mem::size_of::<Value>() * args.len()),
            args,
            traceback: RefCell::default(),
        }
    }

    /// Adds a line of a block that it came through. One that is raised again and again keeps the
    /// first of them.
    pub(crate) fn came_through(&self, line: u32, block: &str) {
        const MOST: usize = 100;
        let mut traceback = self.traceback.borrow_mut();
        if traceback.len() < MOST {
            traceback.push((line, block.into()));
        }
    }

    /// The lines and their blocks.
    pub(crate) fn traceback(&self) -> Vec<(u32, Rc<str>)> {
        self.traceback.borrow().clone()
    }
}

impl Drop for Exception {
    fn drop(&mut self) {
        heap::bury(self.args.drain(..));
    }
}

/// Built-in exceptions and their parents.
const EXCEPTIONS: [(&str, &str); 27] = [
    ("BaseException", ""),
    ("SystemExit", "BaseException"),
    ("KeyboardInterrupt", "BaseException"),
    ("GeneratorExit", "BaseException"),
    ("Exception", "BaseException"),
    ("ArithmeticError", "Exception"),
    ("OverflowError", "ArithmeticError"),
    ("ZeroDivisionError", "ArithmeticError"),
    ("AssertionError", "Exception"),
    ("AttributeError", "Exception"),
    ("EOFError", "Exception"),
    ("ImportError", "Exception"),
    ("LookupError", "Exception"),
    ("IndexError", "LookupError"),
    ("KeyError", "LookupError"),
    ("MemoryError", "Exception"),
    ("NameError", "Exception"),
    ("OSError", "Exception"),
    ("TimeoutError", "OSError"),
    ("RuntimeError", "Exception"),
    ("NotImplementedError", "RuntimeError"),
    ("StopIteration", "Exception"),
    ("SyntaxError", "Exception"),
    ("IndentationError", "SyntaxError"),
    ("TypeError", "Exception"),
    ("ValueError", "Exception"),
    ("UnicodeError", "ValueError"),
];

/// The built-in exception of that name.
pub(crate) fn exception_type(name: &str) -> Option<&'static str> {
    EXCEPTIONS
        .iter()
        .map(|(found, _)| *found)
        .find(|found| *found == name)
}

/// Whether the class `kind` is `of` or comes from it.
pub(crate) fn is_subclass(kind: &Value, of: &Value) -> bool {
    match (kind, of) {
        (Value::Type(kind), Value::Type(of)) => {
            let mut kind = *kind;
            loop {
                if kind == *of || *of == "object" {
                    return true;
                }
                match EXCEPTIONS.iter().find(|(name, _)| *name == kind) {
                    Some((_, parent)) if !parent.is_empty() => kind = parent,
                    _ => return false,
                }
            }
        }
        (Value::Class(kind), of) => kind.lineage().iter().any(|kind| match of {
            Value::Class(of) => Rc::ptr_eq(kind, of),
            of => kind.bases.iter().any(|base| match base {
                Value::Type(_) => is_subclass(base, of),
                _ => false,
            }),
        }),
        _ => false,
    }
}

/// A string's value.
pub(crate) fn string(text: impl AsRef<str>) -> Value {
    Value::Str(Text::from(text.as_ref()))
}

/// A list's value.
pub(crate) fn list(items: Vec<Value>) -> Value {
    Value::List(Store::new(items))
}

/// A dict's value.
pub(crate) fn dict(pairs: Vec<(Value, Value)>) -> Value {
    Value::Dict(Store::new(pairs))
}

/// A named tuple's value.
pub(crate) fn fields(names: &'static [&'static str], items: Vec<Value>) -> Value {
    Value::Fields(names, items.into())
}

/// A byte array's value.
pub(crate) fn bytearray(data: Vec<u8>) -> Value {
    Value::Bytearray(Store::leaf(data))
}

/// A tuple's value.
pub(crate) fn tuple(items: Vec<Value>) -> Value {
    Value::Tuple(items.into())
}

impl Value {
    /// `type(x).__name__`.
    pub(crate) fn type_name(&self) -> &str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::Tuple(_) | Value::Fields(..) => "tuple",
            Value::Bytearray(_) => "bytearray",
            Value::View(_) => "memoryview",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Dict(_) => "dict",
            Value::Range(..) => "range",
            Value::Function(_) | Value::Native(_) => "function",
            Value::Method(_) | Value::Bound(_) => "bound_method",
            Value::ClassMethod(_) => "classmethod",
            Value::StaticMethod(_) => "staticmethod",
            Value::Module(_) => "module",
            Value::Type(_) | Value::Class(_) => "type",
            Value::Exception(exception) => match &exception.kind {
                Value::Type(name) => name,
                Value::Class(class) => &class.name,
                _ => "Exception",
            },
            Value::Clock(_) => "clock",
            Value::Image => "Image",
            Value::Uart => "UART",
            Value::Terminal(_) => "FileIO",
            Value::Hash(_) => "sha256",
            Value::File(file) if file.borrow().binary => "FileIO",
            Value::File(_) => "TextIOWrapper",
            Value::Instance(instance) => &instance.class.name,
        }
    }

    /// Truth.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Bytes(data) => !data.is_empty(),
            Value::Tuple(items) | Value::Fields(_, items) => !items.is_empty(),
            Value::Bytearray(data) => !data.borrow().is_empty(),
            Value::View(view) => view.length != 0,
            Value::List(items) | Value::Set(items) => !items.borrow().is_empty(),
            Value::Dict(pairs) => !pairs.borrow().is_empty(),
            Value::Range(start, stop, step) => range_len(*start, *stop, *step) > 0,
            _ => true,
        }
    }

    /// An integer, if it is one or a truth value.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Bool(value) => Some((*value).into()),
            _ => None,
        }
    }

    /// A number as a float.
    pub(crate) fn as_float(&self) -> Option<f32> {
        match self {
            Value::Float(value) => Some(*value),
            _ => self.as_int().map(|value| value as f32),
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::Tuple(items) | Value::Fields(_, items) => Some(items.to_vec()),
            Value::List(items) => Some(items.borrow().clone()),
            _ => None,
        }
    }

    /// `==`. What is nested beyond all measure, or holds itself, counts as different where the board
    /// raises an exception.
    pub(crate) fn equals(&self, other: &Value) -> bool {
        /// Values that are compared at most: more than the heap has room for.
        const MOST: u32 = 200_000;
        self.compare(other, 0, &mut MOST.clone())
    }

    fn compare(&self, other: &Value, depth: usize, left: &mut u32) -> bool {
        if depth > DEEPEST || *left == 0 {
            return false;
        }
        *left -= 1;
        match (self, other) {
            (Value::None, Value::None) => true,
            (Value::Str(a), Value::Str(b)) => **a == **b,
            (Value::Bytes(a), Value::Bytes(b)) => **a == **b,
            (Value::Tuple(a) | Value::Fields(_, a), Value::Tuple(b) | Value::Fields(_, b)) => {
                same(a, b, depth, left)
            }
            (Value::Bytearray(_) | Value::View(_), _)
            | (_, Value::Bytearray(_) | Value::View(_)) => {
                // Anything that has bytes compares by them.
                let same = look(self, |a| look(other, |b| a == b));
                same.and_then(|same| same).unwrap_or(false)
            }
            (Value::List(a), Value::List(b)) => {
                Rc::ptr_eq(a, b) || same(&a.borrow(), &b.borrow(), depth, left)
            }
            (Value::Set(a), Value::Set(b)) => {
                let (a, b) = (a.borrow(), b.borrow());
                let mut found = a
                    .iter()
                    .map(|item| b.iter().any(|other| item.compare(other, depth + 1, left)));
                a.len() == b.len() && found.all(|found| found)
            }
            (Value::Dict(a), Value::Dict(b)) => {
                let (a, b) = (a.borrow(), b.borrow());
                a.len() == b.len()
                    && a.iter().all(|(key, value)| {
                        b.iter().any(|(other, found)| {
                            key.compare(other, depth + 1, left)
                                && value.compare(found, depth + 1, left)
                        })
                    })
            }
            (Value::Range(a, b, c), Value::Range(d, e, f)) => (a, b, c) == (d, e, f),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => match (self.as_float(), other.as_float()) {
                    (Some(a), Some(b)) => a == b,
                    _ => self.is(other),
                },
            },
        }
    }

    /// `is`.
    pub(crate) fn is(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::None, Value::None) | (Value::Image, Value::Image) => true,
            (Value::Uart, Value::Uart) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => **a == **b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Module(a), Value::Module(b)) => std::ptr::eq(*a, *b),
            (Value::Native(a), Value::Native(b)) => std::ptr::eq(*a, *b),
            (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
            (Value::Set(a), Value::Set(b)) => Rc::ptr_eq(a, b),
            (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
            (Value::Tuple(a), Value::Tuple(b)) => a.is(b),
            (Value::Fields(_, a), Value::Fields(_, b))
            | (Value::Bound(a), Value::Bound(b))
            | (Value::ClassMethod(a), Value::ClassMethod(b))
            | (Value::StaticMethod(a), Value::StaticMethod(b)) => a.is(b),
            (Value::Bytearray(a), Value::Bytearray(b)) => Rc::ptr_eq(a, b),
            (Value::View(a), Value::View(b)) => Rc::ptr_eq(a, b),
            (Value::Terminal(a), Value::Terminal(b)) => a == b,
            (Value::Hash(a), Value::Hash(b)) => Rc::ptr_eq(a, b),
            (Value::Function(a), Value::Function(b)) => Rc::ptr_eq(a, b),
            (Value::Class(a), Value::Class(b)) => Rc::ptr_eq(a, b),
            (Value::Instance(a), Value::Instance(b)) => Rc::ptr_eq(a, b),
            (Value::Exception(a), Value::Exception(b)) => Rc::ptr_eq(a, b),
            (Value::Clock(a), Value::Clock(b)) => Rc::ptr_eq(a, b),
            (Value::File(a), Value::File(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// `str(x)`.
    pub(crate) fn str(&self) -> String {
        match self {
            Value::Str(text) => text.to_string(),
            Value::Exception(exception) => exception.message(),
            _ => self.repr(),
        }
    }

    /// `repr(x)`.
    pub(crate) fn repr(&self) -> String {
        let mut out = String::new();
        self.write_repr(&mut out, 0);
        out
    }

    fn write_repr(&self, out: &mut String, depth: usize) {
        // Containers may hold themselves, and each other more often than there is room for.
        if depth > 20 || out.len() > heap::SIZE {
            out.push_str("...");
            return;
        }
        // Writing to a string cannot fail.
        let _ = match self {
            Value::None => out.write_str("None"),
            Value::Bool(true) => out.write_str("True"),
            Value::Bool(false) => out.write_str("False"),
            Value::Int(value) => write!(out, "{value}"),
            Value::Float(value) => out.write_str(&float(*value)),
            Value::Str(text) => {
                quote(out, text.chars().map(u32::from), false);
                Ok(())
            }
            Value::Bytes(data) => {
                out.push('b');
                quote(out, data.iter().map(|&byte| byte.into()), true);
                Ok(())
            }
            Value::Tuple(values) => write_tuple(out, values, depth),
            Value::Fields(names, values) => write_fields(out, names, values, depth),
            Value::Bytearray(data) => {
                out.push_str("bytearray(b");
                quote(out, data.borrow().iter().map(|&byte| byte.into()), true);
                out.write_str(")")
            }
            Value::View(_) => out.write_str("<memoryview>"),
            Value::List(values) => {
                out.push('[');
                write_items(out, &values.borrow(), depth);
                out.write_str("]")
            }
            Value::Set(items) if items.borrow().is_empty() => out.write_str("set()"),
            Value::Set(items) => {
                out.push('{');
                write_items(out, &items.borrow(), depth);
                out.write_str("}")
            }
            Value::Dict(pairs) => write_dict(out, &pairs.borrow(), depth),
            Value::Range(start, stop, 1) => write!(out, "range({start}, {stop})"),
            Value::Range(start, stop, step) => write!(out, "range({start}, {stop}, {step})"),
            Value::Function(function) => {
                write!(out, "<function {} at 0x80110000>", function.code.name)
            }
            Value::Native(_) => out.write_str("<function>"),
            Value::Method(_) | Value::Bound(_) => out.write_str("<bound_method>"),
            Value::ClassMethod(_) | Value::StaticMethod(_) => {
                write!(out, "<{}>", self.type_name())
            }
            Value::Module(module) => write!(out, "<module '{}'>", module.name),
            Value::Type(name) => write!(out, "<class '{name}'>"),
            Value::Class(class) => write!(out, "<class '{}'>", class.name),
            Value::Exception(exception) => {
                out.push_str(self.type_name());
                write_tuple(out, &exception.args, depth)
            }
            Value::Clock(clock) => {
                let clock = clock.borrow();
                writeln!(
                    out,
                    "t_start:{} t_ticks:{} t_frame:{}",
                    clock.start, clock.ticks, clock.frames
                )
            }
            Value::Image => out.write_str("<image>"),
            Value::Uart => out.write_str("[MAIXPY]UART5"),
            Value::File(_) => write!(out, "<io.{} 80110000>", self.type_name()),
            Value::Terminal(end) => {
                let number = match end {
                    Terminal::In | Terminal::Buffer => 0,
                    Terminal::Out => 1,
                    Terminal::Err => 2,
                };
                write!(out, "<io.FileIO {number}>")
            }
            Value::Hash(_) => out.write_str("<sha256>"),
            Value::Instance(instance) => {
                write!(out, "<{} object at 0x80110000>", instance.class.name)
            }
        };
    }
}

fn write_items(out: &mut String, items: &[Value], depth: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        item.write_repr(out, depth + 1);
        if out.len() > heap::SIZE {
            return;
        }
    }
}

fn write_tuple(out: &mut String, items: &[Value], depth: usize) -> std::fmt::Result {
    out.push('(');
    write_items(out, items, depth);
    out.write_str(if items.len() == 1 { ",)" } else { ")" })
}

/// `mp_obj_attrtuple_print_helper`
fn write_fields(
    out: &mut String,
    names: &[&str],
    items: &[Value],
    depth: usize,
) -> std::fmt::Result {
    out.push('(');
    for (index, (name, item)) in names.iter().zip(items).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write!(out, "{name}=")?;
        item.write_repr(out, depth + 1);
    }
    out.write_str(")")
}

fn write_dict(out: &mut String, pairs: &[(Value, Value)], depth: usize) -> std::fmt::Result {
    out.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        key.write_repr(out, depth + 1);
        out.push_str(": ");
        value.write_repr(out, depth + 1);
    }
    out.write_str("}")
}

/// Looks at the bytes of a string or of whatever has them (`mp_get_buffer_raise`).
pub(crate) fn look<T>(value: &Value, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let (whole, part) = match value {
        Value::View(view) => (&view.of, view.start..view.start.saturating_add(view.length)),
        value => (value, 0..usize::MAX),
    };
    let look = |data: &[u8]| {
        // What a view shows may have become shorter.
        let end = part.end.min(data.len());
        look(data.get(part.start..end).unwrap_or_default())
    };
    match whole {
        Value::Str(text) => Ok(look(text.as_bytes())),
        Value::Bytes(data) => Ok(look(data)),
        Value::Bytearray(data) => Ok(look(&data.borrow())),
        _ => Err(no_buffer()),
    }
}

/// The same bytes, copied where they can change.
pub(crate) fn buffer(value: &Value) -> Result<Cow<'_, [u8]>> {
    match value {
        Value::Str(text) => Ok(text.as_bytes().into()),
        Value::Bytes(data) => Ok((&data[..]).into()),
        _ => look(value, |data| data.to_vec().into()),
    }
}

/// What a value without bytes raises.
pub(crate) fn no_buffer() -> Raise {
    Raise::new("TypeError", "object with buffer protocol required")
}

/// Levels of nesting that are followed when values are compared.
pub(crate) const DEEPEST: usize = 50;

fn same(a: &[Value], b: &[Value], depth: usize, left: &mut u32) -> bool {
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|(a, b)| a.compare(b, depth + 1, left))
}

impl Exception {
    /// What follows the name in a traceback.
    pub(crate) fn message(&self) -> String {
        match &self.args[..] {
            [] => String::new(),
            [Value::Int(number)] if is_subclass(&self.kind, &Value::Type("OSError")) => {
                match errno_name(*number) {
                    Some(name) => format!("[Errno {number}] {name}"),
                    None => number.to_string(),
                }
            }
            [only] => only.str(),
            args => tuple(args.to_vec()).repr(),
        }
    }
}

fn errno_name(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "EPERM",
        2 => "ENOENT",
        5 => "EIO",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        17 => "EEXIST",
        19 => "ENODEV",
        21 => "EISDIR",
        22 => "EINVAL",
        95 => "EOPNOTSUPP",
        98 => "EADDRINUSE",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        113 => "EHOSTUNREACH",
        114 => "EALREADY",
        115 => "EINPROGRESS",
        _ => return None,
    })
}

/// How many numbers a range has.
pub(crate) fn range_len(start: i64, stop: i64, step: i64) -> i64 {
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let length = if step > 0 && start < stop {
        (stop - start - 1) / step + 1
    } else if step < 0 && start > stop {
        (start - stop - 1) / -step + 1
    } else {
        0
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The number at a place of a range.
pub(crate) fn range_item(start: i64, step: i64, index: i64) -> Value {
    // Within the range's length it does not overflow.
    Value::Int(start.wrapping_add(step.wrapping_mul(index)))
}

fn quote(out: &mut String, characters: impl Iterator<Item = u32> + Clone, bytes: bool) {
    let has = |wanted: char| characters.clone().any(|found| found == u32::from(wanted));
    let mark = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(mark);
    for code in characters {
        let character = char::from_u32(code).unwrap_or('\u{fffd}');
        // Writing to a string cannot fail.
        let _ = match character {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            found if found == mark => write!(out, "\\{found}"),
            ' '..='~' => out.write_char(character),
            found if !bytes && code >= 0x80 => out.write_char(found),
            _ => write!(out, "\\x{code:02x}"),
        };
    }
    out.push(mark);
}

/// A float as `print` shows it: seven digits, and a point.
pub(crate) fn float(value: f32) -> String {
    let text = general(value.into(), 7, false);
    if text.contains(['.', 'e', 'n', 'i']) {
        text
    } else {
        text + ".0"
    }
}

/// C's `%g`.
pub(crate) fn general(value: f64, precision: usize, alternate: bool) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let strip = |text: &str| {
        if text.contains('.') && !alternate {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", strip(mantissa), exponent.abs())
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        strip(&format!("{value:.decimals$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_the_boards() {
        for (value, text) in [
            (30.0, "30.0"),
            (29.411_764, "29.41176"),
            (0.1, "0.1"),
            (1e10, "1e+10"),
            (0.000_01, "1e-05"),
            (-2.5, "-2.5"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn texts_are_quoted_as_needed() {
        assert_eq!(string("a'b\n").repr(), "\"a'b\\n\"");
        assert_eq!(string("plain").repr(), "'plain'");
        assert_eq!(Value::Bytes(b"\x00a".to_vec().into()).repr(), "b'\\x00a'");
        assert_eq!(tuple(vec![Value::Int(1)]).repr(), "(1,)");
    }

    #[test]
    fn exceptions_have_parents() {
        let is = |kind, of| is_subclass(&Value::Type(kind), &Value::Type(of));
        assert!(is("ZeroDivisionError", "Exception"));
        assert!(!is("KeyboardInterrupt", "Exception"));
        assert!(is("SystemExit", "BaseException"));
    }
}
