// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding boards by the USB ids of their serial adapters.
//!
//! Everything here is read from sysfs. No port is opened: that would move its modem lines, and
//! reset whatever else hangs on an adapter of the same make.

use std::fs;
use std::path::{Path, PathBuf};

/// USB vendor and product ids of the adapters on K210 boards, and the boards they are seen on.
pub const ADAPTERS: [(u16, u16, &str); 5] = [
    (0x0403, 0x6010, "Maix Bit, Dock or Go (FT2232)"),
    (0x1a86, 0x7523, "Maix Dock or Nano (CH340)"),
    (0x0403, 0x6001, "M5StickV or other (FT232)"),
    (0x1a86, 0x55d2, "Maix board (CH342)"),
    (0x1a86, 0x55d4, "Maix board (CH9102)"),
];

/// A serial port that may lead to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its device file.
    pub path: PathBuf,
    /// USB vendor id.
    pub vendor: u16,
    /// USB product id.
    pub product: u16,
    /// What boards have this adapter.
    pub description: &'static str,
    /// The adapter's own name, if it has one.
    pub name: Option<String>,
    /// The adapter's serial number, if it has one.
    pub serial: Option<String>,
    /// Which of the adapter's ports it is, from 0.
    pub interface: u8,
}

impl Port {
    /// A name for people: the adapter's, with the port's number where there are several.
    pub fn display_name(&self) -> String {
        let name = self.name.as_deref().unwrap_or(self.description);
        match self.interface {
            0 => format!("K210 board: {name}"),
            n => format!("K210 board: {name} (port {})", n + 1),
        }
    }

    /// What stays the same when the board is plugged in elsewhere.
    pub fn identity(&self) -> Option<(u16, u16, &str, u8)> {
        let serial = self.serial.as_deref()?;
        Some((self.vendor, self.product, serial, self.interface))
    }
}

/// Where the kernel describes its devices, and where their files are.
#[derive(Clone, Debug)]
pub struct Discovery {
    sysfs: PathBuf,
    dev: PathBuf,
}

/// Environment variable that names a directory whose `sys` and `dev` are looked at instead of the
/// system's.
pub const ROOT_VARIABLE: &str = "K210_SYSROOT";

impl Default for Discovery {
    fn default() -> Self {
        let root = std::env::var_os(ROOT_VARIABLE).unwrap_or_else(|| "/".into());
        let root = Path::new(&root);
        Discovery::at(root.join("sys"), root.join("dev"))
    }
}

impl Discovery {
    /// Looks at a copy of sysfs elsewhere, whose devices are said to be in `dev`.
    pub fn at(sysfs: impl Into<PathBuf>, dev: impl Into<PathBuf>) -> Self {
        Discovery {
            sysfs: sysfs.into(),
            dev: dev.into(),
        }
    }

    /// The ports whose adapters are of the kind that K210 boards have, by their names.
    pub fn ports(&self) -> Vec<Port> {
        let Ok(entries) = fs::read_dir(self.sysfs.join("class/tty")) else {
            return Vec::new();
        };
        let mut ports: Vec<Port> = entries
            .flatten()
            .filter_map(|entry| self.port(&entry.file_name().to_string_lossy()))
            .collect();
        ports.sort_by_key(|port| natural(&port.path));
        ports
    }

    /// What is known of the port at `path`, followed through links as in `/dev/serial/by-id`.
    pub fn port_at(&self, path: &Path) -> Option<Port> {
        let path = fs::canonicalize(path).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        self.port(&name)
    }

    /// The port with this identity, wherever it is plugged in now.
    pub fn find(&self, identity: (u16, u16, &str, u8)) -> Option<Port> {
        self.ports()
            .into_iter()
            .find(|port| port.identity() == Some(identity))
    }

    fn port(&self, tty: &str) -> Option<Port> {
        // /sys/class/tty/ttyUSB0/device leads below the USB interface, whose parent is the device.
        let device =
            fs::canonicalize(self.sysfs.join("class/tty").join(tty).join("device")).ok()?;
        let mut interface = None;
        for level in device.ancestors().take(6) {
            if interface.is_none() {
                interface = attribute(level, "bInterfaceNumber")
                    .and_then(|number| u8::from_str_radix(&number, 16).ok());
            }
            let id = |name| {
                attribute(level, name).and_then(|value| u16::from_str_radix(&value, 16).ok())
            };
            let (Some(vendor), Some(product)) = (id("idVendor"), id("idProduct")) else {
                continue;
            };
            let (_, _, description) = ADAPTERS
                .into_iter()
                .find(|(v, p, _)| (*v, *p) == (vendor, product))?;
            return Some(Port {
                path: self.dev.join(tty),
                vendor,
                product,
                description,
                name: attribute(level, "product"),
                serial: attribute(level, "serial"),
                // Adapters with one port of the CDC class have a control interface before the
                // data's, and number from 0 either way.
                interface: interface.unwrap_or(0),
            });
        }
        None
    }
}

fn attribute(directory: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(directory.join(name)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Sorts ttyUSB10 behind ttyUSB9.
fn natural(path: &Path) -> (String, u32) {
    let name = path.to_string_lossy();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A sysfs with one adapter: its ttys by interface number.
    fn add_adapter(root: &Path, bus: &str, ids: (&str, &str), serial: &str, ttys: &[(&str, u8)]) {
        let device = root.join("devices/pci0/usb1").join(bus);
        for (tty, interface) in ttys {
            let below = device.join(format!("{bus}:1.{interface}"));
            let port = below.join(tty);
            fs::create_dir_all(&port).unwrap();
            fs::write(below.join("bInterfaceNumber"), format!("{interface:02x}\n")).unwrap();
            let class = root.join("class/tty").join(tty);
            fs::create_dir_all(&class).unwrap();
            symlink(&port, class.join("device")).unwrap();
        }
        fs::write(device.join("idVendor"), format!("{}\n", ids.0)).unwrap();
        fs::write(device.join("idProduct"), format!("{}\n", ids.1)).unwrap();
        if !serial.is_empty() {
            fs::write(device.join("serial"), format!("{serial}\n")).unwrap();
        }
        fs::write(device.join("product"), "Sipeed-Debug\n").unwrap();
    }

    #[test]
    fn boards_are_told_from_other_serial_ports() {
        let root = tempfile::tempdir().unwrap();
        let sysfs = root.path();
        add_adapter(
            sysfs,
            "1-2",
            ("0403", "6010"),
            "A1",
            &[("ttyUSB10", 0), ("ttyUSB9", 1)],
        );
        add_adapter(sysfs, "1-3", ("067b", "2303"), "", &[("ttyUSB2", 0)]);
        add_adapter(sysfs, "1-4", ("1a86", "7523"), "", &[("ttyUSB0", 0)]);
        fs::create_dir_all(sysfs.join("class/tty/tty1")).unwrap();

        let discovery = Discovery::at(sysfs, "/dev");
        let ports = discovery.ports();
        let paths: Vec<_> = ports.iter().map(|p| p.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/dev/ttyUSB0", "/dev/ttyUSB9", "/dev/ttyUSB10"]);
        assert_eq!(ports[0].serial, None);
        assert_eq!(ports[0].identity(), None);
        assert_eq!(ports[1].interface, 1);
        assert_eq!(ports[1].serial.as_deref(), Some("A1"));
        assert_eq!(ports[1].display_name(), "K210 board: Sipeed-Debug (port 2)");
        assert_eq!(
            discovery.find((0x0403, 0x6010, "A1", 0)),
            Some(ports[2].clone())
        );
        assert_eq!(discovery.find((0x0403, 0x6010, "A2", 0)), None);
    }

    #[test]
    fn no_sysfs_is_no_boards() {
        assert!(Discovery::at("/nonexistent", "/dev").ports().is_empty());
    }
}
