//! The engine's pure modules, compiled by path: so a fuzz target needs neither a Kubernetes client nor a C library, and
//! what is instrumented is what is fuzzed.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the program uses the rest")]

#[path = "../../src"]
mod engine {
    pub mod kustomize;
    pub mod object;
    pub mod render;
    pub mod tree;
    pub mod yaml;
}

pub mod laws;

pub use engine::{kustomize, object, render, tree, yaml};
