//! A repository on this machine, read as a remote. Must not write into it.

use git2::{Repository, RepositoryOpenFlags};

use super::error::GitError;
use super::odb::{BuildError, build_pack, peel_tags};
use super::refs::{RemoteRef, RemoteRefs};
use super::remote::Remote;
use super::transport::{Customer, Order};
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

pub(super) fn converse(
    remote: &Remote,
    customer: &mut dyn Customer,
) -> Result<RemoteRefs, GitError> {
    let failed = not_git(&remote.url);
    let repository = open(&remote.url)?;
    let refs = list(&repository).map_err(&failed)?;
    if let Some(Order { wants, haves }) = customer.order(&refs)? {
        build_pack(&repository, &wants, &haves, &mut |pack| customer.take(pack)).map_err(
            |error| match error {
                BuildError::Read(error) => failed(error),
                BuildError::Taken(error) => error,
            },
        )?;
    }
    Ok(refs)
}

fn list(repository: &Repository) -> Result<RemoteRefs, git2::Error> {
    let mut refs = RemoteRefs::default();
    for reference in repository.references()? {
        let reference = reference?;
        let Ok(name) = reference.name() else {
            continue;
        };
        if !RemoteRefs::wants(name) {
            continue;
        }
        let name = name.to_owned();
        let Some(oid) = reference.resolve()?.target() else {
            continue;
        };
        let peeled = match repository.find_tag(oid) {
            Ok(tag) => Some(peel_tags(tag.into_object())?.id()),
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
