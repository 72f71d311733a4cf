// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open`, and files (`vfs.c`, `vfs_spiffs_file.c`).

use std::cell::RefCell;
use std::rc::Rc;

use super::os;
use crate::flash::{Descriptor, Errno, Flags};
use crate::python::interpreter::Interpreter;
use crate::python::native::Method;
use crate::python::stream;
use crate::python::value::{File, Text, Value};
use crate::python::{Args, Raise, Result, int, text};

fn errno(error: Errno) -> Raise {
    Raise::errno(error.number())
}

/// What the letters of a mode say, the last of two that contradict each other too.
fn flags(mode: &str) -> (Flags, bool) {
    let mut flags = Flags::default();
    let mut binary = false;
    for letter in mode.chars() {
        match letter {
            'r' => flags.read = true,
            // `x` does not look whether there is such a file.
            'w' | 'x' => {
                (flags.read, flags.write, flags.create) = (true, true, true);
            }
            // Only what is there can be appended to.
            'a' => (flags.read, flags.write, flags.append) = (true, true, true),
            '+' => (flags.read, flags.write) = (true, true),
            'b' => binary = true,
            't' => binary = false,
            _ => {}
        }
    }
    (flags, binary)
}

/// `open`.
pub(crate) fn open(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.check_count(0, 4)?;
    let Some(path) = args.get(0, "file") else {
        return Err(Raise::new("TypeError", "'file' argument required"));
    };
    let path = os::Path::of(path)?;
    let mode = match args.get(1, "mode") {
        Some(mode) => text(mode)?,
        None => Text::from("r"),
    };
    let (flags, binary) = flags(&mode);
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    let rest = os::inside(flash.lookup(&path.text))?;
    // Whatever it was, it says that there is none.
    let descriptor = flash.open(rest, flags).map_err(|_| errno(Errno::Enoent))?;
    Ok(Value::File(Rc::new(RefCell::new(File {
        descriptor: Some(descriptor),
        position: 0,
        binary,
    }))))
}

/// The descriptor of an open file; with a closed one nothing goes.
fn open_file(file: &File) -> Result<&Descriptor> {
    file.descriptor.as_ref().ok_or_else(|| errno(Errno::Eio))
}

/// `file_obj_read`
pub(crate) fn pull(
    interpreter: &mut Interpreter<'_>,
    file: &RefCell<File>,
    most: usize,
) -> Result<Vec<u8>> {
    let mut file = file.borrow_mut();
    let descriptor = open_file(&file)?;
    let state = interpreter.cpu.shared.lock();
    let content = state.core.flash.content(descriptor.object);
    let content = content.filter(|_| descriptor.flags.read);
    let content = content.ok_or_else(|| errno(Errno::Eio))?;
    let rest = content.get(file.position..).unwrap_or_default();
    let data = rest[..rest.len().min(most)].to_vec();
    file.position += data.len();
    Ok(data)
}

/// `file_obj_write`
pub(crate) fn push(
    interpreter: &mut Interpreter<'_>,
    file: &RefCell<File>,
    data: &[u8],
) -> Result<()> {
    let mut file = file.borrow_mut();
    let (object, flags) = open_file(&file).map(|found| (found.object, found.flags))?;
    if !flags.write {
        return Err(errno(Errno::Eio));
    }
    let flash = &mut interpreter.cpu.shared.lock().core.flash;
    let length = flash.content(object).map_or(0, <[u8]>::len);
    let position = match flags.append {
        true => length,
        false => file.position.min(length),
    };
    let written = flash.write_at(object, position, data);
    written.map_err(|_| errno(Errno::Eio))?;
    file.position = position + data.len();
    Ok(())
}

/// Closes a file; one that is closed stays so.
fn close(interpreter: &mut Interpreter<'_>, file: &RefCell<File>) -> Result<Value> {
    let Some(descriptor) = file.borrow_mut().descriptor.take() else {
        return Ok(Value::None);
    };
    let state = interpreter.cpu.shared.lock();
    match state.core.flash.content(descriptor.object) {
        Some(_) => Ok(Value::None),
        None => Err(errno(Errno::Eio)),
    }
}

/// What `SPIFFS_lseek` returns for a place before the beginning, and behind the end.
const SEEK_BOUNDS: i64 = -10_040;
const END_OF_OBJECT: i64 = -10_003;
/// What it returns for a file that is closed.
const BAD_DESCRIPTOR: i64 = -10_010;

/// `file_obj_ioctl` does not look whether it worked: errors are the new place. The firmware shows
/// them as unsigned numbers of 64 bits, which are not to be had here.
fn seek(interpreter: &mut Interpreter<'_>, file: &RefCell<File>, args: &Args) -> Result<Value> {
    let given = args.between(1, 2)?;
    let offset = int(&given[0])?;
    let whence = given.get(1).map_or(Ok(0), int)?;
    if whence == 0 && offset < 0 {
        return Err(errno(Errno::Einval));
    }
    let mut file = file.borrow_mut();
    let Some(descriptor) = &file.descriptor else {
        return Ok(Value::Int(BAD_DESCRIPTOR));
    };
    let state = interpreter.cpu.shared.lock();
    let length = state.core.flash.content(descriptor.object).map(<[u8]>::len);
    let Some(length) = length else {
        return Ok(Value::Int(BAD_DESCRIPTOR));
    };
    let base = match whence {
        0 => 0,
        1 => file.position as i64,
        2 => length as i64,
        _ => return Ok(Value::Int(0)),
    };
    match u64::try_from(base.saturating_add(offset)) {
        Err(_) => Ok(Value::Int(SEEK_BOUNDS)),
        Ok(place) if place > length as u64 => {
            file.position = length;
            Ok(Value::Int(END_OF_OBJECT))
        }
        Ok(place) => {
            file.position = place as usize;
            Ok(Value::Int(place as i64))
        }
    }
}

/// Methods of files.
pub(crate) static FILE_METHODS: &[Method<Rc<RefCell<File>>>] = &[
    ("read", |interpreter, file, args| {
        stream::read(interpreter, &Value::File(file.clone()), args)
    }),
    ("readinto", |interpreter, file, args| {
        stream::readinto(interpreter, &Value::File(file.clone()), args)
    }),
    ("readline", |interpreter, file, args| {
        stream::readline(interpreter, &Value::File(file.clone()), args)
    }),
    ("readlines", |interpreter, file, args| {
        stream::readlines(interpreter, &Value::File(file.clone()), args)
    }),
    ("write", |interpreter, file, args| {
        stream::write(interpreter, &Value::File(file.clone()), args)
    }),
    ("flush", |interpreter, file, args| {
        args.exactly(0)?;
        let file = file.borrow();
        let descriptor = open_file(&file)?;
        let state = interpreter.cpu.shared.lock();
        let content = state.core.flash.content(descriptor.object);
        content.map_or(Err(errno(Errno::Eio)), |_| Ok(Value::None))
    }),
    ("close", |interpreter, file, args| {
        args.exactly(0)?;
        close(interpreter, file)
    }),
    ("seek", |interpreter, file, args| {
        seek(interpreter, file, args)
    }),
    ("tell", |interpreter, file, args| {
        args.exactly(0)?;
        let here = Args::of(vec![Value::Int(0), Value::Int(1)]);
        seek(interpreter, file, &here)
    }),
    ("__del__", |interpreter, file, args| {
        args.exactly(0)?;
        close(interpreter, file)
    }),
    ("__enter__", |_, file, args| {
        args.exactly(0)?;
        Ok(Value::File(file.clone()))
    }),
    ("__exit__", |interpreter, file, args| {
        args.exactly(3)?;
        close(interpreter, file)
    }),
];
