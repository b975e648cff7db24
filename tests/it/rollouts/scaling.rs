//! An autoscaler in the middle of a rollout: the stable side never falls below its size at the start, and keeps growing where
//! it has to. The autoscaler is Kubernetes' own; the metrics API that it asks is the test's.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use driftless::api::RolloutPhase as Phase;
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::shop::{self, SHOP, Shop};
use crate::main_job::{
    sight::Sight,
    stage::{PATIENCE, Stage},
};
use crate::need_node;
use crate::support::wait::wait_until;
use crate::support::wire::{certificate, response};

const GROUP: &str = "external.metrics.k8s.io/v1beta1";

/// An aggregated API with one external metric, `demand`. It ends with the test.
struct Demand {
    value: Arc<AtomicU32>,
    node: &'static crate::support::node::Node,
}

impl Demand {
    fn serve(stage: &Stage) -> Self {
        let value = Arc::<AtomicU32>::default();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (config, _) = certificate(&["demand"]);
        let served = value.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection =
                    ServerConnection::new(config.clone()).expect("a valid configuration");
                let served = served.clone();
                // Clients open connections that they may never use.
                thread::spawn(move || {
                    let mut tls = StreamOwned::new(connection, stream);
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(tls.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                    }
                    let answer = answer(
                        &String::from_utf8_lossy(&head),
                        served.load(Ordering::Relaxed),
                    );
                    let _ = tls.write_all(&answer);
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                });
            }
        });
        // The address under which the node serves its own API is reached through Services, too.
        let address = stage.node.kubectl(&[
            "get",
            "endpointslices",
            "kubernetes",
            "-n",
            "default",
            "-o",
            "jsonpath={.endpoints[0].addresses[0]}",
        ]);
        let namespace = &stage.namespace.name;
        for object in [
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "demand", "namespace": namespace},
                "spec": {"ports": [{"port": 443, "targetPort": port}]},
            }),
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "demand", "namespace": namespace, "labels": {"kubernetes.io/service-name": "demand"}},
                "addressType": "IPv4", "ports": [{"port": port}], "endpoints": [{"addresses": [address]}],
            }),
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                "spec": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "service": {"name": "demand", "namespace": namespace},
                },
            }),
        ] {
            stage.node.apply(&object.to_string());
        }
        stage.node.kubectl(&[
            "wait",
            "--for=condition=Available",
            "apiservice/v1beta1.external.metrics.k8s.io",
            "--timeout=30s",
        ]);
        Self {
            value,
            node: stage.node,
        }
    }

    /// So many pods are needed.
    fn is_for(&self, pods: u32) {
        self.value.store(pods * 10, Ordering::Relaxed);
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        let _ = self.node.try_kubectl(
            &["delete", "apiservice", "v1beta1.external.metrics.k8s.io"],
            "",
        );
    }
}

fn answer(head: &str, value: u32) -> Vec<u8> {
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let path = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let body = if path == format!("/apis/{GROUP}") {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP, "resources": []})
    } else if path.starts_with(&format!("/apis/{GROUP}/namespaces/")) {
        json!({"kind": "ExternalMetricValueList", "apiVersion": GROUP, "metadata": {}, "items": [{
            "metricName": "demand", "metricLabels": {}, "timestamp": jiff::Timestamp::now().to_string(), "value": value.to_string(),
        }]})
    } else {
        return response("404 Not Found", "text/plain", "not here");
    };
    response("200 OK", "application/json", &body.to_string())
}

/// One pod for 10 of the demand; it follows at once, both ways.
fn autoscaler() -> Value {
    let at_once = json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}]});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
            "minReplicas": 2, "maxReplicas": 6, "behavior": {"scaleUp": at_once, "scaleDown": at_once},
            "metrics": [{"type": "External", "external": {
                "metric": {"name": "demand"}, "target": {"type": "AverageValue", "averageValue": "10"},
            }}],
        },
    })
}

async fn size(stage: &Stage) -> i64 {
    let ready = stage
        .cluster
        .at("Deployment", "api", "/status/readyReplicas")
        .await;
    ready.as_i64().unwrap_or(0)
}

async fn has_size(stage: &Stage, pods: i64) {
    wait_until(PATIENCE, &format!("{pods} pods serve"), || async {
        (size(stage).await == pods).then_some(())
    })
    .await;
}

async fn least(stage: &Stage) -> Value {
    stage
        .cluster
        .at("HorizontalPodAutoscaler", "api", "/spec/minReplicas")
        .await
}

/// The stable side's sizes from `mark` on, as long as the floor was there.
fn sizes_under_the_floor(sight: &Sight, mark: usize) -> Vec<i64> {
    let all = sight.since(mark);
    let ends = all.iter().rposition(|sighting| {
        sighting.is("HorizontalPodAutoscaler", "api") && *sighting.at("/spec/minReplicas") != 2
    });
    let mut sizes: Vec<i64> = all[..ends.unwrap_or(0)]
        .iter()
        .filter(|sighting| sighting.is("Deployment", "api"))
        .map(|sighting| sighting.at("/spec/replicas").as_i64().unwrap_or(0))
        .collect();
    sizes.dedup();
    sizes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_never_takes_the_stable_side_below_its_size() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let demand = Demand::serve(&stage);
    demand.is_for(4);
    let image = shop::image();
    let policy = shop::policy(
        json!([{"weight": 50, "for": "1s"}, {"pause": true}]),
        json!({}),
    );
    let objects = |version: &str| {
        vec![
            shop::api(&image, 3, version, &[]),
            shop::service(),
            autoscaler(),
            policy.clone(),
        ]
    };
    let shop = Shop::of(stage, &objects("1"), Value::Null, json!({})).await;
    let stage = &shop.stage;
    has_size(stage, 4).await;
    let sight = Sight::of(&stage.cluster, &["Deployment", "HorizontalPodAutoscaler"]).await;

    // Down, up and down again in the middle, and low at the abort.
    let mark = sight.mark();
    let commit = stage.push_objects(SHOP, &objects("2")).await;
    shop.at(Phase::Paused).await;
    assert_eq!(least(stage).await, 4, "its size at the start");
    demand.is_for(1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(size(stage).await, 4);
    demand.is_for(6);
    has_size(stage, 6).await;
    demand.is_for(1);
    has_size(stage, 4).await;
    shop.say("abort").await;
    shop.at(Phase::Failed).await;
    let sizes = sizes_under_the_floor(&sight, mark);
    assert!(
        sizes.contains(&6) && sizes.iter().all(|size| *size >= 4),
        "{sizes:?}"
    );
    assert_eq!(least(stage).await, 2, "as Git has it");
    has_size(stage, 2).await;

    // The same to the end: what is promoted has the size, too.
    demand.is_for(4);
    has_size(stage, 4).await;
    let mark = sight.mark();
    shop.say("retry").await;
    shop.at(Phase::Paused).await;
    demand.is_for(1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    shop.say("promote").await;
    shop.over(&commit).await;
    let sizes = sizes_under_the_floor(&sight, mark);
    assert!(
        !sizes.is_empty() && sizes.iter().all(|size| *size >= 4),
        "{sizes:?}"
    );
    assert_eq!(least(stage).await, 2);
    has_size(stage, 2).await;
    drop(demand);
    shop.close().await;
}
