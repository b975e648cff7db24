//! The builtin generators and transformers, configured by a kustomization's own fields or by objects of their kinds.

mod configure;

use super::context::Context;
use super::error::{Result, fail};
use super::fieldspec::FieldSpec;
use super::generate::{Made, generate, iam_service_account};
use super::hash::add_hashes;
use super::images::set_images;
use super::jsonpatch::JsonPatch;
use super::loader::Loader;
use super::namespace::NamespaceTransformer;
use super::patches::{PatchTransformer, apply_json, apply_merges};
use super::replace;
use super::resource::Resource;
use super::resources::Resources;
use super::selector::Selector;
use super::transform::{ValueTarget, add_value, affix_names, set_entries, set_replicas};
use super::types::{GeneratorArgs, Image, Replacement, Replica};

pub use configure::{generator_of, json_patch, transformer_of};

/// Changes a set of objects.
#[derive(Debug)]
pub enum Transformer {
    StrategicMerge(Vec<Resource>),
    Patch(Box<PatchTransformer>),
    Json {
        patch: JsonPatch,
        target: Option<Selector>,
    },
    Namespace(NamespaceTransformer),
    Affix {
        prefix: String,
        suffix: String,
        specs: Vec<FieldSpec>,
    },
    /// Prefix and suffix from one configuration, one after the other.
    PrefixAndSuffix {
        prefix: String,
        suffix: String,
        specs: Vec<FieldSpec>,
    },
    Entries {
        pairs: Vec<(String, String)>,
        specs: Vec<FieldSpec>,
    },
    Images {
        image: Image,
        specs: Vec<FieldSpec>,
    },
    Replicas {
        replica: Replica,
        specs: Vec<FieldSpec>,
    },
    Replacements(Vec<Replacement>),
    Value {
        value: String,
        targets: Vec<ValueTarget>,
    },
    Hash,
}

impl Transformer {
    /// Whether it leaves deleted objects alone, so that they may be let go later.
    pub fn bears_gone(&self) -> bool {
        matches!(
            self,
            Self::StrategicMerge(_) | Self::Patch(_) | Self::Json { .. }
        )
    }

    pub fn transform(&self, context: &mut Context<'_>, resources: &mut Resources) -> Result<()> {
        match self {
            Self::StrategicMerge(patches) => apply_merges(context, resources, patches),
            Self::Patch(patch) => patch.transform(context, resources),
            Self::Json { patch, target } => {
                let Some(target) = target else {
                    return fail("must specify a target for the JSON patch");
                };
                for at in resources.select(context, target)? {
                    resources.change(context, at, |context, resource| {
                        apply_json(context, resource, patch)
                    })?;
                }
                Ok(())
            }
            Self::Namespace(namespace) => namespace.transform(context, resources),
            Self::Affix {
                prefix,
                suffix,
                specs,
            } => affix_names(context, resources, prefix, suffix, specs),
            Self::PrefixAndSuffix {
                prefix,
                suffix,
                specs,
            } => {
                affix_names(context, resources, prefix, "", specs)?;
                affix_names(context, resources, "", suffix, specs)
            }
            Self::Entries { pairs, specs } => set_entries(context, resources, pairs, specs),
            Self::Images { image, specs } => set_images(context, resources, image, specs),
            Self::Replicas { replica, specs } => set_replicas(context, resources, replica, specs),
            Self::Replacements(list) => replace::replace(context, resources, list),
            Self::Value { value, targets } => {
                for target in targets {
                    add_value(context, resources, value, target)?;
                }
                Ok(())
            }
            Self::Hash => add_hashes(context, resources),
        }
    }
}

/// Makes objects.
#[derive(Debug)]
pub enum Generator {
    Made(Made, GeneratorArgs),
    ServiceAccount {
        name: String,
        namespace: String,
        account: String,
        project: String,
    },
}

impl Generator {
    pub fn generate(&self, context: &mut Context<'_>, loader: &Loader) -> Result<Resource> {
        match self {
            Self::Made(made, args) => generate(context, loader, *made, args),
            Self::ServiceAccount {
                name,
                namespace,
                account,
                project,
            } => iam_service_account(context, name, namespace, account, project),
        }
    }
}
