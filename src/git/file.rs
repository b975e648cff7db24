//! A repository on this machine, read as a remote. Must not write into it.

use git2::{Oid, Repository, RepositoryOpenFlags};

use super::error::GitError;
use super::odb::{BuildError, build_pack, peel_tags};
use super::refs::{RemoteRef, RemoteRefs};
use super::remote::Remote;
use super::url::RemoteUrl;

fn open(url: &RemoteUrl) -> Result<Repository, GitError> {
    let nowhere_above = std::iter::empty::<&std::ffi::OsStr>();
    Repository::open_ext(
        url.file_path(),
        RepositoryOpenFlags::NO_SEARCH,
        nowhere_above,
    )
    .map_err(not_git(url))
}

fn not_git(url: &RemoteUrl) -> impl Fn(git2::Error) -> GitError {
    move |error| GitError::NotGit {
        url: url.clone(),
        message: error.message().to_owned(),
    }
}

pub(super) fn list(remote: &Remote) -> Result<RemoteRefs, GitError> {
    let failed = not_git(&remote.url);
    let repository = open(&remote.url)?;
    let mut refs = RemoteRefs::default();
    for reference in repository.references().map_err(&failed)? {
        let reference = reference.map_err(&failed)?;
        let Ok(name) = reference.name() else {
            continue;
        };
        if !RemoteRefs::wants(name) {
            continue;
        }
        let name = name.to_owned();
        let Some(oid) = reference.resolve().map_err(&failed)?.target() else {
            continue;
        };
        let peeled = match repository.find_tag(oid) {
            Ok(tag) => Some(peel_tags(tag.into_object()).map_err(&failed)?.id()),
            Err(_) => None,
        };
        let entry = RemoteRef {
            oid: oid.to_string(),
            peeled: peeled.map(|oid| oid.to_string()),
        };
        refs.0.insert(name, entry);
    }
    Ok(refs)
}

/// Writes a pack of what `wants` reach and `haves` do not.
pub(super) fn fetch(
    remote: &Remote,
    wants: &[Oid],
    haves: &[Oid],
    sink: &mut dyn FnMut(&[u8]) -> Result<(), GitError>,
) -> Result<(), GitError> {
    let failed = not_git(&remote.url);
    let repository = open(&remote.url)?;
    build_pack(&repository, wants, haves, sink).map_err(|error| match error {
        BuildError::Read(error) => failed(error),
        BuildError::Taken(error) => error,
    })
}
