//! Packs on their way into a mirror: received and indexed in a directory of their own, checked to be whole, then moved in.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use git2::{Indexer, Object, ObjectType, Odb, Oid, Repository};

use super::error::GitError;
use super::remote::Remote;

/// A directory for one pack; removed when dropped.
pub(super) struct Quarantine(PathBuf);

const PREFIX: &str = "quarantine-";
/// Where a mirror's packs are.
pub(super) const PACKS: &str = "objects/pack";

impl Quarantine {
    pub(super) fn new(mirror: &Path) -> Result<Self, GitError> {
        let dir = mirror.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&dir).map_err(disk("make a directory for a pack"))?;
        Ok(Self(dir))
    }

    /// Removes what a killed fetch left.
    pub(super) fn clean(mirror: &Path) -> Result<(), GitError> {
        let failed = "remove what an interrupted fetch left";
        for entry in fs::read_dir(mirror).map_err(disk(failed))? {
            let entry = entry.map_err(disk(failed))?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_dir_all(entry.path()).map_err(disk(failed))?;
            }
        }
        Ok(())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    /// Moves the pack that was indexed here, and found whole, into the mirror.
    pub(super) fn admit(self, name: &str, mirror: &Path) -> Result<(), GitError> {
        let packs = mirror.join(PACKS);
        // libgit2 remembers open packs by their path: one that comes again, after a mirror was damaged, needs another.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let unique = now.map_or(0, |now| now.as_nanos());
        // A pack without an index is not seen: the index goes last.
        for extension in ["pack", "idx"] {
            let from = self.0.join(format!("pack-{name}.{extension}"));
            let to = packs.join(format!("pack-{name}-{unique:x}.{extension}"));
            fs::rename(from, to).map_err(disk("move a pack into the mirror"))?;
        }
        Ok(())
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "a directory of a fetch was not removed");
        }
    }
}

/// Takes the bytes of one pack.
pub(super) struct PackSink<'a> {
    remote: &'a Remote,
    quarantine: Quarantine,
    indexer: Indexer<'a>,
    received: u64,
}

impl<'a> PackSink<'a> {
    /// What is missing in the pack is looked for in `odb`, all of whose objects are whole.
    pub(super) fn new(remote: &'a Remote, mirror: &Path, odb: &Odb<'a>) -> Result<Self, GitError> {
        let quarantine = Quarantine::new(mirror)?;
        let indexer = Indexer::new(Some(odb), &quarantine.0, 0o600, true).map_err(|error| {
            GitError::Disk {
                action: "make a file for a pack",
                source: std::io::Error::other(error.message().to_owned()),
            }
        })?;
        Ok(Self {
            remote,
            quarantine,
            indexer,
            received: 0,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), GitError> {
        self.received += bytes.len() as u64;
        if self.received > self.remote.limits.pack {
            return Err(GitError::Limit {
                url: self.remote.url.clone(),
                what: "bytes in one pack",
                limit: self.remote.limits.pack,
            });
        }
        self.indexer
            .write_all(bytes)
            .map_err(|error| self.incomplete(&error.to_string()))
    }

    /// Checks that the pack is whole, and that all that its objects refer to is there, and moves it into the mirror.
    pub(super) fn finish(self, mirror: &Path) -> Result<u64, GitError> {
        let Self {
            remote,
            quarantine,
            indexer,
            received,
        } = self;
        let name = indexer.commit().map_err(|error| GitError::Incomplete {
            url: remote.url.clone(),
            message: error.message().to_owned(),
        })?;
        quarantine.admit(&name, mirror)?;
        Ok(received)
    }

    fn incomplete(&self, message: &str) -> GitError {
        GitError::Incomplete {
            url: self.remote.url.clone(),
            message: message.to_owned(),
        }
    }
}

pub(super) fn disk(action: &'static str) -> impl Fn(std::io::Error) -> GitError {
    move |source| GitError::Disk { action, source }
}

pub(super) fn corrupt(action: &'static str) -> impl Fn(git2::Error) -> GitError {
    move |error| GitError::Corrupt {
        action,
        message: error.message().to_owned(),
    }
}

/// Why a pack could not be built: the objects could not be read, or its bytes not be taken.
pub(super) enum BuildError {
    Read(git2::Error),
    Taken(GitError),
}

impl From<git2::Error> for BuildError {
    fn from(error: git2::Error) -> Self {
        Self::Read(error)
    }
}

/// Gives `sink` a pack of what `wants` reach and `haves` do not.
pub(super) fn build_pack(
    repository: &Repository,
    wants: &[Oid],
    haves: &[Oid],
    sink: &mut dyn FnMut(&[u8]) -> Result<(), GitError>,
) -> Result<(), BuildError> {
    let mut builder = repository.packbuilder()?;
    let mut walk = repository.revwalk()?;
    for want in wants {
        let mut object = repository.find_object(*want, None)?;
        while let Some(tag) = object.as_tag() {
            builder.insert_object(tag.id(), None)?;
            object = tag.target()?;
        }
        if object.kind() == Some(ObjectType::Commit) {
            walk.push(object.id())?;
        } else {
            builder.insert_recursive(object.id(), None)?;
        }
    }
    for have in haves {
        if repository.find_commit(*have).is_ok() {
            walk.hide(*have)?;
        }
    }
    builder.insert_walk(&mut walk)?;
    let mut outcome = Ok(());
    let written = builder.foreach(|bytes| {
        outcome = sink(bytes);
        outcome.is_ok()
    });
    outcome.map_err(BuildError::Taken)?;
    written.map_err(BuildError::Read)
}

/// Opens a bare repository exactly there.
pub(super) fn open_bare(dir: &Path) -> Result<Repository, GitError> {
    Repository::open_bare(dir).map_err(corrupt("open it"))
}

/// What an annotated tag, or a tag of a tag, is of; anything else itself.
pub(super) fn peel_tags(mut object: Object<'_>) -> Result<Object<'_>, git2::Error> {
    while let Some(tag) = object.as_tag() {
        object = tag.target()?;
    }
    Ok(object)
}
