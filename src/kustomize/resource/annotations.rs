//! What kustomize notes about an object in annotations, while it builds.

use super::super::error::{Result, fail};
use super::super::node;
use super::{Behavior, Previous, Resource};
use crate::yaml::{Kind, Tree};

const INTERNAL: &str = "internal.config.kubernetes.io/";
const PREVIOUS_NAMES: &str = "internal.config.kubernetes.io/previousNames";
const PREVIOUS_NAMESPACES: &str = "internal.config.kubernetes.io/previousNamespaces";
const PREVIOUS_KINDS: &str = "internal.config.kubernetes.io/previousKinds";
const PREFIXES: &str = "internal.config.kubernetes.io/prefixes";
const SUFFIXES: &str = "internal.config.kubernetes.io/suffixes";
const BEHAVIOR: &str = "internal.config.kubernetes.io/generatorBehavior";
const NEEDS_HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";
pub const ALLOW_NAME_CHANGE: &str = "internal.config.kubernetes.io/allowNameChange";
pub const ALLOW_KIND_CHANGE: &str = "internal.config.kubernetes.io/allowKindChange";
/// Annotations that never leave a build.
const BUILD_ANNOTATIONS: &[&str] = &[
    PREVIOUS_KINDS,
    PREVIOUS_NAMES,
    PREFIXES,
    SUFFIXES,
    PREVIOUS_NAMESPACES,
    ALLOW_NAME_CHANGE,
    ALLOW_KIND_CHANGE,
    "internal.config.kubernetes.io/refBy",
    BEHAVIOR,
    NEEDS_HASH,
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];
pub const HELM_GENERATED: &str = "internal.config.kubernetes.io/helm-generated";

impl Resource {
    /// Takes over what an earlier build left in the annotations.
    pub fn absorb_annotations(&mut self, tree: &mut Tree) -> Result<()> {
        let annotations = node::metadata_map(tree, self.root, "annotations");
        if !annotations.iter().any(|(key, _)| key.starts_with(INTERNAL)) {
            return Ok(());
        }
        self.absorb_build_annotations(tree, &annotations)
    }

    #[inline(never)]
    fn absorb_build_annotations(
        &mut self,
        tree: &mut Tree,
        annotations: &[(String, String)],
    ) -> Result<()> {
        let value = |name: &str| {
            let key = format!("{INTERNAL}{name}");
            annotations
                .iter()
                .find(|(there, _)| *there == key)
                .map(|(_, value)| value.as_str())
        };
        let list = |name: &str| -> Vec<String> {
            value(name).map_or_else(Vec::new, |text| {
                text.split(',').map(str::to_owned).collect()
            })
        };
        let (names, namespaces, kinds) = (
            list("previousNames"),
            list("previousNamespaces"),
            list("previousKinds"),
        );
        if names.len() != namespaces.len() || names.len() != kinds.len() {
            return fail(
                "number of previous names, number of previous namespaces, number of previous kinds not equal",
            );
        }
        self.previous = names
            .into_iter()
            .zip(namespaces)
            .zip(kinds)
            .map(|((name, namespace), kind)| Previous {
                name,
                namespace,
                kind,
            })
            .collect();
        self.prefixes = list("prefixes");
        self.suffixes = list("suffixes");
        self.needs_hash = value("needsHashSuffix") == Some("enabled");
        self.allow_name_change = value("allowNameChange") == Some("enabled");
        self.allow_kind_change = value("allowKindChange") == Some("enabled");
        self.behavior = value("generatorBehavior").map(Behavior::of);
        let rest: Vec<(String, String)> = annotations
            .iter()
            .filter(|(key, _)| key == HELM_GENERATED || !BUILD_ANNOTATIONS.contains(&key.as_str()))
            .cloned()
            .collect();
        node::set_metadata_map(tree, self.root, "annotations", &rest)
    }

    /// Writes annotations as kustomize leaves them at the end: all of them text, none of its own.
    pub fn clean_annotations(&self, tree: &mut Tree, drop: &[&str]) -> Result<()> {
        if tree.at(self.root, &["metadata", "annotations"]).is_none() {
            if !drop.is_empty() {
                // Where kustomize looks for something to drop, there is `metadata` afterwards; only a list may have none.
                node::lookup(tree, self.root, &["metadata"], Some(Kind::Map))?;
            }
            return Ok(());
        }
        let mut annotations = node::metadata_map(tree, self.root, "annotations");
        annotations.retain(|(key, _)| {
            !BUILD_ANNOTATIONS.contains(&key.as_str()) && !drop.contains(&key.as_str())
        });
        node::set_metadata_map(tree, self.root, "annotations", &annotations)
    }

    /// The annotations that kustomize holds on this object for itself.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let Self {
            root: _,
            previous,
            prefixes,
            suffixes,
            behavior,
            needs_hash,
            allow_name_change,
            allow_kind_change,
            was_nameless: _,
            vars: _,
            origin: _,
        } = self;
        let list = |text: fn(&Previous) -> &str| {
            let texts = previous.iter().map(text);
            let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
            texts.join(",")
        };
        let flag = |set: bool| if set { "enabled" } else { "" }.to_owned();
        let behavior = behavior.map_or("", Behavior::text).to_owned();
        let mut notes = vec![
            (PREVIOUS_NAMES, list(|previous| &previous.name)),
            (PREVIOUS_NAMESPACES, list(|previous| &previous.namespace)),
            (PREVIOUS_KINDS, list(|previous| &previous.kind)),
            (PREFIXES, prefixes.join(",")),
            (SUFFIXES, suffixes.join(",")),
            (BEHAVIOR, behavior),
            (NEEDS_HASH, flag(*needs_hash)),
            (ALLOW_NAME_CHANGE, flag(*allow_name_change)),
            (ALLOW_KIND_CHANGE, flag(*allow_kind_change)),
        ];
        notes.retain(|(_, text)| !text.is_empty());
        notes
    }
}
