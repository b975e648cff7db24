//! Which fields and builtins occur in how many trees. The list of those that have to is held here.

use std::collections::{BTreeMap, BTreeSet};

use super::generate::Tree;
use super::node::{Content, Node, Value};

/// Fields of a kustomization (those of lists without their positions), and `builtin KIND` with its fields.
pub const DEMANDED: &[&str] = &[
    "Kustomization",
    "Component",
    "file Kustomization",
    "file kustomization.yml",
    "file kustomization.yaml",
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.labels",
    "metadata.annotations",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "commonAnnotations",
    "labels",
    "labels.pairs",
    "labels.includeSelectors",
    "labels.includeTemplates",
    "labels.includeVolumeClaimTemplates",
    "labels.fields",
    "labels.fields.path",
    "labels.fields.create",
    "labels.fields.kind",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patchesJson6902.target",
    "patchesJson6902.path",
    "patchesJson6902.patch",
    "patches",
    "patches.path",
    "patches.patch",
    "patches.target",
    "patches.target.kind",
    "patches.target.name",
    "patches.target.group",
    "patches.target.version",
    "patches.target.namespace",
    "patches.target.labelSelector",
    "patches.target.annotationSelector",
    "patches.options",
    "patches.options.allowNameChange",
    "patches.options.allowKindChange",
    "images",
    "images.name",
    "images.newName",
    "images.newTag",
    "images.digest",
    "images.tagSuffix",
    "imageTags",
    "replacements",
    "replacements.path",
    "replacements.source",
    "replacements.source.kind",
    "replacements.source.name",
    "replacements.source.group",
    "replacements.source.version",
    "replacements.source.namespace",
    "replacements.source.fieldPath",
    "replacements.source.options",
    "replacements.source.options.delimiter",
    "replacements.source.options.index",
    "replacements.sourceValue",
    "replacements.targets",
    "replacements.targets.select",
    "replacements.targets.reject",
    "replacements.targets.fieldPaths",
    "replacements.targets.options",
    "replacements.targets.options.delimiter",
    "replacements.targets.options.index",
    "replacements.targets.options.create",
    "replacements.targets.select.labelSelector",
    "replacements.targets.select.annotationSelector",
    "replicas",
    "replicas.name",
    "replicas.count",
    "vars",
    "vars.name",
    "vars.objref",
    "vars.fieldref",
    "sortOptions",
    "sortOptions.order",
    "sortOptions.legacySortOptions",
    "sortOptions.legacySortOptions.orderFirst",
    "sortOptions.legacySortOptions.orderLast",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "configMapGenerator.name",
    "configMapGenerator.namespace",
    "configMapGenerator.behavior",
    "configMapGenerator.literals",
    "configMapGenerator.files",
    "configMapGenerator.envs",
    "configMapGenerator.env",
    "configMapGenerator.options",
    "configMapGenerator.options.labels",
    "configMapGenerator.options.annotations",
    "configMapGenerator.options.disableNameSuffixHash",
    "configMapGenerator.options.immutable",
    "secretGenerator",
    "secretGenerator.type",
    "secretGenerator.literals",
    "secretGenerator.files",
    "secretGenerator.envs",
    "generatorOptions",
    "generatorOptions.labels",
    "generatorOptions.annotations",
    "generatorOptions.disableNameSuffixHash",
    "generatorOptions.immutable",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
    "builtin AnnotationsTransformer",
    "builtin ConfigMapGenerator",
    "builtin HashTransformer",
    "builtin IAMPolicyGenerator",
    "builtin ImageTagTransformer",
    "builtin LabelTransformer",
    "builtin NamespaceTransformer",
    "builtin PatchJson6902Transformer",
    "builtin PatchStrategicMergeTransformer",
    "builtin PatchTransformer",
    "builtin PrefixSuffixTransformer",
    "builtin PrefixTransformer",
    "builtin SuffixTransformer",
    "builtin ReplacementTransformer",
    "builtin ReplicaCountTransformer",
    "builtin SecretGenerator",
    "builtin ValueAddTransformer",
];

/// Fields that both must refuse.
pub const REFUSED: &[&str] = &["helmCharts", "helmGlobals", "helmChartInflationGenerator"];

/// In how many trees something occurs, and in how many of those that were built.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<String, (usize, usize)>,
}

impl Coverage {
    pub fn add(&mut self, tree: &Tree, built: bool) {
        for name in seen(tree) {
            let count = self.counts.entry(name).or_default();
            count.0 += 1;
            count.1 += usize::from(built);
        }
    }

    pub fn merge(&mut self, other: Self) {
        for (name, (trees, built)) in other.counts {
            let count = self.counts.entry(name).or_default();
            count.0 += trees;
            count.1 += built;
        }
    }

    /// Each demanded name with its trees and those of them that both built; the rarest first.
    pub fn table(&self) -> Vec<(&'static str, usize, usize)> {
        let mut table: Vec<_> = DEMANDED
            .iter()
            .chain(REFUSED)
            .map(|name| {
                let (trees, built) = self.counts.get(*name).copied().unwrap_or_default();
                (*name, trees, built)
            })
            .collect();
        table.sort_by_key(|(_, trees, _)| *trees);
        table
    }
}

fn seen(tree: &Tree) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for file in &tree.files {
        let Content::Yaml(documents, _) = &file.content else {
            continue;
        };
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name) {
            out.insert(format!("file {name}"));
            for document in documents {
                let kind = document.get("kind").and_then(Node::scalar);
                out.insert(kind.unwrap_or("Kustomization").to_owned());
                fields("", document, &mut out);
            }
        }
        for document in documents {
            builtins(document, &mut out);
        }
    }
    out
}

fn fields(path: &str, node: &Node, out: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                fields(&path, node, out);
                out.insert(path);
            }
        }
        Value::List(items) => items.iter().for_each(|item| fields(path, item, out)),
        Value::Raw(_) | Value::Text(_) | Value::Inline(_) => {}
    }
}

fn builtins(node: &Node, out: &mut BTreeSet<String>) {
    if node.get("apiVersion").and_then(Node::scalar) == Some("builtin")
        && let Some(kind) = node.get("kind").and_then(Node::scalar)
    {
        out.insert(format!("builtin {kind}"));
    }
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|(_, node)| builtins(node, out)),
        Value::List(items) | Value::Inline(items) => {
            for item in items {
                builtins(item, out);
            }
        }
        Value::Raw(_) | Value::Text(_) => {}
    }
}
