//! YAML as Kubernetes tools read and write it: go-yaml's rules for what a plain scalar means, every node with its
//! place, and the text that `kustomize` prints. Must not know what the documents are about.

mod block;
mod builder;
mod comments;
mod json;
mod mend;
mod number;
mod order;
mod reader;
mod resolve;
mod separators;
mod shape;
mod tree;
mod writer;

pub use block::to_block;
pub use json::{ValueError, check_value, scalar_value, to_inner_value, to_value};
pub use number::{float_text, json_float_text};
pub use order::merge_sort;
pub use reader::{
    Document, Limits, Problem, YamlErrors, exceeded, parse, parse_with_comments, read, read_patches,
};
pub use resolve::{Scalar, needs_quotes_in_1_1, resolve, resolve_1_1};
pub use tree::{Kind, Node, NodeId, Place, Style, Tag, Text, Tree};
pub use writer::{append_yaml, plain_or_quoted, to_yaml};

#[cfg(test)]
mod tests;
