//! One local checkout as the files of a commit: paths are relative to its root, and nothing outside can be read, as it could
//! not in the repository. Must not write.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::checkout::Checkout;
use crate::tree::{Entry, EntryKind, FileError, Files, join};

/// A folder with everything below it.
pub struct Folder {
    root: PathBuf,
    /// The same without the slash in front.
    prefix: String,
}

impl Folder {
    pub fn new(folder: &Path) -> Result<Self> {
        let root = fs::canonicalize(folder)
            .with_context(|| format!("cannot read the folder {}", folder.display()))?;
        anyhow::ensure!(root.is_dir(), "{} is not a folder", folder.display());
        let text = root
            .to_str()
            .with_context(|| format!("the name of {} is not UTF-8", root.display()))?;
        let prefix = join("", text).unwrap_or_default();
        Ok(Self { root, prefix })
    }

    /// The path for [`Checkout`]; an error if a link leads out of the folder.
    fn inside(&self, path: &str) -> Result<String, FileError> {
        let full = join(&self.prefix, path).unwrap_or_default();
        if let Ok(real) = fs::canonicalize(self.root.join(path))
            && !real.starts_with(&self.root)
        {
            return Err(FileError::LinkLeavesTree {
                path: path.to_owned(),
                target: real.display().to_string(),
            });
        }
        Ok(full)
    }
}

impl Files for Folder {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        Checkout.kind(&self.inside(path)?)
    }

    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError> {
        Checkout.read(&self.inside(path)?)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError> {
        let entries = Checkout.list(&self.inside(path)?)?;
        // What Git keeps for itself is in no commit.
        Ok(entries.map(|entries| {
            entries
                .into_iter()
                .filter(|entry| entry.name != ".git")
                .collect()
        }))
    }

    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError> {
        Checkout.fingerprint(&self.inside(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_can_be_read() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("checkout");
        fs::create_dir(&root).unwrap();
        fs::write(outer.path().join("secret"), "s").unwrap();
        fs::write(root.join("a.yaml"), "a").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("a.yaml", root.join("in")).unwrap();
        let folder = Folder::new(&root).unwrap();
        assert_eq!(
            folder.read("a.yaml").unwrap().as_deref(),
            Some(b"a".as_slice())
        );
        assert_eq!(folder.read("in").unwrap().as_deref(), Some(b"a".as_slice()));
        assert!(matches!(
            folder.read("out"),
            Err(FileError::LinkLeavesTree { .. })
        ));
        assert_eq!(folder.read("b.yaml"), Ok(None));
    }
}
