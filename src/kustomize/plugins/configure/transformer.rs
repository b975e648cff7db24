//! The builtin transformers, from their configurations and the files that these name.

use super::{GENERATORS, TRANSFORMERS, demand_builtin, with_fields};
use crate::kustomize::context::Context;
use crate::kustomize::decode::{Decoder, Fields, Mode, suggestion};
use crate::kustomize::error::{Result, fail};
use crate::kustomize::jsonpatch::JsonPatch;
use crate::kustomize::loader::Loader;
use crate::kustomize::namespace::{NamespaceTransformer, SubjectMode};
use crate::kustomize::node;
use crate::kustomize::patches::{PatchTransformer, load_merges};
use crate::kustomize::plugins::Transformer;
use crate::kustomize::replace;
use crate::kustomize::resource::Resource;
use crate::kustomize::transform::ValueTarget;
use crate::kustomize::types::{
    Patch, field_specs, image, optional_selector, patch_of, replacement, replica,
};
use crate::yaml::parse;

/// The transformer that an object configures.
#[inline(never)]
pub fn transformer_of(
    context: &mut Context<'_>,
    loader: &Loader,
    config: &Resource,
) -> Result<Transformer> {
    let kind = demand_builtin(context, config)?;
    configure(context, loader, config, &kind).map_err(|errors| {
        let words = format!("{kind} {}", node::name(&context.tree, config.root));
        errors
            .context(&words)
            .each(|error| config.origin.place(error))
    })
}

fn configure(
    context: &mut Context<'_>,
    loader: &Loader,
    config: &Resource,
    kind: &str,
) -> Result<Transformer> {
    match kind {
        "AnnotationsTransformer" | "LabelTransformer" => {
            let name = if kind == "LabelTransformer" {
                "labels"
            } else {
                "annotations"
            };
            with_fields(
                context,
                config,
                &["labels", "annotations", "fieldSpecs"],
                |decoder, fields| {
                    (
                        decoder.text_map(fields, name),
                        field_specs(decoder, fields, "fieldSpecs"),
                    )
                },
            )
            .map(|(pairs, specs)| Transformer::Entries { pairs, specs })
        }
        "ImageTagTransformer" => with_fields(
            context,
            config,
            &["imageTag", "fieldSpecs"],
            |decoder, fields| {
                let id = fields.get("imageTag");
                let image = id
                    .map(|id| image(decoder, id, "imageTag"))
                    .unwrap_or_default();
                (image, field_specs(decoder, fields, "fieldSpecs"))
            },
        )
        .map(|(image, specs)| Transformer::Images { image, specs }),
        "ReplicaCountTransformer" => with_fields(
            context,
            config,
            &["replica", "fieldSpecs"],
            |decoder, fields| {
                let id = fields.get("replica");
                let replica = id
                    .map(|id| replica(decoder, id, "replica"))
                    .unwrap_or_default();
                (replica, field_specs(decoder, fields, "fieldSpecs"))
            },
        )
        .map(|(replica, specs)| Transformer::Replicas { replica, specs }),
        "NamespaceTransformer" => {
            let known = &["fieldSpecs", "unsetOnly", "setRoleBindingSubjects"];
            let (specs, unset_only, mode) =
                with_fields(context, config, known, |decoder, fields| {
                    (
                        field_specs(decoder, fields, "fieldSpecs"),
                        decoder.flag(fields, "unsetOnly"),
                        decoder.text(fields, "setRoleBindingSubjects"),
                    )
                })?;
            Ok(Transformer::Namespace(NamespaceTransformer {
                namespace: node::namespace(&context.tree, config.root).to_owned(),
                specs,
                unset_only,
                subjects: SubjectMode::parse(&mode)?,
            }))
        }
        "PrefixTransformer" | "SuffixTransformer" | "PrefixSuffixTransformer" => {
            let (prefix, suffix, specs) = with_fields(
                context,
                config,
                &["prefix", "suffix", "fieldSpecs"],
                |decoder, fields| {
                    let given = fields.get("fieldSpecs").is_some();
                    let specs = given.then(|| field_specs(decoder, fields, "fieldSpecs"));
                    (
                        decoder.text(fields, "prefix"),
                        decoder.text(fields, "suffix"),
                        specs,
                    )
                },
            )?;
            let Some(specs) = specs else {
                return fail("fieldSpecs is not expected to be nil");
            };
            Ok(match kind {
                "PrefixTransformer" => Transformer::Affix {
                    prefix,
                    suffix: String::new(),
                    specs,
                },
                "SuffixTransformer" => Transformer::Affix {
                    prefix: String::new(),
                    suffix,
                    specs,
                },
                _ => Transformer::PrefixAndSuffix {
                    prefix,
                    suffix,
                    specs,
                },
            })
        }
        "PatchJson6902Transformer" => {
            let patch = with_fields(
                context,
                config,
                &["target", "path", "jsonOp"],
                |decoder, fields| patch_of(decoder, fields, "jsonOp"),
            )?;
            json_patch(context, loader, &patch)
        }
        "PatchStrategicMergeTransformer" => {
            let (paths, patches) =
                with_fields(context, config, &["paths", "patches"], |decoder, fields| {
                    (
                        decoder.texts(fields, "paths"),
                        decoder.text(fields, "patches"),
                    )
                })?;
            if paths.is_empty() && patches.is_empty() {
                return fail("empty file path and empty patch content");
            }
            load_merges(context, loader, &paths, &patches).map(Transformer::StrategicMerge)
        }
        "PatchTransformer" => {
            let patch = with_fields(
                context,
                config,
                &["target", "path", "patch", "options"],
                |decoder, fields| patch_of(decoder, fields, "patch"),
            )?;
            PatchTransformer::load(context, loader, &patch)
                .map(|patch| Transformer::Patch(Box::new(patch)))
        }
        "ReplacementTransformer" => {
            let list = with_fields(context, config, &["replacements"], |decoder, fields| {
                let list = decoder.list(fields, "replacements");
                list.into_iter()
                    .map(|(id, path)| replacement(decoder, id, &path))
                    .collect::<Vec<_>>()
            })?;
            replace::load(context, loader, &list).map(Transformer::Replacements)
        }
        "ValueAddTransformer" => value_add(context, loader, config),
        "HashTransformer" => Ok(Transformer::Hash),
        kind if GENERATORS.contains(&kind) => fail("it is a generator, not a transformer"),
        kind => fail(format!(
            "unable to load builtin `{kind}`{}; the transformers are {}",
            suggestion(kind, TRANSFORMERS),
            TRANSFORMERS.join(", ")
        )),
    }
}

/// A JSON patch of `patchesJson6902`.
#[inline(never)]
pub fn json_patch(
    context: &mut Context<'_>,
    loader: &Loader,
    patch: &Patch,
) -> Result<Transformer> {
    if patch
        .target
        .as_ref()
        .is_none_or(|target| target.id.name.is_empty())
    {
        return fail("must specify the target name");
    }
    let text = match (patch.path.as_str(), patch.inline.as_str()) {
        ("", "") => return fail("empty file path and empty jsonOp"),
        ("", text) => text.to_owned(),
        (file, "") => {
            let (_, text) = loader
                .load_text(context, file)
                .map_err(|errors| errors.field("path"))?;
            if text.is_empty() {
                return fail(format!("patch file '{file}' empty seems to be empty"));
            }
            text
        }
        _ => return fail("must specify a file path or jsonOp, not both"),
    };
    match JsonPatch::read(&text, &context.yaml_limits())? {
        Some(json) if !json.is_empty() => Ok(Transformer::Json {
            patch: json,
            target: patch.target.clone(),
        }),
        _ => fail("patch appears to be empty"),
    }
}

fn value_targets<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Vec<ValueTarget> {
    let mut targets = Vec::new();
    for (id, path) in decoder.list(fields, "targets") {
        if let Some(fields) =
            decoder.fields(id, &path, &["selector", "fieldPath", "filePathPosition"])
        {
            targets.push(ValueTarget {
                selector: optional_selector(decoder, &fields, "selector"),
                field_path: decoder.text(&fields, "fieldPath"),
                file_path_position: decoder.integer(&fields, "filePathPosition"),
            });
        }
    }
    targets
}

fn value_add(context: &mut Context<'_>, loader: &Loader, config: &Resource) -> Result<Transformer> {
    let known = &["value", "targets", "targetFilePath"];
    let (value, mut targets, path) = with_fields(context, config, known, |decoder, fields| {
        (
            decoder.text(fields, "value"),
            value_targets(decoder, fields),
            decoder.text(fields, "targetFilePath"),
        )
    })?;
    let mut value = value.trim().to_owned();
    if value.is_empty() {
        loader
            .root()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .clone_into(&mut value);
    }
    if !path.is_empty() {
        let (file, text) = loader.load_text(context, &path)?;
        if let Some(document) = parse(&text, &file, &context.yaml_limits())? {
            let mut decoder = Decoder::new(&document.tree, Mode::Lenient);
            if let Some(fields) = decoder.fields(document.root, "", &["targets"]) {
                targets.extend(value_targets(&mut decoder, &fields));
            }
            decoder.finish(()).map_err(|errors| errors.in_file(&file))?;
        }
    }
    if targets.is_empty() {
        return fail("must specify at least one target");
    }
    for target in &targets {
        if target.field_path.is_empty() {
            return fail("fieldPath cannot be empty");
        }
        if target.file_path_position < 0 {
            return fail(format!(
                "value of FilePathPosition ({}) cannot be negative",
                target.file_path_position
            ));
        }
    }
    Ok(Transformer::Value { value, targets })
}
