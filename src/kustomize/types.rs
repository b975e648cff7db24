//! The kustomization file and the parts that it shares with the configurations of builtin plugins.

mod read;

use super::fieldspec::FieldSpec;
use super::id::{ResId, default_kind_order};
use super::selector::Selector;

pub use read::{
    GENERATOR_FIELDS, back_references, field_specs, generator_args, generator_options, generators,
    image, label, optional_selector, patch, patch_of, replacement, replica, sort_options, var,
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorOptions {
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

impl GeneratorOptions {
    /// The options of one generator, with those of all generators.
    pub fn merged(local: Option<&Self>, global: Option<&Self>) -> Option<Self> {
        let Some(global) = global else {
            return local.cloned();
        };
        let mut merged = local.cloned().unwrap_or_default();
        for (into, from) in [
            (&mut merged.labels, &global.labels),
            (&mut merged.annotations, &global.annotations),
        ] {
            for (key, value) in from {
                if !into.iter().any(|(there, _)| there == key) {
                    into.push((key.clone(), value.clone()));
                }
            }
            into.sort();
        }
        merged.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        merged.immutable |= global.immutable;
        Some(merged)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorArgs {
    pub name: String,
    pub namespace: String,
    pub behavior: String,
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
    /// Of a Secret.
    pub secret_type: String,
    pub options: Option<GeneratorOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    pub pairs: Vec<(String, String)>,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub include_volume_claim_templates: bool,
    pub fields: Vec<FieldSpec>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub path: String,
    /// The patch itself.
    pub inline: String,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub name: String,
    pub new_name: String,
    pub tag_suffix: String,
    pub new_tag: String,
    pub digest: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    pub name: String,
    pub count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub id: ResId,
    pub field_path: String,
    pub options: Option<FieldOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: Option<FieldOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    pub path: String,
    pub source: Option<Source>,
    pub source_value: Option<String>,
    pub targets: Option<Vec<Target>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Var {
    pub name: String,
    pub target: ResId,
    pub field_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortOptions {
    pub order: String,
    /// The kinds that come first and those that come last.
    pub legacy: Option<(Vec<String>, Vec<String>)>,
}

impl SortOptions {
    pub fn legacy() -> Self {
        Self {
            order: "legacy".to_owned(),
            legacy: Some(default_kind_order()),
        }
    }
}
