// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module `sensor` (`py_sensor.c`), on an OV2640.

use super::Module;
use crate::camera::{self, RESOLUTIONS, Registers, SnapshotError};
use crate::python::interpreter::Interpreter;
use crate::python::native::Function;
use crate::python::value::{Value, tuple};
use crate::python::{Args, Raise, Result, float, int};

pub(crate) static MODULE: Module = Module {
    name: "sensor",
    functions: FUNCTIONS,
    numbers: NUMBERS,
    values: &[],
};

static NUMBERS: &[(&str, i64)] = &[
    ("BAYER", 1),
    ("RGB565", 2),
    ("YUV422", 3),
    ("GRAYSCALE", 4),
    ("JPEG", 5),
    ("OV9650", 0x96),
    ("OV2640", 0x2642),
    ("OV7725", 0x77),
    ("MT9V034", 0x13),
    ("LEPTON", 0x54),
    ("NORMAL", 0),
    ("NEGATIVE", 1),
    ("QQCIF", 1),
    ("QCIF", 2),
    ("CIF", 3),
    ("QQSIF", 4),
    ("QSIF", 5),
    ("SIF", 6),
    ("QQQQVGA", 7),
    ("QQQVGA", 8),
    ("QQVGA", 9),
    ("QVGA", 10),
    ("VGA", 11),
    ("HQQQVGA", 12),
    ("HQQVGA", 13),
    ("HQVGA", 14),
    ("B64X32", 15),
    ("B64X64", 16),
    ("B128X64", 17),
    ("B128X128", 18),
    ("B240X240", 19),
    ("LCD", 20),
    ("QQVGA2", 21),
    ("WVGA", 22),
    ("WVGA2", 23),
    ("SVGA", 24),
    ("SXGA", 25),
    ("UXGA", 26),
];

static FUNCTIONS: &[Function] = &[
    ("binocular_reset", binocular_reset),
    ("reset", reset),
    ("deinit", deinit),
    ("sleep", sleep),
    ("shutdown", |interpreter, args| {
        let enable = flag(args)?;
        interpreter.cpu.delay(10_000_000)?;
        interpreter.cpu.camera.run(!enable);
        Ok(Value::None)
    }),
    ("flush", |interpreter, args| {
        args.exactly(0)?;
        interpreter.cpu.update_jpeg();
        Ok(Value::None)
    }),
    ("snapshot", snapshot),
    ("skip_frames", skip_frames),
    ("width", |interpreter, args| {
        args.exactly(0)?;
        let (width, _) = RESOLUTIONS[interpreter.cpu.camera.framesize];
        Ok(Value::Int(width.into()))
    }),
    ("height", |interpreter, args| {
        args.exactly(0)?;
        let (_, height) = RESOLUTIONS[interpreter.cpu.camera.framesize];
        Ok(Value::Int(height.into()))
    }),
    ("get_fb", |interpreter, args| {
        args.exactly(0)?;
        Ok(match interpreter.cpu.camera.buffer.bpp {
            0 => Value::None,
            _ => Value::Image,
        })
    }),
    ("get_id", |interpreter, args| {
        args.exactly(0)?;
        let present = registers(interpreter, |registers| registers.present);
        Ok(Value::Int(if present { camera::CHIP_ID.into() } else { 0 }))
    }),
    ("set_pixformat", set_pixformat),
    ("set_framerate", set_framerate),
    ("set_framesize", set_framesize),
    ("set_windowing", set_windowing),
    ("set_gainceiling", set_gainceiling),
    ("set_contrast", |interpreter, args| {
        set_level(interpreter, args, Registers::set_contrast)
    }),
    ("set_brightness", |interpreter, args| {
        set_level(interpreter, args, Registers::set_brightness)
    }),
    ("set_saturation", |interpreter, args| {
        set_level(interpreter, args, Registers::set_saturation)
    }),
    ("set_colorbar", |interpreter, args| {
        let enable = flag(args)?;
        attempt(interpreter, |registers| registers.colorbar = enable)
    }),
    ("set_auto_gain", set_auto_gain),
    ("get_gain_db", |interpreter, args| {
        args.exactly(0)?;
        let gain = control(interpreter, |registers| registers.gain_db)?;
        Ok(Value::Float(gain.unwrap_or(GAIN_DB) as f32))
    }),
    ("set_auto_exposure", set_auto_exposure),
    ("get_exposure_us", |interpreter, args| {
        args.exactly(0)?;
        let exposure = control(interpreter, |registers| registers.exposure_us)?;
        Ok(Value::Int(exposure.unwrap_or(EXPOSURE_US)))
    }),
    ("set_auto_whitebal", set_auto_whitebal),
    ("get_rgb_gain_db", |interpreter, args| {
        args.exactly(0)?;
        // The driver leaves what the caller put there.
        control(interpreter, |_| tuple(vec![Value::Float(0.0); 3]))
    }),
    ("set_hmirror", |interpreter, args| {
        let enable = flag(args)?;
        control(interpreter, |registers| registers.hmirror = enable)?;
        Ok(Value::None)
    }),
    ("set_vflip", |interpreter, args| {
        let enable = flag(args)?;
        control(interpreter, |registers| registers.vflip = enable)?;
        Ok(Value::None)
    }),
    // The OV2640's driver has neither effects nor a lens correction.
    ("set_special_effect", |_, args| {
        number(args)?;
        Ok(Value::Bool(false))
    }),
    ("set_lens_correction", |_, args| {
        let given = args.exactly(3)?;
        int(&given[1])?;
        int(&given[2])?;
        Ok(Value::Bool(false))
    }),
    ("run", |interpreter, args| {
        let enable = number(args)? != 0;
        interpreter.cpu.camera.run(enable);
        Ok(Value::Bool(true))
    }),
    ("__write_reg", |_, args| {
        let given = args.exactly(2)?;
        int(&given[0])?;
        int(&given[1])?;
        Ok(Value::None)
    }),
    ("__read_reg", |_, args| {
        number(args)?;
        Ok(Value::Int(0))
    }),
    ("set_jb_quality", set_jb_quality),
];

/// What the driver waits for the sensor's registers to take effect.
const SETTLE_NS: u64 = 30_000_000;

/// What probing, resetting and configuring take, about.
const RESET_NS: u64 = 150_000_000;

/// What the gain is while nobody has set it, in dB.
const GAIN_DB: f64 = 6.0;

/// What the exposure is while nobody has set it, in microseconds.
const EXPOSURE_US: i64 = 16_000;

/// `mp_obj_is_true` of the only argument.
fn flag(args: &Args) -> Result<bool> {
    Ok(args.exactly(1)?[0].is_true())
}

/// The only argument.
fn number(args: &Args) -> Result<i64> {
    int(&args.exactly(1)?[0])
}

/// The first argument of a function that turns something automatic on or off.
fn automatic(args: &Args) -> Result<bool> {
    Ok(int(&args.check_count(1, usize::MAX)?[0])? != 0)
}

/// Works on the sensor's registers.
fn registers<T>(interpreter: &mut Interpreter<'_>, work: impl FnOnce(&mut Registers) -> T) -> T {
    work(&mut interpreter.cpu.shared.lock().core.registers)
}

/// Works on the registers of a sensor that was found.
fn control<T>(
    interpreter: &mut Interpreter<'_>,
    work: impl FnOnce(&mut Registers) -> T,
) -> Result<T> {
    registers(interpreter, |registers| match registers.present {
        true => Ok(work(registers)),
        false => Err(Raise::new("ValueError", "Sensor control failed!")),
    })
}

/// The same for a function that returns whether there was a sensor.
fn attempt(interpreter: &mut Interpreter<'_>, work: impl FnOnce(&mut Registers)) -> Result<Value> {
    let done = registers(interpreter, |registers| {
        if registers.present {
            work(registers);
        }
        registers.present
    });
    Ok(Value::Bool(done))
}

fn set_level(
    interpreter: &mut Interpreter<'_>,
    args: &Args,
    set: fn(&mut Registers, i64) -> bool,
) -> Result<Value> {
    let level = number(args)?;
    let done = registers(interpreter, |registers| set(registers, level));
    Ok(Value::Bool(done))
}

fn reset(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.check_count(0, 0)?;
    args.keyword("freq").map(int).transpose()?;
    let choice = args.keyword("choice").map(int).transpose()?;
    // Of the three kinds of sensors this is the first.
    if choice.is_some_and(|choice| choice > 1) {
        interpreter.cpu.print("[MAIXPY]: no sensor\n")?;
        return Err(Raise::new("OSError", "Reset Failed"));
    }
    interpreter.cpu.delay(RESET_NS)?;
    interpreter.cpu.print("[MAIXPY]: find ov2640\n")?;
    interpreter.cpu.print("[MAIXPY]: find ov sensor\n")?;
    interpreter.cpu.reset_camera();
    Ok(Value::None)
}

fn binocular_reset(interpreter: &mut Interpreter<'_>, _: &Args) -> Result<Value> {
    interpreter.cpu.delay(RESET_NS)?;
    for line in [
        "[MAIXPY]: find ov2640\n",
        "[MAIXPY]: sensors don't match\n",
        "[MAIXPY]: scan sensor1 error\n",
    ] {
        interpreter.cpu.print(line)?;
    }
    Err(Raise::new("OSError", "Reset Failed"))
}

fn deinit(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.exactly(0)?;
    interpreter.cpu.camera.power_cycle();
    registers(interpreter, |registers| *registers = Registers::default());
    Ok(Value::None)
}

fn sleep(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    flag(args)?;
    interpreter
        .cpu
        .print("[MAIXPY]: Operation not supported.")?;
    Err(Raise::new("OSError", "Sleep Failed"))
}

/// Takes a picture; `timeout` is what a sensor that sends none is told as.
fn take(interpreter: &mut Interpreter<'_>, update_jpeg: bool, timeout: &str) -> Result<()> {
    match interpreter.cpu.snapshot(update_jpeg) {
        Ok(()) => Ok(()),
        Err(SnapshotError::Halt) => Err(Raise::Halt),
        Err(SnapshotError::Timeout) => Err(Raise::new("RuntimeError", timeout)),
        Err(SnapshotError::NotInitialized) => Err(Raise::new("RuntimeError", "Not init!")),
    }
}

fn snapshot(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    args.check_count(0, 0)?;
    if !interpreter.cpu.camera.is_reset() {
        return Err(Raise::new("TypeError", "not found sensor"));
    }
    let update = args.keyword("update_jb").is_none_or(Value::is_true);
    take(interpreter, update, "Sensor timeout!")?;
    Ok(Value::Image)
}

/// Passes over one frame. A snapshot that is not possible yet returns at once, and is not an error
/// here.
fn skip_frame(interpreter: &mut Interpreter<'_>) -> Result<()> {
    match take(interpreter, true, "Sensor Timeout!!") {
        Err(Raise::Exception(error)) if error.message() == "Not init!" => interpreter.cpu.tick(),
        result => result,
    }
}

fn skip_frames(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    /// What is skipped without arguments, in milliseconds.
    const DEFAULT_MS: i64 = 300;
    let count = args.check_count(0, 1)?.first().map(int).transpose()?;
    let limit = args.keyword("time").map(int).transpose()?;
    let start = interpreter.cpu.millis();
    let elapsed = |interpreter: &Interpreter<'_>| (interpreter.cpu.millis() - start) as i64;
    let Some(count) = count else {
        while elapsed(interpreter) < limit.unwrap_or(DEFAULT_MS) {
            skip_frame(interpreter)?;
        }
        return Ok(Value::None);
    };
    for _ in 0..count {
        if limit.is_some_and(|limit| elapsed(interpreter) >= limit) {
            break;
        }
        skip_frame(interpreter)?;
    }
    Ok(Value::None)
}

/// The only argument of a function that takes any number and then refuses all but one.
fn choice(args: &Args) -> Result<i64> {
    match &args.check_count(1, usize::MAX)? {
        [value] => int(value),
        _ => Err(Raise::new("ValueError", "arg err")),
    }
}

fn set_pixformat(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let format = choice(args)?;
    if !interpreter.cpu.camera.set_pixformat(format) {
        return Err(Raise::new("OSError", "Pixel format is not supported!"));
    }
    interpreter.cpu.delay(SETTLE_NS)?;
    Ok(Value::Bool(true))
}

fn set_framesize(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let size = choice(args)?;
    let camera = &mut interpreter.cpu.camera;
    camera.set_framesize(size).map_err(Raise::errno)?;
    interpreter.cpu.delay(SETTLE_NS)?;
    Ok(Value::None)
}

/// The OV2640's driver refuses every rate.
fn set_framerate(_: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let message = match number(args)? {
        2 | 8 | 15 | 25 | 30 | 60 => "Fail",
        _ => "Invalid framerate",
    };
    Err(Raise::new("ValueError", message))
}

fn set_gainceiling(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let factor = u64::try_from(number(args)?).unwrap_or(0);
    if !factor.is_power_of_two() || !(2..=128).contains(&factor) {
        return Err(Raise::new("ValueError", "Invalid gainceiling"));
    }
    // `gainceiling_t` counts from 2x.
    let step = factor.ilog2() as i32 - 1;
    attempt(interpreter, |registers| registers.gain_ceiling = step)
}

fn set_auto_gain(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let enable = automatic(args)?;
    let argument = |index, name| -> Result<Option<f32>> {
        let value = args.get(index, name).map(float).transpose()?;
        Ok(value.filter(|value| value.is_finite()))
    };
    let gain = argument(1, "gain_db")?;
    let ceiling = argument(2, "gain_db_ceiling")?;
    control(interpreter, |registers| {
        registers.gain_db = match (enable, gain) {
            (true, _) => None,
            // The register takes 1 to 32 times.
            (false, Some(gain)) => Some(f64::from(gain).clamp(0.0, 30.1)),
            (false, None) => registers.gain_db.or(Some(GAIN_DB)),
        };
        if let (true, Some(ceiling)) = (enable, ceiling) {
            let factor = 10f32.powf(ceiling / 20.0).clamp(2.0, 128.0);
            registers.gain_ceiling = factor.log2().ceil() as i32 - 1;
        }
    })?;
    Ok(Value::None)
}

fn set_auto_exposure(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let enable = automatic(args)?;
    let exposure = args.get(1, "exposure_us").map_or(Ok(-1), int)?;
    control(interpreter, |registers| {
        registers.exposure_us = match (enable, exposure) {
            (true, _) => None,
            (false, 0..) => Some(exposure),
            (false, _) => registers.exposure_us.or(Some(EXPOSURE_US)),
        };
    })?;
    Ok(Value::None)
}

fn set_auto_whitebal(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let enable = automatic(args)?;
    if let Some(gains) = args.get(1, "rgb_gain_db") {
        let gains = gains
            .items()
            .ok_or_else(|| Raise::new("TypeError", "object 'int' isn't a tuple or list"))?;
        if gains.len() != 3 {
            return Err(Raise::new(
                "ValueError",
                format!("requested length 3 but object has length {}", gains.len()),
            ));
        }
        gains.iter().try_for_each(|gain| float(gain).map(drop))?;
    }
    control(interpreter, |registers| registers.auto_whitebal = enable)?;
    Ok(Value::None)
}

fn set_jb_quality(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let Value::Int(quality) = args.exactly(1)?[0] else {
        return Err(Raise::new("ValueError", "must be int"));
    };
    interpreter.cpu.shared.lock().core.jpeg.quality = quality as i32;
    Ok(Value::None)
}

fn set_windowing(interpreter: &mut Interpreter<'_>, args: &Args) -> Result<Value> {
    let (width, height) = RESOLUTIONS[interpreter.cpu.camera.framesize];
    let (width, height) = (i64::from(width), i64::from(height));
    let roi = &args.exactly(1)?[0];
    let roi = roi.items().ok_or_else(|| {
        Raise::new(
            "TypeError",
            format!("object '{}' isn't a tuple or list", roi.type_name()),
        )
    })?;
    let roi = roi.iter().map(int).collect::<Result<Vec<_>>>()?;
    let (x, y, w, h) = match roi[..] {
        [x, y, w, h] => (x, y, w, h),
        [w, h] => (width / 2 - w / 2, height / 2 - h / 2, w, h),
        _ => {
            return Err(Raise::new(
                "ValueError",
                "The tuple/list must either be (x, y, w, h) or (w, h)",
            ));
        }
    };
    let message = if w < 8 || h < 8 {
        "The selected window is too small"
    } else if x < 0 || w > width - x || y < 0 || h > height - y {
        "The selected window is outside the bounds of the frame"
    } else if w % 8 != 0 || h % 8 != 0 {
        "value must be multiple of 8"
    } else {
        let camera = &mut interpreter.cpu.camera;
        camera.set_windowing(x as usize, y as usize, w as usize, h as usize);
        return Ok(Value::Bool(true));
    };
    Err(Raise::new("ValueError", message))
}
