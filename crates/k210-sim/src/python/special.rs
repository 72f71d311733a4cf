// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scripts' classes say of their instances: the methods with two underscores, and `super()`.

use std::rc::Rc;

use super::ast::{Argument, Expr, ExprKind};
use super::interpreter::{Interpreter, Scope, is_exception};
use super::value::{Class, Value, string, tuple};
use super::{Args, Raise, Result, heap, methods, operators};

/// How deep containers are looked into, and at how many values: one may be in them more often than
/// there is time for.
const DEEPEST: usize = 20;
const MOST: u32 = 10_000;

/// Whether an instance is in what is to be written.
fn holds_instance(value: &Value) -> bool {
    fn look(value: &Value, depth: usize, left: &mut u32) -> bool {
        if depth > DEEPEST || *left == 0 {
            return false;
        }
        *left -= 1;
        match value {
            Value::Instance(_) => true,
            Value::Tuple(items) => items.iter().any(|item| look(item, depth + 1, left)),
            Value::List(items) | Value::Set(items) => {
                let items = items.borrow();
                items.iter().any(|item| look(item, depth + 1, left))
            }
            Value::Dict(pairs) => pairs
                .borrow()
                .iter()
                .any(|(key, value)| look(key, depth + 1, left) || look(value, depth + 1, left)),
            _ => false,
        }
    }
    look(value, 0, &mut MOST.clone())
}

impl Interpreter<'_> {
    /// Calls a method of an instance's class; `None` if it has none of that name.
    pub(crate) fn special(
        &mut self,
        object: &Value,
        name: &str,
        others: &[Value],
    ) -> Option<Result<Value>> {
        if !matches!(object, Value::Instance(_)) {
            return None;
        }
        let function = methods::class_attribute(object, name)?;
        let mut positional = vec![object.clone()];
        positional.extend_from_slice(others);
        Some(self.call(&function, Args::of(positional)))
    }

    /// `str(x)`, or `repr(x)` where it is `quoted`.
    pub(crate) fn text_of(&mut self, value: &Value, quoted: bool) -> Result<String> {
        self.text_within(value, quoted, 0)
    }

    fn text_within(&mut self, value: &Value, quoted: bool, depth: usize) -> Result<String> {
        if let Value::Uart = value {
            return Ok(super::modules::uart::text(self));
        }
        if depth > DEEPEST || !holds_instance(value) {
            return Ok(if quoted { value.repr() } else { value.str() });
        }
        let text = match value {
            Value::Tuple(items) => {
                let text = self.texts_of(items, depth)?.join(", ");
                let comma = if items.len() == 1 { "," } else { "" };
                format!("({text}{comma})")
            }
            Value::List(items) => {
                let items = items.borrow().clone();
                format!("[{}]", self.texts_of(&items, depth)?.join(", "))
            }
            Value::Dict(pairs) => {
                let mut texts = Vec::new();
                for (key, value) in pairs.borrow().clone() {
                    let key = self.text_within(&key, true, depth + 1)?;
                    texts.push(format!(
                        "{key}: {}",
                        self.text_within(&value, true, depth + 1)?
                    ));
                }
                format!("{{{}}}", texts.join(", "))
            }
            _ => {
                // `instance_print`: without the one there is the other.
                let own = match quoted {
                    true => None,
                    false => self.special(value, "__str__", &[]),
                };
                let own = match own {
                    Some(own) => Some(own),
                    None => self.special(value, "__repr__", &[]),
                };
                match own {
                    Some(text) => text?.str(),
                    None => value.repr(),
                }
            }
        };
        heap::reserve(text.len())?;
        Ok(text)
    }

    fn texts_of(&mut self, items: &[Value], depth: usize) -> Result<Vec<String>> {
        let text = |item| self.text_within(item, true, depth + 1);
        items.iter().map(text).collect()
    }

    /// The value with texts in place of the instances that are formatted.
    pub(crate) fn with_texts(&mut self, value: &Value) -> Result<Value> {
        match value {
            Value::Tuple(items) if holds_instance(value) => {
                let items = items.iter().map(|item| self.with_texts(item));
                Ok(tuple(items.collect::<Result<_>>()?))
            }
            Value::Instance(_) => self.text_of(value, false).map(string),
            _ => Ok(value.clone()),
        }
    }

    /// `left operator right`.
    pub(crate) fn binary(&mut self, operator: &str, left: &Value, right: &Value) -> Result<Value> {
        match (operator, left) {
            (_, Value::Instance(_)) => {
                if let Some(result) = self.special(
                    left,
                    operators::method(operator),
                    std::slice::from_ref(right),
                ) {
                    return result;
                }
                operators::binary(operator, left, right)
            }
            ("%", Value::Str(_)) => {
                let right = self.with_texts(right)?;
                operators::binary(operator, left, &right)
            }
            _ => operators::binary(operator, left, right),
        }
    }

    /// `left operator right`, of those that compare.
    pub(crate) fn compare(&mut self, operator: &str, left: &Value, right: &Value) -> Result<bool> {
        let (object, name, other, negated) = match operator {
            "==" => (left, "__eq__", right, false),
            "!=" => (left, "__eq__", right, true),
            "in" => (right, "__contains__", left, false),
            "not in" => (right, "__contains__", left, true),
            "<" | ">" | "<=" | ">=" => (left, operators::method(operator), right, false),
            _ => return operators::compare(operator, left, right),
        };
        match self.special(object, name, std::slice::from_ref(other)) {
            Some(result) => Ok(result?.is_true() != negated),
            None => operators::compare(operator, left, right),
        }
    }

    /// What `for` takes the items of: an instance's iterator, or the value itself.
    pub(crate) fn iterator(&mut self, iterable: &Value) -> Result<Value> {
        match self.special(iterable, "__iter__", &[]) {
            Some(iterator) => iterator,
            None => Ok(iterable.clone()),
        }
    }

    /// The next item of an instance that is an iterator; `None` after the last.
    pub(crate) fn next_of(&mut self, iterator: &Value) -> Option<Result<Option<Value>>> {
        let item = self.special(iterator, "__next__", &[])?;
        Some(match item {
            Ok(item) => Ok(Some(item)),
            Err(Raise::Exception(exception))
                if super::is_subclass(&exception.kind, &Value::Type("StopIteration")) =>
            {
                Ok(None)
            }
            Err(raise) => Err(raise),
        })
    }

    /// `super().name(...)`, if that is what is called.
    pub(super) fn call_super(
        &mut self,
        function: &Expr,
        arguments: &[Argument],
        scope: &Scope,
    ) -> Result<Option<Value>> {
        let ExprKind::Attribute(object, name) = &function.kind else {
            return Ok(None);
        };
        let ExprKind::Call(called, given) = &object.kind else {
            return Ok(None);
        };
        if !matches!(&called.kind, ExprKind::Name(name) if &**name == "super") {
            return Ok(None);
        }
        let Some((class, this)) = self.super_of(given, scope)? else {
            return Err(Raise::new("RuntimeError", "super() outside of a method"));
        };
        let mut args = self.arguments(arguments, scope)?;
        self.line = function.line;
        let lineage = this.class.lineage();
        let after = lineage
            .iter()
            .skip_while(|other| !Rc::ptr_eq(other, &class))
            .skip(1);
        let found = after
            .filter_map(|class| class.names.borrow().get(name).cloned())
            .next();
        let instance = Value::Instance(this.clone());
        match found {
            Some(found) => {
                args.positional.insert(0, instance);
                self.call(&found, args).map(Some)
            }
            None if &**name == "__init__" => {
                if is_exception(&class) {
                    let given = tuple(args.positional);
                    this.names.borrow_mut().insert("args".into(), given);
                }
                Ok(Some(Value::None))
            }
            None => Err(Raise::new(
                "AttributeError",
                format!("'super' object has no attribute '{name}'"),
            )),
        }
    }

    /// The class whose method runs, and the instance that it is called for.
    fn super_of(
        &mut self,
        given: &[Argument],
        scope: &Scope,
    ) -> Result<Option<(Rc<Class>, Rc<super::value::Instance>)>> {
        let given = self.arguments(given, scope)?;
        if let [Value::Class(class), Value::Instance(this)] = &given.positional[..] {
            return Ok(Some((class.clone(), this.clone())));
        }
        let (Some(code), Some(locals)) = (&scope.function, &scope.locals) else {
            return Ok(None);
        };
        let first = code.parameters.first();
        let this = first.and_then(|(name, _)| locals.borrow().get(name).cloned());
        let Some(Value::Instance(this)) = this else {
            return Ok(None);
        };
        let has_code = |class: &Rc<Class>| {
            let names = class.names.borrow();
            names.values().any(
                |value| matches!(value, Value::Function(method) if Rc::ptr_eq(&method.code, code)),
            )
        };
        let class = this.class.lineage().into_iter().find(has_code);
        Ok(class.map(|class| (class, this)))
    }
}
