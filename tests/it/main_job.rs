//! The main job on the real node: from a commit to a healthy, drift-free cluster.
//!
//! `figures` measures what is promised with a number. Its short form is one of the cluster tests; `make test-main` runs
//! the long form (`DRIFTLESS_LONG=1`) and prints the table. `promises` shows one promise of the line per test.

pub mod cluster;
mod figures;
mod http;
pub mod manifests;
mod promises;
pub mod sight;
pub mod stage;
