// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs what the parser made.

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Argument, Expr, ExprKind, Function, Handler, Loop, Stmt, StmtKind};
use super::heap::Store;
use super::value::{
    Class, Closure, Exception, Instance, Namespace, Value, dict, is_subclass, list, look,
    namespace, range_item, range_len, string, tuple,
};
use super::{
    Args, Raise, Result, builtins, bytes, heap, int, methods, modules, operators, parser, sets,
};
use crate::firmware::Cpu;

/// Calls inside calls before the stack is full.
const DEPTH: usize = 60;

/// Expressions inside expressions before the stack is full.
const NESTING: usize = 1200;

fn too_deep() -> Raise {
    Raise::new("RuntimeError", "maximum recursion depth exceeded")
}

/// How a text is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A line of the prompt: the value of an expression is printed.
    Prompt,
    /// A script.
    Script,
}

/// Where statements run.
#[derive(Clone)]
pub(super) struct Scope {
    globals: Namespace,
    /// A function's or class body's own names.
    pub locals: Option<Namespace>,
    /// The function, whose names that it binds are its own.
    pub function: Option<Rc<Function>>,
    outer: Vec<Namespace>,
}

/// What a statement leads to.
enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

/// The interpreter, at work on one text.
pub(crate) struct Interpreter<'a> {
    /// The processor that it runs on.
    pub cpu: &'a mut Cpu,
    /// The names of the text.
    pub globals: Namespace,
    pub(super) line: u32,
    depth: usize,
    /// Expressions inside expressions, calls included.
    nesting: usize,
    prompt: bool,
    /// Exceptions being handled, for `raise` alone.
    handling: Vec<Rc<Exception>>,
}

/// An empty namespace named `__main__`.
pub(crate) fn main_namespace() -> Namespace {
    let names = HashMap::from([("__name__".into(), string("__main__"))]);
    Store::new(names)
}

impl<'a> Interpreter<'a> {
    /// Runs `source` in `globals`.
    pub(crate) fn run(
        cpu: &'a mut Cpu,
        source: &str,
        globals: &Namespace,
        mode: Mode,
    ) -> Result<()> {
        let mut interpreter = Interpreter {
            cpu,
            globals: globals.clone(),
            line: 1,
            depth: 0,
            nesting: 0,
            prompt: mode == Mode::Prompt,
            handling: Vec::new(),
        };
        let body = parse(source)?;
        if let Some((line, message)) = super::ast::misplaced(&body, false) {
            let raise = Raise::new("SyntaxError", message);
            interpreter.line = line;
            return Err(interpreter.trace(raise, "<module>"));
        }
        let scope = Scope {
            globals: globals.clone(),
            locals: None,
            function: None,
            outer: Vec::new(),
        };
        match interpreter.block(&body, &scope) {
            Ok(Flow::Next | Flow::Return(_)) => Ok(()),
            Ok(Flow::Break | Flow::Continue) => Ok(()),
            Err(raise) => Err(interpreter.trace(raise, "<module>")),
        }
    }

    /// `exec`, in the names of the text.
    pub(crate) fn execute(&mut self, source: &str) -> Result<Value> {
        let body = parse(source)?;
        if let Some((line, message)) = super::ast::misplaced(&body, false) {
            self.line = line;
            return Err(Raise::new("SyntaxError", message));
        }
        self.within(|interpreter, scope| {
            interpreter.block(&body, scope)?;
            Ok(Value::None)
        })
    }

    /// `eval`.
    pub(crate) fn evaluate(&mut self, source: &str) -> Result<Value> {
        let body = parse(source.trim_start_matches([' ', '\t']))?;
        let [
            Stmt {
                kind: StmtKind::Expr(expression),
                ..
            },
        ] = &body[..]
        else {
            return Err(Raise::new("SyntaxError", "invalid syntax"));
        };
        self.within(|interpreter, scope| interpreter.eval(expression, scope))
    }

    /// Runs something in the names of the text, as a call inside of what runs.
    fn within(&mut self, run: impl FnOnce(&mut Self, &Scope) -> Result<Value>) -> Result<Value> {
        if self.depth >= DEPTH {
            return Err(too_deep());
        }
        let scope = Scope {
            globals: self.globals.clone(),
            locals: None,
            function: None,
            outer: Vec::new(),
        };
        let line = self.line;
        // What it shows is not the prompt's.
        let prompt = std::mem::replace(&mut self.prompt, false);
        self.depth += 1;
        let result = run(self, &scope);
        self.depth -= 1;
        self.prompt = prompt;
        self.line = line;
        result
    }

    /// Lets the time of a statement pass.
    fn tick(&mut self) -> Result<()> {
        heap::check()?;
        self.cpu.tick()
    }

    fn trace(&self, raise: Raise, block: &str) -> Raise {
        if let Raise::Exception(exception) = &raise {
            exception.came_through(self.line, block);
        }
        raise
    }

    fn block(&mut self, body: &[Stmt], scope: &Scope) -> Result<Flow> {
        for statement in body {
            match self.statement(statement, scope)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Stmt, scope: &Scope) -> Result<Flow> {
        self.line = statement.line;
        self.tick()?;
        match &statement.kind {
            StmtKind::Expr(expression) => self.show(expression, scope)?,
            StmtKind::Assign(targets, value) => {
                let value = self.eval(value, scope)?;
                for target in targets {
                    self.assign(target, value.clone(), scope)?;
                }
            }
            StmtKind::Augment(operator, target, value) => {
                self.augment(operator, target, value, scope)?;
            }
            StmtKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.eval(condition, scope)?.is_true() {
                        return self.block(body, scope);
                    }
                }
                return self.block(otherwise, scope);
            }
            StmtKind::While(condition, body, otherwise) => {
                return self.while_loop(condition, body, otherwise, scope);
            }
            StmtKind::For(target, iterable, body, otherwise) => {
                let iterable = self.eval(iterable, scope)?;
                return self.for_loop(target, &iterable, body, otherwise, scope);
            }
            StmtKind::Def(function) => {
                let value = self.closure(function, scope)?;
                self.store(&function.name, value, scope);
            }
            StmtKind::Class(name, bases, body) => self.class(name, bases, body, scope)?,
            StmtKind::Return(value) => {
                return Ok(Flow::Return(match value {
                    Some(value) => self.eval(value, scope)?,
                    None => Value::None,
                }));
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::Pass | StmtKind::Global(_) => {}
            StmtKind::Import(module, name) => {
                let module = Value::Module(modules::import(module)?);
                self.store(name, module, scope);
            }
            StmtKind::FromImport(module, names) => self.import_from(module, names, scope)?,
            StmtKind::Try {
                body,
                handlers,
                otherwise,
                finally,
            } => return self.try_statement(body, handlers, otherwise, finally, scope),
            StmtKind::With(context, target, body) => {
                return self.with_statement(context, target.as_ref(), body, scope);
            }
            StmtKind::Raise(value) => return Err(self.raise(value.as_ref(), scope)?),
            StmtKind::Assert(condition, message) => {
                if !self.eval(condition, scope)?.is_true() {
                    let args = message.iter().map(|message| self.eval(message, scope));
                    let args = args.collect::<Result<Vec<_>>>()?;
                    return Err(Raise::with("AssertionError", args));
                }
            }
            StmtKind::Delete(targets) => {
                for target in targets {
                    self.delete(target, scope)?;
                }
            }
        }
        Ok(Flow::Next)
    }

    /// An expression as a statement: the prompt prints its value.
    fn show(&mut self, expression: &Expr, scope: &Scope) -> Result<()> {
        let value = self.eval(expression, scope)?;
        let shown = self.prompt && scope.locals.is_none();
        if shown && !matches!(value, Value::None) {
            let text = self.text_of(&value, true)? + "\n";
            self.cpu.print(&text)?;
        }
        Ok(())
    }

    fn augment(
        &mut self,
        operator: &'static str,
        target: &Expr,
        value: &Expr,
        scope: &Scope,
    ) -> Result<()> {
        let before = self.eval(target, scope)?;
        let value = self.eval(value, scope)?;
        // A list grows where it is.
        if let ("+", Value::List(items)) = (operator, &before) {
            let more = self.iterate(&value)?;
            heap::reserve_slots(more.len())?;
            items.borrow_mut().extend(more);
            return Ok(());
        }
        if let ("+", Value::Bytearray(data)) = (operator, &before) {
            return bytes::extend(data, &value);
        }
        let after = self.binary(operator, &before, &value)?;
        self.assign(target, after, scope)
    }

    fn while_loop(
        &mut self,
        condition: &Expr,
        body: &[Stmt],
        otherwise: &[Stmt],
        scope: &Scope,
    ) -> Result<Flow> {
        let line = self.line;
        while self.eval(condition, scope)?.is_true() {
            // A loop of nothing but its condition can be interrupted too.
            self.tick()?;
            match self.block(body, scope)? {
                Flow::Break => return Ok(Flow::Next),
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next | Flow::Continue => {}
            }
            self.line = line;
        }
        self.block(otherwise, scope)
    }

    fn class(
        &mut self,
        name: &Rc<str>,
        bases: &[Expr],
        body: &[Stmt],
        scope: &Scope,
    ) -> Result<()> {
        let bases = self.eval_all(bases, scope)?;
        let names = namespace();
        let mut outer = scope.outer.clone();
        outer.extend(scope.locals.clone());
        let inner = Scope {
            globals: scope.globals.clone(),
            locals: Some(names.clone()),
            function: None,
            outer,
        };
        self.block(body, &inner)?;
        let class = Class {
            name: name.clone(),
            bases,
            names,
        };
        self.store(name, Value::Class(Rc::new(class)), scope);
        Ok(())
    }

    fn import_from(
        &mut self,
        module: &str,
        names: &[(Rc<str>, Rc<str>)],
        scope: &Scope,
    ) -> Result<()> {
        let module = modules::import(module)?;
        for (name, bound) in names {
            if &**name == "*" {
                // `mp_import_all`
                for name in module.names().filter(|name| !name.starts_with('_')) {
                    if let Some(value) = module.attribute(name) {
                        self.store(&name.into(), value, scope);
                    }
                }
                continue;
            }
            let value = module
                .attribute(name)
                .ok_or_else(|| Raise::new("ImportError", format!("cannot import name {name}")))?;
            self.store(bound, value, scope);
        }
        Ok(())
    }

    fn with_statement(
        &mut self,
        context: &Expr,
        target: Option<&Expr>,
        body: &[Stmt],
        scope: &Scope,
    ) -> Result<Flow> {
        let context = self.eval(context, scope)?;
        let entered = self.method(&context, "__enter__", Args::default())?;
        if let Some(target) = target {
            self.assign(target, entered, scope)?;
        }
        let result = self.block(body, scope);
        if matches!(result, Err(Raise::Halt)) {
            return result;
        }
        let line = self.line;
        let mut of_exception = vec![Value::None; 3];
        if let Err(Raise::Exception(exception)) = &result {
            of_exception[0] = exception.kind.clone();
            of_exception[1] = Value::Exception(exception.clone());
        }
        let handled = self.method(&context, "__exit__", Args::of(of_exception))?;
        self.line = line;
        match result {
            Err(_) if handled.is_true() => Ok(Flow::Next),
            result => result,
        }
    }

    fn for_loop(
        &mut self,
        target: &Expr,
        iterable: &Value,
        body: &[Stmt],
        otherwise: &[Stmt],
        scope: &Scope,
    ) -> Result<Flow> {
        let line = self.line;
        let iterable = &self.iterator(iterable)?;
        let mut index = 0;
        while let Some(item) = self.item(iterable, index)? {
            index += 1;
            self.tick()?;
            self.assign(target, item, scope)?;
            match self.block(body, scope)? {
                Flow::Break => return Ok(Flow::Next),
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next | Flow::Continue => {}
            }
            self.line = line;
        }
        self.block(otherwise, scope)
    }

    fn try_statement(
        &mut self,
        body: &[Stmt],
        handlers: &[Handler],
        otherwise: &[Stmt],
        finally: &[Stmt],
        scope: &Scope,
    ) -> Result<Flow> {
        let mut result = match self.block(body, scope) {
            Ok(Flow::Next) => self.block(otherwise, scope),
            Err(Raise::Exception(exception)) => self.handle(exception, handlers, scope),
            other => other,
        };
        if matches!(result, Err(Raise::Halt)) {
            return result;
        }
        let line = self.line;
        match self.block(finally, scope)? {
            Flow::Next => self.line = line,
            flow => result = Ok(flow),
        }
        result
    }

    fn handle(
        &mut self,
        exception: Rc<Exception>,
        handlers: &[Handler],
        scope: &Scope,
    ) -> Result<Flow> {
        let raised = self.line;
        for handler in handlers {
            let matches = match &handler.exception {
                None => true,
                Some(wanted) => match self.eval(wanted, scope)? {
                    Value::Tuple(kinds) => {
                        kinds.iter().any(|kind| is_subclass(&exception.kind, kind))
                    }
                    kind => is_subclass(&exception.kind, &kind),
                },
            };
            if !matches {
                continue;
            }
            if let Some(name) = &handler.name {
                self.store(name, Value::Exception(exception.clone()), scope);
            }
            self.handling.push(exception);
            let result = self.block(&handler.body, scope);
            self.handling.pop();
            return result;
        }
        self.line = raised;
        Err(Raise::Exception(exception))
    }

    fn raise(&mut self, value: Option<&Expr>, scope: &Scope) -> Result<Raise> {
        let Some(value) = value else {
            return Ok(match self.handling.last() {
                Some(exception) => Raise::Exception(exception.clone()),
                None => Raise::new("RuntimeError", "no active exception to reraise"),
            });
        };
        let mut value = self.eval(value, scope)?;
        if matches!(value, Value::Type(_) | Value::Class(_)) {
            value = self.call(&value, Args::default())?;
        }
        Ok(match value {
            Value::Exception(exception) => Raise::Exception(exception),
            Value::Instance(instance) if is_exception(&instance.class) => {
                let args = instance.names.borrow().get("args").and_then(Value::items);
                let kind = Value::Class(instance.class.clone());
                let exception = Exception::new(kind, args.unwrap_or_default());
                Raise::Exception(Rc::new(exception))
            }
            _ => Raise::new("TypeError", "exceptions must derive from BaseException"),
        })
    }

    fn closure(&mut self, function: &Rc<Function>, scope: &Scope) -> Result<Value> {
        let defaults = function
            .parameters
            .iter()
            .map(|(_, default)| {
                default
                    .as_ref()
                    .map(|value| self.eval(value, scope))
                    .transpose()
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outer = scope.outer.clone();
        // A class body's names are not its functions'.
        if scope.function.is_some() {
            outer.extend(scope.locals.clone());
        }
        Ok(Value::Function(Rc::new(Closure {
            code: function.clone(),
            defaults,
            globals: scope.globals.clone(),
            outer,
        })))
    }

    fn load(&self, name: &Rc<str>, scope: &Scope) -> Result<Value> {
        if let Some(locals) = &scope.locals {
            if let Some(value) = locals.borrow().get(name) {
                return Ok(value.clone());
            }
            let own = scope
                .function
                .as_ref()
                .is_some_and(|function| function.locals.contains(name));
            if own {
                return Err(Raise::new(
                    "NameError",
                    "local variable referenced before assignment",
                ));
            }
        }
        for names in scope.outer.iter().rev() {
            if let Some(value) = names.borrow().get(name) {
                return Ok(value.clone());
            }
        }
        if let Some(value) = scope.globals.borrow().get(name) {
            return Ok(value.clone());
        }
        builtins::lookup(name)
            .ok_or_else(|| Raise::new("NameError", format!("name '{name}' isn't defined")))
    }

    fn store(&self, name: &Rc<str>, value: Value, scope: &Scope) {
        let namespace = match (&scope.locals, &scope.function) {
            (Some(locals), None) => locals,
            (Some(locals), Some(function)) if function.locals.contains(name) => locals,
            _ => scope
                .outer
                .iter()
                .rev()
                .find(|names| names.borrow().contains_key(name))
                .unwrap_or(&scope.globals),
        };
        namespace.borrow_mut().insert(name.clone(), value);
    }

    fn assign(&mut self, target: &Expr, value: Value, scope: &Scope) -> Result<()> {
        match &target.kind {
            ExprKind::Name(name) => self.store(name, value, scope),
            ExprKind::Tuple(targets) | ExprKind::List(targets) => {
                let values = self.iterate(&value)?;
                if values.len() < targets.len() {
                    return Err(Raise::new(
                        "ValueError",
                        format!("need more than {} values to unpack", values.len()),
                    ));
                }
                if values.len() > targets.len() {
                    return Err(Raise::new(
                        "ValueError",
                        format!("too many values to unpack (expected {})", targets.len()),
                    ));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
            ExprKind::Attribute(object, name) => {
                let object = self.eval(object, scope)?;
                let names = match &object {
                    Value::Instance(instance) => &instance.names,
                    Value::Class(class) => &class.names,
                    _ => return Err(methods::no_attribute(&object, name)),
                };
                names.borrow_mut().insert(name.clone(), value);
            }
            ExprKind::Index(object, index) => {
                let object = self.eval(object, scope)?;
                if let ExprKind::Slice(parts) = &index.kind {
                    if matches!(object, Value::Bytearray(_) | Value::View(_)) {
                        let bounds = self.bounds(parts, scope)?;
                        return bytes::replace(&object, bounds, &value);
                    }
                    let values = self.iterate(&value)?;
                    return self.replace_slice(&object, parts, values, scope);
                }
                let index = self.eval(index, scope)?;
                let given = [index.clone(), value.clone()];
                if let Some(done) = self.special(&object, "__setitem__", &given) {
                    return done.map(drop);
                }
                match &object {
                    Value::List(items) => {
                        let mut items = items.borrow_mut();
                        let at = operators::position(int(&index)?, items.len(), "list")?;
                        items[at] = value;
                    }
                    Value::Dict(pairs) => methods::insert(pairs, index, value)?,
                    Value::Bytearray(_) | Value::View(_) => bytes::set(&object, &index, &value)?,
                    _ => {
                        return Err(Raise::new(
                            "TypeError",
                            format!(
                                "'{}' object does not support item assignment",
                                object.type_name()
                            ),
                        ));
                    }
                }
            }
            _ => return Err(Raise::new("SyntaxError", "can't assign to expression")),
        }
        Ok(())
    }

    fn delete(&mut self, target: &Expr, scope: &Scope) -> Result<()> {
        match &target.kind {
            ExprKind::Name(name) => {
                self.load(name, scope)?;
                let locals = scope.locals.as_ref();
                let removed = locals.and_then(|names| names.borrow_mut().remove(name));
                if removed.is_none() && scope.globals.borrow_mut().remove(name).is_none() {
                    return Err(Raise::with("KeyError", vec![string(name)]));
                }
            }
            ExprKind::Attribute(object, name) => {
                let object = self.eval(object, scope)?;
                let removed = match &object {
                    Value::Instance(instance) => instance.names.borrow_mut().remove(name),
                    _ => None,
                };
                if removed.is_none() {
                    return Err(methods::no_attribute(&object, name));
                }
            }
            ExprKind::Index(object, index) => {
                let object = self.eval(object, scope)?;
                if let ExprKind::Slice(parts) = &index.kind {
                    return self.replace_slice(&object, parts, Vec::new(), scope);
                }
                let index = self.eval(index, scope)?;
                let given = std::slice::from_ref(&index);
                if let Some(done) = self.special(&object, "__delitem__", given) {
                    return done.map(drop);
                }
                match &object {
                    Value::List(items) => {
                        let mut items = items.borrow_mut();
                        let at = operators::position(int(&index)?, items.len(), "list")?;
                        items.remove(at);
                    }
                    Value::Dict(pairs) => {
                        let mut pairs = pairs.borrow_mut();
                        let at = pairs.iter().position(|(key, _)| key.equals(&index));
                        let at = at.ok_or_else(|| Raise::with("KeyError", vec![index.clone()]))?;
                        pairs.remove(at);
                    }
                    _ => {
                        return Err(Raise::new(
                            "TypeError",
                            format!(
                                "'{}' object does not support item deletion",
                                object.type_name()
                            ),
                        ));
                    }
                }
            }
            _ => return Err(Raise::new("SyntaxError", "can't delete expression")),
        }
        Ok(())
    }

    /// The value of an expression.
    fn eval(&mut self, expression: &Expr, scope: &Scope) -> Result<Value> {
        // `mp_stack_check`
        if self.nesting >= NESTING {
            return Err(too_deep());
        }
        self.nesting += 1;
        let result = self.eval_nested(expression, scope);
        self.nesting -= 1;
        result
    }

    fn eval_nested(&mut self, expression: &Expr, scope: &Scope) -> Result<Value> {
        match &expression.kind {
            ExprKind::None => Ok(Value::None),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Int(value) => Ok(Value::Int(*value)),
            ExprKind::Float(value) => Ok(Value::Float(*value)),
            ExprKind::Str(text) => Ok(Value::Str(text.clone())),
            ExprKind::Bytes(data) => Ok(Value::Bytes(data.clone())),
            ExprKind::Name(name) => self.load(name, scope),
            ExprKind::Tuple(items) => self.eval_all(items, scope).map(tuple),
            ExprKind::List(items) => self.eval_all(items, scope).map(list),
            ExprKind::Set(items) => sets::of(self.eval_all(items, scope)?),
            ExprKind::Dict(pairs) => self.dict(pairs, scope),
            ExprKind::ListComp(element, loops) => {
                let mut items = Vec::new();
                // The loop's names are its own; what it assigns shadows the outer ones.
                self.comprehend(element, loops, scope, &mut items)?;
                Ok(list(items))
            }
            ExprKind::Unary(operator, operand) => {
                let operand = self.eval(operand, scope)?;
                operators::unary(operator, &operand)
            }
            ExprKind::Binary(operator, left, right) => {
                let left = self.eval(left, scope)?;
                let right = self.eval(right, scope)?;
                self.line = expression.line;
                self.binary(operator, &left, &right)
            }
            ExprKind::Compare(first, rest) => self.comparison(first, rest, scope),
            ExprKind::And(left, right) => match self.eval(left, scope)? {
                left if left.is_true() => self.eval(right, scope),
                left => Ok(left),
            },
            ExprKind::Or(left, right) => match self.eval(left, scope)? {
                left if left.is_true() => Ok(left),
                _ => self.eval(right, scope),
            },
            ExprKind::If(condition, then, otherwise) => {
                let holds = self.eval(condition, scope)?.is_true();
                self.eval(if holds { then } else { otherwise }, scope)
            }
            ExprKind::Call(function, arguments) => {
                if let Some(value) = self.call_super(function, arguments, scope)? {
                    return Ok(value);
                }
                let function = self.eval(function, scope)?;
                let args = self.arguments(arguments, scope)?;
                self.line = expression.line;
                self.call(&function, args)
            }
            ExprKind::Attribute(object, name) => {
                let object = self.eval(object, scope)?;
                methods::attribute(&object, name)
                    .ok_or_else(|| methods::no_attribute(&object, name))
            }
            ExprKind::Index(object, index) => self.index(object, index, scope),
            ExprKind::Slice(_) => Err(Raise::new("SyntaxError", "invalid syntax")),
            ExprKind::Lambda(function) => self.closure(function, scope),
        }
    }

    fn dict(&mut self, pairs: &[(Expr, Expr)], scope: &Scope) -> Result<Value> {
        let dict = Store::new(Vec::new());
        for (key, value) in pairs {
            let key = self.eval(key, scope)?;
            let value = self.eval(value, scope)?;
            methods::insert(&dict, key, value)?;
        }
        Ok(Value::Dict(dict))
    }

    fn comparison(
        &mut self,
        first: &Expr,
        rest: &[(&'static str, Expr)],
        scope: &Scope,
    ) -> Result<Value> {
        let mut left = self.eval(first, scope)?;
        for (operator, right) in rest {
            let right = self.eval(right, scope)?;
            if !self.compare(operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn index(&mut self, object: &Expr, index: &Expr, scope: &Scope) -> Result<Value> {
        let object = self.eval(object, scope)?;
        let ExprKind::Slice(parts) = &index.kind else {
            let index = self.eval(index, scope)?;
            return match self.special(&object, "__getitem__", std::slice::from_ref(&index)) {
                Some(item) => item,
                None => methods::index(&object, &index),
            };
        };
        let bounds = self.bounds(parts, scope)?;
        methods::slice(&object, bounds)
    }

    /// Start, stop and step of a slice.
    fn bounds(
        &mut self,
        parts: &[Option<Box<Expr>>; 3],
        scope: &Scope,
    ) -> Result<[Option<i64>; 3]> {
        let mut bounds = [None; 3];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            if let Some(part) = part {
                *bound = match self.eval(part, scope)? {
                    Value::None => None,
                    value => Some(int(&value)?),
                };
            }
        }
        Ok(bounds)
    }

    /// Puts `values` in place of a slice of a list (`list_subscr`).
    fn replace_slice(
        &mut self,
        object: &Value,
        parts: &[Option<Box<Expr>>; 3],
        values: Vec<Value>,
        scope: &Scope,
    ) -> Result<()> {
        let bounds = self.bounds(parts, scope)?;
        let Value::List(items) = object else {
            let message = format!(
                "'{}' object does not support item assignment",
                object.type_name()
            );
            return Err(Raise::new("TypeError", message));
        };
        let Some(span) = operators::span(bounds, items.borrow().len()) else {
            // The firmware says no more.
            return Err(Raise::with("NotImplementedError", Vec::new()));
        };
        heap::reserve_slots(values.len())?;
        let mut items = items.borrow_mut();
        let removed: Vec<Value> = items.splice(span, values).collect();
        drop(items);
        heap::bury(removed);
        Ok(())
    }

    fn eval_all(&mut self, items: &[Expr], scope: &Scope) -> Result<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    fn comprehend(
        &mut self,
        element: &Expr,
        loops: &[Loop],
        scope: &Scope,
        items: &mut Vec<Value>,
    ) -> Result<()> {
        let Some((first, rest)) = loops.split_first() else {
            heap::reserve_slots(items.len())?;
            items.push(self.eval(element, scope)?);
            return Ok(());
        };
        let iterable = self.eval(&first.iterable, scope)?;
        let iterable = self.iterator(&iterable)?;
        let mut outer = scope.outer.clone();
        outer.extend(scope.locals.clone());
        let inner = Scope {
            globals: scope.globals.clone(),
            locals: Some(namespace()),
            function: None,
            outer,
        };
        let mut index = 0;
        while let Some(item) = self.item(&iterable, index)? {
            index += 1;
            self.tick()?;
            self.assign(&first.target, item, &inner)?;
            let mut wanted = true;
            for condition in &first.conditions {
                wanted = wanted && self.eval(condition, &inner)?.is_true();
            }
            if wanted {
                self.comprehend(element, rest, &inner, items)?;
            }
        }
        Ok(())
    }

    pub(super) fn arguments(&mut self, arguments: &[Argument], scope: &Scope) -> Result<Args> {
        let mut args = Args::default();
        for argument in arguments {
            match argument {
                Argument::Positional(value) => args.positional.push(self.eval(value, scope)?),
                Argument::Keyword(name, value) => {
                    args.keywords.push((name.clone(), self.eval(value, scope)?));
                }
                Argument::Star(values) => {
                    let values = self.eval(values, scope)?;
                    args.positional.extend(self.iterate(&values)?);
                }
                Argument::DoubleStar(pairs) => {
                    if let Value::Dict(pairs) = self.eval(pairs, scope)? {
                        for (key, value) in pairs.borrow().iter() {
                            args.keywords
                                .push(((*super::text(key)?).into(), value.clone()));
                        }
                    }
                }
            }
        }
        Ok(args)
    }

    /// The item at `index` of something that `for` takes.
    fn item(&mut self, iterable: &Value, index: usize) -> Result<Option<Value>> {
        Ok(match iterable {
            Value::Range(start, stop, step) => ((index as i64) < range_len(*start, *stop, *step))
                .then(|| range_item(*start, *step, index as i64)),
            Value::Tuple(items) | Value::Fields(_, items) => items.get(index).cloned(),
            Value::Bytearray(data) => {
                let byte = data.borrow().get(index).copied();
                byte.map(|byte| Value::Int(byte.into()))
            }
            Value::View(_) => {
                let byte = look(iterable, |data| data.get(index).copied())?;
                byte.map(|byte| Value::Int(byte.into()))
            }
            Value::List(items) | Value::Set(items) => items.borrow().get(index).cloned(),
            Value::Dict(pairs) => pairs.borrow().get(index).map(|(key, _)| key.clone()),
            Value::Bytes(data) => data.get(index).map(|&byte| Value::Int(byte.into())),
            Value::Str(text) => text
                .chars()
                .nth(index)
                .map(|character| string(character.to_string())),
            Value::File(_) | Value::Terminal(_) | Value::Uart => {
                // `mp_stream_unbuffered_iter`
                let line = self.method(iterable, "readline", Args::default())?;
                line.is_true().then_some(line)
            }
            _ => {
                if let Some(item) = self.next_of(iterable) {
                    return item;
                }
                return Err(Raise::new(
                    "TypeError",
                    format!("'{}' object isn't iterable", iterable.type_name()),
                ));
            }
        })
    }

    /// All items of something that `for` takes.
    pub(crate) fn iterate(&mut self, iterable: &Value) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let iterable = &self.iterator(iterable)?;
        while let Some(item) = self.item(iterable, items.len())? {
            heap::reserve_slots(items.len())?;
            items.push(item);
        }
        Ok(items)
    }

    /// Calls a method by name.
    fn method(&mut self, object: &Value, name: &str, args: Args) -> Result<Value> {
        let method =
            methods::attribute(object, name).ok_or_else(|| methods::no_attribute(object, name))?;
        self.call(&method, args)
    }

    /// Calls anything that can be called.
    pub(crate) fn call(&mut self, function: &Value, args: Args) -> Result<Value> {
        match function {
            Value::Function(closure) => self.call_function(closure, args),
            Value::Native((_, call)) => call(self, &args),
            Value::Method(bound) => match &bound.0 {
                Value::Instance(_) => {
                    let function = methods::class_attribute(&bound.0, &bound.1);
                    let function =
                        function.ok_or_else(|| methods::no_attribute(&bound.0, &bound.1))?;
                    let mut args = args;
                    args.positional.insert(0, bound.0.clone());
                    self.call(&function, args)
                }
                object => methods::call(self, object, &bound.1, &args),
            },
            Value::Bound(_) => {
                // Not a call inside a call for each: they may be bound again and again.
                let mut function = function.clone();
                let mut firsts = Vec::new();
                while let Value::Bound(parts) = &function
                    && let [inner, first] = &parts[..]
                {
                    firsts.push(first.clone());
                    function = inner.clone();
                }
                let mut args = args;
                args.positional.splice(0..0, firsts.into_iter().rev());
                match function {
                    Value::Bound(_) => Err(not_callable(&function)),
                    function => self.call(&function, args),
                }
            }
            Value::Type(name) => builtins::construct(self, name, &args),
            Value::Class(class) => {
                let names = namespace();
                if is_exception(class) {
                    let given = tuple(args.positional.clone());
                    names.borrow_mut().insert("args".into(), given);
                }
                let instance = Value::Instance(Rc::new(Instance {
                    class: class.clone(),
                    names,
                }));
                if methods::class_attribute(&instance, "__init__").is_some() {
                    self.method(&instance, "__init__", args)?;
                } else if !args.positional.is_empty() && !is_exception(class) {
                    args.exactly(0)?;
                }
                Ok(instance)
            }
            Value::Instance(_) => match methods::class_attribute(function, "__call__") {
                Some(call) => {
                    let mut args = args;
                    args.positional.insert(0, function.clone());
                    self.call(&call, args)
                }
                None => Err(not_callable(function)),
            },
            _ => Err(not_callable(function)),
        }
    }

    fn call_function(&mut self, closure: &Rc<Closure>, args: Args) -> Result<Value> {
        if self.depth >= DEPTH {
            return Err(too_deep());
        }
        let locals = bind(closure, args)?;
        let scope = Scope {
            globals: closure.globals.clone(),
            locals: Some(Store::new(locals)),
            function: Some(closure.code.clone()),
            outer: closure.outer.clone(),
        };
        let line = self.line;
        self.depth += 1;
        let result = self.block(&closure.code.body, &scope);
        self.depth -= 1;
        match result {
            Ok(flow) => {
                self.line = line;
                Ok(match flow {
                    Flow::Return(value) => value,
                    _ => Value::None,
                })
            }
            Err(raise) => {
                let raise = self.trace(raise, &closure.code.name);
                self.line = line;
                Err(raise)
            }
        }
    }
}

fn parse(source: &str) -> Result<Vec<Stmt>> {
    parser::parse(source).map_err(|error| {
        let raise = Raise::new("SyntaxError", error.message);
        if let Raise::Exception(exception) = &raise {
            exception.came_through(error.line, "");
        }
        raise
    })
}

fn not_callable(value: &Value) -> Raise {
    Raise::new(
        "TypeError",
        format!("'{}' object isn't callable", value.type_name()),
    )
}

/// The names that a call binds (`mp_setup_code_state`).
fn bind(closure: &Closure, args: Args) -> Result<HashMap<Rc<str>, Value>> {
    let code = &closure.code;
    let mut locals = HashMap::new();
    let given = args.positional.len();
    let wanted = code.positional;
    let mut positional = args.positional;
    let rest = positional.split_off(given.min(wanted));
    for ((name, _), value) in code.parameters.iter().zip(positional) {
        locals.insert(name.clone(), value);
    }
    match &code.star {
        Some(star) => drop(locals.insert(star.clone(), tuple(rest))),
        None if rest.is_empty() => {}
        None => {
            return Err(Raise::new(
                "TypeError",
                format!("function takes {wanted} positional arguments but {given} were given"),
            ));
        }
    }
    let mut others = Vec::new();
    for (name, value) in args.keywords {
        if code
            .parameters
            .iter()
            .any(|(parameter, _)| *parameter == name)
        {
            if locals.insert(name.clone(), value).is_some() {
                return Err(Raise::new(
                    "TypeError",
                    format!("function got multiple values for argument '{name}'"),
                ));
            }
        } else if code.double_star.is_some() {
            others.push((string(name), value));
        } else {
            return Err(Raise::new(
                "TypeError",
                format!("unexpected keyword argument '{name}'"),
            ));
        }
    }
    if let Some(name) = &code.double_star {
        locals.insert(name.clone(), dict(others));
    }
    for ((index, (name, _)), default) in code.parameters.iter().enumerate().zip(&closure.defaults) {
        if locals.contains_key(name) {
            continue;
        }
        let value = default.clone().ok_or_else(|| {
            let message = match index >= wanted {
                true => format!("function missing required keyword argument '{name}'"),
                false => format!(
                    "function missing required positional argument #{}",
                    index + 1
                ),
            };
            Raise::new("TypeError", message)
        })?;
        locals.insert(name.clone(), value);
    }
    Ok(locals)
}

pub(super) fn is_exception(class: &Rc<Class>) -> bool {
    is_subclass(&Value::Class(class.clone()), &Value::Type("BaseException"))
}
