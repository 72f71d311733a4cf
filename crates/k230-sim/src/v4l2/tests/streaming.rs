// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pictures in, encoded buffers out.

use super::*;

const CONFIG: u32 = V4L2_BUF_FLAG_MVX_CODEC_CONFIG;
const EOF: u32 = V4L2_BUF_FLAG_KEYFRAME;

/// What `poll` answers, queue by queue.
#[test]
fn a_queue_that_does_not_stream_is_an_error_to_whoever_waits_for_it() {
    let (input, output, events) = (libc::POLLIN, libc::POLLOUT, libc::POLLPRI);
    let _alone = alone();
    let node = Node::ready_for("canned");
    assert_eq!(node.ready(events), 0);
    for asked in [input, input | output, input | events] {
        assert_eq!(node.ready(asked), libc::POLLERR, "{asked:#x}");
    }
    assert_eq!(node.ready(output), 0, "no queue is one for pictures yet");
    node.request_buffers(OUTPUT, MMAP, 2).expect("buffers");
    node.request_buffers(CAPTURE, MMAP, 2).expect("buffers");
    node.stream(OUTPUT, true).expect("on");
    assert_eq!(node.ready(output), 0, "nothing comes back yet");
    assert_eq!(node.ready(input), libc::POLLERR);
    node.stream(CAPTURE, true).expect("on");
    assert_eq!(node.ready(input), libc::POLLERR, "nothing was queued");
    Lent::new(CAPTURE, MMAP, 0, 1).queue(&node).expect("queued");
    assert_eq!(node.ready(input | output | events), 0);
    Lent::picture(0, 1).queue(&node).expect("queued");
    node.wait(input);
    node.wait(output);
    assert_eq!(node.ready(input), input);
    assert_eq!(node.ready(events), 0);
    assert_eq!(node.ready(libc::POLLRDNORM), libc::POLLRDNORM);
}

/// `mvx_buffer_filled_set` adds where a plane begins to what is filled, which has it in it already, and
/// `mvx_buffer_frame_set` forgets it.
#[test]
fn a_plane_begins_with_its_memory_whatever_is_said() {
    let _alone = alone();
    let page = 4096;
    for (faults, pages, refused) in [("", 2, true), ("", 4, false), ("offsets", 2, false)] {
        let node = Node::ready_for(&format!("canned,{faults}"));
        let file = memory_file(pages * u64::from(page));
        let whole = pages as u32 * page;
        let mut lent = Lent::new(OUTPUT, DMABUF, 0, 2);
        for (plane, (begin, used)) in [(0, page), (page, 64 * 16)].into_iter().enumerate() {
            lent.planes[plane].m.fd = file.as_raw_fd();
            lent.planes[plane].length = whole;
            lent.planes[plane].data_offset = begin;
            lent.planes[plane].bytesused = begin + used;
        }
        // Before anything streams the driver has not seen it.
        node.request_buffers(OUTPUT, DMABUF, 2).expect("buffers");
        node.request_buffers(CAPTURE, MMAP, 4).expect("buffers");
        lent.queue(&node).expect("queued");
        assert_eq!(
            lent.buffer.flags & V4L2_BUF_FLAG_QUEUED,
            V4L2_BUF_FLAG_QUEUED
        );
        for index in 0..4 {
            let mut encoded = Lent::new(CAPTURE, MMAP, index, 1);
            encoded.queue(&node).expect("queued");
        }
        node.stream(OUTPUT, true).expect("on");
        node.stream(CAPTURE, true).expect("on");
        let mut second = lent.clone();
        second.buffer.index = 1;
        second.queue(&node).expect("queued");
        let flags = second.buffer.flags;
        let back = V4L2_BUF_FLAG_MVX_BUFFER_NEED_REALLOC;
        assert_eq!(flags & V4L2_BUF_FLAG_DONE != 0, refused, "{flags:#x}");
        assert_eq!(flags & back != 0, refused, "{flags:#x}");
        assert_eq!(flags & V4L2_BUF_FLAG_ERROR, 0, "{flags:#x}");
        for index in 0..2 {
            node.wait(libc::POLLOUT);
            let mut taken = Lent::new(OUTPUT, DMABUF, 0, 2);
            taken.request(&node, VIDIOC_DQBUF).expect("it comes back");
            assert_eq!(taken.buffer.index, index);
            assert_eq!(taken.buffer.flags & back != 0, refused);
        }
        if refused {
            assert_eq!(node.ready(libc::POLLIN), 0, "nothing was encoded");
        } else {
            node.encoded();
        }
    }
}

/// The type of a queue whose buffers were freed stays until there are others.
#[test]
fn streaming_that_has_ended_can_be_ended_again() {
    let _alone = alone();
    let node = Node::new();
    assert_eq!(node.stream(OUTPUT, false), Err(libc::EINVAL));
    let node = Node::ready_for("canned");
    for _ in 0..2 {
        node.start(MMAP, 2);
        for kind in [OUTPUT, CAPTURE] {
            node.request_buffers(kind, MMAP, 0).expect("freed");
            assert_eq!(node.stream(kind, false), Ok(()));
            assert_eq!(node.stream(kind, true), Err(libc::EINVAL), "no buffers");
        }
        assert_eq!(node.ready(libc::POLLOUT), libc::POLLERR);
    }
    // By the other type, which counts when there are buffers again.
    node.request_buffers(OUTPUT, MMAP, 2).expect("buffers");
    node.request_buffers(OUTPUT, MMAP, 0).expect("freed");
    let single = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    let mut whole: v4l2_format = zeroed();
    whole.type_ = single;
    whole.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    node.request(VIDIOC_S_FMT, &mut whole).expect("a format");
    assert_eq!(node.stream(single, false), Err(libc::EINVAL));
    assert_eq!(node.stream(OUTPUT, false), Ok(()));
    node.request_buffers(single, MMAP, 2).expect("buffers");
    assert_eq!(node.stream(single, false), Ok(()));
    assert_eq!(node.stream(OUTPUT, false), Err(libc::EINVAL));
}

/// A descriptor that is closed ends no call that is under way, as in the kernel, which has the file open as long.
#[test]
fn a_call_that_waits_is_not_ended_by_a_close() {
    let _alone = alone();
    let waiting = Node::with("canned", false);
    waiting
        .set_format(CAPTURE, V4L2_PIX_FMT_H264, (64, 32))
        .expect("a format");
    waiting.request_buffers(CAPTURE, MMAP, 1).expect("a buffer");
    Lent::new(CAPTURE, MMAP, 0, 1)
        .queue(&waiting)
        .expect("queued");
    waiting.stream(CAPTURE, true).expect("on");
    let session = session(waiting.0).expect("a node");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| Lent::new(CAPTURE, MMAP, 0, 1).request(&waiting, VIDIOC_DQBUF));
        let until = Instant::now() + SOON;
        while !session.lock().stream.waited_for {
            assert!(Instant::now() < until, "nobody waits");
            std::thread::yield_now();
        }
        close(waiting.0);
        assert!(!is_node(waiting.0) && !session.lock().closed);
        session.stop().expect("the end of the stream");
        assert_eq!(call.join().expect("it ends"), Ok(()));
    });
    assert!(session.lock().closed, "with the last call");
}

/// Flags, times and offsets of what comes out, and that a buffer that is queued with the flags that it came
/// with keeps those of parameter sets.
#[test]
fn flags_stay_as_they_were_queued_but_for_those_of_the_driver() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.start(MMAP, 1);
    let copy = V4L2_BUF_FLAG_TIMESTAMP_COPY;
    Lent::picture(0, 5).queue(&node).expect("queued");
    let mut taken = node.encoded();
    assert_eq!(taken.buffer.flags, copy | CONFIG);
    assert_ne!(taken.buffer.timestamp.tv_sec, 5, "nobody's time");
    assert_eq!(taken.offset(0), 0, "without the base");
    // As many programs do it: queued as it was dequeued.
    taken.queue(&node).expect("queued");
    assert_eq!(taken.buffer.flags, copy | CONFIG | V4L2_BUF_FLAG_QUEUED);
    let mut picture = node.encoded();
    assert_eq!(picture.buffer.flags, copy | CONFIG | EOF);
    assert_eq!(picture.buffer.timestamp.tv_sec, 5);
    // The flags of the end of a picture and of the stream are the driver's.
    picture.buffer.flags = EOF | V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_ERROR;
    picture.queue(&node).expect("queued");
    assert_eq!(picture.buffer.flags, copy | V4L2_BUF_FLAG_QUEUED);
    let mut raw = Lent::picture(1, 6);
    raw.buffer.flags = EOF | V4L2_BUF_FRAME_FLAG_MIRROR_HORI;
    raw.queue(&node).expect("queued");
    let next = node.encoded();
    assert_eq!(
        next.buffer.flags,
        copy | CONFIG,
        "an IDR that was asked for"
    );
    for expected in [0, V4L2_BUF_FRAME_FLAG_MIRROR_HORI] {
        node.wait(libc::POLLOUT);
        let mut back = Lent::new(OUTPUT, MMAP, 0, 2);
        back.request(&node, VIDIOC_DQBUF)
            .expect("a picture's buffer");
        assert_eq!(back.buffer.flags, copy | expected);
        assert_eq!(back.planes[0].bytesused, 0);
        assert_eq!(back.buffer.sequence, 0, "nobody counts");
    }
}

#[test]
fn a_buffer_in_error_has_the_time_that_it_had_before() {
    let _alone = alone();
    let node = Node::ready_for("canned,error-every=2,headers-once");
    node.start(MMAP, 1);
    let mut times = Vec::new();
    for second in 1..=5 {
        Lent::picture(0, second).queue(&node).expect("queued");
        loop {
            let mut taken = node.encoded();
            let flags = taken.buffer.flags;
            let error = flags & V4L2_BUF_FLAG_ERROR != 0;
            times.push((taken.buffer.timestamp.tv_sec, error));
            taken.buffer.flags = 0;
            taken.queue(&node).expect("queued");
            if error || flags & EOF != 0 {
                break;
            }
        }
        node.wait(libc::POLLOUT);
        let mut back = Lent::new(OUTPUT, MMAP, 0, 2);
        back.request(&node, VIDIOC_DQBUF).expect("it comes back");
    }
    times.remove(0);
    assert_eq!(
        times,
        [(1, false), (1, true), (3, false), (3, true), (5, false)]
    );
}

#[test]
fn every_kind_of_memory_is_encoded_from_and_to() {
    let _alone = alone();
    let luma = vec![7u8; 4096];
    let mut stream = vec![0u8; 4096];
    for memory in [USERPTR, DMABUF] {
        let node = Node::ready_for("canned,headers-once");
        node.request_buffers(OUTPUT, memory, 1).expect("buffers");
        node.request_buffers(CAPTURE, memory, 2).expect("buffers");
        let file = memory_file(8192);
        let lend = |lent: &mut Lent, address: usize| {
            for plane in &mut lent.planes {
                plane.length = 4096;
                if memory == DMABUF {
                    plane.m.fd = file.as_raw_fd();
                } else {
                    plane.m.userptr = address as _;
                }
            }
        };
        for index in 0..2 {
            let mut lent = Lent::new(CAPTURE, memory, index, 1);
            lend(
                &mut lent,
                stream.as_mut_ptr() as usize + 64 * index as usize,
            );
            if memory == USERPTR {
                lent.planes[0].length -= 64;
                assert_eq!(lent.queue(&node), Err(libc::EINVAL), "too short");
                lent.planes[0].length = 4096;
            }
            lent.queue(&node).expect("queued");
        }
        let mut lent = Lent::picture(0, 1);
        lent.buffer.memory = memory;
        lend(&mut lent, luma.as_ptr() as usize);
        node.stream(OUTPUT, true).expect("on");
        node.stream(CAPTURE, true).expect("on");
        lent.queue(&node).expect("queued");
        for _ in 0..2 {
            node.wait(libc::POLLIN);
            let mut taken = Lent::new(CAPTURE, memory, 0, 1);
            taken.request(&node, VIDIOC_DQBUF).expect("a buffer");
            assert_eq!(taken.buffer.memory, memory);
        }
        if memory == USERPTR {
            assert_eq!(stream[..5], [0, 0, 0, 1, 0x67]);
            assert_eq!(stream[64..69], [0, 0, 1, 0x65, 9]);
        } else {
            let mut begin = [0u8; 5];
            rustix::io::pread(&file, &mut begin, 0).expect("it is read");
            assert_eq!(begin, [0, 0, 1, 0x65, 9]);
        }
    }
}

#[test]
fn a_stream_ends_by_command_by_an_empty_picture_and_by_a_flag() {
    let _alone = alone();
    for way in ["command", "empty", "flag"] {
        let node = Node::ready_for("canned,headers-once");
        node.start(MMAP, 4);
        let mut last = Lent::picture(0, 1);
        match way {
            "flag" => last.buffer.flags = V4L2_BUF_FLAG_LAST,
            "empty" => {
                Lent::picture(1, 1).queue(&node).expect("queued");
                for plane in &mut last.planes {
                    plane.bytesused = 0;
                }
            }
            _ => {}
        }
        last.queue(&node).expect("queued");
        if way == "command" {
            node.stop().expect("stopped");
        }
        let flags: Vec<u32> = (0..3)
            .map(|_| node.encoded().buffer.flags & !V4L2_BUF_FLAG_TIMESTAMP_COPY)
            .collect();
        assert_eq!(flags, [CONFIG, EOF, V4L2_BUF_FLAG_LAST], "{way}");
        let mut more = Lent::new(CAPTURE, MMAP, 0, 1);
        assert_eq!(more.request(&node, VIDIOC_DQBUF), Err(libc::EPIPE));
        assert_eq!(
            node.ready(libc::POLLIN),
            libc::POLLIN,
            "not to wait for nothing"
        );
    }
}

/// Without firmware the command is lost, or ends a stream that has not begun.
#[test]
fn a_stop_before_anything_streams_ends_what_waits() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    assert_eq!(node.stop(), Ok(()));
    node.request_buffers(OUTPUT, MMAP, 1).expect("buffers");
    node.request_buffers(CAPTURE, MMAP, 1).expect("buffers");
    Lent::new(CAPTURE, MMAP, 0, 1).queue(&node).expect("queued");
    Lent::picture(0, 1).queue(&node).expect("queued");
    assert_eq!(node.stop(), Ok(()));
    assert_eq!(node.ready(libc::POLLIN), libc::POLLERR);
    node.stream(CAPTURE, true).expect("on");
    assert_eq!(node.ready(libc::POLLIN), 0, "the first two were for nobody");
    assert_eq!(node.stop(), Ok(()));
    let taken = node.encoded();
    assert_eq!(taken.planes[0].bytesused, 0);
    assert!(taken.buffer.flags & V4L2_BUF_FLAG_LAST != 0);
}

#[test]
fn the_end_of_a_stream_is_an_event_for_whoever_has_the_node_open() {
    let _alone = alone();
    let (node, other, deaf) = (Node::ready_for("canned"), Node::new(), Node::new());
    for node in [&node, &other] {
        node.subscribe(V4L2_EVENT_EOS, 0, 0).expect("subscribed");
    }
    node.start(MMAP, 1);
    node.stop().expect("stopped");
    node.wait(libc::POLLIN);
    assert_eq!(
        node.event().err(),
        Some(libc::ENOENT),
        "not before it is dequeued"
    );
    node.encoded();
    for node in [&node, &other] {
        assert_eq!(node.ready(libc::POLLPRI), libc::POLLPRI);
        let event = node.event().expect("an event");
        assert_eq!(
            (event.type_, event.sequence, event.pending),
            (V4L2_EVENT_EOS, 1, 0)
        );
    }
    assert_eq!(deaf.event().err(), Some(libc::ENOENT));
}

/// Who waits in a request is woken, and by what ends it.
#[test]
fn requests_of_a_blocking_node_wait() {
    let _alone = alone();
    let waiting = Node::with("canned", false);
    waiting.subscribe(V4L2_EVENT_EOS, 0, 0).expect("subscribed");
    let node = Node::ready_for("canned");
    node.start(MMAP, 1);
    std::thread::scope(|scope| {
        let event = scope.spawn(|| waiting.event().map(|event| event.type_));
        node.stop().expect("stopped");
        node.encoded();
        let event = event.join().expect("it ends");
        assert_eq!(event, Ok(V4L2_EVENT_EOS));
    });
    waiting
        .set_format(CAPTURE, V4L2_PIX_FMT_H264, (64, 32))
        .expect("a format");
    waiting.request_buffers(CAPTURE, MMAP, 1).expect("a buffer");
    waiting.stream(CAPTURE, true).expect("on");
    let dequeue = || Lent::new(CAPTURE, MMAP, 0, 1).request(&waiting, VIDIOC_DQBUF);
    std::thread::scope(|scope| {
        let first = scope.spawn(dequeue);
        let until = Instant::now() + SOON;
        // One waits at a time.
        let second = loop {
            let is_waited_for = sessions().iter().any(|s| s.lock().stream.waited_for);
            if is_waited_for {
                break dequeue();
            }
            assert!(Instant::now() < until, "nobody waits");
            std::thread::yield_now();
        };
        assert_eq!(second, Err(libc::EBUSY));
        waiting.stream(CAPTURE, false).expect("off");
        assert_eq!(first.join().expect("it ends"), Err(libc::EINVAL));
    });
}

#[test]
fn a_failed_session_says_so_until_its_streaming_is_ended() {
    let _alone = alone();
    let node = Node::ready_for("canned,eio-after=1");
    node.start(MMAP, 2);
    Lent::picture(0, 1).queue(&node).expect("queued");
    let found = wait_for(node.0, libc::POLLIN, Some(SOON)).expect("a node");
    assert_eq!(found, libc::POLLERR);
    let mut taken = Lent::new(CAPTURE, MMAP, 0, 1);
    assert_eq!(taken.request(&node, VIDIOC_DQBUF), Err(libc::EIO));
    assert_eq!(Lent::picture(1, 1).queue(&node), Err(libc::EIO));
    assert_eq!(
        node.set_control(V4L2_CID_MPEG_VIDEO_BITRATE, 5_000_000),
        Err(libc::EINVAL)
    );
    assert_eq!(node.stop(), Err(libc::EINVAL));
    node.stream(OUTPUT, false).expect("off");
    node.stream(CAPTURE, false).expect("off");
    assert_eq!(Lent::picture(1, 1).queue(&node), Ok(()));
    node.stream(OUTPUT, true).expect("on");
    assert_eq!(
        node.stream(CAPTURE, true),
        Err(libc::EINVAL),
        "it stays failed"
    );
    let gone = Node::ready_for("canned,gone-after=1");
    gone.start(MMAP, 2);
    Lent::picture(0, 1).queue(&gone).expect("queued");
    wait_for(gone.0, libc::POLLIN, Some(SOON)).expect("a node");
    assert_eq!(gone.ready(libc::POLLIN), libc::POLLERR | libc::POLLHUP);
    assert_eq!(
        gone.get_control(V4L2_CID_MPEG_VIDEO_BITRATE),
        Err(libc::ENODEV)
    );
}

/// From raw to raw and from encoded to encoded there is nothing to do, and the double decodes nothing.
#[test]
fn only_pictures_into_a_stream_are_encoded() {
    let _alone = alone();
    let raw = V4L2_PIX_FMT_NV12;
    let encoded = V4L2_PIX_FMT_H264;
    for (from, to, expected) in [
        (raw, encoded, Ok(())),
        (V4L2_PIX_FMT_P010, encoded, Ok(())),
        (V4L2_PIX_FMT_YUV420, encoded, Ok(())),
        (V4L2_PIX_FMT_ARGB32, encoded, Ok(())),
        // The driver has these in its table, and the hardware does not read them.
        (V4L2_PIX_FMT_RGB24, encoded, Err(libc::ENODEV)),
        (V4L2_PIX_FMT_BGR24, encoded, Err(libc::ENODEV)),
        (raw, raw, Err(libc::EINVAL)),
        (encoded, encoded, Err(libc::EINVAL)),
        // Decoding begins; of what comes then is the next test.
        (encoded, raw, Ok(())),
        (encoded, V4L2_PIX_FMT_ARGB32, Err(libc::ENODEV)),
    ] {
        let node = Node::new();
        node.set_format(OUTPUT, from, (64, 32)).expect("a format");
        node.set_format(CAPTURE, to, (64, 32)).expect("a format");
        for kind in [OUTPUT, CAPTURE] {
            node.request_buffers(kind, MMAP, 1).expect("a buffer");
        }
        node.stream(OUTPUT, true).expect("on");
        assert_eq!(node.stream(CAPTURE, true), expected);
    }
}

/// Streaming that is ended while the encoder reads, with other buffers in the place of the old ones.
#[test]
fn buffers_that_come_back_late_are_nobodys() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    for round in 0..200 {
        node.start(MMAP, 1 + round % 3);
        for index in 0..4 {
            Lent::picture(index, 1).queue(&node).expect("queued");
        }
        let queue = if round % 2 == 0 { OUTPUT } else { CAPTURE };
        node.stream(queue, false).expect("off");
        for kind in [OUTPUT, CAPTURE] {
            node.request_buffers(kind, MMAP, 0).expect("freed");
        }
        assert_eq!(node.ready(libc::POLLIN | libc::POLLOUT), libc::POLLERR);
    }
}

/// As the driver does with a stream that its firmware can make nothing of.
#[test]
fn a_stream_to_be_decoded_fails_the_session_and_an_empty_one_ends() {
    let _alone = alone();
    for (used, ends) in [(100, false), (0, true)] {
        let node = Node::new();
        node.set_format(OUTPUT, V4L2_PIX_FMT_H264, (64, 32))
            .expect("a format");
        let raw = node.set_format(CAPTURE, V4L2_PIX_FMT_NV12, (0, 0));
        let raw = raw.expect("a format");
        assert_eq!((raw.width, raw.height, raw.num_planes), (64, 32, 2));
        for kind in [OUTPUT, CAPTURE] {
            node.request_buffers(kind, MMAP, 2).expect("buffers");
        }
        Lent::new(CAPTURE, MMAP, 0, 2).queue(&node).expect("queued");
        for kind in [OUTPUT, CAPTURE] {
            node.stream(kind, true).expect("on");
        }
        let mut stream = Lent::new(OUTPUT, MMAP, 0, 1);
        stream.planes[0].bytesused = used;
        stream.queue(&node).expect("queued");
        let found = wait_for(node.0, libc::POLLIN, Some(SOON)).expect("a node");
        let mut taken = Lent::new(CAPTURE, MMAP, 0, 2);
        let answer = taken.request(&node, VIDIOC_DQBUF);
        if ends {
            assert_eq!((found, answer), (libc::POLLIN, Ok(())));
            assert!(taken.buffer.flags & V4L2_BUF_FLAG_LAST != 0);
        } else {
            assert_eq!((found, answer), (libc::POLLERR, Err(libc::EIO)));
            let again = node.set_format(OUTPUT, V4L2_PIX_FMT_HEVC, (64, 32));
            assert!(again.is_err(), "the session is over");
        }
    }
    // Of a picture whose size is not known there is one buffer.
    let node = Node::new();
    node.set_format(OUTPUT, V4L2_PIX_FMT_H264, (0, 0))
        .expect("a format");
    node.set_format(CAPTURE, V4L2_PIX_FMT_NV12, (0, 0))
        .expect("a format");
    let count = |kind| node.request_buffers(kind, MMAP, 4).expect("buffers").0;
    assert_eq!((count(OUTPUT), count(CAPTURE)), (4, 1));
}
