// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `machine` and its `UART` (`modmachine.c`, `machine_uart.c`). The simulated board has
//! one UART, the prompt's.

use super::Module;
use crate::firmware::UartSettings;
use crate::python::heap;
use crate::python::interpreter::Interpreter;
use crate::python::native::{Function, find};
use crate::python::stream::{self, Got};
use crate::python::value::Value;
use crate::python::{Args, Raise, Result, amount, float, int};

pub(crate) static MACHINE: Module = Module {
    name: "machine",
    functions: &[
        ("reset", |interpreter, args| {
            args.exactly(0)?;
            Err(interpreter.cpu.reset())
        }),
        ("unique_id", |_, _| Ok(Value::Bytes(vec![0; 32].into()))),
    ],
    numbers: &[],
    values: &[("UART", || Value::Type("UART"))],
};

/// Functions of the class.
static FUNCTIONS: &[Function] = &[
    ("repl_uart", |_, args| {
        args.exactly(0)?;
        Ok(Value::Uart)
    }),
    ("set_repl_uart", |interpreter, args| {
        // It takes the old one down, which is the new one.
        args.exactly(1)?;
        interpreter.cpu.shared.lock().core.listening = false;
        Ok(Value::None)
    }),
];

const NUMBERS: &[(&str, i64)] = &[
    ("UART1", 0),
    ("UART2", 1),
    ("UART3", 2),
    ("UARTHS", UARTHS),
    ("PARITY_ODD", 1),
    ("PARITY_EVEN", 2),
];

/// The prompt's.
const UARTHS: i64 = 4;

/// A name in the class.
pub(crate) fn class_attribute(name: &str) -> Option<Value> {
    find(FUNCTIONS, name)
        .map(Value::Native)
        .or_else(|| find(NUMBERS, name).map(|(_, number)| Value::Int(*number)))
}

/// `UART(number, ...)`.
pub(crate) fn construct(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    match int(&args.check_count(1, usize::MAX)?[0])? {
        UARTHS => {
            let rest = Args {
                positional: args.positional[1..].to_vec(),
                keywords: args.keywords.clone(),
            };
            init(interpreter, &rest)?;
            Ok(Value::Uart)
        }
        0..=2 => Err(Raise::new(
            "NotImplementedError",
            "the simulated board has no UART but the one of the prompt",
        )),
        number => Err(Raise::new(
            "ValueError",
            format!("[MAIXPY]UART{number:b}:does not exist"),
        )),
    }
}

/// Methods of the prompt's UART.
pub(crate) static METHODS: &[Function] = &[
    ("init", |interpreter, args| {
        init(interpreter, args)?;
        Ok(Value::None)
    }),
    ("deinit", |interpreter, _| {
        interpreter.cpu.shared.lock().core.listening = false;
        Ok(Value::None)
    }),
    ("any", |interpreter, _| {
        let waiting = interpreter.cpu.shared.lock().core.stdin.len();
        Ok(Value::Int(waiting as i64))
    }),
    ("read", |interpreter, args| {
        stream::read(interpreter, &Value::Uart, args)
    }),
    ("readchar", |interpreter, args| {
        args.exactly(0)?;
        let byte = interpreter.cpu.shared.lock().core.stdin.pop_front();
        Ok(Value::Int(byte.map_or(-1, i64::from)))
    }),
    ("readline", |interpreter, args| {
        stream::readline(interpreter, &Value::Uart, args)
    }),
    ("readinto", |interpreter, args| {
        stream::readinto(interpreter, &Value::Uart, args)
    }),
    ("write", |interpreter, args| {
        stream::write(interpreter, &Value::Uart, args)
    }),
];

/// `machine_uart_read`: what waits, or the first that comes.
pub(crate) fn pull(interpreter: &mut Interpreter<'_>, most: usize) -> Result<Got> {
    interpreter.cpu.read_uart(most)
}

/// `machine_uart_write`: nothing goes out once it is down, and what goes to the console is not counted.
pub(crate) fn push(interpreter: &mut Interpreter<'_>, data: &[u8]) -> Result<usize> {
    let state = interpreter.cpu.shared.lock();
    let (listening, ide) = (state.core.listening, state.core.ide);
    drop(state);
    if !listening {
        return Ok(0);
    }
    interpreter.cpu.write(data)?;
    Ok(if ide { 0 } else { data.len() })
}

/// `machine_uart_print`
pub(crate) fn text(interpreter: &Interpreter<'_>) -> String {
    let baud_rate = interpreter.cpu.shared.lock().core.baud_rate;
    format!(
        "[MAIXPY]UART{}:( baudrate={baud_rate}, bits=8, parity=None, stop=1)",
        UARTHS + 1
    )
}

/// The arguments of `init` with the places of those that need no name.
struct Settings<'a>(&'a Args);

impl<'a> Settings<'a> {
    const NAMES: [&'static str; 9] = [
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

    /// How many of them may be given without their names.
    const POSITIONAL: usize = 4;

    fn new(args: &'a Args) -> Result<Self> {
        if args.positional.len() > Self::POSITIONAL {
            return Err(Raise::new("TypeError", "extra positional arguments given"));
        }
        let known = |name: &str| Self::NAMES.contains(&name);
        if args.keywords.iter().any(|(name, _)| !known(name)) {
            return Err(Raise::new("TypeError", "extra keyword arguments given"));
        }
        Ok(Settings(args))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let place = Self::NAMES.iter().position(|known| *known == name);
        let positional = place.and_then(|place| self.0.positional.get(place));
        self.0.keyword(name).or(positional)
    }

    fn number(&self, name: &str, default: i64) -> Result<i64> {
        self.get(name).map_or(Ok(default), int)
    }

    /// What may be `None` as well.
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.get(name).filter(|value| !matches!(value, Value::None))
    }
}

/// `machine_uart_init_helper`.
fn init(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<()> {
    let settings = Settings::new(args)?;
    let check = |valid: bool, what: &str| match valid {
        true => Ok(()),
        false => Err(Raise::new(
            "ValueError",
            format!("[MAIXPY]UART:invalid {what}"),
        )),
    };
    let baud_rate = settings.number("baudrate", 115_200)?;
    check((0..=0x50_0000).contains(&baud_rate), "baudrate")?;
    let bits = settings.number("bits", 8)?;
    check((5..=8).contains(&bits), "data bits")?;
    let parity = settings.given("parity").map_or(Ok(0), int)?;
    check((0..=2).contains(&parity), "parity")?;
    let stop = settings.given("stop").map_or(Ok(1.0), float)?;
    check([0.0, 1.0, 1.5, 2.0].contains(&stop), "stop bits")?;
    // The UARTHS has no others.
    check(bits == 8 && parity == 0, "param")?;
    settings.number("timeout", 1000)?;
    // The field has 16 bits; what is negative leaves it as it was.
    let timeout_char = settings.number("timeout_char", 10)?;
    let timeout_char = (timeout_char >= 0).then_some(timeout_char as u16);
    let read_buf_len = settings.number("read_buf_len", 2048)?;
    let read_buf_len = amount(read_buf_len);
    heap::reserve(read_buf_len)?;
    interpreter.cpu.init_uart(UartSettings {
        baud_rate: baud_rate as u32,
        timeout_char,
        read_buf_len,
        ide: settings.get("ide").is_some_and(Value::is_true),
        from_ide: settings.get("from_ide").is_none_or(Value::is_true),
    })
}
