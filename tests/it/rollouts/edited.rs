//! What Git edits in the middle of a rollout and is no change of the workload: the policy's steps, the route, the workload's
//! size. The rollout goes on from where it is.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase, RolloutStatus};
use serde_json::{Value, json};

use super::load::{self, Load};
use super::moments::timeline::Timeline;
use super::router::{self, Router};
use super::shop::{self, SHOP, Shop};
use super::table;
use super::unaccepted::weights;
use crate::main_job::{
    manifests::{annotated, service},
    stage::Stage,
};
use crate::need_node;

/// Waits until the one rollout of the Environment is so.
async fn rollout(stage: &Stage, what: &str, is: impl Fn(&RolloutStatus) -> bool) -> RolloutStatus {
    let is = |status: &EnvironmentStatus| status.rollouts.first().is_some_and(&is);
    stage.until(SHOP, what, is).await.rollouts.remove(0)
}

async fn paused(stage: &Stage) -> RolloutStatus {
    rollout(stage, "it is at its pause", |it| it.phase == Phase::Paused).await
}

/// Waits until what this commit brings is known; the rollout then.
async fn knows(stage: &Stage, commit: &str) -> RolloutStatus {
    let is_known = |status: &EnvironmentStatus| {
        let next = status.next.as_ref();
        next.is_some_and(|next| next.revision.commit == commit)
    };
    stage.until(SHOP, "the commit is known", is_known).await;
    stage.sync(SHOP).await.rollouts.remove(0)
}

/// Where it is, and since when: what begins anew is somewhere else.
fn place(rollout: &RolloutStatus) -> impl PartialEq + std::fmt::Debug {
    let RolloutStatus {
        change,
        phase,
        step,
        weight,
        canary_replicas,
        since,
        in_effect_since,
        ..
    } = rollout.clone();
    let at = (phase, step, weight, canary_replicas);
    (change, at, since, in_effect_since)
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_followed_and_the_weight_goes_on_from_where_it_is() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "1h"}, {"weight": 50, "for": "1h"}]);
    let mut shop = Shop::open(Stage::new(node).await, steps).await;
    let timeline = Timeline::of(&shop.stage).await;
    let pods = shop::stable_pods(&shop.stage);
    let in_effect = async |shop: &Shop, weight: u32| {
        rollout(&shop.stage, &format!("{weight} % are in effect"), |it| {
            it.weight == weight && it.in_effect_since.is_some()
        })
        .await
    };
    let edit = async |shop: &mut Shop, steps: Value| {
        shop.policy = shop::policy(steps, json!({}));
        shop.push("2", &[]).await
    };
    shop.push("2", &[]).await;
    let before = in_effect(&shop, 25).await;

    // What is behind the present step.
    let steps = json!([{"weight": 25, "for": "1h"}, {"weight": 40, "for": "1h"}, {"pause": true}]);
    let commit = edit(&mut shop, steps).await;
    let after = knows(&shop.stage, &commit).await;
    assert_eq!(after.steps, 3);
    assert_eq!(place(&after), place(&before));

    // The present one: more of the traffic, less of it, and for a shorter time.
    edit(&mut shop, json!([{"weight": 50, "for": "1h"}])).await;
    in_effect(&shop, 50).await;
    let steps = json!([{"weight": 25, "for": "1h"}, {"pause": true}]);
    edit(&mut shop, steps).await;
    in_effect(&shop, 25).await;
    let steps = json!([{"weight": 25, "for": "1s"}, {"pause": true}]);
    let commit = edit(&mut shop, steps).await;
    paused(&shop.stage).await;
    assert_eq!(shop::stable_pods(&shop.stage), pods);
    shop.say("promote").await;
    shop.over(&commit).await;

    let records = timeline.records(0);
    let mut weights: Vec<u32> = records.iter().map(|(_, it)| it.weight).collect();
    weights.dedup();
    assert_eq!(weights, [0, 25, 50, 25, 0], "it never began anew");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_comes_with_the_promotion() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let steps = json!([{"weight": 50, "for": "1s"}, {"pause": true}]);
    let policy = shop::policy(steps, json!({}));
    let objects = |version: &str, replicas: u32| {
        let api = shop::api(&image, replicas, version, &[]);
        [api, shop::service(), policy.clone()]
    };
    let first = objects("1", 3);
    let shop = Shop::of(Stage::new(node).await, &first, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let size = async || {
        stage
            .cluster
            .at("Deployment", "api", "/spec/replicas")
            .await
    };

    for (version, from, to) in [("2", 3, 4), ("3", 4, 2)] {
        stage.push_objects(SHOP, &objects(version, from)).await;
        let before = paused(stage).await;
        let pods = shop::stable_pods(stage);
        let commit = stage.push_objects(SHOP, &objects(version, to)).await;
        let after = knows(stage, &commit).await;
        assert_eq!(place(&after), place(&before));
        assert_eq!(shop::stable_pods(stage), pods);
        assert_eq!(size().await, from);
        shop.say("promote").await;
        shop.over(&commit).await;
        assert_eq!(size().await, to);
    }
    assert_eq!(shop::stable_pods(stage).len(), 2);
    shop.close().await;
}

/// A route that is edited: by a policy's field and as kubectl names it.
struct Edited {
    field: &'static str,
    kind: &'static str,
    route: fn(&Router) -> Value,
    edit: fn(&mut Value),
    /// What shows the edit in the live route, and what it shows.
    shows: (&'static str, &'static str),
    /// Who splits the traffic now, and how it does at 20 % and at rest.
    split: fn(&Stage) -> Value,
    splits: [Value; 2],
}

async fn keeps_its_weights(test: &str, edited: Edited) {
    let Some((stage, router)) = router::open(test).await else {
        return;
    };
    let image = shop::image();
    let mut traffic = json!({});
    traffic[edited.field] = json!({"name": "api"});
    // Traefik gathers changes for 2 s before it follows them.
    let policy = shop::policy(
        json!([{"weight": 20}, {"pause": true}]),
        json!({"traffic": traffic, "settle": "4s"}),
    );
    let objects = |version: &str, route: &Value| {
        let mut objects = vec![service("old"), route.clone(), policy.clone()];
        objects.extend([shop::api(&image, 3, version, &[]), shop::service()]);
        objects
    };
    let mut route = (edited.route)(&router);
    let first = stage.push_objects(SHOP, &objects("1", &route)).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let (address, host) = (router.address(), router.host());
    load::answers_as(&address, host).await;
    let load = Load::start(&address, host, 200);
    stage.push_objects(SHOP, &objects("2", &route)).await;
    let before = paused(&stage).await;
    let (path, shown) = edited.shows;
    let path = format!("jsonpath={path}");
    let shows = || {
        let get = ["get", edited.kind, "api", "-o", &path];
        stage.namespace.kubectl(&get)
    };
    let plain = shows();
    let [at_20, at_rest] = edited.splits;
    assert_eq!((edited.split)(&stage), at_20);

    // It waits with its revision.
    (edited.edit)(&mut route);
    route["metadata"]["annotations"] = json!({"example.com/team": "shop"});
    let commit = stage.push_objects(SHOP, &objects("2", &route)).await;
    let after = knows(&stage, &commit).await;
    assert_eq!(place(&after), place(&before));
    assert_eq!(((edited.split)(&stage), shows()), (at_20.clone(), plain));

    // Or comes at once, where it asks for that.
    let route = annotated(route, "driftless.dev/hold", "never");
    let commit = stage.push_objects(SHOP, &objects("2", &route)).await;
    stage
        .until(SHOP, "the edit is there", |_| shows() == shown)
        .await;
    let after = knows(&stage, &commit).await;
    assert_eq!(place(&after), place(&before));
    assert_eq!((edited.split)(&stage), at_20);

    shop::say(&stage, "promote").await;
    shop::over(&stage, &commit).await;
    assert_eq!(((edited.split)(&stage), shows().as_str()), (at_rest, shown));
    let samples = load.end().await;
    table::none_failed(&table::of_this_test(), &samples, |_| false);
    assert!(samples.last().is_some_and(|sample| sample.is_of("2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_route_keeps_its_weights() {
    if table::is_left_out() {
        return;
    }
    let edited = Edited {
        field: "httpRoute",
        kind: "httproute",
        route: Router::http_route,
        edit: |route| {
            let adds = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-shop", "value": "1"}]}});
            let rule = json!({
                "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
                "backendRefs": [{"name": "old", "port": 80}],
            });
            let rules = route["spec"]["rules"].as_array_mut().expect("a list");
            rules[0]["filters"] = json!([adds]);
            rules.push(rule);
        },
        shows: (
            r"{.spec.rules[*].filters[*].requestHeaderModifier.set[*].name} {.spec.rules[*].matches[*].path.value} {.metadata.annotations.example\.com/team}",
            "x-shop / /old shop",
        ),
        split: weights,
        splits: [json!({"api": 80, "api-canary": 20}), json!({"api": 1})],
    };
    keeps_its_weights("an_http_route_keeps_its_weights", edited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_keeps_its_canary() {
    if table::is_left_out() {
        return;
    }
    let edited = Edited {
        field: "ingressNginx",
        kind: "ingress",
        route: Router::ingress,
        edit: |route| {
            let old = json!({"path": "/old", "pathType": "Prefix", "backend": {"service": {"name": "old", "port": {"number": 80}}}});
            let paths = route["spec"]["rules"][0]["http"]["paths"].as_array_mut();
            paths.expect("a list").push(old);
        },
        shows: (
            r"{.spec.rules[*].http.paths[*].path} {.metadata.annotations.example\.com/team}",
            "/ /old shop",
        ),
        split: |stage| {
            let path = r"jsonpath={.metadata.annotations.nginx\.ingress\.kubernetes\.io/canary-weight} {.spec.rules[*].http.paths[*].path}";
            let get = [
                "get",
                "ingress",
                "api-canary",
                "--ignore-not-found",
                "-o",
                path,
            ];
            stage.namespace.kubectl(&get).into()
        },
        splits: [json!("20 /"), json!("")],
    };
    keeps_its_weights("an_ingress_keeps_its_canary", edited).await;
}
