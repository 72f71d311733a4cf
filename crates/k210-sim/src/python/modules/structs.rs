// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `ustruct` (`modstruct.c`).

use super::Module;
use crate::python::value::{Value, buffer, tuple};
use crate::python::{Raise, Result, float, heap, int, text};

pub(crate) static MODULE: Module = Module::of(
    "ustruct",
    &[
        ("calcsize", |_, args| {
            let layout = Layout::parse(&text(&args.exactly(1)?[0])?)?;
            Ok(Value::Int(layout.size as i64))
        }),
        ("pack", |_, args| {
            let Some((format, values)) = args.positional.split_first() else {
                return args.exactly(1).map(|_| Value::None);
            };
            let layout = Layout::parse(&text(format)?)?;
            Ok(Value::Bytes(layout.pack(values)?.into()))
        }),
        ("unpack", |_, args| {
            let given = args.exactly(2)?;
            let layout = Layout::parse(&text(&given[0])?)?;
            layout.unpack(&buffer(&given[1])?).map(tuple)
        }),
        ("unpack_from", |_, args| {
            let given = args.between(2, 3)?;
            let layout = Layout::parse(&text(&given[0])?)?;
            let data = buffer(&given[1])?;
            let offset = given.get(2).map_or(Ok(0), int)?;
            // One below zero counts from the end.
            let offset = match offset {
                0.. => offset,
                _ => data.len() as i64 + offset,
            };
            let rest = usize::try_from(offset).ok().and_then(|at| data.get(at..));
            layout.unpack(rest.ok_or_else(too_small)?).map(tuple)
        }),
    ],
);

fn too_small() -> Raise {
    Raise::new("ValueError", "buffer too small")
}

/// A field: its letter, where it is, and how many bytes it has.
struct Field {
    letter: char,
    at: usize,
    size: usize,
}

struct Layout {
    fields: Vec<Field>,
    size: usize,
    big: bool,
}

impl Layout {
    fn parse(format: &str) -> Result<Self> {
        let (order, rest) = match format.chars().next() {
            Some(order @ ('<' | '>' | '!' | '=' | '@')) => (order, &format[1..]),
            _ => ('@', format),
        };
        let mut layout = Self {
            fields: Vec::new(),
            size: 0,
            big: matches!(order, '>' | '!'),
        };
        let mut count: Option<usize> = None;
        for letter in rest.chars() {
            if let Some(digit) = letter.to_digit(10) {
                let value = count.unwrap_or(0).saturating_mul(10) + digit as usize;
                count = Some(value.min(heap::SIZE));
                continue;
            }
            let size = match letter {
                ' ' => continue,
                'b' | 'B' | 's' | 'x' => 1,
                'h' | 'H' => 2,
                'i' | 'I' | 'f' => 4,
                'l' | 'L' if order != '@' => 4,
                'l' | 'L' | 'q' | 'Q' | 'd' => 8,
                _ => return Err(Raise::new("ValueError", "bad typecode")),
            };
            let times = count.take().unwrap_or(1);
            if letter == 's' {
                layout.push(letter, times, 1);
                continue;
            }
            heap::reserve_slots(times)?;
            for _ in 0..times {
                layout.push(letter, size, if order == '@' { size } else { 1 });
            }
        }
        Ok(layout)
    }

    fn push(&mut self, letter: char, size: usize, alignment: usize) {
        let at = self.size.next_multiple_of(alignment);
        self.size = at + size;
        if letter != 'x' {
            self.fields.push(Field { letter, at, size });
        }
    }

    fn pack(&self, values: &[Value]) -> Result<Vec<u8>> {
        heap::reserve(self.size)?;
        let mut out = vec![0; self.size];
        if values.len() < self.fields.len() {
            return Err(Raise::new("TypeError", "not enough arguments"));
        }
        for (field, value) in self.fields.iter().zip(values) {
            let place = &mut out[field.at..field.at + field.size];
            if field.letter == 's' {
                let data = buffer(value)?;
                let len = data.len().min(field.size);
                place[..len].copy_from_slice(&data[..len]);
                continue;
            }
            let bits = match field.letter {
                'f' => float(value)?.to_bits().into(),
                'd' => f64::from(float(value)?).to_bits(),
                _ => int(value)? as u64,
            };
            place.copy_from_slice(&bits.to_le_bytes()[..field.size]);
            if self.big {
                place.reverse();
            }
        }
        Ok(out)
    }

    fn unpack(&self, data: &[u8]) -> Result<Vec<Value>> {
        let data = data.get(..self.size).ok_or_else(too_small)?;
        let value = |field: &Field| {
            let place = &data[field.at..field.at + field.size];
            if field.letter == 's' {
                return Value::Bytes(place.into());
            }
            let mut bytes = [0; 8];
            bytes[..field.size].copy_from_slice(place);
            if self.big {
                bytes[..field.size].reverse();
            }
            let bits = u64::from_le_bytes(bytes);
            let unused = 64 - 8 * field.size as u32;
            match field.letter {
                'f' => Value::Float(f32::from_bits(bits as u32)),
                'd' => Value::Float(f64::from_bits(bits) as f32),
                'B' | 'H' | 'I' | 'L' | 'Q' => Value::Int(bits as i64),
                _ => Value::Int((bits << unused) as i64 >> unused),
            }
        };
        Ok(self.fields.iter().map(value).collect())
    }
}
