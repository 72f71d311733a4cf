// SPDX-License-Identifier: MIT OR Apache-2.0
//! From text to tokens.

use super::SyntaxError;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A name or a keyword.
    Name(String),
    Int(i64),
    Float(f32),
    Str(String),
    Bytes(Vec<u8>),
    Op(&'static str),
    Newline,
    Indent,
    Dedent,
    End,
}

/// Operators, the longer before their beginnings.
const OPERATORS: [&str; 47] = [
    "**=", "//=", ">>=", "<<=", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=", "-=",
    "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=", "+", "-", "*", "/", "%", "@", "&", "|", "^",
    "~", "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "=", "...",
];

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    tokens: Vec<(Token, u32)>,
    indents: Vec<usize>,
    nesting: usize,
}

/// The tokens of a source text with their lines; the last is [`Token::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<(Token, u32)>, SyntaxError> {
    let mut lexer = Lexer {
        text: source.as_bytes(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
        indents: vec![0],
        nesting: 0,
    };
    lexer.run()?;
    Ok(lexer.tokens)
}

impl Lexer<'_> {
    fn error(&self, message: &'static str) -> SyntaxError {
        SyntaxError {
            line: self.line,
            message,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        while self.at < self.text.len() {
            if self.line_start()? {
                self.rest_of_line()?;
            }
        }
        if !matches!(self.tokens.last(), None | Some((Token::Newline, _))) {
            self.push(Token::Newline);
        }
        while self.indents.pop().is_some_and(|indent| indent > 0) {
            self.push(Token::Dedent);
        }
        self.push(Token::End);
        Ok(())
    }

    /// Takes the indentation; false when the line is empty.
    fn line_start(&mut self) -> Result<bool, SyntaxError> {
        let mut column = 0;
        loop {
            match self.peek(0) {
                b' ' => column += 1,
                b'\t' => column = (column / 8 + 1) * 8,
                b'\r' | 0x0c => {}
                _ => break,
            }
            self.at += 1;
        }
        match self.peek(0) {
            b'#' => {
                while self.at < self.text.len() && self.peek(0) != b'\n' {
                    self.at += 1;
                }
                self.end_line();
                return Ok(false);
            }
            b'\n' => {
                self.end_line();
                return Ok(false);
            }
            0 if self.at >= self.text.len() => return Ok(false),
            _ => {}
        }
        if column > self.indent() {
            self.indents.push(column);
            self.push(Token::Indent);
        }
        while column < self.indent() {
            self.indents.pop();
            self.push(Token::Dedent);
            if column > self.indent() {
                return Err(self.error("unindent does not match any outer indentation level"));
            }
        }
        Ok(true)
    }

    /// The columns that the block at hand is indented by.
    fn indent(&self) -> usize {
        self.indents.last().copied().unwrap_or(0)
    }

    fn end_line(&mut self) {
        self.at += 1;
        self.line += 1;
    }

    fn rest_of_line(&mut self) -> Result<(), SyntaxError> {
        while self.at < self.text.len() {
            let byte = self.peek(0);
            match byte {
                b' ' | b'\t' | b'\r' | 0x0c => self.at += 1,
                b'#' => {
                    while self.at < self.text.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                b'\n' => {
                    if self.nesting == 0 {
                        self.push(Token::Newline);
                        self.end_line();
                        return Ok(());
                    }
                    self.end_line();
                }
                b'\\' if self.peek(1) == b'\n' => {
                    self.at += 1;
                    self.end_line();
                }
                b'\\' if self.peek(1) == b'\r' && self.peek(2) == b'\n' => {
                    self.at += 2;
                    self.end_line();
                }
                b'0'..=b'9' => self.number()?,
                b'.' if self.peek(1).is_ascii_digit() => self.number()?,
                b'"' | b'\'' => self.string(false, false)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.name()?,
                _ => self.operator()?,
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while matches!(self.peek(0), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80..) {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        if matches!(self.peek(0), b'"' | b'\'') {
            match name.as_str() {
                "r" | "R" => return self.string(true, false),
                "b" | "B" => return self.string(false, true),
                "rb" | "br" => return self.string(true, true),
                "u" => return self.string(false, false),
                _ => {}
            }
        }
        self.push(Token::Name(name));
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let radix = match (self.peek(0), self.peek(1)) {
            (b'0', b'x' | b'X') => 16,
            (b'0', b'o' | b'O') => 8,
            (b'0', b'b' | b'B') => 2,
            _ => 10,
        };
        let mut float = false;
        if radix != 10 {
            self.at += 2;
        }
        loop {
            match self.peek(0) {
                b'.' if radix == 10 => float = true,
                b'e' | b'E' if radix == 10 => {
                    float = true;
                    if matches!(self.peek(1), b'+' | b'-') {
                        self.at += 1;
                    }
                }
                byte if byte.is_ascii_alphanumeric() || byte == b'_' => {}
                _ => break,
            }
            self.at += 1;
        }
        let text: String = self.text[start..self.at]
            .iter()
            .filter(|&&byte| byte != b'_')
            .map(|&byte| byte as char)
            .collect();
        let token = if float {
            text.parse().ok().map(Token::Float)
        } else {
            let digits = if radix == 10 { &text[..] } else { &text[2..] };
            i64::from_str_radix(digits, radix).ok().map(Token::Int)
        };
        let token = token.ok_or_else(|| self.error("invalid syntax for number"))?;
        self.push(token);
        Ok(())
    }

    fn string(&mut self, raw: bool, bytes: bool) -> Result<(), SyntaxError> {
        let quote = self.peek(0);
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        self.at += if triple { 3 } else { 1 };
        let first_line = self.line;
        let mut out = Vec::new();
        loop {
            if self.at >= self.text.len() {
                return Err(self.error("invalid syntax"));
            }
            let byte = self.peek(0);
            if byte == quote && (!triple || (self.peek(1) == quote && self.peek(2) == quote)) {
                self.at += if triple { 3 } else { 1 };
                break;
            }
            if byte == b'\n' {
                if !triple {
                    return Err(self.error("invalid syntax"));
                }
                self.line += 1;
            }
            self.at += 1;
            if byte != b'\\' || raw {
                out.push(byte);
                if byte == b'\\' && self.at < self.text.len() {
                    // A raw string keeps the backslash and what it protects.
                    out.push(self.peek(0));
                    self.at += 1;
                }
                continue;
            }
            self.escape(bytes, &mut out)?;
        }
        let token = if bytes {
            Token::Bytes(out)
        } else {
            Token::Str(String::from_utf8_lossy(&out).into_owned())
        };
        // Strings that follow each other are one.
        match (self.tokens.last_mut(), token) {
            (Some((Token::Str(before), _)), Token::Str(text)) => before.push_str(&text),
            (Some((Token::Bytes(before), _)), Token::Bytes(data)) => before.extend(data),
            (_, token) => self.tokens.push((token, first_line)),
        }
        Ok(())
    }

    /// Takes what stands behind a backslash.
    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let escape = self.peek(0);
        self.at += 1;
        let byte = match escape {
            b'\n' => {
                self.line += 1;
                return Ok(());
            }
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'0'..=b'7' => escape - b'0',
            b'\\' | b'\'' | b'"' => escape,
            b'x' => return self.coded(2, bytes, out),
            b'u' if !bytes => return self.coded(4, bytes, out),
            b'U' if !bytes => return self.coded(8, bytes, out),
            _ => {
                out.extend([b'\\', escape]);
                return Ok(());
            }
        };
        out.push(byte);
        Ok(())
    }

    /// Takes a character that is given by as many hexadecimal digits.
    fn coded(&mut self, count: usize, bytes: bool, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let digits = self.text.get(self.at..self.at + count);
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.error("invalid syntax"))?;
        self.at += count;
        if bytes {
            out.push(value as u8);
        } else {
            let character = char::from_u32(value).unwrap_or('\u{fffd}');
            out.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn operator(&mut self) -> Result<(), SyntaxError> {
        let rest = &self.text[self.at..];
        let operator = OPERATORS
            .into_iter()
            .find(|operator| rest.starts_with(operator.as_bytes()))
            .ok_or_else(|| self.error("invalid syntax"))?;
        match operator {
            "(" | "[" | "{" => self.nesting += 1,
            ")" | "]" | "}" => self.nesting = self.nesting.saturating_sub(1),
            _ => {}
        }
        self.at += operator.len();
        self.push(Token::Op(operator));
        Ok(())
    }
}
