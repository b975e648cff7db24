//! The promises of the line, one per test.

mod adoption;
mod approvals;
mod deletion;
mod drift;
mod health;
mod jobs;
mod refusals;
mod replace;
mod replicas;
mod scaling;
mod waves;
