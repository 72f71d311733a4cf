// SPDX-License-Identifier: MIT OR Apache-2.0
//! `%` and `str.format`.

use std::iter::Peekable;
use std::str::Chars;

use super::value::{Value, general};
use super::{Args, Raise, Result, amount, float, heap, int};

/// What stands between `%` and its letter, or after `:`.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Widest field that is padded; a board's heap holds no more.
const WIDEST: usize = 100_000;

fn number(characters: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut value: Option<usize> = None;
    while let Some(digit) = characters.peek().and_then(|found| found.to_digit(10)) {
        characters.next();
        value = Some((value.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
    }
    value
}

fn bad() -> Raise {
    Raise::new("ValueError", "invalid format specifier")
}

/// `template % value`.
pub(crate) fn percent(template: &str, value: &Value) -> Result<String> {
    let mut arguments = Arguments::new(value);
    let mut out = String::new();
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
        } else if characters.next_if_eq(&'%').is_some() {
            out.push('%');
        } else {
            out.push_str(&conversion(&mut characters, &mut arguments)?);
            heap::reserve(out.len())?;
        }
    }
    arguments.end()?;
    Ok(out)
}

/// What stands on the right of `%`.
struct Arguments<'a> {
    given: &'a Value,
    rest: std::vec::IntoIter<Value>,
}

impl<'a> Arguments<'a> {
    fn new(given: &'a Value) -> Self {
        let values = match given {
            Value::Tuple(items) => items.to_vec(),
            other => vec![other.clone()],
        };
        Arguments {
            given,
            rest: values.into_iter(),
        }
    }

    fn next(&mut self) -> Result<Value> {
        self.rest
            .next()
            .ok_or_else(|| Raise::new("TypeError", "not enough arguments for format string"))
    }

    /// The dict's value of that name.
    fn named(&self, key: String) -> Result<Value> {
        let Value::Dict(pairs) = self.given else {
            return Err(Raise::new("TypeError", "format requires a dict"));
        };
        let pairs = pairs.borrow();
        let is_key = |name: &Value| matches!(name, Value::Str(name) if **name == *key);
        let found = pairs.iter().find(|(name, _)| is_key(name));
        match found {
            Some((_, value)) => Ok(value.clone()),
            None => Err(Raise::new("KeyError", key)),
        }
    }

    /// None but a dict may be left over.
    fn end(mut self) -> Result<()> {
        if self.rest.next().is_some() && !matches!(self.given, Value::Dict(_)) {
            return Err(Raise::new(
                "TypeError",
                "not all arguments converted during string formatting",
            ));
        }
        Ok(())
    }
}

/// What follows a `%`, and its value.
fn conversion(
    characters: &mut Peekable<Chars<'_>>,
    arguments: &mut Arguments<'_>,
) -> Result<String> {
    let mut keyed = None;
    if characters.next_if_eq(&'(').is_some() {
        let key = characters.by_ref().take_while(|&found| found != ')');
        keyed = Some(arguments.named(key.collect())?);
    }
    let mut spec = Spec::default();
    spec.percent_flags(characters);
    spec.width = if characters.next_if_eq(&'*').is_some() {
        match int(&arguments.next()?)? {
            ..0 => return Err(bad()),
            width => amount(width).min(WIDEST),
        }
    } else {
        number(characters).unwrap_or(0)
    };
    if characters.next_if_eq(&'.').is_some() {
        spec.precision = Some(number(characters).unwrap_or(0));
    }
    let kind = characters
        .next()
        .ok_or_else(|| Raise::new("ValueError", "incomplete format"))?;
    let value = match keyed {
        Some(value) => value,
        None => arguments.next()?,
    };
    spec.percent(kind, &value)
}

impl Spec {
    fn percent_flags(&mut self, characters: &mut Peekable<Chars<'_>>) {
        while let Some(flag) = characters.next_if(|found| "-+ #0".contains(*found)) {
            match flag {
                '-' => self.align = Some('<'),
                '#' => self.alternate = true,
                '0' => {
                    self.fill = Some('0');
                    self.align = self.align.or(Some('='));
                }
                sign => self.sign = Some(sign),
            }
        }
    }

    /// The value as the letter behind `%` wants it.
    fn percent(mut self, kind: char, value: &Value) -> Result<String> {
        match kind {
            's' | 'r' | 'a' => {
                let text = if kind == 's' {
                    value.str()
                } else {
                    value.repr()
                };
                self.align = self.align.filter(|&align| align != '=').or(Some('>'));
                self.fill = None;
                Ok(self.text(&text))
            }
            'c' => {
                let text = match value {
                    Value::Str(text) if text.chars().count() == 1 => text.to_string(),
                    _ => u32::try_from(int(value)?)
                        .ok()
                        .and_then(char::from_u32)
                        .ok_or_else(|| Raise::new("TypeError", "integer required"))?
                        .to_string(),
                };
                self.align = self.align.or(Some('>'));
                Ok(self.text(&text))
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
                let value = match value {
                    Value::Float(value) => *value as i64,
                    other => int(other)?,
                };
                self.kind = Some(if "iu".contains(kind) { 'd' } else { kind });
                self.integer(value)
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                self.kind = Some(kind);
                self.float(float(value)?)
            }
            _ => Err(Raise::new(
                "ValueError",
                format!(
                    "unsupported format character '{kind}' (0x{:x})",
                    u32::from(kind)
                ),
            )),
        }
    }

    fn parse(text: &str) -> Result<Spec> {
        let mut spec = Spec::default();
        let is_align = |found: char| "<>=^".contains(found);
        let mut characters = text.chars().peekable();
        let mut ahead = text.chars();
        let (first, second) = (ahead.next(), ahead.next());
        if second.is_some_and(is_align) {
            spec.fill = first;
            spec.align = second;
            characters.nth(1);
        } else if first.is_some_and(is_align) {
            spec.align = first;
            characters.next();
        }
        while let Some(&flag) = characters.peek() {
            match flag {
                '+' | '-' | ' ' => spec.sign = Some(flag),
                '#' => spec.alternate = true,
                '0' => {
                    spec.fill = spec.fill.or(Some('0'));
                    spec.align = spec.align.or(Some('='));
                }
                _ => break,
            }
            characters.next();
        }
        spec.width = number(&mut characters).unwrap_or(0);
        if characters.peek() == Some(&',') {
            characters.next();
        }
        if characters.peek() == Some(&'.') {
            characters.next();
            spec.precision = Some(number(&mut characters).ok_or_else(bad)?);
        }
        spec.kind = characters.next();
        if characters.next().is_some() {
            return Err(bad());
        }
        Ok(spec)
    }

    fn pad(&self, sign: &str, body: &str, default: char) -> String {
        let length = sign.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(length);
        let fill = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        match self.align.unwrap_or(default) {
            '<' => format!("{sign}{body}{}", fill(missing)),
            '^' => format!(
                "{}{sign}{body}{}",
                fill(missing / 2),
                fill(missing - missing / 2)
            ),
            '=' => format!("{sign}{}{body}", fill(missing)),
            _ => format!("{}{sign}{body}", fill(missing)),
        }
    }

    fn text(&self, text: &str) -> String {
        let cut: String = match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.into(),
        };
        self.pad("", &cut, '<')
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        }
    }

    fn integer(&self, value: i64) -> Result<String> {
        let magnitude = value.unsigned_abs();
        let (prefix, digits) = match self.kind {
            None | Some('d' | 'n') => ("", magnitude.to_string()),
            Some('x') => ("0x", format!("{magnitude:x}")),
            Some('X') => ("0X", format!("{magnitude:X}")),
            Some('o') => ("0o", format!("{magnitude:o}")),
            Some('b') => ("0b", format!("{magnitude:b}")),
            Some('c') => {
                let character = char::from_u32(magnitude as u32).unwrap_or('\u{fffd}');
                return Ok(self.pad("", &character.to_string(), '<'));
            }
            Some(_) => return Err(bad()),
        };
        let prefix = if self.alternate { prefix } else { "" };
        let sign = format!("{}{prefix}", self.sign(value < 0));
        Ok(self.pad(&sign, &digits, '>'))
    }

    fn float(&self, value: f32) -> Result<String> {
        let magnitude = f64::from(value.abs());
        let precision = self.precision.unwrap_or(6).min(60);
        let digits = match self.kind {
            _ if !value.is_finite() => general(magnitude, 6, false),
            None => match self.precision {
                Some(_) => general(magnitude, precision, false),
                None => super::value::float(value.abs()),
            },
            Some('f' | 'F') => format!("{magnitude:.precision$}"),
            Some('g' | 'G' | 'n') => general(magnitude, precision, self.alternate),
            Some('%') => format!("{:.precision$}%", magnitude * 100.0),
            Some(kind @ ('e' | 'E')) => {
                let text = format!("{magnitude:.precision$e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or(0);
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{mantissa}{kind}{sign}{:02}", exponent.abs())
            }
            Some(_) => return Err(bad()),
        };
        Ok(self.pad(self.sign(value.is_sign_negative()), &digits, '>'))
    }

    fn format(&self, value: &Value) -> Result<String> {
        match (value, self.kind) {
            (Value::Float(value), _) => self.float(*value),
            (Value::Int(value), Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => {
                self.float(*value as f32)
            }
            (Value::Int(value), _) => self.integer(*value),
            (_, None | Some('s')) => Ok(self.text(&value.str())),
            (Value::Bool(value), _) => self.integer((*value).into()),
            _ => Err(Raise::new(
                "ValueError",
                format!(
                    "unknown format code '{}' for object of type '{}'",
                    self.kind.unwrap_or('s'),
                    value.type_name()
                ),
            )),
        }
    }
}

/// `template.format(...)`.
pub(crate) fn braces(template: &str, args: &Args) -> Result<String> {
    let mut out = String::new();
    let mut next = 0;
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' if characters.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if characters.next_if_eq(&'}').is_some() => out.push('}'),
            '}' => {
                return Err(Raise::new(
                    "ValueError",
                    "single '}' encountered in format string",
                ));
            }
            '{' => {
                let mut text = String::new();
                loop {
                    match characters.next() {
                        Some('}') => break,
                        Some(found) => text.push(found),
                        None => return Err(Raise::new("ValueError", "incomplete format key")),
                    }
                }
                out.push_str(&field(&text, args, &mut next)?);
                heap::reserve(out.len())?;
            }
            _ => out.push(character),
        }
    }
    Ok(out)
}

/// What stands between braces, and its value; `next` counts the fields without a name.
fn field(text: &str, args: &Args, next: &mut usize) -> Result<String> {
    let (name, spec) = text.split_once(':').unwrap_or((text, ""));
    let (name, conversion) = match name.split_once('!') {
        Some((name, conversion)) => (name, Some(conversion)),
        None => (name, None),
    };
    let value = if name.is_empty() {
        *next += 1;
        args.positional.get(*next - 1)
    } else if let Ok(index) = name.parse::<usize>() {
        args.positional.get(index)
    } else {
        let named = args.keyword(name);
        Some(named.ok_or_else(|| Raise::new("KeyError", name))?)
    };
    let value = value.ok_or_else(|| Raise::new("IndexError", "tuple index out of range"))?;
    let spec = Spec::parse(spec)?;
    match conversion {
        None => spec.format(value),
        Some("r") => spec.format(&super::value::string(value.repr())),
        Some("s") => spec.format(&super::value::string(value.str())),
        Some(_) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{string, tuple};
    use super::*;

    fn done(result: Result<String>) -> String {
        result.unwrap_or_else(|_| panic!("raised"))
    }

    #[test]
    fn percent_formats() {
        let values = tuple(vec![Value::Int(-5), Value::Float(2.5), string("x")]);
        assert_eq!(done(percent("%d %.2f %s%%", &values)), "-5 2.50 x%");
        assert_eq!(
            done(percent(
                "%05d|%-4d|%+d",
                &tuple(vec![Value::Int(-5), Value::Int(7), Value::Int(3)])
            )),
            "-0005|7   |+3"
        );
        assert_eq!(
            done(percent(
                "%5s|%x|%#X",
                &tuple(vec![string("ab"), Value::Int(255), Value::Int(255)])
            )),
            "   ab|ff|0XFF"
        );
        assert!(percent("%d", &tuple(vec![])).is_err());
        assert!(percent("x", &tuple(vec![Value::Int(1)])).is_err());
    }

    #[test]
    fn brace_formats() {
        let args = Args {
            positional: vec![Value::Int(7), Value::Float(1.0 / 3.0), string("ab")],
            keywords: vec![("name".into(), string("n"))],
        };
        assert_eq!(
            done(braces("{} {:.2f} {:>4} {name} {{}}", &args)),
            "7 0.33   ab n {}"
        );
        assert_eq!(done(braces("{0:03d} {0:x} {2!r}", &args)), "007 7 'ab'");
        assert!(braces("{} {} {} {}", &args).is_err());
    }
}
