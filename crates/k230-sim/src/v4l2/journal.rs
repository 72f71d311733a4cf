// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs did with the device, a line for each picture.

use std::{fs::File, io::Write, sync::OnceLock};

use k230_venc::v4l2::raw::*;

/// A picture that was queued.
pub(super) struct Entry<'a> {
    pub number: u32,
    pub fourcc: u32,
    pub memory: u32,
    pub flags: u32,
    /// Nanoseconds.
    pub timestamp: u64,
    pub regions: &'a [v4l2_buffer_param_region],
}

impl Entry<'_> {
    fn line(&self) -> String {
        let memory = match self.memory {
            V4L2_MEMORY_MMAP => "mmap",
            V4L2_MEMORY_DMABUF => "dmabuf",
            _ => "userptr",
        };
        let fourcc = self.fourcc.to_le_bytes();
        let mut line = format!(
            "picture {} {} {memory} {}.{:06}",
            self.number,
            String::from_utf8_lossy(&fourcc),
            self.timestamp / 1_000_000_000,
            self.timestamp / 1000 % 1_000_000
        );
        if self.flags & V4L2_BUF_FLAG_KEYFRAME != 0 {
            line += " idr";
        }
        for r in self.regions {
            line += &format!(
                " {},{}-{},{}:{:+}",
                r.mbx_left, r.mby_top, r.mbx_right, r.mby_bottom, r.qp_delta
            );
        }
        line.push('\n');
        line
    }
}

/// Adds a line to the file that `K230_V4L2_SIM_LOG` names.
pub(super) fn write(entry: &Entry<'_>) {
    static LOG: OnceLock<Option<File>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let path = std::env::var_os("K230_V4L2_SIM_LOG").filter(|path| !path.is_empty())?;
        let opened = File::options().create(true).append(true).open(&path);
        opened
            .inspect_err(|error| log::error!("K230_V4L2_SIM_LOG: {}: {error}", path.display()))
            .ok()
    });
    if let Some(mut log) = log.as_ref() {
        // A line in one write, as other sessions write here too.
        if let Err(error) = log.write_all(entry.line().as_bytes()) {
            log::error!("K230_V4L2_SIM_LOG: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_queued() {
        let region = v4l2_buffer_param_region {
            mbx_left: 1,
            mbx_right: 3,
            mby_top: 2,
            mby_bottom: 9,
            qp_delta: -6,
            ..v4l2_buffer_param_region::default()
        };
        let mut entry = Entry {
            number: 3,
            fourcc: V4L2_PIX_FMT_NV12,
            memory: V4L2_MEMORY_DMABUF,
            flags: V4L2_BUF_FLAG_KEYFRAME,
            timestamp: 1_000_020_000,
            regions: &[region],
        };
        assert_eq!(
            entry.line(),
            "picture 3 NV12 dmabuf 1.000020 idr 1,2-3,9:-6\n"
        );
        (entry.flags, entry.memory, entry.regions) = (0, V4L2_MEMORY_MMAP, &[]);
        assert_eq!(entry.line(), "picture 3 NV12 mmap 1.000020\n");
    }
}
