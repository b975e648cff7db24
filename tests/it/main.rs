//! The only integration binary.
//!
//! Tests that need the cluster begin with `let Some(node) = need_node!() else { return };`. `make test` gives them a node;
//! without one they are reported as skipped, by name, or fail where `DEMAND_NODE=1` says that there must be one.

mod architecture;
mod bad_input;
mod command_line;
mod example;
mod fleet;
mod git;
mod harness;
mod image;
mod installation;
mod kustomize;
mod main_job;
mod rollouts;
mod support;
