// SPDX-License-Identifier: MIT OR Apache-2.0
//! Passwords, sessions and tokens. Without a password everybody who reaches the page may use it, which
//! the configuration allows on this computer alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::extract::{Extension, Form, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::App;
use super::error::HttpError;
use crate::config::Http;
use crate::sync::lock;

/// How long somebody stays signed in.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Sessions at the same time; the one that ends first goes for a new one.
const SESSIONS: usize = 1000;
/// Wrong passwords from an address before it has to wait, and how long it waits for one more.
const TRIES: u32 = 5;
const WAIT: Duration = Duration::from_secs(10);
/// Addresses that are remembered for that.
const ADDRESSES: usize = 10_000;

/// Programs that send the password with each request share their tries: `gst-rtsp-server` does not tell
/// where they are.
const PROGRAMS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

type Hash = [u8; 32];

/// Who is signed in, and who tries to be.
#[derive(Debug)]
pub struct Auth {
    /// As Argon2 writes it.
    password: Option<String>,
    /// Of the token of programs.
    token: Option<Hash>,
    /// Browsers are to send the session over TLS only.
    secure: bool,
    /// Hashes of what the browsers have, and when they end.
    sessions: Mutex<HashMap<Hash, Instant>>,
    attempts: Mutex<HashMap<IpAddr, Attempts>>,
    /// The hash of the password, once a program has had it right: it sends it with each request.
    right: Mutex<Option<Hash>>,
    /// A password at a time: each takes 19 MiB.
    checking: tokio::sync::Mutex<()>,
}

/// The wrong passwords of an address.
#[derive(Debug)]
struct Attempts {
    left: u32,
    counted: Instant,
}

impl Auth {
    /// `password` and `token` are as in the configuration, which has checked them.
    fn new(password: Option<String>, token: Option<Hash>, secure: bool) -> Self {
        Self {
            password,
            token,
            secure,
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            right: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
        }
    }

    /// As the configuration says.
    pub fn of(config: &Http) -> Self {
        let token = config.token.map(|token| token.0);
        Self::new(config.password.clone(), token, config.is_encrypted())
    }

    /// Whether one has to sign in.
    pub fn is_needed(&self) -> bool {
        self.password.is_some()
    }

    fn cookie(&self) -> &'static str {
        // Browsers take the first from this very host by TLS only.
        if self.secure {
            "__Host-session"
        } else {
            "session"
        }
    }

    /// The session that a browser sends, as it is kept.
    fn session(&self, headers: &HeaderMap) -> Option<Hash> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie()).then(|| hash(value))
        })
    }

    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        if !self.is_needed() {
            return true;
        }
        let bearer = headers.get(header::AUTHORIZATION);
        let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.token == Some(hash(token.trim()))) {
            return true;
        }
        let Some(session) = self.session(headers) else {
            return false;
        };
        let ends = lock(&self.sessions).get(&session).copied();
        ends.is_some_and(|ends| Instant::now() < ends)
    }

    /// Takes a try from an address that has one.
    fn may_try(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut attempts = lock(&self.attempts);
        if attempts.len() >= ADDRESSES {
            attempts.retain(|_, it| now.duration_since(it.counted) < WAIT * TRIES);
        }
        if attempts.len() >= ADDRESSES && !attempts.contains_key(&address) {
            return false;
        }
        let it = attempts.entry(address).or_insert(Attempts {
            left: TRIES,
            counted: now,
        });
        let back = now.duration_since(it.counted).as_secs() / WAIT.as_secs();
        let back = u32::try_from(back).unwrap_or(TRIES).min(TRIES);
        if back > 0 {
            it.left = (it.left + back).min(TRIES);
            it.counted = now;
        }
        let may = it.left > 0;
        it.left = it.left.saturating_sub(1);
        may
    }

    /// Checks a password; a new session's secret if it is right.
    async fn sign_in(&self, password: String) -> Option<String> {
        let known = self.password.clone()?;
        let turn = self.checking.lock().await;
        let right = tokio::task::spawn_blocking(move || is_right(&password, &known));
        right.await.ok().filter(|right| *right)?;
        drop(turn);
        let secret = secret()?;
        let now = Instant::now();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, ends| now < *ends);
        if sessions.len() >= SESSIONS {
            let first = sessions.iter().min_by_key(|(_, ends)| **ends);
            if let Some(first) = first.map(|(session, _)| *session) {
                sessions.remove(&first);
            }
        }
        sessions.insert(hash(&secret), now + SESSION);
        Some(secret)
    }

    /// Whether a program that sends a secret with each request may see what there is: the password, or the
    /// token. Takes as long as a password does; not for the threads that others wait for.
    pub fn is_known_to_program(&self, secret: &str) -> bool {
        let sent = hash(secret);
        if self.token == Some(sent) || *lock(&self.right) == Some(sent) {
            return true;
        }
        let Some(known) = &self.password else {
            return false;
        };
        if !self.may_try(PROGRAMS) {
            tracing::warn!("too many wrong passwords by RTSP");
            return false;
        }
        let right = {
            let _turn = self.checking.blocking_lock();
            is_right(secret, known)
        };
        if right {
            *lock(&self.right) = Some(sent);
            lock(&self.attempts).remove(&PROGRAMS);
        } else {
            tracing::warn!("a wrong password by RTSP");
        }
        right
    }

    /// What has the browser keep a session for so long.
    fn set_cookie(&self, secret: &str, time: Duration) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let (name, age) = (self.cookie(), time.as_secs());
        let text =
            format!("{name}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

/// Whether this is the password; takes 19 MiB and a while.
fn is_right(password: &str, known: &str) -> bool {
    let known = PasswordHash::new(known);
    known.is_ok_and(|known| {
        let checked = Argon2::default().verify_password(password.as_bytes(), &known);
        checked.is_ok()
    })
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// Bytes that nobody guesses.
fn random<const COUNT: usize>() -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    count.is_ok_and(|count| count == COUNT).then_some(bytes)
}

/// 256 bits in hexadecimal.
fn secret() -> Option<String> {
    let bytes = random::<32>()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the configuration has for this password.
pub(crate) fn hash_password(password: &str) -> Result<String, argon2::password_hash::Error> {
    let salt = random::<16>().ok_or(argon2::password_hash::Error::Crypto)?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(PasswordHash::to_string(&hash))
}

/// Lets those pass who are signed in or have the token, and all to the page where one signs in.
pub(crate) async fn only_who_is_known(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let open = ["/login", "/page.css", "/icon.svg", "/healthz"].contains(&path);
    if open || app.0.auth.is_allowed(request.headers()) {
        return next.run(request).await;
    }
    if path == "/" && request.method() == Method::GET {
        return Redirect::to("/login").into_response();
    }
    HttpError::Unknown.into_response()
}

/// The page where one signs in, with what is wrong.
fn page(status: StatusCode, wrong: &str) -> Response {
    let text = include_str!("../../page/login.html").replace("<!-- wrong -->", wrong);
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    (status, fresh, Html(text)).into_response()
}

pub(crate) async fn login_page(State(app): State<App>) -> Response {
    match app.0.auth.is_needed() {
        true => page(StatusCode::OK, ""),
        false => Redirect::to("/").into_response(),
    }
}

/// What the page sends.
#[derive(Deserialize)]
pub(crate) struct Login {
    password: String,
}

pub(crate) async fn login(
    State(app): State<App>,
    Extension(peer): Extension<SocketAddr>,
    Form(login): Form<Login>,
) -> Response {
    let auth = &app.0.auth;
    let address = address(peer.ip());
    if !auth.may_try(address) {
        tracing::warn!("too many wrong passwords from {address}");
        let mut response = page(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong passwords. Wait ten seconds for each further try.",
        );
        let wait = HeaderValue::from(WAIT.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, wait);
        return response;
    }
    let Some(secret) = auth.sign_in(login.password).await else {
        tracing::warn!("a wrong password from {address}");
        return page(StatusCode::UNAUTHORIZED, "That is not the password.");
    };
    // Who knows it has not guessed.
    lock(&auth.attempts).remove(&address);
    with_cookie(Redirect::to("/"), auth.set_cookie(&secret, SESSION))
}

/// What counts as one address: of IPv6, what one subscriber has.
fn address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

pub(crate) async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    let auth = &app.0.auth;
    if let Some(session) = auth.session(&headers) {
        lock(&auth.sessions).remove(&session);
    }
    with_cookie(Redirect::to("/login"), auth.set_cookie("", Duration::ZERO))
}

fn with_cookie(answer: impl IntoResponse, cookie: Option<HeaderValue>) -> Response {
    let mut response = answer.into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        Auth::new(
            Some(hash_password("sesame").unwrap()),
            Some(hash("t")),
            false,
        )
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn only_the_password_makes_a_session() {
        let auth = auth();
        assert_eq!(auth.sign_in("simsim".into()).await, None);
        let secret = auth.sign_in("sesame".into()).await.unwrap();
        let sent = |secret: &str| headers(header::COOKIE, &format!("a=b; session={secret}"));
        assert!(auth.is_allowed(&sent(&secret)));
        assert!(!auth.is_allowed(&sent(&secret[1..])));
        assert!(!auth.is_allowed(&HeaderMap::new()));
        let over = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        lock(&auth.sessions).insert(hash(&secret), over);
        assert!(!auth.is_allowed(&sent(&secret)));
    }

    #[test]
    fn programs_have_a_token() {
        let allowed = |value: &str| auth().is_allowed(&headers(header::AUTHORIZATION, value));
        assert!(allowed("Bearer t"));
        assert!(!allowed("Bearer x") && !allowed("t"));
        let without = Auth::new(Some(String::new()), None, false);
        assert!(!without.is_allowed(&headers(header::AUTHORIZATION, "Bearer ")));
    }

    #[test]
    fn programs_send_the_password_or_the_token_each_time() {
        let auth = auth();
        assert!(auth.is_known_to_program("t"));
        assert!(!auth.is_known_to_program("simsim"));
        assert!(auth.is_known_to_program("sesame"));
        // What was right once is right, however many others guess.
        let guessed = (0..20).filter(|_| auth.is_known_to_program("simsim"));
        assert_eq!(guessed.count(), 0);
        assert!(!auth.may_try(PROGRAMS));
        assert!(auth.is_known_to_program("sesame"));
        let without = Auth::new(None, None, false);
        assert!(!without.is_known_to_program(""));
    }

    #[test]
    fn who_guesses_has_to_wait() {
        let auth = auth();
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let tries = (0..20).filter(|_| auth.may_try(one)).count();
        assert_eq!(tries, TRIES as usize);
        assert!(auth.may_try(other));
        lock(&auth.attempts).get_mut(&one).unwrap().counted -= WAIT;
        assert!(auth.may_try(one) && !auth.may_try(one));
    }

    #[test]
    fn a_subscriber_is_one_address() {
        let of = |text: &str| address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
