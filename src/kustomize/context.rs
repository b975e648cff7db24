//! What all steps of one build share: the files, the nodes, the schemas, the warnings, the budget.

use std::sync::Arc;

use super::BuildOptions;
use super::error::{BuildError, Result};
use super::parsed::{Documents, ParsedFiles};
use super::schema::Schemas;
use crate::tree::Files;
use crate::yaml::{Tree, read};

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
            nodes: self.options.limits.nodes.saturating_sub(self.tree.size()),
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
            format!("more than the limit of {} files were read", limits.files)
        } else if self.read_bytes > limits.bytes {
            format!("more than the limit of {} bytes were read", limits.bytes)
        } else {
            return Ok(());
        };
        Err(BuildError::new(problem).in_file(path).into())
    }

    /// Errors when the build has made more nodes than it may.
    pub fn check_budget(&self) -> Result<()> {
        if self.tree.size() <= self.options.limits.nodes {
            return Ok(());
        }
        Err(BuildError::new(format!(
            "more than the limit of {} nodes of YAML were made",
            self.options.limits.nodes
        ))
        .into())
    }
}
