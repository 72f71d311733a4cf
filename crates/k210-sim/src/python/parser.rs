// SPDX-License-Identifier: MIT OR Apache-2.0
//! From tokens to statements.

use std::rc::Rc;

use super::SyntaxError;
use super::ast::{Argument, Expr, ExprKind, Function, Handler, Loop, Stmt, StmtKind, bound_names};
use super::lexer::{self, Token};

const KEYWORDS: [&str; 33] = [
    "False", "None", "True", "and", "as", "assert", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Binary operators with how tightly they bind.
const BINARY: [(&str, u8); 12] = [
    ("|", 1),
    ("^", 2),
    ("&", 3),
    ("<<", 4),
    (">>", 4),
    ("+", 5),
    ("-", 5),
    ("*", 6),
    ("/", 6),
    ("//", 6),
    ("%", 6),
    ("@", 6),
];

/// Deepest nesting that is parsed; a board runs out of stack as well.
const DEPTH: usize = 60;

/// Operators in a row.
const CHAIN: usize = 500;

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
    depth: usize,
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// Parses a script.
pub(crate) fn parse(source: &str) -> Result<Vec<Stmt>> {
    let mut parser = Parser {
        tokens: lexer::tokens(source)?,
        at: 0,
        depth: 0,
    };
    let mut body = Vec::new();
    while parser.peek() != &Token::End {
        parser.statement(&mut body)?;
    }
    Ok(body)
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn line(&self) -> u32 {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].0.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn error<T>(&self, message: &'static str) -> Result<T> {
        Err(SyntaxError {
            line: self.line(),
            message,
        })
    }

    fn invalid<T>(&self) -> Result<T> {
        match self.peek() {
            Token::Indent => self.error("unexpected indent"),
            _ => self.error("invalid syntax"),
        }
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Token::Op(found) if *found == op)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == word)
    }

    fn take_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.next();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.take_op(op) {
            Ok(())
        } else {
            self.invalid()
        }
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) {
            Ok(())
        } else {
            self.invalid()
        }
    }

    fn name(&mut self) -> Result<Rc<str>> {
        match self.peek() {
            Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                let name = Rc::from(name.as_str());
                self.next();
                Ok(name)
            }
            _ => self.invalid(),
        }
    }

    fn dotted_name(&mut self) -> Result<Rc<str>> {
        let mut name = self.name()?.to_string();
        while self.take_op(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name.into())
    }

    /// Takes one more operator in a row, or one more part of a name. They make a chain of expressions
    /// inside expressions, which takes stack as nesting does.
    fn chained(&mut self, links: &mut usize) -> Result<()> {
        *links += 1;
        match *links > CHAIN {
            true => self.error("too deeply nested"),
            false => Ok(()),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return self.error("too deeply nested");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self) -> Result<Vec<Stmt>> {
        self.expect_op(":")?;
        let mut body = Vec::new();
        if self.peek() != &Token::Newline {
            self.simple_line(&mut body)?;
            return Ok(body);
        }
        self.next();
        if self.next() != Token::Indent {
            self.at -= 1;
            return self.invalid();
        }
        while self.peek() != &Token::Dedent {
            self.nested(|parser| parser.statement(&mut body))?;
        }
        self.next();
        Ok(body)
    }

    fn statement(&mut self, into: &mut Vec<Stmt>) -> Result<()> {
        let line = self.line();
        if self.is_op("@") {
            return self.decorated(into);
        }
        let Token::Name(word) = self.peek().clone() else {
            return self.simple_line(into);
        };
        let kind = match word.as_str() {
            "if" => self.if_statement()?,
            "while" => {
                self.next();
                let condition = self.expression()?;
                let body = self.block()?;
                StmtKind::While(condition, body, self.else_block()?)
            }
            "for" => {
                self.next();
                let target = self.target_list()?;
                self.expect_word("in")?;
                let iterable = self.expressions()?;
                let body = self.block()?;
                StmtKind::For(target, iterable, body, self.else_block()?)
            }
            "def" => self.def_statement()?,
            "class" => self.class_statement()?,
            "try" => self.try_statement()?,
            "with" => {
                self.next();
                let context = self.expression()?;
                let target = if self.take_word("as") {
                    Some(self.postfix()?)
                } else {
                    None
                };
                StmtKind::With(context, target, self.block()?)
            }
            _ => return self.simple_line(into),
        };
        into.push(Stmt { line, kind });
        Ok(())
    }

    /// A function or class with what stands above it, which is called with it afterwards.
    fn decorated(&mut self, into: &mut Vec<Stmt>) -> Result<()> {
        let mut decorators = Vec::new();
        while self.take_op("@") {
            let line = self.line();
            decorators.push((line, self.postfix()?));
            if self.next() != Token::Newline {
                self.at -= 1;
                return self.invalid();
            }
        }
        if !self.is_word("def") && !self.is_word("class") {
            return self.invalid();
        }
        self.statement(into)?;
        let name = match into.last().map(|statement| &statement.kind) {
            Some(StmtKind::Def(function)) => function.name.clone(),
            Some(StmtKind::Class(name, ..)) => name.clone(),
            _ => return self.invalid(),
        };
        for (line, decorator) in decorators.into_iter().rev() {
            let kind = ExprKind::Name(name.clone());
            let bound = Expr { line, kind };
            let given = vec![Argument::Positional(bound.clone())];
            let kind = ExprKind::Call(decorator.into(), given);
            let kind = StmtKind::Assign(vec![bound], Expr { line, kind });
            into.push(Stmt { line, kind });
        }
        Ok(())
    }

    fn def_statement(&mut self) -> Result<StmtKind> {
        self.next();
        let name = self.name()?;
        self.expect_op("(")?;
        let mut function = self.parameters(name, ")", true)?;
        self.expect_op(")")?;
        if self.take_op("->") {
            self.expression()?;
        }
        function.body = self.block()?;
        function.locals.extend(bound_names(&function.body));
        Ok(StmtKind::Def(Rc::new(function)))
    }

    fn class_statement(&mut self) -> Result<StmtKind> {
        self.next();
        let name = self.name()?;
        let mut bases = Vec::new();
        if self.take_op("(") {
            while !self.is_op(")") {
                bases.push(self.expression()?);
                if !self.take_op(",") {
                    break;
                }
            }
            self.expect_op(")")?;
        }
        Ok(StmtKind::Class(name, bases, self.block()?))
    }

    fn else_block(&mut self) -> Result<Vec<Stmt>> {
        if self.take_word("else") {
            self.block()
        } else {
            Ok(Vec::new())
        }
    }

    fn if_statement(&mut self) -> Result<StmtKind> {
        let mut branches = Vec::new();
        while self.take_word(if branches.is_empty() { "if" } else { "elif" }) {
            let condition = self.expression()?;
            branches.push((condition, self.block()?));
        }
        Ok(StmtKind::If(branches, self.else_block()?))
    }

    fn try_statement(&mut self) -> Result<StmtKind> {
        self.next();
        let body = self.block()?;
        let mut handlers: Vec<Handler> = Vec::new();
        while self.take_word("except") {
            if handlers.last().is_some_and(|last| last.exception.is_none()) {
                return self.error("default 'except' must be last");
            }
            let mut handler = Handler {
                exception: None,
                name: None,
                body: Vec::new(),
            };
            if !self.is_op(":") {
                handler.exception = Some(self.expression()?);
                if self.take_word("as") {
                    handler.name = Some(self.name()?);
                }
            }
            handler.body = self.block()?;
            handlers.push(handler);
        }
        let otherwise = if handlers.is_empty() {
            Vec::new()
        } else {
            self.else_block()?
        };
        let finally = if self.take_word("finally") {
            self.block()?
        } else if handlers.is_empty() {
            return self.invalid();
        } else {
            Vec::new()
        };
        Ok(StmtKind::Try {
            body,
            handlers,
            otherwise,
            finally,
        })
    }

    fn simple_line(&mut self, into: &mut Vec<Stmt>) -> Result<()> {
        loop {
            let line = self.line();
            let kind = self.simple_statement(into)?;
            into.push(Stmt { line, kind });
            if !self.take_op(";") || self.peek() == &Token::Newline {
                break;
            }
        }
        if self.peek() == &Token::Newline {
            self.next();
            Ok(())
        } else {
            self.invalid()
        }
    }

    fn ends_statement(&self) -> bool {
        self.peek() == &Token::Newline || self.is_op(";")
    }

    /// Parses one simple statement; `import a, b` pushes all but its last part.
    fn simple_statement(&mut self, into: &mut Vec<Stmt>) -> Result<StmtKind> {
        let Token::Name(word) = self.peek().clone() else {
            return self.expression_statement();
        };
        let line = self.line();
        let parse = match word.as_str() {
            "pass" => |_: &mut Self| Ok(StmtKind::Pass),
            "break" => |_: &mut Self| Ok(StmtKind::Break),
            "continue" => |_: &mut Self| Ok(StmtKind::Continue),
            "return" => Self::return_statement,
            "raise" => Self::raise_statement,
            "assert" => Self::assert_statement,
            "global" | "nonlocal" => Self::global_statement,
            "del" => Self::delete_statement,
            "from" => Self::import_from_statement,
            "import" => {
                self.next();
                return self.import_statement(line, into);
            }
            _ => return self.expression_statement(),
        };
        self.next();
        parse(self)
    }

    fn return_statement(&mut self) -> Result<StmtKind> {
        Ok(StmtKind::Return(match self.ends_statement() {
            true => None,
            false => Some(self.expressions()?),
        }))
    }

    fn raise_statement(&mut self) -> Result<StmtKind> {
        Ok(StmtKind::Raise(match self.ends_statement() {
            true => None,
            false => Some(self.expression()?),
        }))
    }

    fn assert_statement(&mut self) -> Result<StmtKind> {
        let condition = self.expression()?;
        let message = match self.take_op(",") {
            true => Some(self.expression()?),
            false => None,
        };
        Ok(StmtKind::Assert(condition, message))
    }

    fn global_statement(&mut self) -> Result<StmtKind> {
        let mut names = vec![self.name()?];
        while self.take_op(",") {
            names.push(self.name()?);
        }
        Ok(StmtKind::Global(names))
    }

    fn delete_statement(&mut self) -> Result<StmtKind> {
        Ok(StmtKind::Delete(match self.target_list()? {
            Expr {
                kind: ExprKind::Tuple(items),
                ..
            } => items,
            target => vec![target],
        }))
    }

    /// A name's other name behind `as`, if there is one.
    fn alias(&mut self, name: Rc<str>) -> Result<Rc<str>> {
        match self.take_word("as") {
            true => self.name(),
            false => Ok(name),
        }
    }

    fn import_statement(&mut self, line: u32, into: &mut Vec<Stmt>) -> Result<StmtKind> {
        loop {
            let module = self.dotted_name()?;
            let first = module.split('.').next().unwrap_or_default();
            let name = self.alias(first.into())?;
            let kind = StmtKind::Import(module, name);
            if !self.take_op(",") {
                return Ok(kind);
            }
            into.push(Stmt { line, kind });
        }
    }

    fn import_from_statement(&mut self) -> Result<StmtKind> {
        let module = self.dotted_name()?;
        self.expect_word("import")?;
        if self.take_op("*") {
            let all = vec![("*".into(), "*".into())];
            return Ok(StmtKind::FromImport(module, all));
        }
        let mut names = Vec::new();
        let parenthesis = self.take_op("(");
        loop {
            let name = self.name()?;
            let bound = self.alias(name.clone())?;
            names.push((name, bound));
            if !self.take_op(",") || (parenthesis && self.is_op(")")) {
                break;
            }
        }
        if parenthesis {
            self.expect_op(")")?;
        }
        Ok(StmtKind::FromImport(module, names))
    }

    fn expression_statement(&mut self) -> Result<StmtKind> {
        let first = self.expressions()?;
        if let Token::Op(op) = *self.peek()
            && let Some(binary) = op.strip_suffix('=')
            && let Some(operator) = augmented(binary)
        {
            self.check_target(&first, false)?;
            self.next();
            return Ok(StmtKind::Augment(operator, first, self.expressions()?));
        }
        if self.is_op(":") && matches!(first.kind, ExprKind::Name(_)) {
            // An annotation says nothing to the board.
            self.next();
            self.expression()?;
            if !self.is_op("=") {
                return Ok(StmtKind::Pass);
            }
        }
        let mut parts = vec![first];
        while self.take_op("=") {
            parts.push(self.expressions()?);
        }
        let Some(last) = parts.pop() else {
            return self.invalid();
        };
        if parts.is_empty() {
            return Ok(StmtKind::Expr(last));
        }
        for target in &parts {
            self.check_target(target, true)?;
        }
        Ok(StmtKind::Assign(parts, last))
    }

    fn check_target(&self, target: &Expr, list: bool) -> Result<()> {
        match &target.kind {
            ExprKind::Name(_) | ExprKind::Attribute(..) | ExprKind::Index(..) => Ok(()),
            ExprKind::Tuple(items) | ExprKind::List(items) if list => items
                .iter()
                .try_for_each(|item| self.check_target(item, true)),
            _ => self.error("can't assign to expression"),
        }
    }

    /// What stands between `for` and `in`, or after `del`.
    fn target_list(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.postfix()?;
        let target = if self.is_op(",") {
            let mut items = vec![first];
            while self.take_op(",") {
                if self.is_word("in") || self.ends_statement() {
                    break;
                }
                items.push(self.postfix()?);
            }
            Expr {
                line,
                kind: ExprKind::Tuple(items),
            }
        } else {
            first
        };
        self.check_target(&target, true)?;
        Ok(target)
    }

    fn parameters(&mut self, name: Rc<str>, end: &str, annotated: bool) -> Result<Function> {
        let mut function = Function {
            name,
            parameters: Vec::new(),
            positional: 0,
            star: None,
            double_star: None,
            body: Vec::new(),
            locals: Default::default(),
        };
        let mut star = None;
        while !self.is_op(end) {
            if self.take_op("**") {
                let name = self.name()?;
                function.locals.insert(name.clone());
                function.double_star = Some(name);
            } else if self.take_op("*") {
                if star.replace(function.parameters.len()).is_some() {
                    return self.error("can't have multiple *x");
                }
                if !self.is_op(",") {
                    let name = self.name()?;
                    function.locals.insert(name.clone());
                    function.star = Some(name);
                }
            } else {
                let name = self.name()?;
                if annotated && self.take_op(":") {
                    self.expression()?;
                }
                let default = if self.take_op("=") {
                    Some(self.expression()?)
                } else {
                    None
                };
                let after_default = function
                    .parameters
                    .last()
                    .is_some_and(|(_, default)| default.is_some());
                if default.is_none() && after_default && star.is_none() {
                    return self.error("non-default argument follows default argument");
                }
                if !function.locals.insert(name.clone()) {
                    return self.error("argument name reused");
                }
                function.parameters.push((name, default));
            }
            if !self.take_op(",") {
                break;
            }
        }
        function.positional = star.unwrap_or(function.parameters.len());
        Ok(function)
    }

    /// One or more expressions; several make a tuple.
    fn expressions(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.expression()?;
        if !self.is_op(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take_op(",") {
            let ends = matches!(self.peek(), Token::Newline | Token::End)
                || [")", "]", "}", "=", ":", ";"]
                    .iter()
                    .any(|op| self.is_op(op));
            if ends {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(Expr {
            line,
            kind: ExprKind::Tuple(items),
        })
    }

    fn expression(&mut self) -> Result<Expr> {
        self.nested(Self::conditional)
    }

    fn conditional(&mut self) -> Result<Expr> {
        let line = self.line();
        if self.take_word("lambda") {
            let mut function = self.parameters("<lambda>".into(), ":", false)?;
            self.expect_op(":")?;
            let value = self.expression()?;
            function.body.push(Stmt {
                line,
                kind: StmtKind::Return(Some(value)),
            });
            return Ok(Expr {
                line,
                kind: ExprKind::Lambda(Rc::new(function)),
            });
        }
        let value = self.or()?;
        if !self.take_word("if") {
            return Ok(value);
        }
        let condition = self.or()?;
        self.expect_word("else")?;
        let otherwise = self.expression()?;
        Ok(Expr {
            line,
            kind: ExprKind::If(condition.into(), value.into(), otherwise.into()),
        })
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        let mut links = 0;
        while self.take_word("or") {
            self.chained(&mut links)?;
            let right = self.and()?;
            left = Expr {
                line: left.line,
                kind: ExprKind::Or(left.into(), right.into()),
            };
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        let mut links = 0;
        while self.take_word("and") {
            self.chained(&mut links)?;
            let right = self.not()?;
            left = Expr {
                line: left.line,
                kind: ExprKind::And(left.into(), right.into()),
            };
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        let line = self.line();
        if self.take_word("not") {
            let operand = self.nested(Self::not)?;
            return Ok(Expr {
                line,
                kind: ExprKind::Unary("not", operand.into()),
            });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr> {
        let first = self.binary(1)?;
        let mut rest = Vec::new();
        loop {
            let operator = match self.peek() {
                Token::Op(op @ ("<" | ">" | "<=" | ">=" | "==" | "!=")) => op,
                Token::Name(word) if word == "in" => "in",
                Token::Name(word) if word == "is" => "is",
                Token::Name(word) if word == "not" => "not in",
                _ => break,
            };
            self.next();
            let operator = match operator {
                "not in" => {
                    self.expect_word("in")?;
                    operator
                }
                "is" if self.take_word("not") => "is not",
                _ => operator,
            };
            rest.push((operator, self.binary(1)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr {
            line: first.line,
            kind: ExprKind::Compare(first.into(), rest),
        })
    }

    fn binary(&mut self, least: u8) -> Result<Expr> {
        let mut left = self.unary()?;
        let mut links = 0;
        while let Token::Op(op) = *self.peek()
            && let Some(&(operator, strength)) = BINARY.iter().find(|(name, _)| *name == op)
            && strength >= least
        {
            self.next();
            self.chained(&mut links)?;
            let right = self.binary(strength + 1)?;
            left = Expr {
                line: left.line,
                kind: ExprKind::Binary(operator, left.into(), right.into()),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        let line = self.line();
        for operator in ["-", "+", "~"] {
            if self.take_op(operator) {
                let operand = self.nested(Self::unary)?;
                return Ok(Expr {
                    line,
                    kind: ExprKind::Unary(operator, operand.into()),
                });
            }
        }
        let base = self.postfix()?;
        if self.take_op("**") {
            let exponent = self.nested(Self::unary)?;
            return Ok(Expr {
                line,
                kind: ExprKind::Binary("**", base.into(), exponent.into()),
            });
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Result<Expr> {
        let mut value = self.atom()?;
        let mut links = 0;
        loop {
            let line = self.line();
            let kind = if self.take_op("(") {
                let arguments = self.arguments()?;
                ExprKind::Call(value.into(), arguments)
            } else if self.take_op("[") {
                let index = self.subscript()?;
                self.expect_op("]")?;
                ExprKind::Index(value.into(), index.into())
            } else if self.take_op(".") {
                ExprKind::Attribute(value.into(), self.name()?)
            } else {
                return Ok(value);
            };
            self.chained(&mut links)?;
            value = Expr { line, kind };
        }
    }

    fn subscript(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut parts = [None, None, None];
        let mut colons = 0;
        loop {
            if self.take_op(":") {
                colons += 1;
                if colons > 2 {
                    return self.invalid();
                }
            } else if self.is_op("]") {
                break;
            } else if parts[colons].is_none() {
                parts[colons] = Some(Box::new(self.expressions()?));
            } else {
                return self.invalid();
            }
        }
        match parts {
            [Some(index), None, None] if colons == 0 => Ok(*index),
            [None, None, None] if colons == 0 => self.invalid(),
            parts => Ok(Expr {
                line,
                kind: ExprKind::Slice(parts),
            }),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Argument>> {
        let mut arguments = Vec::new();
        while !self.is_op(")") {
            let argument = if self.take_op("**") {
                Argument::DoubleStar(self.expression()?)
            } else if self.take_op("*") {
                Argument::Star(self.expression()?)
            } else {
                let value = self.expression()?;
                if self.take_op("=") {
                    let ExprKind::Name(name) = value.kind else {
                        return self.error("LHS of keyword arg must be an id");
                    };
                    Argument::Keyword(name, self.expression()?)
                } else if self.is_word("for") {
                    Argument::Positional(self.comprehension(value)?)
                } else {
                    let after_keyword = arguments
                        .iter()
                        .any(|argument| matches!(argument, Argument::Keyword(..)));
                    if after_keyword {
                        return self.error("non-keyword arg after keyword arg");
                    }
                    Argument::Positional(value)
                }
            };
            arguments.push(argument);
            if !self.take_op(",") {
                break;
            }
        }
        self.expect_op(")")?;
        Ok(arguments)
    }

    /// The loops after `element`; a generator is evaluated at once, as a list.
    fn comprehension(&mut self, element: Expr) -> Result<Expr> {
        let mut loops = Vec::new();
        while self.take_word("for") {
            let target = self.target_list()?;
            self.expect_word("in")?;
            let iterable = self.or()?;
            let mut conditions = Vec::new();
            while self.take_word("if") {
                conditions.push(self.or()?);
            }
            loops.push(Loop {
                target,
                iterable,
                conditions,
            });
        }
        Ok(Expr {
            line: element.line,
            kind: ExprKind::ListComp(element.into(), loops),
        })
    }

    fn atom(&mut self) -> Result<Expr> {
        let line = self.line();
        let kind = match self.peek().clone() {
            Token::Int(value) => ExprKind::Int(value),
            Token::Float(value) => ExprKind::Float(value),
            Token::Str(text) => ExprKind::Str(text.into()),
            Token::Bytes(data) => ExprKind::Bytes(data.into()),
            Token::Name(word) => match word.as_str() {
                "None" => ExprKind::None,
                "True" => ExprKind::Bool(true),
                "False" => ExprKind::Bool(false),
                word if KEYWORDS.contains(&word) => return self.invalid(),
                word => ExprKind::Name(word.into()),
            },
            Token::Op("(") => return self.nested(Self::parenthesis),
            Token::Op("[") => return self.nested(Self::list),
            Token::Op("{") => return self.nested(Self::braces),
            _ => return self.invalid(),
        };
        self.next();
        Ok(Expr { line, kind })
    }

    fn parenthesis(&mut self) -> Result<Expr> {
        let line = self.line();
        self.next();
        if self.take_op(")") {
            return Ok(Expr {
                line,
                kind: ExprKind::Tuple(Vec::new()),
            });
        }
        let mut value = self.expressions()?;
        if self.is_word("for") {
            value = self.comprehension(value)?;
        }
        self.expect_op(")")?;
        Ok(value)
    }

    fn list(&mut self) -> Result<Expr> {
        let line = self.line();
        self.next();
        let mut items = Vec::new();
        while !self.is_op("]") {
            let item = self.expression()?;
            if items.is_empty() && self.is_word("for") {
                let list = self.comprehension(item)?;
                self.expect_op("]")?;
                return Ok(list);
            }
            items.push(item);
            if !self.take_op(",") {
                break;
            }
        }
        self.expect_op("]")?;
        Ok(Expr {
            line,
            kind: ExprKind::List(items),
        })
    }

    fn braces(&mut self) -> Result<Expr> {
        let line = self.line();
        self.next();
        let mut pairs = Vec::new();
        let mut items = Vec::new();
        while !self.is_op("}") {
            let key = self.expression()?;
            if self.take_op(":") {
                pairs.push((key, self.expression()?));
            } else {
                items.push(key);
            }
            if !self.take_op(",") {
                break;
            }
        }
        self.expect_op("}")?;
        let kind = match (pairs.is_empty(), items.is_empty()) {
            (_, true) => ExprKind::Dict(pairs),
            (true, false) => ExprKind::Set(items),
            _ => return self.error("invalid syntax"),
        };
        Ok(Expr { line, kind })
    }
}

/// The operator of `a op= b`.
fn augmented(operator: &str) -> Option<&'static str> {
    if operator == "**" {
        return Some("**");
    }
    BINARY
        .iter()
        .map(|(name, _)| *name)
        .find(|name| *name == operator)
}
