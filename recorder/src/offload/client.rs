// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the store is spoken to: HTTP as the rest of the program has it, at a rate that leaves room for
//! others.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::sync::lock;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// After which a store that does not take what is sent is not there any more.
const STALLED: Duration = Duration::from_secs(60);
/// How long an answer may take, besides what its request takes at the rate that is set.
const ANSWER: Duration = Duration::from_secs(300);
/// Bytes that are sent at once where there is a limit.
const CHUNK: usize = 16 << 10;

/// Makes the client of a store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    /// Whether certificates are asked for.
    pub tls: bool,
    /// Bytes a second, all connections together.
    pub limit: Option<u64>,
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: std::io::Error| object_store::Error::Generic {
            store: "S3",
            source: source.into(),
        };
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_tcp_user_timeout(Some(STALLED));
        tcp.set_keepalive(Some(STALLED / 4));
        let provider = ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = match self.tls {
            true => builder
                .with_provider_and_native_roots(provider)
                .map_err(failed)?,
            false => {
                let config = ClientConfig::builder_with_provider(Arc::new(provider))
                    .with_safe_default_protocol_versions()
                    .map_err(|error| failed(std::io::Error::other(error)))?;
                let roots = config.with_root_certificates(RootCertStore::empty());
                builder.with_tls_config(roots.with_no_client_auth())
            }
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(HttpClient::new(Client {
            hyper: Hyper::builder(TokioExecutor::new()).build(connector),
            pace: self.limit.map(Pace::new),
        }))
    }
}

#[derive(Debug)]
struct Client {
    hyper: Hyper<HttpsConnector<Tcp>, Paced>,
    pace: Option<Pace>,
}

#[async_trait::async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(|body| Paced::new(body, self.pace.clone()));
        let bytes = request.body().left;
        let paced = self.pace.as_ref().map(|pace| pace.time_for(bytes));
        let answer = self.hyper.request(request);
        let answer = tokio::time::timeout(ANSWER + paced.unwrap_or_default() * 2, answer).await;
        let answer = answer.map_err(|error| HttpError::new(HttpErrorKind::Timeout, error))?;
        let answer = answer.map_err(|error| {
            let kind = match error.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Interrupted,
            };
            HttpError::new(kind, error)
        })?;
        let cut = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(cut))))
    }
}

/// Whose turn it is to send: a rate that all requests share.
#[derive(Debug, Clone)]
struct Pace {
    /// Bytes a second.
    limit: u64,
    /// When the next chunk may go.
    next: Arc<Mutex<Instant>>,
}

impl Pace {
    fn new(limit: u64) -> Self {
        Self {
            limit: limit.max(1),
            next: Arc::new(Mutex::new(Instant::now())),
        }
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / self.limit)
    }

    /// When so many bytes may be sent; those that ask later are behind them.
    fn turn(&self, bytes: usize) -> Instant {
        let mut next = lock(&self.next);
        let turn = (*next).max(Instant::now());
        *next = turn + self.time_for(bytes as u64);
        turn
    }
}

/// What is sent, no faster than it may be.
struct Paced {
    body: HttpRequestBody,
    pace: Option<Pace>,
    /// What is to be sent next, and when.
    chunk: Bytes,
    turn: Option<Pin<Box<Sleep>>>,
    /// Bytes that are still to be sent.
    left: u64,
}

impl Paced {
    fn new(body: HttpRequestBody, pace: Option<Pace>) -> Self {
        Self {
            left: body.content_length() as u64,
            body,
            pace,
            chunk: Bytes::new(),
            turn: None,
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => this.chunk = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        let mut size = this.chunk.len();
        if let Some(pace) = &this.pace {
            size = size.min(CHUNK);
            let turn = this
                .turn
                .get_or_insert_with(|| Box::pin(sleep_until(pace.turn(size))));
            ready!(turn.as_mut().poll(context));
            this.turn = None;
        }
        this.left = this.left.saturating_sub(size as u64);
        Poll::Ready(Some(Ok(Frame::data(this.chunk.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_keeps_to_the_limit() {
        let began = Instant::now();
        let body = HttpRequestBody::from(vec![7; 100 << 10]);
        let pace = Pace::new(1 << 20);
        let sent = Paced::new(body, Some(pace.clone()))
            .collect()
            .await
            .unwrap();
        assert_eq!(sent.to_bytes().len(), 100 << 10);
        // The last chunk goes when its turn has come; what follows waits until it has gone.
        let other = Paced::new(HttpRequestBody::from(vec![7; 1]), Some(pace));
        other.collect().await.unwrap();
        // 100 KiB at 1024 KiB a second.
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(97), "{took:?}");
    }

    #[tokio::test]
    async fn without_one_it_is_sent_as_it_is() {
        let body = Paced::new(HttpRequestBody::from(vec![7; 100 << 10]), None);
        assert_eq!(body.size_hint().exact(), Some(100 << 10));
        let mut body = std::pin::pin!(body);
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap().len(), 100 << 10);
        assert!(body.is_end_stream());
    }
}
