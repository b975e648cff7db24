//! A read-only view of the files of one commit (or of a local checkout), and the record of what was read of them.
//! Must not know where the files come from: `git` and `cli` bring implementations of [`Files`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

pub mod memory;

pub use memory::MemoryFiles;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    File,
    Directory,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
}

/// Why a path could not be read. Absence is not an error: it is `Ok(None)`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    #[error("{path}: the symbolic link points to {target}, outside the repository")]
    LinkLeavesTree { path: String, target: String },
    #[error("{path}: too many symbolic links")]
    LinkLoop { path: String },
    #[error(
        "{path}: is a submodule; submodules are not supported, put the files into this repository"
    )]
    Submodule { path: String },
    #[error("{path}: is a Git LFS pointer, not the file itself; commit the file without LFS")]
    LfsPointer { path: String },
    #[error("{path}: the name is not UTF-8")]
    NotUtf8 { path: String },
    #[error("{path}: {size} bytes, more than the limit of {limit} bytes")]
    TooLarge { path: String, size: u64, limit: u64 },
    #[error("{path}: more than {limit} files were read for one environment")]
    TooManyFiles { path: String, limit: usize },
    #[error("{path}: cannot be read: {message}")]
    Unreadable { path: String, message: String },
}

/// The files of one commit or checkout. Paths are relative to its root, `/`-separated, normalised (no `.`, `..`, empty
/// component, leading or trailing slash); the root itself is the empty string. Links inside the tree are followed.
pub trait Files {
    /// The kind of what stands at `path`; `None` if nothing does.
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError>;
    /// The content of a file; `None` if there is no file at `path`.
    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError>;
    /// The names in a directory, sorted by bytes; `None` if there is no directory at `path`.
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError>;
    /// A fingerprint of what stands at `path` (of a file its content, of a directory its names and kinds, not the
    /// contents below): equal fingerprints read the same. `None` if nothing stands there.
    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError>;
    /// Whether a link on the way from `directory` to `path`, which is below it, leads out of the directory. Where nothing
    /// outside can be read, nobody asks.
    fn leaves(&self, _directory: &str, _path: &str) -> Result<bool, FileError> {
        Ok(false)
    }
}

/// Everything that a render looked at, as it was then: the render of another commit where all of it is the same is the
/// same render.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(BTreeMap<String, Looked>);

/// What was looked at of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Looked {
    /// Only what stands there. The names in a directory that nobody listed do not matter.
    Kind(Option<EntryKind>),
    /// Its fingerprint.
    Content(Option<String>),
}

impl Reads {
    /// Whether everything that was looked at is as it was.
    pub fn unchanged_in(&self, files: &dyn Files) -> Result<bool, FileError> {
        for (path, looked) in &self.0 {
            let same = match looked {
                Looked::Kind(kind) => files.kind(path)? == *kind,
                Looked::Content(fingerprint) => files.fingerprint(path)? == *fingerprint,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The paths that were looked at, absent ones included.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Records what is read of `files`.
pub struct Recorded<'a> {
    files: &'a dyn Files,
    reads: RefCell<Reads>,
    limit: usize,
}

impl<'a> Recorded<'a> {
    /// At most `limit` different paths may be looked at.
    pub fn new(files: &'a dyn Files, limit: usize) -> Self {
        Self {
            files,
            reads: RefCell::default(),
            limit,
        }
    }

    pub fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }

    fn record(&self, path: &str, looked: Looked) -> Result<(), FileError> {
        let mut reads = self.reads.borrow_mut();
        match reads.0.get(path) {
            Some(Looked::Content(_)) => return Ok(()),
            Some(Looked::Kind(_)) => {}
            None if reads.0.len() >= self.limit => {
                return Err(FileError::TooManyFiles {
                    path: path.to_owned(),
                    limit: self.limit,
                });
            }
            None => {}
        }
        reads.0.insert(path.to_owned(), looked);
        Ok(())
    }

    fn record_kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        let kind = self.files.kind(path)?;
        self.record(path, Looked::Kind(kind))?;
        Ok(kind)
    }

    fn record_content(&self, path: &str) -> Result<Option<String>, FileError> {
        let fingerprint = self.files.fingerprint(path)?;
        self.record(path, Looked::Content(fingerprint.clone()))?;
        Ok(fingerprint)
    }
}

impl Files for Recorded<'_> {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        self.record_kind(path)
    }

    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError> {
        // Where there is no file, that is all that was learned.
        if self.record_kind(path)? == Some(EntryKind::File) {
            self.record_content(path)?;
        }
        self.files.read(path)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError> {
        if self.record_kind(path)? == Some(EntryKind::Directory) {
            self.record_content(path)?;
        }
        self.files.list(path)
    }

    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError> {
        self.record_content(path)
    }

    fn leaves(&self, directory: &str, path: &str) -> Result<bool, FileError> {
        self.files.leaves(directory, path)
    }
}

/// `base` joined with `relative`, normalised; `None` if `..` leaves the root. An absolute `relative` starts at the root.
pub fn join(base: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = if relative.starts_with('/') {
        Vec::new()
    } else {
        base.split('/').filter(|part| !part.is_empty()).collect()
    };
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_looked_at_counts() {
        let first = MemoryFiles::new([
            ("app/kustomization.yaml", "a"),
            ("base/map.yaml", "b"),
            ("list/one", "c"),
        ]);
        let recorded = Recorded::new(&first, 100);
        assert_eq!(recorded.kind("app").unwrap(), Some(EntryKind::Directory));
        assert!(recorded.read("app/kustomization.yaml").unwrap().is_some());
        assert_eq!(recorded.read("base").unwrap(), None);
        assert_eq!(recorded.read("app/kustomization.yml").unwrap(), None);
        assert_eq!(recorded.list("list").unwrap().unwrap().len(), 1);
        let reads = recorded.into_reads();

        let unread = [
            ("app/kustomization.yaml", "a"),
            ("app/notes", "n"),
            ("base/map.yaml", "2"),
            ("base/new", "n"),
            ("list/one", "2"),
        ];
        assert_eq!(reads.unchanged_in(&MemoryFiles::new(unread)), Ok(true));
        for changed in [
            [
                ("app/kustomization.yaml", "2"),
                ("base/map.yaml", "b"),
                ("list/one", "c"),
                ("x", ""),
            ],
            [
                ("app/kustomization.yaml", "a"),
                ("base", "a file"),
                ("list/one", "c"),
                ("x", ""),
            ],
            [
                ("app/kustomization.yaml", "a"),
                ("base/map.yaml", "b"),
                ("list/two", "c"),
                ("x", ""),
            ],
            [
                ("app/kustomization.yaml", "a"),
                ("base/map.yaml", "b"),
                ("list/one", "c"),
                ("app/kustomization.yml", ""),
            ],
        ] {
            assert_eq!(
                reads.unchanged_in(&MemoryFiles::new(changed)),
                Ok(false),
                "{changed:?}"
            );
        }
    }
}
