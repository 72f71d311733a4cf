// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `time` (`modutime.c`), by the board's clock.

use std::cell::RefCell;
use std::rc::Rc;

use super::Module;
use crate::python::interpreter::Interpreter;
use crate::python::native::Method;
use crate::python::value::{Clock, Value, tuple};
use crate::python::{Args, Result, float, int};

pub(crate) static MODULE: Module = Module::of(
    "time",
    &[
        ("sleep", |interpreter, args| {
            let seconds = f64::from(float(&args.exactly(1)?[0])?);
            sleep(interpreter, (seconds * 1000.0) as u64, 1_000_000)
        }),
        ("sleep_ms", |interpreter, args| {
            sleep(interpreter, count(args)?, 1_000_000)
        }),
        ("sleep_us", |interpreter, args| {
            sleep(interpreter, count(args)?, 1000)
        }),
        ("ticks_ms", ticks_ms),
        ("ticks_us", |interpreter, args| {
            args.exactly(0)?;
            Ok(Value::Int(interpreter.cpu.shared.now() as i64 / 1000))
        }),
        ("ticks_cpu", |interpreter, _| {
            // 400 MHz.
            Ok(Value::Int(interpreter.cpu.shared.now() as i64 * 2 / 5))
        }),
        ("ticks_add", |_, args| {
            let given = args.exactly(2)?;
            Ok(Value::Int(
                int(&given[0])?.wrapping_add(int(&given[1])?) & (PERIOD - 1),
            ))
        }),
        ("ticks_diff", |_, args| {
            let given = args.exactly(2)?;
            let difference = int(&given[0])?.wrapping_sub(int(&given[1])?);
            let wrapped = difference.wrapping_add(PERIOD / 2) & (PERIOD - 1);
            Ok(Value::Int(wrapped - PERIOD / 2))
        }),
        ("ticks", ticks_ms),
        ("time", |interpreter, _| {
            Ok(Value::Int(seconds(interpreter)))
        }),
        ("localtime", localtime),
        ("clock", |_, args| {
            args.exactly(0)?;
            Ok(Value::Clock(Rc::default()))
        }),
    ],
);

/// `MICROPY_PY_UTIME_TICKS_PERIOD`: half of the largest small integer.
const PERIOD: i64 = 1 << 62;

/// The only argument; what is negative counts as nothing.
fn count(args: &Args) -> Result<u64> {
    Ok(u64::try_from(int(&args.exactly(1)?[0])?).unwrap_or(0))
}

fn sleep(interpreter: &mut Interpreter<'_>, count: u64, unit_ns: u64) -> Result<Value> {
    interpreter.cpu.sleep(count.saturating_mul(unit_ns))?;
    Ok(Value::None)
}

fn ticks_ms(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    Ok(Value::Int(interpreter.cpu.millis() as i64))
}

/// Since the beginning of 2000, at which the clock starts with every reset.
fn seconds(interpreter: &Interpreter<'_>) -> i64 {
    interpreter.cpu.millis() as i64 / 1000
}

fn localtime(interpreter: &mut Interpreter<'_>, _: &Args) -> Result<Value> {
    let seconds = seconds(interpreter);
    let days = seconds / 86_400;
    // The first of January 2000 was a Saturday.
    let parts = [
        2000,
        1,
        1 + days,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        (5 + days) % 7,
        1,
    ];
    Ok(tuple(parts.map(Value::Int).to_vec()))
}

/// Methods of `time.clock()` (`Maix_clock`).
pub(crate) static CLOCK_METHODS: &[Method<Rc<RefCell<Clock>>>] = &[
    ("tick", |interpreter, clock, args| {
        args.exactly(0)?;
        clock.borrow_mut().start = interpreter.cpu.millis() as u32;
        Ok(Value::None)
    }),
    ("fps", |interpreter, clock, args| {
        let average = average(interpreter, clock, args)?;
        let mut clock = clock.borrow_mut();
        if clock.ticks >= 2000 {
            clock.frames = 0;
            clock.ticks = 0;
        }
        Ok(Value::Float(1000.0 / average))
    }),
    ("avg", |interpreter, clock, args| {
        average(interpreter, clock, args).map(Value::Float)
    }),
    ("reset", |_, clock, args| {
        args.exactly(0)?;
        *clock.borrow_mut() = Clock::default();
        Ok(Value::None)
    }),
];

/// Counts a frame; milliseconds a frame.
fn average(interpreter: &mut Interpreter<'_>, clock: &RefCell<Clock>, args: &Args) -> Result<f32> {
    args.exactly(0)?;
    let now = interpreter.cpu.millis() as u32;
    let mut clock = clock.borrow_mut();
    clock.frames = clock.frames.wrapping_add(1);
    clock.ticks = clock.ticks.wrapping_add(now.wrapping_sub(clock.start));
    Ok(clock.ticks as f32 / clock.frames as f32)
}
