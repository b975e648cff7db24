//! Which files and directories a kustomization may refer to.

use std::sync::Arc;

use super::LoadRestrictor;
use super::context::Context;
use super::error::{BuildError, Result, fail};
use super::parsed::Documents;
use crate::tree::{EntryKind, FileError, Files, join};
use crate::yaml::exceeded;

/// The names of a kustomization file, one of which a directory has.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A directory with a kustomization, and the directories that led to it.
#[derive(Clone, Debug)]
pub struct Loader {
    root: String,
    visited: Vec<String>,
}

/// Whether `directory` is `parent` or lies below it.
fn is_within(directory: &str, parent: &str) -> bool {
    parent.is_empty()
        || directory == parent
        || directory
            .strip_prefix(parent)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// How a directory is called in messages.
pub fn display(directory: &str) -> &str {
    if directory.is_empty() { "." } else { directory }
}

/// Whether a path names something on the network.
pub fn is_remote(path: &str) -> bool {
    let lower = path.to_lowercase();
    ["http://", "https://", "ssh://", "git::", "git@", "file://"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
        || ["github.com/", "gitlab.com/", "bitbucket.org/"]
            .iter()
            .any(|host| lower.starts_with(host))
        || lower.contains(".git?")
        || lower.contains("?ref=")
        || lower.strip_suffix(".git").is_some()
}

const REMOTE_HINT: &str =
    "nothing is read from the network; copy it into this repository and refer to the copy";

impl Loader {
    pub fn new(context: &Context<'_>, directory: &str) -> Result<Self> {
        let loader = Self {
            root: directory.to_owned(),
            visited: vec![directory.to_owned()],
        };
        match context.files.kind(directory)? {
            Some(EntryKind::Directory) => Ok(loader),
            Some(EntryKind::File) => fail(format!(
                "`{}` is a file, not a directory",
                display(directory)
            )),
            None => fail(format!(
                "the directory `{}` does not exist",
                display(directory)
            )),
        }
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    /// The path in the tree that a path in this directory means.
    pub fn path(&self, path: &str) -> Result<String> {
        match join(&self.root, path) {
            Some(path) => Ok(path),
            None => fail(format!("`{path}` leaves the repository")),
        }
    }

    /// What a path in this directory leads to.
    pub fn kind(&self, context: &Context<'_>, path: &str) -> Result<Option<EntryKind>> {
        if is_remote(path) && !path.contains('\n') {
            let local = join(&self.root, path)
                .map(|path| context.files.kind(&path))
                .transpose()?
                .flatten();
            if local.is_none() {
                return fail(format!("`{path}` is a remote address: {REMOTE_HINT}"));
            }
        }
        Ok(context.files.kind(&self.path(path)?)?)
    }

    /// The content of a file in or below this directory (or anywhere, if the options say so), and its path.
    pub fn load(&self, context: &mut Context<'_>, path: &str) -> Result<(String, Arc<[u8]>)> {
        let full = self.find(context, path)?;
        match context.read(&full)? {
            Some(bytes) => Ok((full, bytes)),
            None => fail(format!("the file `{path}` does not exist")),
        }
    }

    /// Like [`Self::load`], but parsed.
    pub fn load_documents(
        &self,
        context: &mut Context<'_>,
        path: &str,
    ) -> Result<(String, Arc<Documents>)> {
        let full = self.find(context, path)?;
        match context.documents(&full)? {
            Some(documents) => Ok((full, documents)),
            None => fail(format!("the file `{path}` does not exist")),
        }
    }

    /// The path of a file that may be loaded.
    fn find(&self, context: &Context<'_>, path: &str) -> Result<String> {
        if path.is_empty() {
            return fail("an empty path");
        }
        match self.kind(context, path)? {
            Some(EntryKind::File) => {}
            Some(EntryKind::Directory) => {
                return fail(format!("`{path}` is a directory; a file is expected"));
            }
            None => return fail(format!("the file `{path}` does not exist")),
        }
        let full = self.path(path)?;
        let directory = full.rsplit_once('/').map_or("", |(directory, _)| directory);
        if context.options.load_restrictor == LoadRestrictor::RootOnly
            && (!is_within(directory, &self.root) || context.files.leaves(&self.root, &full)?)
        {
            return Err(BuildError::new(format!(
                "security; file `{full}` is not in or below `{}`; move it, or build with --load-restrictor=LoadRestrictionsNone",
                display(&self.root)
            ))
            .into());
        }
        Ok(full)
    }

    /// The content of a file as text.
    pub fn load_text(&self, context: &mut Context<'_>, path: &str) -> Result<(String, String)> {
        let (full, bytes) = self.load(context, path)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
                Ok((full, text))
            }
            Err(_) => Err(BuildError::new("the file is not UTF-8")
                .in_file(&full)
                .into()),
        }
    }

    /// The loader of another directory, which must not lead back here.
    pub fn enter(&self, context: &Context<'_>, path: &str) -> Result<Self> {
        if path.is_empty() {
            return fail("an empty path");
        }
        match self.kind(context, path)? {
            Some(EntryKind::Directory) => {}
            Some(EntryKind::File) => {
                return fail(format!("`{path}` is a file; a directory is expected"));
            }
            None => return fail(format!("`{path}` does not exist")),
        }
        if path.starts_with('/') {
            return fail(format!("`{path}`: a base cannot be an absolute path"));
        }
        if path
            .split('/')
            .any(|part| part != ".." && part.contains(".."))
        {
            return fail(format!(
                "the path `{path}` is ambiguous; check the indentation of the list in the kustomization"
            ));
        }
        let root = self.path(path)?;
        if let Some(visited) = self
            .visited
            .iter()
            .find(|visited| is_within(visited, &root))
        {
            return fail(format!(
                "cycle detected: `{}` contains `{}`, which led here",
                display(&root),
                display(visited)
            ));
        }
        if self.visited.len() >= context.options.limits.layers {
            let layers = context.options.limits.layers;
            return fail(exceeded(
                &format!("more than {layers} layers of kustomizations"),
                "--max-layers",
            ));
        }
        let mut visited = self.visited.clone();
        visited.push(root.clone());
        Ok(Self { root, visited })
    }
}

/// The kustomization files in a directory.
pub fn kustomization_files(
    files: &dyn Files,
    directory: &str,
) -> std::result::Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    for name in FILE_NAMES {
        if let Some(path) = join(directory, name)
            && files.kind(&path)? == Some(EntryKind::File)
        {
            found.push(path);
        }
    }
    Ok(found)
}
