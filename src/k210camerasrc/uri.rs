// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boards as URIs, for players that know no properties. Knows no GStreamer.

use std::fmt::Write;

/// What the URIs of the element begin with.
pub(crate) const PROTOCOLS: &[&str] = &["k210", "k210+tcp", "k210+sim"];

/// What a URI says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// The property `device`; `None` for the first board found.
    pub device: Option<String>,
    /// Properties and their values as text, in the order they stand.
    pub properties: Vec<(String, String)>,
}

/// Why a text is no URI of a board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    /// Another scheme, or none.
    #[error("“{0}” does not begin with k210:, k210+tcp: or k210+sim:")]
    Scheme(String),
    /// A host where a file of this machine is meant.
    #[error("“{0}” names a host; a serial port is k210:///dev/NAME, a serial server k210+tcp://")]
    Host(String),
    /// A server without its port, or with a path.
    #[error("“{0}” is not of the form k210+tcp://HOST:PORT")]
    Server(String),
    /// `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("“{0}” has a % that is followed by no character's code")]
    Escape(String),
    /// A part of the query without a value.
    #[error("“{0}” is not of the form PROPERTY=VALUE")]
    Property(String),
}

impl Target {
    /// Reads `k210:///dev/ttyUSB0`, `k210+tcp://host:port`, `k210+sim:` or `k210+sim:///film.mp4`,
    /// with properties behind a question mark.
    pub(crate) fn parse(uri: &str) -> Result<Self, UriError> {
        let uri = uri.split('#').next().unwrap_or_default();
        let (address, query) = match uri.split_once('?') {
            Some((address, query)) => (address, query),
            None => (uri, ""),
        };
        let (scheme, rest) = address
            .split_once(':')
            .ok_or_else(|| UriError::Scheme(uri.into()))?;
        let device = match scheme.to_ascii_lowercase().as_str() {
            "k210" => path(rest, uri)?,
            "k210+sim" => Some(format!("sim:{}", path(rest, uri)?.unwrap_or_default())),
            "k210+tcp" => Some(server(rest, uri)?),
            _ => return Err(UriError::Scheme(uri.into())),
        };
        let properties = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part
                    .split_once('=')
                    .ok_or_else(|| UriError::Property(part.into()))?;
                Ok((unescape(name)?, unescape(value)?))
            })
            .collect::<Result<_, UriError>>()?;
        Ok(Target { device, properties })
    }

    /// The URI of what the property `device` names.
    pub(crate) fn uri(device: Option<&str>) -> String {
        let Some(device) = device else {
            return "k210:".into();
        };
        if let Some(server) = device.strip_prefix("tcp://") {
            return format!("k210+tcp://{server}");
        }
        match device.strip_prefix("sim:") {
            Some("") => "k210+sim:".into(),
            Some(film) => format!("k210+sim:{}", escape(film)),
            None => format!("k210:{}", escape(device)),
        }
    }
}

/// The path behind a scheme, without the slashes of an empty host; `None` if it is empty.
fn path(rest: &str, uri: &str) -> Result<Option<String>, UriError> {
    let path = match rest.strip_prefix("//") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        Some(_) => return Err(UriError::Host(uri.into())),
        None => rest,
    };
    let path = unescape(path)?;
    Ok((!path.is_empty()).then_some(path))
}

fn server(rest: &str, uri: &str) -> Result<String, UriError> {
    let server = rest
        .strip_prefix("//")
        .map(|server| server.trim_end_matches('/'))
        .filter(|server| !server.is_empty() && !server.contains('/'))
        .ok_or_else(|| UriError::Server(uri.into()))?;
    Ok(format!("tcp://{server}"))
}

fn unescape(text: &str) -> Result<String, UriError> {
    let wrong = || UriError::Escape(text.into());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        match u8::from_str_radix(digits, 16) {
            // A NUL would end the string inside GLib.
            Ok(byte @ 1..) => bytes.push(byte),
            _ => return Err(wrong()),
        }
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A path as it stands in a URI; an absolute one behind an empty host.
fn escape(path: &str) -> String {
    let mut text = String::new();
    if path.starts_with('/') {
        text.push_str("//");
    }
    for byte in path.bytes() {
        // Writing to a String cannot fail.
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                text.write_char(byte.into())
            }
            byte => write!(text, "%{byte:02X}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_named_and_written_back() {
        for (uri, device) in [
            ("k210:", None),
            ("k210:///dev/ttyUSB0", Some("/dev/ttyUSB0")),
            (
                "k210+tcp://board.local:3000",
                Some("tcp://board.local:3000"),
            ),
            ("k210+tcp://[fe80::1]:3000", Some("tcp://[fe80::1]:3000")),
            ("k210+sim:", Some("sim:")),
            ("k210+sim:///tmp/a%20b%3F.mp4", Some("sim:/tmp/a b?.mp4")),
            ("k210+sim:film.mp4", Some("sim:film.mp4")),
        ] {
            let target = Target::parse(uri).unwrap();
            assert_eq!(target.device.as_deref(), device, "{uri}");
            assert_eq!(Target::uri(device), uri);
        }
        assert_eq!(Target::parse("K210://").unwrap(), Target::default());
    }

    #[test]
    fn properties_stand_behind_a_question_mark() {
        let target = Target::parse("k210+sim:?framesize=qqvga&script=%2Ftmp%2Fa.py&&x=").unwrap();
        let properties = [("framesize", "qqvga"), ("script", "/tmp/a.py"), ("x", "")];
        assert_eq!(
            target.properties,
            properties.map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn what_names_no_board_is_refused() {
        for uri in [
            "",
            "k210",
            "file:///dev/ttyUSB0",
            "k210://ttyUSB0",
            "k210+tcp:",
            "k210+tcp://",
            "k210+tcp://host:1/path",
            "k210:///dev/%2",
            "k210:///dev/%zz",
            "k210:///dev/%00",
            "k210:///dev/%ff",
            "k210:?quality",
        ] {
            assert!(Target::parse(uri).is_err(), "{uri}");
        }
    }
}
