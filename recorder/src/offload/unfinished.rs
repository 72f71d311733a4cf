// SPDX-License-Identifier: MIT OR Apache-2.0
//! Uploads in parts that were begun and not ended. What `object_store` has no call for is asked with its
//! signature and over the same connections.

use std::fmt::Write;

use http_body_util::{BodyExt, Limited};
use hyper::{Request, StatusCode};
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpRequestBody};
use serde::Deserialize;

use super::store::StoreError;

/// Bytes of an answer at most: a thousand uploads have some hundred each.
const LONGEST_ANSWER: usize = 8 << 20;
/// Answers that are asked for at most: a million uploads.
const MOST_ANSWERS: usize = 1000;

/// Where a bucket is, and who asks.
#[derive(Debug)]
pub(super) struct Bucket {
    pub client: HttpClient,
    /// Without a slash at its end.
    pub address: String,
    pub region: String,
    pub credential: AwsCredential,
}

/// An upload in parts that the store has not been told to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub key: String,
    pub id: String,
}

/// The answer, of which S3's manual has the rest (`ListMultipartUploads`).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
    encoding_type: String,
    #[serde(rename = "Upload")]
    uploads: Vec<Entry>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    key: String,
    upload_id: String,
}

/// What a store says in place of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Refusal {
    code: String,
}

impl Bucket {
    /// The uploads of keys that begin so.
    pub(super) async fn unfinished(&self, prefix: &str) -> Result<Vec<Unfinished>, StoreError> {
        let mut all = Vec::new();
        let mut marker = (String::new(), String::new());
        for _ in 0..MOST_ANSWERS {
            let text = self.ask(&query(prefix, &marker)).await?;
            let (mut some, next) = read(&text)?;
            all.append(&mut some);
            match next {
                None => return Ok(all),
                // It would go on so for ever.
                Some(next) if next == marker => break,
                Some(next) => marker = next,
            }
        }
        Err(StoreError::Unclear(
            "its list of unfinished uploads has no end".into(),
        ))
    }

    async fn ask(&self, query: &str) -> Result<String, StoreError> {
        let unclear = |error: &dyn std::fmt::Display| StoreError::Unclear(error.to_string());
        let mut request = Request::get(format!("{}?{query}", self.address))
            .body(HttpRequestBody::empty())
            .map_err(|error| unclear(&error))?;
        AwsAuthorizer::new(&self.credential, "s3", &self.region)
            .try_authorize(&mut request, None)?;
        let answer = self.client.execute(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
        let body = body.await.map_err(|error| unclear(&error))?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        match status.is_success() {
            true => Ok(text),
            false => Err(refusal(status, &text)),
        }
    }
}

fn refusal(status: StatusCode, text: &str) -> StoreError {
    let known = quick_xml::de::from_str::<Refusal>(text).unwrap_or_default();
    let code = known.code.trim();
    let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    StoreError::Refused {
        status: status.as_u16(),
        code: if plain {
            code.to_owned()
        } else {
            String::new()
        },
    }
}

fn query(prefix: &str, (key, upload): &(String, String)) -> String {
    let mut query = format!("uploads=&encoding-type=url&prefix={}", encode(prefix));
    for (name, marker) in [("key-marker", key), ("upload-id-marker", upload)] {
        if !marker.is_empty() {
            let _ = write!(query, "&{name}={}", encode(marker));
        }
    }
    query
}

type Marker = (String, String);

/// The uploads of an answer, and where the next one begins, if there is more.
fn read(text: &str) -> Result<(Vec<Unfinished>, Option<Marker>), StoreError> {
    let listed: Listed = quick_xml::de::from_str(text)
        .map_err(|error| StoreError::Unclear(format!("its list of unfinished uploads: {error}")))?;
    // Some do not encode although they were asked to.
    let is_encoded = listed.encoding_type == "url";
    let plain = |text: &str| match is_encoded {
        true => decode(text),
        false => text.to_owned(),
    };
    let uploads = listed.uploads.iter().map(|entry| Unfinished {
        key: plain(&entry.key),
        id: entry.upload_id.clone(),
    });
    let uploads: Vec<_> = uploads.collect();
    let next = match (listed.next_key_marker.as_str(), uploads.last()) {
        _ if !listed.is_truncated => None,
        // Swift does not say where it goes on behind a list of one.
        ("", Some(last)) => Some((last.key.clone(), last.id.clone())),
        (key, _) => Some((plain(key), listed.next_upload_id_marker.clone())),
    };
    Ok((uploads, next))
}

/// As a query wants it.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte.into());
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// What was encoded; what is none stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = behind;
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(key: &str, id: &str) -> Unfinished {
        Unfinished {
            key: key.into(),
            id: id.into(),
        }
    }

    #[test]
    fn a_list_goes_on_where_it_says() {
        let text = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Bucket>clips</Bucket><KeyMarker/><NextKeyMarker>a%2Bb/c</NextKeyMarker>\
             <NextUploadIdMarker>2~x</NextUploadIdMarker><MaxUploads>2</MaxUploads>\
             <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <Upload><Key>a/c</Key><UploadId>1</UploadId><Owner><ID>me</ID></Owner></Upload>\
             <Upload><Key>a%2Bb/c</Key><UploadId>2~x</UploadId></Upload></ListMultipartUploadsResult>";
        let (uploads, next) = read(text).unwrap();
        assert_eq!(
            uploads,
            [unfinished("a/c", "1"), unfinished("a+b/c", "2~x")]
        );
        let next = next.unwrap();
        assert_eq!(next, ("a+b/c".into(), "2~x".into()));
        assert_eq!(
            query("home/", &next),
            "uploads=&encoding-type=url&prefix=home%2F&key-marker=a%2Bb%2Fc&upload-id-marker=2~x"
        );
        let text = text.replace("true<", "false<");
        assert_eq!(read(&text).unwrap().1, None);
        // As Swift says it of a list of one.
        let text = "<L><NextKeyMarker></NextKeyMarker><IsTruncated>true</IsTruncated>\
             <Upload><Key>a%2Bb</Key><UploadId>1</UploadId></Upload></L>";
        let (uploads, next) = read(text).unwrap();
        assert_eq!(uploads, [unfinished("a%2Bb", "1")]);
        assert_eq!(next, Some(("a%2Bb".into(), "1".into())));
        assert!(read("<L><Upload>").is_err());
    }

    #[test]
    fn what_is_no_code_stays_as_it_is() {
        assert_eq!(decode("a+b%20c%2"), "a b c%2");
        assert_eq!(decode("%zz%e2%82%ac"), "%zz\u{20ac}");
    }

    #[test]
    fn a_refusal_has_its_code() {
        let text = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        let error = refusal(StatusCode::FORBIDDEN, text).to_string();
        assert_eq!(error, "the store refuses it: 403 AccessDenied");
        let error = refusal(StatusCode::NOT_IMPLEMENTED, "<html>\n").to_string();
        assert_eq!(error, "the store refuses it: 501");
    }
}
