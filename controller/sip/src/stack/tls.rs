//! TLS (RFC 3261 section 26.3.1): who the gateway is, and whom it believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rsipstack::sip::Host;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{StartError, TlsFiles};

/// Both ends of TLS.
pub(super) struct Tls {
    /// For who connects.
    pub(super) acceptor: TlsAcceptor,
    /// For who is connected to, if it is known whose certificates to believe.
    pub(super) connector: Option<TlsConnector>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, StartError> {
        let certificates = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
        let provider = Arc::new(ring::default_provider());
        let versions = [&version::TLS13, &version::TLS12];
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_protocol_versions(&versions).map_err(|error| wrong(&files.certificate, &error))?;
        let server = match &files.client_ca {
            None => server.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                server.with_client_cert_verifier(verifier.map_err(|error| wrong(path, &error))?)
            }
        };
        let server = server.with_single_cert(certificates.clone(), key.clone_key()).map_err(|error| wrong(&files.certificate, &error))?;
        let connector = match &files.server_ca {
            None => None,
            Some(path) => {
                let client = ClientConfig::builder_with_provider(provider);
                let client = client.with_protocol_versions(&versions).map_err(|error| wrong(path, &error))?;
                // The gateway's own certificate, for who wants to see one.
                let client = client.with_root_certificates(roots(path)?).with_client_auth_cert(certificates, key);
                Some(TlsConnector::from(Arc::new(client.map_err(|error| wrong(&files.certificate, &error))?)))
            }
        };
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), connector })
    }
}

/// The name a peer's certificate has to be for.
pub(super) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.0.clone()).ok(),
        Host::IpAddr(address) => Some(ServerName::IpAddress((*address).into())),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| wrong(path, &error))?;
    if certificates.is_empty() { Err(wrong(path, &"there is no certificate in it")) } else { Ok(certificates) }
}

fn roots(path: &Path) -> Result<RootCertStore, StartError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| wrong(path, &error))?;
    }
    Ok(roots)
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Tls { file: PathBuf::from(path), reason: reason.to_string() }
}
