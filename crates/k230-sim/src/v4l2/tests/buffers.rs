// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers, before anything streams: what videobuf2 checks and answers.

use proptest::prelude::*;

use super::*;

#[test]
fn a_queue_has_the_type_that_its_format_was_set_with() {
    let _alone = alone();
    let node = Node::new();
    // As opened, both are of one plane.
    for kind in [OUTPUT, CAPTURE] {
        assert_eq!(
            node.request_buffers(kind, MMAP, 2).err(),
            Some(libc::EINVAL)
        );
        assert_eq!(node.stream(kind, true), Err(libc::EINVAL));
        let mut lent = Lent::new(kind, MMAP, 0, 3);
        for number in [VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_DQBUF] {
            assert_eq!(lent.request(&node, number), Err(libc::EINVAL));
        }
    }
    let node = Node::ready_for("canned");
    let single = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    assert_eq!(
        node.request_buffers(single, MMAP, 2).err(),
        Some(libc::EINVAL)
    );
    assert!(node.request_buffers(OUTPUT, MMAP, 2).is_ok());
    assert_eq!(node.stream(single, true), Err(libc::EINVAL));
    for (kind, planes) in [(single, 0), (OUTPUT, 1), (OUTPUT, 0)] {
        let mut lent = Lent::new(kind, MMAP, 0, planes);
        let answer = lent.request(&node, VIDIOC_QUERYBUF);
        assert_eq!(answer, Err(libc::EINVAL), "{planes} planes");
    }
    let mut lent = Lent::new(OUTPUT, MMAP, 2, 2);
    assert_eq!(
        lent.request(&node, VIDIOC_QUERYBUF),
        Err(libc::EINVAL),
        "index"
    );
    assert_eq!(
        node.set_format(OUTPUT, V4L2_PIX_FMT_NV12, (8, 8)).err(),
        Some(libc::EBUSY)
    );
}

#[test]
fn every_kind_of_memory_is_taken_on_both_queues() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    for kind in [OUTPUT, CAPTURE] {
        for memory in [MMAP, USERPTR, DMABUF] {
            let (count, kinds) = node.request_buffers(kind, memory, 99).expect("buffers");
            assert_eq!((count, kinds), (32, 0x17));
            assert_eq!(node.request_buffers(kind, memory, 0), Ok((0, 0)));
        }
        for memory in [0, 3, 5, u32::MAX] {
            assert_eq!(
                node.request_buffers(kind, memory, 1).err(),
                Some(libc::EINVAL)
            );
        }
    }
    let node = Node::ready_for("canned,no-dmabuf");
    assert_eq!(
        node.request_buffers(OUTPUT, DMABUF, 1).err(),
        Some(libc::EINVAL)
    );
    assert_eq!(node.request_buffers(OUTPUT, MMAP, 1), Ok((1, 0x13)));
}

#[test]
fn buffers_are_added_to_those_that_there_are() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    assert_eq!(node.create_buffers(OUTPUT, MMAP, 0), Ok((0, 0)));
    assert_eq!(node.create_buffers(OUTPUT, MMAP, 2), Ok((0, 2)));
    assert_eq!(node.create_buffers(OUTPUT, MMAP, 3), Ok((2, 3)));
    assert_eq!(
        node.create_buffers(OUTPUT, DMABUF, 1),
        Err(libc::EINVAL),
        "other memory"
    );
    let offsets: Vec<_> = (0..5)
        .flat_map(|index| {
            let mut lent = Lent::new(OUTPUT, MMAP, index, 2);
            lent.request(&node, VIDIOC_QUERYBUF).expect("a buffer");
            [lent.offset(0), lent.offset(1)]
        })
        .collect();
    assert_eq!(offsets, (0..10).map(|n| n * 4096).collect::<Vec<_>>());
    // While it streams too, up to as many as there may be.
    node.stream(OUTPUT, true).expect("on");
    assert_eq!(node.create_buffers(OUTPUT, MMAP, 99), Ok((5, 27)));
    assert_eq!(node.create_buffers(OUTPUT, MMAP, 1), Err(libc::ENOBUFS));
    let mut asked: v4l2_create_buffers = zeroed();
    (asked.count, asked.memory, asked.format.type_) = (1, MMAP, CAPTURE);
    let answer = node.request(VIDIOC_CREATE_BUFS, &mut asked);
    assert_eq!(answer, Err(libc::EINVAL), "no sizes");
}

#[test]
fn the_driver_adds_its_base_where_a_buffer_is_asked_about_alone() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, MMAP, 1).expect("buffers");
    node.request_buffers(CAPTURE, MMAP, 2).expect("buffers");
    let mut lent = Lent::new(CAPTURE, MMAP, 1, 1);
    lent.request(&node, VIDIOC_QUERYBUF).expect("a buffer");
    assert_eq!(lent.offset(0), (1 << 30) + 4096);
    lent.queue(&node).expect("queued");
    assert_eq!(lent.offset(0), 4096);
    assert_eq!(
        lent.buffer.flags,
        V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY
    );
    // Nobody's address or descriptor either way, and the base added all the same.
    node.request_buffers(CAPTURE, DMABUF, 1).expect("buffers");
    let mut lent = Lent::new(CAPTURE, DMABUF, 0, 1);
    lent.request(&node, VIDIOC_QUERYBUF).expect("a buffer");
    assert_eq!(lent.offset(0), (1 << 30) - 1);
}

#[test]
fn a_buffer_is_mapped_while_the_program_has_it_mapped() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, MMAP, 2).expect("buffers");
    node.request_buffers(CAPTURE, MMAP, 1).expect("buffers");
    let flags = |kind: u32, index: u32| {
        let mut lent = Lent::new(kind, MMAP, index, 2);
        lent.request(&node, VIDIOC_QUERYBUF).expect("a buffer");
        lent.buffer.flags & V4L2_BUF_FLAG_MAPPED
    };
    let may = |offset: u64, len: usize, protection, flags| {
        may_map(node.0, offset, len, protection, flags).expect("a node")
    };
    let (read, write) = (libc::PROT_READ, libc::PROT_WRITE);
    let (shared, base) = (libc::MAP_SHARED, u64::from(session::STREAM_BASE));
    for (offset, len, protection, how, fine) in [
        (0, 2048, write, shared, true),
        (4096, 4096, read | write, shared, true),
        (base, 4096, read, shared, true),
        (0, 2048, read, shared, false),
        (base, 4096, write, shared, false),
        (0, 2048, write, libc::MAP_PRIVATE, false),
        (0, 4097, write, shared, false),
        (1, 100, write, shared, false),
        (1 << 20, 100, write, shared, false),
        (1 << 40, 100, write, shared, false),
    ] {
        let expected = if fine { Ok(()) } else { Err(libc::EINVAL) };
        assert_eq!(
            may(offset, len, protection, how),
            expected,
            "{offset:#x} {len}"
        );
    }
    assert_eq!(flags(OUTPUT, 0), 0);
    mapped(node.0, 4096, 0x1000);
    mapped(node.0, base, 0x2000);
    assert_eq!(
        [flags(OUTPUT, 0), flags(OUTPUT, 1), flags(CAPTURE, 0)],
        [1, 0, 1]
    );
    unmapped(0x1000);
    unmapped(0x3000);
    assert_eq!([flags(OUTPUT, 0), flags(CAPTURE, 0)], [0, 1]);
    // Other buffers at the same place are not mapped, and what is unmapped later is not theirs.
    node.request_buffers(CAPTURE, MMAP, 1).expect("others");
    assert_eq!(flags(CAPTURE, 0), 0);
    mapped(node.0, base, 0x4000);
    unmapped(0x2000);
    assert_eq!(flags(CAPTURE, 0), 1);
    unmapped(0x4000);
}

/// The program may close the descriptor that it opened and go on with a copy.
#[test]
fn a_copy_of_the_descriptor_is_the_session_too() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    // SAFETY: the node's descriptor.
    let copy = Node(unsafe { libc::dup(node.0) });
    duplicate(node.0, copy.0);
    drop(node);
    assert_eq!(copy.request_buffers(OUTPUT, MMAP, 2), Ok((2, 0x17)));
    assert_eq!(copy.event().err(), Some(libc::ENOENT), "it does not wait");
    assert!(wait_for(copy.0, libc::POLLPRI, Some(Duration::ZERO)) == Some(0));
    let error = libc::POLLERR;
    assert!(wait_for(copy.0, libc::POLLIN, Some(Duration::MAX)) == Some(error));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said to be filled has to fit, and where it begins to be in it.
    #[test]
    fn what_is_filled_fits_into_the_buffer(
        used in prop_oneof![0u32..5000, any::<u32>()],
        offset in prop_oneof![Just(0u32), 0u32..5000, any::<u32>()],
        plane in 0usize..2,
    ) {
        let _alone = alone();
        let node = Node::ready_for("canned");
        node.request_buffers(OUTPUT, MMAP, 1).expect("buffers");
        let len = [64 * 32, 64 * 16][plane];
        let mut lent = Lent::picture(0, 1);
        lent.planes[plane].bytesused = used;
        lent.planes[plane].data_offset = offset;
        let filled = if used == 0 { len } else { used };
        let fits = used <= len && (offset == 0 || offset < filled);
        let expected = if fits { Ok(()) } else { Err(libc::EINVAL) };
        prop_assert_eq!(lent.queue(&node), expected);
        if fits {
            prop_assert_eq!(lent.queue(&node), Err(libc::EINVAL), "twice");
        }
    }
}

#[test]
fn queued_buffers_are_what_videobuf2_takes() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, MMAP, 2).expect("buffers");
    let mut lent = Lent::picture(0, 1);
    lent.buffer.memory = USERPTR;
    assert_eq!(lent.queue(&node), Err(libc::EINVAL), "memory");
    let mut lent = Lent::picture(0, 1);
    lent.buffer.field = V4L2_FIELD_ALTERNATE;
    assert_eq!(lent.queue(&node), Err(libc::EINVAL), "field");
    let mut lent = Lent::picture(0, 1);
    lent.buffer.flags = V4L2_BUF_FLAG_REQUEST_FD;
    assert_eq!(
        lent.queue(&node),
        Err(libc::EBADR),
        "a request of the media controller"
    );
    // Times beyond what the kernel's clock holds do not end the double.
    let mut lent = Lent::picture(0, libc::time_t::MAX);
    lent.buffer.timestamp.tv_usec = -1;
    assert_eq!(lent.queue(&node), Ok(()));
    node.stream(OUTPUT, true).expect("on");
    assert_eq!(
        node.request_buffers(OUTPUT, MMAP, 4).err(),
        Some(libc::EBUSY)
    );
    // None at all is another matter, and the type does not matter either.
    let single = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    assert_eq!(node.request_buffers(single, MMAP, 0), Ok((0, 0)));
    assert_eq!(node.stream(OUTPUT, true), Err(libc::EINVAL));
    assert!(node.request_buffers(OUTPUT, MMAP, 4).is_ok());
}

#[test]
fn descriptors_are_as_large_as_the_buffer_and_as_they_say() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, DMABUF, 1).expect("buffers");
    let file = memory_file(8192);
    let queue = |fd: i32, length: u32, used: u32| {
        let mut lent = Lent::picture(0, 1);
        lent.buffer.memory = DMABUF;
        for plane in &mut lent.planes {
            (plane.length, plane.bytesused, plane.m.fd) = (length, used, fd);
        }
        lent.queue(&node)
    };
    let fd = file.as_raw_fd();
    for (fd, length, used, expected) in [
        (-1, 8192, 2048, Err(libc::EINVAL)),
        (1 << 20, 8192, 2048, Err(libc::EINVAL)),
        (fd, 2047, 1024, Err(libc::EINVAL)),
        (fd, 8193, 2048, Err(libc::EFAULT)),
        // Without a length it is all of it, of which nothing is said to be filled.
        (fd, 0, 2048, Err(libc::EINVAL)),
        (fd, 8192, 8192, Ok(())),
    ] {
        assert_eq!(queue(fd, length, used), expected, "{fd} {length} {used}");
    }
}

#[test]
fn addresses_that_nothing_is_at_are_refused() {
    let _alone = alone();
    let node = Node::ready_for("canned");
    node.request_buffers(OUTPUT, USERPTR, 1).expect("buffers");
    node.request_buffers(CAPTURE, USERPTR, 1).expect("buffers");
    let memory = vec![0u8; 8192];
    let good = memory.as_ptr() as usize;
    for (kind, planes) in [(OUTPUT, 2), (CAPTURE, 1)] {
        for (address, length, expected) in [
            (0, 4096, Err(libc::EFAULT)),
            (usize::MAX - 100, 4096, Err(libc::EFAULT)),
            (8, u32::MAX, Err(libc::EFAULT)),
            (good, 7, Err(libc::EINVAL)),
            (good, 4096, Ok(())),
        ] {
            let mut lent = Lent::new(kind, USERPTR, 0, planes);
            for plane in &mut lent.planes {
                (plane.length, plane.m.userptr) = (length, address as _);
            }
            assert_eq!(lent.queue(&node), expected, "{kind}: {address:#x} {length}");
        }
    }
}
