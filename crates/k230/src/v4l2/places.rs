// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the driver's places a picture goes into.
//!
//! A place that memory was lent to keeps it: the driver maps it for the device once, for as long as the
//! same memory comes to the same place. So each of the few buffers that upstream has gets a place of
//! its own, as far as there are places.

use std::os::fd::RawFd;

/// Places for pictures that are lent. Upstream's pools have about as many, and a place without memory
/// costs nothing.
pub(super) const LENT: u32 = 8;

/// Memory that was not seen for so many rounds over all places will not be seen again.
const FORGOTTEN: u32 = 4;

/// A place that is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    pub index: usize,
    /// The memory that was lent to it last.
    pub last: Option<RawFd>,
    /// The number of the picture that was in it last.
    pub used: u32,
}

/// The place for picture `number`, which is in memory of its own or in what is behind `fd`, out of
/// the free ones of `count`.
pub(super) fn choose(
    mut free: impl Iterator<Item = Free> + Clone,
    count: usize,
    number: u32,
    fd: Option<RawFd>,
) -> Option<usize> {
    let Some(fd) = fd else {
        return free.next().map(|place| place.index);
    };
    let known = free.clone().find(|place| place.last == Some(fd));
    let unused = || free.clone().find(|place| place.last.is_none());
    let age = |place: &Free| number.wrapping_sub(place.used);
    let forgotten = || {
        let rounds = u32::try_from(count)
            .unwrap_or(u32::MAX)
            .saturating_mul(FORGOTTEN);
        let oldest = free.clone().max_by_key(age);
        oldest.filter(|place| age(place) > rounds)
    };
    // Of more buffers than places, which come in turns, the oldest is the next to come again.
    let newest = || free.clone().min_by_key(age);
    known
        .or_else(unused)
        .or_else(forgotten)
        .or_else(newest)
        .map(|place| place.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pictures in these descriptors one after the other; how many came to a place that had
    /// them.
    fn hits(places: &mut [(Option<RawFd>, u32)], fds: impl Iterator<Item = RawFd>) -> usize {
        let begin = places.iter().map(|(_, used)| *used).max().unwrap_or(0);
        fds.zip(begin + 1..)
            .filter(|(fd, number)| {
                let free = places.iter().enumerate().map(|(index, (last, used))| Free {
                    index,
                    last: *last,
                    used: *used,
                });
                let index = choose(free, places.len(), *number, Some(*fd)).expect("a place");
                let known = places[index].0 == Some(*fd);
                places[index] = (Some(*fd), *number);
                known
            })
            .count()
    }

    #[test]
    fn each_buffer_has_a_place_of_its_own() {
        let mut places = [(None, 0); 8];
        assert_eq!(hits(&mut places, (0..8).cycle().take(80)), 72);
        assert_eq!(hits(&mut places, (0..8).rev().cycle().take(80)), 80);
    }

    #[test]
    fn of_more_buffers_than_places_most_keep_theirs() {
        let mut places = [(None, 0); 8];
        let hits = hits(&mut places, (0..12).cycle().take(1200));
        assert!(hits > 600, "{hits}");
    }

    #[test]
    fn memory_that_comes_no_more_gives_its_place_up() {
        let mut places = [(None, 0); 8];
        hits(&mut places, (0..8).cycle().take(80));
        hits(&mut places, (20..28).cycle().take(400));
        assert!(
            places.iter().all(|(last, _)| *last >= Some(20)),
            "{places:?}"
        );
        assert_eq!(hits(&mut places, (20..28).cycle().take(80)), 80);
    }

    #[test]
    fn pictures_of_the_drivers_own_memory_take_the_first() {
        let free = [3, 5].map(|index| Free {
            index,
            last: None,
            used: 0,
        });
        assert_eq!(choose(free.into_iter(), 6, 9, None), Some(3));
        assert_eq!(choose([].into_iter(), 6, 9, None), None);
        assert_eq!(choose([].into_iter(), 6, 9, Some(1)), None);
    }
}
