// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring that collects what scripts print while the UART belongs to the debug protocol
//! (`components/utils/src/buffer.c`).

/// `Buffer_t`: it holds one byte less than its size, and takes a string whole or not at all.
#[derive(Debug, Default)]
pub struct Console {
    bytes: Vec<u8>,
    front: usize,
    rear: usize,
}

impl Console {
    /// `Buffer_Init` on the UART's read buffer, which is `read_buf_len` and one byte long. A
    /// `read_buf_len` of 0 leaves a null buffer that the firmware would write through; here it
    /// takes nothing.
    pub fn new(read_buf_len: usize) -> Self {
        let size = if read_buf_len == 0 {
            0
        } else {
            read_buf_len + 1
        };
        Console {
            bytes: vec![0; size],
            front: 0,
            rear: 0,
        }
    }

    /// `Buffer_Size`.
    pub fn len(&self) -> usize {
        if self.bytes.is_empty() {
            return 0;
        }
        (self.rear + self.bytes.len() - self.front) % self.bytes.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `Buffer_Puts`: false, and nothing stored, when `data` does not fit.
    pub fn put(&mut self, data: &[u8]) -> bool {
        if self.bytes.len() - self.len() <= data.len() {
            return false;
        }
        for &byte in data {
            self.rear = (self.rear + 1) % self.bytes.len();
            self.bytes[self.rear] = byte;
        }
        true
    }

    /// `Buffer_Gets`: false, and `into` untouched, when fewer bytes than asked for wait.
    pub fn get(&mut self, into: &mut [u8]) -> bool {
        if self.len() < into.len() {
            return false;
        }
        for byte in into {
            self.front = (self.front + 1) % self.bytes.len();
            *byte = self.bytes[self.front];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_goes_in_whole_or_not_at_all() {
        let mut console = Console::new(8);
        assert!(console.put(b"12345"));
        assert!(!console.put(b"6789"));
        assert!(console.put(b"678"));
        assert_eq!(console.len(), 8);
        assert!(!console.put(b"9"));
        let mut out = [0; 9];
        assert!(!console.get(&mut out));
        assert_eq!(out, [0; 9]);
        assert!(console.get(&mut out[..8]));
        assert_eq!(&out[..8], b"12345678");
        assert!(console.is_empty());
        assert!(console.put(b"abc"));
        assert!(console.get(&mut out[..3]));
        assert_eq!(&out[..3], b"abc");
    }

    #[test]
    fn no_buffer_takes_nothing() {
        let mut console = Console::new(0);
        assert!(!console.put(b"x"));
        assert!(console.is_empty());
    }
}
