// SPDX-License-Identifier: MIT OR Apache-2.0
//! The link to a K210 board that runs stock MaixPy firmware.

pub mod sim;
