//! Driftless: a pull-based GitOps agent for Kubernetes. The modules stand in the order of the line:
//! git → tree → render → desired → plan → apply → health → prune → status.

pub mod agent;
pub mod analysis;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod desired;
#[cfg(test)]
mod docs;
pub mod drift;
pub mod fields;
pub mod git;
pub mod health;
pub mod images;
pub mod inventory;
pub mod kustomize;
pub mod metrics;
pub mod object;
pub mod pass;
pub mod plan;
pub mod prune;
pub mod render;
pub mod rollout;
pub mod server;
pub mod sources;
pub mod status;
pub mod telemetry;
pub mod tree;
pub mod yaml;
