// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `sensor` module (`py_sensor.c`), on an OV2640.

use super::interpreter::Interpreter;
use super::value::{Value, tuple};
use super::{Args, Raise, Result, float, int};
use crate::camera::{self, RESOLUTIONS, SnapshotError};

/// The constants.
const CONSTANTS: [(&str, i64); 38] = [
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

/// The functions.
const FUNCTIONS: [&str; 36] = [
    "binocular_reset",
    "reset",
    "deinit",
    "sleep",
    "shutdown",
    "flush",
    "snapshot",
    "skip_frames",
    "width",
    "height",
    "get_fb",
    "get_id",
    "set_pixformat",
    "set_framerate",
    "set_framesize",
    "set_windowing",
    "set_gainceiling",
    "set_contrast",
    "set_brightness",
    "set_saturation",
    "set_colorbar",
    "set_auto_gain",
    "get_gain_db",
    "set_auto_exposure",
    "get_exposure_us",
    "set_auto_whitebal",
    "get_rgb_gain_db",
    "set_hmirror",
    "set_vflip",
    "set_special_effect",
    "set_lens_correction",
    "run",
    "__write_reg",
    "__read_reg",
    "set_jb_quality",
    "__name__",
];

/// What the driver waits for the sensor's registers to take effect.
const SETTLE_NS: u64 = 30_000_000;

/// What probing, resetting and configuring take, about.
const RESET_NS: u64 = 150_000_000;

/// A name of the module.
pub fn attribute(name: &str) -> Option<Value> {
    if name == "__name__" {
        return Some(super::value::string("sensor"));
    }
    if let Some(name) = FUNCTIONS.iter().find(|found| **found == name) {
        return Some(Value::Native("sensor", name));
    }
    CONSTANTS
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| Value::Int(*value))
}

/// All names of the module.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS
        .into_iter()
        .chain(CONSTANTS.into_iter().map(|(name, _)| name))
}

fn control_failed() -> Raise {
    Raise::new("ValueError", "Sensor control failed!")
}

/// `mp_obj_is_true` of the only argument.
fn flag(args: &Args) -> Result<bool> {
    Ok(args.exactly(1)?[0].is_true())
}

fn snapshot(interpreter: &mut Interpreter, update_jpeg: bool, timeout: &str) -> Result<()> {
    match interpreter.cpu.snapshot(update_jpeg) {
        Ok(()) => Ok(()),
        Err(SnapshotError::Halt) => Err(Raise::Halt),
        Err(SnapshotError::Timeout) => Err(Raise::new("RuntimeError", timeout)),
        Err(SnapshotError::NotInitialized) => Err(Raise::new("RuntimeError", "Not init!")),
    }
}

/// Calls a function of the module.
pub fn call(interpreter: &mut Interpreter, name: &str, args: &Args) -> Result<Value> {
    let number = || int(&args.exactly(1)?[0]);
    let (width, height) = RESOLUTIONS[interpreter.cpu.camera.framesize];
    Ok(match name {
        "reset" => {
            args.check_count(0, 0)?;
            for name in ["freq", "choice"] {
                if let Some(value) = args.keyword(name) {
                    let value = int(value)?;
                    // Of the three kinds of sensors this is the first.
                    if name == "choice" && value > 1 {
                        interpreter.cpu.print("[MAIXPY]: no sensor\n")?;
                        return Err(Raise::new("OSError", "Reset Failed"));
                    }
                }
            }
            interpreter.cpu.delay(RESET_NS)?;
            interpreter.cpu.print("[MAIXPY]: find ov2640\n")?;
            interpreter.cpu.print("[MAIXPY]: find ov sensor\n")?;
            interpreter.cpu.reset_camera();
            Value::None
        }
        "binocular_reset" => {
            interpreter.cpu.delay(RESET_NS)?;
            for line in ["[MAIXPY]: find ov2640\n", "[MAIXPY]: sensors don't match\n"] {
                interpreter.cpu.print(line)?;
            }
            interpreter.cpu.print("[MAIXPY]: scan sensor1 error\n")?;
            return Err(Raise::new("OSError", "Reset Failed"));
        }
        "deinit" => {
            args.exactly(0)?;
            interpreter.cpu.camera.power_cycle();
            interpreter.cpu.shared.lock().core.registers = Default::default();
            Value::None
        }
        "sleep" => {
            flag(args)?;
            interpreter
                .cpu
                .print("[MAIXPY]: Operation not supported.")?;
            return Err(Raise::new("OSError", "Sleep Failed"));
        }
        "shutdown" => {
            let enable = flag(args)?;
            interpreter.cpu.delay(10_000_000)?;
            interpreter.cpu.camera.run(!enable);
            Value::None
        }
        "flush" => {
            args.exactly(0)?;
            interpreter.cpu.update_jpeg();
            Value::None
        }
        "snapshot" => {
            args.check_count(0, 0)?;
            if !interpreter.cpu.camera.is_reset() {
                return Err(Raise::new("TypeError", "not found sensor"));
            }
            let update = args.keyword("update_jb").is_none_or(Value::is_true);
            snapshot(interpreter, update, "Sensor timeout!")?;
            Value::Image
        }
        "skip_frames" => {
            let given = args.check_count(0, 1)?;
            let limit = args.keyword("time").map(int).transpose()?;
            let start = interpreter.cpu.millis();
            let timeout = "Sensor Timeout!!";
            // A snapshot that is not possible yet returns at once, and is not an error here.
            let skip = |interpreter: &mut Interpreter| match snapshot(interpreter, true, timeout) {
                Err(Raise::Exception(error)) if error.message() == "Not init!" => {
                    interpreter.cpu.tick()
                }
                result => result,
            };
            let elapsed = |interpreter: &Interpreter| (interpreter.cpu.millis() - start) as i64;
            match given.first() {
                None => {
                    while elapsed(interpreter) < limit.unwrap_or(300) {
                        skip(interpreter)?;
                    }
                }
                Some(count) => {
                    for _ in 0..int(count)? {
                        if limit.is_some_and(|limit| elapsed(interpreter) >= limit) {
                            break;
                        }
                        skip(interpreter)?;
                    }
                }
            }
            Value::None
        }
        "width" => {
            args.exactly(0)?;
            Value::Int(width.into())
        }
        "height" => {
            args.exactly(0)?;
            Value::Int(height.into())
        }
        "get_fb" => {
            args.exactly(0)?;
            match interpreter.cpu.camera.buffer.bpp {
                0 => Value::None,
                _ => Value::Image,
            }
        }
        "get_id" => {
            args.exactly(0)?;
            let present = interpreter.cpu.shared.lock().core.registers.present;
            Value::Int(if present { camera::CHIP_ID.into() } else { 0 })
        }
        "set_pixformat" | "set_framesize" => {
            let [value] = &args.positional[..] else {
                args.check_count(1, usize::MAX)?;
                return Err(Raise::new("ValueError", "arg err"));
            };
            let value = int(value)?;
            if name == "set_pixformat" {
                if !interpreter.cpu.camera.set_pixformat(value) {
                    return Err(Raise::new("OSError", "Pixel format is not supported!"));
                }
                interpreter.cpu.delay(SETTLE_NS)?;
                return Ok(Value::Bool(true));
            }
            interpreter
                .cpu
                .camera
                .set_framesize(value)
                .map_err(Raise::errno)?;
            interpreter.cpu.delay(SETTLE_NS)?;
            Value::None
        }
        "set_framerate" => {
            let rate = number()?;
            // The OV2640's driver refuses every rate.
            let message = match rate {
                2 | 8 | 15 | 25 | 30 | 60 => "Fail",
                _ => "Invalid framerate",
            };
            return Err(Raise::new("ValueError", message));
        }
        "set_windowing" => return set_windowing(interpreter, args),
        "set_gainceiling" => {
            let step = match number()? {
                2 => 0,
                4 => 1,
                8 => 2,
                16 => 3,
                32 => 4,
                64 => 5,
                128 => 6,
                _ => return Err(Raise::new("ValueError", "Invalid gainceiling")),
            };
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if registers.present {
                registers.gain_ceiling = step;
            }
            Value::Bool(registers.present)
        }
        "set_contrast" | "set_brightness" | "set_saturation" => {
            let level = number()?;
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            Value::Bool(match name {
                "set_contrast" => registers.set_contrast(level),
                "set_brightness" => registers.set_brightness(level),
                _ => registers.set_saturation(level),
            })
        }
        "set_colorbar" => {
            let enable = flag(args)?;
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if registers.present {
                registers.colorbar = enable;
            }
            Value::Bool(registers.present)
        }
        "set_auto_gain" => {
            let enable = int(&args.check_count(1, usize::MAX)?[0])? != 0;
            let gain = args.get(1, "gain_db").map(float).transpose()?;
            let ceiling = args.get(2, "gain_db_ceiling").map(float).transpose()?;
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            let finite = |value: Option<f32>| value.filter(|value| value.is_finite());
            registers.gain_db = match (enable, finite(gain)) {
                (true, _) => None,
                // The register takes 1 to 32 times.
                (false, Some(gain)) => Some(f64::from(gain).clamp(0.0, 30.1)),
                (false, None) => registers.gain_db.or(Some(6.0)),
            };
            if let (true, Some(ceiling)) = (enable, finite(ceiling)) {
                let factor = 10f32.powf(ceiling / 20.0).clamp(2.0, 128.0);
                registers.gain_ceiling = factor.log2().ceil() as i32 - 1;
            }
            Value::None
        }
        "get_gain_db" => {
            args.exactly(0)?;
            let registers = &interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            Value::Float(registers.gain_db.unwrap_or(6.0) as f32)
        }
        "set_auto_exposure" => {
            let enable = int(&args.check_count(1, usize::MAX)?[0])? != 0;
            let exposure = args.get(1, "exposure_us").map_or(Ok(-1), int)?;
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            registers.exposure_us = match (enable, exposure) {
                (true, _) => None,
                (false, 0..) => Some(exposure),
                (false, _) => registers.exposure_us.or(Some(16_000)),
            };
            Value::None
        }
        "get_exposure_us" => {
            args.exactly(0)?;
            let registers = &interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            Value::Int(registers.exposure_us.unwrap_or(16_000))
        }
        "set_auto_whitebal" => {
            let enable = int(&args.check_count(1, usize::MAX)?[0])? != 0;
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
                for gain in &gains {
                    float(gain)?;
                }
            }
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            registers.auto_whitebal = enable;
            Value::None
        }
        "get_rgb_gain_db" => {
            args.exactly(0)?;
            if !interpreter.cpu.shared.lock().core.registers.present {
                return Err(control_failed());
            }
            // The driver leaves what the caller put there.
            tuple(vec![Value::Float(0.0); 3])
        }
        "set_hmirror" | "set_vflip" => {
            let enable = flag(args)?;
            let registers = &mut interpreter.cpu.shared.lock().core.registers;
            if !registers.present {
                return Err(control_failed());
            }
            match name {
                "set_hmirror" => registers.hmirror = enable,
                _ => registers.vflip = enable,
            }
            Value::None
        }
        // The OV2640's driver has neither.
        "set_special_effect" => {
            number()?;
            Value::Bool(false)
        }
        "set_lens_correction" => {
            let given = args.exactly(3)?;
            int(&given[1])?;
            int(&given[2])?;
            Value::Bool(false)
        }
        "run" => {
            let enable = number()? != 0;
            interpreter.cpu.camera.run(enable);
            Value::Bool(true)
        }
        "__write_reg" => {
            let given = args.exactly(2)?;
            int(&given[0])?;
            int(&given[1])?;
            Value::None
        }
        "__read_reg" => {
            number()?;
            Value::Int(0)
        }
        _ => {
            let quality = match &args.exactly(1)?[0] {
                Value::Int(quality) => *quality,
                _ => return Err(Raise::new("ValueError", "must be int")),
            };
            interpreter.cpu.shared.lock().core.jpeg.quality = quality as i32;
            Value::None
        }
    })
}

fn set_windowing(interpreter: &mut Interpreter, args: &Args) -> Result<Value> {
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
    } else if x < 0 || x + w > width || y < 0 || y + h > height {
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
