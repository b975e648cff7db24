//! Everything that touches Git: remotes, the mirror on disk, a commit's files, and the choice of a revision. Must not
//! know Kubernetes; what is pure (`url`, `credentials`, `refs`, `follow`, `version`, `protocol`, `known_hosts`, `text`) does no I/O.

mod commit;
mod compact;
mod credentials;
mod deadline;
mod error;
mod file;
mod follow;
mod https;
mod known_hosts;
mod mirror;
mod odb;
mod protocol;
mod refs;
mod remote;
mod ssh;
mod text;
mod tls;
mod transport;
mod url;
mod version;

pub use crate::images;
pub use commit::{CommitFiles, Subject};
pub use credentials::{Access, Credentials, CredentialsError};
pub use error::{GitError, TlsProblem};
pub use follow::{Choice, FollowError, Movement, choose, movement};
pub use mirror::Mirror;
pub use refs::{Ref, Refs, RemoteRef, RemoteRefs};
pub use remote::{Limits, Remote};
pub use url::{RemoteUrl, UrlError};
pub use version::{Range, RangeError, parse_version};
