// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `image`, and the methods of images (`py_image.c`). There is one image, the camera's
//! buffer; methods that change pictures otherwise than by drawing leave it alone.

use super::{Module, sensor};
use crate::python::interpreter::Interpreter;
use crate::python::native::Function;
use crate::python::value::{Value, tuple};
use crate::python::{Args, Raise, Result, float, int, text};

pub(crate) static MODULE: Module = Module {
    name: "image",
    functions: &[],
    numbers: &[],
    values: &[("Image", || Value::Type("Image"))],
};

/// Methods of images.
pub(crate) static METHODS: &[Function] = &[
    ("width", |interpreter, _| {
        Ok(Value::Int(interpreter.cpu.camera.buffer.width as i64))
    }),
    ("height", |interpreter, _| {
        Ok(Value::Int(interpreter.cpu.camera.buffer.height as i64))
    }),
    ("format", |interpreter, _| {
        let grey = interpreter.cpu.camera.buffer.bpp == 1;
        let name = if grey { "GRAYSCALE" } else { "RGB565" };
        Ok(sensor::MODULE.attribute(name).unwrap_or(Value::None))
    }),
    ("size", |interpreter, _| {
        let buffer = &interpreter.cpu.camera.buffer;
        let bytes = buffer.width * buffer.height * buffer.bpp.max(0) as usize;
        Ok(Value::Int(bytes as i64))
    }),
    ("get_pixel", |interpreter, args| {
        let (at, _) = coordinates::<2>(args)?;
        Ok(match interpreter.cpu.camera.buffer.pixel(at[0], at[1]) {
            None => Value::None,
            Some([gray]) => Value::Int((*gray).into()),
            Some(pixel) => tuple(pixel.iter().map(|&part| Value::Int(part.into())).collect()),
        })
    }),
    ("set_pixel", |interpreter, args| {
        let ([x, y], used) = coordinates(args)?;
        let color = color(args, used)?;
        interpreter.cpu.camera.buffer.plot(x, y, color);
        Ok(Value::Image)
    }),
    ("draw_rectangle", draw_rectangle),
    ("draw_line", |interpreter, args| {
        let ([x0, y0, x1, y1], used) = coordinates(args)?;
        let (color, thickness) = (color(args, used)?, thickness(args)?);
        let buffer = &mut interpreter.cpu.camera.buffer;
        buffer.line(x0, y0, x1, y1, thickness, color);
        Ok(Value::Image)
    }),
    ("draw_cross", draw_cross),
    ("draw_circle", |interpreter, args| {
        let ([x, y, radius], used) = coordinates(args)?;
        let (color, fill) = (color(args, used)?, is_filled(args));
        let buffer = &mut interpreter.cpu.camera.buffer;
        buffer.circle(x, y, radius, fill, color);
        Ok(Value::Image)
    }),
    ("draw_string", draw_string),
    ("draw_image", unchanged),
    ("draw_arrow", unchanged),
    ("clear", |interpreter, _| {
        interpreter.cpu.camera.buffer.clear();
        Ok(Value::Image)
    }),
    ("copy", unchanged),
    ("resize", unchanged),
    ("crop", unchanged),
    ("rotation_corr", unchanged),
    ("lens_corr", unchanged),
    ("invert", unchanged),
    ("binary", unchanged),
    ("mean", unchanged),
    ("median", unchanged),
    ("gaussian", unchanged),
    ("histeq", unchanged),
    ("pix_to_ai", unchanged),
    ("ai_to_pix", unchanged),
    ("to_grayscale", unchanged),
    ("to_rgb565", unchanged),
    ("compress", unchanged),
    ("compressed", unchanged),
    ("save", unchanged),
];

fn unchanged(_: &mut Interpreter<'_>, _: &Args) -> Result<Value> {
    Ok(Value::Image)
}

/// The color of a drawing method: `color=`, or the argument at `index`.
fn color(args: &Args, index: usize) -> Result<[u8; 3]> {
    match args.get(index, "color") {
        None => Ok([255; 3]),
        Some(Value::Int(value)) => {
            // RGB565 with its bytes exchanged.
            let value = (*value as u16).swap_bytes();
            Ok([
                (value >> 11 << 3) as u8,
                (value >> 5 << 2) as u8,
                (value << 3) as u8,
            ])
        }
        Some(parts) => {
            let parts = parts.items().unwrap_or_default();
            let [red, green, blue] = &parts[..] else {
                return Err(Raise::new("TypeError", "object isn't a tuple or list"));
            };
            let part = |value: &Value| Ok(int(value)?.clamp(0, 255) as u8);
            Ok([part(red)?, part(green)?, part(blue)?])
        }
    }
}

fn thickness(args: &Args) -> Result<i64> {
    let given = args.keyword("thickness").map_or(Ok(1), int)?;
    Ok(given.clamp(1, 64))
}

fn is_filled(args: &Args) -> bool {
    args.keyword("fill").is_some_and(Value::is_true)
}

fn too_few() -> Raise {
    Raise::new("OSError", "Not enough positional arguments!")
}

/// Farther away than any picture reaches; sums of a few of them do not overflow.
const FAR: i64 = 1 << 32;

/// The first coordinates, given singly or as one tuple, and how many arguments that were.
fn coordinates<const N: usize>(args: &Args) -> Result<([i64; N], usize)> {
    let (items, used) = match args.positional.first().and_then(Value::items) {
        Some(items) => (items, 1),
        None => (args.positional.clone(), N),
    };
    let mut numbers = [0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        let value = match items.get(index).ok_or_else(too_few)? {
            Value::Float(value) => *value as i64,
            other => int(other)?,
        };
        *number = value.clamp(-FAR, FAR);
    }
    Ok((numbers, used))
}

fn draw_rectangle(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let ([x, y, width, height], used) = coordinates(args)?;
    let (color, thickness) = (color(args, used)?, thickness(args)?);
    let buffer = &mut interpreter.cpu.camera.buffer;
    if is_filled(args) {
        buffer.fill(x, y, width, height, color);
    } else {
        buffer.fill(x, y, width, thickness, color);
        buffer.fill(x, y + height - thickness, width, thickness, color);
        buffer.fill(x, y, thickness, height, color);
        buffer.fill(x + width - thickness, y, thickness, height, color);
    }
    Ok(Value::Image)
}

fn draw_cross(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let ([x, y], used) = coordinates(args)?;
    let (color, thickness) = (color(args, used)?, thickness(args)?);
    let size = args.keyword("size").map_or(Ok(5), int)?.clamp(-FAR, FAR);
    let buffer = &mut interpreter.cpu.camera.buffer;
    buffer.line(x - size, y, x + size, y, thickness, color);
    buffer.line(x, y - size, x, y + size, thickness, color);
    Ok(Value::Image)
}

fn draw_string(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let ([x, y], used) = coordinates(args)?;
    let content = text(args.positional.get(used).ok_or_else(too_few)?)?;
    let scale = match args.keyword("scale") {
        Some(scale) => float(scale)?.clamp(1.0, 16.0) as i64,
        None => 1,
    };
    let color = color(args, used + 1)?;
    let buffer = &mut interpreter.cpu.camera.buffer;
    buffer.text(x, y, scale, &content, color);
    Ok(Value::Image)
}
