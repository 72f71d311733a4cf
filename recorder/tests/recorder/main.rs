// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as its users have it: started, asked and ended from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

mod auth;
mod browser;
mod cameras;
mod clock;
mod cut;
mod disk;
mod gateway;
mod http;
mod log;
mod mqtt;
mod page;
mod rtsp;
mod servers;
mod shared;
mod store;
mod support;
