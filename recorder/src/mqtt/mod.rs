// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events to and from a broker.
//!
//! | topic | |
//! |---|---|
//! | `kendryte/SITE/state` | `online` or `offline`, retained; the broker says `offline` for a program that is gone |
//! | `kendryte/SITE/recorder` | who has this site's name, retained |
//! | `kendryte/SITE/CAMERA/state` | what the camera does, retained |
//! | `kendryte/SITE/CAMERA/event` | what happened, in order, from the [`outbox`] |
//! | `kendryte/SITE/CAMERA/trigger` | has the program record |
//! | `kendryte/SITE/CAMERA/finish` | ends what is recorded |
//! | `kendryte/SITE/CAMERA/pin`, `unpin` | has a clip stay, or not any more |

mod line;
mod outbox;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, ClientError, EventLoop, LastWill, MqttOptions, Packet, Publish, QoS};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::Error;
use crate::cameras::Cameras;
use crate::clip;
use crate::config::Mqtt;
use crate::events::{Event, Events};
use crate::index::Index;
use crate::lock::Identity;
use crate::pins;
use crate::sync::is_true;
use crate::trigger::{Order, trigger};

use line::{Line, News};
use outbox::Outbox;

/// What may wait for the connection's task, which nobody waits for: far more than the states of all
/// cameras in the half minute after which a broker that takes nothing is given up.
const QUEUE: usize = 1 << 20;
/// Messages that are sent and not acknowledged at most. Their numbers begin anew behind it, and one that
/// is given to two messages at a time costs one of them.
const IN_FLIGHT: u16 = 1000;
/// Bytes of a packet at most. Orders and events have some hundred.
const LONGEST_PACKET: usize = 256 << 10;
/// How long the last message may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where things are said.
#[derive(Debug, Clone)]
struct Topics(String);

impl Topics {
    fn new(site: &str) -> Self {
        Self(format!("kendryte/{site}"))
    }

    fn site(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, site)| site)
    }

    fn online(&self) -> String {
        format!("{}/state", self.0)
    }

    fn recorder(&self) -> String {
        format!("{}/recorder", self.0)
    }

    fn of(&self, camera: &str, what: &str) -> String {
        format!("{}/{camera}/{what}", self.0)
    }

    /// The camera and what it is to do.
    fn order<'a>(&self, topic: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = topic.strip_prefix(&self.0)?.strip_prefix('/')?;
        rest.split_once('/')
    }
}

/// What a trigger says; a text that is no JSON object is the event's id.
fn read(payload: &[u8]) -> Option<Order> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let event = (!text.is_empty()).then(|| text.to_owned());
    Some(Order {
        event,
        ..Order::default()
    })
}

/// Who has a site's name.
#[derive(Debug, Serialize, Deserialize)]
struct Presence {
    recorder: String,
    host: String,
}

/// What is listened to below a camera's topic.
const ORDERS: [&str; 4] = ["trigger", "finish", "pin", "unpin"];

/// What is published comes from here.
#[derive(Debug, Clone)]
pub(crate) struct Station {
    topics: Topics,
    outbox: Outbox,
    /// Cameras whose state is another one.
    changes: mpsc::UnboundedSender<String>,
}

impl Station {
    /// Has a camera's state be told.
    pub(crate) fn tell_state(&self, camera: &str) {
        // At the end nobody listens any more.
        let _ = self.changes.send(camera.to_owned());
    }

    /// What is told of something that happened now.
    pub(crate) fn letter(&self, event: &Event) -> Option<(String, String)> {
        let mut payload = serde_json::to_value(event).ok()?;
        payload["time"] = clip::now().into();
        let topic = self.topics.of(event.camera(), "event");
        Some((topic, payload.to_string()))
    }

    /// Takes what is to be told; it is on the disk then.
    pub(crate) async fn take(
        &self,
        (topic, payload): &(String, String),
    ) -> Result<(), sqlx::Error> {
        self.outbox.put(topic, payload).await
    }
}

/// The connection before it is made.
pub(crate) struct Prepared {
    link: Link,
    broker: EventLoop,
    changes: mpsc::UnboundedReceiver<String>,
    stopped: watch::Receiver<bool>,
}

impl Prepared {
    /// Begins to publish and to listen. The broker may have orders that came while nobody was here, so that the
    /// cameras have to be known.
    pub(crate) fn begin(self) -> JoinHandle<()> {
        tokio::spawn(run(self.link, self.broker, self.changes, self.stopped))
    }
}

/// Takes what happens from now on; is to end when `stopped` is true.
pub(crate) async fn prepare(
    config: &Mqtt,
    identity: Identity,
    cameras: Arc<Cameras>,
    index: Index,
    events: Events,
    stopped: watch::Receiver<bool>,
) -> Result<(Station, Prepared), sqlx::Error> {
    let outbox = Outbox::open(cameras.directory()).await?;
    // Topics may have another name for the machine than the rest.
    let site = config.site.as_deref().unwrap_or(index.site());
    let topics = Topics::new(site);
    let (client, broker) = connect(config, site, &topics);
    let (changes, changed) = mpsc::unbounded_channel();
    let link = Link {
        client,
        topics: topics.clone(),
        identity,
        is_known: false,
        crowded: Arc::default(),
        has_met: false,
        cameras,
        index,
        events,
        outbox: outbox.clone(),
        underway: None,
        followed: HashMap::new(),
        connected: false,
    };
    let station = Station {
        topics,
        outbox,
        changes,
    };
    let prepared = Prepared {
        link,
        broker,
        changes: changed,
        stopped,
    };
    Ok((station, prepared))
}

async fn run(
    mut link: Link,
    broker: EventLoop,
    mut changes: mpsc::UnboundedReceiver<String>,
    mut stopped: watch::Receiver<bool>,
) {
    let (heard, mut news) = mpsc::unbounded_channel();
    let line = Line::new(broker, heard, link.crowded.clone(), stopped.clone());
    let line = tokio::spawn(line.run());
    let letters = link.outbox.news.clone();
    loop {
        tokio::select! {
            Some(news) = news.recv() => link.heed(news).await,
            Some(camera) = changes.recv() => link.tell_state(&camera),
            () = letters.notified() => link.send_next().await,
            () = is_true(&mut stopped) => break,
        }
    }
    // What has just happened is told still; what cannot be is told next time.
    let rest = async {
        while link.connected && !link.is_done().await {
            match news.recv().await {
                Some(news) => link.heed(news).await,
                None => link.connected = false,
            }
        }
    };
    if tokio::time::timeout(FAREWELL, rest).await.is_err() {
        tracing::warn!("the MQTT broker does not take what happened last; it is told next time");
    }
    link.leave();
    // The broker hears of the end from us, or by itself.
    if tokio::time::timeout(FAREWELL, line).await.is_err() {
        tracing::debug!("the MQTT broker did not hear that this is the end");
    }
    link.outbox.close().await;
}

fn connect(config: &Mqtt, site: &str, topics: &Topics) -> (AsyncClient, EventLoop) {
    let id = format!("kendryte-recorder-{site}");
    let mut options = MqttOptions::new(id, config.host.clone(), config.port);
    options.set_keep_alive(Duration::from_secs(15));
    options.set_clean_session(false);
    options.set_max_packet_size(LONGEST_PACKET, LONGEST_PACKET);
    options.set_inflight(IN_FLIGHT);
    // An order is acknowledged when it has been followed: one over which the program is killed comes again.
    options.set_manual_acks(true);
    let will = LastWill::new(topics.online(), "offline", QoS::AtLeastOnce, true);
    options.set_last_will(will);
    if let Some(user) = &config.username {
        // An empty password is none.
        let password = config.password.clone().unwrap_or_default();
        options.set_credentials(user.clone(), password);
    }
    let (client, mut broker) = AsyncClient::new(options, QUEUE);
    // A small packet does not wait until the last one was acknowledged, which takes 40 ms.
    let mut network = broker.network_options();
    network.set_tcp_nodelay(true);
    broker.set_network_options(network);
    (client, broker)
}

/// The connection, from the side of those who use it.
struct Link {
    client: AsyncClient,
    topics: Topics,
    identity: Identity,
    /// What this run has said of itself came back: what comes from others now was said later.
    is_known: bool,
    /// Another recorder has this site's name, and takes the connection; the line forgets it when it has one
    /// that lasts.
    crowded: Arc<AtomicBool>,
    /// It was told of.
    has_met: bool,
    cameras: Arc<Cameras>,
    index: Index,
    events: Events,
    outbox: Outbox,
    /// The message of the outbox that was sent and has not arrived. One at a time keeps the order.
    underway: Option<i64>,
    /// The orders that were acknowledged and that the broker has not done with, by their packets' numbers: what
    /// they said, hashed. It sends them again if the acknowledgement was lost.
    followed: HashMap<u16, u64>,
    connected: bool,
}

impl Link {
    /// Follows what came.
    async fn heed(&mut self, news: News) {
        match news {
            News::Began { resumed } => self.begin(resumed).await,
            News::Ended(promise) => {
                self.connected = false;
                drop(promise);
            }
            News::Came(Packet::PubComp(_)) => {
                if let Some(sequence) = self.underway.take() {
                    self.said(self.outbox.arrived(sequence).await);
                }
                self.send_next().await;
            }
            News::Came(Packet::Publish(order)) => self.take(order).await,
            News::Came(Packet::PubRel(released)) => {
                self.followed.remove(&released.pkid);
            }
            // Now and then: what could not be read is tried again.
            News::Came(Packet::PingResp) => self.send_next().await,
            News::Came(_) => (),
        }
    }

    /// Follows an order, unless it was followed before, and acknowledges it.
    async fn take(&mut self, order: Publish) {
        if order.topic == self.topics.recorder() {
            self.meet(&order.payload);
            self.complain(self.client.try_ack(&order));
            return;
        }
        let mut hash = DefaultHasher::new();
        (&order.topic, &order.payload).hash(&mut hash);
        let hash = hash.finish();
        let known = order.dup && self.followed.get(&order.pkid) == Some(&hash);
        if !known {
            self.follow(&order).await;
        }
        if order.qos == QoS::ExactlyOnce {
            self.followed.insert(order.pkid, hash);
        }
        self.complain(self.client.try_ack(&order));
    }

    /// Somebody who has this site's name. The broker knows the two for one, and ends the connection of either
    /// when the other comes.
    fn meet(&mut self, payload: &[u8]) {
        let Ok(presence) = serde_json::from_slice::<Presence>(payload) else {
            return;
        };
        if presence.recorder == self.identity.id {
            self.is_known = true;
            return;
        }
        if !self.is_known {
            return;
        }
        self.crowded.store(true, Ordering::Relaxed);
        if !std::mem::replace(&mut self.has_met, true) {
            tracing::error!(
                site = self.topics.site(),
                host = presence.host,
                "another recorder has the same site at this broker: each takes the other's connection and orders; \
                 give each a site of its own"
            );
        }
    }

    fn said<T>(&self, result: Result<T, sqlx::Error>) -> Option<T> {
        result
            .inspect_err(|error| tracing::error!("the outbox: {error}"))
            .ok()
    }

    async fn begin(&mut self, resumed: bool) {
        tracing::info!("connected to the MQTT broker");
        self.connected = true;
        if !resumed {
            // It knows nothing of what was under way, and it is not sent again by itself.
            self.underway = None;
            self.followed.clear();
        }
        for what in ORDERS {
            let topic = self.topics.of("+", what);
            self.complain(self.client.try_subscribe(topic, QoS::ExactlyOnce));
        }
        self.complain(
            self.client
                .try_subscribe(self.topics.recorder(), QoS::AtLeastOnce),
        );
        let presence = Presence {
            recorder: self.identity.id.clone(),
            host: self.identity.host.clone(),
        };
        let presence = serde_json::to_string(&presence).unwrap_or_default();
        self.publish(self.topics.recorder(), QoS::AtLeastOnce, true, presence);
        self.publish(
            self.topics.online(),
            QoS::AtLeastOnce,
            true,
            "online".into(),
        );
        for camera in self.cameras.list() {
            self.tell_state(camera.name());
        }
        self.send_next().await;
    }

    /// Whether all has arrived.
    async fn is_done(&mut self) -> bool {
        self.send_next().await;
        self.underway.is_none()
    }

    /// Sends the oldest message, if none is under way.
    async fn send_next(&mut self) {
        if !self.connected || self.underway.is_some() {
            return;
        }
        let first = self.outbox.first().await;
        let Some(letter) = self.said(first).flatten() else {
            return;
        };
        self.underway = Some(letter.sequence);
        let payload = numbered(&letter.payload, letter.sequence);
        self.publish(letter.topic, QoS::ExactlyOnce, false, payload);
    }

    /// Nobody waits for the connection here: its end could not be heard then.
    fn publish(&self, topic: String, qos: QoS, retain: bool, payload: String) {
        self.complain(self.client.try_publish(topic, qos, retain, payload));
    }

    fn complain(&self, result: Result<(), ClientError>) {
        if let Err(error) = result {
            tracing::error!("MQTT: {error}");
        }
    }

    /// A camera's state, or nothing for one that is not there any more.
    fn tell_state(&self, camera: &str) {
        if !self.connected {
            // It is told with all others when there is a connection.
            return;
        }
        let payload = self.cameras.get(camera).map(|camera| {
            let status = camera.status();
            let told = serde_json::json!({ "state": status.state, "error": status.error });
            told.to_string()
        });
        let topic = self.topics.of(camera, "state");
        self.publish(topic, QoS::AtLeastOnce, true, payload.unwrap_or_default());
    }

    /// Records or ends. One that the broker has kept is old: it was for who was there.
    async fn follow(&self, order: &Publish) {
        if order.retain {
            tracing::warn!(topic = order.topic, "a retained order is not followed");
            return;
        }
        let Some((camera, what)) = self.topics.order(&order.topic) else {
            return;
        };
        if let Err(error) = self.obey(camera, what, &order.payload).await {
            tracing::warn!(camera, "{what} by MQTT: {error}");
        }
    }

    async fn obey(&self, camera: &str, what: &str, payload: &[u8]) -> Result<(), Error> {
        let order = read(payload).ok_or("the message cannot be read")?;
        if let ("pin" | "unpin", Some(which)) = (what, &order.event) {
            let (cameras, index, events) = (&self.cameras, &self.index, &self.events);
            pins::pin(cameras, index, events, camera, which, what == "pin").await?;
            return Ok(());
        }
        let found = self.cameras.get(camera);
        let found = found.ok_or("there is no such camera")?;
        match what {
            "finish" => found.finish()?,
            "trigger" => trigger(found, &self.index, order).await.map(drop)?,
            _ => return Err("the message does not say which clip".into()),
        }
        Ok(())
    }

    /// Says that this is the end.
    fn leave(&self) {
        if self.connected {
            let topic = self.topics.online();
            self.publish(topic, QoS::AtLeastOnce, true, "offline".into());
        }
        if let Err(error) = self.client.try_disconnect() {
            tracing::debug!("MQTT: {error}");
        }
    }
}

/// Adds the number by which a reader tells what came twice.
fn numbered(payload: &str, sequence: i64) -> String {
    match serde_json::from_str::<serde_json::Value>(payload) {
        Ok(mut value) if value.is_object() => {
            value["sequence"] = sequence.into();
            value.to_string()
        }
        _ => payload.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = |event: Option<&str>, after| Order {
            event: event.map(str::to_owned),
            after,
            pin: false,
        };
        assert_eq!(read(b"door-7"), Some(order(Some("door-7"), None)));
        assert_eq!(read(b""), Some(order(None, None)));
        let text = br#"{"event": "a", "after": 9, "zone": 1}"#;
        assert_eq!(read(text), Some(order(Some("a"), Some(9))));
        assert_eq!(read(b"{"), None);
        assert_eq!(read(&[0xff]), None);
    }

    #[test]
    fn topics_name_camera_and_order() {
        let topics = Topics("kendryte/home".into());
        let order = |topic| topics.order(topic);
        assert_eq!(
            order("kendryte/home/gate/trigger"),
            Some(("gate", "trigger"))
        );
        assert_eq!(order("kendryte/homes/gate/trigger"), None);
        assert_eq!(order("kendryte/home"), None);
    }
}
