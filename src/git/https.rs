//! The wire of this scheme.

use std::sync::atomic::AtomicBool;

use git2::Oid;

use super::error::GitError;
use super::refs::RemoteRefs;
use super::remote::Remote;

pub(super) fn list(remote: &Remote, _: &AtomicBool) -> Result<RemoteRefs, GitError> {
    Err(unsupported(remote))
}

pub(super) fn fetch(
    remote: &Remote,
    _: &[Oid],
    _: &[Oid],
    _: &AtomicBool,
    _: &mut dyn FnMut(&[u8]) -> Result<(), GitError>,
) -> Result<(), GitError> {
    Err(unsupported(remote))
}

fn unsupported(remote: &Remote) -> GitError {
    GitError::Connect {
        url: remote.url.clone(),
        message: "unsupported scheme".to_owned(),
    }
}
