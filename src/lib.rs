//! Driftless: a pull-based GitOps agent for Kubernetes. The modules stand in the order of the line:
//! git → tree → render → desired → plan → apply → health → prune → status.

pub mod kustomize;
pub mod object;
pub mod render;
pub mod tree;
pub mod yaml;
