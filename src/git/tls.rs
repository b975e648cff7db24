//! Whom a connection trusts: decided for every remote by itself, never for the process.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::error::TlsProblem;
use super::remote::Remote;

/// Trusts the authorities of the Secret, and only those; without them the system's.
pub(super) fn config(remote: &Remote) -> Result<ClientConfig, TlsProblem> {
    let authority = |message: String| TlsProblem::Authority { message };
    let mut roots = RootCertStore::empty();
    if let Some(pem) = &remote.access.ca {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| authority(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| authority(error.to_string()))?;
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsProblem::Handshake {
            message: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

pub(super) fn problem(error: &std::io::Error) -> TlsProblem {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(invalid)) = cause else {
        return TlsProblem::Handshake {
            message: chain(error),
        };
    };
    let message = invalid.to_string();
    match invalid {
        // Another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsProblem::UnknownAuthority
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsProblem::WrongName { message }
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsProblem::Expired { message },
        _ => TlsProblem::Invalid { message },
    }
}

/// An error and its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
