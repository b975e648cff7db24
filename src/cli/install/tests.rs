use clap::Parser;

use super::super::folder::Folder;
use super::*;
use crate::kustomize::{BuildOptions, build};
use crate::object::Object;
use crate::yaml::{Limits, read, to_value};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn printed(words: &[&str]) -> Vec<Object> {
    let line = Line::try_parse_from([&["install"], words].concat()).unwrap();
    let documents = documents(&line.arguments).join("---\n");
    read(documents.as_bytes(), "install", &Limits::default())
        .unwrap()
        .iter()
        .map(|document| {
            Object::from_value(to_value(&document.tree, document.root).unwrap()).unwrap()
        })
        .collect()
}

fn names(objects: &[Object]) -> String {
    let lines: Vec<_> = objects
        .iter()
        .map(|object| format!("{}\n", object.id()))
        .collect();
    lines.concat()
}

#[test]
fn the_installation_is_what_deploy_holds() {
    let deploy = Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy").as_ref()).unwrap();
    let built = build(&deploy, "", &BuildOptions::default()).unwrap();
    let mut expected: Vec<Object> = built
        .resources
        .into_iter()
        .map(|resource| resource.object)
        .collect();
    let mut objects = printed(&["--image=driftless"]);
    insta::assert_snapshot!(names(&objects));
    expected.sort_by_key(Object::id);
    objects.sort_by_key(Object::id);
    assert!(
        objects == expected,
        "printed: {objects:?}; deploy: {expected:?}"
    );
}

#[test]
fn names_are_names() {
    for words in [
        &["--image=a b"][..],
        &["--image=i", "--namespace=Gitops"],
        &["--tenant=shop\nkind: x"],
        &["--tenant=shop", "--service-account=-"],
        &["--image=i", "--tenant=shop"],
        &[],
    ] {
        assert!(
            Line::try_parse_from([&["install"], words].concat()).is_err(),
            "{words:?}"
        );
    }
}

#[test]
fn the_agent_goes_where_it_is_asked_to() {
    let objects = printed(&[
        "--image=registry.example.com/d:1",
        "--namespace=gitops",
        "--replicas=3",
    ]);
    let text = serde_json::to_string(&objects).unwrap();
    assert!(!text.contains("driftless-system"), "{text}");
    let deployment = objects
        .iter()
        .find(|object| object.kind() == "Deployment")
        .unwrap();
    assert_eq!(deployment.namespace(), Some("gitops"));
    assert_eq!(deployment.at("/spec/replicas").unwrap(), 3);
    assert_eq!(
        deployment
            .at("/spec/template/spec/containers/0/image")
            .unwrap(),
        "registry.example.com/d:1"
    );
}

#[test]
fn a_tenant_lets_the_agent_act_as_one_account() {
    let objects = printed(&["--tenant=shop", "--service-account=web"]);
    assert_eq!(
        names(&objects),
        "ServiceAccount shop/web\nRoleBinding.rbac.authorization.k8s.io shop/web-edit\n\
         Role.rbac.authorization.k8s.io shop/driftless-impersonation-web\n\
         RoleBinding.rbac.authorization.k8s.io shop/driftless-impersonation-web\n"
    );
    assert_eq!(
        objects[2].at("/rules/0/resourceNames").unwrap(),
        &serde_json::json!(["web"])
    );
    assert_eq!(
        objects[3].at("/roleRef/name").unwrap(),
        "driftless-impersonation-web"
    );
    assert_eq!(
        objects[3].at("/subjects/0/namespace").unwrap(),
        "driftless-system"
    );
}

#[test]
fn a_tenant_without_an_account_decides_for_all_of_its_own() {
    let objects = printed(&["--tenant=shop", "--namespace=gitops"]);
    assert_eq!(
        names(&objects),
        "Role.rbac.authorization.k8s.io shop/driftless-impersonation\n\
         RoleBinding.rbac.authorization.k8s.io shop/driftless-impersonation\n"
    );
    assert_eq!(objects[0].at("/rules/0/resourceNames"), None);
    assert_eq!(objects[1].at("/subjects/0/namespace").unwrap(), "gitops");
}

#[test]
fn the_root_environment_is_sound() {
    let objects = printed(&[
        "--image=i",
        "--repository=https://git.example.com/x: y.git",
        "--path=clusters/eu",
    ]);
    let repository = objects
        .iter()
        .find(|object| object.kind() == "Repository")
        .unwrap();
    assert_eq!(
        repository.at("/spec/url").unwrap(),
        "https://git.example.com/x: y.git"
    );
    let environment = objects
        .iter()
        .find(|object| object.kind() == "Environment")
        .unwrap();
    serde_json::from_value::<crate::api::Environment>(environment.clone().into_value()).unwrap();
}
