//! The mirror as it lies on the disk: a bare repository, and its refs in one file that is replaced at once.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Repository, RepositoryInitOptions};

use super::oid;
use crate::git::error::GitError;
use crate::git::odb::{corrupt, disk, open_bare, peel_tags};
use crate::git::refs::{Ref, Refs, RemoteRefs};

pub(super) struct State {
    pub repository: Repository,
    pub fetched: RemoteRefs,
    /// The same, looked up; made when first asked for.
    pub refs: Option<Arc<Refs>>,
}

impl State {
    pub fn open(dir: &Path) -> Result<Self, GitError> {
        let repository = open_bare(dir)?;
        let path = dir.join("packed-refs");
        let text = fs::read_to_string(&path).map_err(disk("read its refs"))?;
        let fetched = RemoteRefs::from_packed(&text).ok_or_else(|| GitError::Corrupt {
            action: "read its refs",
            message: "packed-refs is cut or was not written by this program".to_owned(),
        })?;
        let mut state = Self {
            repository,
            fetched,
            refs: None,
        };
        state.refs = Some(Arc::new(state.look_up()?));
        Ok(state)
    }

    pub fn look_up(&self) -> Result<Refs, GitError> {
        let mut refs = Vec::with_capacity(self.fetched.len());
        for (name, reference) in &self.fetched.0 {
            let object = self
                .repository
                .find_object(oid(&reference.oid)?, None)
                .and_then(peel_tags)
                .map_err(corrupt("read what a ref points to"))?;
            let Some(commit) = object.as_commit() else {
                tracing::debug!(reference = %name, "is of something else than a commit");
                continue;
            };
            refs.push(Ref {
                name: name.clone(),
                commit: commit.id().to_string(),
                time: commit.time().seconds(),
            });
        }
        Ok(Refs(refs))
    }
}

/// An empty mirror, in place of whatever is there.
pub(super) fn create(dir: &Path) -> Result<(), GitError> {
    let failed = "make it anew";
    for entry in fs::read_dir(dir).map_err(disk(failed))? {
        let path = entry.map_err(disk(failed))?.path();
        let is_dir = path.symlink_metadata().map_err(disk(failed))?.is_dir();
        if is_dir {
            fs::remove_dir_all(&path).map_err(disk(failed))?;
        } else {
            fs::remove_file(&path).map_err(disk(failed))?;
        }
    }
    let mut options = RepositoryInitOptions::new();
    options
        .bare(true)
        .no_reinit(true)
        .external_template(false)
        .initial_head("main");
    Repository::init_opts(dir, &options).map_err(|error| GitError::Disk {
        action: failed,
        source: std::io::Error::other(error.message().to_owned()),
    })?;
    write_refs(dir, &RemoteRefs::default())
}

pub(super) fn write_refs(dir: &Path, refs: &RemoteRefs) -> Result<(), GitError> {
    let failed = disk("write its refs");
    let new: PathBuf = dir.join("packed-refs.new");
    let mut file = fs::File::create(&new).map_err(&failed)?;
    file.write_all(refs.to_packed().as_bytes())
        .map_err(&failed)?;
    file.sync_all().map_err(&failed)?;
    fs::rename(&new, dir.join("packed-refs")).map_err(failed)
}
