// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration: one TOML file, whose keys `docs/recorder.md` lists.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gstkendryte::recordsink::blank_name;
use serde::Deserialize;

use crate::clip;

/// What `--demo` records: the simulated board and a ticking clock's sound.
pub(crate) const DEMO: &str = r#"
directory = "clips"

[[camera]]
name = "demo"
title = "Simulated board"
source = "k210:sim:"
sound = "audiotestsrc is-live=true wave=ticks"
after = 0
"#;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path} cannot be read: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The text names the line.
    #[error("{path}: {error}")]
    Parse {
        path: PathBuf,
        error: toml::de::Error,
    },
    #[error(
        "camera {0:?}: a name has 1 to 32 of a-z, 0-9, - and _, and begins with none of the last two"
    )]
    Name(String),
    #[error("http.password is not what kendryte-recorder --hash-password prints")]
    Password,
    #[error("http.token is of no use without http.password: without one nobody is turned away")]
    TokenAlone,
    #[error("http.listen = {0}: others reach this page, so http needs {1}")]
    Reached(SocketAddr, &'static str),
    #[error("rtsp.listen = {0}: others reach this address, so http needs {1}")]
    RtspReached(SocketAddr, &'static str),
    #[error("rtsp.clients = 0: nobody could watch; leave [rtsp] out")]
    RtspClients,
    #[error("site = {0:?}: a site's name is as a camera's")]
    Site(String),
    #[error("site is not set: what is this machine called for others?")]
    NoSite,
    #[error("mqtt.password is of no use without mqtt.username")]
    PasswordAlone,
    #[error("store: {0}")]
    Store(&'static str),
    #[error("index.url does not begin with postgres://")]
    Url,
    #[error("there are two cameras called {0:?}")]
    Twice(String),
    #[error(
        "camera {camera:?}: continuous.name = {name:?} is not a-z, A-Z, 0-9, -, _ and . with a place for the \
         time (%Y %m %d %H %M %S %j %y %F %f), or is what clips are called"
    )]
    PartName { camera: String, name: String },
    #[error("camera {camera:?}: {key} = {value} is not within {least} and {most}")]
    Range {
        camera: String,
        key: &'static str,
        value: u64,
        least: u64,
        most: u64,
    },
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Where clips go, in a folder for each camera.
    pub directory: PathBuf,
    #[serde(default)]
    pub http: Http,
    pub rtsp: Option<Rtsp>,
    pub mqtt: Option<Mqtt>,
    /// What this machine is called where there are others.
    pub site: Option<String>,
    pub index: Option<Index>,
    pub store: Option<Store>,
    #[serde(default, rename = "camera")]
    pub cameras: Vec<Camera>,
}

/// The page and what programs ask for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// Address and port; port 0 is a free one.
    pub listen: SocketAddr,
    /// Names besides the address by which browsers may ask.
    pub hosts: Vec<String>,
    /// Connections at the same time; more wait for their turn.
    pub connections: usize,
    /// What `--hash-password` made of the password.
    pub password: Option<String>,
    /// SHA-256 of the token that programs send, in hexadecimal.
    pub token: Option<Token>,
    pub tls: Option<Tls>,
    /// A proxy in front speaks TLS.
    pub behind_proxy: bool,
}

/// What TLS needs, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificate, and those that lead from it to a known one.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Token(pub [u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a token is set as its SHA-256, 64 hexadecimal digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl Http {
    /// Whether what goes through the network is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some() || self.behind_proxy
    }

    /// On an address that others reach, and behind a proxy that they do, one signs in, by TLS.
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(password) = &self.password {
            argon2::password_hash::phc::PasswordHash::new(password)
                .map_err(|_| ConfigError::Password)?;
        }
        let reached = !self.listen.ip().is_loopback();
        if reached && !self.is_encrypted() {
            return Err(ConfigError::Reached(self.listen, "tls, or behind-proxy"));
        }
        if (reached || self.behind_proxy) && self.password.is_none() {
            return Err(ConfigError::Reached(self.listen, "password"));
        }
        if self.token.is_some() && self.password.is_none() {
            return Err(ConfigError::TokenAlone);
        }
        Ok(())
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            hosts: Vec::new(),
            connections: 512,
            password: None,
            token: None,
            tls: None,
            behind_proxy: false,
        }
    }
}

/// Cameras for players and other recorders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rtsp {
    /// Address and port; port 0 is a free one.
    pub listen: SocketAddr,
    /// Clients at the same time.
    pub clients: u32,
}

impl Default for Rtsp {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8554)),
            clients: 64,
        }
    }
}

impl Rtsp {
    /// Whether others than this computer reach it.
    pub(crate) fn is_reached(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    /// No proxy speaks TLS for RTSP: it has the page's certificate.
    fn check(&self, http: &Http) -> Result<(), ConfigError> {
        let missing = |what| Err(ConfigError::RtspReached(self.listen, what));
        if self.clients == 0 {
            return Err(ConfigError::RtspClients);
        }
        if self.is_reached() && http.tls.is_none() {
            return missing("tls");
        }
        if self.is_reached() && http.password.is_none() {
            return missing("password");
        }
        Ok(())
    }
}

/// Where events go to and come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Mqtt {
    pub host: String,
    #[serde(default = "Mqtt::default_port")]
    pub port: u16,
    /// What topics call this machine, where it is not the key outside.
    pub site: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
}

impl Mqtt {
    fn default_port() -> u16 {
        1883
    }
}

/// The index of many machines.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Index {
    /// Of a PostgreSQL database: `postgres://user:password@host/name`.
    pub url: String,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Index")
    }
}

/// Where finished clips go: a bucket that is spoken to as S3.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Store {
    /// Address of the server; Amazon's in the region, if it is not set.
    pub endpoint: Option<String>,
    #[serde(default = "Store::default_region")]
    pub region: String,
    pub bucket: String,
    /// In front of all names.
    #[serde(default)]
    pub prefix: String,
    pub access_key: String,
    pub secret_key: String,
    /// KiB a second that are sent at most; 0 is no limit.
    #[serde(default)]
    pub limit: u32,
    /// MiB in a part; what is not larger is sent at once.
    #[serde(default = "Store::default_part")]
    pub part: u32,
    /// Whether a clip's file goes when the store has it.
    #[serde(default)]
    pub delete: bool,
    /// Whether what is recorded all the time goes there too.
    #[serde(default)]
    pub continuous: bool,
    /// Seconds after which it is looked again whether another recorder has this one's site; 0 is never.
    #[serde(default = "Store::default_watch")]
    pub watch: u32,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bucket = (&self.endpoint, &self.bucket);
        formatter.debug_tuple("Store").field(&bucket).finish()
    }
}

impl Store {
    fn default_region() -> String {
        "us-east-1".to_owned()
    }

    fn default_part() -> u32 {
        8
    }

    fn default_watch() -> u32 {
        600
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !(5..=1024).contains(&self.part) {
            return Err(ConfigError::Store("part is not within 5 and 1024"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let empty = self.prefix.split('/').any(str::is_empty) && !self.prefix.is_empty();
        if empty || !self.prefix.bytes().all(plain) {
            return Err(ConfigError::Store(
                "prefix is not words with a slash between them",
            ));
        }
        let known = |it: &String| it.starts_with("http://") || it.starts_with("https://");
        if self.endpoint.as_ref().is_some_and(|it| !known(it)) {
            return Err(ConfigError::Store(
                "endpoint begins with https:// or http://",
            ));
        }
        Ok(())
    }
}

/// A camera and what is recorded of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Camera {
    /// What folders, addresses and topics call it.
    pub name: String,
    /// What the page calls it; the name where it is not set.
    pub title: Option<String>,
    /// `k210:`, `v4l2:`, `rtsp://` or a pipeline; see [`crate::source`].
    pub source: String,
    /// A pipeline that ends in sound.
    pub sound: Option<String>,
    #[serde(default)]
    pub encode: Encode,
    /// Of the H.264 that is made, kbit/s.
    #[serde(default = "Camera::default_bitrate")]
    pub bitrate: u32,
    /// What clips and parts are: the extension says it. [`Camera::container`] has what is used.
    pub container: Option<Container>,
    /// Seconds before an event that are in its clip.
    #[serde(default = "Camera::default_before")]
    pub before: u64,
    /// Seconds after an event that are in its clip.
    #[serde(default = "Camera::default_after")]
    pub after: u64,
    /// MiB of memory for what is kept.
    #[serde(default = "Camera::default_memory")]
    pub memory: u64,
    /// Seconds without a frame after which the camera is started anew. K210 boards are not: their
    /// element looks after them.
    #[serde(default = "Camera::default_stall")]
    pub stall: u64,
    /// Beyond which the oldest clips are deleted.
    #[serde(default)]
    pub limits: Limits,
    pub continuous: Option<Continuous>,
    pub motion: Option<Motion>,
}

/// When something that moves is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Motion {
    /// How much of the picture has to change, per cent.
    pub change: u8,
    /// By how much the brightness of what changes has to be another one, of 255.
    pub level: u8,
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            change: 2,
            level: 25,
        }
    }
}

/// What all clips of a camera may take; 0 is no limit. Those that are recorded all the time do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Limits {
    /// How many there may be.
    pub files: u32,
    /// MiB that they may have.
    pub total: u32,
    /// MiB that are to stay free on the disk.
    pub free: u32,
}

/// How the picture gets into clips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encode {
    /// H.264 for everything but RTSP cameras, which encode themselves.
    #[default]
    Auto,
    /// Decoded where it is encoded, and encoded as H.264.
    H264,
    /// As the source has it.
    None,
}

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Container {
    Mp4,
    Mov,
    Mkv,
    Avi,
}

impl Container {
    /// All that clips can be.
    pub(crate) const ALL: [Self; 4] = [Self::Mp4, Self::Mov, Self::Mkv, Self::Avi];

    /// A file's extension, without the dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Mkv => "mkv",
            Self::Avi => "avi",
        }
    }

    /// What HTTP calls it.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::Mkv => "video/x-matroska",
            Self::Avi => "video/x-msvideo",
        }
    }

    /// By a file's name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Self::ALL.into_iter().find(|it| it.extension() == extension)
    }
}

/// What is recorded all the time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Continuous {
    /// Seconds in a file.
    #[serde(default = "Continuous::default_part")]
    pub part: u64,
    /// What files are called, without their extension; with places for the time as `strftime` has them.
    #[serde(default = "Continuous::default_name")]
    pub name: String,
    /// Whether that time is this computer's instead of UTC.
    #[serde(default)]
    pub local_time: bool,
    /// Beyond which the oldest of these files are deleted.
    #[serde(default)]
    pub limits: Limits,
}

impl Continuous {
    fn default_part() -> u64 {
        600
    }

    fn default_name() -> String {
        "part-%Y%m%dT%H%M%S".to_owned()
    }

    /// Whether files called so can be told from clips and from each other.
    fn is_named_well(&self) -> bool {
        let Some(name) = blank_name(&self.name) else {
            return false;
        };
        // A clip's name is not to be one of theirs, with the number behind it that makes two of a
        // moment different: limits find files by their names.
        let of_clips = blank_name(clip::PATTERN).unwrap_or_default();
        name != self.name && !of_clips.starts_with(&name) && clip::is_name(&format!("{name}.mp4"))
    }
}

impl Camera {
    /// The format of its files: MP4, and Matroska for what comes as the source has it, which may be Motion JPEG,
    /// for which MP4 has no place.
    pub(crate) fn container(&self) -> Container {
        self.container.unwrap_or(match self.encode {
            Encode::None => Container::Mkv,
            Encode::Auto | Encode::H264 => Container::Mp4,
        })
    }

    fn default_bitrate() -> u32 {
        4000
    }

    fn default_before() -> u64 {
        30
    }

    fn default_after() -> u64 {
        5
    }

    fn default_memory() -> u64 {
        256
    }

    fn default_stall() -> u64 {
        10
    }

    /// What the page calls it.
    pub(crate) fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// How long no frame may come.
    pub(crate) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !is_name(&self.name) {
            return Err(ConfigError::Name(self.name.clone()));
        }
        if let Some(continuous) = self.continuous.as_ref().filter(|it| !it.is_named_well()) {
            return Err(ConfigError::PartName {
                camera: self.name.clone(),
                name: continuous.name.clone(),
            });
        }
        let part = self.continuous.as_ref().map(|it| it.part);
        let change = self.motion.map(|it| it.change.into());
        let level = self.motion.map(|it| it.level.into());
        let ranges = [
            ("before", Some(self.before), 1, 3600),
            ("after", Some(self.after), 0, 3600),
            ("memory", Some(self.memory), 1, 1 << 20),
            ("stall", Some(self.stall), 1, 3600),
            ("bitrate", Some(self.bitrate.into()), 10, 100_000),
            ("continuous.part", part, 1, 86_400),
            ("motion.change", change, 1, 60),
            ("motion.level", level, 1, 254),
        ];
        for (key, value, least, most) in ranges {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let camera = self.name.clone();
                return Err(ConfigError::Range {
                    camera,
                    key,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }
}

/// Whether a text can be a camera's name: nothing in it means anything to a path, an address or a
/// topic.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = text.bytes().next().is_some_and(plain);
    first
        && text.len() <= 32
        && text
            .bytes()
            .all(|byte| plain(byte) || b"-_".contains(&byte))
}

impl Config {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, path)
    }

    /// What `--demo` runs.
    pub(crate) fn demo() -> Result<Self, ConfigError> {
        Self::parse(DEMO, Path::new("the demonstration"))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            error,
        })?;
        config.check()?;
        Ok(config)
    }

    /// What this machine is called; nothing where there are no others.
    pub(crate) fn site(&self) -> &str {
        let of_mqtt = self.mqtt.as_ref().and_then(|mqtt| mqtt.site.as_ref());
        self.site.as_ref().or(of_mqtt).map_or("", String::as_str)
    }

    /// Checks what no type says.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.http.check()?;
        if let Some(rtsp) = &self.rtsp {
            rtsp.check(&self.http)?;
        }
        let sites = [
            self.site.as_ref(),
            self.mqtt.as_ref().and_then(|it| it.site.as_ref()),
        ];
        if let Some(site) = sites.into_iter().flatten().find(|site| !is_name(site)) {
            return Err(ConfigError::Site(site.clone()));
        }
        let others = self.mqtt.is_some() || self.index.is_some() || self.store.is_some();
        if others && self.site().is_empty() {
            return Err(ConfigError::NoSite);
        }
        if let Some(index) = &self.index
            && !["postgres://", "postgresql://"]
                .iter()
                .any(|it| index.url.starts_with(it))
        {
            return Err(ConfigError::Url);
        }
        let mqtt = self.mqtt.as_ref();
        if mqtt.is_some_and(|it| it.password.is_some() && it.username.is_none()) {
            return Err(ConfigError::PasswordAlone);
        }
        self.store.as_ref().map(Store::check).transpose()?;
        let mut names = HashSet::new();
        for camera in &self.cameras {
            camera.check()?;
            if !names.insert(&camera.name) {
                return Err(ConfigError::Twice(camera.name.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("a.toml")).map_err(|error| error.to_string())
    }

    const CAMERA: &str = "directory = 'd'\n[[camera]]\nname = 'gate'\nsource = 'k210:sim:'\n";

    #[test]
    fn the_demonstration_is_a_configuration() {
        assert_eq!(Config::demo().unwrap().cameras.len(), 1);
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let config = parse(CAMERA).unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        let camera = &config.cameras[0];
        assert_eq!(
            (camera.before, camera.after, camera.title()),
            (30, 5, "gate")
        );
        assert_eq!(camera.continuous, None);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = parse(&format!("{CAMERA}befroe = 3\n")).unwrap_err();
        assert!(
            error.contains("line 5") && error.contains("befroe"),
            "{error}"
        );
        let error = parse("directory = 'd'\n[htpp]\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("htpp"),
            "{error}"
        );
    }

    #[test]
    fn values_that_cannot_be_are_errors() {
        for (line, word) in [
            ("before = 0", "before"),
            ("after = 9999", "after"),
            ("memory = 0", "memory"),
        ] {
            let error = parse(&format!("{CAMERA}{line}\n")).unwrap_err();
            assert!(error.contains(word) && error.contains("gate"), "{error}");
        }
        let twice = format!("{CAMERA}[[camera]]\nname = 'gate'\nsource = 'x'\n");
        assert!(parse(&twice).unwrap_err().contains("two cameras"));
    }

    #[test]
    fn who_can_be_reached_has_a_password_and_tls() {
        let http = |lines: &str| parse(&format!("directory = 'd'\n[http]\n{lines}\n"));
        let hash = crate::http::auth::hash_password("sesame").unwrap();
        let password = format!("password = '{hash}'");
        let open = "listen = '0.0.0.0:1'";
        let tls = "tls = { certificate = 'c', key = 'k' }";
        for wrong in [
            open.to_owned(),
            format!("{open}\n{password}"),
            format!("{open}\n{tls}"),
            "behind-proxy = true".to_owned(),
            "password = 'sesame'".to_owned(),
            format!("token = '{}'", "0".repeat(64)),
            format!("{password}\ntoken = 'secret'"),
        ] {
            let error = http(&wrong).unwrap_err();
            assert!(
                error.contains("http") || error.contains("SHA-256"),
                "{error}"
            );
        }
        for right in [
            format!("{open}\n{password}\n{tls}"),
            format!("{open}\n{password}\nbehind-proxy = true"),
            format!("{password}\ntoken = '{}'", "0f".repeat(32)),
            "listen = '[::1]:1'".to_owned(),
        ] {
            http(&right).unwrap();
        }
    }

    #[test]
    fn rtsp_is_for_this_computer_or_by_tls() {
        let config = |http: &str, rtsp: &str| {
            parse(&format!(
                "directory = 'd'\n[rtsp]\n{rtsp}\n[http]\n{http}\n"
            ))
        };
        assert_eq!(parse("directory = 'd'").unwrap().rtsp, None);
        let rtsp = config("", "").unwrap().rtsp.unwrap();
        assert_eq!(rtsp.listen.to_string(), "127.0.0.1:8554");
        let hash = crate::http::auth::hash_password("sesame").unwrap();
        let password = format!("password = '{hash}'");
        let tls = "tls = { certificate = 'c', key = 'k' }";
        let open = "listen = '0.0.0.0:8554'";
        for wrong in [
            String::new(),
            password.clone(),
            tls.to_owned(),
            format!("{password}\nbehind-proxy = true"),
        ] {
            let error = config(&wrong, open).unwrap_err();
            assert!(error.contains("rtsp.listen"), "{wrong}: {error}");
        }
        config(&format!("{password}\n{tls}"), open).unwrap();
        let error = config("", "clients = 0").unwrap_err();
        assert!(error.contains("rtsp.clients"), "{error}");
    }

    #[test]
    fn parts_are_told_from_clips() {
        let named = |name: &str| {
            parse(&format!(
                "{CAMERA}[camera.continuous]\nname = '{name}'\nlimits.files = 3\n"
            ))
        };
        for right in ["part-%Y%m%dT%H%M%S", "%F_%H-%M", "gate.%j"] {
            named(right).unwrap();
        }
        for wrong in [
            "part",
            "part-%05d",
            "%Y/%m",
            "%T",
            "%",
            "%Y%m%dT%H%M%S",
            "%Y%m%dT%H%M%S-000000",
            "-%Y",
            "a b%Y",
            "%%Y",
            // The number of a file, not the day.
            "part-%d",
        ] {
            let error = named(wrong).unwrap_err();
            assert!(error.contains("continuous.name"), "{wrong}: {error}");
        }
    }

    #[test]
    fn names_lead_nowhere() {
        assert!(is_name("gate-2_b"));
        for wrong in [
            "",
            "..",
            "a/b",
            "A",
            "a b",
            "+",
            "#",
            "-a",
            "ä",
            &"a".repeat(33),
        ] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
