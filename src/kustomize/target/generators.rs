//! The step that generates objects: by the kustomization's own fields, and by plugin configurations.

use super::{Gathered, Target};
use crate::kustomize::context::Context;
use crate::kustomize::error::{Problems, Result};
use crate::kustomize::generate::Made;
use crate::kustomize::plugins::{Generator, generator_of};
use crate::kustomize::provenance::{self, Provenance};
use crate::kustomize::resources::Resources;
use crate::kustomize::types::GeneratorOptions;

impl Target {
    pub(super) fn run_generators(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let kustomization = &self.kustomization;
        if kustomization.config_map_generator.is_empty()
            && kustomization.secret_generator.is_empty()
            && kustomization.generators.is_empty()
        {
            return Ok(());
        }
        self.run_configured_generators(context, gathered)
    }

    #[inline(never)]
    fn run_configured_generators(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let kustomization = &self.kustomization;
        let mut generators: Vec<(Generator, Option<Provenance>, String)> = Vec::new();
        let lists = [
            (
                &kustomization.config_map_generator,
                Made::ConfigMap,
                "configMapGenerator",
            ),
            (
                &kustomization.secret_generator,
                Made::Secret,
                "secretGenerator",
            ),
        ];
        for (list, made, field) in lists {
            for (index, args) in list.iter().enumerate() {
                let mut args = args.clone();
                args.options = GeneratorOptions::merged(
                    args.options.as_ref(),
                    kustomization.generator_options.as_ref(),
                );
                let kind = if made == Made::Secret {
                    "SecretGenerator"
                } else {
                    "ConfigMapGenerator"
                };
                let provenance = self
                    .configured_in()
                    .map(|file| Provenance::of_builtin(file, kind));
                generators.push((
                    Generator::Made(made, args),
                    provenance,
                    format!("{field}[{index}]"),
                ));
            }
        }
        let mut problems = Problems::default();
        let configs = if kustomization.generators.is_empty() {
            Ok(Resources::default())
        } else {
            self.plugin_configs(context, &kustomization.generators, "generators")
        };
        for config in problems.keep(configs).unwrap_or_default().list() {
            let generator = generator_of(context, config)
                .map_err(|errors| errors.each(|error| config.origin.place(error)))
                .map_err(|errors| errors.field("generators"));
            generators.extend(problems.keep(generator).map(|generator| {
                let provenance = Self::provenance_of(context, config);
                (generator, provenance, "generators".to_owned())
            }));
        }
        gathered.broken |= !problems.is_empty();
        for (generator, provenance, field) in generators {
            let made = generator
                .generate(context, &self.loader)
                .map_err(|errors| errors.below_field(&field));
            let Some(resource) = problems.keep(made) else {
                gathered.broken = true;
                continue;
            };
            if let Some(provenance) = provenance
                && provenance::origin_of(&context.tree, resource.root).is_none()
            {
                provenance::set_origin(&mut context.tree, resource.root, &provenance.text())?;
            }
            if !gathered.broken {
                let absorbed = gathered.resources.absorb(context, resource);
                problems.keep(absorbed.map_err(|errors| errors.field(&field)));
            }
            context.check_budget()?;
        }
        problems.finish()
    }
}
