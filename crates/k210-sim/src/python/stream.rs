// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all that is read and written has in common: files, the terminal, the UART (`stream.c`).

use super::interpreter::Interpreter;
use super::modules::{files, terminal, uart};
use super::value::{Value, buffer, list, string};
use super::{Args, Raise, Result, bytes, heap, int};

/// `DEFAULT_BUFFER_SIZE`.
const PIECE: usize = 256;

/// What one `read` of the stream itself gives.
pub(crate) enum Got {
    /// Bytes; none are the end.
    Bytes(Vec<u8>),
    /// `MP_EAGAIN`: there are none now.
    Nothing,
}

fn pull(interpreter: &mut Interpreter<'_>, stream: &Value, most: usize) -> Result<Got> {
    match stream {
        Value::File(file) => files::pull(interpreter, file, most).map(Got::Bytes),
        Value::Terminal(end) => terminal::pull(interpreter, *end, most).map(Got::Bytes),
        Value::Uart => uart::pull(interpreter, most),
        _ => Err(unsupported()),
    }
}

/// One `write` of the stream itself: how much of it the stream says that it has taken.
pub(crate) fn push(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    data: &[u8],
) -> Result<usize> {
    match stream {
        Value::File(file) => files::push(interpreter, file, data)?,
        Value::Terminal(end) => terminal::push(interpreter, *end, data)?,
        Value::Uart => return uart::push(interpreter, data),
        _ => return Err(unsupported()),
    }
    Ok(data.len())
}

fn unsupported() -> Raise {
    Raise::new("OSError", "stream operation not supported")
}

fn is_text(stream: &Value) -> bool {
    match stream {
        Value::File(file) => !file.borrow().binary,
        Value::Terminal(end) => terminal::is_text(*end),
        _ => false,
    }
}

/// What was read, as the stream has it.
fn content(stream: &Value, data: Vec<u8>) -> Value {
    match is_text(stream) {
        true => string(String::from_utf8_lossy(&data)),
        false => Value::Bytes(data.into()),
    }
}

/// `mp_stream_rw`: as many bytes, fewer at the end of the stream; `None` if there are none now.
fn exactly(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    count: usize,
) -> Result<Option<Vec<u8>>> {
    heap::reserve(count)?;
    let mut data = Vec::new();
    while data.len() < count {
        match pull(interpreter, stream, count - data.len())? {
            Got::Nothing if data.is_empty() => return Ok(None),
            Got::Nothing => break,
            Got::Bytes(piece) if piece.is_empty() => break,
            Got::Bytes(piece) => data.extend(piece),
        }
    }
    Ok(Some(data))
}

/// `stream_readall`.
fn all(interpreter: &mut Interpreter<'_>, stream: &Value) -> Result<Value> {
    let mut data = Vec::new();
    loop {
        heap::reserve(data.len() + PIECE)?;
        match pull(interpreter, stream, PIECE)? {
            Got::Nothing if data.is_empty() => return Ok(Value::None),
            Got::Nothing => break,
            Got::Bytes(piece) if piece.is_empty() => break,
            Got::Bytes(piece) => data.extend(piece),
        }
    }
    Ok(content(stream, data))
}

/// Bytes of the character that begins with this one.
fn width(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        // What continues a character begins none; the firmware takes it for one of five.
        _ => 5,
    }
}

/// As many characters of text, read by bytes and never too far.
fn characters(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    mut count: usize,
) -> Result<Option<Vec<u8>>> {
    heap::reserve(count)?;
    let mut data: Vec<u8> = Vec::new();
    // Where the first character begins that is not whole.
    let mut whole = 0;
    let mut wanted = count;
    while wanted > 0 {
        let piece = match exactly(interpreter, stream, wanted)? {
            None if data.is_empty() => return Ok(None),
            None => break,
            Some(piece) if piece.is_empty() => break,
            Some(piece) => piece,
        };
        data.extend(piece);
        heap::reserve(data.len())?;
        while let Some(&first) = data.get(whole) {
            let end = whole + width(first);
            if end > data.len() {
                break;
            }
            whole = end;
            count = count.saturating_sub(1);
        }
        wanted = match data.get(whole) {
            None => count,
            Some(&first) => whole + width(first) - data.len() + count.saturating_sub(1),
        };
    }
    Ok(Some(data))
}

/// `stream_read_generic`.
pub(crate) fn read(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    args: &Args,
) -> Result<Value> {
    let count = args.between(0, 1)?.first().map_or(Ok(-1), int)?;
    if count == -1 {
        return all(interpreter, stream);
    }
    // There is no memory for a number below that.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let data = match is_text(stream) {
        true => characters(interpreter, stream, count)?,
        false => exactly(interpreter, stream, count)?,
    };
    Ok(data.map_or(Value::None, |data| content(stream, data)))
}

/// `stream_readinto`.
pub(crate) fn readinto(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    args: &Args,
) -> Result<Value> {
    let given = args.between(1, 2)?;
    let room = bytes::room(&given[0])?;
    let count = match given.get(1) {
        None => room,
        // A negative number is a large one there.
        Some(most) => usize::try_from(int(most)?).map_or(room, |most| most.min(room)),
    };
    Ok(match exactly(interpreter, stream, count)? {
        None => Value::None,
        Some(data) => {
            bytes::fill(&given[0], &data)?;
            Value::Int(data.len() as i64)
        }
    })
}

/// `stream_unbuffered_readline`.
pub(crate) fn readline(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    args: &Args,
) -> Result<Value> {
    let most = args.between(0, 1)?.first().map_or(Ok(-1), int)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut data = Vec::new();
    while data.len() < most {
        heap::reserve(data.len() + 1)?;
        match pull(interpreter, stream, 1)? {
            Got::Nothing if data.is_empty() => return Ok(Value::None),
            Got::Nothing => break,
            Got::Bytes(piece) if piece.is_empty() => break,
            Got::Bytes(piece) => data.extend(piece),
        }
        if data.last() == Some(&b'\n') {
            break;
        }
    }
    Ok(content(stream, data))
}

/// `stream_unbuffered_readlines`.
pub(crate) fn readlines(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    args: &Args,
) -> Result<Value> {
    args.exactly(0)?;
    let mut lines = Vec::new();
    loop {
        heap::reserve_slots(lines.len() + 1)?;
        match readline(interpreter, stream, args)? {
            line if line.is_true() => lines.push(line),
            _ => return Ok(list(lines)),
        }
    }
}

/// `stream_write_method`: all of what is given, the beginning, or a part.
pub(crate) fn write(
    interpreter: &mut Interpreter<'_>,
    stream: &Value,
    args: &Args,
) -> Result<Value> {
    let given = args.between(1, 3)?;
    let data = buffer(&given[0])?;
    let number = |at: usize| int(&given[at]).map(|value| value as usize);
    let (start, most) = match given.len() {
        1 => (0, usize::MAX),
        2 => (0, number(1)?),
        _ => (number(1)?.min(data.len()), number(2)?),
    };
    let data = &data[start..];
    let data = &data[..data.len().min(most)];
    let taken = match data {
        [] => 0,
        data => push(interpreter, stream, data)?,
    };
    Ok(Value::Int(taken as i64))
}
