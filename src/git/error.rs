//! What can go wrong with a remote or a mirror. No message holds a credential.

use super::url::RemoteUrl;

/// One variant per action that failed, each with what it failed on.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("{url}: the server refused the credentials ({status})")]
    AuthRefused { url: RemoteUrl, status: String },
    #[error("{url}: the server wants credentials ({status}); name a Secret in spec.credentials")]
    AuthNeeded { url: RemoteUrl, status: String },
    #[error("{url}: no such repository, or the credentials may not see it ({status})")]
    NotFound { url: RemoteUrl, status: String },
    #[error(
        "{url}: the host key is unknown: the server offers {offered}, and no line of known_hosts is about it"
    )]
    HostKeyUnknown { url: RemoteUrl, offered: String },
    #[error("{url}: the host key {offered} is revoked in known_hosts")]
    HostKeyRevoked { url: RemoteUrl, offered: String },
    #[error(
        "{url}: the host key changed: known_hosts expects {}, the server offers {offered}; either the server has a new key or someone answers in its place",
        expected.join(" or ")
    )]
    HostKeyMismatch {
        url: RemoteUrl,
        offered: String,
        expected: Vec<String>,
    },
    #[error("{url}: the private key in the Secret cannot be used: {message}")]
    Identity { url: RemoteUrl, message: String },
    #[error("{url}: {problem}")]
    Tls { url: RemoteUrl, problem: TlsProblem },
    #[error("{url}: not a Git repository: {message}")]
    NotGit { url: RemoteUrl, message: String },
    #[error(
        "{url}: the server redirects to {target}, which is refused; put the new address into spec.url"
    )]
    Redirect { url: RemoteUrl, target: String },
    #[error("{url}: the server is not available ({status})")]
    Unavailable { url: RemoteUrl, status: String },
    #[error("{url}: timeout: {action} took more than {seconds} s")]
    Timeout {
        url: RemoteUrl,
        action: &'static str,
        seconds: u64,
    },
    #[error("{url}: limit exceeded: more than {limit} {what}")]
    Limit {
        url: RemoteUrl,
        what: &'static str,
        limit: u64,
    },
    #[error("{url}: cannot connect: {message}")]
    Connect { url: RemoteUrl, message: String },
    #[error("{url}: the connection broke: {message}")]
    Connection { url: RemoteUrl, message: String },
    #[error("{url}: the server's answer is not Git's protocol: {message}")]
    Protocol { url: RemoteUrl, message: String },
    #[error("{url}: the server says: {message}")]
    Server { url: RemoteUrl, message: String },
    #[error("{url}: {reference} changed while it was fetched")]
    Moved { url: RemoteUrl, reference: String },
    #[error("{url}: what the server sent is not complete: {message}")]
    Incomplete { url: RemoteUrl, message: String },
    #[error(
        "{url}: file:// repositories are not allowed; start the agent with --allow-file-repositories"
    )]
    FileNotAllowed { url: RemoteUrl },
    #[error("{url}: cancelled")]
    Cancelled { url: RemoteUrl },
    /// The mirror misses something that it should have. The next fetch makes it anew.
    #[error("the mirror is damaged: {action}: {message}")]
    Corrupt {
        action: &'static str,
        message: String,
    },
    #[error("the mirror cannot be written or read: {action}: {source}")]
    Disk {
        action: &'static str,
        source: std::io::Error,
    },
}

/// Why a server's certificate was not trusted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TlsProblem {
    #[error(
        "the certificate is signed by an unknown authority; put the authority's certificate into ca.crt of the Secret"
    )]
    UnknownAuthority,
    #[error("the certificate is for another host name: {message}")]
    WrongName { message: String },
    #[error("the certificate has expired or is not valid yet: {message}")]
    Expired { message: String },
    #[error("the certificate is not valid: {message}")]
    Invalid { message: String },
    #[error("ca.crt in the Secret cannot be read: {message}")]
    Authority { message: String },
    #[error("TLS: {message}")]
    Handshake { message: String },
}

impl GitError {
    /// Whether the mirror must be made anew before it is of use.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}
