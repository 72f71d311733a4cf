// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sys.stdin`, `sys.stdout`, `sys.stderr` and their `buffer` (`sys_stdio_mphal.c`).

use crate::flash::Errno;
use crate::python::interpreter::Interpreter;
use crate::python::native::Method;
use crate::python::stream;
use crate::python::value::{Terminal, Value};
use crate::python::{Raise, Result};

pub(crate) fn is_text(end: Terminal) -> bool {
    end != Terminal::Buffer
}

/// Waits until all of the bytes are there: nothing is the end of a terminal.
pub(crate) fn pull(
    interpreter: &mut Interpreter<'_>,
    end: Terminal,
    most: usize,
) -> Result<Vec<u8>> {
    if matches!(end, Terminal::Out | Terminal::Err) {
        return Err(Raise::errno(Errno::Eperm.number()));
    }
    let mut data = Vec::new();
    for _ in 0..most {
        data.push(match interpreter.cpu.read_byte()? {
            b'\r' if end == Terminal::In => b'\n',
            byte => byte,
        });
    }
    Ok(data)
}

/// Writes, line ends as terminals want them or as they are.
pub(crate) fn push(interpreter: &mut Interpreter<'_>, end: Terminal, data: &[u8]) -> Result<()> {
    match end {
        Terminal::In => Err(Raise::errno(Errno::Eperm.number())),
        Terminal::Out | Terminal::Err => interpreter.cpu.print_bytes(data),
        Terminal::Buffer => interpreter.cpu.write(data),
    }
}

/// Methods of all of them. There is no `flush`.
pub(crate) static TERMINAL_METHODS: &[Method<Terminal>] = &[
    ("read", |interpreter, this, args| {
        stream::read(interpreter, &Value::Terminal(*this), args)
    }),
    ("readinto", |interpreter, this, args| {
        stream::readinto(interpreter, &Value::Terminal(*this), args)
    }),
    ("readline", |interpreter, this, args| {
        stream::readline(interpreter, &Value::Terminal(*this), args)
    }),
    ("readlines", |interpreter, this, args| {
        stream::readlines(interpreter, &Value::Terminal(*this), args)
    }),
    ("write", |interpreter, this, args| {
        stream::write(interpreter, &Value::Terminal(*this), args)
    }),
    ("close", |_, this, args| {
        args.exactly(0)?;
        Ok(Value::Terminal(*this))
    }),
    ("__enter__", |_, this, args| {
        args.exactly(0)?;
        Ok(Value::Terminal(*this))
    }),
    ("__exit__", |_, _, args| {
        args.exactly(3)?;
        Ok(Value::None)
    }),
];
