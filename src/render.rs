//! From a directory of a repository to objects: a kustomization where there is one, else plain manifests. Pure.

mod plain;

use crate::kustomize::{BuildError, BuildErrors, BuildOptions, FILE_NAMES, Resource, build};
use crate::tree::{EntryKind, FileError, Files};

/// What a directory says.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    pub resources: Vec<Resource>,
    pub warnings: Vec<String>,
}

/// Renders a directory. A path that is not there, or is no directory, is an error and never "nothing".
pub fn render(
    files: &dyn Files,
    path: &str,
    options: &BuildOptions,
) -> Result<Rendered, BuildErrors> {
    let failed = |error: FileError| one(BuildError::new(error.to_string()));
    match files.kind(path).map_err(failed)? {
        Some(EntryKind::Directory) => {}
        Some(EntryKind::File) => {
            return Err(one(
                BuildError::new("is a file; a directory is wanted").in_file(path)
            ));
        }
        None => {
            return Err(one(BuildError::new(
                "there is no such directory in this commit",
            )
            .in_file(place(path))));
        }
    }
    if is_kustomization(files, path).map_err(failed)? {
        let built = build(files, path, options)?;
        return Ok(Rendered {
            resources: built.resources,
            warnings: built.warnings,
        });
    }
    plain::render(files, path, options)
}

/// Whether a directory has a kustomization file.
pub fn is_kustomization(files: &dyn Files, path: &str) -> Result<bool, FileError> {
    for name in FILE_NAMES {
        let file = if path.is_empty() {
            (*name).to_owned()
        } else {
            format!("{path}/{name}")
        };
        if files.kind(&file)? == Some(EntryKind::File) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn one(error: BuildError) -> BuildErrors {
    BuildErrors(vec![error])
}

/// How people call a path: the root has a name too.
fn place(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
