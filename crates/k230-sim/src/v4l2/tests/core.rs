// SPDX-License-Identifier: MIT OR Apache-2.0
//! What V4L2's core, the control framework and the events answer, and that nothing brings the double
//! down.

use proptest::prelude::*;

use super::*;

/// The requests that the double has, with the sizes of their structures in them.
const KNOWN: &[u32] = &[
    VIDIOC_QUERYCAP,
    VIDIOC_ENUM_FMT,
    VIDIOC_G_FMT,
    VIDIOC_S_FMT,
    VIDIOC_TRY_FMT,
    VIDIOC_REQBUFS,
    VIDIOC_QUERYBUF,
    VIDIOC_QBUF,
    VIDIOC_DQBUF,
    VIDIOC_STREAMON,
    VIDIOC_STREAMOFF,
    VIDIOC_G_CTRL,
    VIDIOC_S_CTRL,
    VIDIOC_QUERYCTRL,
    VIDIOC_QUERYMENU,
    VIDIOC_G_EXT_CTRLS,
    VIDIOC_S_EXT_CTRLS,
    VIDIOC_TRY_EXT_CTRLS,
    VIDIOC_ENUM_FRAMESIZES,
    VIDIOC_ENCODER_CMD,
    VIDIOC_TRY_ENCODER_CMD,
    VIDIOC_DQEVENT,
    VIDIOC_SUBSCRIBE_EVENT,
    VIDIOC_UNSUBSCRIBE_EVENT,
    VIDIOC_QUERY_EXT_CTRL,
    VIDIOC_S_MVX_ROI_REGIONS,
    VIDIOC_S_MVX_RATE_CONTROL,
    VIDIOC_CROPCAP,
    VIDIOC_G_CROP,
    VIDIOC_G_PRIORITY,
    VIDIOC_S_PRIORITY,
    VIDIOC_CREATE_BUFS,
    VIDIOC_G_SELECTION,
    VIDIOC_DECODER_CMD,
    VIDIOC_TRY_DECODER_CMD,
];

/// Numbers that lead on where random ones end at the first look: types, kinds of memory, formats,
/// controls, flags and counts.
fn likely() -> impl Strategy<Value = u32> {
    let formats: Vec<u32> = format::FORMATS.iter().map(|f| f.fourcc).collect();
    let controls: Vec<u32> = CONTROLS.iter().map(|c| c.id).collect();
    prop_oneof![
        6 => 0u32..12,
        1 => prop::sample::select(formats),
        1 => prop::sample::select(controls),
        1 => prop::sample::select(vec![64, 4096, 32768, u32::MAX, 1 << 31, 0xc000_0000, 0x0f00_0000]),
        1 => any::<u32>(),
    ]
}

/// A request's structure, as words.
#[derive(Debug, Clone)]
struct Made {
    number: u32,
    words: Vec<u32>,
    /// Where its pointer leads, if it is one that has one.
    behind: Option<Vec<u32>>,
}

fn made() -> impl Strategy<Value = Made> {
    let number = prop_oneof![
        8 => prop::sample::select([KNOWN, &own::numbers()].concat()),
        // Every number of V4L2 and of the driver, with whatever size and direction.
        1 => (0u32..4, 0u32..1024, 0u32..256).prop_map(|(direction, size, number)| {
            direction << 30 | size << 16 | 0x5600 | number
        }),
        1 => any::<u32>(),
    ];
    let words = |n| prop::collection::vec(likely(), n);
    (number, words(80), prop::option::of(words(40))).prop_map(|(number, words, behind)| Made {
        number,
        words,
        behind,
    })
}

/// Where the pointer of a request's structure is, in words.
fn pointer(number: u32) -> Option<usize> {
    let offset = match number {
        VIDIOC_QUERYBUF | VIDIOC_QBUF | VIDIOC_DQBUF => std::mem::offset_of!(v4l2_buffer, m),
        VIDIOC_G_EXT_CTRLS | VIDIOC_S_EXT_CTRLS | VIDIOC_TRY_EXT_CTRLS => {
            std::mem::offset_of!(v4l2_ext_controls, controls)
        }
        _ => return None,
    };
    Some(offset / 4)
}

impl Made {
    /// Makes the request, which answers an error or not.
    fn send(mut self, node: &Node) {
        // More than any structure has, and than the most controls that are looked at.
        self.words.resize(512, 0);
        if let Some(behind) = &mut self.behind {
            behind.resize(V4L2_CID_MAX_CTRLS as usize * 5, 0);
        }
        if let (Some(at), Some(behind)) = (pointer(self.number), &mut self.behind) {
            let address = behind.as_mut_ptr() as usize as u64;
            self.words[at] = address as u32;
            self.words[at + 1] = (address >> 32) as u32;
        }
        // SAFETY: the words are more than any structure has; where the pointers lead is what is tried.
        let answer = unsafe { request(node.0, self.number, self.words.as_mut_ptr().cast()) };
        if let Err(error) = answer.expect("a node") {
            let name = std::io::Error::from_raw_os_error(error).to_string();
            assert!((1..134).contains(&error), "{error} {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in a request's structure, and in whatever order requests are made.
    #[test]
    fn no_request_brings_the_double_down(requests in prop::collection::vec(made(), 1..60)) {
        let _alone = alone();
        let node = Node::new();
        for made in requests {
            made.send(&node);
            node.ready(libc::POLLIN | libc::POLLOUT | libc::POLLPRI);
        }
        let mut capability: v4l2_capability = zeroed();
        prop_assert_eq!(node.request(VIDIOC_QUERYCAP, &mut capability), Ok(()));
    }

    /// The same, of a session that encodes.
    #[test]
    fn no_request_brings_an_encoding_session_down(requests in prop::collection::vec(made(), 1..40)) {
        let _alone = alone();
        let node = Node::ready_for("canned");
        node.start(MMAP, 4);
        for (n, made) in requests.into_iter().enumerate() {
            made.send(&node);
            // Refused or not, as the session may be anything by now.
            let _ = Lent::picture(n as u32 % 4, 1).queue(&node);
        }
    }

    /// What is answered to any format is a format: asked for again, it is itself.
    #[test]
    fn every_format_is_made_one_that_the_driver_has(
        kind in prop::sample::select(vec![1u32, 2, 9, 10]),
        fourcc in prop::sample::select(format::FORMATS.iter().map(|f| f.fourcc).collect::<Vec<_>>()),
        (width, height) in (likely(), likely()),
        planes in prop::collection::vec((likely(), likely()), 8),
        count in 0u8..12,
    ) {
        let _alone = alone();
        let node = Node::new();
        let mut whole: v4l2_format = zeroed();
        whole.type_ = kind;
        let mut pix: v4l2_pix_format_mplane = zeroed();
        (pix.width, pix.height, pix.pixelformat, pix.num_planes) = (width, height, fourcc, count);
        for (to, (size, stride)) in pix.plane_fmt.iter_mut().zip(planes) {
            (to.sizeimage, to.bytesperline) = (size, stride);
        }
        whole.fmt.pix_mp = pix;
        if !queue::is_multi(kind) {
            whole.fmt.pix.pixelformat = fourcc;
        }
        for number in [VIDIOC_TRY_FMT, VIDIOC_S_FMT] {
            let mut answer = whole;
            prop_assert_eq!(node.request(number, &mut answer), Ok(()));
            // SAFETY: numbers.
            let (w, h) = unsafe { (answer.fmt.pix.width, answer.fmt.pix.height) };
            prop_assert!(w <= 32768 && h <= 32768);
            let mut again = answer;
            prop_assert_eq!(node.request(number, &mut again), Ok(()));
            // SAFETY: numbers.
            let bytes = |whole: &v4l2_format| unsafe { whole.fmt.raw };
            prop_assert_eq!(bytes(&again), bytes(&answer));
        }
        // Buffers for it there are, or no memory.
        let asked = node.request_buffers(kind, MMAP, 2);
        prop_assert!(matches!(asked, Ok(_) | Err(libc::ENOMEM)), "{asked:?}");
    }
}

#[test]
fn a_pointer_that_leads_nowhere_is_efault() {
    let _alone = alone();
    let node = Node::new();
    for number in KNOWN {
        for nowhere in [0usize, 8, usize::MAX - 4095] {
            // SAFETY: as above: an address that nothing is at is what is tried.
            let answer = unsafe { request(node.0, *number, nowhere as *mut c_void) };
            let expected = match *number {
                // What there is to fill is looked for first.
                VIDIOC_DQEVENT => libc::ENOENT,
                _ => libc::EFAULT,
            };
            assert_eq!(answer, Some(Err(expected)), "{number:#x} at {nowhere:#x}");
        }
    }
    node.start_of_one_plane();
    let mut buffer: v4l2_buffer = zeroed();
    (buffer.type_, buffer.memory, buffer.length) = (OUTPUT, MMAP, 1);
    buffer.m.planes = std::ptr::dangling_mut();
    for number in [VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_DQBUF] {
        assert_eq!(node.request(number, &mut buffer), Err(libc::EFAULT));
    }
    let mut controls: v4l2_ext_controls = zeroed();
    controls.count = 2;
    for number in [VIDIOC_G_EXT_CTRLS, VIDIOC_S_EXT_CTRLS, VIDIOC_TRY_EXT_CTRLS] {
        assert_eq!(node.request(number, &mut controls), Err(libc::EFAULT));
    }
}

impl Node {
    fn start_of_one_plane(&self) {
        self.set_format(OUTPUT, V4L2_PIX_FMT_YUYV, (64, 32))
            .expect("raw");
        self.request_buffers(OUTPUT, MMAP, 1).expect("a buffer");
    }
}

#[test]
fn requests_that_the_driver_has_not_are_enotty() {
    let _alone = alone();
    let node = Node::new();
    let mut room = [0u64; 512];
    let own = own::numbers();
    for number in 0u32..256 {
        for direction in 0u32..4 {
            for size in [0u32, 4, 8, 20, 44, 64, 136, 204, 208, 256, 1024] {
                let number = direction << 30 | size << 16 | 0x5600 | number;
                if KNOWN.contains(&number) || own.contains(&number) {
                    continue;
                }
                // SAFETY: there is more room than the number says.
                let answer = unsafe { request(node.0, number, room.as_mut_ptr().cast()) };
                assert_eq!(answer, Some(Err(libc::ENOTTY)), "{number:#x}");
            }
        }
    }
}

#[test]
fn a_fresh_node_has_the_formats_that_open_sets() {
    let _alone = alone();
    let node = Node::new();
    for kind in [OUTPUT, CAPTURE] {
        let pix = node.get_format(kind);
        assert_eq!((pix.width, pix.height), (2, 2));
        assert_eq!(pix.pixelformat, V4L2_PIX_FMT_YUV420M);
        assert_eq!(pix.num_planes, 3);
        assert_eq!(
            pix.plane_fmt.map(|plane| plane.sizeimage)[..4],
            [4, 1, 1, 0]
        );
        assert_eq!(
            pix.plane_fmt.map(|plane| plane.bytesperline)[..3],
            [2, 1, 1]
        );
        assert_eq!(pix.colorspace, V4L2_COLORSPACE_REC709);
        let rest = [pix.ycbcr_enc, pix.quantization, pix.xfer_func];
        assert_eq!(rest, [2, 1, 1], "709, full range, 709");
    }
    for kind in [V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE] {
        let mut whole: v4l2_format = zeroed();
        whole.type_ = kind;
        node.request(VIDIOC_G_FMT, &mut whole).expect("a format");
        // SAFETY: numbers.
        let pix = unsafe { whole.fmt.pix };
        assert_eq!((pix.sizeimage, pix.bytesperline), (6, 2));
        assert_eq!(pix.priv_, V4L2_PIX_FMT_PRIV_MAGIC);
    }
}

/// The size that the other port shows is an old one, that of its buffers is not.
#[test]
fn the_streams_size_is_the_pictures_and_its_buffers_have_whole_pages() {
    let _alone = alone();
    let node = Node::new();
    node.set_format(CAPTURE, V4L2_PIX_FMT_HEVC, (640, 480))
        .expect("encoded");
    let raw = node
        .set_format(OUTPUT, V4L2_PIX_FMT_NV12, (1281, 721))
        .expect("raw");
    assert_eq!(raw.plane_fmt[1].bytesperline, 1282);
    let shown = node.get_format(CAPTURE);
    assert_eq!((shown.width, shown.height), (2, 2));
    assert_eq!(shown.plane_fmt[0].sizeimage, 226 * 4096);
    let set = node
        .set_format(CAPTURE, V4L2_PIX_FMT_HEVC, (640, 480))
        .expect("encoded");
    assert_eq!((set.width, set.height), (1281, 721));
    // A code that the driver does not know is refused, not replaced.
    let unknown = fourcc(b"XXXX");
    assert_eq!(
        node.set_format(OUTPUT, unknown, (64, 32)).err(),
        Some(libc::EINVAL)
    );
}

#[test]
fn cropping_is_the_whole_picture_by_either_request() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    let whole = v4l2_rect {
        left: 0,
        top: 0,
        width: 64,
        height: 32,
    };
    for (kind, target) in [(2, 0), (1, 256), (OUTPUT, 2), (CAPTURE, 999), (77, 0)] {
        let mut selection = v4l2_selection {
            type_: kind,
            target,
            ..zeroed()
        };
        assert_eq!(node.request(VIDIOC_G_SELECTION, &mut selection), Ok(()));
        assert_eq!((selection.type_, selection.r), (kind, whole));
    }
    let mut crop = v4l2_crop {
        type_: OUTPUT,
        ..zeroed()
    };
    assert_eq!(node.request(VIDIOC_G_CROP, &mut crop), Ok(()));
    assert_eq!(crop.c, whole);
    let mut room = v4l2_cropcap {
        type_: CAPTURE,
        ..zeroed()
    };
    assert_eq!(node.request(VIDIOC_CROPCAP, &mut room), Ok(()));
    assert_eq!(
        (room.bounds, room.defrect, room.pixelaspect),
        (whole, whole, [1, 1])
    );
}

#[test]
fn commands_but_the_stop_are_refused() {
    let _alone = alone();
    let node = Node::new();
    for cmd in 0..5 {
        let expected = if cmd == 1 { Ok(()) } else { Err(libc::EINVAL) };
        for number in [VIDIOC_ENCODER_CMD, VIDIOC_TRY_ENCODER_CMD] {
            let mut command = v4l2_encoder_cmd {
                cmd,
                flags: 1,
                raw: [7; 8],
            };
            assert_eq!(node.request(number, &mut command), expected);
            assert_eq!(command.raw == [0; 8], cmd == 1);
        }
        for number in [VIDIOC_DECODER_CMD, VIDIOC_TRY_DECODER_CMD] {
            let mut command = v4l2_decoder_cmd { cmd, ..zeroed() };
            assert_eq!(node.request(number, &mut command), expected);
        }
    }
}

#[test]
fn a_program_of_higher_priority_keeps_the_others_from_setting() {
    let _alone = alone();
    let (node, other) = (Node::new(), Node::new());
    let get = |node: &Node| {
        let mut priority = 0u32;
        node.request(VIDIOC_G_PRIORITY, &mut priority)
            .map(|()| priority)
    };
    let set = |node: &Node, priority: u32| node.request(VIDIOC_S_PRIORITY, &mut priority.clone());
    assert_eq!(get(&node), Ok(V4L2_PRIORITY_INTERACTIVE));
    for wrong in [0, 4, u32::MAX] {
        assert_eq!(set(&node, wrong), Err(libc::EINVAL));
    }
    assert_eq!(set(&other, V4L2_PRIORITY_RECORD), Ok(()));
    assert_eq!(get(&node), Ok(V4L2_PRIORITY_RECORD));
    let size = (64, 32);
    assert_eq!(
        node.set_format(OUTPUT, V4L2_PIX_FMT_NV12, size).err(),
        Some(libc::EBUSY)
    );
    assert_eq!(
        node.set_control(V4L2_CID_MPEG_VIDEO_BITRATE, 9_000_000),
        Err(libc::EBUSY)
    );
    assert_eq!(set(&node, V4L2_PRIORITY_RECORD), Err(libc::EBUSY));
    assert!(other.set_format(OUTPUT, V4L2_PIX_FMT_NV12, size).is_ok());
    drop(other);
    assert!(node.set_format(OUTPUT, V4L2_PIX_FMT_NV12, size).is_ok());
}

fn ext(id: u32, value: i32) -> v4l2_ext_control {
    v4l2_ext_control {
        id,
        value: value.into(),
        ..zeroed()
    }
}

/// The answer, the values and which control was wrong.
fn several(
    node: &Node,
    number: u32,
    which: u32,
    asked: &[(u32, i32)],
) -> (Result<(), i32>, Vec<i32>, u32) {
    let mut controls: Vec<_> = asked.iter().map(|(id, value)| ext(*id, *value)).collect();
    let mut whole: v4l2_ext_controls = zeroed();
    (whole.which, whole.count) = (which, controls.len() as u32);
    whole.controls = controls.as_mut_ptr();
    let answer = node.request(number, &mut whole);
    (
        answer,
        controls.iter().map(|c| c.value as i32).collect(),
        whole.error_idx,
    )
}

#[test]
fn of_several_controls_none_is_set_if_one_is_wrong() {
    use V4L2_CID_MPEG_VIDEO_BITRATE as BITRATE;
    use V4L2_CID_MPEG_VIDEO_GOP_SIZE as GOP;
    use V4L2_CID_MPEG_VIDEO_H264_PROFILE as PROFILE;
    let _alone = alone();
    let node = Node::new();
    let wrong = [
        ((0x12345, 0), libc::EINVAL),
        ((PROFILE, 99), libc::ERANGE),
        ((PROFILE, 1), libc::EINVAL),
        ((V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, 4), libc::EACCES),
        ((V4L2_CID_CODEC_CLASS, 4), libc::EACCES),
    ];
    for (second, error) in wrong {
        let asked = [(GOP, 50), second];
        let (answer, _, at) = several(&node, VIDIOC_S_EXT_CTRLS, 0, &asked);
        assert_eq!((answer, at), (Err(error), 2), "{second:x?}");
        let (answer, _, at) = several(&node, VIDIOC_TRY_EXT_CTRLS, 0, &asked);
        assert_eq!((answer, at), (Err(error), 1), "{second:x?}");
        assert_eq!(node.get_control(GOP), Ok(29));
    }
    let asked = [
        (GOP, 999_999),
        (BITRATE, 1),
        (V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE, -7),
    ];
    let taken = vec![10_000, 1000, 1];
    let (answer, values, _) = several(
        &node,
        VIDIOC_TRY_EXT_CTRLS,
        V4L2_CID_CODEC_CLASS & !1,
        &asked,
    );
    assert_eq!((answer, values), (Ok(()), taken.clone()));
    assert_eq!(node.get_control(GOP), Ok(29), "only tried");
    let (answer, values, _) = several(&node, VIDIOC_S_EXT_CTRLS, 0, &asked);
    assert_eq!((answer, values), (Ok(()), taken.clone()));
    let ids = asked.map(|(id, _)| (id, -1));
    let (answer, values, _) = several(&node, VIDIOC_G_EXT_CTRLS, 0, &ids);
    assert_eq!((answer, values), (Ok(()), taken));
    let (answer, values, _) = several(&node, VIDIOC_G_EXT_CTRLS, V4L2_CTRL_WHICH_DEF_VAL, &ids);
    assert_eq!((answer, values), (Ok(()), vec![29, 2_500_000, 0]));
    // Of another class, of a request, and defaults to be set: no.
    for which in [V4L2_CID_JPEG_CLASS & !1, V4L2_CTRL_WHICH_REQUEST_VAL] {
        let (answer, ..) = several(&node, VIDIOC_G_EXT_CTRLS, which, &ids);
        assert_eq!(answer, Err(libc::EINVAL));
    }
    let (answer, ..) = several(&node, VIDIOC_S_EXT_CTRLS, V4L2_CTRL_WHICH_DEF_VAL, &ids);
    assert_eq!(answer, Err(libc::EINVAL));
    // Without controls it asks for the class.
    for (class, expected) in [
        (V4L2_CID_JPEG_CLASS & !1, Ok(())),
        (0x00a0_0000, Err(libc::EINVAL)),
    ] {
        assert_eq!(several(&node, VIDIOC_S_EXT_CTRLS, class, &[]).0, expected);
    }
}

#[test]
fn controls_clamp_and_answer_what_they_took() {
    let _alone = alone();
    let node = Node::new();
    for control in CONTROLS.iter().filter(|c| c.flags == 0) {
        for value in [i32::MIN, -2, 0, 1, 7, 60, i32::MAX] {
            let expected = control.validate(value);
            assert_eq!(
                node.set_control(control.id, value),
                expected,
                "{}",
                control.name
            );
            if let Ok(expected) = expected {
                assert_eq!(
                    node.get_control(control.id),
                    Ok(expected),
                    "{}",
                    control.name
                );
            }
        }
    }
    let class = V4L2_CID_CODEC_CLASS;
    assert_eq!(node.get_control(class), Err(libc::EACCES));
    assert_eq!(node.set_control(class, 0), Err(libc::EACCES));
}

#[test]
fn every_control_is_listed_with_the_headings_of_the_classes() {
    let _alone = alone();
    let node = Node::new();
    let mut query = v4l2_queryctrl {
        id: V4L2_CTRL_FLAG_NEXT_CTRL,
        ..zeroed()
    };
    let mut seen = Vec::new();
    while node.request(VIDIOC_QUERYCTRL, &mut query).is_ok() {
        seen.push((query.id, query.type_));
        query.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
    }
    let all: Vec<_> = CONTROLS.iter().map(|c| (c.id, c.kind)).collect();
    assert_eq!(seen, all);
    for class in [
        V4L2_CID_USER_CLASS,
        V4L2_CID_CODEC_CLASS,
        V4L2_CID_JPEG_CLASS,
    ] {
        assert!(seen.contains(&(class, V4L2_CTRL_TYPE_CTRL_CLASS)));
    }
    let rc = V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE;
    assert!(seen.contains(&(rc, V4L2_CTRL_TYPE_BOOLEAN)));
    let compound = V4L2_CTRL_FLAG_NEXT_COMPOUND;
    let mut query = v4l2_query_ext_ctrl {
        id: compound,
        ..zeroed()
    };
    assert_eq!(
        node.request(VIDIOC_QUERY_EXT_CTRL, &mut query),
        Err(libc::EINVAL)
    );
}

/// What the firmware is told while it runs, and what it is only told when it starts.
#[test]
fn some_controls_are_live() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, MMAP, 2).expect("buffers");
    node.request_buffers(CAPTURE, MMAP, 2).expect("buffers");
    let (gop, rate) = (V4L2_CID_MPEG_VIDEO_GOP_SIZE, V4L2_CID_MVE_VIDEO_FRAME_RATE);
    // Buffers are not in the way.
    assert_eq!(node.set_control(gop, 40), Ok(40));
    node.stream(OUTPUT, true).expect("on");
    assert_eq!(
        node.set_control(gop, 41),
        Ok(41),
        "one queue alone starts nothing"
    );
    node.stream(CAPTURE, true).expect("on");
    for (id, value) in [
        (rate, 25 << 16),
        (V4L2_CID_MPEG_VIDEO_BITRATE, 1_000_000),
        (V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE, 1),
        (V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP, 30),
        (V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP, 31),
    ] {
        assert_eq!(node.set_control(id, value), Ok(value), "{id:#x}");
    }
    for id in [
        gop,
        V4L2_CID_MPEG_VIDEO_H264_PROFILE,
        V4L2_CID_MVE_VIDEO_QP_FIXED,
    ] {
        assert_eq!(node.set_control(id, 2), Err(libc::EBUSY), "{id:#x}");
        let has = node.get_control(id).expect("a value");
        assert_eq!(node.set_control(id, has), Ok(has), "it has that already");
    }
    // The firmware stays until the encoded format is another.
    node.stream(OUTPUT, false).expect("off");
    assert_eq!(node.set_control(gop, 2), Err(libc::EBUSY));
    node.stream(CAPTURE, false).expect("off");
    node.request_buffers(CAPTURE, MMAP, 0).expect("freed");
    node.set_format(CAPTURE, V4L2_PIX_FMT_HEVC, (64, 32))
        .expect("another");
    assert_eq!(node.set_control(gop, 2), Ok(2));
}

#[test]
fn changes_of_controls_are_events_for_whoever_wants_to_hear_of_their_own() {
    let _alone = alone();
    let node = Node::new();
    let gop = V4L2_CID_MPEG_VIDEO_GOP_SIZE;
    assert_eq!(
        node.subscribe(V4L2_EVENT_CTRL, 0x12345, 0),
        Err(libc::EINVAL)
    );
    node.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MPEG_VIDEO_BITRATE, 0)
        .expect("subscribed");
    let flags = V4L2_EVENT_SUB_FL_SEND_INITIAL | V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK;
    node.subscribe(V4L2_EVENT_CTRL, gop, flags)
        .expect("subscribed");
    let value = |event: &v4l2_event| (event.id, event.u[0] as u32, event.u[1] as i32);
    assert_eq!(value(&node.event().expect("the first")), (gop, 3, 29));
    assert_eq!(
        node.set_control(V4L2_CID_MPEG_VIDEO_BITRATE, 9_000_000),
        Ok(9_000_000)
    );
    assert_eq!(node.set_control(gop, 50), Ok(50));
    assert_eq!(node.ready(libc::POLLPRI), libc::POLLPRI);
    assert_eq!(value(&node.event().expect("one")), (gop, 1, 50));
    assert_eq!(node.event().err(), Some(libc::ENOENT));
}
