// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `uhashlib` (`moduhashlib_maixpy.c`).

use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::Module;
use crate::python::interpreter::Interpreter;
use crate::python::native::Method;
use crate::python::value::{Value, buffer};
use crate::python::{Args, Result};

pub(crate) static MODULE: Module = Module {
    name: "uhashlib",
    functions: &[],
    numbers: &[],
    values: &[("sha256", || Value::Type("sha256"))],
};

/// `sha256(data)`.
pub(crate) fn construct(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let mut hash = Sha256::new();
    if let Some(data) = args.between(0, 1)?.first() {
        hash.update(buffer(data)?);
    }
    Ok(Value::Hash(Rc::new(RefCell::new(hash))))
}

/// Its methods.
pub(crate) static HASH_METHODS: &[Method<Rc<RefCell<Sha256>>>] = &[
    ("update", |_, this, args| {
        this.borrow_mut().update(buffer(&args.exactly(1)?[0])?);
        Ok(Value::None)
    }),
    ("digest", |_, this, args| {
        args.exactly(0)?;
        let digest = this.borrow().clone().finalize();
        Ok(Value::Bytes(digest.to_vec().into()))
    }),
    ("calculate_hard", |_, _, args| {
        let digest = Sha256::digest(buffer(&args.exactly(1)?[0])?);
        Ok(Value::Bytes(digest.to_vec().into()))
    }),
];
