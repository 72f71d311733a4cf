// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections: how many, and how long they may take.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::sync::is_true;

/// How long a request's head may take, and a connection wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const LONGEST_HEAD: usize = 16 << 10;
/// Milliseconds after which who takes nothing of what is sent is left alone.
const STALLED: u32 = 60_000;
/// How long answers may take when the program ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Answers on a port until `stop` is true. More than `connections` at a time wait for their turn.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    connections: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_header_size(LONGEST_HEAD)
        .max_headers(64);
    loop {
        // A place first: who finds none waits in the kernel's queue and costs nothing here.
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = is_true(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("no connection: {error}");
                // As when there are no descriptors left: they come back when somebody leaves.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        set_limits(&stream);
        let answers = Answers {
            http: http.clone(),
            router: router.clone().layer(Extension(peer)),
            watcher: graceful.watcher(),
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => answers.give(stream).await,
                Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answers.give(stream).await,
                    Ok(Err(error)) => tracing::debug!("no TLS with {peer}: {error}"),
                    Err(_) => tracing::debug!("no TLS with {peer} in time"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    // Live pictures have no end.
    let _ = tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

/// Answers on one connection.
struct Answers {
    http: http1::Builder,
    router: Router,
    watcher: Watcher,
}

impl Answers {
    async fn give(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TowerToHyperService::new(self.router);
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection).await {
            // People leave when they have seen enough.
            tracing::debug!("a connection: {error}");
        }
    }
}

fn set_limits(stream: &TcpStream) {
    let limited = rustix::net::sockopt::set_tcp_user_timeout(stream, STALLED);
    let limited = limited.map_err(std::io::Error::from);
    if let Err(error) = limited.and_then(|()| stream.set_nodelay(true)) {
        tracing::debug!("a connection: {error}");
    }
}
