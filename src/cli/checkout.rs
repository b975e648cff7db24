//! The files of a local checkout, as the file system gives them. Must not write.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::tree::{Entry, EntryKind, FileError, Files};

/// The whole file system: paths are absolute, without the slash in front.
pub struct Checkout;

fn real(path: &str) -> PathBuf {
    PathBuf::from(format!("/{path}"))
}

fn unreadable(path: &str, error: &io::Error) -> FileError {
    FileError::Unreadable {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// `None` for what is not there.
fn present<T>(path: &str, result: io::Result<T>) -> Result<Option<T>, FileError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidFilename
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

impl Files for Checkout {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FileError> {
        if path.contains('\0') {
            return Ok(None);
        }
        let metadata = present(path, fs::metadata(real(path)))?;
        Ok(metadata.map(|metadata| {
            if metadata.is_dir() {
                EntryKind::Directory
            } else {
                EntryKind::File
            }
        }))
    }

    fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileError> {
        if self.kind(path)? != Some(EntryKind::File) {
            return Ok(None);
        }
        Ok(present(path, fs::read(real(path)))?.map(Arc::from))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FileError> {
        if self.kind(path)? != Some(EntryKind::Directory) {
            return Ok(None);
        }
        let Some(entries) = present(path, fs::read_dir(real(path)))? else {
            return Ok(None);
        };
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(path, &error))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(FileError::NotUtf8 {
                    path: entry.path().display().to_string(),
                });
            };
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            if let Some(kind) = self.kind(&below)? {
                list.push(Entry { name, kind });
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(list))
    }

    fn fingerprint(&self, path: &str) -> Result<Option<String>, FileError> {
        let mut hasher = DefaultHasher::new();
        match self.kind(path)? {
            None => return Ok(None),
            Some(EntryKind::File) => self.read(path)?.hash(&mut hasher),
            Some(EntryKind::Directory) => {
                for entry in self.list(path)?.unwrap_or_default() {
                    (entry.name, entry.kind).hash(&mut hasher);
                }
            }
        }
        Ok(Some(format!("{:016x}", hasher.finish())))
    }

    fn leaves(&self, directory: &str, path: &str) -> Result<bool, FileError> {
        let (top, end) = (real(directory), real(path));
        let links = end.ancestors().take_while(|part| *part != top);
        if !links.into_iter().any(std::path::Path::is_symlink) {
            return Ok(false);
        }
        let real = |path: &std::path::Path| {
            fs::canonicalize(path).map_err(|error| unreadable(&path.display().to_string(), &error))
        };
        Ok(!real(&end)?.starts_with(real(&top)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kustomize::{BuildOptions, LoadRestrictor, build};
    use std::os::unix::fs::symlink;

    /// A kustomization whose file is a link: to a file beside it, or out of its directory.
    fn linked(target: &str, load_restrictor: LoadRestrictor) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir_all(top.join("below")).unwrap();
        let object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n";
        for path in ["outside.yaml", "top/inside.yaml"] {
            fs::write(folder.path().join(path), object).unwrap();
        }
        fs::write(
            top.join("kustomization.yaml"),
            "resources: [below/c.yaml]\n",
        )
        .unwrap();
        symlink(target, top.join("below/c.yaml")).unwrap();
        let options = BuildOptions {
            load_restrictor,
            ..BuildOptions::default()
        };
        let directory = top.display().to_string();
        build(&Checkout, directory.trim_start_matches('/'), &options).is_ok()
    }

    #[test]
    fn a_link_leads_out_only_where_everything_may_be_loaded() {
        assert!(linked("../inside.yaml", LoadRestrictor::RootOnly));
        assert!(!linked("../../outside.yaml", LoadRestrictor::RootOnly));
        assert!(linked("../../outside.yaml", LoadRestrictor::None));
    }
}
