//! The files of one commit, read from the object database: no work tree, and so no path that could leave one. Must not
//! write anything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{ErrorCode, ObjectType, Oid, Repository};
use sha2::{Digest, Sha256};

use super::text::{bytes, shown};
use crate::tree::{Entry, EntryKind, FileError, Files};

/// The bytes of one file or directory.
const MAX_OBJECT: u64 = 10 << 20;
/// The names in one directory.
const MAX_ENTRIES: usize = 200_000;
/// The directories above a file.
const MAX_DEPTH: usize = 64;
/// The links that one look-up follows, as on Linux.
const MAX_LINKS: usize = 40;
/// The bytes of files that are kept to be read again.
const MAX_KEPT: usize = 64 << 20;

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
    damaged: Arc<AtomicBool>,
    store: Mutex<Store>,
}

struct Store {
    repository: Repository,
    trees: HashMap<Oid, Arc<Tree>>,
    files: HashMap<Oid, Arc<[u8]>>,
    kept: usize,
}

/// The names in a directory, by their bytes.
type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    oid: Oid,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    File,
    Directory,
    Link,
    Submodule,
}

impl Mode {
    fn of(filemode: i32) -> Option<Self> {
        match filemode & 0o170_000 {
            0o100_000 => Some(Self::File),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Link),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }
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
            damaged,
            store: Mutex::new(Store {
                repository,
                trees: HashMap::new(),
                files: HashMap::new(),
                kept: 0,
            }),
        }
    }

    /// The commit, in full.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object that is there but cannot be read, or should be there and is not: never absence.
    fn unreadable(&self, path: &str, error: &git2::Error) -> FileError {
        self.damaged.store(true, Ordering::Relaxed);
        FileError::Unreadable {
            path: shown(path),
            message: format!("the mirror is damaged: {}", error.message()),
        }
    }

    fn tree(&self, store: &mut Store, oid: Oid, path: &str) -> Result<Arc<Tree>, FileError> {
        if let Some(tree) = store.trees.get(&oid) {
            return Ok(Arc::clone(tree));
        }
        let odd = |message: String| FileError::Unreadable {
            path: shown(path),
            message,
        };
        self.check_size(store, oid, ObjectType::Tree, path)?;
        let tree = store
            .repository
            .find_tree(oid)
            .map_err(|error| self.unreadable(path, &error))?;
        if tree.len() > MAX_ENTRIES {
            return Err(odd(format!("more than {MAX_ENTRIES} names in a directory")));
        }
        let mut nodes = Tree::new();
        for entry in &tree {
            let name = entry.name_bytes();
            if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
                return Err(odd(format!(
                    "the directory holds the name {:?}",
                    bytes(name)
                )));
            }
            let mode = Mode::of(entry.filemode_raw())
                .ok_or_else(|| odd(format!("{} is of an unknown kind", bytes(name))))?;
            let node = Node {
                oid: entry.id(),
                mode,
            };
            if nodes.insert(name.to_vec(), node).is_some() {
                return Err(odd(format!("the directory holds {} twice", bytes(name))));
            }
        }
        let nodes = Arc::new(nodes);
        store.trees.insert(oid, Arc::clone(&nodes));
        Ok(nodes)
    }

    fn check_size(
        &self,
        store: &Store,
        oid: Oid,
        kind: ObjectType,
        path: &str,
    ) -> Result<(), FileError> {
        let (size, found) =
            header(&store.repository, oid).map_err(|error| self.unreadable(path, &error))?;
        if found != kind {
            return Err(self.unreadable(path, &git2::Error::from_str("an object of another kind")));
        }
        if size as u64 > MAX_OBJECT {
            return Err(FileError::TooLarge {
                path: shown(path),
                size: size as u64,
                limit: MAX_OBJECT,
            });
        }
        Ok(())
    }

    fn blob(&self, store: &mut Store, oid: Oid, path: &str) -> Result<Arc<[u8]>, FileError> {
        if let Some(content) = store.files.get(&oid) {
            return Ok(Arc::clone(content));
        }
        self.check_size(store, oid, ObjectType::Blob, path)?;
        let content: Arc<[u8]> = {
            let blob = store
                .repository
                .find_blob(oid)
                .map_err(|error| self.unreadable(path, &error))?;
            blob.content().into()
        };
        if store.kept + content.len() > MAX_KEPT {
            store.files.clear();
            store.kept = 0;
        }
        store.kept += content.len();
        store.files.insert(oid, Arc::clone(&content));
        Ok(content)
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
            let tree = self.tree(store, here.oid, asked)?;
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
                    let target = self.blob(store, node.oid, asked)?;
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

/// The size and kind of an object, before it is loaded. git2 panics where a damaged pack names a kind that there is not.
fn header(repository: &Repository, oid: Oid) -> Result<(usize, ObjectType), git2::Error> {
    let odb = repository.odb()?;
    std::panic::catch_unwind(AssertUnwindSafe(|| odb.read_header(oid)))
        .unwrap_or_else(|_| Err(git2::Error::from_str("an object of no kind")))
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
        let content = self.blob(&mut store, node.oid, path)?;
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
        let tree = self.tree(&mut store, node.oid, path)?;
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
        let tree = self.tree(&mut store, node.oid, path)?;
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
