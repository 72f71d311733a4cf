// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated K210 board.

pub mod counter;
