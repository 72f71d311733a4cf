// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prompt's line editor (MicroPython's `lib/mp-readline`, `py/repl.c`).

/// Longest line; the firmware has room for no more than its heap, and redraws all of it.
const LONGEST: usize = 16 << 10;

/// Lines that are remembered.
const HISTORY: usize = 8;

/// What is typed, which may be several lines.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// All of it.
    pub text: Vec<u8>,
    /// Where the line that is edited begins.
    start: usize,
    cursor: usize,
    recalled: usize,
    escape: Escape,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    Bracket,
    Digit(u8),
}

/// The editor's memory.
#[derive(Debug, Default)]
pub(crate) struct Readline {
    history: Vec<Vec<u8>>,
}

impl Line {
    /// Begins a line; gives the indentation that it starts with.
    pub(crate) fn begin(&mut self) -> String {
        self.start = self.text.len();
        self.recalled = 0;
        self.escape = Escape::None;
        let indent = self.indent();
        self.text.extend(indent.bytes());
        self.cursor = self.text.len();
        indent
    }

    /// `readline_auto_indent`.
    fn indent(&self) -> String {
        let Some(before) = self.text.strip_suffix(b"\n") else {
            return String::new();
        };
        let mut lines = before.rsplit(|&byte| byte == b'\n');
        let last = lines.next().unwrap_or_default();
        let blank = |line: &[u8]| line.iter().all(|&byte| byte == b' ');
        if blank(last) && lines.next().is_some_and(blank) {
            return String::new();
        }
        let spaces = last.iter().take_while(|&&byte| byte == b' ').count();
        let levels = spaces / 4 + usize::from(last.ends_with(b":"));
        "    ".repeat(levels)
    }

    /// `mp_repl_continue_with_input`.
    pub(crate) fn wants_more(&self) -> bool {
        let text = &self.text;
        let Some(&last) = text.last() else {
            return false;
        };
        let compound = text[0] == b'@'
            || [
                &b"if"[..],
                b"while",
                b"for",
                b"try",
                b"with",
                b"def",
                b"class",
            ]
            .into_iter()
            .any(|word| {
                text.strip_prefix(word).is_some_and(|rest| {
                    !rest
                        .first()
                        .is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
                })
            });
        let mut quote: Option<(u8, bool)> = None;
        let mut nesting = [0i32; 3];
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            match (byte, quote) {
                (b'\'' | b'"', None | Some((_, true))) if text[at..].starts_with(&[byte; 3]) => {
                    match quote {
                        None => quote = Some((byte, true)),
                        Some((mark, _)) if mark == byte => quote = None,
                        _ => {}
                    }
                    at += 2;
                }
                (b'\'' | b'"', None) => quote = Some((byte, false)),
                (b'\'' | b'"', Some((mark, false))) if mark == byte => quote = None,
                (b'\\', Some(_)) if at + 1 < text.len() => at += 1,
                (b'(' | b')', None) => nesting[0] += if byte == b'(' { 1 } else { -1 },
                (b'[' | b']', None) => nesting[1] += if byte == b'[' { 1 } else { -1 },
                (b'{' | b'}', None) => nesting[2] += if byte == b'{' { 1 } else { -1 },
                _ => {}
            }
            at += 1;
        }
        let open = nesting.iter().any(|&depth| depth > 0);
        matches!(quote, Some((_, true)))
            || (open && quote.is_none())
            || last == b'\\'
            || (compound && last != b'\n')
    }

    /// Replaces what is edited and redraws it.
    fn replace(&mut self, with: &[u8], echo: &mut Vec<u8>) {
        move_back(self.cursor - self.start, echo);
        if self.start + with.len() < self.text.len() {
            echo.extend(b"\x1b[K");
        }
        self.text.truncate(self.start);
        self.text.extend(with);
        self.cursor = self.text.len();
        echo.extend(with);
    }

    /// Takes `count` bytes away at the cursor.
    fn cut(&mut self, count: usize, echo: &mut Vec<u8>) {
        self.text.drain(self.cursor..self.cursor + count);
        echo.extend(b"\x1b[K");
        self.redraw(echo);
    }

    fn redraw(&self, echo: &mut Vec<u8>) {
        echo.extend(&self.text[self.cursor..]);
        move_back(self.text.len() - self.cursor, echo);
    }
}

fn move_back(count: usize, echo: &mut Vec<u8>) {
    if count <= 4 {
        echo.extend(std::iter::repeat_n(8, count));
    } else {
        echo.extend(format!("\x1b[{count}D").bytes());
    }
}

impl Readline {
    /// `readline_process_char`: gives what ends the line, 0 for return.
    pub(crate) fn feed(&mut self, line: &mut Line, byte: u8, echo: &mut Vec<u8>) -> Option<u8> {
        match line.escape {
            Escape::None => {}
            Escape::Begun => {
                line.escape = match byte {
                    b'[' => Escape::Bracket,
                    _ => Escape::None,
                };
                return None;
            }
            Escape::Bracket => {
                line.escape = match byte {
                    b'0'..=b'9' => Escape::Digit(byte),
                    _ => Escape::None,
                };
                match byte {
                    b'A' => self.recall(line, line.recalled + 1, echo),
                    b'B' if line.recalled > 0 => self.recall(line, line.recalled - 1, echo),
                    b'C' => self.edit(line, 6, echo),
                    b'D' => self.edit(line, 2, echo),
                    b'H' => self.edit(line, 1, echo),
                    b'F' => self.edit(line, 5, echo),
                    _ => {}
                }
                return None;
            }
            Escape::Digit(digit) => {
                line.escape = Escape::None;
                if byte == b'~' {
                    match digit {
                        b'1' | b'7' => self.edit(line, 1, echo),
                        b'4' | b'8' => self.edit(line, 5, echo),
                        b'3' => self.edit(line, 4, echo),
                        _ => {}
                    }
                }
                return None;
            }
        }
        match byte {
            1..=5 if line.text.len() == line.start => return Some(byte),
            3 => return Some(byte),
            b'\r' => {
                echo.extend(b"\r\n");
                let typed = &line.text[line.start..];
                if !typed.is_empty() && self.history.first().is_none_or(|last| last != typed) {
                    self.history.insert(0, typed.to_vec());
                    self.history.truncate(HISTORY);
                }
                return Some(0);
            }
            27 => line.escape = Escape::Begun,
            8 | 127 if line.cursor > line.start => {
                let before = &line.text[line.start..line.cursor];
                let blank = before.iter().all(|&byte| byte == b' ');
                let count = if blank && before.len() >= 4 { 4 } else { 1 };
                line.cursor -= count;
                move_back(count, echo);
                line.cut(count, echo);
            }
            14 if line.recalled > 0 => self.recall(line, line.recalled - 1, echo),
            16 => self.recall(line, line.recalled + 1, echo),
            32..=126 if line.text.len() < LONGEST => {
                line.text.insert(line.cursor, byte);
                echo.push(byte);
                line.cursor += 1;
                line.redraw(echo);
            }
            _ => self.edit(line, byte, echo),
        }
        None
    }

    /// The editing keys, by their control characters.
    fn edit(&self, line: &mut Line, key: u8, echo: &mut Vec<u8>) {
        match key {
            1 => {
                move_back(line.cursor - line.start, echo);
                line.cursor = line.start;
            }
            2 if line.cursor > line.start => {
                line.cursor -= 1;
                move_back(1, echo);
            }
            4 if line.cursor < line.text.len() => line.cut(1, echo),
            5 => {
                echo.extend(&line.text[line.cursor..]);
                line.cursor = line.text.len();
            }
            6 if line.cursor < line.text.len() => {
                echo.push(line.text[line.cursor]);
                line.cursor += 1;
            }
            11 if line.cursor < line.text.len() => line.cut(line.text.len() - line.cursor, echo),
            21 if line.cursor > line.start => {
                let count = line.cursor - line.start;
                line.cursor = line.start;
                move_back(count, echo);
                line.cut(count, echo);
            }
            _ => {}
        }
    }

    /// Shows the line entered `age` lines ago; 0 is an empty one.
    fn recall(&self, line: &mut Line, age: usize, echo: &mut Vec<u8>) {
        let text = match age {
            0 => &[][..],
            age => match self.history.get(age - 1) {
                Some(text) => text,
                None => return,
            },
        };
        line.recalled = age;
        line.replace(text, echo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_into(readline: &mut Readline, line: &mut Line, keys: &[u8]) -> Option<u8> {
        let mut echo = Vec::new();
        keys.iter()
            .find_map(|&key| readline.feed(line, key, &mut echo))
    }

    #[test]
    fn keys_edit() {
        let mut readline = Readline::default();
        let mut line = Line::default();
        line.begin();
        assert_eq!(
            type_into(&mut readline, &mut line, b"abd\x02c\x01X\x05Y\x7f\r"),
            Some(0)
        );
        assert_eq!(line.text, b"Xabcd");
        let mut line = Line::default();
        line.begin();
        assert_eq!(
            type_into(&mut readline, &mut line, b"junk\x15\x1b[A\r"),
            Some(0)
        );
        assert_eq!(line.text, b"Xabcd");
        let mut line = Line::default();
        line.begin();
        assert_eq!(type_into(&mut readline, &mut line, b"x\x03"), Some(3));
        let mut line = Line::default();
        assert_eq!(type_into(&mut readline, &mut line, b"\x04"), Some(4));
    }

    #[test]
    fn blocks_go_on_until_an_empty_line() {
        let more = |text: &str| {
            let line = Line {
                text: text.into(),
                ..Line::default()
            };
            line.wants_more()
        };
        assert!(more("while True:"));
        assert!(more("while True:\n    pass"));
        assert!(!more("while True:\n    pass\n"));
        assert!(!more("whilex = 1"));
        assert!(more("f(1,"));
        assert!(!more("f('(')"));
        assert!(more("'''text"));
        assert!(!more("x = 'open"));
    }

    #[test]
    fn lines_are_indented_as_the_one_before() {
        let mut line = Line {
            text: b"while True:\n".to_vec(),
            ..Line::default()
        };
        assert_eq!(line.begin(), "    ");
        line.text.extend(b"if x:\n");
        assert_eq!(line.begin(), "        ");
    }
}
