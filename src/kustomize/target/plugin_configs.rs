//! The objects that configure plugins, and what is recorded of where they came from.

use super::{Gathered, Target};
use crate::kustomize::context::Context;
use crate::kustomize::error::{Problems, Result};
use crate::kustomize::factory::resources_from;
use crate::kustomize::node;
use crate::kustomize::provenance::{self, Provenance, join_origin};
use crate::kustomize::resource::Resource;
use crate::kustomize::resources::Resources;

impl Target {
    /// The plugin configurations in a list of files, directories and inline objects.
    #[inline(never)]
    pub(super) fn plugin_configs(
        &self,
        context: &mut Context<'_>,
        list: &[String],
        field: &str,
    ) -> Result<Resources> {
        let mut gathered = Gathered::default();
        let mut problems = Problems::default();
        let mut paths = Vec::new();
        for (index, entry) in list.iter().enumerate() {
            match resources_from(context, entry.as_bytes(), "") {
                Ok(inline) => {
                    if let Some(file) = self.configured_in() {
                        let text = Provenance::of_path(file).text();
                        for resource in &inline {
                            provenance::set_origin(&mut context.tree, resource.root, &text)?;
                        }
                    }
                    gathered.resources.append_all(context, inline)?;
                }
                Err(errors) if entry.contains('\n') => {
                    problems.keep::<()>(Err(errors.inline(&format!("{field}[{index}]"))));
                }
                Err(_) => paths.push(entry.clone()),
            }
        }
        problems.keep(self.accumulate(context, &mut gathered, &paths, field));
        problems.finish()?;
        Ok(gathered.resources)
    }

    /// The file of the kustomization, where provenance is recorded.
    pub(super) fn configured_in(&self) -> Option<String> {
        let name = self
            .kustomization
            .file
            .rsplit('/')
            .next()
            .unwrap_or_default();
        self.origin.as_ref().map(|origin| join_origin(origin, name))
    }

    /// Where a plugin configuration came from, if that is recorded.
    pub(super) fn provenance_of(context: &Context<'_>, config: &Resource) -> Option<Provenance> {
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
}
