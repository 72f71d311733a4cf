// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the device does wrong, to order.

/// Faults of one session. The text is a list with commas, as `error-every=3,short-strides`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// `busy`: the node cannot be opened.
    pub busy: bool,
    /// `error-every=N`: every Nth picture comes back in error.
    pub error_every: Option<u32>,
    /// `drop-every=N`: every Nth picture does not come back at all.
    pub drop_every: Option<u32>,
    /// `eio-after=N`: the session fails with the Nth picture.
    pub eio_after: Option<u32>,
    /// `gone-after=N`: with the Nth picture the device is gone, and every request says ENODEV.
    pub gone_after: Option<u32>,
    /// `silent-after=N`: after N pictures nothing comes any more.
    pub silent_after: Option<u32>,
    /// `interrupt-every=N`: every Nth request is interrupted.
    pub interrupt_every: Option<u32>,
    /// `keep=N`: N pictures stay inside before the first stream comes, and the driver says that it needs
    /// so many and one.
    pub keep: u32,
    /// `stride=N`: rows are so many bytes further apart than asked for.
    pub stride: u32,
    /// `short-strides`: rows are said to be shorter than the picture.
    pub short_strides: bool,
    /// `one-buffer`: one buffer is all that a queue gets.
    pub one_buffer: bool,
    /// `headers-once`: parameter sets come with the first picture alone.
    pub headers_once: bool,
    /// `pieces=N`: encoded buffers are filled with N bytes at most.
    pub pieces: Option<usize>,
    /// `no-controls`: only the bit rate can be set.
    pub no_controls: bool,
    /// `no-dmabuf`: no memory is imported.
    pub no_dmabuf: bool,
    /// `offsets`: planes begin in their memory where the program says.
    pub offsets: bool,
    /// `canned`: nothing is encoded; each picture's stream is the same few bytes.
    pub canned: bool,
}

impl Faults {
    pub(crate) fn parse(text: &str) -> Self {
        let mut faults = Self::default();
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, value.parse::<u32>().ok()),
                None => (word, None),
            };
            match name {
                "busy" => faults.busy = true,
                "error-every" => faults.error_every = value,
                "drop-every" => faults.drop_every = value,
                "eio-after" => faults.eio_after = value,
                "gone-after" => faults.gone_after = value,
                "silent-after" => faults.silent_after = value,
                "interrupt-every" => faults.interrupt_every = value,
                "keep" => faults.keep = value.unwrap_or_default(),
                "stride" => faults.stride = value.unwrap_or_default(),
                "short-strides" => faults.short_strides = true,
                "one-buffer" => faults.one_buffer = true,
                "headers-once" => faults.headers_once = true,
                "pieces" => faults.pieces = value.map(|bytes| bytes as usize),
                "no-controls" => faults.no_controls = true,
                "no-dmabuf" => faults.no_dmabuf = true,
                "offsets" => faults.offsets = true,
                "canned" => faults.canned = true,
                unknown => log::error!("K230_V4L2_SIM_FAULTS: there is no fault {unknown:?}"),
            }
        }
        faults
    }
}

/// Whether the `count`th is one of those that `every` names.
pub(super) fn falls_on(every: Option<u32>, count: u32) -> bool {
    every.is_some_and(|every| every != 0 && count.is_multiple_of(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_words_with_numbers() {
        let faults = Faults::parse("error-every=3, stride=64,headers-once");
        assert_eq!(faults.error_every, Some(3));
        assert_eq!(faults.stride, 64);
        assert!(faults.headers_once && !faults.busy);
        assert_eq!(Faults::parse(""), Faults::default());
        assert!(falls_on(Some(3), 6) && !falls_on(Some(3), 7) && !falls_on(None, 3));
    }
}
