// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store: a bucket that is spoken to as S3, and what clips are called there.
//!
//! A clip is `PREFIX/SITE/CAMERA/NAME`; beside it are `NAME.jpg` and, written last, `NAME.json`, what is known
//! of it. Whoever finds the latter finds a clip that was whole when it was verified.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;

use futures_util::TryStreamExt;
use md5::Md5;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::client::{HttpConnector, HttpError};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, RetryConfig,
};
use sha2::{Digest as _, Sha256};
use tokio::task::block_in_place;

use super::client::Connector;
use super::unfinished::Bucket;
use crate::clip::{self, Clip, FACTS, PICTURE};
use crate::config::{self, Container};
use crate::index::Upload;

/// What is wrong with an upload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store: {0}")]
    Store(#[from] object_store::Error),
    #[error("the clip's file: {0}")]
    File(#[from] io::Error),
    #[error("the index: {0}")]
    Index(#[from] sqlx::Error),
    #[error("what the store has of {0} is not what was sent")]
    Differs(String),
    #[error("the store has forgotten what it had of {0}; it is sent anew")]
    Forgotten(String),
    #[error("what is known of the clip: {0}")]
    Facts(#[from] serde_json::Error),
    #[error("the store: {0}")]
    Http(#[from] HttpError),
    #[error("the store refuses it: {status}{}{code}", if .code.is_empty() { "" } else { " " })]
    Refused { status: u16, code: String },
    #[error("the store's answer cannot be read: {0}")]
    Unclear(String),
}

/// The end of the name of the mark by which recorders of one name find each other.
const MARK: &str = ".recorder";

/// What a file holds, to be compared with what a store says that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub bytes: u64,
    /// Of all of it, hexadecimal.
    pub sha256: String,
    /// Of each part.
    parts: Vec<[u8; 16]>,
}

impl Digest {
    /// Reads a file, in parts of so many bytes.
    pub(crate) fn of(path: &FilePath, part: usize) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut bytes, mut sha256, mut parts) = (0, Sha256::new(), Vec::new());
        loop {
            let block = read_part(&mut file, part)?;
            if block.is_empty() && !parts.is_empty() {
                break;
            }
            bytes += block.len() as u64;
            sha256.update(&block);
            parts.push(Md5::digest(&block).into());
        }
        Ok(Self {
            bytes,
            sha256: hex(&sha256.finalize()),
            parts,
        })
    }

    /// The tag that S3 gives such an object, unless it encrypts it with a key of its own: MD5, or that
    /// of the parts' MD5s and their number.
    fn tag(&self) -> String {
        match self.parts.as_slice() {
            [one] => hex(one),
            many => format!("{}-{}", hex(&Md5::digest(many.concat())), many.len()),
        }
    }

    fn is_in_parts(&self) -> bool {
        self.parts.len() > 1
    }
}

fn read_part(file: &mut File, part: usize) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    file.take(part as u64).read_to_end(&mut block)?;
    Ok(block)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where an upload in parts is remembered, so that one that was cut off goes on.
pub(crate) trait Memory {
    async fn remember(&self, upload: &Upload) -> Result<(), sqlx::Error>;
    async fn forget(&self) -> Result<(), sqlx::Error>;
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct Store {
    s3: AmazonS3,
    /// The same for what `s3` has no call for.
    bucket: Bucket,
    /// In front of all names, with a slash at its end if it is not empty.
    prefix: String,
    part: usize,
}

impl Store {
    pub(crate) fn new(config: &config::Store, site: &str) -> object_store::Result<Self> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_access_key_id(&config.access_key)
            .with_secret_access_key(&config.secret_key)
            // Not every server has a call for many, and one at a time is what is deleted.
            .with_disable_bulk_delete(true)
            // What failed is tried again by those who know what it was for.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        let mut tls = true;
        if let Some(endpoint) = &config.endpoint {
            tls = !endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(!tls);
        }
        let limit = (config.limit > 0).then(|| u64::from(config.limit) << 10);
        let mut prefix = config.prefix.clone();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let connector = Connector { tls, limit };
        let endpoint = match &config.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{}.amazonaws.com", config.region),
        };
        let bucket = Bucket {
            client: connector.connect(&ClientOptions::new())?,
            address: format!("{endpoint}/{}", config.bucket),
            region: config.region.clone(),
            credential: AwsCredential {
                key_id: config.access_key.clone(),
                secret_key: config.secret_key.clone(),
                token: None,
            },
        };
        Ok(Self {
            s3: builder.with_http_connector(connector).build()?,
            bucket,
            prefix: format!("{prefix}{site}/"),
            part: (config.part as usize) << 20,
        })
    }

    /// How many bytes a part of a file has.
    pub(crate) fn part(&self) -> usize {
        self.part
    }

    fn key(&self, camera: &str, name: &str) -> Path {
        Path::from(format!("{}{camera}/{name}", self.prefix))
    }

    /// Whether the store has a clip that is this.
    pub(crate) async fn has(&self, clip: &Clip, digest: &Digest) -> Result<bool, StoreError> {
        let key = self.key(&clip.camera, &clip.name);
        let found = match self.s3.head(&key).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if found.size != digest.bytes {
            return Ok(false);
        }
        let tag = found.e_tag.as_deref().unwrap_or_default();
        if tag.trim_matches('"') == digest.tag() {
            return Ok(true);
        }
        // It tags otherwise: what it has is read back.
        let mut sha256 = Sha256::new();
        let mut blocks = self.s3.get(&key).await?.into_stream();
        while let Some(block) = blocks.try_next().await? {
            sha256.update(&block);
        }
        Ok(hex(&sha256.finalize()) == digest.sha256)
    }

    /// Sends a clip's file. One in parts goes on where it was, if `upload` says where.
    pub(crate) async fn send(
        &self,
        clip: &Clip,
        path: &FilePath,
        digest: &Digest,
        upload: Option<Upload>,
        memory: &impl Memory,
    ) -> Result<(), StoreError> {
        let key = self.key(&clip.camera, &clip.name);
        let mut file = File::open(path)?;
        let attributes = attributes(clip);
        if !digest.is_in_parts() {
            let whole = block_in_place(|| read_part(&mut file, self.part))?;
            let options = PutOptions::from(attributes);
            self.s3.put_opts(&key, whole.into(), options).await?;
            return Ok(());
        }
        let mut upload = match upload {
            Some(upload) => upload,
            None => {
                self.end_others(clip).await;
                let options = PutMultipartOptions::from(attributes);
                let id = self.s3.create_multipart_opts(&key, options).await?;
                let parts = Vec::new();
                let upload = Upload { id, parts };
                memory.remember(&upload).await?;
                upload
            }
        };
        let sent = self.send_parts(&key, &mut file, digest, &mut upload, memory);
        match sent.await {
            // It has forgotten this upload: another one is begun next time.
            Err(StoreError::Store(object_store::Error::NotFound { .. })) => {
                memory.forget().await?;
                Err(StoreError::Forgotten(clip.name.clone()))
            }
            other => other,
        }
    }

    async fn send_parts(
        &self,
        key: &Path,
        file: &mut File,
        digest: &Digest,
        upload: &mut Upload,
        memory: &impl Memory,
    ) -> Result<(), StoreError> {
        for number in 0..digest.parts.len() {
            let block = block_in_place(|| read_part(file, self.part))?;
            if number < upload.parts.len() {
                continue;
            }
            let sent = self.s3.put_part(key, &upload.id, number, block.into());
            upload.parts.push(sent.await?.content_id);
            memory.remember(upload).await?;
        }
        let parts = upload.parts.iter().cloned();
        let parts = parts.map(|content_id| PartId { content_id });
        self.s3
            .complete_multipart(key, &upload.id, parts.collect())
            .await?;
        Ok(())
    }

    /// Writes what belongs to a clip: its picture, and at last what is known of it.
    pub(crate) async fn send_facts(
        &self,
        clip: &Clip,
        picture: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        if let Some(picture) = picture {
            let key = self.key(&clip.camera, &format!("{}{PICTURE}", clip.name));
            let options = PutOptions::from(of_kind("image/jpeg"));
            self.s3.put_opts(&key, picture.into(), options).await?;
        }
        let key = self.key(&clip.camera, &format!("{}{FACTS}", clip.name));
        let options = PutOptions::from(of_kind("application/json"));
        let text = serde_json::to_vec(clip)?;
        self.s3.put_opts(&key, text.into(), options).await?;
        Ok(())
    }

    /// Ends an upload in parts, of which nothing stays.
    pub(crate) async fn abort(&self, camera: &str, name: &str, id: &str) -> Result<(), StoreError> {
        let key = self.key(camera, name);
        match self.s3.abort_multipart(&key, &id.to_owned()).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Ends uploads in parts that nobody knows of: camera, name and id. What the store refuses does not keep it from the
    /// others; the first refusal is the answer.
    pub(crate) async fn end_unknown(
        &self,
        uploads: Vec<(String, String, String)>,
    ) -> Result<(), StoreError> {
        let mut first = Ok(());
        for (camera, name, id) in uploads {
            match self.abort(&camera, &name, &id).await {
                Ok(()) => tracing::info!(
                    camera,
                    clip = name,
                    "an upload that nobody knew of is ended"
                ),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// Ends what was begun of a clip before, of which no id is known. A store that refuses is told of by who looks
    /// for all of them.
    async fn end_others(&self, clip: &Clip) {
        let ended = async {
            let key = self.key(&clip.camera, &clip.name);
            let mut begun = self.unfinished_below(key.as_ref()).await?;
            // A longer key begins so too.
            begun.retain(|(camera, name, _)| (camera, name) == (&clip.camera, &clip.name));
            self.end_unknown(begun).await
        };
        if let Err(error) = ended.await {
            tracing::debug!("{}: {error}", clip.name);
        }
    }

    /// The uploads of this site's clips that were begun and not ended: camera, name and id.
    pub(crate) async fn unfinished(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        self.unfinished_below(&self.prefix).await
    }

    async fn unfinished_below(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let all = self.bucket.unfinished(prefix).await?;
        let ours = all.into_iter().filter_map(|upload| {
            let (camera, name) = self.clip_of(&upload.key)?;
            Some((camera, name, upload.id))
        });
        Ok(ours.collect())
    }

    /// The camera and name of a clip's key; none of what others have put there.
    fn clip_of(&self, key: &str) -> Option<(String, String)> {
        let (camera, name) = key.strip_prefix(&self.prefix)?.split_once('/')?;
        (config::is_name(camera) && clip::is_name(name))
            .then(|| (camera.to_owned(), name.to_owned()))
    }

    fn mark_key(&self) -> Path {
        Path::from(format!("{}{MARK}", self.prefix))
    }

    /// What a recorder of this site has written of itself last.
    pub(crate) async fn mark(&self) -> Result<Option<String>, StoreError> {
        match self.s3.get(&self.mark_key()).await {
            Ok(found) => {
                let text = found.bytes().await?;
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn set_mark(&self, text: String) -> Result<(), StoreError> {
        let options = PutOptions::from(of_kind("application/json"));
        self.s3
            .put_opts(&self.mark_key(), text.into(), options)
            .await?;
        Ok(())
    }

    /// Deletes a clip, and first what says that it is there.
    pub(crate) async fn delete(&self, clip: &Clip) -> Result<(), StoreError> {
        for end in [FACTS, PICTURE, ""] {
            let key = self.key(&clip.camera, &format!("{}{end}", clip.name));
            match self.s3.delete(&key).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All clips of this site.
    pub(crate) async fn list(&self) -> Result<Vec<Clip>, StoreError> {
        let prefix = Path::from(self.prefix.as_str());
        let found: Vec<ObjectMeta> = self.s3.list(Some(&prefix)).try_collect().await?;
        let mut clips = Vec::new();
        for object in found {
            let Some(name) = object.location.filename() else {
                continue;
            };
            if name.strip_suffix(FACTS).and_then(Container::of).is_none() {
                continue;
            }
            let text = self.s3.get(&object.location).await?.bytes().await?;
            // What others have put there is none of ours.
            if let Ok(clip) = serde_json::from_slice::<Clip>(&text)
                && clip.sha256.is_some()
                && self.key(&clip.camera, &format!("{}{FACTS}", clip.name)) == object.location
            {
                clips.push(clip);
            }
        }
        Ok(clips)
    }

    /// A clip's object, or that beside it that ends so, or a part of it.
    pub(crate) async fn get(
        &self,
        camera: &str,
        name: &str,
        range: Option<GetRange>,
    ) -> object_store::Result<GetResult> {
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        self.s3.get_opts(&self.key(camera, name), options).await
    }
}

/// What is said with a clip's object.
fn attributes(clip: &Clip) -> Attributes {
    let kind = Container::of(&clip.name).map_or("application/octet-stream", Container::media_type);
    let mut attributes = of_kind(kind);
    let facts = [
        ("camera", clip.camera.clone()),
        ("start", clip.start.to_string()),
        ("length", clip.length.to_string()),
        ("frames", clip.frames.to_string()),
        ("event", clip.event.clone().unwrap_or_default()),
    ];
    for (name, value) in facts {
        if !value.is_empty() {
            attributes.insert(Attribute::Metadata(name.into()), value.into());
        }
    }
    attributes
}

fn of_kind(kind: &'static str) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, kind)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_a_clip_of_this_site_only() {
        let text = "bucket = 'clips'\nprefix = 'cars'\naccess-key = 'a'\nsecret-key = 'b'";
        let config = toml::from_str::<config::Store>(text).unwrap();
        let store = Store::new(&config, "car-7").unwrap();
        let of = |key| store.clip_of(key);
        let clip = ("gate".to_owned(), "20261130T203000-123456.mp4".to_owned());
        assert_eq!(of("cars/car-7/gate/20261130T203000-123456.mp4"), Some(clip));
        for others in [
            "cars/car-77/gate/20261130T203000-123456.mp4",
            "car-7/gate/20261130T203000-123456.mp4",
            "cars/car-7/20261130T203000-123456.mp4",
            "cars/car-7/gate/more/a.mp4",
            "cars/car-7/gate/a.txt",
            "cars/car-7/.recorder",
        ] {
            assert_eq!(of(others), None, "{others}");
        }
    }

    #[test]
    fn a_digest_has_the_tags_of_s3() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        std::fs::write(&path, b"").unwrap();
        let digest = Digest::of(&path, 4).unwrap();
        assert_eq!(digest.tag(), "d41d8cd98f00b204e9800998ecf8427e");
        std::fs::write(&path, b"12345678").unwrap();
        let whole = Digest::of(&path, 8).unwrap();
        assert_eq!(whole.tag(), "25d55ad283aa400af464c76d713c07ad");
        let parts = Digest::of(&path, 4).unwrap();
        assert_eq!((parts.bytes, &parts.sha256), (8, &whole.sha256));
        // printf 1234 | md5sum and so on, by hand.
        let both = [Md5::digest(b"1234"), Md5::digest(b"5678")].concat();
        assert_eq!(parts.tag(), format!("{}-2", hex(&Md5::digest(both))));
    }
}
