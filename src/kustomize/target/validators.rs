//! The validators of a kustomization: transformers that may look at the objects but not change them.

use std::collections::HashSet;

use super::{Gathered, Target};
use crate::kustomize::context::Context;
use crate::kustomize::error::{BuildError, Problems, Result};
use crate::kustomize::plugins::transformer_of;
use crate::kustomize::resources::Resources;
use crate::yaml::{NodeId, Place, Tree, ValueError, to_value};

type Content = std::result::Result<serde_json::Value, ValueError>;

impl Target {
    /// Validators are transformers that must not change anything.
    pub(super) fn run_validators(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        if self.kustomization.validators.is_empty() {
            return Ok(());
        }
        self.run_configured_validators(context, gathered)
    }

    #[inline(never)]
    fn run_configured_validators(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let configs = self.plugin_configs(context, &self.kustomization.validators, "validators")?;
        let mut problems = Problems::default();
        for config in configs.list() {
            let validator = transformer_of(context, &self.loader, config)
                .map_err(|errors| errors.field("validators"));
            let Some(validator) = problems.keep(validator).filter(|_| !gathered.broken) else {
                continue;
            };
            let before = contents(context, &gathered.resources);
            let list = gathered.resources.list().iter();
            let made: Vec<bool> = list
                .map(|it| labels_are_made(&context.tree, it.root))
                .collect();
            validator
                .transform(context, &mut gathered.resources)
                .map_err(|errors| errors.field("validators"))?;
            let mut seen = HashSet::new();
            for resource in gathered.resources.list() {
                let id = resource.id(context);
                let namespace = id.effective_namespace().to_owned();
                if !seen.insert((id.gvk.clone(), id.name.clone(), namespace)) {
                    let error =
                        format!("there are two {id}: what validators did to them is not known");
                    return Err(BuildError::new(error).field("validators").into());
                }
            }
            let mut after = contents(context, &gathered.resources);
            for (value, made) in after.iter_mut().zip(&made) {
                if let Ok(value) = value {
                    take_mark(value, *made);
                }
            }
            if after != before {
                return Err(BuildError::new("a validator must not change the objects")
                    .field("validators")
                    .into());
            }
        }
        problems.finish()
    }
}

/// What the objects are. One that has no value yet may get one before the end.
fn contents(context: &Context<'_>, resources: &Resources) -> Vec<Content> {
    let list = resources.list().iter();
    list.map(|resource| to_value(&context.tree, resource.root))
        .collect()
}

/// Takes away the label that a validator may leave on what it looked at. kustomize writes the other labels anew for that,
/// and finds that the same as before only if no file wrote them.
fn take_mark(object: &mut serde_json::Value, made: bool) {
    const MARK: &str = "validated-by";
    let Some(metadata) = object.get_mut("metadata").and_then(|it| it.as_object_mut()) else {
        return;
    };
    let Some(labels) = metadata.get_mut("labels").and_then(|it| it.as_object_mut()) else {
        return;
    };
    if labels.len() == 1 && labels.contains_key(MARK) {
        metadata.remove("labels");
    } else if made {
        labels.remove(MARK);
    }
}

/// Whether the labels of an object come from transformers, in the order of their names.
fn labels_are_made(tree: &Tree, object: NodeId) -> bool {
    tree.at(object, &["metadata", "labels"])
        .is_some_and(|labels| {
            let keys = tree.pairs(labels).map(|(key, _)| tree.text(key));
            tree.node(labels).place == Place::default() && keys.is_sorted()
        })
}
