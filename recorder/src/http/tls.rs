// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS with a certificate from files.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: pem::Error },
    #[error("certificate and key: {0}")]
    Pair(#[from] tokio_rustls::rustls::Error),
}

/// Reads certificate and key.
pub(crate) fn acceptor(files: &Tls) -> Result<TlsAcceptor, TlsError> {
    let wrong = |path: &PathBuf| {
        let path = path.clone();
        move |error| TlsError::File { path, error }
    };
    let path = &files.certificate;
    let chain = CertificateDer::pem_file_iter(path).map_err(wrong(path))?;
    let chain: Result<Vec<_>, _> = chain.collect();
    let chain = chain.map_err(wrong(path))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong(&files.key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
