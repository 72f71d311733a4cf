// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `os`, and files (`vfs.c`, `vfs_spiffs.c`).

use std::cell::RefCell;
use std::rc::Rc;

use super::Module;
use crate::dispatch::VERSION;
use crate::flash::Errno;
use crate::python::interpreter::Interpreter;
use crate::python::native::{Method, nothing};
use crate::python::value::{File, Text, Value, buffer, list, string, tuple};
use crate::python::{Args, Raise, Result, int, text};

pub(crate) static MODULE: Module = Module {
    name: "os",
    functions: &[
        ("listdir", listdir),
        ("remove", |interpreter, args| {
            let path = text(&args.exactly(1)?[0])?;
            let flash = &mut interpreter.cpu.shared.lock().core.flash;
            flash.remove(&path).map_err(errno)?;
            Ok(Value::None)
        }),
        ("uname", uname),
        ("chdir", |_, args| {
            match is_root(&text(&args.exactly(1)?[0])?) {
                true => Ok(Value::None),
                false => Err(Raise::errno(ENOENT)),
            }
        }),
        ("getcwd", |_, args| {
            args.exactly(0)?;
            Ok(string("/flash"))
        }),
        ("stat", stat),
        ("sync", nothing),
        ("rename", rename),
    ],
    numbers: &[],
    values: &[("sep", || string("/"))],
};

const EPERM: i64 = 1;
const ENOENT: i64 = 2;
const EIO: i64 = 5;
const EINVAL: i64 = 22;

fn errno(error: Errno) -> Raise {
    Raise::errno(error.number())
}

/// Whether a path leads to the flash itself, the only directory with files.
fn is_root(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), "" | "/flash")
}

fn listdir(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = match args.between(0, 1)?.first() {
        Some(path) => text(path)?,
        None => Text::from(""),
    };
    match path.trim_end_matches(['/', '.']) {
        "" if path.starts_with('/') => Ok(list(vec![string("flash")])),
        "" | "/flash" => {
            let state = interpreter.cpu.shared.lock();
            Ok(list(state.core.flash.names().map(string).collect()))
        }
        _ => Err(Raise::errno(ENOENT)),
    }
}

fn rename(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let given = args.exactly(2)?;
    let (from, to) = (text(&given[0])?, text(&given[1])?);
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    let content = flash.read(&from).map_err(errno)?.to_vec();
    flash.write(&to, &content).map_err(errno)?;
    flash.remove(&from).map_err(errno)?;
    Ok(Value::None)
}

fn stat(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = text(&args.exactly(1)?[0])?;
    let (mode, size) = if is_root(&path) {
        (0x4000, 0)
    } else {
        let state = interpreter.cpu.shared.lock();
        (0x8000, state.core.flash.read(&path).map_err(errno)?.len())
    };
    let mut items = vec![Value::Int(0); 10];
    items[0] = Value::Int(mode);
    items[6] = Value::Int(size as i64);
    Ok(tuple(items))
}

fn uname(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    let [major, minor, patch] = VERSION;
    let version = format!("v{major}.{minor}.{patch}");
    let board = "Sipeed_M1 with kendryte-k210";
    let parts = ["MaixPy", "MaixPy", &version, &version, board];
    Ok(tuple(parts.map(string).to_vec()))
}

/// `open`.
pub(crate) fn open(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let path = text(&args.check_count(1, 3)?[0])?;
    let mode = match args.get(1, "mode") {
        Some(mode) => text(mode)?,
        None => Text::from("r"),
    };
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    if mode.contains(['w', 'x']) {
        flash.create(&path).map_err(errno)?;
    } else {
        flash.read(&path).map_err(errno)?;
    }
    Ok(Value::File(Rc::new(RefCell::new(File {
        path: path.to_string(),
        position: 0,
        binary: mode.contains('b'),
        writable: mode.contains(['w', 'a', '+', 'x']),
        closed: false,
    }))))
}

/// Methods of files.
pub(crate) static FILE_METHODS: &[Method<Rc<RefCell<File>>>] = &[
    ("read", |interpreter, file, args| {
        let most = args.between(0, 1)?.first().map_or(Ok(-1), int)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        read(interpreter, file, |rest| rest.len().min(most))
    }),
    ("readline", |interpreter, file, _| {
        read(interpreter, file, |rest| {
            let end = rest.iter().position(|&byte| byte == b'\n');
            end.map_or(rest.len(), |at| at + 1)
        })
    }),
    ("readlines", |interpreter, file, _| {
        let mut file = open_file(file)?;
        let state = interpreter.cpu.shared.lock();
        let content = state.core.flash.read(&file.path).map_err(errno)?;
        let rest = content.get(file.position..).unwrap_or_default();
        let lines = rest.split_inclusive(|&byte| byte == b'\n');
        let lines = lines.map(|line| piece(&file, line)).collect();
        file.position += rest.len();
        Ok(list(lines))
    }),
    ("write", |interpreter, file, args| {
        let file = open_file(file)?;
        let data = buffer(&args.exactly(1)?[0])?;
        if !file.writable {
            return Err(Raise::errno(EPERM));
        }
        let mut state = interpreter.cpu.shared.lock();
        let written = state.core.flash.append(&file.path, data).map_err(errno)?;
        match written < data.len() {
            true => Err(Raise::errno(EIO)),
            false => Ok(Value::Int(written as i64)),
        }
    }),
    ("close", |_, file, _| {
        file.borrow_mut().closed = true;
        Ok(Value::None)
    }),
    ("flush", |_, _, _| Ok(Value::None)),
    ("seek", seek),
    ("tell", |_, file, _| {
        Ok(Value::Int(file.borrow().position as i64))
    }),
    ("__enter__", |_, file, _| Ok(Value::File(file.clone()))),
    ("__exit__", |_, file, _| {
        file.borrow_mut().closed = true;
        Ok(Value::None)
    }),
];

/// A file that was not closed yet.
fn open_file(file: &RefCell<File>) -> Result<std::cell::RefMut<'_, File>> {
    let file = file.borrow_mut();
    match file.closed {
        true => Err(Raise::errno(EINVAL)),
        false => Ok(file),
    }
}

/// A part of a file, as its mode has it.
fn piece(file: &File, data: &[u8]) -> Value {
    match file.binary {
        true => Value::Bytes(data.into()),
        false => string(String::from_utf8_lossy(data)),
    }
}

/// Reads as much of the rest as `length` says.
fn read(
    interpreter: &mut Interpreter<'_>,
    file: &RefCell<File>,
    length: impl FnOnce(&[u8]) -> usize,
) -> Result<Value> {
    let mut file = open_file(file)?;
    let state = interpreter.cpu.shared.lock();
    let content = state.core.flash.read(&file.path).map_err(errno)?;
    let rest = content.get(file.position..).unwrap_or_default();
    let data = &rest[..length(rest)];
    file.position += data.len();
    Ok(piece(&file, data))
}

fn seek(interpreter: &mut Interpreter<'_>, file: &Rc<RefCell<File>>, args: &Args) -> Result<Value> {
    let mut file = open_file(file)?;
    let given = args.between(1, 2)?;
    let offset = int(&given[0])?;
    let base = match given.get(1).map_or(Ok(0), int)? {
        1 => file.position as i64,
        2 => {
            let state = interpreter.cpu.shared.lock();
            state.core.flash.read(&file.path).map_err(errno)?.len() as i64
        }
        _ => 0,
    };
    let position = base
        .checked_add(offset)
        .and_then(|at| usize::try_from(at).ok());
    file.position = position.ok_or_else(|| Raise::errno(EINVAL))?;
    Ok(Value::Int(file.position as i64))
}
