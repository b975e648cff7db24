//! The kustomize engine: the objects that `kustomize build` prints, from the files of a commit. Pure: it reads through
//! [`Files`] only; nothing is executed and nothing comes from the network, the clock or the environment.

// Whole builtins, and what a step does when there is something to do, are `inline(never)` where a build mostly needs none of them:
// what is not needed shall not have to be loaded with what is.
mod config;
mod context;
mod decode;
mod error;
mod factory;
mod fieldspec;
mod generate;
mod hash;
mod id;
mod images;
mod json;
mod jsonpatch;
mod kustomization;
mod loader;
mod merge;
mod nameref;
mod namespace;
mod node;
mod parsed;
mod patches;
mod path;
mod plugins;
mod provenance;
mod regex;
mod replace;
mod resource;
mod resources;
mod schema;
mod selector;
mod sort;
mod structured;
mod target;
mod transform;
mod types;
mod vars;

use serde_json::Value;

use crate::object::Object;
use crate::tree::{FileError, Files};
use crate::yaml::{append_yaml, to_value};

use context::Context;
use target::Target;
use types::SortOptions;

pub use decode::nearest;
pub use error::{BuildError, BuildErrors, Problems};
pub use factory::{SOPS_REFUSAL, is_sops_encrypted};
pub use id::is_cluster_scoped;
pub use loader::{FILE_NAMES, is_remote};
pub use parsed::ParsedFiles;
pub use resource::Origin;

/// Which files a kustomization may load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoadRestrictor {
    /// Those in or below its own directory.
    #[default]
    RootOnly,
    None,
}

/// The order of the objects, where the kustomization does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reorder {
    /// By kind.
    Legacy,
    /// As they came.
    None,
}

/// How much one build may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Files read, each reading counted.
    pub files: usize,
    /// Bytes read, and of text made of them.
    pub bytes: usize,
    /// Nodes of YAML made, copies included.
    pub nodes: usize,
    /// Levels of nesting in one document.
    pub depth: usize,
    /// Kustomizations on the way from the top to one of them.
    pub layers: usize,
}

impl Limits {
    pub const DEFAULT: Self = Self {
        files: 100_000,
        bytes: 256 << 20,
        nodes: 10_000_000,
        depth: 100,
        layers: 250,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The flags of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BuildOptions {
    pub load_restrictor: LoadRestrictor,
    pub reorder: Option<Reorder>,
    pub enable_managedby_label: bool,
    pub limits: Limits,
}

/// One object of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub object: Object,
    pub origin: Origin,
}

/// What a build makes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    pub resources: Vec<Resource>,
    pub warnings: Vec<String>,
}

impl Build {
    /// The text that `kustomize build` prints.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for (index, resource) in self.resources.iter().enumerate() {
            if index > 0 {
                text.push_str("---\n");
            }
            append_yaml(&mut text, &resource.object.0);
        }
        text
    }
}

/// The version of `kustomize` whose objects these are.
pub const KUSTOMIZE_VERSION: &str = "v5.8.2";

/// Whether a directory has a kustomization file.
pub fn is_kustomization(files: &dyn Files, directory: &str) -> Result<bool, FileError> {
    Ok(!loader::kustomization_files(files, directory)?.is_empty())
}

/// Builds the kustomization in `directory`.
pub fn build(
    files: &dyn Files,
    directory: &str,
    options: &BuildOptions,
) -> Result<Build, BuildErrors> {
    build_with(files, directory, options, None)
}

/// Like [`build`], with files that other builds parsed.
pub fn build_with(
    files: &dyn Files,
    directory: &str,
    options: &BuildOptions,
    parsed: Option<&ParsedFiles>,
) -> Result<Build, BuildErrors> {
    let mut context = Context::new(files, options, parsed);
    let target = Target::top(&mut context, directory)?;
    let mut resources = target.build(&mut context)?;
    let kustomization = &target.kustomization;
    let file = kustomization.file.as_str();
    let sort_options = match (&kustomization.sort_options, options.reorder) {
        (Some(sort_options), reorder) => {
            if reorder.is_some() {
                context.warnings.push(format!(
                    "{file}: the order is set both in `sortOptions` and by --reorder; `sortOptions` is used"
                ));
            }
            Some(sort_options.clone())
        }
        (None, Some(Reorder::None)) => None,
        (None, _) => Some(SortOptions::legacy()),
    };
    if let Some(sort_options) = sort_options {
        sort::sort(&context, &mut resources, &sort_options)
            .map_err(|errors| errors.field("sortOptions").under(file))?;
    }
    let has = |option: &str| {
        kustomization
            .build_metadata
            .iter()
            .any(|there| there == option)
    };
    if options.enable_managedby_label || has("managedByLabel") {
        let label = (
            "app.kubernetes.io/managed-by".to_owned(),
            format!("kustomize-{KUSTOMIZE_VERSION}"),
        );
        let spec = fieldspec::FieldSpec::of("metadata/labels", true);
        transform::set_entries(&mut context, &mut resources, &[label], &[spec])
            .map_err(|errors| errors.under(file))?;
    }
    let mut drop = Vec::new();
    if !has("originAnnotations") {
        drop.push(provenance::ORIGIN);
    }
    if !has("transformerAnnotations") {
        drop.push(provenance::TRANSFORMATIONS);
    }
    let mut problems = Problems::default();
    let mut built = Vec::with_capacity(resources.len());
    for resource in resources.into_list() {
        let value = resource
            .clean_annotations(&mut context.tree, &drop)
            .and_then(|()| Ok(to_value(&context.tree, resource.root)?))
            .map_err(|errors| {
                errors
                    .each(|error| resource.origin.place(error))
                    .under(file)
            });
        if let Some(Value::Object(map)) = problems.keep(value) {
            built.push(Resource {
                object: Object(map),
                origin: resource.origin,
            });
        }
    }
    problems.finish()?;
    Ok(Build {
        resources: built,
        warnings: context.warnings,
    })
}

#[cfg(test)]
mod tests;
