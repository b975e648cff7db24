//! From the object that configures a builtin plugin to the plugin.

mod generator;
mod transformer;

use crate::kustomize::context::Context;
use crate::kustomize::decode::{Decoder, Fields, Mode};
use crate::kustomize::error::{Result, fail};
use crate::kustomize::json::from_json;
use crate::kustomize::node;
use crate::kustomize::resource::Resource;
use crate::yaml::{Tree, to_value};

pub use generator::generator_of;
pub use transformer::{json_patch, transformer_of};

/// Whether an object configures a builtin plugin.
fn demand_builtin(context: &Context<'_>, config: &Resource) -> Result<String> {
    let tree = &context.tree;
    let kind = node::kind(tree, config.root).to_owned();
    if node::api_version(tree, config.root) == "builtin" {
        return Ok(kind);
    }
    let function = ["config.kubernetes.io/function", "config.k8s.io/function"];
    let what = if function
        .iter()
        .any(|name| node::annotation(tree, config.root, name).is_some())
    {
        "a function that runs a container or a program"
    } else {
        "an external plugin"
    };
    fail(format!(
        "`{kind}` is {what}; nothing is executed here: run it before you commit, or use a builtin (apiVersion: builtin)"
    ))
}

const TRANSFORMERS: &[&str] = &[
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "SuffixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "ValueAddTransformer",
];
const GENERATORS: &[&str] = &[
    "ConfigMapGenerator",
    "IAMPolicyGenerator",
    "SecretGenerator",
];

/// Decodes the configuration of a plugin, as it reads once it was written out.
fn with_fields<T: Default>(
    context: &Context<'_>,
    config: &Resource,
    known: &[&'static str],
    read: impl for<'t> FnOnce(&mut Decoder<'t>, &Fields<'t>) -> T,
) -> Result<T> {
    let value = to_value(&context.tree, config.root)?;
    let mut tree = Tree::new();
    let root = from_json(&mut tree, &value);
    let mut decoder = Decoder::new(&tree, Mode::Lenient);
    let value = match decoder.fields(root, "", known) {
        Some(fields) => read(&mut decoder, &fields),
        None => T::default(),
    };
    decoder.finish(value)
}
