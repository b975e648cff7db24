//! One kustomization: what it gathers from its bases, components and files, and the order of the steps.

mod generators;
mod plugin_configs;
mod transformers;
mod validators;

use std::collections::HashSet;
use std::sync::Arc;

use super::config::{self, Config};
use super::context::Context;
use super::error::{BuildError, BuildErrors, Problems, Result, fail};
use super::factory::resources_of;
use super::hash::add_hashes;
use super::id::ResId;
use super::kustomization::{COMPONENT, KUSTOMIZATION, Kustomization, load, locate};
use super::loader::{Loader, display};
use super::nameref::fix_references;
use super::node;
use super::provenance::{self, Provenance, join_origin};
use super::resources::Resources;
use super::schema::Schema;
use super::vars::{Vars, add_vars, merge_vars, resolve_vars};
use crate::tree::EntryKind;
use crate::yaml::parse;

/// What a kustomization, and those below it, gathered.
#[derive(Default)]
pub struct Gathered {
    pub resources: Resources,
    pub config: Arc<Config>,
    pub vars: Vars,
    /// Something is wrong below: what is left to do is only looked at, since it may need what is not there.
    pub broken: bool,
}

/// A kustomization that is being built.
pub struct Target {
    // Boxed: kustomizations refer to each other hundreds deep.
    pub kustomization: Box<Kustomization>,
    loader: Loader,
    /// The path from the top to this kustomization, if it is recorded.
    origin: Option<String>,
    build_metadata: Vec<String>,
}

impl Target {
    /// The kustomization that was asked for.
    pub fn top(context: &mut Context<'_>, directory: &str) -> Result<Self> {
        let loader = Loader::new(context, directory)?;
        let kustomization = load(context, &loader)?;
        let target = Self {
            origin: (!kustomization.build_metadata.is_empty()).then(String::new),
            build_metadata: kustomization.build_metadata.clone(),
            kustomization,
            loader,
        };
        if let Err(errors) = target.choose_schema(context) {
            let mut problems = Problems::default();
            problems.keep::<()>(Err(target.placed(context, errors)));
            let broken = Gathered {
                broken: true,
                ..Gathered::default()
            };
            problems.keep(target.gather(context, broken));
            problems.finish()?;
        }
        Ok(target)
    }

    /// Builds everything that the kustomization stands for.
    pub fn build(&self, context: &mut Context<'_>) -> Result<Resources> {
        let mut gathered = self.gather(context, Gathered::default())?;
        Self::finish(context, &mut gathered).map_err(|errors| self.placed(context, errors))?;
        Ok(gathered.resources)
    }

    /// The steps that come last, once for the whole.
    fn finish(context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let Gathered {
            resources,
            config,
            vars,
            broken: _,
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
        steps.map_err(|errors| self.placed(context, errors))?;
        Ok(gathered)
    }

    /// Says that the errors came up under this kustomization, and where in its file.
    pub fn placed(&self, context: &Context<'_>, errors: BuildErrors) -> BuildErrors {
        let file = &self.kustomization.file;
        let ours = |error: &BuildError| error.file.is_none() && error.line == 0;
        let document = errors
            .0
            .iter()
            .any(|error| ours(error) && error.field.is_some())
            .then(|| {
                let bytes = context.files.read(file).ok()??;
                let text = str::from_utf8(&bytes).ok()?;
                parse(text, file, &context.yaml_limits()).ok()?
            })
            .flatten();
        errors
            .each(|error| match (&document, &error.field) {
                (Some(document), Some(field)) if ours(&error) => {
                    let place = locate(document, field);
                    error.at(place)
                }
                _ => error,
            })
            .under(file)
    }

    fn gather_steps(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let mut problems = Problems::default();
        let steps: [fn(&Self, &mut Context<'_>, &mut Gathered) -> Result<()>; 8] = [
            |target, _, _| target.kustomization.problems(),
            |target, context, gathered| {
                let resources = &target.kustomization.resources;
                target.accumulate(context, gathered, resources, "resources")
            },
            Self::configure,
            Self::run_generators,
            Self::accumulate_components,
            Self::run_transformers,
            Self::run_validators,
            |target, context, gathered| {
                if gathered.broken {
                    return Ok(());
                }
                let vars = &target.kustomization.vars;
                merge_vars(context, &mut gathered.resources, &mut gathered.vars, vars)
                    .map_err(|errors| errors.field("vars"))
            },
        ];
        for step in steps {
            if problems.keep(step(self, context, gathered)).is_none() {
                gathered.broken = true;
            }
            if context.is_spent() {
                break;
            }
        }
        problems.finish()
    }

    fn configure(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> Result<()> {
        let mut problems = Problems::default();
        let (configurations, crds) = (&self.kustomization.configurations, &self.kustomization.crds);
        for loaded in [
            config::load(context, &self.loader, configurations),
            config::load_crds(context, &self.loader, crds),
        ] {
            let merged = loaded.and_then(|config| config::merged(&gathered.config, &config));
            if let Some(config) = problems.keep(merged) {
                gathered.config = config;
            }
        }
        problems.finish()
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
            if context.is_spent() {
                break;
            }
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
        let (file, documents) = self.loader.load_documents(context, path)?;
        let resources = resources_of(context, &documents.list, &file)?;
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
        let mut problems = Problems::default();
        for (index, path) in self.kustomization.components.iter().enumerate() {
            let done = self.accumulate_directory(context, gathered, path, true);
            let done = done.map_err(|errors| errors.field(&format!("components[{index}]")));
            if problems.keep(done).is_none() {
                gathered.broken = true;
            }
            if context.is_spent() {
                break;
            }
        }
        problems.finish()
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
        let target = Self {
            origin: self.origin.as_ref().map(|origin| join_origin(origin, path)),
            build_metadata: self.build_metadata.clone(),
            kustomization,
            loader,
        };
        target.demand_kind(component)?;
        let mut problems = Problems::default();
        let chosen = target.choose_schema(context);
        problems.keep(chosen.map_err(|errors| target.placed(context, errors)));
        if component {
            let mut before = std::mem::take(gathered);
            before.broken |= !problems.is_empty();
            let after = problems.keep(target.gather(context, before));
            problems.finish()?;
            let Some(after) = after else { return Ok(()) };
            gathered.config = after.config;
            gathered.vars = after.vars;
            // A component's objects become those of a new set, so that two of one identity show.
            return gathered
                .resources
                .append_all(context, after.resources.into_list());
        }
        let start = Gathered {
            broken: !problems.is_empty(),
            ..Gathered::default()
        };
        let below = problems.keep(target.gather(context, start));
        problems.finish()?;
        let Some(below) = below else { return Ok(()) };
        gathered
            .resources
            .append_all(context, below.resources.into_list())?;
        gathered.config = config::merged(&gathered.config, &below.config)?;
        add_vars(&mut gathered.vars, below.vars.into_values())
            .map_err(|errors| errors.field("vars"))
    }

    /// A component is listed under `components`, and nothing else is.
    fn demand_kind(&self, component: bool) -> Result<()> {
        let (kind, root) = (&self.kustomization.kind, display(self.loader.root()));
        if component && kind == KUSTOMIZATION {
            return fail(format!(
                "expected kind '{COMPONENT}' for path '{root}' but got '{kind}'; list it under `resources`"
            ));
        }
        if !component && kind == COMPONENT {
            return fail(format!(
                "expected kind != '{COMPONENT}' for path '{root}'; list it under `components`"
            ));
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
        let kind = node::checked_kind(tree, resource.root);
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
        // What stays is told by its identity: one that is called as another that stays, stays with it.
        let stay: HashSet<ResId> = resources
            .list()
            .iter()
            .filter(|resource| !is_local(resource))
            .map(|resource| resource.id(context))
            .collect();
        resources.list_mut().retain(|resource| {
            !is_local(resource) || (!resource.is_gone(tree) && stay.contains(&resource.id(context)))
        });
    }
    Ok(())
}
