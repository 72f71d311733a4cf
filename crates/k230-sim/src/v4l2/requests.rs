// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests as V4L2's core hands them to the driver: `v4l2-ioctl.c` and `v4l2-ctrls-api.c`.
//!
//! A request works on a copy of its structure, which goes back to the program if it succeeded.

use std::{ffi::c_void, sync::Arc, sync::atomic::Ordering};

use k230_venc::v4l2::raw::*;

use super::{
    controls::{CONTROLS, Control},
    faults::falls_on,
    format,
    queue::{is_multi, is_output},
    session::{Answer, Session},
    uapi::*,
    user,
};

/// Requests of which a program with a higher priority keeps the others (`INFO_FL_PRIO`).
const OF_PRIORITY: [u32; 10] = [
    VIDIOC_S_FMT,
    VIDIOC_REQBUFS,
    VIDIOC_CREATE_BUFS,
    VIDIOC_STREAMON,
    VIDIOC_STREAMOFF,
    VIDIOC_S_CTRL,
    VIDIOC_S_EXT_CTRLS,
    VIDIOC_S_PRIORITY,
    VIDIOC_ENCODER_CMD,
    VIDIOC_DECODER_CMD,
];

/// A request that changes its structure.
fn update<T: Plain>(at: *mut c_void, call: impl FnOnce(&mut T) -> Answer) -> Answer {
    let mut value: T = user::read(at)?;
    call(&mut value)?;
    user::write(at, &value)
}

/// A request that fills its structure.
fn fill<T: Plain>(at: *mut c_void, call: impl FnOnce(&mut T) -> Answer) -> Answer {
    let mut value: T = zeroed();
    call(&mut value)?;
    user::write(at, &value)
}

/// A request that reads its structure.
fn given<T: Plain>(at: *mut c_void, call: impl FnOnce(&T) -> Answer) -> Answer {
    call(&user::read(at)?)
}

/// A request about a buffer, whose planes are behind a pointer.
fn buffer(
    at: *mut c_void,
    call: impl FnOnce(&mut v4l2_buffer, &mut [v4l2_plane]) -> Answer,
) -> Answer {
    let mut buffer: v4l2_buffer = user::read(at)?;
    let mut planes = [zeroed::<v4l2_plane>(); VIDEO_MAX_PLANES];
    let count = if is_multi(buffer.type_) {
        buffer.length as usize
    } else {
        0
    };
    let of_buffer = planes.get_mut(..count).ok_or(libc::EINVAL)?;
    // SAFETY: an address, which is only copied from and to.
    let of_program = unsafe { buffer.m.planes };
    if count > 0 {
        user::read_array(of_program, of_buffer)?;
    }
    call(&mut buffer, of_buffer)?;
    if is_multi(buffer.type_) {
        buffer.m.planes = of_program;
        user::write_array(of_program, of_buffer)?;
    }
    user::write(at, &buffer)
}

fn copy_text(to: &mut [u8], text: &str) {
    to.fill(0);
    let len = text.len().min(to.len() - 1);
    to[..len].copy_from_slice(&text.as_bytes()[..len]);
}

impl Session {
    /// Answers a request.
    ///
    /// # Safety
    /// `argument` points to the structure of the request's number, where the system does not let that
    /// be checked.
    pub(crate) unsafe fn request(self: &Arc<Self>, number: u32, argument: *mut c_void) -> Answer {
        {
            let mut inner = self.lock();
            inner.requests = inner.requests.wrapping_add(1);
            if falls_on(self.faults.interrupt_every, inner.requests) {
                return Err(libc::EINTR);
            }
            if inner.is_gone() {
                return Err(libc::ENODEV);
            }
        }
        if OF_PRIORITY.contains(&number) && self.get_priority() < super::highest_priority() {
            return Err(libc::EBUSY);
        }
        match number {
            VIDIOC_QUERYCAP => fill(argument, capability),
            VIDIOC_G_PRIORITY => fill(argument, |priority| {
                *priority = super::highest_priority();
                Ok(())
            }),
            VIDIOC_S_PRIORITY => given(argument, |priority| self.set_priority(*priority)),
            VIDIOC_ENUM_FMT => update(argument, enumerate_format),
            VIDIOC_ENUM_FRAMESIZES => update(argument, enumerate_size),
            VIDIOC_G_FMT => update(argument, |whole| self.get_format(whole)),
            VIDIOC_S_FMT => update(argument, |whole| self.set_format(whole, true)),
            VIDIOC_TRY_FMT => update(argument, |whole| self.set_format(whole, false)),
            VIDIOC_G_SELECTION => update(argument, |selection: &mut v4l2_selection| {
                selection.reserved = [0; 9];
                self.selection(selection)
            }),
            VIDIOC_G_CROP => update(argument, |crop: &mut v4l2_crop| {
                crop.c = self.rectangle(crop.type_)?;
                Ok(())
            }),
            VIDIOC_CROPCAP => update(argument, |crop: &mut v4l2_cropcap| {
                crop.bounds = self.rectangle(crop.type_)?;
                crop.defrect = crop.bounds;
                crop.pixelaspect = [1, 1];
                Ok(())
            }),
            VIDIOC_REQBUFS => update(argument, |request| self.request_buffers(request)),
            VIDIOC_CREATE_BUFS => update(argument, |create| self.create_buffers(create)),
            VIDIOC_QUERYBUF => buffer(argument, |b, planes| self.query_buffer(b, planes)),
            VIDIOC_QBUF => buffer(argument, |b, planes| self.queue_buffer(b, planes)),
            VIDIOC_DQBUF => buffer(argument, |b, planes| self.dequeue_buffer(b, planes)),
            VIDIOC_STREAMON => given(argument, |kind| self.stream_on(*kind)),
            VIDIOC_STREAMOFF => given(argument, |kind| self.stream_off(*kind)),
            VIDIOC_ENCODER_CMD | VIDIOC_TRY_ENCODER_CMD => {
                update(argument, |command: &mut v4l2_encoder_cmd| {
                    command.raw = [0; 8];
                    let stops = command.cmd == V4L2_ENC_CMD_STOP;
                    self.command(stops, number == VIDIOC_ENCODER_CMD)
                })
            }
            VIDIOC_DECODER_CMD | VIDIOC_TRY_DECODER_CMD => {
                update(argument, |command: &mut v4l2_decoder_cmd| {
                    let stops = command.cmd == V4L2_DEC_CMD_STOP;
                    self.command(stops, number == VIDIOC_DECODER_CMD)
                })
            }
            VIDIOC_SUBSCRIBE_EVENT => given(argument, |asked| self.subscribe(asked)),
            VIDIOC_UNSUBSCRIBE_EVENT => given(argument, |asked| {
                self.lock().events.unsubscribe(asked);
                Ok(())
            }),
            VIDIOC_DQEVENT => fill(argument, |event| self.dequeue_event(event)),
            _ => self.request_of_controls(number, argument),
        }
    }

    /// Requests about controls, and the driver's own. EXPBUF, S_PARM, S_SELECTION and the like are not
    /// there.
    fn request_of_controls(self: &Arc<Self>, number: u32, argument: *mut c_void) -> Answer {
        match number {
            VIDIOC_QUERYCTRL => update(argument, |query| self.query_control(query)),
            VIDIOC_QUERY_EXT_CTRL => update(argument, |query| self.query_ext_control(query)),
            VIDIOC_QUERYMENU => update(argument, |query| self.query_menu(query)),
            VIDIOC_G_CTRL => update(argument, |control: &mut v4l2_control| {
                control.value = self.get_control(self.control(control.id)?)?;
                Ok(())
            }),
            VIDIOC_S_CTRL => update(argument, |asked: &mut v4l2_control| {
                let control = self.control(asked.id)?;
                if control.flags & V4L2_CTRL_FLAG_READ_ONLY != 0 {
                    return Err(libc::EACCES);
                }
                asked.value = control.validate(asked.value)?;
                self.set_control(control, asked.value)
            }),
            VIDIOC_G_EXT_CTRLS | VIDIOC_S_EXT_CTRLS | VIDIOC_TRY_EXT_CTRLS => {
                self.ext_controls(number, argument)
            }
            VIDIOC_S_MVX_RATE_CONTROL if !self.faults.no_controls => {
                given(argument, |rate: &v4l2_rate_control| {
                    let mut inner = self.lock();
                    if inner.broken.is_some() {
                        return Err(libc::EINVAL);
                    }
                    inner.values.set_rate(*rate);
                    Ok(())
                })
            }
            VIDIOC_S_MVX_ROI_REGIONS if !self.faults.no_controls => {
                given(argument, |regions| self.set_regions(regions))
            }
            _ if self.faults.no_controls => Err(libc::ENOTTY),
            _ => self.own_request(number, argument),
        }
    }

    fn set_priority(&self, priority: u32) -> Answer {
        if !(V4L2_PRIORITY_BACKGROUND..=V4L2_PRIORITY_RECORD).contains(&priority) {
            return Err(libc::EINVAL);
        }
        self.priority.store(priority, Ordering::Relaxed);
        Ok(())
    }

    /// The rectangle of cropping by its older requests, which V4L2 answers by the newer one.
    fn rectangle(&self, kind: u32) -> Result<v4l2_rect, i32> {
        let mut selection = v4l2_selection {
            type_: kind,
            ..zeroed()
        };
        self.selection(&mut selection)?;
        Ok(selection.r)
    }

    fn command(&self, stops: bool, does: bool) -> Answer {
        match (stops, does) {
            (false, _) => Err(libc::EINVAL),
            (true, false) => Ok(()),
            (true, true) => self.stop(),
        }
    }

    fn subscribe(&self, asked: &v4l2_event_subscription) -> Answer {
        let control = self.control(asked.id).ok();
        let value = control.and_then(|control| self.get_control(control).ok());
        let mut inner = self.lock();
        inner
            .events
            .subscribe(asked, control.zip(Some(value.unwrap_or(0))))?;
        drop(inner);
        self.wake_programs();
        Ok(())
    }

    /// The controls that there are, in the order of their numbers.
    fn controls(&self) -> impl Iterator<Item = &'static Control> {
        let few = self.faults.no_controls;
        let listed = move |control: &&Control| {
            !few || matches!(
                control.id,
                V4L2_CID_CODEC_CLASS | V4L2_CID_MPEG_VIDEO_BITRATE
            )
        };
        CONTROLS.iter().filter(listed)
    }

    fn control(&self, id: u32) -> Result<&'static Control, i32> {
        let id = id & V4L2_CTRL_ID_MASK;
        self.controls().find(|c| c.id == id).ok_or(libc::EINVAL)
    }

    /// The control that a query is about: that of the number, or with a flag the next one.
    fn queried(&self, asked: u32) -> Result<&'static Control, i32> {
        let id = asked & V4L2_CTRL_ID_MASK;
        if asked & V4L2_CTRL_FLAG_NEXT_CTRL != 0 {
            return self.controls().find(|c| c.id > id).ok_or(libc::EINVAL);
        }
        if asked & V4L2_CTRL_FLAG_NEXT_COMPOUND != 0 {
            // None of them is one of several values.
            return Err(libc::EINVAL);
        }
        self.control(id)
    }

    fn query_control(&self, query: &mut v4l2_queryctrl) -> Answer {
        let control = self.queried(query.id)?;
        *query = zeroed();
        query.id = control.id;
        query.type_ = control.kind;
        copy_text(&mut query.name, control.name);
        query.flags = control.flags;
        if control.kind != V4L2_CTRL_TYPE_CTRL_CLASS {
            query.minimum = control.minimum;
            query.maximum = control.maximum;
            query.step = control.step;
            query.default_value = control.default;
        }
        Ok(())
    }

    fn query_ext_control(&self, query: &mut v4l2_query_ext_ctrl) -> Answer {
        let control = self.queried(query.id)?;
        *query = zeroed();
        query.id = control.id;
        query.type_ = control.kind;
        copy_text(&mut query.name, control.name);
        query.minimum = control.minimum.into();
        query.maximum = control.maximum.into();
        query.step = control.step as u64;
        query.default_value = control.default.into();
        query.flags = control.flags;
        query.elem_size = 4;
        query.elems = 1;
        Ok(())
    }

    fn query_menu(&self, query: &mut v4l2_querymenu) -> Answer {
        let control = self.control(query.id)?;
        let item = control.menu.get(query.index as usize);
        let item = item.filter(|item| !item.is_empty()).ok_or(libc::EINVAL)?;
        copy_text(&mut query.name, item);
        query.reserved = 0;
        Ok(())
    }

    fn get_control(&self, control: &Control) -> Result<i32, i32> {
        if control.flags & V4L2_CTRL_FLAG_WRITE_ONLY != 0 {
            return Err(libc::EACCES);
        }
        if control.id == V4L2_CID_MIN_BUFFERS_FOR_OUTPUT {
            return Ok(control.default.saturating_add_unsigned(self.faults.keep));
        }
        Ok(self.lock().values.get(control))
    }

    /// Sets a control to a value that it takes.
    fn set_control(&self, control: &Control, value: i32) -> Answer {
        let mut inner = self.lock();
        if inner.broken.is_some() {
            return Err(libc::EINVAL);
        }
        let loaded = inner.codec();
        if inner.values.set(control, value, loaded)? {
            inner.events.control_changed(control, value);
            self.wake_programs();
        }
        Ok(())
    }

    /// Several controls at once. What changed goes back to the program even if the request fails.
    fn ext_controls(&self, number: u32, argument: *mut c_void) -> Answer {
        let mut whole: v4l2_ext_controls = user::read(argument)?;
        if whole.count > V4L2_CID_MAX_CTRLS {
            return Err(libc::EINVAL);
        }
        let of_program = whole.controls;
        let mut controls = vec![zeroed::<v4l2_ext_control>(); whole.count as usize];
        user::read_array(of_program, &mut controls)?;
        let mut answer = match number {
            VIDIOC_G_EXT_CTRLS => self.get_controls(&mut whole, &mut controls),
            _ => self.set_controls(&mut whole, &mut controls, number == VIDIOC_S_EXT_CTRLS),
        };
        whole.controls = of_program;
        if user::write_array(of_program, &controls).is_err() {
            answer = Err(libc::EFAULT);
        }
        user::write(argument, &whole)?;
        answer
    }

    /// What the controls of a request are (`prepare_ext_ctrls`).
    fn found(
        &self,
        whole: &mut v4l2_ext_controls,
        controls: &[v4l2_ext_control],
    ) -> Result<Vec<&'static Control>, i32> {
        let which = whole.which;
        let mut found = Vec::with_capacity(controls.len());
        for (n, control) in controls.iter().enumerate() {
            whole.error_idx = n as u32;
            let id = control.id & V4L2_CTRL_ID_MASK;
            let other_class = which != 0
                && which != V4L2_CTRL_WHICH_DEF_VAL
                && id & V4L2_CTRL_CLASS_MASK != which;
            if other_class {
                return Err(libc::EINVAL);
            }
            found.push(self.control(id)?);
        }
        Ok(found)
    }

    /// A request without controls asks whether there is the class.
    fn has_class(&self, which: u32) -> Answer {
        if which == 0 || which == V4L2_CTRL_WHICH_DEF_VAL {
            return Ok(());
        }
        self.control(which | 1).map(|_| ())
    }

    fn get_controls(
        &self,
        whole: &mut v4l2_ext_controls,
        controls: &mut [v4l2_ext_control],
    ) -> Answer {
        let defaults = whole.which == V4L2_CTRL_WHICH_DEF_VAL;
        whole.error_idx = whole.count;
        if whole.which == V4L2_CTRL_WHICH_REQUEST_VAL {
            return Err(libc::EINVAL);
        }
        whole.which &= V4L2_CTRL_CLASS_MASK;
        if controls.is_empty() {
            return self.has_class(whole.which);
        }
        let found = self.found(whole, controls);
        whole.error_idx = whole.count;
        let found = found?;
        if found
            .iter()
            .any(|c| c.flags & V4L2_CTRL_FLAG_WRITE_ONLY != 0)
        {
            return Err(libc::EACCES);
        }
        for (n, (to, control)) in controls.iter_mut().zip(found).enumerate() {
            whole.error_idx = n as u32;
            let value = if defaults {
                control.default
            } else {
                self.get_control(control)?
            };
            put_value(to, value);
        }
        Ok(())
    }

    fn set_controls(
        &self,
        whole: &mut v4l2_ext_controls,
        controls: &mut [v4l2_ext_control],
        set: bool,
    ) -> Answer {
        whole.error_idx = whole.count;
        if matches!(
            whole.which,
            V4L2_CTRL_WHICH_DEF_VAL | V4L2_CTRL_WHICH_REQUEST_VAL
        ) {
            return Err(libc::EINVAL);
        }
        whole.which &= V4L2_CTRL_CLASS_MASK;
        if controls.is_empty() {
            return self.has_class(whole.which);
        }
        let taken = self.taken(whole, controls);
        if taken.is_err() && set {
            // None of them is set.
            whole.error_idx = whole.count;
        }
        for (n, (to, (control, value))) in controls.iter_mut().zip(taken?).enumerate() {
            whole.error_idx = n as u32;
            if set {
                self.set_control(control, value)?;
            }
            put_value(to, value);
        }
        Ok(())
    }

    /// The values that the controls take for those that are asked for.
    fn taken(
        &self,
        whole: &mut v4l2_ext_controls,
        controls: &[v4l2_ext_control],
    ) -> Result<Vec<(&'static Control, i32)>, i32> {
        let found = self.found(whole, controls)?;
        let mut taken = Vec::with_capacity(found.len());
        for (n, (control, asked)) in found.into_iter().zip(controls).enumerate() {
            whole.error_idx = n as u32;
            if control.flags & V4L2_CTRL_FLAG_READ_ONLY != 0 {
                return Err(libc::EACCES);
            }
            // A control of 32 bits leaves the union's other half as it is.
            let asked = asked.value as i32;
            taken.push((control, control.validate(asked)?));
        }
        Ok(taken)
    }
}

/// Writes the half of the union that a control of 32 bits has.
fn put_value(to: &mut v4l2_ext_control, value: i32) {
    let other = to.value & !0xffff_ffff;
    to.value = other | i64::from(value as u32);
}

fn capability(capability: &mut v4l2_capability) -> Answer {
    copy_text(&mut capability.driver, "mvx");
    copy_text(&mut capability.card, "Linlon Video device");
    copy_text(&mut capability.bus_info, "platform:mvx");
    capability.version = 6 << 16 | 6 << 8;
    capability.device_caps = V4L2_CAP_VIDEO_M2M
        | V4L2_CAP_VIDEO_M2M_MPLANE
        | V4L2_CAP_EXT_PIX_FORMAT
        | V4L2_CAP_STREAMING;
    capability.capabilities = capability.device_caps | V4L2_CAP_DEVICE_CAPS;
    Ok(())
}

fn enumerate_format(description: &mut v4l2_fmtdesc) -> Answer {
    let output = is_output(description.type_)?;
    let format = format::listed(output, description.index).ok_or(libc::EINVAL)?;
    *description = v4l2_fmtdesc {
        index: description.index,
        type_: description.type_,
        flags: if format.is_stream() {
            V4L2_FMT_FLAG_COMPRESSED
        } else {
            0
        },
        pixelformat: format.fourcc,
        ..zeroed()
    };
    copy_text(&mut description.description, format.text);
    Ok(())
}

fn enumerate_size(size: &mut v4l2_frmsizeenum) -> Answer {
    if format::find(size.pixel_format).is_none() || size.index != 0 {
        return Err(libc::EINVAL);
    }
    *size = v4l2_frmsizeenum {
        index: 0,
        pixel_format: size.pixel_format,
        // V4L2_FRMSIZE_TYPE_STEPWISE
        type_: 3,
        stepwise: [2, 32768, 2, 2, 32768, 2],
        reserved: [0; 2],
    };
    Ok(())
}
