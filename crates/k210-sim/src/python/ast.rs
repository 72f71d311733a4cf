// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the parser makes of a script.

use std::collections::HashSet;
use std::rc::Rc;

use super::heap::Held;

/// An expression and its line.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub line: u32,
    pub kind: ExprKind,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    None,
    Bool(bool),
    Int(i64),
    Float(f32),
    Str(Held<str>),
    Bytes(Held<[u8]>),
    Name(Rc<str>),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Set(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// The element, and the loops from the outermost.
    ListComp(Box<Expr>, Vec<Loop>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `a < b < c`
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// Condition, then, else.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Argument>),
    Attribute(Box<Expr>, Rc<str>),
    Index(Box<Expr>, Box<Expr>),
    /// Start, stop, step.
    Slice([Option<Box<Expr>>; 3]),
    Lambda(Rc<Function>),
}

/// `for target in iterable if condition`
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    pub target: Expr,
    pub iterable: Expr,
    pub conditions: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Positional(Expr),
    Keyword(Rc<str>, Expr),
    Star(Expr),
    DoubleStar(Expr),
}

/// A function's or lambda's code.
#[derive(Debug)]
pub(crate) struct Function {
    pub name: Rc<str>,
    pub parameters: Vec<(Rc<str>, Option<Expr>)>,
    /// How many of them may be given without their names.
    pub positional: usize,
    pub star: Option<Rc<str>>,
    pub double_star: Option<Rc<str>>,
    pub body: Vec<Stmt>,
    /// Names the function binds, which are its own.
    pub locals: HashSet<Rc<str>>,
}

/// A statement and its line.
#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub line: u32,
    pub kind: StmtKind,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind {
    Expr(Expr),
    /// Targets from the left, value.
    Assign(Vec<Expr>, Expr),
    Augment(&'static str, Expr, Expr),
    /// Branches with their conditions, else.
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    While(Expr, Vec<Stmt>, Vec<Stmt>),
    For(Expr, Expr, Vec<Stmt>, Vec<Stmt>),
    Def(Rc<Function>),
    Class(Rc<str>, Vec<Expr>, Vec<Stmt>),
    Return(Option<Expr>),
    Break,
    Continue,
    Pass,
    /// Dotted name, name it is bound to.
    Import(Rc<str>, Rc<str>),
    FromImport(Rc<str>, Vec<(Rc<str>, Rc<str>)>),
    Try {
        body: Vec<Stmt>,
        handlers: Vec<Handler>,
        otherwise: Vec<Stmt>,
        finally: Vec<Stmt>,
    },
    With(Expr, Option<Expr>, Vec<Stmt>),
    Raise(Option<Expr>),
    Assert(Expr, Option<Expr>),
    Global(Vec<Rc<str>>),
    Delete(Vec<Expr>),
}

#[derive(Clone, Debug)]
pub(crate) struct Handler {
    pub exception: Option<Expr>,
    pub name: Option<Rc<str>>,
    pub body: Vec<Stmt>,
}

/// The first statement that has no place where it stands, outside of functions: its line, and what the
/// compiler says.
pub(crate) fn misplaced(body: &[Stmt], in_loop: bool) -> Option<(u32, &'static str)> {
    let within = |bodies: &[&[Stmt]]| bodies.iter().find_map(|body| misplaced(body, in_loop));
    body.iter().find_map(|statement| match &statement.kind {
        StmtKind::Return(_) => Some((statement.line, "'return' outside function")),
        StmtKind::Break if !in_loop => Some((statement.line, "'break' outside loop")),
        StmtKind::Continue if !in_loop => Some((statement.line, "'continue' outside loop")),
        StmtKind::If(branches, otherwise) => {
            let found = branches
                .iter()
                .find_map(|(_, body)| misplaced(body, in_loop));
            found.or_else(|| misplaced(otherwise, in_loop))
        }
        StmtKind::While(_, body, otherwise) | StmtKind::For(_, _, body, otherwise) => {
            misplaced(body, true).or_else(|| misplaced(otherwise, in_loop))
        }
        StmtKind::With(_, _, body) => misplaced(body, in_loop),
        StmtKind::Class(_, _, body) => misplaced(body, false),
        StmtKind::Try {
            body,
            handlers,
            otherwise,
            finally,
        } => {
            let found = handlers
                .iter()
                .find_map(|handler| misplaced(&handler.body, in_loop));
            misplaced(body, in_loop)
                .or(found)
                .or_else(|| within(&[otherwise, finally]))
        }
        _ => None,
    })
}

/// The names that `body` binds, without those it declares global.
pub(crate) fn bound_names(body: &[Stmt]) -> HashSet<Rc<str>> {
    let mut bound = HashSet::new();
    let mut global = HashSet::new();
    collect(body, &mut bound, &mut global);
    bound.retain(|name| !global.contains(name));
    bound
}

fn collect(body: &[Stmt], bound: &mut HashSet<Rc<str>>, global: &mut HashSet<Rc<str>>) {
    for statement in body {
        match &statement.kind {
            StmtKind::Assign(targets, _) => targets.iter().for_each(|target| bind(target, bound)),
            StmtKind::Augment(_, target, _) => bind(target, bound),
            StmtKind::If(branches, otherwise) => {
                for (_, body) in branches {
                    collect(body, bound, global);
                }
                collect(otherwise, bound, global);
            }
            StmtKind::While(_, body, otherwise) => {
                collect(body, bound, global);
                collect(otherwise, bound, global);
            }
            StmtKind::For(target, _, body, otherwise) => {
                bind(target, bound);
                collect(body, bound, global);
                collect(otherwise, bound, global);
            }
            StmtKind::Def(function) => drop(bound.insert(function.name.clone())),
            StmtKind::Class(name, ..) => drop(bound.insert(name.clone())),
            StmtKind::Import(_, name) => drop(bound.insert(name.clone())),
            StmtKind::FromImport(_, names) => {
                bound.extend(names.iter().map(|(_, name)| name.clone()))
            }
            StmtKind::Try {
                body,
                handlers,
                otherwise,
                finally,
            } => {
                collect(body, bound, global);
                for handler in handlers {
                    bound.extend(handler.name.clone());
                    collect(&handler.body, bound, global);
                }
                collect(otherwise, bound, global);
                collect(finally, bound, global);
            }
            StmtKind::With(_, target, body) => {
                if let Some(target) = target {
                    bind(target, bound);
                }
                collect(body, bound, global);
            }
            StmtKind::Delete(targets) => targets.iter().for_each(|target| bind(target, bound)),
            StmtKind::Global(names) => global.extend(names.iter().cloned()),
            StmtKind::Expr(_)
            | StmtKind::Return(_)
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Pass
            | StmtKind::Raise(_)
            | StmtKind::Assert(..) => {}
        }
    }
}

fn bind(target: &Expr, bound: &mut HashSet<Rc<str>>) {
    match &target.kind {
        ExprKind::Name(name) => drop(bound.insert(name.clone())),
        ExprKind::Tuple(items) | ExprKind::List(items) => {
            items.iter().for_each(|item| bind(item, bound))
        }
        _ => {}
    }
}
