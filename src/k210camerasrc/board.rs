// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the board that the user means, and opening the way to it.

use std::path::Path;
use std::sync::Mutex;

use super::trouble::{self, Report, Trouble};
use crate::sync::lock;
use k210_link::address::Address;
use k210_link::discovery::{Discovery, Port};
use k210_link::interrupt::Interrupt;
use k210_link::session::BoardIdentity;
use k210_link::transport::Transport;
use k210_link::transport::serial::{OpenError, Serial};
use k210_link::transport::tcp::Tcp;

/// Environment variable that names the board when the property does not.
const VARIABLE: &str = "K210_DEVICE";

/// Boards that this program has talked to.
static KNOWN: Mutex<Vec<(Port, BoardIdentity)>> = Mutex::new(Vec::new());

/// What the board at `port` said it was when it was last talked to.
pub(crate) fn known_identity(port: &Port) -> Option<BoardIdentity> {
    let known = lock(&KNOWN);
    let found = known.iter().find(|(other, _)| other == port);
    found.map(|(_, identity)| identity.clone())
}

/// A way to a board, known well enough to find it again.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub address: Address,
    /// What its USB adapter is called, if it has one: boards come back under other names.
    usb: Option<Port>,
}

impl Board {
    fn new(address: Address) -> Self {
        let usb = match &address {
            Address::Serial(path) => Discovery::default().port_at(path),
            _ => None,
        };
        Board { address, usb }
    }

    /// The boards that may be meant: the one that is named, or all that are plugged in.
    pub(crate) fn candidates(device: Option<&str>) -> Result<Vec<Board>, Report> {
        let named = match device {
            Some(name) => Some(name.to_owned()),
            None => std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()),
        };
        if let Some(name) = named {
            let address = name.parse().map_err(|e| trouble::bad_address(&e))?;
            return Ok(vec![Board::new(address)]);
        }
        let boards: Vec<Board> = Discovery::default()
            .ports()
            .into_iter()
            .map(|port| Board {
                address: Address::Serial(port.path.clone()),
                usb: Some(port),
            })
            .collect();
        match boards.is_empty() {
            true => Err(trouble::no_board()),
            false => Ok(boards),
        }
    }

    /// Opens the way to it.
    pub(crate) fn open(
        &self,
        baud: u32,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Transport>, Trouble> {
        match &self.address {
            Address::Serial(path) => match Serial::open(path, baud) {
                Ok(port) => Ok(Box::new(port)),
                Err(error) => Err(failed_open(&error)),
            },
            Address::Tcp { host, port } => match Tcp::connect(host, *port, interrupt) {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    Err(Trouble::Flushing)
                }
                Err(error) => Err(Trouble::Unfit(trouble::tcp_error(&error, &self.address))),
            },
            Address::Simulated { video } => self.simulate(video.as_deref()),
        }
    }

    #[cfg(not(feature = "sim"))]
    fn simulate(&self, _video: Option<&Path>) -> Result<Box<dyn Transport>, Trouble> {
        Err(Trouble::Fatal(trouble::no_sim(&self.address)))
    }

    #[cfg(feature = "sim")]
    fn simulate(&self, video: Option<&Path>) -> Result<Box<dyn Transport>, Trouble> {
        use k210_sim::{BootMode, Config, Scene, TestScene};

        use super::footage::{Footage, Pace};

        let failed = |error: &str| Trouble::Fatal(trouble::sim_error(error, &self.address));
        let scene: Box<dyn Scene> = match video {
            None => Box::new(TestScene),
            Some(file) => match Footage::new(file, Pace::Time) {
                Ok(footage) => Box::new(footage),
                Err(error) => {
                    return Err(Trouble::Fatal(trouble::no_footage(&error, &self.address)));
                }
            },
        };
        let config = Config {
            scene,
            // A board that was left in IDE mode answers at once; booting takes seconds.
            boot: BootMode::Ide,
            ..Config::default()
        };
        match k210_sim::open(config) {
            Ok(port) => Ok(Box::new(port)),
            Err(error) => Err(failed(&error.to_string())),
        }
    }

    /// Follows the board to the port that it is plugged into now. An error means that it is not
    /// plugged in; its port may have become another board's.
    pub(crate) fn follow(&mut self) -> Result<(), Report> {
        let identity = self.usb.as_ref().and_then(Port::identity);
        let (Address::Serial(path), Some(identity)) = (&self.address, identity) else {
            return Ok(());
        };
        let discovery = Discovery::default();
        let there = discovery.port_at(path);
        if there.as_ref().and_then(Port::identity) == Some(identity) {
            return Ok(());
        }
        match (discovery.find(identity), there) {
            (Some(port), _) => {
                self.address = Address::Serial(port.path.clone());
                self.usb = Some(port);
                Ok(())
            }
            (None, Some(_)) => Err(trouble::other_board(path)),
            // Whatever has its name now is not described yet, and not this board.
            (None, None) => Err(trouble::open_error(&OpenError::NotFound(path.clone()))),
        }
    }

    /// Keeps what the board says it is for whoever lists boards.
    pub(crate) fn remember(&self, identity: &BoardIdentity) {
        if let Some(port) = &self.usb {
            let mut known = lock(&KNOWN);
            known.retain(|(other, _)| other != port);
            known.push((port.clone(), identity.clone()));
        }
    }

    /// Whether opening it is a matter of milliseconds: not across a network, and not while a
    /// decoder has to find its way into a file.
    pub(crate) fn opens_at_once(&self) -> bool {
        match &self.address {
            Address::Serial(_) | Address::Simulated { video: None } => true,
            Address::Simulated { video: Some(file) } => !file.is_file(),
            Address::Tcp { .. } => false,
        }
    }
}

fn failed_open(error: &OpenError) -> Trouble {
    Trouble::Unfit(trouble::open_error(error))
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_simulated_board_the_error_says_so() {
        let board = Board::candidates(Some("sim:")).unwrap().remove(0);
        let Err(Trouble::Fatal(report)) = board.open(1_500_000, &Interrupt::default()) else {
            panic!("no error that ends the stream");
        };
        assert!(report.text.contains("feature sim"), "{}", report.text);
        assert!(report.text.contains("k210-sim"), "{}", report.text);
    }
}
