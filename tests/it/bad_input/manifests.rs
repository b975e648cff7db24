//! Bad manifests, bad kustomizations, and what the API server and its admission refuse. Each is told with its place.

use futures::FutureExt;
use git2::FileMode;
use k8s_openapi::api::{
    admissionregistration::v1::{
        ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
    },
    core::v1::{ConfigMap, Namespace},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    case::{Case, Told, run},
    place::{Place, files},
    world::{CANARY, patiently},
};
use crate::need_node;

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_its_place_and_changes_nothing() {
    let Some(node) = need_node!() else { return };
    let mut cases = documents();
    cases.extend(objects());
    cases.extend(trees());
    cases.extend(kustomizations());
    cases.extend(secrets());
    cases.extend(admission());
    run(node, cases).await;
}

/// One more file in the base.
fn extra(place: &Place, text: &str) {
    place.repo().commit(&[
        (
            "base/kustomization.yaml",
            "resources:\n- maps.yaml\n- rest.yaml\n- extra.yaml\n",
        ),
        ("base/extra.yaml", text),
    ]);
}

fn with_extra(name: &'static str, told: &'static [&'static str], text: impl Into<String>) -> Case {
    let text = text.into();
    Case::git(name, Told::Error(told), move |place| extra(place, &text))
}

/// A file of the good commit.
fn file(path: &str) -> String {
    files()
        .into_iter()
        .find(|(known, _)| *known == path)
        .expect("it is there")
        .1
}

fn documents() -> Vec<Case> {
    let bomb: String = (1..10)
        .map(|level| {
            format!(
                "l{level}: &l{level} [{}]\n",
                vec![format!("*l{}", level - 1); 10].join(", ")
            )
        })
        .collect();
    vec![
        with_extra(
            "YAML that cannot be read",
            &["base/extra.yaml:5", "{commit}"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n data: {}\n",
        ),
        with_extra(
            "a key that occurs twice",
            &["base/extra.yaml:6", "{commit}"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata:\n  a: '1'\n  a: '2'\n",
        ),
        with_extra(
            "aliases that multiply",
            &["base/extra.yaml", "{commit}"],
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bad}}\nl0: &l0 lol\n{bomb}"
            ),
        ),
        with_extra(
            "text that is no object",
            &["base/extra.yaml:1", "{commit}"],
            "just words\n",
        ),
    ]
}

fn objects() -> Vec<Case> {
    vec![
        with_extra(
            "an unknown kind",
            &["base/extra.yaml:1", "Gadget", "{commit}"],
            "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: bad}\n",
        ),
        with_extra(
            "an unknown version of a kind",
            &["base/extra.yaml:1", "v1beta9", "{commit}"],
            "apiVersion: apps/v1beta9\nkind: Deployment\nmetadata: {name: bad}\n",
        ),
        with_extra(
            "no name",
            &["base/extra.yaml:1", "{commit}"],
            "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n",
        ),
        Case::any(
            "no namespace",
            Told::Error(&["names no namespace", "base/maps.yaml:1"]),
            |place| place.respec(json!({"namespace": null})).boxed(),
        )
        .undone(|place| {
            let namespace = place.namespace.clone();
            place.respec(json!({"namespace": namespace})).boxed()
        }),
        Case::git(
            "one object in two files",
            Told::Error(&[
                "base/extra.yaml:1",
                "ConfigMap",
                "map-1",
                "base/maps.yaml:7",
                "{commit}",
            ]),
            |place| {
                extra(
                    place,
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-1}\n",
                )
            },
        ),
        Case::git(
            "one object in two files, once with its namespace",
            Told::Error(&[
                "is there twice",
                "shop-map-1",
                "base/maps.yaml:7",
                "base/extra.yaml:1",
                "{commit}",
            ]),
            |place| {
                let namespace = &place.namespace;
                extra(
                    place,
                    &format!(
                        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-1, namespace: {namespace}}}\n"
                    ),
                );
            },
        ),
        with_extra(
            "an unknown field",
            &["base/extra.yaml:1", "shop-bad", "dta", "{commit}"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndta: {a: b}\n",
        ),
        with_extra(
            "an invalid value",
            &[
                "base/extra.yaml:1",
                "shop-bad",
                "spec.ports[0].port",
                "{commit}",
            ],
            "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n",
        ),
        Case::git(
            "an immutable field",
            Told::Error(&[
                "base/rest.yaml:",
                "shop-reader",
                "driftless.dev/replace",
                "{commit}",
            ]),
            |place| {
                let text = file("base/rest.yaml").replace(
                    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}",
                    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}",
                );
                place.repo().commit(&[("base/rest.yaml", &text)]);
            },
        ),
        Case::git(
            "an Approval",
            Told::Error(&["base/extra.yaml:1", "Approval", "{commit}"]),
            |place| {
                let commit = "0".repeat(40);
                extra(
                    place,
                    &format!(
                        "apiVersion: driftless.dev/v1alpha1\nkind: Approval\nmetadata: {{name: bad}}\nspec: {{environment: shop, environmentUID: x, commit: '{commit}', by: me, expires: '2030-01-01T00:00:00Z'}}\n"
                    ),
                );
            },
        ),
        with_extra(
            "our label, set by hand",
            &["base/extra.yaml:1", "driftless.dev/environment", "{commit}"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, labels: {driftless.dev/environment: '0123456789abcdef'}}\n",
        ),
    ]
}

fn trees() -> Vec<Case> {
    let entry = |name, told, mode: FileMode, content: fn(&Place) -> git2::Oid| {
        Case::git(name, Told::Error(told), move |place| {
            let kustomization = place
                .repo()
                .blob("resources:\n- maps.yaml\n- rest.yaml\n- extra.yaml\n");
            let content = content(place);
            place.repo().change("main", |tree| {
                tree.upsert("base/kustomization.yaml", kustomization, FileMode::Blob);
                tree.upsert("base/extra.yaml", content, mode);
            });
        })
    };
    vec![
        entry(
            "a submodule",
            &["base/extra.yaml", "submodule", "{commit}"],
            FileMode::Commit,
            |place| git2::Oid::from_str(&place.good).expect("a commit's full name"),
        ),
        entry(
            "a link that leaves the tree",
            &["base/extra.yaml", "/etc/passwd", "outside", "{commit}"],
            FileMode::Link,
            |place| place.repo().blob("../../../../../../etc/passwd"),
        ),
        entry(
            "a link with an absolute target",
            &["base/extra.yaml", "/etc/passwd", "outside", "{commit}"],
            FileMode::Link,
            |place| place.repo().blob("/etc/passwd"),
        ),
        entry(
            "a link to itself",
            &["base/extra.yaml", "link", "{commit}"],
            FileMode::Link,
            |place| place.repo().blob("extra.yaml"),
        ),
        Case::any(
            "a path that is not UTF-8",
            Told::Error(&["plain/", "UTF-8", "{commit}"]),
            |place| {
                {
                    let repo = place.repo();
                    let git = repo.repository();
                    let tip = repo.tip("main").expect("main is there");
                    let tree = git
                        .find_commit(tip)
                        .and_then(|commit| commit.tree())
                        .expect("the tree is there");
                    let map = repo.blob("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\n");
                    let mut plain = git.treebuilder(None).expect("a tree can be made");
                    plain
                        .insert(b"caf\xe9.yaml".to_vec(), map, FileMode::Blob.into())
                        .expect("any bytes are a name");
                    let plain = plain.write().expect("a tree can be written");
                    let mut root = git.treebuilder(Some(&tree)).expect("a tree can be made");
                    root.insert("plain", plain, FileMode::Tree.into())
                        .expect("a directory can be put there");
                    place.commit_tree(root.write().expect("a tree can be written"));
                }
                place.respec(json!({"path": "plain"})).boxed()
            },
        )
        .undone(|place| {
            place.heal();
            place.respec(json!({"path": "app"})).boxed()
        }),
    ]
}

fn kustomizations() -> Vec<Case> {
    let app = |name, told: &'static [&'static str], text: &'static str| {
        Case::git(name, Told::Error(told), move |place| {
            place.repo().commit(&[("app/kustomization.yaml", text)]);
        })
    };
    vec![
        app(
            "an unknown field of a kustomization",
            &["app/kustomization.yaml:2", "resorces", "{commit}"],
            "resources: [../base]\nresorces: []\n",
        ),
        app(
            "a remote base",
            &[
                "app/kustomization.yaml",
                "https://github.com/example/base",
                "{commit}",
            ],
            "resources: [../base, 'https://github.com/example/base?ref=v1']\n",
        ),
        app(
            "an exec plugin",
            &["app/", "plugin.yaml", "{commit}"],
            "resources: [../base]\ngenerators: [plugin.yaml]\n",
        ),
        app(
            "a file that is not there",
            &["app/kustomization.yaml", "nothing.yaml", "{commit}"],
            "resources: [../base, nothing.yaml]\n",
        ),
        app(
            "a base outside of the repository",
            &["app/kustomization.yaml", "../../..", "{commit}"],
            "resources: [../base, ../../..]\n",
        ),
        app(
            "a patch without a target",
            &["app/", "nobody", "{commit}"],
            "resources: [../base]\nnamePrefix: shop-\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: nobody}}'}]\n",
        ),
        app(
            "a circle",
            &["app", "{commit}"],
            "resources: [../base, ../app]\n",
        ),
    ]
}

/// What is wrong is a Secret: the place is told, the value is not.
fn secrets() -> Vec<Case> {
    vec![
        with_extra(
            "a Secret that is encrypted with SOPS",
            &["base/extra.yaml", "SOPS", "{commit}"],
            "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData: {a: 'ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]'}\nsops: {version: 3.9.0, mac: 'ENC[x]', lastmodified: '2026-01-01T00:00:00Z'}\n",
        ),
        with_extra(
            "a Secret that is not base64",
            &["base/extra.yaml:1", "shop-bad", "{commit}"],
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\ndata: {{a: {CANARY}}}\n"
            ),
        ),
        with_extra(
            "a Secret with a structure for a value",
            &["base/extra.yaml:1", "shop-bad", "{commit}"],
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\nstringData: {{a: {{b: {CANARY}}}}}\n"
            ),
        ),
        with_extra(
            "a Secret whose data is a text",
            &["base/extra.yaml:1", "shop-bad", "{commit}"],
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\ndata: {CANARY}\n"),
        ),
        with_extra(
            "a Secret with a list for a value",
            &["base/extra.yaml:1", "shop-bad", "{commit}"],
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\ndata: {{a: [{CANARY}]}}\n"
            ),
        ),
        with_extra(
            "a Secret of a type that wants other keys",
            &["base/extra.yaml:1", "shop-bad", "{commit}"],
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\ntype: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: {CANARY}}}\n"
            ),
        ),
        with_extra(
            "a Secret that cannot be read",
            &["base/extra.yaml:6", "{commit}"],
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\nstringData:\n  a: \"{CANARY}\n"
            ),
        ),
    ]
}

fn admission() -> Vec<Case> {
    vec![
        Case::any(
            "a policy denies",
            Told::Error(&[
                "base/extra.yaml:1",
                "shop-bad",
                "no bad maps here",
                "{commit}",
            ]),
            |place| deny(place).boxed(),
        )
        .undone(|place| {
            async move {
                place.heal();
                let now = DeleteParams::background();
                let _ = Api::<ValidatingAdmissionPolicyBinding>::all(place.client.clone())
                    .delete(&place.namespace, &now)
                    .await;
                let _ = Api::<ValidatingAdmissionPolicy>::all(place.client.clone())
                    .delete(&place.namespace, &now)
                    .await;
                Ok(())
            }
            .boxed()
        }),
        Case::any(
            "a webhook does not answer",
            Told::Error(&["base/extra.yaml:1", "shop-bad", "webhook", "{commit}"]),
            |place| unanswered(place).boxed(),
        )
        .undone(|place| {
            async move {
                // It heals without a commit: the revision was never the fault.
                let webhooks = Api::<ValidatingWebhookConfiguration>::all(place.client.clone());
                let deleted = webhooks
                    .delete(&place.namespace, &DeleteParams::background())
                    .await;
                deleted.map(|_| ()).map_err(|error| error.to_string())?;
                place.pass(super::place::NAME).await.map(|_| ())
            }
            .boxed()
        }),
        Case::any(
            "a namespace that is being deleted",
            Told::Error(&["base/extra.yaml:1", "bad", "terminated", "{commit}"]),
            |place| terminating(place).boxed(),
        )
        .undone(|place| {
            async move {
                place.heal();
                let other = format!("{}-going", place.namespace);
                let pins: Api<ConfigMap> = Api::namespaced(place.client.clone(), &other);
                let unpin = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                let unpinned = pins.patch("pin", &PatchParams::default(), &unpin).await;
                unpinned.map(|_| ()).map_err(|error| error.to_string())
            }
            .boxed()
        }),
    ]
}

const BAD_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\n";

/// A policy that denies ConfigMaps of a name in this namespace; the commit follows when it is in force.
async fn deny(place: &Place) -> Result<(), String> {
    let name = &place.namespace;
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
            }]},
            "validations": [{"expression": "!object.metadata.name.endsWith('bad')", "message": "no bad maps here"}],
        },
    });
    place
        .create::<ValidatingAdmissionPolicy>(Api::all(place.client.clone()), policy)
        .await?;
    let binding = json!({
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}},
    });
    place
        .create::<ValidatingAdmissionPolicyBinding>(Api::all(place.client.clone()), binding)
        .await?;
    refused(place).await?;
    extra(place, BAD_MAP);
    Ok(())
}

/// A webhook whose service is nowhere.
async fn unanswered(place: &Place) -> Result<(), String> {
    let name = &place.namespace;
    let webhook = json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "nowhere.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "timeoutSeconds": 2,
            "clientConfig": {"service": {"namespace": name, "name": "nowhere", "path": "/"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        }],
    });
    place
        .create::<ValidatingWebhookConfiguration>(Api::all(place.client.clone()), webhook)
        .await?;
    refused(place).await?;
    extra(place, BAD_MAP);
    Ok(())
}

/// Waits until the API server refuses a bad map.
async fn refused(place: &Place) -> Result<(), String> {
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "bad"}})).expect("a ConfigMap");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    patiently("admission refuses it", || async {
        match place.api::<ConfigMap>().create(&dry, &map).await {
            Ok(_) => Err("it is admitted".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await
}

/// A namespace that hangs in its deletion, and an object that is to come into it.
async fn terminating(place: &Place) -> Result<(), String> {
    let other = format!("{}-going", place.namespace);
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    place
        .create::<Namespace>(namespaces.clone(), json!({"metadata": {"name": other}}))
        .await?;
    let pins: Api<ConfigMap> = Api::namespaced(place.client.clone(), &other);
    place
        .create(
            pins,
            json!({"metadata": {"name": "pin", "finalizers": ["example.com/pin"]}}),
        )
        .await?;
    namespaces
        .delete(&other, &DeleteParams::background())
        .await
        .map_err(|error| error.to_string())?;
    extra(
        place,
        &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bad, namespace: {other}}}\n"),
    );
    Ok(())
}
