//! The trees and blobs of an object database: checked, bounded, and kept to be read again. Must not follow links.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{ObjectType, Oid, Repository};

use crate::git::text::{bytes, shown};
use crate::tree::FileError;

/// The bytes of one file or directory.
pub(super) const MAX_OBJECT: u64 = 10 << 20;
/// The names in one directory.
const MAX_ENTRIES: usize = 200_000;
/// The bytes of files that are kept to be read again.
const MAX_KEPT: usize = 64 << 20;

/// The object database, and what was read of it.
pub(super) struct Store {
    repository: Repository,
    trees: HashMap<Oid, Arc<Tree>>,
    files: HashMap<Oid, Arc<[u8]>>,
    kept: usize,
    /// Told to whoever mends the mirror.
    damaged: Arc<AtomicBool>,
}

/// The names in a directory, by their bytes.
pub(super) type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub oid: Oid,
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
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

impl Store {
    pub fn new(repository: Repository, damaged: Arc<AtomicBool>) -> Self {
        Self {
            repository,
            trees: HashMap::new(),
            files: HashMap::new(),
            kept: 0,
            damaged,
        }
    }

    /// An object that is there but cannot be read, or should be there and is not: never absence.
    fn unreadable(&self, path: &str, error: &git2::Error) -> FileError {
        self.damaged.store(true, Ordering::Relaxed);
        FileError::Unreadable {
            path: shown(path),
            message: format!("the mirror is damaged: {}", error.message()),
        }
    }

    /// The names in a directory.
    pub fn tree(&mut self, oid: Oid, path: &str) -> Result<Arc<Tree>, FileError> {
        if let Some(tree) = self.trees.get(&oid) {
            return Ok(Arc::clone(tree));
        }
        let odd = |message: String| FileError::Unreadable {
            path: shown(path),
            message,
        };
        self.check_size(oid, ObjectType::Tree, path)?;
        let tree = self
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
        self.trees.insert(oid, Arc::clone(&nodes));
        Ok(nodes)
    }

    fn check_size(&self, oid: Oid, kind: ObjectType, path: &str) -> Result<(), FileError> {
        let (size, found) =
            header(&self.repository, oid).map_err(|error| self.unreadable(path, &error))?;
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

    /// The content of a file, or the target of a link.
    pub fn blob(&mut self, oid: Oid, path: &str) -> Result<Arc<[u8]>, FileError> {
        if let Some(content) = self.files.get(&oid) {
            return Ok(Arc::clone(content));
        }
        self.check_size(oid, ObjectType::Blob, path)?;
        let content: Arc<[u8]> = {
            let blob = self
                .repository
                .find_blob(oid)
                .map_err(|error| self.unreadable(path, &error))?;
            blob.content().into()
        };
        if self.kept + content.len() > MAX_KEPT {
            self.files.clear();
            self.kept = 0;
        }
        self.kept += content.len();
        self.files.insert(oid, Arc::clone(&content));
        Ok(content)
    }
}

/// The size and kind of an object, before it is loaded. git2 panics where a damaged pack names a kind that there is not.
fn header(repository: &Repository, oid: Oid) -> Result<(usize, ObjectType), git2::Error> {
    let odb = repository.odb()?;
    std::panic::catch_unwind(AssertUnwindSafe(|| odb.read_header(oid)))
        .unwrap_or_else(|_| Err(git2::Error::from_str("an object of no kind")))
}
