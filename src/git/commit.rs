//! The files of one commit, read from the object database: no work tree, and so no path that could leave one. Must not
//! write anything.

mod objects;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{ErrorCode, Oid, Repository};
use sha2::{Digest, Sha256};

use super::text::{bytes, shown};
use crate::tree::{Entry, EntryKind, FileError, Files};

use objects::{Mode, Node, Store};

/// The directories above a file.
const MAX_DEPTH: usize = 64;
/// The links that one look-up follows, as on Linux.
const MAX_LINKS: usize = 40;

const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Who made a commit, and what they called it, on one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub subject: String,
    pub author: String,
    /// Seconds since 1970.
    pub time: i64,
}

/// The files of one commit. Can be shared between threads; what was read is kept in memory.
pub struct CommitFiles {
    commit: String,
    root: Oid,
    store: Mutex<Store>,
}

impl CommitFiles {
    pub(super) fn new(
        repository: Repository,
        commit: &str,
        root: Oid,
        damaged: Arc<AtomicBool>,
    ) -> Self {
        Self {
            commit: commit.to_owned(),
            root,
            store: Mutex::new(Store::new(repository, damaged)),
        }
    }

    /// The commit, in full.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands at `path`, links followed: never a link, never a submodule.
    fn resolve(&self, store: &mut Store, path: &str) -> Result<Option<Node>, FileError> {
        self.walk(store, Vec::new(), path, path)
    }

    /// Follows `rest` from the directories `above` (root first). `asked` is the path that errors name.
    fn walk(
        &self,
        store: &mut Store,
        mut above: Vec<Vec<u8>>,
        rest: &str,
        asked: &str,
    ) -> Result<Option<Node>, FileError> {
        let root = Node {
            oid: self.root,
            mode: Mode::Directory,
        };
        // The directories from the root to where the walk stands.
        let mut stack = vec![root];
        let mut pending: VecDeque<Vec<u8>> = above
            .drain(..)
            .chain(rest.split('/').map(|part| part.as_bytes().to_vec()))
            .collect();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part.is_empty() || part == b"." {
                continue;
            }
            if part == b".." {
                // Only a link's target holds these, and is checked below before it is followed.
                if stack.len() > 1 {
                    stack.pop();
                    continue;
                }
                return Err(FileError::LinkLeavesTree {
                    path: shown(asked),
                    target: "..".to_owned(),
                });
            }
            let here = stack.last().copied().unwrap_or(root);
            let tree = store.tree(here.oid, asked)?;
            let Some(node) = tree.get(&part).copied() else {
                return Ok(None);
            };
            match node.mode {
                Mode::Directory => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(FileError::Unreadable {
                            path: shown(asked),
                            message: format!("more than {MAX_DEPTH} directories deep"),
                        });
                    }
                    stack.push(node);
                }
                Mode::File => {
                    let more = pending.iter().any(|part| !part.is_empty());
                    return Ok((!more).then_some(node));
                }
                Mode::Submodule => {
                    return Err(FileError::Submodule { path: shown(asked) });
                }
                Mode::Link => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(FileError::LinkLoop { path: shown(asked) });
                    }
                    let target = store.blob(node.oid, asked)?;
                    if leaves(&target, stack.len() - 1) {
                        return Err(FileError::LinkLeavesTree {
                            path: shown(asked),
                            target: bytes(&target),
                        });
                    }
                    for part in target.split(|byte| *byte == b'/').rev() {
                        pending.push_front(part.to_vec());
                    }
                }
            }
        }
        Ok(stack.last().copied())
    }

    /// What stands at `name` in the directory `path`, as a listing shows it. What cannot be read is shown, and its
    /// error comes when it is: left out, it would be absent.
    fn shown_kind(&self, store: &mut Store, path: &str, name: &[u8], mode: Mode) -> EntryKind {
        match mode {
            Mode::File => EntryKind::File,
            Mode::Directory | Mode::Submodule => EntryKind::Directory,
            Mode::Link => {
                let path = if path.is_empty() {
                    String::from_utf8_lossy(name).into_owned()
                } else {
                    format!("{path}/{}", String::from_utf8_lossy(name))
                };
                match self.resolve(store, &path) {
                    Ok(Some(Node {
                        mode: Mode::Directory,
                        ..
                    }))
                    | Err(FileError::Submodule { .. }) => EntryKind::Directory,
                    _ => EntryKind::File,
                }
            }
        }
    }
}

/// Whether a link's target is absolute or, lexically, climbs above the root from `depth` directories below it.
fn leaves(target: &[u8], depth: usize) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut depth = depth;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

impl Files for CommitFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        let node = self.resolve(&mut self.store(), path)?;
        Ok(node.map(|node| match node.mode {
            Mode::Directory => EntryKind::Directory,
            _ => EntryKind::File,
        }))
    }

    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError> {
        let mut store = self.store();
        let Some(node) = self.resolve(&mut store, path)? else {
            return Ok(None);
        };
        if node.mode != Mode::File {
            return Ok(None);
        }
        let content = store.blob(node.oid, path)?;
        if content.starts_with(LFS_POINTER) {
            return Err(FileError::LfsPointer { path: shown(path) });
        }
        Ok(Some(content))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError> {
        let mut store = self.store();
        let Some(node) = self.resolve(&mut store, path)? else {
            return Ok(None);
        };
        if node.mode != Mode::Directory {
            return Ok(None);
        }
        let tree = store.tree(node.oid, path)?;
        let mut entries = Vec::with_capacity(tree.len());
        for (name, node) in tree.iter() {
            let kind = self.shown_kind(&mut store, path, name, node.mode);
            let name = String::from_utf8(name.clone()).map_err(|_| FileError::NotUtf8 {
                path: if path.is_empty() {
                    bytes(name)
                } else {
                    format!("{}/{}", shown(path), bytes(name))
                },
            })?;
            entries.push(Entry { name, kind });
        }
        Ok(Some(entries))
    }

    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError> {
        let mut store = self.store();
        let Some(node) = self.resolve(&mut store, path)? else {
            return Ok(None);
        };
        if node.mode == Mode::File {
            return Ok(Some(node.oid.to_string()));
        }
        let tree = store.tree(node.oid, path)?;
        let mut hash = Sha256::new();
        for (name, node) in tree.iter() {
            hash.update([match self.shown_kind(&mut store, path, name, node.mode) {
                EntryKind::File => b'f',
                EntryKind::Directory => b'd',
            }]);
            hash.update(name);
            hash.update([0]);
        }
        let mut fingerprint = String::from("directory ");
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Ok(Some(fingerprint))
    }
}

/// The first line and the author, for people.
pub(super) fn subject(commit: &git2::Commit<'_>) -> Subject {
    let message = commit.message_bytes();
    let first = message
        .split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    Subject {
        subject: bytes(first.trim_ascii()),
        author: bytes(commit.author().name_bytes()),
        time: commit.time().seconds(),
    }
}

/// Whether an error says that an object is not there.
pub(super) fn is_absent(error: &git2::Error) -> bool {
    error.code() == ErrorCode::NotFound
}

#[cfg(test)]
mod tests;
