// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `ubinascii` (`modubinascii.c`).

use super::Module;
use crate::python::value::{Value, buffer};
use crate::python::{Args, Raise, Result, heap};

pub(crate) static MODULE: Module = Module::of(
    "ubinascii",
    &[
        ("hexlify", |_, args| {
            let given = args.between(1, 2)?;
            let data = bytes(&given[0])?;
            heap::reserve(3 * data.len())?;
            let separator = given.get(1).map_or(Ok(Vec::new()), bytes)?;
            let digits = data.iter().map(|byte| format!("{byte:02x}").into_bytes());
            let digits: Vec<Vec<u8>> = digits.collect();
            Ok(Value::Bytes(digits.join(&separator[..]).into()))
        }),
        ("unhexlify", |_, args| {
            let digits = bytes(&args.exactly(1)?[0])?;
            if digits.len() % 2 != 0 {
                return Err(Raise::new("ValueError", "odd-length string"));
            }
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let pair = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
            let data: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
            let data = data.ok_or_else(|| Raise::new("ValueError", "non-hex digit found"))?;
            Ok(Value::Bytes(data.into()))
        }),
        ("b2a_base64", |_, args| {
            Ok(Value::Bytes(encode(args)?.into()))
        }),
        ("a2b_base64", |_, args| {
            Ok(Value::Bytes(decode(args)?.into()))
        }),
        ("crc32", |_, args| {
            let given = args.between(1, 2)?;
            let start = given.get(1).and_then(Value::as_int).unwrap_or(0) as u32;
            let step = |crc: u32, byte: &u8| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
                })
            };
            let crc = !bytes(&given[0])?.iter().fold(!start, step);
            Ok(Value::Int(crc.into()))
        }),
    ],
);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes, or those of a text.
fn bytes(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::Str(text) => Ok(text.as_bytes().to_vec()),
        value => Ok(buffer(value)?.into_owned()),
    }
}

fn encode(args: &Args) -> Result<Vec<u8>> {
    let data = bytes(&args.exactly(1)?[0])?;
    heap::reserve(2 * data.len())?;
    let mut out = Vec::new();
    for three in data.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            out.push(match n <= three.len() {
                true => ALPHABET[(bits >> (18 - 6 * n)) as usize & 63],
                false => b'=',
            });
        }
    }
    out.push(b'\n');
    Ok(out)
}

fn decode(args: &Args) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for character in bytes(&args.exactly(1)?[0])? {
        let Some(six) = ALPHABET.iter().position(|&found| found == character) else {
            // Whatever else there is, line ends among it, is passed over; the rest is padding.
            if character == b'=' {
                break;
            }
            continue;
        };
        bits = bits << 6 | six as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    match count {
        6 => Err(Raise::new("ValueError", "incorrect padding")),
        _ => Ok(out),
    }
}
