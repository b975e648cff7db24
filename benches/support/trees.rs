//! Repositories made for measuring: what is in them is decided by numbers alone, so two runs measure the same.

use std::fmt::Write as _;

use driftless::tree::MemoryFiles;

/// The objects of one overlay of [`shared`].
pub const OBJECTS: usize = 20;
/// The overlays that share one base.
pub const SHARING: usize = 100;

fn deployment(name: &str, out: &mut String) {
    let _ = write!(
        out,
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}, tier: back}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}, tier: back}}
    spec:
      serviceAccountName: runner
      containers:
      - name: main
        image: example/app:1.0
        args: [serve, --verbose]
        env:
        - {{name: LEVEL, value: info}}
        - name: TOKEN
          valueFrom:
            secretKeyRef: {{name: token, key: token}}
        envFrom:
        - configMapRef: {{name: settings}}
        ports:
        - {{containerPort: 8080, protocol: TCP, name: http}}
        resources:
          requests: {{cpu: 100m, memory: 128Mi}}
      - name: side
        image: example/side:1.0
"
    );
}

fn service(name: &str, out: &mut String) {
    let _ = write!(
        out,
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector: {{app: {name}}}
  ports:
  - {{port: 80, targetPort: http, protocol: TCP}}
"
    );
}

fn map(name: &str, out: &mut String) {
    let _ = write!(
        out,
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
data:
  level: info
  file.conf: |
    first = 1
    second = two
"
    );
}

/// `count` objects: deployments, services and maps in turn.
fn objects(count: usize, name: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            text.push_str("---\n");
        }
        match index % 3 {
            0 => deployment(&name(index), &mut text),
            1 => service(&name(index - 1), &mut text),
            _ => map(&name(index), &mut text),
        }
    }
    text
}

/// The path of an overlay of [`shared`].
pub fn overlay(index: usize) -> String {
    format!("overlays/o{index:04}")
}

/// The content of the file of a base, in one of its versions.
pub fn base(version: usize) -> String {
    let text = objects(OBJECTS - 2, |index| format!("app-{index}"));
    text.replace("first = 1", &format!("first = {version}"))
}

/// The file of a base that [`SHARING`] overlays of [`shared`] read.
pub fn base_file(index: usize) -> String {
    format!("bases/b{index:02}/objects.yaml")
}

/// The patch that only this overlay of [`shared`] reads.
pub fn overlay_patch(index: usize, replicas: usize) -> (String, String) {
    let name = "app-0";
    let text = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
      - name: main
        env: [{{name: OVERLAY, value: \"{index}\"}}]
        resources: {{limits: {{memory: 256Mi}}}}
"
    );
    (format!("{}/patch.yaml", overlay(index)), text)
}

/// Overlays of [`OBJECTS`] objects each, [`SHARING`] of them on each base: two of the objects are generated, with hashes
/// that others refer to; two patches, labels, a prefix, a namespace, an image.
pub fn shared(overlays: usize) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    for index in 0..overlays.div_ceil(SHARING) {
        // Bases differ: files with the same content would be parsed once.
        let text = format!("# base {index}\n{}", base(1));
        files.insert(&base_file(index), text.as_bytes());
        let kustomization = format!(
            "resources: [objects.yaml]\nlabels:\n- pairs: {{base: b{index:02}}}\n  includeSelectors: true\n"
        );
        let path = format!("bases/b{index:02}/kustomization.yaml");
        files.insert(&path, kustomization.as_bytes());
    }
    for index in 0..overlays {
        let kustomization = format!(
            "namespace: team-{index}
namePrefix: o{index}-
resources: [../../bases/b{base:02}]
labels:
- pairs: {{overlay: o{index}}}
images:
- name: example/app
  newTag: \"2.{index}\"
patches:
- path: patch.yaml
- target: {{kind: Service, name: app-3}}
  patch: '[{{\"op\": \"replace\", \"path\": \"/spec/ports/0/port\", \"value\": {port}}}]'
configMapGenerator:
- name: settings
  literals: [overlay={index}, level=debug]
secretGenerator:
- name: token
  literals: [token=secret-{index}]
",
            base = index / SHARING,
            port = 1000 + index,
        );
        let path = format!("{}/kustomization.yaml", overlay(index));
        files.insert(&path, kustomization.as_bytes());
        let (path, text) = overlay_patch(index, 3);
        files.insert(&path, text.as_bytes());
    }
    files
}

/// One overlay, `top`, with `count` objects. What it does grows with them: a tenth of them is patched by name, a tenth
/// by a target, another tenth are generated; one patch is for all that carry a label.
pub fn wide(count: usize) -> MemoryFiles {
    const FILE: usize = 100;
    let mut files = MemoryFiles::default();
    let tenth = count / 10;
    let written = count - tenth;
    let mut resources = String::new();
    for start in (0..written).step_by(FILE) {
        let text = objects(FILE.min(written - start), |index| {
            format!("app-{}", start + index)
        });
        files.insert(&format!("base/{start}.yaml"), text.as_bytes());
        let _ = writeln!(resources, "- {start}.yaml");
    }
    files.insert(
        "base/kustomization.yaml",
        format!("resources:\n{resources}").as_bytes(),
    );
    let mut top = "namespace: wide
namePrefix: p-
nameSuffix: -s
resources: [../base]
labels:
- pairs: {wide: \"true\"}
  includeTemplates: true
commonAnnotations: {made: \"true\"}
images:
- name: example/app
  newTag: \"3.0\"
patches:
- target: {labelSelector: tier=back}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: any}
    spec:
      template:
        spec:
          containers:
          - {name: main, imagePullPolicy: Always}
"
    .to_owned();
    // Deployments stand at the start of every file, and at every third place behind it.
    let deployments = (0..written).filter(|index| index % FILE % 3 == 0);
    for (turn, index) in deployments.take(2 * tenth).enumerate() {
        let _ = if turn % 2 == 0 {
            write!(
                top,
                "- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{name: app-{index}}}
    spec: {{replicas: {}}}
",
                turn % 7
            )
        } else {
            write!(
                top,
                "- target: {{kind: Deployment, name: app-{index}}}
  patch: '[{{\"op\": \"add\", \"path\": \"/spec/paused\", \"value\": true}}]'
"
            )
        };
    }
    top.push_str("secretGenerator:\n- name: token\n  literals: [token=x]\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n");
    for index in 2..tenth {
        let _ = write!(top, "- name: made-{index}\n  literals: [index={index}]\n");
    }
    files.insert("top/kustomization.yaml", top.as_bytes());
    files
}

/// `count` kustomizations, each on the one before; the last is `layer-<count>`. Each has labels, an image, a patch, and a
/// generator that merges; the objects stay [`OBJECTS`].
pub fn deep(count: usize) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    let text = objects(OBJECTS - 2, |index| format!("app-{index}"));
    files.insert("layer-0/objects.yaml", text.as_bytes());
    let generated = "secretGenerator:\n- name: token\n  literals: [token=x]\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n";
    files.insert(
        "layer-0/kustomization.yaml",
        format!("resources: [objects.yaml]\n{generated}").as_bytes(),
    );
    for layer in 1..=count {
        let text = format!(
            "resources: [../layer-{before}]
labels:
- pairs: {{layer: \"{layer}\"}}
images:
- name: example/app
  newTag: \"{layer}\"
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{name: app-{patched}}}
    spec:
      template:
        spec:
          containers:
          - name: main
            env: [{{name: LEVEL, value: \"{layer}\"}}]
configMapGenerator:
- name: settings
  behavior: merge
  literals: [layer={layer}]
",
            before = layer - 1,
            patched = 3 * (layer % 6),
        );
        files.insert(
            &format!("layer-{layer}/kustomization.yaml"),
            text.as_bytes(),
        );
    }
    files
}
