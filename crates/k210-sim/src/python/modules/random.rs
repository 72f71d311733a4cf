// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `random` (`modurandom.c`).

use super::Module;
use crate::python::native::nothing;
use crate::python::value::Value;
use crate::python::{Raise, int};

pub(crate) static MODULE: Module = Module::of(
    "random",
    &[
        ("getrandbits", |interpreter, args| {
            let count = int(&args.exactly(1)?[0])?.clamp(0, 32);
            let bits = interpreter.cpu.random();
            Ok(Value::Int((bits & ((1 << count) - 1)) as i64))
        }),
        ("randint", |interpreter, args| {
            let given = args.exactly(2)?;
            let (low, high) = (int(&given[0])?, int(&given[1])?);
            let span = high.checked_sub(low).filter(|&span| span >= 0);
            let span = span.ok_or_else(|| Raise::with("ValueError", Vec::new()))?;
            let bits = (interpreter.cpu.random() >> 1) as i64;
            Ok(Value::Int(low + bits % span.saturating_add(1)))
        }),
        ("random", |interpreter, _| {
            let bits = interpreter.cpu.random();
            Ok(Value::Float((bits >> 40) as f32 / (1 << 24) as f32))
        }),
        ("seed", nothing),
    ],
);
