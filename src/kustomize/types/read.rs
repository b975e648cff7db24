//! How the parts of a kustomization are decoded.

use super::{
    FieldOptions, GeneratorArgs, GeneratorOptions, Image, Label, Patch, Replacement, Replica,
    SortOptions, Source, Target, Var,
};
use crate::kustomize::decode::{Decoder, Fields};
use crate::kustomize::fieldspec::FieldSpec;
use crate::kustomize::id::{Gvk, ResId};
use crate::kustomize::selector::Selector;
use crate::yaml::NodeId;

fn gvk<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Gvk {
    Gvk {
        group: decoder.text(fields, "group").into(),
        version: decoder.text(fields, "version").into(),
        kind: decoder.text(fields, "kind").into(),
    }
}

fn res_id<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> ResId {
    ResId {
        gvk: gvk(decoder, fields),
        name: decoder.text(fields, "name"),
        namespace: decoder.text(fields, "namespace"),
        cluster_scoped: false,
    }
}

fn field_spec(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> FieldSpec {
    let known = &["group", "version", "kind", "path", "create"];
    let Some(fields) = decoder.fields(id, path, known) else {
        return FieldSpec::default();
    };
    FieldSpec {
        gvk: gvk(decoder, &fields),
        path: decoder.text(&fields, "path").into(),
        create: decoder.flag(&fields, "create"),
    }
}

pub fn field_specs<'t>(
    decoder: &mut Decoder<'t>,
    fields: &Fields<'t>,
    name: &str,
) -> Vec<FieldSpec> {
    let list = decoder.list(fields, name);
    list.into_iter()
        .map(|(id, path)| field_spec(decoder, id, &path))
        .collect()
}

/// Kinds with the fields that refer to them by name.
pub fn back_references<'t>(
    decoder: &mut Decoder<'t>,
    fields: &Fields<'t>,
    name: &str,
) -> Vec<(Gvk, Vec<FieldSpec>)> {
    let mut result = Vec::new();
    for (id, path) in decoder.list(fields, name) {
        if let Some(fields) = decoder.fields(id, &path, &["group", "version", "kind", "fieldSpecs"])
        {
            result.push((
                gvk(decoder, &fields),
                field_specs(decoder, &fields, "fieldSpecs"),
            ));
        }
    }
    result
}

fn selector(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Selector {
    let known = &[
        "group",
        "version",
        "kind",
        "name",
        "namespace",
        "annotationSelector",
        "labelSelector",
    ];
    let Some(fields) = decoder.fields(id, path, known) else {
        return Selector::default();
    };
    Selector {
        id: res_id(decoder, &fields),
        labels: decoder.text(&fields, "labelSelector"),
        annotations: decoder.text(&fields, "annotationSelector"),
    }
}

pub fn optional_selector<'t>(
    decoder: &mut Decoder<'t>,
    fields: &Fields<'t>,
    name: &str,
) -> Option<Selector> {
    let id = fields.get(name)?;
    Some(selector(decoder, id, &fields.path(name)))
}

pub fn generator_options<'t>(
    decoder: &mut Decoder<'t>,
    fields: &Fields<'t>,
    name: &str,
) -> Option<GeneratorOptions> {
    let id = fields.get(name)?;
    let known = &[
        "labels",
        "annotations",
        "disableNameSuffixHash",
        "immutable",
    ];
    let fields = decoder.fields(id, &fields.path(name), known)?;
    Some(GeneratorOptions {
        labels: decoder.text_map(&fields, "labels"),
        annotations: decoder.text_map(&fields, "annotations"),
        disable_name_suffix_hash: decoder.flag(&fields, "disableNameSuffixHash"),
        immutable: decoder.flag(&fields, "immutable"),
    })
}

pub const GENERATOR_FIELDS: &[&str] = &[
    "namespace",
    "name",
    "behavior",
    "literals",
    "files",
    "envs",
    "env",
    "options",
    "type",
];
const CONFIG_MAP_FIELDS: &[&str] = GENERATOR_FIELDS.split_at(8).0;

pub fn generator_args<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> GeneratorArgs {
    let mut envs = decoder.texts(fields, "envs");
    let env = decoder.text(fields, "env");
    if !env.is_empty() {
        envs.push(env);
    }
    GeneratorArgs {
        name: decoder.text(fields, "name"),
        namespace: decoder.text(fields, "namespace"),
        behavior: decoder.text(fields, "behavior"),
        literals: decoder.texts(fields, "literals"),
        files: decoder.texts(fields, "files"),
        envs,
        secret_type: decoder.text(fields, "type"),
        options: generator_options(decoder, fields, "options"),
    }
}

pub fn generators<'t>(
    decoder: &mut Decoder<'t>,
    fields: &Fields<'t>,
    name: &str,
    secret: bool,
) -> Vec<GeneratorArgs> {
    let known = if secret {
        GENERATOR_FIELDS
    } else {
        CONFIG_MAP_FIELDS
    };
    let mut result = Vec::new();
    for (id, path) in decoder.list(fields, name) {
        if let Some(fields) = decoder.fields(id, &path, known) {
            result.push(generator_args(decoder, &fields));
        }
    }
    result
}

pub fn label(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Label {
    let known = &[
        "pairs",
        "includeSelectors",
        "includeTemplates",
        "includeVolumeClaimTemplates",
        "fields",
    ];
    let Some(fields) = decoder.fields(id, path, known) else {
        return Label::default();
    };
    Label {
        pairs: decoder.text_map(&fields, "pairs"),
        include_selectors: decoder.flag(&fields, "includeSelectors"),
        include_templates: decoder.flag(&fields, "includeTemplates"),
        include_volume_claim_templates: decoder.flag(&fields, "includeVolumeClaimTemplates"),
        fields: field_specs(decoder, &fields, "fields"),
    }
}

pub fn patch_of<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>, inline: &str) -> Patch {
    let mut patch = Patch {
        path: decoder.text(fields, "path"),
        inline: decoder.text(fields, inline),
        target: optional_selector(decoder, fields, "target"),
        ..Patch::default()
    };
    if let Some(id) = fields.get("options")
        && let Some(options) = decoder.fields(
            id,
            &fields.path("options"),
            &["allowNameChange", "allowKindChange"],
        )
    {
        patch.allow_name_change = decoder.flag(&options, "allowNameChange");
        patch.allow_kind_change = decoder.flag(&options, "allowKindChange");
    }
    patch
}

pub fn patch(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Patch {
    let known = &["path", "patch", "target", "options"];
    match decoder.fields(id, path, known) {
        Some(fields) => patch_of(decoder, &fields, "patch"),
        None => Patch::default(),
    }
}

pub fn image(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Image {
    let known = &["name", "newName", "tagSuffix", "newTag", "digest"];
    let Some(fields) = decoder.fields(id, path, known) else {
        return Image::default();
    };
    Image {
        name: decoder.text(&fields, "name"),
        new_name: decoder.text(&fields, "newName"),
        tag_suffix: decoder.text(&fields, "tagSuffix"),
        new_tag: decoder.text(&fields, "newTag"),
        digest: decoder.text(&fields, "digest"),
    }
}

pub fn replica(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Replica {
    let Some(fields) = decoder.fields(id, path, &["name", "count"]) else {
        return Replica::default();
    };
    Replica {
        name: decoder.text(&fields, "name"),
        count: decoder.integer(&fields, "count"),
    }
}

fn field_options<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Option<FieldOptions> {
    let id = fields.get("options")?;
    let known = &["delimiter", "index", "encoding", "create"];
    let fields = decoder.fields(id, &fields.path("options"), known)?;
    decoder.text(&fields, "encoding");
    Some(FieldOptions {
        delimiter: decoder.text(&fields, "delimiter"),
        index: decoder.integer(&fields, "index"),
        create: decoder.flag(&fields, "create"),
    })
}

fn source<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Option<Source> {
    let id = fields.get("source")?;
    let known = &[
        "group",
        "version",
        "kind",
        "name",
        "namespace",
        "fieldPath",
        "options",
    ];
    let fields = decoder.fields(id, &fields.path("source"), known)?;
    Some(Source {
        id: res_id(decoder, &fields),
        field_path: decoder.text(&fields, "fieldPath"),
        options: field_options(decoder, &fields),
    })
}

fn replacement_target(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Target {
    let Some(fields) = decoder.fields(id, path, &["select", "reject", "fieldPaths", "options"])
    else {
        return Target::default();
    };
    let reject = decoder.list(&fields, "reject");
    Target {
        select: optional_selector(decoder, &fields, "select"),
        reject: reject
            .into_iter()
            .map(|(id, path)| selector(decoder, id, &path))
            .collect(),
        field_paths: decoder.texts(&fields, "fieldPaths"),
        options: field_options(decoder, &fields),
    }
}

pub fn replacement(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Replacement {
    let Some(fields) = decoder.fields(id, path, &["source", "sourceValue", "targets", "path"])
    else {
        return Replacement::default();
    };
    let targets = fields
        .get("targets")
        .is_some()
        .then(|| decoder.list(&fields, "targets"));
    Replacement {
        path: decoder.text(&fields, "path"),
        source: source(decoder, &fields),
        source_value: fields
            .get("sourceValue")
            .is_some()
            .then(|| decoder.text(&fields, "sourceValue")),
        targets: targets.map(|list| {
            let targets = list.into_iter();
            targets
                .map(|(id, path)| replacement_target(decoder, id, &path))
                .collect()
        }),
    }
}

pub fn var(decoder: &mut Decoder<'_>, id: NodeId, path: &str) -> Var {
    let mut result = Var::default();
    let Some(fields) = decoder.fields(id, path, &["name", "objref", "fieldref"]) else {
        return result;
    };
    result.name = decoder.text(&fields, "name");
    let known = &[
        "apiVersion",
        "group",
        "version",
        "kind",
        "name",
        "namespace",
    ];
    if let Some(objref) = fields.get("objref")
        && let Some(fields) = decoder.fields(objref, &fields.path("objref"), known)
    {
        result.target = res_id(decoder, &fields);
        let api_version = decoder.text(&fields, "apiVersion");
        match api_version.split('/').collect::<Vec<_>>()[..] {
            [""] => {}
            [version] => result.target.gvk.version = version.to_owned().into(),
            [group, version] => {
                result.target.gvk.group = group.to_owned().into();
                result.target.gvk.version = version.to_owned().into();
            }
            _ => {}
        }
    }
    if let Some(fieldref) = fields.get("fieldref")
        && let Some(fields) = decoder.fields(fieldref, &fields.path("fieldref"), &["fieldPath"])
    {
        result.field_path = decoder.text(&fields, "fieldPath");
    }
    if result.field_path.is_empty() {
        "metadata.name".clone_into(&mut result.field_path);
    }
    result
}

pub fn sort_options<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Option<SortOptions> {
    let id = fields.get("sortOptions")?;
    let fields = decoder.fields(
        id,
        &fields.path("sortOptions"),
        &["order", "legacySortOptions"],
    )?;
    let mut options = SortOptions {
        order: decoder.text(&fields, "order"),
        legacy: None,
    };
    if let Some(id) = fields.get("legacySortOptions")
        && let Some(fields) = decoder.fields(
            id,
            &fields.path("legacySortOptions"),
            &["orderFirst", "orderLast"],
        )
    {
        options.legacy = Some((
            decoder.texts(&fields, "orderFirst"),
            decoder.texts(&fields, "orderLast"),
        ));
    }
    Some(options)
}
