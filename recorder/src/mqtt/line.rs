// SPDX-License-Identifier: MIT OR Apache-2.0
//! The line to the broker: moves packets, and connects again and again.
//!
//! `rumqttc` keeps what a broken connection has interrupted and sends it with the next one. What it leaves
//! open is done here, so that nothing is told twice, out of order or never:
//!
//! - Who publishes has to know of which connection an answer is. At the end of one it is told so and
//!   waited for ([`News::Ended`]); what it has published by then goes with the old session, be it that
//!   the broker still has it or not.
//! - What had been read when the connection broke is passed on before that.
//! - A broker that resumes a session goes on with messages that this program has taken before, or the one
//!   that ran before it: it says PUBREL of them. `rumqttc` takes that for an error, each time.
//! - A session of which the two cannot agree is given up, or there would never be another one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::{
    ConnectionError, Event as Polled, EventLoop, MqttState, Packet, Publish, QoS, Request,
    StateError,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::sync::is_true;

/// How long to wait before the broker is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The same where another recorder has this one's name, whose connection it would end.
const CROWDED: Duration = Duration::from_secs(30);
/// Connections in a row that may end over an answer to nothing, before the session is given up.
const DISPUTES: u32 = 3;

/// What those who use the line hear.
pub(super) enum News {
    /// There is a connection; the broker has `resumed` the session of the last one or begun another.
    Began { resumed: bool },
    /// This has come.
    Came(Packet),
    /// The connection has ended, or did not come about. Until one begins nothing is published, which the
    /// drop of this promises.
    Ended(oneshot::Sender<()>),
}

/// One side of it: the other are those who hear.
pub(super) struct Line {
    broker: EventLoop,
    heard: mpsc::UnboundedSender<News>,
    /// Another recorder has this one's name.
    crowded: Arc<AtomicBool>,
    stopped: watch::Receiver<bool>,
    /// A broker that is gone is told of once.
    told: bool,
    /// The broker is to forget what it has for this machine.
    forgets: bool,
    /// Connections that have ended over an answer to nothing.
    disputes: u32,
}

impl Line {
    /// Until `stopped`, when the last connection has ended.
    pub(super) fn new(
        broker: EventLoop,
        heard: mpsc::UnboundedSender<News>,
        crowded: Arc<AtomicBool>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            broker,
            heard,
            crowded,
            stopped,
            told: false,
            forgets: false,
            disputes: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.broker.poll().await {
                Ok(Polled::Incoming(Packet::ConnAck(answer))) => self.begin(answer.session_present),
                Ok(Polled::Incoming(packet)) => self.pass_on(packet),
                Ok(Polled::Outgoing(_)) => (),
                Err(error) => {
                    if self.end(&error).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    fn begin(&mut self, resumed: bool) {
        self.told = false;
        if std::mem::take(&mut self.forgets) {
            // It has, and from the next connection on it keeps again what comes while nobody is here.
            self.broker.mqtt_options.set_clean_session(false);
            self.broker.clean();
            return;
        }
        match resumed {
            true => expect_releases(&mut self.broker.state),
            // What was put off for the answer to another message, which does not come now.
            false => self.broker.state.collision = None,
        }
        self.tell(News::Began { resumed });
    }

    fn pass_on(&mut self, packet: Packet) {
        if matches!(packet, Packet::PingResp) {
            self.disputes = 0;
            self.crowded.store(false, Ordering::Relaxed);
        }
        self.tell(News::Came(packet));
    }

    fn tell(&self, news: News) {
        // Whoever listened has gone: the farewell is still to be sent.
        let _ = self.heard.send(news);
    }

    /// A connection has ended or did not come about; `Break` if there is to be none any more.
    async fn end(&mut self, error: &ConnectionError) -> ControlFlow<()> {
        let disputed = matches!(
            error,
            ConnectionError::MqttState(StateError::Unsolicited(_))
        );
        for packet in read_before(&mut self.broker.state, disputed) {
            self.pass_on(packet);
        }
        let (promise, promised) = oneshot::channel();
        self.tell(News::Ended(promise));
        if *self.stopped.borrow() || matches!(error, ConnectionError::RequestsDone) {
            return ControlFlow::Break(());
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("the MQTT broker: {error}");
        }
        self.disputes += u32::from(disputed);
        if is_unreadable(error) {
            // It would come again with each connection, and nothing behind it ever.
            self.forget("what came is no order, and is given up with what waits behind it");
        } else if self.disputes >= DISPUTES {
            self.forget(
                "the broker goes on with what nobody here knows of; what waits behind it is given up",
            );
        }
        tokio::select! {
            _ = promised => (),
            () = is_true(&mut self.stopped) => return ControlFlow::Break(()),
        }
        // With what has been published meanwhile.
        self.broker.clean();
        // What is not acknowledged comes again, and would be acknowledged twice.
        let of_this_connection = |request: &Request| matches!(request, Request::PubRec(_));
        self.broker
            .pending
            .retain(|request| !of_this_connection(request));
        let wait = match self.crowded.load(Ordering::Relaxed) {
            true => CROWDED,
            false => AGAIN,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => ControlFlow::Continue(()),
            () = is_true(&mut self.stopped) => ControlFlow::Break(()),
        }
    }

    /// Has the broker forget what it has for this machine.
    fn forget(&mut self, why: &str) {
        self.disputes = 0;
        if !std::mem::replace(&mut self.forgets, true) {
            tracing::warn!("{why}");
            self.broker.mqtt_options.set_clean_session(true);
        }
    }
}

/// Whether a packet came that cannot be taken, such as one that is too large: the broker sends it until it
/// was. A connection that breaks amid a packet is none.
fn is_unreadable(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::MqttState(StateError::Deserialization(error))
            if !matches!(error, rumqttc::mqttbytes::Error::Io(_))
    )
}

/// What was read before a connection ended and is not told yet, but for the last packet if the connection
/// ended over it.
fn read_before(state: &mut MqttState, disputed: bool) -> Vec<Packet> {
    let events = std::mem::take(&mut state.events);
    let mut packets: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event {
            Polled::Incoming(packet) => Some(packet),
            Polled::Outgoing(_) => None,
        })
        .collect();
    if disputed {
        packets.pop();
    }
    packets
}

/// Has a PUBREL be answered whatever message it is of, as MQTT wants it: of one that was taken with an
/// earlier connection the state knows nothing (<https://github.com/bytebeamio/rumqtt/issues/664>).
fn expect_releases(state: &mut MqttState) {
    let mut taken = Publish::new("", QoS::ExactlyOnce, Vec::new());
    let before = state.events.len();
    for number in 1..=u16::MAX {
        taken.pkid = number;
        // Its answer is not sent: the broker has had it.
        let _ = state.handle_incoming_packet(Packet::Publish(taken.clone()));
        state.events.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::mqttbytes::Error as PacketError;
    use rumqttc::{PubComp, PubRel};

    /// What waits at the broker is given up for a packet that cannot be read only.
    #[test]
    fn a_connection_that_breaks_amid_a_packet_is_no_unreadable_one() {
        let of = |error| ConnectionError::MqttState(StateError::Deserialization(error));
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!is_unreadable(&of(PacketError::Io(reset))));
        assert!(is_unreadable(&of(PacketError::PayloadSizeLimitExceeded(1))));
        assert!(is_unreadable(&of(PacketError::MalformedPacket)));
    }

    #[test]
    fn what_an_earlier_connection_has_taken_may_be_released() {
        let mut state = MqttState::new(10, true);
        let release = |number| Packet::PubRel(PubRel::new(number));
        assert!(state.handle_incoming_packet(release(7)).is_err());
        state.events.clear();
        expect_releases(&mut state);
        assert!(state.events.is_empty());
        for number in [1, 7, u16::MAX] {
            let answer = state.handle_incoming_packet(release(number)).unwrap();
            assert_eq!(answer, Some(Packet::PubComp(PubComp::new(number))));
        }
    }

    #[test]
    fn an_answer_to_nothing_is_not_passed_on() {
        let mut state = MqttState::new(10, true);
        let answer = |number| Packet::PubComp(PubComp::new(number));
        state.events.push_back(Polled::Incoming(answer(1)));
        assert!(state.handle_incoming_packet(answer(2)).is_err());
        assert_eq!(read_before(&mut state, true), [answer(1)]);
        assert_eq!(read_before(&mut state, true), []);
    }
}
