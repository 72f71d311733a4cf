// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's modules, as far as the simulated board has them.

use std::cell::RefCell;
use std::rc::Rc;

use super::interpreter::Interpreter;
use super::value::{File, Value, list, string, tuple};
use super::{Args, Raise, Result, builtins, float, int, sensor, text};
use crate::dispatch::VERSION;
use crate::firmware::UartSettings;

/// Methods of images. Those that draw do; the others that change pictures leave them alone.
pub const IMAGE_METHODS: &[&str] = &[
    "width",
    "height",
    "format",
    "size",
    "get_pixel",
    "set_pixel",
    "draw_rectangle",
    "draw_line",
    "draw_cross",
    "draw_circle",
    "draw_string",
    "draw_image",
    "draw_arrow",
    "clear",
    "copy",
    "resize",
    "crop",
    "rotation_corr",
    "lens_corr",
    "invert",
    "binary",
    "mean",
    "median",
    "gaussian",
    "histeq",
    "pix_to_ai",
    "ai_to_pix",
    "to_grayscale",
    "to_rgb565",
    "compress",
    "compressed",
    "save",
];

/// Methods of the UART.
pub const UART_METHODS: &[&str] = &[
    "init", "deinit", "any", "read", "readchar", "readline", "readinto", "write",
];

/// Functions by module.
const MODULES: [(&str, &[&str]); 15] = [
    ("", &[]),
    ("sensor", &[]),
    ("image", &[]),
    (
        "lcd",
        &[
            "init",
            "deinit",
            "display",
            "clear",
            "draw_string",
            "rotation",
            "mirror",
            "freq",
            "width",
            "height",
            "direction",
            "fill_rectangle",
            "bgr_to_rgb",
        ],
    ),
    (
        "time",
        &[
            "sleep",
            "sleep_ms",
            "sleep_us",
            "ticks_ms",
            "ticks_us",
            "ticks_cpu",
            "ticks_add",
            "ticks_diff",
            "ticks",
            "time",
            "localtime",
            "clock",
        ],
    ),
    ("sys", &["exit", "print_exception"]),
    (
        "gc",
        &[
            "collect",
            "enable",
            "disable",
            "mem_free",
            "mem_alloc",
            "isenabled",
        ],
    ),
    (
        "os",
        &[
            "listdir", "remove", "uname", "chdir", "getcwd", "stat", "sync", "rename",
        ],
    ),
    ("machine", &["reset", "unique_id"]),
    ("Maix", &[]),
    (
        "math",
        &[
            "sqrt", "sin", "cos", "tan", "atan", "atan2", "floor", "ceil", "fabs", "pow", "exp",
            "log", "radians", "degrees",
        ],
    ),
    ("micropython", &["const", "mem_info", "kbd_intr"]),
    ("random", &["getrandbits", "randint", "random", "seed"]),
    ("fpioa_manager", &[]),
    ("board", &[]),
];

/// Other things in modules.
fn constant(module: &str, name: &str) -> Option<Value> {
    Some(match (module, name) {
        ("image", "Image") => Value::Type("Image"),
        ("machine", "UART") => Value::Type("UART"),
        ("lcd", "BLACK") => Value::Int(0),
        ("lcd", "WHITE") => Value::Int(0xffff),
        ("lcd", "RED") => Value::Int(0x00f8),
        ("lcd", "GREEN") => Value::Int(0xe007),
        ("lcd", "BLUE") => Value::Int(0x1f00),
        ("lcd", "YELLOW") => Value::Int(0xe0ff),
        ("lcd", "PINK") => Value::Int(0x1ff8),
        ("lcd", "ORANGE") => Value::Int(0x20fd),
        ("lcd", "PURPLE") => Value::Int(0x0f78),
        ("lcd", "XY_RLUD" | "YX_LRUD") => Value::Int(0),
        ("math", "pi") => Value::Float(std::f32::consts::PI),
        ("math", "e") => Value::Float(std::f32::consts::E),
        ("sys", "path") => list(["", ".", "/flash"].map(string).to_vec()),
        ("sys", "argv") => list(Vec::new()),
        ("sys", "platform") => string("MaixPy"),
        ("sys", "version") => string("3.4.0"),
        ("sys", "byteorder") => string("little"),
        ("sys", "maxsize") => Value::Int(i64::MAX),
        ("sys", "implementation") => {
            let version = VERSION.map(|part| Value::Int(part.into())).to_vec();
            tuple(vec![string("micropython"), tuple(version)])
        }
        ("os", "sep") => string("/"),
        (_, "__name__") => string(module),
        _ => return None,
    })
}

/// `import`.
pub fn import(name: &str) -> Result<Value> {
    let plain = match name {
        "utime" => "time",
        "uos" => "os",
        "usys" => "sys",
        "urandom" => "random",
        name => name,
    };
    MODULES
        .iter()
        .find(|(found, _)| *found == plain && !plain.is_empty())
        .map(|(name, _)| Value::Module(name))
        .ok_or_else(|| Raise::new("ImportError", format!("no module named '{name}'")))
}

/// A name in a module.
pub fn attribute(module: &'static str, name: &str) -> Option<Value> {
    if module == "sensor" {
        return sensor::attribute(name);
    }
    let (_, functions) = MODULES.iter().find(|(found, _)| *found == module)?;
    functions
        .iter()
        .find(|found| **found == name)
        .map(|name| Value::Native(module, name))
        .or_else(|| constant(module, name))
}

/// All functions and what else is listed of a module.
pub fn everything(module: &Value) -> Vec<(&'static str, Value)> {
    let Value::Module(module) = module else {
        return Vec::new();
    };
    let named = |name: &'static str| attribute(module, name).map(|value| (name, value));
    if *module == "sensor" {
        return sensor::names().filter_map(named).collect();
    }
    let functions = MODULES
        .iter()
        .find(|(found, _)| found == module)
        .map_or(&[][..], |(_, functions)| functions);
    let constants = [
        "Image", "UART", "pi", "e", "RED", "GREEN", "BLUE", "WHITE", "BLACK",
    ];
    functions
        .iter()
        .copied()
        .chain(constants)
        .filter_map(named)
        .collect()
}

/// A name in a built-in class.
pub fn type_attribute(kind: &'static str, name: &str) -> Option<Value> {
    Some(match (kind, name) {
        (_, "__name__") => string(kind),
        ("UART", "repl_uart") => Value::Native("UART", "repl_uart"),
        ("UART", "set_repl_uart") => Value::Native("UART", "set_repl_uart"),
        ("UART", "UART1") => Value::Int(0),
        ("UART", "UART2") => Value::Int(1),
        ("UART", "UART3") => Value::Int(2),
        ("UART", "UARTHS") => Value::Int(4),
        ("UART", "PARITY_ODD") => Value::Int(1),
        ("UART", "PARITY_EVEN") => Value::Int(2),
        _ => return None,
    })
}

/// Makes an object of the firmware's own classes.
pub fn construct(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Option<Value>> {
    Ok(match name {
        "UART" => {
            let number = int(&args.check_count(1, usize::MAX)?[0])?;
            if number == 4 {
                let rest = Args {
                    positional: args.positional[1..].to_vec(),
                    keywords: args.keywords.clone(),
                };
                uart_init(interpreter, &rest)?;
                Some(Value::Uart)
            } else if (0..3).contains(&number) {
                return Err(Raise::new(
                    "NotImplementedError",
                    "the simulated board has no UART but the one of the prompt",
                ));
            } else {
                return Err(Raise::new(
                    "ValueError",
                    format!("[MAIXPY]UART{number:b}:does not exist"),
                ));
            }
        }
        "Image" => Some(Value::Image),
        _ => None,
    })
}

/// Calls a function of a module.
pub fn call(
    interpreter: &mut Interpreter,
    module: &'static str,
    name: &'static str,
    args: Args,
) -> Result<Value> {
    match module {
        "" => builtins::call(interpreter, name, args),
        "sensor" => sensor::call(interpreter, name, &args),
        "time" => time(interpreter, name, &args),
        "sys" => match name {
            "exit" => Err(Raise::with("SystemExit", args.between(0, 1)?.to_vec())),
            _ => {
                if let Some(Value::Exception(exception)) = args.between(1, 2)?.first() {
                    interpreter.cpu.print_exception(exception)?;
                }
                Ok(Value::None)
            }
        },
        "gc" => Ok(match name {
            "mem_free" => Value::Int(480_000),
            "mem_alloc" => Value::Int(44_288),
            "isenabled" => Value::Bool(true),
            _ => Value::None,
        }),
        "os" => os(interpreter, name, &args),
        "machine" => match name {
            "reset" => {
                args.exactly(0)?;
                Err(interpreter.cpu.reset())
            }
            _ => Ok(Value::Bytes([0; 32].into())),
        },
        "math" => math(name, &args),
        "micropython" => Ok(match name {
            "const" => args.exactly(1)?[0].clone(),
            _ => Value::None,
        }),
        "random" => random(interpreter, name, &args),
        "lcd" => Ok(match name {
            "width" => Value::Int(320),
            "height" => Value::Int(240),
            _ => Value::None,
        }),
        "UART" if name == "repl_uart" => {
            args.exactly(0)?;
            Ok(Value::Uart)
        }
        _ => Ok(Value::None),
    }
}

fn time(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    /// `MICROPY_PY_UTIME_TICKS_PERIOD`: half of the largest small integer.
    const PERIOD: i64 = 1 << 62;
    let cpu = &mut *interpreter.cpu;
    let millis = cpu.millis() as i64;
    Ok(match name {
        "sleep" | "sleep_ms" | "sleep_us" => {
            let given = &args.exactly(1)?[0];
            let nanos = match name {
                "sleep" => (f64::from(float(given)?) * 1000.0) as u64 * 1_000_000,
                "sleep_ms" => u64::try_from(int(given)?)
                    .unwrap_or(0)
                    .saturating_mul(1_000_000),
                _ => u64::try_from(int(given)?).unwrap_or(0).saturating_mul(1000),
            };
            cpu.sleep(nanos)?;
            Value::None
        }
        "ticks_ms" | "ticks" => {
            args.exactly(0)?;
            Value::Int(millis)
        }
        "ticks_us" => {
            args.exactly(0)?;
            Value::Int(cpu.shared.now() as i64 / 1000)
        }
        "ticks_cpu" => Value::Int(cpu.shared.now() as i64 * 2 / 5),
        "ticks_add" => {
            let given = args.exactly(2)?;
            Value::Int(int(&given[0])?.wrapping_add(int(&given[1])?) & (PERIOD - 1))
        }
        "ticks_diff" => {
            let given = args.exactly(2)?;
            let difference = int(&given[0])?.wrapping_sub(int(&given[1])?);
            Value::Int((difference.wrapping_add(PERIOD / 2) & (PERIOD - 1)) - PERIOD / 2)
        }
        // The clock starts at the beginning of 2000 with every reset.
        "time" => Value::Int(millis / 1000),
        "localtime" => {
            let seconds = millis / 1000;
            let parts = [2000, 1, 1 + seconds / 86_400, seconds / 3600 % 24];
            let rest = [
                seconds / 60 % 60,
                seconds % 60,
                (5 + seconds / 86_400) % 7,
                1,
            ];
            tuple(parts.into_iter().chain(rest).map(Value::Int).collect())
        }
        _ => {
            args.exactly(0)?;
            Value::Clock(Rc::default())
        }
    })
}

fn math(name: &str, args: &Args) -> Result<Value> {
    let given = args.between(1, 2)?;
    let x = float(&given[0])?;
    let y = given.get(1).map(float).transpose()?;
    let domain = || Raise::new("ValueError", "math domain error");
    Ok(Value::Float(match (name, y) {
        ("floor", None) => return Ok(Value::Int(x.floor() as i64)),
        ("ceil", None) => return Ok(Value::Int(x.ceil() as i64)),
        ("sqrt", None) if x < 0.0 => return Err(domain()),
        ("log", None) if x <= 0.0 => return Err(domain()),
        ("sqrt", None) => x.sqrt(),
        ("sin", None) => x.sin(),
        ("cos", None) => x.cos(),
        ("tan", None) => x.tan(),
        ("atan", None) => x.atan(),
        ("fabs", None) => x.abs(),
        ("exp", None) => x.exp(),
        ("log", None) => x.ln(),
        ("radians", None) => x.to_radians(),
        ("degrees", None) => x.to_degrees(),
        ("atan2", Some(y)) => x.atan2(y),
        ("pow", Some(y)) => x.powf(y),
        ("log", Some(base)) => x.log(base),
        (_, None) => {
            args.exactly(2)?;
            0.0
        }
        (_, Some(_)) => {
            args.exactly(1)?;
            0.0
        }
    }))
}

fn random(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    let bits = interpreter.cpu.random();
    Ok(match name {
        "getrandbits" => {
            let count = int(&args.exactly(1)?[0])?.clamp(0, 32);
            Value::Int((bits & ((1 << count) - 1)) as i64)
        }
        "randint" => {
            let given = args.exactly(2)?;
            let (low, high) = (int(&given[0])?, int(&given[1])?);
            let span = high.checked_sub(low).filter(|&span| span >= 0);
            let span = span.ok_or_else(|| Raise::with("ValueError", Vec::new()))?;
            Value::Int(low + (bits >> 1) as i64 % span.saturating_add(1))
        }
        "random" => Value::Float((bits >> 40) as f32 / (1 << 24) as f32),
        _ => Value::None,
    })
}

fn os(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    let given = args.between(0, 2)?;
    let path = || {
        given
            .first()
            .map_or_else(|| args.exactly(1).map(|_| "".into()), text)
    };
    let mut state = interpreter.cpu.shared.lock();
    let flash = &mut state.core.flash;
    Ok(match name {
        "listdir" => {
            let path = if given.is_empty() { "".into() } else { path()? };
            match path.trim_end_matches(['/', '.']) {
                "" if path.starts_with('/') => list(vec![string("flash")]),
                "" | "/flash" => list(flash.names().map(string).collect()),
                _ => return Err(Raise::errno(2)),
            }
        }
        "remove" => {
            flash
                .remove(&path()?)
                .map_err(|error| Raise::errno(error.number()))?;
            Value::None
        }
        "rename" => {
            let given = args.exactly(2)?;
            let errno = |error: crate::flash::Errno| Raise::errno(error.number());
            let content = flash.read(&text(&given[0])?).map_err(errno)?.to_vec();
            flash.write(&text(&given[1])?, &content).map_err(errno)?;
            flash.remove(&text(&given[0])?).map_err(errno)?;
            Value::None
        }
        "stat" => {
            let path = path()?;
            if matches!(path.trim_end_matches('/'), "" | "/flash") {
                let mut items = vec![Value::Int(0); 10];
                items[0] = Value::Int(0x4000);
                return Ok(tuple(items));
            }
            let content = flash
                .read(&path)
                .map_err(|error| Raise::errno(error.number()))?;
            let mut items = vec![Value::Int(0); 10];
            items[0] = Value::Int(0x8000);
            items[6] = Value::Int(content.len() as i64);
            tuple(items)
        }
        "chdir" => match path()?.trim_end_matches('/') {
            "" | "/flash" => Value::None,
            _ => return Err(Raise::errno(2)),
        },
        "getcwd" => string("/flash"),
        "uname" => {
            let [major, minor, patch] = VERSION;
            let version = format!("v{major}.{minor}.{patch}");
            tuple(
                [
                    "MaixPy",
                    "MaixPy",
                    &version,
                    &version,
                    "Sipeed_M1 with kendryte-k210",
                ]
                .map(string)
                .to_vec(),
            )
        }
        _ => Value::None,
    })
}

/// `open`.
pub fn open(interpreter: &mut Interpreter, args: &Args) -> Result<Value> {
    let given = args.check_count(1, 3)?;
    let path = text(&given[0])?;
    let mode = match args.get(1, "mode") {
        Some(mode) => text(mode)?,
        None => "r".into(),
    };
    let mut state = interpreter.cpu.shared.lock();
    let flash = &mut state.core.flash;
    let errno = |error: crate::flash::Errno| Raise::errno(error.number());
    let writable = mode.contains(['w', 'a', '+', 'x']);
    if mode.contains(['w', 'x']) {
        flash.create(&path).map_err(errno)?;
    } else {
        flash.read(&path).map_err(errno)?;
    }
    Ok(Value::File(Rc::new(RefCell::new(File {
        path: path.to_string(),
        position: 0,
        binary: mode.contains('b'),
        writable,
        closed: false,
    }))))
}

/// Calls a method of the prompt's UART.
pub fn uart_method(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    let cpu = &mut *interpreter.cpu;
    Ok(match name {
        "init" => {
            uart_init(interpreter, args)?;
            Value::None
        }
        "write" => {
            let data = match &args.exactly(1)?[0] {
                Value::Str(text) => text.as_bytes().to_vec(),
                Value::Bytes(data) => data.to_vec(),
                _ => {
                    return Err(Raise::new(
                        "TypeError",
                        "object with buffer protocol required",
                    ));
                }
            };
            cpu.write(&data)?;
            Value::Int(data.len() as i64)
        }
        "any" => Value::Int(cpu.shared.lock().core.stdin.len() as i64),
        "read" | "readline" | "readchar" => {
            let most = match name {
                "readchar" => 1,
                _ => args.between(0, 1)?.first().map_or(Ok(i64::MAX), int)?,
            };
            let mut state = cpu.shared.lock();
            let waiting = &mut state.core.stdin;
            let mut length = usize::try_from(most).unwrap_or(0).min(waiting.len());
            if name == "readline" {
                let end = waiting.iter().position(|&byte| byte == b'\n');
                length = end.map_or(length, |end| length.min(end + 1));
            }
            if length == 0 {
                return Ok(Value::None);
            }
            Value::Bytes(waiting.drain(..length).collect())
        }
        "deinit" => {
            cpu.shared.lock().core.listening = false;
            Value::None
        }
        _ => Value::None,
    })
}

/// `machine_uart_init_helper`.
fn uart_init(interpreter: &mut Interpreter, args: &Args) -> Result<()> {
    const NAMES: [&str; 9] = [
        "baudrate",
        "bits",
        "parity",
        "stop",
        "timeout",
        "timeout_char",
        "read_buf_len",
        "ide",
        "from_ide",
    ];
    if args.positional.len() > 4 {
        return Err(Raise::new("TypeError", "extra positional arguments given"));
    }
    if args
        .keywords
        .iter()
        .any(|(name, _)| !NAMES.contains(&&**name))
    {
        return Err(Raise::new("TypeError", "extra keyword arguments given"));
    }
    let argument = |index: usize| {
        let positional = if index < 4 {
            args.positional.get(index)
        } else {
            None
        };
        args.keyword(NAMES[index]).or(positional)
    };
    let number = |index: usize, default: i64| argument(index).map_or(Ok(default), int);
    let invalid = |what: &str| Raise::new("ValueError", format!("[MAIXPY]UART:invalid {what}"));

    let baud_rate = number(0, 115_200)?;
    if !(0..=0x50_0000).contains(&baud_rate) {
        return Err(invalid("baudrate"));
    }
    let bits = number(1, 8)?;
    if !(5..=8).contains(&bits) {
        return Err(invalid("data bits"));
    }
    let parity = match argument(2) {
        None | Some(Value::None) => 0,
        Some(parity) => int(parity)?,
    };
    if !(0..=2).contains(&parity) {
        return Err(invalid("parity"));
    }
    let stop = match argument(3) {
        None | Some(Value::None) => 1.0,
        Some(stop) => float(stop)?,
    };
    if ![0.0, 1.0, 1.5, 2.0].contains(&stop) {
        return Err(invalid("stop bits"));
    }
    // The UARTHS has no others.
    if bits != 8 || parity != 0 {
        return Err(invalid("param"));
    }
    number(4, 0)?;
    number(5, 0)?;
    let settings = UartSettings {
        baud_rate: baud_rate as u32,
        read_buf_len: usize::try_from(number(6, 2048)?).unwrap_or(0),
        ide: argument(7).is_some_and(Value::is_true),
        from_ide: argument(8).is_none_or(Value::is_true),
    };
    interpreter.cpu.init_uart(settings)
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

/// The first `count` coordinates, given singly or as one tuple, and how many arguments that were.
fn coordinates(args: &Args, count: usize) -> Result<(Vec<i64>, usize)> {
    let (items, used) = match args.positional.first().and_then(Value::items) {
        Some(items) => (items, 1),
        None => (args.positional.clone(), count),
    };
    if items.len() < count {
        return Err(Raise::new("OSError", "Not enough positional arguments!"));
    }
    let numbers = items[..count]
        .iter()
        .map(|value| match value {
            Value::Float(value) => Ok(*value as i64),
            other => int(other),
        })
        .collect::<Result<_>>()?;
    Ok((numbers, used))
}

/// Calls a method of an image, which is the camera's buffer.
pub fn image_method(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    let buffer = &mut interpreter.cpu.camera.buffer;
    let thickness = match args.keyword("thickness") {
        Some(value) => int(value)?.clamp(1, 64),
        None => 1,
    };
    match name {
        "width" => return Ok(Value::Int(buffer.width as i64)),
        "height" => return Ok(Value::Int(buffer.height as i64)),
        "size" => {
            let bytes = buffer.width * buffer.height * buffer.bpp.max(0) as usize;
            return Ok(Value::Int(bytes as i64));
        }
        "format" => {
            return Ok(
                match sensor::attribute(if buffer.bpp == 1 {
                    "GRAYSCALE"
                } else {
                    "RGB565"
                }) {
                    Some(format) => format,
                    None => Value::None,
                },
            );
        }
        "get_pixel" => {
            let (at, _) = coordinates(args, 2)?;
            return Ok(match buffer.pixel(at[0], at[1]) {
                None => Value::None,
                Some([gray]) => Value::Int((*gray).into()),
                Some(pixel) => tuple(pixel.iter().map(|&part| Value::Int(part.into())).collect()),
            });
        }
        "set_pixel" => {
            let (at, used) = coordinates(args, 2)?;
            buffer.plot(at[0], at[1], color(args, used)?);
        }
        "draw_rectangle" => {
            let (at, used) = coordinates(args, 4)?;
            let color = color(args, used)?;
            let [x, y, width, height] = at[..] else {
                return Ok(Value::None);
            };
            if args.keyword("fill").is_some_and(Value::is_true) {
                buffer.fill(x, y, width, height, color);
            } else {
                buffer.fill(x, y, width, thickness, color);
                buffer.fill(x, y + height - thickness, width, thickness, color);
                buffer.fill(x, y, thickness, height, color);
                buffer.fill(x + width - thickness, y, thickness, height, color);
            }
        }
        "draw_line" => {
            let (at, used) = coordinates(args, 4)?;
            buffer.line(at[0], at[1], at[2], at[3], thickness, color(args, used)?);
        }
        "draw_cross" => {
            let (at, used) = coordinates(args, 2)?;
            let color = color(args, used)?;
            let size = args.keyword("size").map_or(Ok(5), int)?;
            buffer.line(at[0] - size, at[1], at[0] + size, at[1], thickness, color);
            buffer.line(at[0], at[1] - size, at[0], at[1] + size, thickness, color);
        }
        "draw_circle" => {
            let (at, used) = coordinates(args, 3)?;
            let color = color(args, used)?;
            let fill = args.keyword("fill").is_some_and(Value::is_true);
            buffer.circle(at[0], at[1], at[2], fill, color);
        }
        "draw_string" => {
            let (at, used) = coordinates(args, 2)?;
            let text = match args.positional.get(used) {
                Some(value) => text(value)?,
                None => return Err(Raise::new("OSError", "Not enough positional arguments!")),
            };
            let scale = match args.keyword("scale") {
                Some(scale) => float(scale)?.clamp(1.0, 16.0) as i64,
                None => 1,
            };
            buffer.text(at[0], at[1], scale, &text, color(args, used + 1)?);
        }
        "clear" => buffer.clear(),
        _ => {}
    }
    Ok(Value::Image)
}
