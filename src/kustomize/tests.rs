mod fixtures;

use proptest::prelude::*;

use super::*;
use crate::tree::MemoryFiles;

fn files(list: &[(&str, &str)]) -> MemoryFiles {
    MemoryFiles::new(list.iter().map(|(path, text)| (*path, *text)))
}

/// The text of a build, or its errors.
fn built(list: &[(&str, &str)], directory: &str) -> Result<String, String> {
    let options = BuildOptions::default();
    build(&files(list), directory, &options)
        .map(|build| build.to_yaml())
        .map_err(|errors| errors.to_string())
}

fn refused(list: &[(&str, &str)], directory: &str) -> String {
    built(list, directory).expect_err("it has to be refused")
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  template:
    spec:
      containers:
      - name: api
        image: registry.example.com/api:1
        envFrom:
        - configMapRef:
            name: settings
        env:
        - {name: LEVEL, value: info}
      - name: sidecar
        image: sidecar
";

#[test]
fn a_replacement_empties_no_text_where_its_path_ends_in_a_dot() {
    let replacement = "resources: [it.yaml]\nreplacements:\n- source: {kind: Deployment, fieldPath: spec.from}\n  targets:\n  \
                       - select: {kind: Deployment}\n    options: {create: true}\n    fieldPaths: [spec.note.]\n";
    let object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: it}\nspec: {note: text, from: x}\n";
    let error = refused(
        &[
            ("top/kustomization.yaml", replacement),
            ("top/it.yaml", object),
        ],
        "top",
    );
    assert!(error.contains("the path has an empty part"), "{error}");
}

#[test]
fn an_overlay_on_a_base() {
    let text = built(
        &[
            (
                "base/kustomization.yaml",
                "resources: [api.yaml]\nconfigMapGenerator:\n- name: settings\n  literals: [a=1]\n",
            ),
            ("base/api.yaml", DEPLOYMENT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nnamePrefix: prod-\nnamespace: shop\nlabels:\n- pairs: {app: api}\n  includeSelectors: true\n\
                 images:\n- {name: registry.example.com/api, newTag: v2}\nreplicas:\n- {name: api, count: 3}\n\
                 configMapGenerator:\n- name: settings\n  behavior: merge\n  literals: [b=2]\n\
                 patches:\n- path: patch.yaml\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/paused, value: true}\n",
            ),
            (
                "prod/patch.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      containers:\n\
                 \x20     - name: api\n        env:\n        - {name: LEVEL, value: debug}\n        - {name: NEW, value: \"1\"}\n      - name: sidecar\n        $patch: delete\n",
            ),
        ],
        "prod",
    );
    let expected = "\
apiVersion: v1
data:
  a: \"1\"
  b: \"2\"
kind: ConfigMap
metadata:
  labels:
    app: api
  name: prod-settings-7gdc49gk6d
  namespace: shop
---
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: api
  name: prod-api
  namespace: shop
spec:
  paused: true
  replicas: 3
  selector:
    matchLabels:
      app: api
  template:
    metadata:
      labels:
        app: api
    spec:
      containers:
      - env:
        - name: LEVEL
          value: debug
        - name: NEW
          value: \"1\"
        envFrom:
        - configMapRef:
            name: prod-settings-7gdc49gk6d
        image: registry.example.com/api:v2
        name: api
";
    assert_eq!(text.as_deref(), Ok(expected));
}

#[test]
fn every_problem_is_reported_with_its_place_and_the_way_there() {
    let list = [
        (
            "top/kustomization.yaml",
            "resources:\n- ../base\n- missing.yaml\n",
        ),
        (
            "base/kustomization.yaml",
            "resource: [a.yaml]\nnamePrefix: 5\n",
        ),
    ];
    assert_eq!(
        refused(&list, "top"),
        "base/kustomization.yaml:1:1: unknown field `resource`; did you mean `resources`? (through top/kustomization.yaml → base/kustomization.yaml)\n\
         base/kustomization.yaml:2:13: namePrefix: text is expected, but it is the number `5`; quote it (through top/kustomization.yaml → base/kustomization.yaml)\n\
         top/kustomization.yaml:3:3: resources[1]: `missing.yaml` does not exist"
    );
    let list = [
        ("top/kustomization.yaml", "resources: [a.yaml, b.yaml]\n"),
        (
            "top/a.yaml",
            "kind: ConfigMap\nmetadata: {name: a}\n---\nkind: ConfigMap\n",
        ),
        ("top/b.yaml", "a: b: c\n"),
    ];
    let errors = refused(&list, "top");
    assert!(
        errors.starts_with(
            "top/a.yaml:4:1: missing metadata.name in the object of kind ConfigMap\ntop/b.yaml:1:"
        ),
        "{errors}"
    );
}

#[test]
fn one_run_lists_the_problems_of_all_kustomizations_of_a_tree() {
    let list = [
        (
            "top/kustomization.yaml",
            "nmePrefix: x\nresources:\n- ../base\n- missing.yaml\n- other.yaml\n\
             patches:\n- path: none.yaml\n- path: bad.yaml\n- target: {knd: Service}\n  patch: |\n    a: b: c\n\
             configMapGenerator:\n- name: c\n  files: [one, k=two]\n  literals: [three]\n  behaviour: merge\n\
             components: [../part]\ntransformers: [t.yaml]\n",
        ),
        ("top/bad.yaml", "kind: ConfigMap\nmetadata: {}\n"),
        (
            "top/t.yaml",
            "apiVersion: builtin\nkind: LabelTransfomer\nmetadata: {name: t}\n",
        ),
        (
            "base/kustomization.yaml",
            "apiVersion: v1\nbase: [x]\nresources:\n- ../deeper\n",
        ),
        (
            "deeper/kustomization.yaml",
            "resources: []\nreplicas:\n- {nam: x}\n",
        ),
        (
            "part/kustomization.yaml",
            "kind: Componnt\nresources: [gone.yaml]\n",
        ),
    ];
    insta::assert_snapshot!(refused(&list, "top"));
    // What fails while it is applied does not hide the rest either.
    let list = [
        (
            "kustomization.yaml",
            "resources: [a.yaml]\nreplicas:\n- {name: x, count: 1}\npatches:\n- path: p.yaml\n\
             - target: {kind: ConfigMap}\n  patch: '[{\"op\": \"remove\", \"path\": \"/data/none\"}]'\n\
             replacements:\n- source: {kind: Secret}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.a]}]\n",
        ),
        (
            "a.yaml",
            "kind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n",
        ),
        (
            "p.yaml",
            "kind: ConfigMap\nmetadata: {name: settngs}\n---\nkind: ConfigMap\nmetadata: {name: other}\n",
        ),
    ];
    insta::assert_snapshot!(refused(&list, ""));
}

#[test]
fn what_two_ways_lead_to_is_said_once() {
    let list = [
        ("top/kustomization.yaml", "resources: [../a, ../b]\n"),
        (
            "a/kustomization.yaml",
            "resources: [../base]\nnamePrefix: a-\n",
        ),
        (
            "b/kustomization.yaml",
            "resources: [../base]\nnamePrefix: b-\n",
        ),
        ("base/kustomization.yaml", "resource: []\n"),
    ];
    assert_eq!(refused(&list, "top").lines().count(), 1);
}

#[test]
fn what_needs_network_execution_or_keys_is_refused() {
    for (kustomization, expected) in [
        (
            "resources: [\"https://example.com/x.yaml\"]",
            "is a remote address: nothing is read from the network",
        ),
        (
            "resources: [\"github.com/a/b//c?ref=v1\"]",
            "is a remote address: nothing is read from the network",
        ),
        (
            "helmCharts: [{name: x}]",
            "Helm charts are not rendered inside of a kustomization",
        ),
        (
            "transformers: [t.yaml]",
            "`Exec` is an external plugin; nothing is executed here",
        ),
        (
            "generators: [f.yaml]",
            "`Run` is a function that runs a container or a program",
        ),
        (
            "resources: [s.yaml]",
            "s.yaml:1:1: the file is encrypted with SOPS",
        ),
        (
            "resources: [../x.yaml]",
            "security; file `x.yaml` is not in or below `top`",
        ),
        (
            "configMapGenerator: [{name: a, files: [../x.yaml]}]",
            "security; file `x.yaml` is not in or below `top`",
        ),
    ] {
        let errors = refused(
            &[
                ("top/kustomization.yaml", kustomization),
                (
                    "top/t.yaml",
                    "apiVersion: x.example/v1\nkind: Exec\nmetadata: {name: t}\n",
                ),
                (
                    "top/f.yaml",
                    "apiVersion: v1\nkind: Run\nmetadata:\n  name: f\n  annotations: {config.kubernetes.io/function: \"container: {image: x}\"}\n",
                ),
                (
                    "top/s.yaml",
                    "kind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n",
                ),
                ("x.yaml", DEPLOYMENT),
            ],
            "top",
        );
        assert!(errors.contains(expected), "{kustomization}: {errors}");
    }
}

#[test]
fn cycles_are_found() {
    let list = [
        ("a/kustomization.yaml", "resources: [../b]"),
        ("b/kustomization.yaml", "resources: [../a]"),
        ("c/kustomization.yaml", "resources: [.]"),
        ("d/kustomization.yaml", "resources: [..]"),
        ("kustomization.yaml", "resources: [d]"),
    ];
    assert!(refused(&list, "a").contains("cycle detected: `a` contains `a`"));
    assert!(refused(&list, "c").contains("cycle detected: `c` contains `c`"));
    assert!(refused(&list, "d").contains("cycle detected: `.` contains `d`"));
}

#[test]
fn a_diamond_that_doubles_meets_the_budget() {
    let mut list = vec![(
        "l0/kustomization.yaml".to_owned(),
        "resources: [a.yaml]".to_owned(),
    )];
    list.push((
        "l0/a.yaml".to_owned(),
        "kind: ConfigMap\nmetadata: {name: a}\n".to_owned(),
    ));
    for layer in 1..40 {
        list.push((
            format!("l{layer}/kustomization.yaml"),
            format!("resources: [../x{layer}, ../y{layer}]"),
        ));
        for side in ["x", "y"] {
            list.push((
                format!("{side}{layer}/kustomization.yaml"),
                format!("namePrefix: {side}-\nresources: [../l{}]", layer - 1),
            ));
        }
    }
    let files = MemoryFiles::new(list);
    let options = BuildOptions {
        limits: Limits {
            files: 2000,
            ..Limits::default()
        },
        ..BuildOptions::default()
    };
    let errors = build(&files, "l39", &options)
        .expect_err("too much")
        .to_string();
    assert!(
        errors.contains(
            "more than 2000 files are read; if that is meant, raise the budget --max-files"
        ),
        "{errors}"
    );
}

#[test]
fn a_json_patch_cannot_grow_without_measure() {
    let operations =
        "- {op: copy, from: /data, path: /data/x}\n- {op: copy, from: /data, path: /data/y}\n"
            .repeat(60);
    let kustomization = format!(
        "resources: [a.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n    {}",
        operations.replace('\n', "\n    ")
    );
    let list = [
        ("kustomization.yaml", kustomization.as_str()),
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n",
        ),
    ];
    let errors = refused(&list, "");
    assert!(
        errors.contains("nested deeper") || errors.contains("copies more than"),
        "{errors}"
    );
}

#[test]
fn paths_cannot_nest_without_measure() {
    let path = vec!["a"; 5000].join(".");
    let kustomization = format!(
        "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n  - select: {{kind: ConfigMap}}\n    options: {{create: true}}\n    fieldPaths: [{path}]\n"
    );
    let list = [
        ("kustomization.yaml", kustomization.as_str()),
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        ),
    ];
    let errors = refused(&list, "");
    assert!(errors.contains("a path of more than 128 parts"), "{errors}");
}

#[test]
fn what_doubles_meets_a_budget() {
    use std::fmt::Write;

    const MAP: &str = "kind: ConfigMap\nmetadata: {name: a}\ndata: {a: x}\n";
    let definitions: Vec<String> = (0..40)
        .map(|level| {
            let next = level + 1;
            format!(
                "\"x.D{level}\": {{\"Schema\": {{\"properties\": {{\"kind\": {{}}, \"apiVersion\": {{}}, \"metadata\": {{}}, \
                 \"a\": {{\"$ref\": \"x.D{next}\"}}, \"b\": {{\"$ref\": \"x.D{next}\"}}}}}}}}"
            )
        })
        .collect();
    let crds = format!("{{{}}}", definitions.join(", "));
    let replacement = "- source: {kind: ConfigMap, fieldPath: data.a}\n  targets:\n  - select: {kind: ConfigMap}\n    \
                       fieldPaths: [data.a]\n    options: {delimiter: /, index: 9}\n";
    let replacements = format!(
        "resources: [a.yaml]\nreplacements:\n{}",
        replacement.repeat(60)
    );
    let mut maps = MAP.to_owned();
    for index in 0..1000 {
        write!(
            maps,
            "---\n{}",
            MAP.replace("name: a", &format!("name: b{index}"))
        )
        .expect("a string takes all");
    }
    let long = "x".repeat(1 << 20);
    for (kustomization, expected) in [
        ("resources: [a.yaml]\ncrds: [c.json]\n".to_owned(), "more than 200000 fields"),
        (replacements, "raise the budget --max-bytes"),
        (format!("resources: [maps.yaml]\nnamePrefix: {long}\n"), "raise the budget --max-bytes"),
        (format!("resources: [maps.yaml]\ncommonLabels: {{a: {long}}}\n"), "raise the budget --max-bytes"),
        (
            "resources: [long.yaml, pod.yaml]\nvars:\n- name: V\n  objref: {kind: ConfigMap, name: a, apiVersion: v1}\n  \
             fieldref: {fieldPath: data.a}\n"
                .to_owned(),
            "raise the budget --max-bytes",
        ),
    ] {
        let files = [
            ("kustomization.yaml", kustomization),
            ("a.yaml", MAP.to_owned()),
            ("maps.yaml", maps.clone()),
            ("c.json", crds.clone()),
            ("long.yaml", format!("apiVersion: v1\n{}", MAP.replace("{a: x}", &format!("{{a: {long}}}")))),
            (
                "pod.yaml",
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, args: [\"{}\"]}}]}}\n",
                    "$(V)".repeat(10_000)
                ),
            ),
        ];
        let options = BuildOptions {
            limits: Limits {
                bytes: 32 << 20,
                ..Limits::default()
            },
            ..BuildOptions::default()
        };
        let errors = build(&MemoryFiles::new(files), "", &options).expect_err("too much").to_string();
        assert!(errors.contains(expected), "{}", &errors[..errors.len().min(500)]);
    }
}

#[test]
fn many_layers_and_many_objects() {
    let mut list = vec![(
        "l0/kustomization.yaml".to_owned(),
        "resources: [a.yaml]".to_owned(),
    )];
    let objects: Vec<String> = (0..20)
        .map(|number| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{number}}}\n"))
        .collect();
    list.push(("l0/a.yaml".to_owned(), objects.join("---\n")));
    for layer in 1..240 {
        let kustomization = format!(
            "resources: [../l{}]\ncommonAnnotations: {{l{layer}: x}}\n",
            layer - 1
        );
        list.push((format!("l{layer}/kustomization.yaml"), kustomization));
    }
    let build =
        build(&MemoryFiles::new(list), "l239", &BuildOptions::default()).expect("it builds");
    assert_eq!(build.resources.len(), 20);
    assert_eq!(build.resources[0].object.annotation("l239"), Some("x"));
    assert_eq!(build.resources[0].origin.to_string(), "l0/a.yaml:1");
}

#[test]
fn an_empty_build_is_no_error() {
    assert_eq!(
        built(&[("kustomization.yaml", "resources: []\n")], ""),
        Ok(String::new())
    );
    assert!(refused(&[("kustomization.yaml", "")], "").contains("the kustomization is empty"));
    assert!(
        refused(&[("x/a.yaml", DEPLOYMENT)], "x")
            .contains("unable to find one of `kustomization.yaml`")
    );
    let two = [
        ("kustomization.yaml", "resources: []"),
        ("Kustomization", "resources: []"),
    ];
    assert!(refused(&two, "").contains("Found multiple kustomization files"));
}

#[test]
fn the_order_is_that_of_kinds_unless_asked_otherwise() {
    let list = [
        ("kustomization.yaml", "resources: [a.yaml]"),
        (
            "a.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n",
        ),
    ];
    let names = |reorder| {
        let options = BuildOptions {
            reorder,
            ..BuildOptions::default()
        };
        let build = build(&files(&list), "", &options).expect("it builds");
        build
            .resources
            .iter()
            .map(|resource| resource.object.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["n", "s"]);
    assert_eq!(names(Some(Reorder::Legacy)), ["n", "s"]);
    assert_eq!(names(Some(Reorder::None)), ["s", "n"]);
}

fn fragment() -> impl Strategy<Value = String> {
    let words = vec![
        "resources:",
        "- a.yaml",
        "patches:",
        "- patch: |",
        "    ",
        "  ",
        "\n",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "$patch: delete",
        "target:",
        "kind: ConfigMap",
        "kind: .*",
        "replacements:",
        "source:",
        "targets:",
        "select:",
        "fieldPaths:",
        "- data.a.b",
        "namePrefix: x-",
        "name: a",
        "configMapGenerator:",
        "literals: [a=b]",
        "&a",
        "*a",
        "<<: *a",
        "vars:",
        "objref:",
        "'",
        "\"",
        "- op: add",
        "path: /a/b",
        "value: 1",
        "metadata:",
        "apiVersion: v1",
        "data:",
        "  a: b",
        "null",
        "~",
        "images:",
        "labels:",
        "namespace: n",
        "transformers:",
        "apiVersion: builtin",
        "kind: PatchTransformer",
        "---\n",
        "#",
        "\t",
        "options: {create: true}",
    ];
    proptest::collection::vec(proptest::sample::select(words), 0..40)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_input_panics(kustomization in fragment(), resource in fragment(), bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '{\"b\": 1}'}\n";
        for (kustomization, resource) in [
            (kustomization.as_bytes(), object.as_bytes()),
            (b"resources: [a.yaml]\nnamePrefix: x-\n", resource.as_bytes()),
            (b"resources: [a.yaml]\n", &bytes),
            (&bytes, object.as_bytes()),
        ] {
            let files = MemoryFiles::new([("kustomization.yaml", kustomization), ("a.yaml", resource)]);
            if let Ok(build) = build(&files, "", &BuildOptions::default()) {
                build.to_yaml();
            }
        }
    }

    /// What a build prints does not depend on the order of fields.
    #[test]
    fn the_order_of_fields_does_not_matter(swap in any::<bool>(), value in "[a-z]{1,5}") {
        let fields = [format!("a: {value}"), "b: {c: 1, d: [1, 2]}".to_owned()];
        let [first, second] = if swap { [&fields[1], &fields[0]] } else { [&fields[0], &fields[1]] };
        let text = |first: &str, second: &str| {
            let object = format!("kind: X\napiVersion: e/v1\nmetadata: {{name: a}}\n{first}\n{second}\n");
            built(&[("kustomization.yaml", "resources: [a.yaml]"), ("a.yaml", &object)], "")
        };
        prop_assert_eq!(text(first, second), text(&fields[0], &fields[1]));
    }
}
