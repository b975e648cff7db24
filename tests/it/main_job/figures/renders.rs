//! A commit costs what it touches: which of many environments of one repository it renders.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use driftless::api::{Environment, Repository};
use futures::{StreamExt, stream};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;

use super::{is_long, table};
use crate::{
    main_job::{
        http,
        stage::{PATIENCE, Stage, is_ready},
    },
    need_node,
};

/// Overlays that share one base each.
const BASES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_renders_exactly_what_it_touches() {
    let Some(node) = need_node!() else { return };
    let count = if is_long() { 200 } else { 12 };
    let stage = Stage::new(node).await;
    let files = files(count);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let first = stage.push(&files).await;
    let started = Instant::now();
    let stage_ref = &stage;
    stream::iter(0..count)
        .for_each_concurrent(16, |n| async move {
            stage_ref
                .environment(&format!("e{n}"), &format!("overlays/e{n}"), json!({}))
                .await;
        })
        .await;
    settled(&stage, &first, count).await;
    table::note(
        &format!("{count} environments of one repository become Ready"),
        &format!("{:.1?}", started.elapsed()),
    );

    let one = BTreeSet::from([7]);
    let patch = overlay_patch(7, "two");
    renders(
        &stage,
        count,
        "a commit of one overlay's file",
        &[("overlays/e7/patch.yaml", &patch)],
        one,
    )
    .await;
    let map = base_map(3, "two");
    let dependents = (0..count).filter(|n| n % BASES == 3).collect();
    renders(
        &stage,
        count,
        "a commit of one base's file",
        &[("bases/b3/map.yaml", &map)],
        dependents,
    )
    .await;
    let unread = [
        ("README.md", "Nobody reads this.\n"),
        ("overlays/e1/notes.txt", "Nor this.\n"),
    ];
    renders(
        &stage,
        count,
        "a commit of files that no overlay reads",
        &unread,
        BTreeSet::new(),
    )
    .await;
    assert_eq!(
        stage
            .cluster
            .at("ConfigMap", "e7-settings", "/data/own")
            .await,
        "two"
    );
}

/// Commits `files` and compares who was rendered with who had to be.
async fn renders(
    stage: &Stage,
    count: usize,
    what: &str,
    files: &[(&str, &str)],
    expected: BTreeSet<usize>,
) {
    let before = counts(stage).await;
    let commit = stage.push(files).await;
    settled(stage, &commit, count).await;
    let after = counts(stage).await;
    let rendered: BTreeMap<&String, u64> = after
        .iter()
        .map(|(name, renders)| {
            (
                name,
                renders - before.get(name).copied().unwrap_or_default(),
            )
        })
        .filter(|(_, renders)| *renders > 0)
        .collect();
    let wanted: BTreeMap<String, u64> = expected.iter().map(|n| (format!("e{n}"), 1)).collect();
    let exact = rendered
        .iter()
        .map(|(name, renders)| ((*name).clone(), *renders))
        .collect::<BTreeMap<_, _>>()
        == wanted;
    let told = told(stage, &commit).await;
    table::judge(
        &format!("{what} among {count} environments"),
        &format!(
            "{} rendered; the status says {told}",
            rendered.values().sum::<u64>()
        ),
        &format!("exactly the {} affected", expected.len()),
        exact && told == i64::try_from(expected.len()).expect("a small number"),
    );
    assert!(exact, "{what}: {rendered:?} were rendered, not {wanted:?}");
}

/// How often each environment was rendered: the metric, which agrees with its status.
async fn counts(stage: &Stage) -> BTreeMap<String, u64> {
    let prefix = format!("{}/", stage.namespace.name);
    let metric: BTreeMap<String, u64> = http::renders(&stage.agent.url())
        .into_iter()
        .filter_map(|(name, renders)| Some((name.strip_prefix(&prefix)?.to_owned(), renders)))
        .collect();
    let status: BTreeMap<String, u64> = environments(stage)
        .await
        .iter()
        .map(|environment| {
            let renders = environment
                .status
                .as_ref()
                .map_or(0, |status| status.renders);
            (
                environment.name_any(),
                u64::try_from(renders).expect("a count"),
            )
        })
        .collect();
    assert_eq!(metric, status, "the metric and the status agree");
    metric
}

async fn environments(stage: &Stage) -> Vec<Environment> {
    let api: Api<Environment> =
        Api::namespaced(stage.cluster.client.clone(), &stage.namespace.name);
    api.list(&ListParams::default())
        .await
        .expect("the API server answers")
        .items
}

/// How many renders the Repository says that this commit caused.
async fn told(stage: &Stage, commit: &str) -> i64 {
    let api: Api<Repository> = Api::namespaced(stage.cluster.client.clone(), &stage.namespace.name);
    let status = api
        .get("shop")
        .await
        .expect("the Repository is there")
        .status
        .unwrap_or_default();
    status
        .renders
        .filter(|renders| renders.commit == commit)
        .map_or(-1, |renders| renders.rendered)
}

/// Waits until every environment is Ready at `commit`, and the Repository has counted them all.
async fn settled(stage: &Stage, commit: &str, count: usize) {
    let start = Instant::now();
    let api: Api<Repository> = Api::namespaced(stage.cluster.client.clone(), &stage.namespace.name);
    let limit = PATIENCE * 5;
    loop {
        let environments = environments(stage).await;
        let ready = environments
            .iter()
            .filter(|environment| {
                environment
                    .status
                    .as_ref()
                    .is_some_and(|status| is_ready(status, commit))
            })
            .count();
        let repository = api
            .get("shop")
            .await
            .expect("the Repository is there")
            .status
            .unwrap_or_default();
        let counted = repository
            .renders
            .filter(|renders| renders.commit == commit)
            .map_or(0, |renders| renders.environments);
        if ready == count && counted >= i64::try_from(count).expect("a small number") {
            return;
        }
        assert!(
            start.elapsed() < limit,
            "{ready} of {count} environments are ready at {commit}, {counted} counted"
        );
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

fn files(count: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for base in 0..BASES {
        files.push((
            format!("bases/b{base}/kustomization.yaml"),
            "resources: [map.yaml]\n".to_owned(),
        ));
        files.push((format!("bases/b{base}/map.yaml"), base_map(base, "one")));
    }
    for n in 0..count {
        let base = n % BASES;
        let text = format!(
            "resources: [../../bases/b{base}]\nnamePrefix: e{n}-\npatches:\n- path: patch.yaml\n"
        );
        files.push((format!("overlays/e{n}/kustomization.yaml"), text));
        files.push((format!("overlays/e{n}/patch.yaml"), overlay_patch(n, "one")));
    }
    files
}

fn base_map(base: usize, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  base: b{base}-{value}\n"
    )
}

fn overlay_patch(n: usize, value: &str) -> String {
    format!(
        "# overlay {n}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  own: {value}\n"
    )
}
