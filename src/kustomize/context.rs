//! What all steps of one build share: the files, the nodes, the schemas, the warnings, the budget.

use std::sync::Arc;

use super::BuildOptions;
use super::error::{BuildError, Result};
use super::schema::Schemas;
use crate::tree::Files;
use crate::yaml::Tree;

pub struct Context<'f> {
    pub files: &'f dyn Files,
    pub options: &'f BuildOptions,
    pub tree: Tree,
    pub schemas: Schemas,
    pub warnings: Vec<String>,
    read_files: usize,
    read_bytes: usize,
}

impl<'f> Context<'f> {
    pub fn new(files: &'f dyn Files, options: &'f BuildOptions) -> Self {
        Self {
            files,
            options,
            tree: Tree::new(),
            schemas: Schemas::default(),
            warnings: Vec::new(),
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
        let limits = self.options.limits;
        self.read_files += 1;
        self.read_bytes += content.len();
        let problem = if self.read_files > limits.files {
            format!("more than the limit of {} files were read", limits.files)
        } else if self.read_bytes > limits.bytes {
            format!("more than the limit of {} bytes were read", limits.bytes)
        } else {
            return Ok(Some(content));
        };
        Err(BuildError::new(problem).in_file(path).into())
    }

    /// Whether a budget is used up, so that nothing more will come of this build.
    pub fn is_spent(&self) -> bool {
        let limits = self.options.limits;
        self.read_files > limits.files
            || self.read_bytes > limits.bytes
            || self.tree.size() > limits.nodes
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
