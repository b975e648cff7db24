//! Files that live in memory: what tests, and renders of generated trees, read. Must not touch a real file system.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Entry, EntryKind, FileError, Files, join};

/// A tree made of (path, content) pairs; directories exist where files are below them.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Arc<[u8]>>,
    directories: BTreeSet<String>,
}

impl MemoryFiles {
    /// Paths are normalised as [`join`] does; a path that leaves the root is left out.
    pub fn new<P: AsRef<str>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, C)>) -> Self {
        let mut tree = Self::default();
        for (path, content) in files {
            tree.insert(path.as_ref(), content.as_ref());
        }
        tree
    }

    /// Adds a file, or replaces the one at `path`.
    pub fn insert(&mut self, path: &str, content: &[u8]) {
        let Some(path) = join("", path) else { return };
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            self.directories.insert(above.to_owned());
            parent = above;
        }
        self.files.insert(path, content.into());
    }

    /// Takes the file at `path` away; its directory stays.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }
}

impl Files for MemoryFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        Ok(if self.files.contains_key(path) {
            Some(EntryKind::File)
        } else if path.is_empty() || self.directories.contains(path) {
            Some(EntryKind::Directory)
        } else {
            None
        })
    }

    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError> {
        Ok(self.files.get(path).cloned())
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError> {
        if self.kind(path)? != Some(EntryKind::Directory) {
            return Ok(None);
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let below = |name: &str| {
            name.strip_prefix(&prefix)
                .filter(|rest| !rest.is_empty() && !rest.contains('/'))
                .map(str::to_owned)
        };
        let mut entries: Vec<Entry> = self
            .files
            .keys()
            .filter_map(|name| below(name))
            .map(|name| Entry {
                name,
                kind: EntryKind::File,
            })
            .collect();
        entries.extend(
            self.directories
                .iter()
                .filter_map(|name| below(name))
                .map(|name| Entry {
                    name,
                    kind: EntryKind::Directory,
                }),
        );
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError> {
        let mut hasher = DefaultHasher::new();
        Ok(match self.kind(path)? {
            None => None,
            Some(EntryKind::File) => {
                self.files.get(path).hash(&mut hasher);
                Some(format!("file {:016x}", hasher.finish()))
            }
            Some(EntryKind::Directory) => {
                for entry in self.list(path)?.unwrap_or_default() {
                    (entry.name, entry.kind).hash(&mut hasher);
                }
                Some(format!("directory {:016x}", hasher.finish()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_reads() {
        let files = MemoryFiles::new([("a/b.yaml", "x"), ("a/c/d.yaml", "y"), ("e", "z")]);
        let names = |path: &str| -> Vec<(String, EntryKind)> {
            let entries = files
                .list(path)
                .expect("memory reads")
                .expect("a directory");
            entries
                .into_iter()
                .map(|entry| (entry.name, entry.kind))
                .collect()
        };
        assert_eq!(
            names(""),
            [
                ("a".to_owned(), EntryKind::Directory),
                ("e".to_owned(), EntryKind::File)
            ]
        );
        assert_eq!(
            names("a"),
            [
                ("b.yaml".to_owned(), EntryKind::File),
                ("c".to_owned(), EntryKind::Directory)
            ]
        );
        assert_eq!(files.read("a/c/d.yaml"), Ok(Some(Arc::from(*b"y"))));
        assert_eq!(files.read("a/c"), Ok(None));
        assert_eq!(files.list("e"), Ok(None));
    }

    #[test]
    fn fingerprints_follow_contents() {
        let mut files = MemoryFiles::new([("a/b", "x")]);
        let (file, directory) = (files.fingerprint("a/b"), files.fingerprint("a"));
        files.insert("a/b", b"y");
        assert_ne!(files.fingerprint("a/b"), file);
        assert_eq!(files.fingerprint("a"), directory);
        files.insert("a/c", b"");
        assert_ne!(files.fingerprint("a"), directory);
        assert_eq!(files.fingerprint("nothing"), Ok(None));
    }
}
