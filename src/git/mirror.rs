//! The bare mirror of a remote: a cache that can be lost at any time. Only this module, with `odb`, writes to the disk.
//!
//! Every object in it is whole: a pack comes in only after all that it refers to was found in it or here. The refs are
//! one file, replaced at once, so that they are always those of one moment of the server.

mod fetch;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use git2::Oid;

use super::commit::{CommitFiles, Subject, is_absent, subject};
use super::error::GitError;
use super::odb::{Quarantine, corrupt, disk, open_bare};
use super::refs::{Refs, RemoteRefs};
use super::remote::Remote;
use super::transport::{Looking, converse};

use state::{State, create};

/// The mirrors that are open, by directory: one that is opened again is the same, and two never write into one.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// A bare repository in a directory of its own. Clones are handles of the same one; all calls block.
#[derive(Clone)]
pub struct Mirror(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    /// Something was found missing: the next fetch starts anew.
    damaged: Arc<AtomicBool>,
    fetching: Mutex<()>,
    state: Mutex<State>,
}

impl Mirror {
    /// Opens the mirror in `dir`, or makes an empty one where there is none, or one that cannot be read.
    pub fn open_or_create(dir: &Path) -> Result<Self, GitError> {
        let failed = disk("make its directory");
        fs::create_dir_all(dir).map_err(&failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.get(&dir).and_then(Weak::upgrade) {
            return Ok(Self(shared));
        }
        open.retain(|_, mirror| mirror.strong_count() > 0);
        let state = State::open(&dir).or_else(|error| {
            if dir.join("HEAD").exists() {
                tracing::warn!(directory = %dir.display(), %error, "the mirror is made anew");
            }
            create(&dir)?;
            State::open(&dir)
        })?;
        Quarantine::clean(&dir)?;
        let shared = Arc::new(Shared {
            dir: dir.clone(),
            damaged: Arc::default(),
            fetching: Mutex::default(),
            state: Mutex::new(state),
        });
        open.insert(dir, Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// The server's branches and tags, now (`git ls-remote`).
    pub fn list_remote(
        &self,
        remote: &Remote,
        cancel: &AtomicBool,
    ) -> Result<RemoteRefs, GitError> {
        converse(remote, cancel, &mut Looking)
    }

    /// Whether the mirror is what `wanted` says, so that there is nothing to fetch.
    pub fn is_current(&self, wanted: &RemoteRefs) -> bool {
        !self.0.damaged.load(Ordering::Relaxed) && self.state().fetched == *wanted
    }

    /// Whether something was found missing: the next fetch makes it anew.
    pub fn is_damaged(&self) -> bool {
        self.0.damaged.load(Ordering::Relaxed)
    }

    /// The branches and tags that were last fetched.
    pub fn refs(&self) -> Result<Arc<Refs>, GitError> {
        let mut state = self.state();
        if let Some(refs) = &state.refs {
            return Ok(Arc::clone(refs));
        }
        let refs = Arc::new(state.look_up().inspect_err(|_| self.note_damage())?);
        state.refs = Some(Arc::clone(&refs));
        Ok(refs)
    }

    /// Whether `descendant` is `ancestor` or has it among its ancestors. A commit that is not here is in no history.
    pub fn contains(&self, descendant: &str, ancestor: &str) -> Result<bool, GitError> {
        let state = self.state();
        let repository = &state.repository;
        let (descendant, ancestor) = (oid(descendant)?, oid(ancestor)?);
        match repository.find_commit(ancestor) {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => {
                self.note_damage();
                return Err(corrupt("read a commit")(error));
            }
        }
        if descendant == ancestor {
            return Ok(true);
        }
        repository
            .graph_descendant_of(descendant, ancestor)
            .map_err(|error| {
                self.note_damage();
                corrupt("read its history")(error)
            })
    }

    /// The files of a commit.
    pub fn commit(&self, commit: &str) -> Result<CommitFiles, GitError> {
        let repository = open_bare(&self.0.dir)?;
        let root = repository
            .find_commit(oid(commit)?)
            .map(|found| found.tree_id())
            .map_err(|error| {
                self.note_damage();
                corrupt("read a commit")(error)
            })?;
        let damaged = Arc::clone(&self.0.damaged);
        Ok(CommitFiles::new(repository, commit, root, damaged))
    }

    /// What a commit is called, and by whom.
    pub fn subject(&self, commit: &str) -> Result<Subject, GitError> {
        let state = self.state();
        let found = state
            .repository
            .find_commit(oid(commit)?)
            .map_err(corrupt("read a commit"))?;
        Ok(subject(&found))
    }

    fn note_damage(&self) {
        self.0.damaged.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Text that should be an object's name.
pub(super) fn oid(text: &str) -> Result<Oid, GitError> {
    Oid::from_str(text).map_err(corrupt("read the name of an object"))
}

#[cfg(test)]
mod tests;
