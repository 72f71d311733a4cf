// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cameras for players and other recorders, by RTSP: `gst-rtsp-server` speaks it, with an address for each
//! camera. What is sent is what the camera's ring keeps, encoded once.

mod auth;
mod factory;
mod feed;
mod timeline;
mod viewer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::glib;
use gst_rtsp_server::gio;
use gst_rtsp_server::gst_rtsp::RTSPStatusCode;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPClient, RTSPContext, RTSPFilterResult, RTSPServer};

pub(crate) use feed::Feed;

use crate::camera::Camera;
use crate::config::{Rtsp, Tls};
use crate::http::auth::Auth;
use crate::sync::lock;
use auth::Gate;
use factory::Factory;
use feed::Lane;

/// Bytes that a client may send with a request.
const LONGEST_BODY: u32 = 16 << 10;
/// Threads that read requests: one camera that is slow to begin holds few up.
const THREADS: i32 = 4;
/// How often sessions of clients that are gone are looked for; each lasts a minute.
const CLEAN_UP: Duration = Duration::from_secs(2);

/// Streams by the names of their cameras.
type Feeds = Mutex<HashMap<String, Arc<Feed>>>;

/// Why there is no RTSP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RtspError {
    #[error("rtsp.listen = {0}: that cannot be listened on; does something else have the port?")]
    Listen(SocketAddr),
    #[error("http.tls for RTSP: {0}; the package glib-networking is needed for it")]
    Tls(#[from] glib::Error),
    #[error("the thread for RTSP: {0}")]
    Thread(#[from] std::io::Error),
}

/// The server, and the thread that it runs in.
#[derive(Debug)]
pub(crate) struct Server {
    server: RTSPServer,
    main: glib::MainLoop,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Over TLS, what is sent goes by TCP alone: UDP would have it in the open.
    tls: bool,
    /// Written when cameras come and go.
    feeds: Arc<Feeds>,
}

impl Server {
    /// Listens; `tls` is for an address that others reach.
    pub(crate) fn start(
        config: &Rtsp,
        tls: Option<&Tls>,
        auth: Arc<Auth>,
    ) -> Result<Self, RtspError> {
        let server = RTSPServer::new();
        server.set_address(&config.listen.ip().to_string());
        server.set_service(&config.listen.port().to_string());
        server.set_content_length_limit(LONGEST_BODY);
        if let Some(pool) = server.thread_pool() {
            pool.set_max_threads(THREADS);
        }
        if let Some(pool) = server.session_pool() {
            pool.set_max_sessions(config.clients);
        }
        let gate = Gate::new(auth);
        if let Some(files) = tls {
            let certificate = gio::TlsCertificate::from_files(&files.certificate, &files.key)?;
            gate.set_tls_certificate(Some(&certificate));
        }
        server.set_auth(Some(&gate));
        let feeds = Arc::<Feeds>::default();
        let known = feeds.clone();
        server.connect_client_connected(move |_, client| greet(client, &known));
        let context = glib::MainContext::new();
        let attached = server.attach(Some(&context));
        attached.map_err(|_| RtspError::Listen(config.listen))?;
        let main = glib::MainLoop::new(Some(&context), false);
        clean_up(&server, &context);
        let running = main.clone();
        let thread = std::thread::Builder::new()
            .name("RTSP".to_owned())
            .spawn(move || running.run())?;
        Ok(Self {
            server,
            main,
            thread: Mutex::new(Some(thread)),
            tls: tls.is_some(),
            feeds,
        })
    }

    /// Where it listens, as players are told.
    pub(crate) fn address(&self, config: &Rtsp) -> String {
        let scheme = if self.tls { "rtsps" } else { "rtsp" };
        let port = u16::try_from(self.server.bound_port()).unwrap_or(config.listen.port());
        let address = SocketAddr::new(config.listen.ip(), port);
        format!("{scheme}://{address}/")
    }

    /// Has an address for each of these cameras, and none for others.
    pub(crate) fn follow(&self, cameras: &[Arc<Camera>]) {
        let Some(mounts) = self.server.mount_points() else {
            return;
        };
        let wanted = cameras.iter().filter_map(|camera| {
            let feed = camera.feed()?.clone();
            Some((camera.name().to_owned(), feed))
        });
        let wanted: HashMap<_, _> = wanted.collect();
        let mut feeds = lock(&self.feeds);
        for name in feeds.keys().filter(|name| !wanted.contains_key(*name)) {
            mounts.remove_factory(&format!("/{name}"));
        }
        for (name, feed) in &wanted {
            if !feeds.get(name).is_some_and(|it| Arc::ptr_eq(it, feed)) {
                let factory = Factory::new(name, feed.clone(), self.tls);
                mounts.add_factory(&format!("/{name}"), factory);
            }
        }
        *feeds = wanted;
    }

    /// Sends all clients away and ends.
    pub(crate) fn stop(&self) {
        self.server
            .client_filter(Some(&mut |_, _| RTSPFilterResult::Remove));
        self.main.quit();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for RTSP panicked");
        }
    }
}

/// A client has come.
fn greet(client: &RTSPClient, feeds: &Arc<Feeds>) {
    // A connection without a session is of no use to anybody.
    client.set_post_session_timeout(0);
    let feeds = feeds.clone();
    client.connect_pre_describe_request(move |_, context| answer(context, &feeds));
}

/// Whether what is asked for can be had now.
fn answer(context: &RTSPContext, feeds: &Feeds) -> RTSPStatusCode {
    let path = context.uri().map(|uri| uri.decode_path_components());
    let name = path.and_then(|path| path.into_iter().find(|it| !it.is_empty()));
    let feed = name.and_then(|name| lock(feeds).get(name.as_str()).cloned());
    match feed {
        // There is no such camera, which is said later.
        None => RTSPStatusCode::Ok,
        Some(feed) if feed.kept(Lane::Picture).is_some() => RTSPStatusCode::Ok,
        Some(_) => RTSPStatusCode::ServiceUnavailable,
    }
}

/// Forgets sessions of clients that are gone.
fn clean_up(server: &RTSPServer, context: &glib::MainContext) {
    let weak = server.downgrade();
    let source = glib::timeout_source_new(CLEAN_UP, None, glib::Priority::DEFAULT, move || {
        let Some(pool) = weak.upgrade().and_then(|server| server.session_pool()) else {
            return glib::ControlFlow::Break;
        };
        pool.cleanup();
        glib::ControlFlow::Continue
    });
    source.attach(Some(context));
}
