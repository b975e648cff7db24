//! What all steps of one build share: the files, the nodes, the schemas, the warnings, the budget.

use std::sync::Arc;

use super::BuildOptions;
use super::error::{BuildError, Result, fail};
use super::parsed::{Documents, ParsedFiles};
use super::schema::Schemas;
use crate::tree::Files;
use crate::yaml::{Tree, exceeded, read};

pub struct Context<'f> {
    pub files: &'f dyn Files,
    pub options: &'f BuildOptions,
    pub tree: Tree,
    pub schemas: Schemas,
    pub warnings: Vec<String>,
    /// What other builds parsed, and others may use.
    parsed: Option<&'f ParsedFiles>,
    read_files: usize,
    read_bytes: usize,
}

impl<'f> Context<'f> {
    pub fn new(
        files: &'f dyn Files,
        options: &'f BuildOptions,
        parsed: Option<&'f ParsedFiles>,
    ) -> Self {
        Self {
            files,
            options,
            tree: Tree::new(),
            schemas: Schemas::default(),
            warnings: Vec::new(),
            parsed,
            read_files: 0,
            read_bytes: 0,
        }
    }

    pub fn yaml_limits(&self) -> crate::yaml::Limits {
        crate::yaml::Limits {
            bytes: self.options.limits.bytes,
            nodes: self.options.limits.nodes,
            spent: self.tree.size(),
            depth: self.options.limits.depth,
        }
    }

    /// The content of a file; `None` if there is none.
    pub fn read(&mut self, path: &str) -> Result<Option<Arc<[u8]>>> {
        let Some(content) = self.files.read(path)? else {
            return Ok(None);
        };
        self.count(path, content.len())?;
        Ok(Some(content))
    }

    /// The documents of a file of manifests; `None` if there is no file.
    pub fn documents(&mut self, path: &str) -> Result<Option<Arc<Documents>>> {
        let limits = self.yaml_limits();
        let shared = match self.parsed {
            Some(parsed) => {
                let fingerprint = self.files.fingerprint(path)?;
                fingerprint.map(|fingerprint| (parsed, fingerprint))
            }
            None => None,
        };
        if let Some((parsed, fingerprint)) = &shared
            && let Some(documents) = parsed.get(fingerprint, &limits)
        {
            self.count(path, documents.bytes)?;
            return Ok(Some(documents));
        }
        let Some(content) = self.read(path)? else {
            return Ok(None);
        };
        let documents = Arc::new(Documents::new(
            read(&content, path, &limits)?,
            content.len(),
        ));
        if let Some((parsed, fingerprint)) = shared {
            parsed.keep(fingerprint, &limits, &documents);
        }
        Ok(Some(documents))
    }

    /// Errors when more was read than may be.
    fn count(&mut self, path: &str, bytes: usize) -> Result<()> {
        let limits = self.options.limits;
        self.read_files += 1;
        self.read_bytes += bytes;
        let problem = if self.read_files > limits.files {
            exceeded(
                &format!("more than {} files are read", limits.files),
                "--max-files",
            )
        } else if self.read_bytes > limits.bytes {
            exceeded(
                &format!("more than {} bytes are read", limits.bytes),
                "--max-bytes",
            )
        } else {
            return Ok(());
        };
        Err(BuildError::new(problem).in_file(path).into())
    }

    /// What the nodes of this build may still become.
    pub fn budget(&self) -> Budget {
        let limits = self.options.limits;
        Budget {
            nodes: limits.nodes,
            bytes: limits.bytes,
            read: self.read_bytes,
        }
    }

    /// Whether a budget is used up, so that nothing more will come of this build.
    pub fn is_spent(&self) -> bool {
        self.read_files > self.options.limits.files || self.check_budget().is_err()
    }

    /// Errors when the build has made more than it may.
    pub fn check_budget(&self) -> Result<()> {
        self.budget().check(&self.tree)
    }
}

/// How many nodes, and how much text, the tree of a build may hold.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    nodes: usize,
    bytes: usize,
    /// Bytes that were read, which count like those that are made.
    read: usize,
}

impl Budget {
    pub fn check(self, tree: &Tree) -> Result<()> {
        if tree.size() > self.nodes {
            let words = format!("more than {} nodes of YAML are made", self.nodes);
            return fail(exceeded(&words, "--max-nodes"));
        }
        self.check_text(tree.text_size())
    }

    pub fn check_text(self, made: usize) -> Result<()> {
        if self.read + made > self.bytes {
            let words = format!("more than {} bytes are read and made", self.bytes);
            return fail(exceeded(&words, "--max-bytes"));
        }
        Ok(())
    }
}
