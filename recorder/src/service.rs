// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service from its start to its end: signals, the watchdog, and what runs beside the cameras.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Error;
use crate::cameras::Cameras;
use crate::config::{Config, Http};
use crate::events::Event;
use crate::http::auth::Auth;
use crate::http::{self, App, Parts};
use crate::index::{Index, Shared};
use crate::listener::Listener;
use crate::lock::Lock;
use crate::log;
use crate::mqtt::{self, Prepared};
use crate::offload::Offload;
use crate::options::Options;
use crate::rtsp;

/// A camera whose thread has not gone round for so long hangs. The end of its files may take less.
const HANGS: Duration = Duration::from_secs(60);

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(options: &Options, config: Config) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let lock = Lock::take(&config.directory)?;
    let (events, happened) = unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let (mut index, found) = Index::open(&config.directory, config.site()).await?;
    // What the last run was ended over is told now.
    for clip in found {
        let _ = events.send(Event::Finished { clip });
    }
    let (silence, silent) = watch::channel(false);
    let shared = match &config.index {
        Some(config) => Some(Shared::start(&config.url, &mut index, silent.clone())?),
        None => None,
    };
    let (shared, following) = shared.unzip();
    let auth = Arc::new(Auth::of(&config.http));
    let watched = config.rtsp.is_some();
    let cameras = Arc::new(Cameras::new(&config.directory, events.clone(), watched));
    let mut offload = None;
    if let Some(store) = &config.store {
        let (index, events) = (index.clone(), events.clone());
        let stopped = stopped.clone();
        offload = Some(Offload::start(
            store,
            &config.directory,
            lock.identity.clone(),
            index,
            events,
            stopped,
        )?);
    }
    let (offload, uploading) = offload.unzip();
    let mut mqtt = None;
    if let Some(config) = &config.mqtt {
        mqtt = Some(
            mqtt::prepare(
                config,
                lock.identity.clone(),
                cameras.clone(),
                index.clone(),
                events.clone(),
                silent,
            )
            .await?,
        );
    }
    let (station, mqtt) = mqtt.unzip();
    let listening = Listener::new(index.clone(), station).run(happened, stopped.clone());
    let listening = tokio::spawn(listening);
    let listener = TcpListener::bind(config.http.listen)
        .await
        .map_err(|error| format!("{}: {error}", config.http.listen))?;
    let rtsp = begin_rtsp(&config, auth.clone())?;
    follow(&cameras, rtsp.as_ref(), &config).await?;
    let publishing = mqtt.map(Prepared::begin);
    let parts = Parts {
        cameras: cameras.clone(),
        index: index.clone(),
        shared,
        offload,
        events,
    };
    let app = App::new(parts, config.http.clone(), auth);
    let serving = serve(listener, app, &config.http, stopped)?;
    let watchdog = tokio::spawn(watchdog(cameras.clone()));
    notify(&[NotifyState::Ready]);
    let mut current = config;
    while signals.next().await == Signal::HangUp {
        notify(&[NotifyState::Reloading, now()]);
        reload(options, &cameras, rtsp.as_ref(), &mut current).await?;
        notify(&[NotifyState::Ready]);
    }
    tracing::info!("ending; files are finished first");
    notify(&[NotifyState::Stopping]);
    let ending = cameras.clone();
    tokio::task::spawn_blocking(move || {
        ending.stop();
        if let Some(rtsp) = rtsp {
            rtsp.stop();
        }
    })
    .await?;
    watchdog.abort();
    stop.send_replace(true);
    serving.await?;
    if let Some(uploading) = uploading {
        uploading.await?;
    }
    listening.await?;
    // Not before all has been put into its outbox.
    silence.send_replace(true);
    for last in [publishing, following].into_iter().flatten() {
        last.await?;
    }
    index.close().await;
    Ok(())
}

/// What the program is told by signals.
#[derive(Debug, PartialEq, Eq)]
enum Signal {
    HangUp,
    End,
}

/// From the start on, so that none ends the program amid it.
struct Signals {
    /// A file may not grow any more (`RLIMIT_FSIZE`, systemd's `LimitFSIZE`): with nobody here for it, that would end the
    /// program; the write fails all the same, and who wrote tells of it.
    _too_large: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Self {
            _too_large: signal(too_large)?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hang_up.recv() => Signal::HangUp,
        }
    }
}

/// Begins to answer; says where.
fn serve(
    listener: TcpListener,
    app: App,
    config: &Http,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Error> {
    let address = listener.local_addr()?;
    let tls = config.tls.as_ref().map(http::acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let router = http::router(app);
    let serving = http::serve(listener, router, tls, config.connections, stopped);
    log::result(&format!("{scheme}://{address}/"));
    Ok(tokio::spawn(serving))
}

/// Begins to answer to players; says where.
fn begin_rtsp(config: &Config, auth: Arc<Auth>) -> Result<Option<Arc<rtsp::Server>>, Error> {
    let Some(config_of_rtsp) = &config.rtsp else {
        return Ok(None);
    };
    let tls = config.http.tls.as_ref();
    let tls = tls.filter(|_| config_of_rtsp.is_reached());
    let server = rtsp::Server::start(config_of_rtsp, tls, auth)?;
    log::result(&server.address(config_of_rtsp).to_string());
    Ok(Some(Arc::new(server)))
}

async fn follow(
    cameras: &Arc<Cameras>,
    rtsp: Option<&Arc<rtsp::Server>>,
    config: &Config,
) -> Result<(), Error> {
    let (cameras, wanted) = (cameras.clone(), config.cameras.clone());
    let rtsp = rtsp.cloned();
    let followed = tokio::task::spawn_blocking(move || {
        cameras.follow(&wanted);
        if let Some(rtsp) = rtsp {
            rtsp.follow(&cameras.list());
        }
    });
    Ok(followed.await?)
}

/// Follows the file as it is now. One that cannot be followed changes nothing.
async fn reload(
    options: &Options,
    cameras: &Arc<Cameras>,
    rtsp: Option<&Arc<rtsp::Server>>,
    current: &mut Config,
) -> Result<(), Error> {
    let config = match options.config() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("the configuration stays as it was: {error}");
            return Ok(());
        }
    };
    let beside_cameras = |config: &Config| Config {
        cameras: Vec::new(),
        ..config.clone()
    };
    if beside_cameras(&config) != beside_cameras(current) {
        tracing::warn!("what is set outside of [[camera]] is followed after a restart");
    }
    follow(cameras, rtsp, &config).await?;
    tracing::info!("the configuration was read again");
    current.cameras = config.cameras;
    Ok(())
}

/// Tells systemd that all is well, while it is.
async fn watchdog(cameras: Arc<Cameras>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        let silent = cameras.silent();
        if silent < HANGS {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a camera's thread hangs since {} s", silent.as_secs());
        }
    }
}

/// The time at which a reload begins. `NotifyState::monotonic_usec_now` overflows where a second's count has 32 bits, 36
/// minutes after the machine's start.
fn now() -> NotifyState<'static> {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    NotifyState::MonotonicUsec(micros)
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd cannot be told: {error}");
    }
}
