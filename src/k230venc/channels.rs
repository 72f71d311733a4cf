// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who holds which of VENC's four channels in this process. Knows no GStreamer.

use std::sync::{Mutex, MutexGuard};

use crate::sync::lock;
use k230_venc::{Code, Error, MAX_CHANNELS};

/// The channel that carries the IDE's picture on CanMV; taken only when asked for by number.
pub(super) const IDE_CHANNEL: u32 = 3;

/// The holders' names, by channel. Written by [`claim`] and by a claim's end.
static HOLDERS: Mutex<[Option<String>; MAX_CHANNELS as usize]> =
    Mutex::new([const { None }; MAX_CHANNELS as usize]);

fn holders() -> MutexGuard<'static, [Option<String>; MAX_CHANNELS as usize]> {
    lock(&HOLDERS)
}

/// A channel's number, held until dropped.
#[derive(Debug)]
pub(super) struct Claim(u32);

impl Claim {
    pub(super) fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        holders()[self.0 as usize] = None;
    }
}

/// Claims `wanted`, or the first free channel that is not the IDE's if it is negative.
pub(super) fn claim(wanted: i32, holder: &str) -> Result<Claim, Error> {
    let mut holders = holders();
    let number = match u32::try_from(wanted) {
        Ok(number) if number >= MAX_CHANNELS => {
            return Err(Error::refused(
                Code::InvalidChnId,
                format!("channel {wanted}"),
            ));
        }
        Ok(number) => match &holders[number as usize] {
            Some(other) => {
                return Err(Error::refused(
                    Code::Exist,
                    format!("channel {number} is held by {other}"),
                ));
            }
            None => number,
        },
        Err(_) => match (0..IDE_CHANNEL).find(|n| holders[*n as usize].is_none()) {
            Some(number) => number,
            None => {
                let names: Vec<String> = holders
                    .iter()
                    .enumerate()
                    .filter_map(|(n, name)| Some(format!("{n} by {}", name.as_ref()?)))
                    .collect();
                let spare = if holders[IDE_CHANNEL as usize].is_none() {
                    "; channel 3, which is the IDE's on CanMV, is free and can be had with channel=3"
                } else {
                    "; a process has no more than four"
                };
                return Err(Error::refused(
                    Code::Busy,
                    format!("no channel is free, held are {}{spare}", names.join(", ")),
                ));
            }
        },
    };
    holders[number as usize] = Some(holder.to_string());
    Ok(Claim(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, as the table is one for the process.
    #[test]
    fn four_channels_and_no_fifth() {
        let three: Vec<Claim> = ["a", "b", "c"]
            .iter()
            .map(|name| claim(-1, name).expect("three are free"))
            .collect();
        assert_eq!(
            three.iter().map(Claim::number).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        let refused = claim(-1, "d")
            .expect_err("the fourth is the IDE's")
            .to_string();
        assert!(refused.contains("0 by a, 1 by b, 2 by c"), "{refused}");
        assert!(refused.contains("channel=3"), "{refused}");
        let fourth = claim(3, "d").expect("asked for by number");
        let refused = claim(-1, "e").expect_err("no fifth").to_string();
        assert!(refused.contains("3 by d") && refused.contains("K_ERR_VENC_BUSY"));
        let refused = claim(3, "e").expect_err("held").to_string();
        assert!(refused.contains("K_ERR_VENC_EXIST") && refused.contains("held by d"));
        assert_eq!(
            claim(4, "e").expect_err("out of range").code(),
            Some(Code::InvalidChnId)
        );
        drop(three);
        assert_eq!(claim(-1, "f").expect("free again").number(), 0);
        drop(fourth);
    }
}
