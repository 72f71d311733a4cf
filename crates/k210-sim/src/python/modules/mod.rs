// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's modules, as far as the simulated board has them.

mod binascii;
pub(crate) mod files;
mod hashlib;
mod image;
mod json;
mod math;
mod os;
mod random;
mod sensor;
mod structs;
mod sys;
pub(crate) mod terminal;
mod time;
pub(crate) mod uart;

use super::heap;
use super::interpreter::Interpreter;
use super::native::{Function, find, nothing};
use super::value::{Value, string};
use super::{Args, Raise, Result, builtins, int};
pub(crate) use files::{FILE_METHODS, open};
pub(crate) use hashlib::HASH_METHODS;
pub(crate) use image::METHODS as IMAGE_METHODS;
pub(crate) use terminal::TERMINAL_METHODS;
pub(crate) use time::CLOCK_METHODS;
pub(crate) use uart::METHODS as UART_METHODS;

/// Makes a value that is no number.
type Make = fn() -> Value;

/// A module: each of its names stands in one of the tables.
pub(crate) struct Module {
    /// What it is imported as.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
    /// Its integers.
    pub numbers: &'static [(&'static str, i64)],
    /// Whatever else it holds.
    pub values: &'static [(&'static str, Make)],
}

impl Module {
    const fn of(name: &'static str, functions: &'static [Function]) -> Module {
        Module {
            name,
            functions,
            numbers: &[],
            values: &[],
        }
    }

    /// A name in the module.
    pub(crate) fn attribute(&self, name: &str) -> Option<Value> {
        if name == "__name__" {
            return Some(string(self.name));
        }
        if self.name == BUILTINS {
            return builtins::lookup(name);
        }
        find(self.functions, name)
            .map(Value::Native)
            .or_else(|| find(self.numbers, name).map(|(_, number)| Value::Int(*number)))
            .or_else(|| find(self.values, name).map(|(_, value)| value()))
    }

    /// Its names, which `dir` lists.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        fn names<T>(table: &'static [(&'static str, T)]) -> impl Iterator<Item = &'static str> {
            table.iter().map(|(name, _)| *name)
        }
        let builtins = (self.name == BUILTINS).then(builtins::all_names);
        std::iter::once("__name__")
            .chain(builtins.into_iter().flatten())
            .chain(names(self.functions))
            .chain(names(self.numbers))
            .chain(names(self.values))
    }
}

static MODULES: [&Module; 19] = [
    &sensor::MODULE,
    &image::MODULE,
    &LCD,
    &time::MODULE,
    &sys::MODULE,
    &GC,
    &os::MODULE,
    &hashlib::MODULE,
    &BUILTINS_MODULE,
    &uart::MACHINE,
    &MAIX,
    &math::MODULE,
    &MICROPYTHON,
    &random::MODULE,
    &FPIOA_MANAGER,
    &BOARD,
    &binascii::MODULE,
    &structs::MODULE,
    &json::MODULE,
];

/// Other names of modules.
const ALIASES: &[(&str, &str)] = &[
    ("utime", "time"),
    ("os", "uos"),
    ("hashlib", "uhashlib"),
    ("usys", "sys"),
    ("urandom", "random"),
    ("binascii", "ubinascii"),
    ("struct", "ustruct"),
    ("json", "ujson"),
];

/// The screen, which nobody looks at.
static LCD: Module = Module {
    name: "lcd",
    functions: &[
        ("init", nothing),
        ("deinit", nothing),
        ("display", nothing),
        ("clear", nothing),
        ("draw_string", nothing),
        ("rotation", nothing),
        ("mirror", nothing),
        ("freq", nothing),
        ("width", |_, _| Ok(Value::Int(320))),
        ("height", |_, _| Ok(Value::Int(240))),
        ("direction", nothing),
        ("fill_rectangle", nothing),
        ("bgr_to_rgb", nothing),
    ],
    numbers: &[
        ("BLACK", 0),
        ("WHITE", 0xffff),
        ("RED", 0x00f8),
        ("GREEN", 0xe007),
        ("BLUE", 0x1f00),
        ("YELLOW", 0xe0ff),
        ("PINK", 0x1ff8),
        ("ORANGE", 0x20fd),
        ("PURPLE", 0x0f78),
        ("XY_RLUD", 0),
        ("YX_LRUD", 0),
    ],
    values: &[],
};

static GC: Module = Module::of(
    "gc",
    &[
        ("collect", nothing),
        ("enable", nothing),
        ("disable", nothing),
        ("mem_free", |_, _| {
            let free = heap::SIZE.saturating_sub(heap::used());
            Ok(Value::Int(free as i64))
        }),
        ("mem_alloc", |_, _| Ok(Value::Int(heap::used() as i64))),
        ("isenabled", |_, _| Ok(Value::Bool(true))),
    ],
);

static MICROPYTHON: Module = Module::of(
    "micropython",
    &[
        ("const", |_, args| Ok(args.exactly(1)?[0].clone())),
        ("mem_info", mem_info),
        ("kbd_intr", |interpreter, args| {
            let character = int(&args.exactly(1)?[0])?;
            let character = u8::try_from(character).ok();
            interpreter.cpu.shared.lock().core.interrupt_char = character;
            Ok(Value::None)
        }),
    ],
);

/// What there is to tell of a heap without blocks.
fn mem_info(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.between(0, 1)?;
    let used = heap::used();
    let free = heap::SIZE.saturating_sub(used);
    let text = format!(
        "mem: total={used}, current={used}, peak={used}\n\
         GC: total: {}, used: {used}, free: {free}\n",
        heap::SIZE
    );
    interpreter.cpu.print(&text)?;
    Ok(Value::None)
}

/// What needs no import, as a module.
const BUILTINS: &str = "builtins";
static BUILTINS_MODULE: Module = Module::of(BUILTINS, &[]);

static MAIX: Module = Module::of("Maix", &[]);
static FPIOA_MANAGER: Module = Module::of("fpioa_manager", &[]);
static BOARD: Module = Module::of("board", &[]);

/// What `help('modules')` says, in its four columns.
pub(crate) fn listing() -> String {
    const COLUMNS: usize = 4;
    const WIDTH: usize = 18;
    let mut names: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
    names.extend(ALIASES.iter().map(|(alias, _)| *alias));
    names.sort_unstable();
    let rows = names.len().div_ceil(COLUMNS);
    let mut text = String::new();
    for row in 0..rows {
        for name in names.iter().skip(row).step_by(rows) {
            text += &format!("{name:<WIDTH$}");
        }
        text = text.trim_end().to_owned() + "\n";
    }
    text + "Plus any modules on the filesystem\n"
}

/// `import`.
pub(crate) fn import(name: &str) -> Result<&'static Module> {
    let plain = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, plain)| plain);
    MODULES
        .into_iter()
        .find(|module| module.name == plain)
        .ok_or_else(|| Raise::new("ImportError", format!("no module named '{name}'")))
}

/// The firmware's own classes: a name, and what calling it makes.
static CLASSES: &[Function] = &[
    ("UART", uart::construct),
    ("Image", |_, _| Ok(Value::Image)),
    ("sha256", hashlib::construct),
    ("VfsSpiffs", os::file_system),
    ("VfsFat", os::file_system),
];

/// The class of that name.
pub(crate) fn class(name: &str) -> Option<&'static Function> {
    find(CLASSES, name)
}

/// A name in one of the firmware's classes, or in what is made of it.
pub(crate) fn class_attribute(class: &str, name: &str) -> Option<Value> {
    match class {
        "UART" => uart::class_attribute(name),
        _ => None,
    }
}
