// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a board is: what users write to name one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Where a board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A serial port of this machine, `/dev/ttyUSB0`.
    Serial(PathBuf),
    /// Raw TCP, `tcp://host:port`; an IPv6 address stands in brackets.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// The built-in simulated board, `sim:` or `sim:FILE`.
    Simulated {
        /// The video file it looks at; a test scene if there is none.
        video: Option<PathBuf>,
    },
}

/// Why a text names no board.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing at all.
    #[error("the device's name is empty")]
    Empty,
    /// Not `tcp://host:port`.
    #[error("“{0}” is not of the form tcp://host:port")]
    BadTcp(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(file) = text.strip_prefix("sim:") {
            let video = (!file.is_empty()).then(|| PathBuf::from(file));
            return Ok(Address::Simulated { video });
        }
        if let Some(target) = text.strip_prefix("tcp://") {
            return parse_tcp(target).ok_or_else(|| AddressError::BadTcp(text.into()));
        }
        Ok(Address::Serial(PathBuf::from(text)))
    }
}

fn parse_tcp(target: &str) -> Option<Address> {
    let (host, port) = target.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        // More colons would be an IPv6 address without its brackets: where does it end?
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then(|| Address::Tcp {
        host: host.into(),
        port,
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Serial(path) => write!(f, "{}", path.display()),
            Address::Tcp { host, port } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Address::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Address::Simulated { video: None } => write!(f, "sim:"),
            Address::Simulated { video: Some(file) } => write!(f, "sim:{}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood_and_written_back() {
        for text in [
            "/dev/ttyUSB0",
            "COM3",
            "sim:",
            "sim:/tmp/a b.mp4",
            "tcp://board.local:3000",
            "tcp://[fe80::1]:3000",
            "tcp://127.0.0.1:1",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(
            "tcp://[::1]:3000".parse(),
            Ok(Address::Tcp {
                host: "::1".into(),
                port: 3000
            })
        );
    }

    #[test]
    fn half_an_address_is_refused() {
        assert_eq!("".parse::<Address>(), Err(AddressError::Empty));
        for text in [
            "tcp://",
            "tcp://host",
            "tcp://host:",
            "tcp://host:0",
            "tcp://host:65536",
            "tcp://:3000",
            "tcp://::1:3000",
            "tcp://[::1:3000",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::BadTcp(text.into())),
                "{text}"
            );
        }
    }
}
