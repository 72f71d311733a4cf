// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of the driver's own, which go to its firmware.

use super::*;

/// Makes the request with a structure of these bytes.
fn set(node: &Node, number: u32, bytes: &mut [u8]) -> Result<(), i32> {
    assert_eq!(bytes.len(), (number >> 16 & 0x3fff) as usize);
    // SAFETY: as many bytes as the number says.
    unsafe { request(node.0, number, bytes.as_mut_ptr().cast()) }.expect("a node")
}

/// A request of such a size.
fn number(place: u32, size: u32) -> u32 {
    3 << 30 | size << 16 | 0x56c0 | place
}

/// By place and size, those that the driver takes always, those that a failed session refuses, and those that are
/// for the beginning alone (`mvx_session_set_*`).
const ALWAYS: [(u32, u32); 5] = [(2, 8), (11, 20), (12, 24), (19, 40), (20, 24)];
const OF_WHOLE: [(u32, u32); 3] = [(3, 46), (4, 239), (7, 8)];
const EARLY: [(u32, u32); 8] = [
    (6, 8),
    (8, 8),
    (9, 4),
    (10, 4),
    (15, 24),
    (16, 10),
    (17, 10),
    (18, 24),
];
const EARLY_OF_ANY: [(u32, u32); 2] = [(13, 716), (14, 36)];

/// What the settings answer, in the order of those lists.
fn answers(node: &Node) -> [Vec<Result<(), i32>>; 4] {
    [&ALWAYS[..], &OF_WHOLE, &EARLY, &EARLY_OF_ANY].map(|settings| {
        let one = |(place, size): &(u32, u32)| {
            let mut bytes = vec![1u8; *size as usize];
            set(node, number(*place, *size), &mut bytes)
        };
        settings.iter().map(one).collect()
    })
}

fn all_are(expected: [Result<(), i32>; 4]) -> [Vec<Result<(), i32>>; 4] {
    let lists = [
        ALWAYS.len(),
        OF_WHOLE.len(),
        EARLY.len(),
        EARLY_OF_ANY.len(),
    ];
    let mut lists = lists.into_iter();
    expected.map(|answer| vec![answer; lists.next().unwrap_or_default()])
}

#[test]
fn settings_are_taken_as_the_driver_takes_them() {
    let _alone = alone();
    let node = Node::ready_for("canned,eio-after=1");
    assert_eq!(answers(&node), all_are([Ok(()); 4]), "before it streams");
    node.start(MMAP, 2);
    let busy = Err(libc::EBUSY);
    assert_eq!(answers(&node), all_are([Ok(()), Ok(()), busy, busy]));
    Lent::picture(0, 1).queue(&node).expect("queued");
    wait_for(node.0, libc::POLLIN, Some(SOON)).expect("a node");
    let failed = Err(libc::EINVAL);
    assert_eq!(answers(&node), all_are([Ok(()), failed, failed, busy]));
}

/// Of a description of the colours the parts come back that its flags name.
#[test]
fn colours_are_read_back() {
    let _alone = alone();
    let node = Node::new();
    let read = || {
        let mut bytes = vec![7u8; 46];
        set(&node, number(0, 46), &mut bytes).expect("colours");
        bytes
    };
    let none = read();
    assert_eq!(none[..8], [0; 8]);
    assert_eq!(none[8..], [7; 38], "the rest stays as it came");
    for (flags, display, content) in [(0u32, 7, 7), (1, 9, 7), (2, 7, 9), (0xff, 9, 9)] {
        let mut colours = [9u8; 46];
        colours[..4].copy_from_slice(&flags.to_ne_bytes());
        set(&node, number(3, 46), &mut colours).expect("colours");
        let back = read();
        assert_eq!(back[..4], (flags & 3).to_ne_bytes());
        assert_eq!(back[4..8], [9; 4]);
        assert_eq!(back[8..28], [display; 20], "{flags}");
        assert_eq!(back[28..32], [content; 4], "{flags}");
        assert_eq!(back[32..], [7; 14]);
    }
    assert_eq!(
        // SAFETY: no address, which is looked at.
        unsafe { request(node.0, number(3, 46), std::ptr::null_mut()) },
        Some(Err(libc::EFAULT))
    );
}
