// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `sys` (`modsys.c`).

use super::Module;
use crate::dispatch::VERSION;
use crate::python::Raise;
use crate::python::value::{Value, list, string, tuple};

pub(crate) static MODULE: Module = Module {
    name: "sys",
    functions: &[
        ("exit", |_, args| {
            Err(Raise::with("SystemExit", args.between(0, 1)?.to_vec()))
        }),
        ("print_exception", |interpreter, args| {
            if let Some(Value::Exception(exception)) = args.between(1, 2)?.first() {
                interpreter.cpu.print_exception(exception)?;
            }
            Ok(Value::None)
        }),
    ],
    numbers: &[("maxsize", i64::MAX)],
    values: &[
        ("path", || list(["", ".", "/flash"].map(string).to_vec())),
        ("argv", || list(Vec::new())),
        ("platform", || string("MaixPy")),
        ("version", || string("3.4.0")),
        ("byteorder", || string("little")),
        ("implementation", || {
            let version = VERSION.map(|part| Value::Int(part.into())).to_vec();
            tuple(vec![string("micropython"), tuple(version)])
        }),
    ],
};
