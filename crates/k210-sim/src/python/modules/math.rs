// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `math` (`modmath.c`).

use super::Module;
use crate::python::value::Value;
use crate::python::{Args, Raise, Result, float};

pub(crate) static MODULE: Module = Module {
    name: "math",
    functions: &[
        ("sqrt", |_, args| {
            let x = one(args)?;
            if x < 0.0 {
                Err(domain())
            } else {
                real(x.sqrt())
            }
        }),
        ("sin", |_, args| real(one(args)?.sin())),
        ("cos", |_, args| real(one(args)?.cos())),
        ("tan", |_, args| real(one(args)?.tan())),
        ("atan", |_, args| real(one(args)?.atan())),
        ("atan2", |_, args| {
            let [y, x] = two(args)?;
            real(y.atan2(x))
        }),
        ("floor", |_, args| Ok(Value::Int(one(args)?.floor() as i64))),
        ("ceil", |_, args| Ok(Value::Int(one(args)?.ceil() as i64))),
        ("fabs", |_, args| real(one(args)?.abs())),
        ("pow", |_, args| {
            let [x, y] = two(args)?;
            real(x.powf(y))
        }),
        ("exp", |_, args| real(one(args)?.exp())),
        ("log", |_, args| {
            let given = args.between(1, 2)?;
            let x = float(&given[0])?;
            match given.get(1).map(float).transpose()? {
                _ if x <= 0.0 => Err(domain()),
                None => real(x.ln()),
                Some(base) => real(x.log(base)),
            }
        }),
        ("radians", |_, args| real(one(args)?.to_radians())),
        ("degrees", |_, args| real(one(args)?.to_degrees())),
    ],
    numbers: &[],
    values: &[
        ("pi", || Value::Float(std::f32::consts::PI)),
        ("e", || Value::Float(std::f32::consts::E)),
    ],
};

fn one(args: &Args) -> Result<f32> {
    float(&args.exactly(1)?[0])
}

fn two(args: &Args) -> Result<[f32; 2]> {
    let given = args.exactly(2)?;
    Ok([float(&given[0])?, float(&given[1])?])
}

fn real(value: f32) -> Result<Value> {
    Ok(Value::Float(value))
}

fn domain() -> Raise {
    Raise::new("ValueError", "math domain error")
}
