// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `uos` (`moduos.c`, `vfs.c`, `vfs_spiffs.c`), on a board without a memory card.

use super::Module;
use crate::dispatch::VERSION;
use crate::flash::{BLOCK, Directory, Errno, NAME_LENGTH, Place, Spiffs};
use crate::python::interpreter::Interpreter;
use crate::python::native::nothing;
use crate::python::value::{Value, fields, list, string, tuple};
use crate::python::{Args, Raise, Result, heap, int};

pub(crate) static MODULE: Module = Module {
    name: "uos",
    functions: &[
        ("uname", uname),
        ("urandom", urandom),
        ("set_REPLio", set_replio),
        ("dupterm", dupterm),
        ("ilistdir", |interpreter, args| {
            entries(interpreter, args).map(list)
        }),
        ("listdir", |interpreter, args| {
            let first = |entry: Value| entry.items().and_then(|items| items.into_iter().next());
            let entries = entries(interpreter, args)?;
            Ok(list(entries.into_iter().filter_map(first).collect()))
        }),
        ("mkdir", mkdir),
        ("rmdir", |interpreter, args| {
            let path = Path::of(&args.exactly(1)?[0])?;
            let flash = &interpreter.cpu.shared.lock().core.flash;
            inside(flash.lookup(&path.text))?;
            Err(errno(Errno::Eio))
        }),
        ("chdir", |interpreter, args| {
            let path = Path::of(&args.exactly(1)?[0])?;
            let flash = &mut interpreter.cpu.shared.lock().core.flash;
            flash.change_directory(&path.text).map_err(errno)?;
            Ok(Value::None)
        }),
        ("getcwd", |interpreter, args| {
            args.exactly(0)?;
            match interpreter.cpu.shared.lock().core.flash.directory() {
                Directory::Root => Ok(string("/")),
                Directory::Flash => Ok(string("/flash")),
                Directory::Nowhere => Err(errno(Errno::Enodev)),
            }
        }),
        ("remove", remove),
        ("rename", rename),
        ("stat", stat),
        ("statvfs", statvfs),
        ("mount", mount),
        ("umount", umount),
        ("sync", |interpreter, args| {
            args.exactly(0)?;
            nothing(interpreter, args)
        }),
        ("flash_format", flash_format),
    ],
    numbers: &[],
    values: &[
        ("VfsSpiffs", || Value::Type("VfsSpiffs")),
        ("VfsFat", || Value::Type("VfsFat")),
    ],
};

/// `MP_S_IFDIR` and `MP_S_IFREG`.
const DIRECTORY: i64 = 0x4000;
const REGULAR: i64 = 0x8000;

fn errno(error: Errno) -> Raise {
    Raise::errno(error.number())
}

/// A path, which may be given as bytes.
pub(crate) struct Path {
    pub text: String,
    is_bytes: bool,
}

impl Path {
    /// `mp_obj_str_get_str`: as far as the first NUL.
    pub(crate) fn of(value: &Value) -> Result<Path> {
        let (text, is_bytes) = match value {
            Value::Str(text) => (text.to_string(), false),
            Value::Bytes(data) => (String::from_utf8_lossy(data).into_owned(), true),
            // It says what it wants instead.
            other => (crate::python::text(other)?.to_string(), false),
        };
        let text = text.split('\0').next().unwrap_or_default().to_owned();
        Ok(Path { text, is_bytes })
    }

    /// A name of the same kind.
    fn name(&self, name: &str) -> Value {
        match self.is_bytes {
            true => Value::Bytes(name.as_bytes().into()),
            false => string(name),
        }
    }
}

/// `mp_vfs_proxy_call`: what is not in a file system is none of its business.
pub(crate) fn inside(place: Place<'_>) -> Result<&str> {
    match place {
        Place::Flash(rest) => Ok(rest),
        Place::Root => Err(errno(Errno::Eperm)),
        Place::Nowhere => Err(errno(Errno::Enodev)),
    }
}

/// `ilistdir`, which gives a list here: at the root the mounts, in flash all files whatever the path.
fn entries(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Vec<Value>> {
    let path = match args.between(0, 1)?.first() {
        Some(path) => Path::of(path)?,
        None => Path {
            text: String::new(),
            is_bytes: false,
        },
    };
    let flash = &interpreter.cpu.shared.lock().core.flash;
    let place = flash.lookup(&path.text);
    if place == Place::Root {
        let mount = || vec![path.name("flash"), Value::Int(DIRECTORY), Value::Int(0)];
        return Ok(flash
            .is_mounted()
            .then(mount)
            .map(tuple)
            .into_iter()
            .collect());
    }
    inside(place)?;
    let mut entries = Vec::new();
    for (name, length) in flash.entries() {
        heap::reserve_slots(8 * entries.len())?;
        entries.push(tuple(vec![
            path.name(name),
            Value::Int(REGULAR),
            Value::Int(0),
            Value::Int(length as i64),
        ]));
    }
    Ok(entries)
}

fn mkdir(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = Path::of(&args.exactly(1)?[0])?;
    let flash = &interpreter.cpu.shared.lock().core.flash;
    match flash.lookup(&path.text) {
        Place::Root | Place::Flash("/") => Err(errno(Errno::Eexist)),
        Place::Nowhere => Err(errno(Errno::Enodev)),
        Place::Flash(_) => Err(Raise::new("NotImplementedError", "SPIFFS not support")),
    }
}

fn remove(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = Path::of(&args.exactly(1)?[0])?;
    let mut state = interpreter.cpu.shared.lock();
    let flash = &mut state.core.flash;
    let rest = inside(flash.lookup(&path.text))?;
    let removed = flash.delete(rest);
    drop(state);
    if let Err(error) = removed {
        let line = format!("[MaixPy]:SPIFFS Error Code {}\n", error.code());
        interpreter.cpu.print(&line)?;
        return Err(errno(error.errno()));
    }
    Ok(Value::None)
}

fn rename(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let given = args.exactly(2)?;
    let (from, to) = (Path::of(&given[0])?, Path::of(&given[1])?);
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    let (from, to) = match (flash.lookup(&from.text), flash.lookup(&to.text)) {
        (Place::Flash(from), Place::Flash(to)) => (from, to),
        (Place::Nowhere, Place::Nowhere) => return Err(errno(Errno::Enodev)),
        // Not from one file system to another, and not at the root.
        _ => return Err(errno(Errno::Eperm)),
    };
    let renamed = flash.rename(from, to).map_err(Spiffs::errno);
    renamed.map_err(errno)?;
    Ok(Value::None)
}

fn stat(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = Path::of(&args.exactly(1)?[0])?;
    let flash = &interpreter.cpu.shared.lock().core.flash;
    let (mode, size) = match flash.lookup(&path.text) {
        Place::Root => (DIRECTORY, 0),
        Place::Nowhere => return Err(errno(Errno::Enodev)),
        // All that begins like that is the directory to it.
        Place::Flash(rest) if matches!(rest, "" | "/") || rest.starts_with("./") => (DIRECTORY, 0),
        Place::Flash(rest) => {
            let length = flash.length(rest).map_err(|error| errno(error.errno()))?;
            (REGULAR, length)
        }
    };
    let mut items = vec![Value::Int(0); 10];
    items[0] = Value::Int(mode);
    items[6] = Value::Int(size as i64);
    Ok(tuple(items))
}

fn statvfs(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    /// `MICROPY_ALLOC_PATH_MAX`
    const LONGEST_PATH: usize = 128;
    let path = Path::of(&args.exactly(1)?[0])?;
    let flash = &interpreter.cpu.shared.lock().core.flash;
    let mut numbers = [0; 10];
    match flash.lookup(&path.text) {
        Place::Root => numbers[9] = LONGEST_PATH,
        Place::Nowhere => return Err(errno(Errno::Enodev)),
        Place::Flash(_) => {
            let (total, used) = flash.info();
            let free = total.saturating_sub(used) / BLOCK;
            numbers[..5].copy_from_slice(&[BLOCK, BLOCK, total / BLOCK, free, free]);
            numbers[9] = NAME_LENGTH;
        }
    }
    let numbers = numbers.map(|number| Value::Int(number as i64));
    Ok(tuple(numbers.to_vec()))
}

/// Not there: anything that a file system could be made of.
fn no_device() -> Raise {
    Raise::new(
        "NotImplementedError",
        "the simulated board has no block devices",
    )
}

fn mount(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    Path::of(&args.check_count(2, 2)?[1])?;
    Err(no_device())
}

/// `VfsSpiffs` and `VfsFat`.
pub(crate) fn file_system(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(1)?;
    Err(no_device())
}

fn umount(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    match &args.exactly(1)?[0] {
        Value::Str(path) if &**path == "/flash" => flash.unmount().map_err(errno)?,
        _ => return Err(errno(Errno::Einval)),
    }
    Ok(Value::None)
}

fn flash_format(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    interpreter.cpu.print("[MAIXPY]:Spiffs Unmount.\n")?;
    interpreter.cpu.print("[MAIXPY]:Spiffs Formating...\n")?;
    interpreter.cpu.shared.lock().core.flash.format();
    let cpu = &mut interpreter.cpu;
    cpu.print("[MAIXPY]:Spiffs Format successful \n")?;
    cpu.print("[MAIXPY]:Spiffs Mount successful \n")?;
    Ok(Value::Bool(true))
}

fn urandom(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let count = int(&args.exactly(1)?[0])?;
    // There is no memory for a number below 0.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    heap::reserve(count)?;
    let data: Vec<u8> = (0..count).map(|_| interpreter.cpu.random() as u8).collect();
    Ok(Value::Bytes(data.into()))
}

/// The prompt's UART instead of another: there is no other.
fn set_replio(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    Ok(match &args.exactly(1)?[0] {
        Value::Uart => Value::Uart,
        _ => Value::None,
    })
}

fn dupterm(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let given = args.between(1, 2)?;
    if given.get(1).map_or(Ok(0), int)? != 0 {
        return Err(Raise::new("ValueError", "invalid dupterm index"));
    }
    match &given[0] {
        Value::None => Ok(Value::None),
        _ => Err(Raise::new(
            "NotImplementedError",
            "the simulated board has one terminal",
        )),
    }
}

fn uname(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    let [major, minor, patch] = VERSION;
    let release = format!("{major}.{minor}.{patch}");
    let version = format!("v{release} on 2024-01-16");
    let board = "Sipeed_M1 with kendryte-k210";
    let parts = ["MaixPy", "MaixPy", &release, &version, board];
    let names = &["sysname", "nodename", "release", "version", "machine"];
    Ok(fields(names, parts.map(string).to_vec()))
}
