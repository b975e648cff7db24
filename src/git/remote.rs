//! A remote, and how much of it is borne.

use std::time::Duration;

use git2::Oid;

use super::credentials::Access;
use super::error::GitError;
use super::protocol::ProtocolError;
use super::refs::RemoteRefs;
use super::url::RemoteUrl;

/// A remote repository, what to log in with, and the limits of talking to it.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: RemoteUrl,
    pub access: Access,
    /// Whether a `file://` URL is taken.
    pub allow_file: bool,
    pub limits: Limits,
}

impl Remote {
    /// That the server still has what was listed before.
    pub(super) fn check_wants(&self, refs: &RemoteRefs, wants: &[Oid]) -> Result<(), GitError> {
        for want in wants {
            let want = want.to_string();
            if !refs.0.values().any(|reference| reference.oid == want) {
                return Err(GitError::Moved {
                    url: self.url.clone(),
                    reference: want,
                });
            }
        }
        Ok(())
    }

    /// An error of the protocol, with this remote's name.
    pub(super) fn protocol(&self, error: ProtocolError) -> GitError {
        let url = self.url.clone();
        match error {
            ProtocolError::Malformed(message) => GitError::Protocol { url, message },
            // It changed between the two requests of a fetch.
            ProtocolError::Server(message) if message.contains("not our ref") => GitError::Moved {
                url,
                reference: message,
            },
            ProtocolError::Server(message) => GitError::Server { url, message },
        }
    }

    /// An answer that ends too early.
    pub(super) fn cut(&self) -> GitError {
        GitError::Connection {
            url: self.url.clone(),
            message: "it ended in the middle of the answer".to_owned(),
        }
    }
}

/// How much of a remote is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To connect, the handshakes included.
    pub connect: Duration,
    /// Without any byte.
    pub idle: Duration,
    /// For one listing or fetch as a whole.
    pub total: Duration,
    /// The bytes of one pack.
    pub pack: u64,
    /// The bytes of the list of refs.
    pub refs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(15),
            total: Duration::from_mins(2),
            pack: 256 << 20,
            refs: 64 << 20,
        }
    }
}
