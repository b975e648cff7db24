//! The order in which objects come out.

use super::context::Context;
use super::error::{Result, fail};
use super::id::{ResId, kind_rank};
use super::resources::Resources;
use super::types::SortOptions;
use crate::yaml::merge_sort;

/// Sorts the objects as the options say.
pub fn sort(context: &Context<'_>, resources: &mut Resources, options: &SortOptions) -> Result<()> {
    match (options.order.as_str(), &options.legacy) {
        ("fifo", None) => Ok(()),
        ("fifo", Some(_)) => fail(
            "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not 'legacy'",
        ),
        ("legacy", legacy) => {
            let defaults;
            let (first, last) = if let Some(lists) = legacy {
                lists
            } else {
                defaults = super::id::default_kind_order();
                &defaults
            };
            let keyed: Vec<(Key, super::resource::Resource)> = std::mem::take(resources)
                .into_list()
                .into_iter()
                .map(|resource| (Key::of(&resource.id(context), first, last), resource))
                .collect();
            // Namespaces with and without group are ordered in a way that is not total.
            let sorted = merge_sort(keyed, &|a, b| b.0.is_before(&a.0));
            resources.append_all(context, sorted.into_iter().map(|(_, resource)| resource))
        }
        _ => fail("the field 'sortOptions.order' must be one of [fifo, legacy]"),
    }
}

struct Key {
    id: ResId,
    rank: i64,
    gvk: String,
    name: String,
}

impl Key {
    fn of(id: &ResId, first: &[String], last: &[String]) -> Self {
        let or = |text: &str, none: &'static str| {
            if text.is_empty() {
                none.to_owned()
            } else {
                text.to_owned()
            }
        };
        Self {
            rank: kind_rank(&id.gvk.kind, first, last),
            gvk: id.gvk.sort_text(),
            name: format!(
                "{}|{}|{}",
                id.gvk,
                or(&id.namespace, "~X"),
                or(&id.name, "~N")
            ),
            id: id.clone(),
        }
    }

    fn is_before(&self, other: &Self) -> bool {
        if self.id.gvk == other.id.gvk {
            return self.name < other.name;
        }
        if self.rank != other.rank {
            return self.rank < other.rank;
        }
        let namespaces = self.id.gvk.kind == "Namespace" && other.id.gvk.kind == "Namespace";
        if namespaces && (self.id.gvk.group.is_empty() || other.id.gvk.group.is_empty()) {
            return self.gvk > other.gvk;
        }
        self.gvk < other.gvk
    }
}
