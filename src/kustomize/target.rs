//! One kustomization: what it gathers from its bases, components and files, and the order of the steps.

use std::sync::Arc;

use super::config::{self, Config};
use super::context::Context;
use super::error::{BuildError, Problems, Result, fail};
use super::factory::resources_from;
use super::fieldspec::{FieldSpec, merge_all, merge_one};
use super::generate::Made;
use super::hash::add_hashes;
use super::kustomization::{COMPONENT, Kustomization, load};
use super::loader::{Loader, display};
use super::nameref::fix_references;
use super::node;
use super::patches::{PatchTransformer, load_merges};
use super::plugins::{Generator, Transformer, generator_of, json_patch, transformer_of};
use super::provenance::{self, Provenance};
use super::replace;
use super::resource::Resources;
use super::schema::Schema;
use super::transform::NamespaceTransformer;
use super::types::GeneratorOptions;
use super::vars::{Vars, add_vars, merge_vars, resolve_vars};
use crate::tree::EntryKind;
use crate::yaml::parse;

/// What a kustomization, and those below it, gathered.
#[derive(Default)]
pub struct Gathered {
    pub resources: Resources,
    pub config: Arc<Config>,
    pub vars: Vars,
}

/// A kustomization that is being built.
pub struct Target {
    pub kustomization: Kustomization,
    loader: Loader,
    /// The path from the top to this kustomization, if it is recorded.
    origin: Option<String>,
    build_metadata: Vec<String>,
}

/// `a/b` from `a` and `b`, with `..` taken out.
fn join_origin(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Target {
    /// The kustomization that was asked for.
    pub fn top(context: &mut Context<'_>, directory: &str) -> Result<Self> {
        let loader = Loader::new(context, directory)?;
        let kustomization = load(context, &loader)?;
        let file = kustomization.file.clone();
        let target = Self {
            origin: (!kustomization.build_metadata.is_empty()).then(String::new),
            build_metadata: kustomization.build_metadata.clone(),
            kustomization,
            loader,
        };
        target
            .choose_schema(context)
            .map_err(|errors| errors.under(&file))?;
        Ok(target)
    }

    /// Builds everything that the kustomization stands for.
    pub fn build(&self, context: &mut Context<'_>) -> Result<Resources> {
        let file = &self.kustomization.file;
        let mut gathered = self.gather(context, Gathered::default())?;
        Self::finish(context, &mut gathered).map_err(|errors| errors.under(file))?;
        Ok(gathered.resources)
    }

    /// The steps that come last, once for the whole.
    fn finish(context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let Gathered {
            resources,
            config,
            vars,
        } = gathered;
        add_hashes(context, resources)?;
        fix_references(context, resources, config)?;
        resolve_vars(context, resources, config, vars)?;
        drop_local(context, resources)
    }

    fn choose_schema(&self, context: &mut Context<'_>) -> Result<()> {
        let field = |name: &str| {
            let mut fields = self.kustomization.openapi.iter();
            fields
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let custom = field("path").map(|path| self.loader.load_text(context, path));
        let custom = custom
            .transpose()
            .map_err(|errors| errors.field("openapi.path"))?;
        if context.schemas.is_chosen() {
            return Ok(());
        }
        if custom.is_some() && field("version").is_some() {
            return fail("openapi: builtin version and custom schema provided, cannot use both");
        }
        if let Some(version) = field("version").filter(|version| !version.is_empty())
            && version != "v1.21.2"
        {
            return fail(
                "openapi: the specified OpenAPI version is not built in; there is v1.21.2",
            );
        }
        let with_builtin = context.schemas.is_builtin_in_use();
        let schema = match custom {
            Some((file, text)) => {
                let document = parse(&text, &file, &context.yaml_limits())?;
                Some(document.map_or_else(Schema::default, |document| {
                    Schema::from_openapi(&document.tree, document.root, with_builtin)
                }))
            }
            None => None,
        };
        context.schemas.choose(field("version"), schema);
        Ok(())
    }

    /// Gathers into what was gathered before.
    fn gather(&self, context: &mut Context<'_>, mut gathered: Gathered) -> Result<Gathered> {
        let steps = self.gather_steps(context, &mut gathered);
        steps.map_err(|errors| errors.under(&self.kustomization.file))?;
        Ok(gathered)
    }

    fn gather_steps(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let kustomization = &self.kustomization;
        self.accumulate(context, gathered, &kustomization.resources, "resources")?;
        let config = config::load(context, &self.loader, &kustomization.configurations)?;
        gathered.config = config::merged(&gathered.config, &config)?;
        let crds = config::load_crds(context, &self.loader, &kustomization.crds)?;
        gathered.config = config::merged(&gathered.config, &crds)?;
        self.run_generators(context, gathered)?;
        self.accumulate_components(context, gathered)?;
        self.run_transformers(context, gathered)?;
        self.run_validators(context, gathered)?;
        merge_vars(
            context,
            &mut gathered.resources,
            &mut gathered.vars,
            &kustomization.vars,
        )
        .map_err(|errors| errors.field("vars"))
    }

    fn accumulate(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
        paths: &[String],
        field: &str,
    ) -> Result<()> {
        let mut problems = Problems::default();
        for (index, path) in paths.iter().enumerate() {
            let done = self.accumulate_one(context, gathered, path);
            problems.keep(done.map_err(|errors| errors.field(&format!("{field}[{index}]"))));
        }
        problems.finish()
    }

    fn accumulate_one(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
        path: &str,
    ) -> Result<()> {
        match self.loader.kind(context, path)? {
            Some(EntryKind::File) => self.accumulate_file(context, gathered, path),
            Some(EntryKind::Directory) => self.accumulate_directory(context, gathered, path, false),
            None if path.contains('\n') => {
                fail("neither a file, nor a directory, nor an inline object")
            }
            None => fail(format!("`{path}` does not exist")),
        }
    }

    fn accumulate_file(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
        path: &str,
    ) -> Result<()> {
        let (file, bytes) = self.loader.load(context, path)?;
        let resources = resources_from(context, &bytes, &file)?;
        if let Some(origin) = &self.origin {
            let provenance = Provenance::of_path(join_origin(origin, path));
            for resource in &resources {
                provenance::annotate_file(&mut context.tree, resource.root, &provenance)?;
            }
        }
        gathered.resources.append_all(context, resources)
    }

    fn accumulate_components(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        for (index, path) in self.kustomization.components.iter().enumerate() {
            self.accumulate_directory(context, gathered, path, true)
                .map_err(|errors| errors.field(&format!("components[{index}]")))?;
        }
        Ok(())
    }

    fn accumulate_directory(
        &self,
        context: &mut Context<'_>,
        gathered: &mut Gathered,
        path: &str,
        component: bool,
    ) -> Result<()> {
        let loader = self.loader.enter(context, path)?;
        let kustomization = load(context, &loader)?;
        let root = display(loader.root()).to_owned();
        let target = Self {
            origin: self.origin.as_ref().map(|origin| join_origin(origin, path)),
            build_metadata: self.build_metadata.clone(),
            kustomization,
            loader,
        };
        let file = target.kustomization.file.clone();
        target
            .choose_schema(context)
            .map_err(|errors| errors.under(&file))?;
        let is_component = target.kustomization.kind == COMPONENT;
        if component && !is_component {
            return fail(format!(
                "expected kind '{COMPONENT}' for path '{root}' but got '{}'; list it under `resources`",
                target.kustomization.kind
            ));
        }
        if !component && is_component {
            return fail(format!(
                "expected kind != '{COMPONENT}' for path '{root}'; list it under `components`"
            ));
        }
        if component {
            let before = std::mem::take(gathered);
            let after = target.gather(context, before)?;
            // A component's objects become those of a new set, so that two of one identity show.
            gathered
                .resources
                .append_all(context, after.resources.into_list())?;
            gathered.config = after.config;
            gathered.vars = after.vars;
            return Ok(());
        }
        let below = target.gather(context, Gathered::default())?;
        gathered
            .resources
            .append_all(context, below.resources.into_list())?;
        gathered.config = config::merged(&gathered.config, &below.config)?;
        add_vars(&mut gathered.vars, below.vars.into_values())
            .map_err(|errors| errors.field("vars"))
    }

    /// The plugin configurations in a list of files, directories and inline objects.
    fn plugin_configs(
        &self,
        context: &mut Context<'_>,
        list: &[String],
        field: &str,
    ) -> Result<Resources> {
        let mut gathered = Gathered::default();
        let mut paths = Vec::new();
        for entry in list {
            match resources_from(context, entry.as_bytes(), "") {
                Ok(inline) => {
                    if let Some(origin) = &self.origin {
                        let name = self
                            .kustomization
                            .file
                            .rsplit('/')
                            .next()
                            .unwrap_or_default();
                        let text = Provenance::of_path(join_origin(origin, name)).text();
                        for resource in &inline {
                            provenance::set_origin(&mut context.tree, resource.root, &text)?;
                        }
                    }
                    gathered.resources.append_all(context, inline)?;
                }
                Err(errors) if entry.contains('\n') => return Err(errors.field(field)),
                Err(_) => paths.push(entry.clone()),
            }
        }
        self.accumulate(context, &mut gathered, &paths, field)?;
        Ok(gathered.resources)
    }

    fn configured_in(&self) -> Option<String> {
        let name = self
            .kustomization
            .file
            .rsplit('/')
            .next()
            .unwrap_or_default();
        self.origin.as_ref().map(|origin| join_origin(origin, name))
    }

    fn provenance_of(
        context: &Context<'_>,
        config: &super::resource::Resource,
    ) -> Option<Provenance> {
        let tree = &context.tree;
        let origin = provenance::origin_of(tree, config.root)?;
        Some(Provenance {
            path: String::new(),
            configured_in: origin.path,
            api_version: node::api_version(tree, config.root).to_owned(),
            kind: node::kind(tree, config.root).to_owned(),
            name: node::name(tree, config.root).to_owned(),
            namespace: node::namespace(tree, config.root).to_owned(),
        })
    }

    fn run_generators(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
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
        let configs = self.plugin_configs(context, &kustomization.generators, "generators")?;
        for config in configs.list() {
            let generator = generator_of(context, config).map_err(|errors| {
                errors
                    .field("generators")
                    .each(|error| config.origin.place(error))
            })?;
            generators.push((
                generator,
                Self::provenance_of(context, config),
                "generators".to_owned(),
            ));
        }
        for (generator, provenance, field) in generators {
            let resource = generator
                .generate(context, &self.loader)
                .map_err(|errors| errors.field(&field))?;
            if let Some(provenance) = provenance
                && provenance::origin_of(&context.tree, resource.root).is_none()
            {
                provenance::set_origin(&mut context.tree, resource.root, &provenance.text())?;
            }
            gathered
                .resources
                .absorb(context, resource)
                .map_err(|errors| errors.field(&field))?;
        }
        context.check_budget()
    }

    /// The transformers that the kustomization's own fields configure, in kustomize's order.
    fn builtin_transformers(
        &self,
        context: &mut Context<'_>,
        config: &Config,
    ) -> Result<Vec<(Transformer, &'static str, String)>> {
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
            let patches = problems.keep(patches.map_err(|errors| errors.field(field)));
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
        problems.keep(self.label_transformers(config, &mut list));
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
            let patch = problems.keep(patch.map_err(|errors| errors.field(&field)));
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
            let loaded = problems.keep(loaded.map_err(|errors| errors.field("replacements")));
            list.extend(loaded.map(|loaded| {
                (
                    Transformer::Replacements(loaded),
                    "ReplacementTransformer",
                    "replacements".to_owned(),
                )
            }));
        }
        problems.finish()?;
        Ok(list)
    }

    fn label_transformers(
        &self,
        config: &Config,
        list: &mut Vec<(Transformer, &'static str, String)>,
    ) -> Result<()> {
        let kustomization = &self.kustomization;
        if kustomization.labels.is_empty() && kustomization.common_labels.is_empty() {
            return Ok(());
        }
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

    fn run_transformers(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let config = gathered.config.clone();
        let builtins = self.builtin_transformers(context, &config)?;
        let configs =
            self.plugin_configs(context, &self.kustomization.transformers, "transformers")?;
        let mut all: Vec<(Transformer, Option<Provenance>, String)> = builtins
            .into_iter()
            .map(|(transformer, kind, field)| {
                let provenance = self
                    .configured_in()
                    .map(|file| Provenance::of_builtin(file, kind));
                (transformer, provenance, field)
            })
            .collect();
        for config in configs.list() {
            let transformer = transformer_of(context, &self.loader, config)
                .map_err(|errors| errors.field("transformers"))?;
            all.push((
                transformer,
                Self::provenance_of(context, config),
                "transformers".to_owned(),
            ));
        }
        for (transformer, provenance, field) in all {
            transformer
                .transform(context, &mut gathered.resources)
                .map_err(|errors| errors.field(&field))?;
            if let Some(provenance) = provenance {
                for resource in gathered.resources.list() {
                    if !resource.is_gone(&context.tree) {
                        provenance::add_transformation(
                            &mut context.tree,
                            resource.root,
                            &provenance,
                        )?;
                    }
                }
            }
            gathered.resources.drop_gone(&context.tree);
        }
        context.check_budget()
    }

    /// Validators are transformers that must not change anything.
    fn run_validators(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        if self.kustomization.validators.is_empty() {
            return Ok(());
        }
        let configs = self.plugin_configs(context, &self.kustomization.validators, "validators")?;
        for config in configs.list() {
            let validator = transformer_of(context, &self.loader, config)
                .map_err(|errors| errors.field("validators"))?;
            let values =
                |context: &Context<'_>, resources: &Resources| -> Result<Vec<serde_json::Value>> {
                    let list = resources.list().iter();
                    list.map(|resource| Ok(crate::yaml::to_value(&context.tree, resource.root)?))
                        .collect()
                };
            let before = values(context, &gathered.resources)?;
            validator
                .transform(context, &mut gathered.resources)
                .map_err(|errors| errors.field("validators"))?;
            if values(context, &gathered.resources)? != before {
                return Err(BuildError::new("a validator must not change the objects")
                    .field("validators")
                    .into());
            }
        }
        Ok(())
    }
}

/// Lets the objects go that are only configuration of local tools.
fn drop_local(context: &Context<'_>, resources: &mut Resources) -> Result<()> {
    let tree = &context.tree;
    let mut problems = Problems::default();
    for resource in resources
        .list()
        .iter()
        .filter(|resource| !resource.is_gone(tree))
    {
        let kind = node::kind(tree, resource.root);
        let missing = if kind.is_empty() {
            "kind"
        } else if node::name(tree, resource.root).is_empty() && !kind.ends_with("List") {
            "metadata.name"
        } else {
            continue;
        };
        let words = node::describe(tree, resource.root);
        problems.add(resource.origin.place(BuildError::new(format!(
            "missing {missing} in object {words}"
        ))));
    }
    problems.finish()?;
    let is_local = |resource: &super::resource::Resource| {
        resource.is_gone(tree)
            || node::annotation(tree, resource.root, "config.kubernetes.io/local-config")
                .is_some_and(|value| value != "false")
    };
    if resources.list().iter().any(is_local) {
        resources.list_mut().retain(|resource| !is_local(resource));
    }
    Ok(())
}
