//! One conversation with a server, over whatever its URL says: the refs are told, and what is ordered then comes.

use std::sync::atomic::AtomicBool;

use git2::Oid;

use super::error::GitError;
use super::refs::RemoteRefs;
use super::remote::Remote;
use super::{file, https, ssh};

/// What a server shall send.
pub(super) struct Order {
    /// Each is in the refs that were told.
    pub(super) wants: Vec<Oid>,
    /// Commits that we have, with all that they contain.
    pub(super) haves: Vec<Oid>,
}

/// Who talks to a server.
pub(super) trait Customer {
    /// Given what the server has: what to send, or nothing.
    fn order(&mut self, told: &RemoteRefs) -> Result<Option<Order>, GitError>;
    /// Takes the next bytes of the pack that was ordered.
    fn take(&mut self, pack: &[u8]) -> Result<(), GitError>;
}

/// Returns the refs that the server told.
pub(super) fn converse(
    remote: &Remote,
    cancel: &AtomicBool,
    customer: &mut dyn Customer,
) -> Result<RemoteRefs, GitError> {
    if remote.url.is_file() {
        if !remote.allow_file {
            let url = remote.url.clone();
            return Err(GitError::FileNotAllowed { url });
        }
        file::converse(remote, customer)
    } else if remote.url.is_ssh() {
        ssh::converse(remote, cancel, customer)
    } else {
        https::converse(remote, cancel, customer)
    }
}

/// Only looks.
pub(super) struct Looking;

impl Customer for Looking {
    fn order(&mut self, _: &RemoteRefs) -> Result<Option<Order>, GitError> {
        Ok(None)
    }

    fn take(&mut self, _: &[u8]) -> Result<(), GitError> {
        Ok(())
    }
}
