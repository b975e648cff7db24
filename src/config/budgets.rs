//! How much one build may ask for, by flag and by environment variable: of the agent and of every command that renders.

use anyhow::{Result, ensure};
use clap::Args;

use super::Bytes;
use crate::kustomize::Limits;

/// What was typed.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Budgets of one build")]
pub struct Budgets {
    /// Files that are read, each reading counted [default: 100000; in the agent, 20000 different ones]
    #[arg(long, value_name = "N", env = "DRIFTLESS_MAX_FILES")]
    pub max_files: Option<usize>,
    /// Bytes that are read, and of text made of them [default: 256MiB; in the agent 64MiB]
    #[arg(long, value_name = "SIZE", env = "DRIFTLESS_MAX_BYTES")]
    pub max_bytes: Option<Bytes>,
    /// Nodes of YAML that are made, copies included; one takes some 100 bytes [default: 10000000; in the agent 2000000]
    #[arg(long, value_name = "N", env = "DRIFTLESS_MAX_NODES")]
    pub max_nodes: Option<usize>,
    /// Levels of nesting in one document [default: 100]
    #[arg(long, value_name = "N", env = "DRIFTLESS_MAX_DEPTH")]
    pub max_depth: Option<usize>,
    /// Kustomizations, or directories, on the way from the top to one of them [default: 250]
    #[arg(long, value_name = "N", env = "DRIFTLESS_MAX_LAYERS")]
    pub max_layers: Option<usize>,
}

/// Deeper than this, the stack of a thread would not hold what walks through a document.
const DEPTH: usize = 250;
const LAYERS: usize = 500;

impl Budgets {
    /// The limits of a build: what was typed, else `default`.
    pub fn limits(&self, default: &Limits) -> Result<Limits> {
        let Self {
            max_files,
            max_bytes,
            max_nodes,
            max_depth,
            max_layers,
        } = self;
        let bytes = max_bytes.map(|Bytes(bytes)| usize::try_from(bytes).unwrap_or(usize::MAX));
        let limits = Limits {
            files: max_files.unwrap_or(default.files),
            bytes: bytes.unwrap_or(default.bytes),
            nodes: max_nodes.unwrap_or(default.nodes),
            depth: max_depth.unwrap_or(default.depth),
            layers: max_layers.unwrap_or(default.layers),
        };
        for (flag, number, most) in [
            ("--max-files", limits.files, usize::MAX),
            ("--max-bytes", limits.bytes, usize::MAX),
            ("--max-nodes", limits.nodes, u32::MAX as usize),
            ("--max-depth", limits.depth, DEPTH),
            ("--max-layers", limits.layers, LAYERS),
        ] {
            ensure!(number > 0, "{flag}: must be at least 1");
            ensure!(number <= most, "{flag}: must be at most {most}");
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_wins() {
        let typed = Budgets {
            max_nodes: Some(7),
            max_bytes: Some(Bytes(8)),
            ..Budgets::default()
        };
        let limits = typed.limits(&Limits::default()).expect("they can be meant");
        assert_eq!((limits.nodes, limits.bytes), (7, 8));
        assert_eq!(limits.files, Limits::default().files);
        for wrong in [
            Budgets {
                max_depth: Some(0),
                ..Budgets::default()
            },
            Budgets {
                max_depth: Some(100_000),
                ..Budgets::default()
            },
        ] {
            assert!(wrong.limits(&Limits::default()).is_err());
        }
    }
}
