// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `sys` (`modsys.c`).

use super::Module;
use crate::dispatch::VERSION;
use crate::python::interpreter::Interpreter;
use crate::python::value::{Terminal, Value, dict, fields, list, string, tuple};
use crate::python::{Args, Raise, Result, stream};

pub(crate) static MODULE: Module = Module {
    name: "sys",
    functions: &[
        ("exit", |_, args| {
            Err(Raise::with("SystemExit", args.between(0, 1)?.to_vec()))
        }),
        ("print_exception", print_exception),
    ],
    numbers: &[("maxsize", i64::MAX)],
    values: &[
        ("path", || list(["", ".", "/flash"].map(string).to_vec())),
        ("argv", || list(Vec::new())),
        ("version", || string("3.4.0")),
        ("version_info", || tuple([3, 4, 0].map(Value::Int).to_vec())),
        ("implementation", || {
            let version = VERSION.map(|part| Value::Int(part.into())).to_vec();
            fields(
                &["name", "version"],
                vec![string("micropython"), tuple(version)],
            )
        }),
        ("platform", || string("MaixPy")),
        ("byteorder", || string("little")),
        ("stdin", || Value::Terminal(Terminal::In)),
        ("stdout", || Value::Terminal(Terminal::Out)),
        ("stderr", || Value::Terminal(Terminal::Err)),
        // The firmware's own modules are in none, and no others can be imported here.
        ("modules", || dict(Vec::new())),
    ],
};

fn print_exception(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let given = args.between(1, 2)?;
    let out = Value::Terminal(Terminal::Out);
    let text = match &given[0] {
        Value::Exception(exception) => interpreter.cpu.exception_text(exception),
        other => other.repr() + "\n",
    };
    stream::push(interpreter, given.get(1).unwrap_or(&out), text.as_bytes())?;
    Ok(Value::None)
}
