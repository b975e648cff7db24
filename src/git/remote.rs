//! A remote, and how much of it is borne.

use std::time::Duration;

use super::credentials::Access;
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
            total: Duration::from_secs(120),
            pack: 256 << 20,
            refs: 64 << 20,
        }
    }
}
