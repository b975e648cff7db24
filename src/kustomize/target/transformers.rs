//! The step that transforms what was gathered: by the fields of the kustomization, in the order of kustomize, and by plugin
//! configurations.

use super::{Gathered, Target};
use crate::kustomize::config::Config;
use crate::kustomize::context::Context;
use crate::kustomize::error::{BuildErrors, Problems, Result};
use crate::kustomize::fieldspec::{FieldSpec, merge_all, merge_one};
use crate::kustomize::namespace::NamespaceTransformer;
use crate::kustomize::patches::{PatchTransformer, load_merges};
use crate::kustomize::plugins::{Transformer, json_patch, transformer_of};
use crate::kustomize::provenance::{self, Provenance};
use crate::kustomize::replace;

impl Target {
    /// The transformers that the kustomization's own fields configure, in kustomize's order.
    fn builtin_transformers(
        &self,
        context: &mut Context<'_>,
        config: &Config,
    ) -> (
        Vec<(Transformer, &'static str, String)>,
        Option<BuildErrors>,
    ) {
        let kustomization = &self.kustomization;
        let mut list: Vec<(Transformer, &'static str, String)> = Vec::new();
        let mut problems = Problems::default();
        if !kustomization.patches_strategic_merge.is_empty() {
            let field = "patchesStrategicMerge";
            let patches = load_merges(
                context,
                &self.loader,
                &kustomization.patches_strategic_merge,
                "",
            );
            let patches = problems.keep(patches.map_err(|errors| errors.below_field(field)));
            list.extend(patches.map(|patches| {
                (
                    Transformer::StrategicMerge(patches),
                    "PatchStrategicMergeTransformer",
                    field.to_owned(),
                )
            }));
        }
        for (index, patch) in kustomization.patches.iter().enumerate() {
            let field = format!("patches[{index}]");
            let patch = PatchTransformer::load(context, &self.loader, patch);
            let patch = problems.keep(patch.map_err(|errors| errors.below_field(&field)));
            list.extend(patch.map(|patch| {
                (
                    Transformer::Patch(Box::new(patch)),
                    "PatchTransformer",
                    field,
                )
            }));
        }
        if !kustomization.namespace.is_empty() {
            let namespace = NamespaceTransformer {
                namespace: kustomization.namespace.clone(),
                specs: config.namespace.clone(),
                ..NamespaceTransformer::default()
            };
            list.push((
                Transformer::Namespace(namespace),
                "NamespaceTransformer",
                "namespace".to_owned(),
            ));
        }
        let affixes = [
            (
                &kustomization.name_prefix,
                &config.name_prefix,
                "PrefixTransformer",
                "namePrefix",
            ),
            (
                &kustomization.name_suffix,
                &config.name_suffix,
                "SuffixTransformer",
                "nameSuffix",
            ),
        ];
        for (affix, specs, kind, field) in affixes {
            if affix.is_empty() {
                continue;
            }
            let is_prefix = field == "namePrefix";
            let pick = |wanted: bool| if wanted { affix.clone() } else { String::new() };
            let transformer = Transformer::Affix {
                prefix: pick(is_prefix),
                suffix: pick(!is_prefix),
                specs: specs.clone(),
            };
            list.push((transformer, kind, field.to_owned()));
        }
        if !(kustomization.labels.is_empty() && kustomization.common_labels.is_empty()) {
            problems.keep(self.label_transformers(config, &mut list));
        }
        if !kustomization.common_annotations.is_empty() {
            let transformer = Transformer::Entries {
                pairs: kustomization.common_annotations.clone(),
                specs: config.common_annotations.clone(),
            };
            list.push((
                transformer,
                "AnnotationsTransformer",
                "commonAnnotations".to_owned(),
            ));
        }
        for (index, patch) in kustomization.patches_json6902.iter().enumerate() {
            let field = format!("patchesJson6902[{index}]");
            let patch = json_patch(context, &self.loader, patch);
            let patch = problems.keep(patch.map_err(|errors| errors.below_field(&field)));
            list.extend(patch.map(|patch| (patch, "PatchJson6902Transformer", field)));
        }
        for (index, replica) in kustomization.replicas.iter().enumerate() {
            let transformer = Transformer::Replicas {
                replica: replica.clone(),
                specs: config.replicas.clone(),
            };
            list.push((
                transformer,
                "ReplicaCountTransformer",
                format!("replicas[{index}]"),
            ));
        }
        for (index, image) in kustomization.images.iter().enumerate() {
            let transformer = Transformer::Images {
                image: image.clone(),
                specs: config.images.clone(),
            };
            list.push((
                transformer,
                "ImageTagTransformer",
                format!("images[{index}]"),
            ));
        }
        if !kustomization.replacements.is_empty() {
            let loaded = replace::load(context, &self.loader, &kustomization.replacements);
            let loaded = problems.keep(loaded.map_err(|errors| errors.below_field("replacements")));
            list.extend(loaded.map(|loaded| {
                (
                    Transformer::Replacements(loaded),
                    "ReplacementTransformer",
                    "replacements".to_owned(),
                )
            }));
        }
        let problems = problems.finish().err();
        (list, problems)
    }

    #[inline(never)]
    fn label_transformers(
        &self,
        config: &Config,
        list: &mut Vec<(Transformer, &'static str, String)>,
    ) -> Result<()> {
        let kustomization = &self.kustomization;
        for (index, label) in kustomization.labels.iter().enumerate() {
            let field = format!("labels[{index}]");
            let mut specs: Vec<FieldSpec> = label.fields.clone();
            let merged = merge_all(&mut specs, &config.labels).and_then(|()| {
                if label.include_selectors {
                    return merge_all(&mut specs, &config.common_labels);
                }
                if label.include_templates {
                    merge_all(&mut specs, &config.template_labels)?;
                }
                if label.include_volume_claim_templates {
                    merge_all(&mut specs, &config.volume_claim_template_labels)?;
                }
                merge_one(&mut specs, &FieldSpec::of("metadata/labels", true))
            });
            merged.map_err(|errors| errors.field(&field))?;
            let transformer = Transformer::Entries {
                pairs: label.pairs.clone(),
                specs,
            };
            list.push((transformer, "LabelTransformer", field));
        }
        let transformer = Transformer::Entries {
            pairs: kustomization.common_labels.clone(),
            specs: config.common_labels.clone(),
        };
        list.push((transformer, "LabelTransformer", "commonLabels".to_owned()));
        Ok(())
    }

    /// The transformers that files or inline objects configure.
    #[inline(never)]
    fn configured_transformers(
        &self,
        context: &mut Context<'_>,
        problems: &mut Problems,
    ) -> Vec<(Transformer, Option<Provenance>, String)> {
        let configs =
            self.plugin_configs(context, &self.kustomization.transformers, "transformers");
        let mut list = Vec::new();
        for config in problems.keep(configs).unwrap_or_default().list() {
            let transformer = transformer_of(context, &self.loader, config)
                .map_err(|errors| errors.field("transformers"));
            list.extend(problems.keep(transformer).map(|transformer| {
                let provenance = Self::provenance_of(context, config);
                (transformer, provenance, "transformers".to_owned())
            }));
        }
        list
    }

    pub(super) fn run_transformers(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let config = gathered.config.clone();
        let mut problems = Problems::default();
        let (builtins, wrong) = self.builtin_transformers(context, &config);
        if let Some(wrong) = wrong {
            problems.keep::<()>(Err(wrong));
        }
        let mut all: Vec<(Transformer, Option<Provenance>, String)> = builtins
            .into_iter()
            .map(|(transformer, kind, field)| {
                let provenance = self
                    .configured_in()
                    .map(|file| Provenance::of_builtin(file, kind));
                (transformer, provenance, field)
            })
            .collect();
        if !self.kustomization.transformers.is_empty() {
            all.extend(self.configured_transformers(context, &mut problems));
        }
        if gathered.broken {
            return problems.finish();
        }
        let mut all = all.into_iter().peekable();
        while let Some((transformer, provenance, field)) = all.next() {
            let done = transformer.transform(context, &mut gathered.resources);
            problems.keep(done.map_err(|errors| errors.below_field(&field)));
            context.check_budget()?;
            if let Some(provenance) = provenance {
                for resource in gathered.resources.list() {
                    if !resource.is_gone(&context.tree) {
                        provenance::add_transformation(
                            &mut context.tree,
                            resource.root,
                            &provenance,
                        )?;
                        context.check_budget()?;
                    }
                }
            }
            // Each time costs a look at all that is known of the others.
            if !all.peek().is_some_and(|(next, _, _)| next.bears_gone()) {
                gathered.resources.drop_gone(&context.tree);
            }
        }
        problems.finish()
    }
}
