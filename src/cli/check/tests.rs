use super::*;
use crate::tree::MemoryFiles;

const GOOD: &str = "\
apiVersion: driftless.dev/v1alpha1
kind: Repository
metadata: {name: shop, namespace: shop}
spec: {url: https://git.example.com/shop.git}
---
apiVersion: driftless.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  repository: shop
  follow:
  - semver: '>=1.0.0'
  path: overlays/production
  namespace: shop
  serviceAccount: deployer
";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn checked(files: &[(&str, &str)], paths: &[&str]) -> Checked {
    let files = MemoryFiles::new(files.iter().copied());
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    check(&files, &paths, &BuildOptions::default(), AGENT_NAMESPACE)
}

fn problems(files: &[(&str, &str)]) -> String {
    let problems = checked(files, &[]).problems;
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    lines.concat()
}

#[test]
fn a_good_checkout_has_no_problem_and_its_paths_render() {
    let files = [
        ("environments.yaml", GOOD),
        ("overlays/production/a.yaml", MAP),
    ];
    let expected = Checked {
        objects: 2,
        paths: 1,
        rendered: 1,
        problems: Vec::new(),
    };
    assert_eq!(checked(&files, &[]), expected);
}

#[test]
fn all_problems_are_listed_with_their_places() {
    let environments = "\
apiVersion: driftless.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  repositroy: shop
  follow:
  - branches: [main]
    semver: '>=1'
  - semver: soon
  - tags: ['a[']
  - branches: main
  path: overlays/none
  drift: Repair
  suspend: 'yes'
  createNamespace: true
  prune: {limit: 20}
  health:
    timeout: 5 minutes
    checks: [{apiVersion: v1, kind: X, current: 'self.', fail: x}]
  images: [{name: api, tag: '{version}'}]
---
apiVersion: driftless.dev/v1alpha1
kind: Enviroment
metadata: {name: a}
---
apiVersion: driftless.dev/v1
kind: Environment
---
apiVersion: driftless.dev/v1alpha1
kind: Repository
metadata: {labels: {a: 1}}
spec: {url: 'http://u:p@x/y', interval: 0s, webhook: {}}
sepc: {}
---
apiVersion: driftless.dev/v1alpha1
kind: Approval
metadata: {name: a}
spec: {environment: e, environmentUID: u, commit: abc, by: me, expires: tomorrow}
";
    let files = [
        ("environments.yaml", environments),
        ("broken.yaml", "driftless.dev/: [\n"),
        ("other.yaml", ": [\n"),
    ];
    insta::assert_snapshot!(problems(&files));
}

#[test]
fn rules_are_told_once_the_schema_holds() {
    let environments = "\
apiVersion: driftless.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  repository: shop
  serviceAccount: deployer
  follow:
  - {branches: [main], semver: '>=1'}
  - semver: soon
  - tags: ['a[']
  - branches: [main]
  path: ../x
  createNamespace: true
  health:
    checks: [{apiVersion: v1, kind: X, current: 'self.'}]
  images: [{name: api, tag: '{tag}'}]
---
apiVersion: driftless.dev/v1alpha1
kind: Repository
metadata: {name: a}
spec: {url: 'https://u:p@x/y', interval: 500ms}
---
apiVersion: driftless.dev/v1alpha1
kind: Repository
metadata: {name: b}
spec: {url: 'ftp://x/y'}
";
    insta::assert_snapshot!(problems(&[("environments.yaml", environments)]));
}

#[test]
fn a_patch_need_not_be_whole_but_its_fields_exist() {
    let files = [
        ("overlays/production/a.yaml", MAP),
        ("environments.yaml", GOOD),
        (
            "eu/kustomization.yaml",
            "resources: [../environments.yaml]\npatches: [{path: patch.yaml}]\n",
        ),
        (
            "eu/patch.yaml",
            "apiVersion: driftless.dev/v1alpha1\nkind: Environment\nmetadata: {name: production}\nspec: {supend: true}\n",
        ),
    ];
    assert_eq!(
        problems(&files),
        "eu/patch.yaml:4: Environment production: spec: there is no field supend; did you mean suspend?\n"
    );
}

#[test]
fn a_path_that_does_not_render_is_told_with_its_file() {
    let kustomization = "resources: [missing.yaml]\n";
    let files = [
        ("environments.yaml", GOOD),
        ("overlays/production/kustomization.yaml", kustomization),
    ];
    let told = problems(&files);
    assert!(
        told.starts_with("overlays/production/kustomization.yaml"),
        "{told}"
    );
    assert!(problems(&[("environments.yaml", GOOD)]).contains("overlays/production"));
    assert_eq!(checked(&files, &["."]).paths, 1);
    assert!(
        problems(&[("a.yaml", MAP)]).contains("--path"),
        "that nothing was checked is told"
    );
}

#[test]
fn a_network_policy_that_keeps_checks_from_the_pods_is_told_with_its_place() {
    let manifests = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, ports: [{containerPort: 8080}]}]}
---
apiVersion: driftless.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: api}
spec:
  workload: {kind: Deployment, name: api}
  canary: {steps: [{weight: 25}]}
  checks:
  - {name: answers, http: {path: /, latency: {percentile: 95, max: 300ms}}}
  - name: smoke
    job: {template: {spec: {template: {spec: {containers: [{name: smoke, image: smoke}]}}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}}
";
    let files = [
        ("environments.yaml", GOOD),
        ("overlays/production/a.yaml", manifests),
    ];
    let told = problems(&files);
    assert!(
        told.starts_with("overlays/production/a.yaml:20: NetworkPolicy.networking.k8s.io shop/deny: keeps the agent's requests of the check answers from port 8080"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn what_names_no_namespace_lies_in_that_of_the_environment() {
    let manifests = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api}]}}}
---
apiVersion: driftless.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: api, namespace: shop}
spec:
  workload: {kind: Deployment, name: api}
  canary: {steps: [{weight: 25}]}
  checks: []
";
    let files = [
        ("environments.yaml", GOOD),
        ("overlays/production/a.yaml", manifests),
    ];
    assert_eq!(problems(&files), "");
    assert_eq!(checked(&files, &["overlays/production"]).problems, []);
}

#[test]
fn a_check_holds_to_its_schema_and_rules() {
    let policy = "\
apiVersion: driftless.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: api}
spec:
  workload: {kind: Deployment, name: api}
  canary: {steps: [{weight: 25}]}
  checks:
";
    let schema = "  - {name: a b, http: {path: x}}
  - {name: d, json: {url: 'https://x/y@z?a=b@c', condition: 'true', headers: [{name: 'a b', value: x}]}}
  - {name: e, prometheus: {url: 'http://x/y?z', builtin: errorRate, max: 1}}
";
    let rules = "  - {name: a, http: {path: /}, job: {cronJob: x}}
  - {name: a, job: {}}
  - {name: c, prometheus: {url: 'http://x', query: up, builtin: latency, compare: {}}}
  - {name: d, prometheus: {url: 'http://x', query: up, router: Istio, percentile: 99, minRequests: 5}}
  - {name: e, json: {url: 'http://x', condition: 'true', headers: [{name: a}]}}
  - {name: f, prometheus: {url: 'http://u:p@x', query: up, max: 1}}
  - {name: g, json: {url: 'https://u@x/y', condition: 'true'}}
";
    let told = [schema, rules].map(|checks| {
        let files = [
            ("environments.yaml", GOOD.to_owned()),
            ("overlays/production/a.yaml", MAP.to_owned()),
            ("policy.yaml", format!("{policy}{checks}")),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        problems(&files)
    });
    insta::assert_snapshot!(told.join("\n"));
}

/// The rules that only the API server knows by heart are told here in the same words.
#[test]
fn every_rule_of_the_definitions_is_checked_here() {
    let rules = [include_str!("rules.rs"), include_str!("rules/evidence.rs")].concat();
    for definition in crate::api::definitions() {
        let text = serde_json::to_value(definition).unwrap().to_string();
        for message in text
            .split("\"message\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            if !message.contains("an Approval cannot be changed") {
                assert!(rules.contains(message), "{message}");
            }
        }
    }
}

#[test]
fn what_cannot_be_rolled_out_is_told_before_it_is_pushed() {
    let policy = |name: &str, kind: &str, strategy: &str| {
        format!(
            "\
---
apiVersion: driftless.dev/v1alpha1
kind: RolloutPolicy
metadata: {{name: {name}}}
spec:
  workload: {{kind: {kind}, name: {name}}}
  {strategy}
  checks: []
"
        )
    };
    let workload = |name: &str, kind: &str, spec: &str, pod: &str| {
        format!(
            "\
---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  {spec}
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: main}}], {pod}}}}}
"
        )
    };
    let by_steps = "canary: {steps: [{weight: 50}]}";
    let all = [
        policy("agent", "DaemonSet", by_steps),
        policy("jobs", "Deployment", by_steps),
        workload("jobs", "Deployment", "strategy: {type: Recreate}", ""),
        policy("logs", "Deployment", by_steps),
        workload(
            "logs",
            "Deployment",
            "",
            "hostNetwork: true, volumes: [{name: logs, hostPath: {path: /var/log}}]",
        ),
        policy("web", "Deployment", "blueGreen: {}"),
        workload("web", "Deployment", "", ""),
        policy("db", "StatefulSet", "blueGreen: {}"),
        workload(
            "db",
            "StatefulSet",
            "updateStrategy: {type: OnDelete}",
            "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]",
        ),
    ];
    let files = [
        ("environments.yaml", GOOD),
        ("overlays/production/all.yaml", &all.concat()),
    ];
    insta::assert_snapshot!(problems(&files));
}
