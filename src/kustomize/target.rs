//! One kustomization: what it gathers from its bases, components and files, and the order of the steps.

mod steps;
mod validators;

use std::sync::Arc;

use super::config::{self, Config};
use super::context::Context;
use super::error::{BuildError, Problems, Result, fail};
use super::factory::resources_of;
use super::hash::add_hashes;
use super::kustomization::{COMPONENT, Kustomization, load};
use super::loader::{Loader, display};
use super::nameref::fix_references;
use super::node;
use super::provenance::{self, Provenance};
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
