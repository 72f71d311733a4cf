// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text from a board, made fit for people's terminals.

use std::fmt::Write;

/// Text that came from a board. What is no UTF-8 becomes U+FFFD, and control characters but the tab
/// are written out, as `\\x1b`: a terminal would obey them.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() && character != '\t' {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{:02x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(
            printable(b"a\tb\x1b[31m\x00\xff\xc2\x9b"),
            "a\tb\\x1b[31m\\x00\u{fffd}\\x9b"
        );
        assert_eq!(printable("21.5 °C".as_bytes()), "21.5 °C");
    }
}
