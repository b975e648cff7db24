//! Configuration and workload are one revision: who restarts in the middle sees what it saw before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use driftless::api::RolloutPhase as Phase;
use git2::FileMode;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::main_job::manifests::yaml;
use crate::main_job::stage::{PATIENCE, Stage};
use crate::need_node;
use crate::rollouts::load::{self, Load};
use crate::rollouts::shop::{self, SHOP};
use crate::rollouts::table;
use crate::support::wait::wait_until;

/// Whose pods.
#[derive(Clone, Copy)]
enum Side {
    Stable,
    Canary,
    /// Of a workload without a policy that reads the same ConfigMap.
    Other,
}

impl Side {
    fn has(self, labels: &Value) -> bool {
        let is_canary = labels["driftless.dev/track"] == "canary";
        match self {
            Side::Stable => labels["app"] == "api" && !is_canary,
            Side::Canary => is_canary,
            Side::Other => labels["app"] == "other",
        }
    }
}

/// How Git holds the ConfigMap and the Secret.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    /// By kustomize's generators: their names end in a hash.
    Suffixed,
}

/// What Git wants: the values of the configuration, and of a variable of the template.
#[derive(Clone, Copy)]
struct Wanted {
    /// In the Secret.
    version: &'static str,
    /// In the ConfigMap.
    color: &'static str,
    /// In both; no text.
    blob: [u8; 2],
    template: &'static str,
}

impl Wanted {
    /// What a pod sees that has this configuration.
    fn seen(&self) -> String {
        let blob = base64(self.blob);
        format!("version {}, {}, {blob}, {blob}", self.version, self.color)
    }
}

const FIRST: Wanted = Wanted {
    version: "1",
    color: "blue",
    blob: [0xff, 0x01],
    template: "a",
};
const SECOND: Wanted = Wanted {
    version: "2",
    color: "green",
    blob: [0xff, 0x02],
    template: "a",
};
const THIRD: Wanted = Wanted {
    version: "3",
    color: "red",
    blob: [0xff, 0x03],
    template: "b",
};
const FOURTH: Wanted = Wanted {
    version: "4",
    color: "white",
    blob: [0xff, 0x04],
    template: "b",
};

fn base64(bytes: [u8; 2]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = usize::from(bytes[0]) << 10 | usize::from(bytes[1]) << 2;
    let digit = |place: usize| char::from(DIGITS[bits >> (6 * place) & 63]);
    format!("{}{}{}=", digit(2), digit(1), digit(0))
}

struct Scene {
    stage: Stage,
    image: String,
    form: Form,
}

impl Scene {
    fn objects(&self, wanted: Wanted) -> Vec<Value> {
        let reference =
            |kind: &str, name: &str, key: &str| json!({kind: {"name": name, "key": key}});
        let mut api = shop::api(&self.image, 3, "", &[("TEMPLATE", wanted.template)]);
        let pod = &mut api["spec"]["template"]["spec"];
        let environment = &mut pod["containers"][0]["env"];
        environment[0] =
            json!({"name": "VERSION", "valueFrom": reference("secretKeyRef", "keys", "VERSION")});
        let color = json!({"name": "COLOR", "valueFrom": reference("configMapKeyRef", "settings", "COLOR")});
        environment
            .as_array_mut()
            .expect("a list")
            .push(color.clone());
        pod["volumes"] = json!([
            {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "keys", "secret": {"secretName": "keys"}},
        ]);
        pod["containers"][0]["volumeMounts"] = json!([
            {"name": "settings", "mountPath": "/settings"}, {"name": "keys", "mountPath": "/keys"},
        ]);
        let mut other = shop::api(&self.image, 1, "other", &[("DRAIN", "1s")]);
        other["metadata"]["name"] = json!("other");
        other["spec"]["selector"]["matchLabels"]["app"] = json!("other");
        other["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
        other["spec"]["template"]["spec"]["containers"][0]["env"]
            .as_array_mut()
            .expect("a list")
            .push(color);
        let policy = shop::policy(
            json!([{"weight": 25, "for": "1s"}, {"pause": true}]),
            json!({}),
        );
        let mut objects = vec![api, other, shop::service(), policy];
        if self.form == Form::Plain {
            let blob = base64(wanted.blob);
            objects.push(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                "data": {"COLOR": wanted.color}, "binaryData": {"blob": blob},
            }));
            objects.push(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                "stringData": {"VERSION": wanted.version}, "data": {"blob": blob},
            }));
        }
        objects
    }

    async fn push(&self, wanted: Wanted) -> String {
        let objects = yaml(&self.objects(wanted));
        let files = match self.form {
            Form::Plain => vec![("objects.yaml", objects.into_bytes())],
            Form::Suffixed => {
                let kustomization = json!({
                    "resources": ["objects.yaml"],
                    "configMapGenerator": [
                        {"name": "settings", "literals": [format!("COLOR={}", wanted.color)], "files": ["blob"]},
                    ],
                    "secretGenerator": [
                        {"name": "keys", "literals": [format!("VERSION={}", wanted.version)], "files": ["blob"]},
                    ],
                });
                vec![
                    ("objects.yaml", objects.into_bytes()),
                    ("kustomization.yaml", kustomization.to_string().into_bytes()),
                    ("blob", wanted.blob.to_vec()),
                ]
            }
        };
        let repository = self.stage.server.repo("shop");
        let commit = repository.change("main", |tree| {
            for (name, content) in &files {
                let blob = repository.repository().blob(content);
                let blob = blob.expect("a blob can be written");
                tree.upsert(format!("{SHOP}/{name}").as_str(), blob, FileMode::Blob);
            }
        });
        self.stage.hook().await;
        commit
    }

    /// The ready pods of a side; not those on their way out.
    async fn pods(&self, side: Side) -> Vec<Value> {
        let is_ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        let mut pods = self.stage.cluster.list("Pod").await;
        pods.retain(|pod| {
            side.has(&pod["metadata"]["labels"])
                && pod["metadata"]["deletionTimestamp"].is_null()
                && is_ready(pod)
        });
        pods
    }

    /// The ConfigMap and the Secret that a pod mounts.
    async fn mounted(&self, pod: &Value) -> Vec<Value> {
        let mut objects = Vec::new();
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            let (kind, name) = match (
                &volume["configMap"]["name"],
                &volume["secret"]["secretName"],
            ) {
                (Value::String(name), _) => ("ConfigMap", name),
                (_, Value::String(name)) => ("Secret", name),
                _ => continue,
            };
            let object = self.stage.cluster.get(kind, name).await;
            objects.push(object.expect("what a pod mounts is there"));
        }
        objects
    }

    /// What the pods of a side see: what they answer, and the binary data of the objects that they mount.
    async fn seen(&self, side: Side) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for pod in self.pods(side).await {
            let address = pod["status"]["podIP"].as_str().expect("an address");
            let answer = load::ask_for_text(&format!("{address}:8080")).await;
            let mut words = vec![answer.trim().to_owned()];
            for object in self.mounted(&pod).await {
                let data = match object["kind"].as_str() {
                    Some("Secret") => &object["data"],
                    _ => &object["binaryData"],
                };
                words.push(data["blob"].as_str().unwrap_or("nothing").to_owned());
            }
            all.insert(words.join(", "));
        }
        all
    }

    /// Deletes one pod of a side, and waits until another is there in its place.
    async fn restart_one(&self, side: Side) {
        let before = self.pods(side).await;
        let name = before[0]["metadata"]["name"].as_str().expect("a name");
        let pods = self.stage.cluster.api("Pod");
        pods.delete(name, &DeleteParams::default())
            .await
            .expect("it is deleted");
        wait_until(PATIENCE, "another pod is ready in its place", || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.pods(side).await;
            let gone = now.iter().all(|pod| pod["metadata"]["name"] != *name);
            (gone && now.len() == before.len()).then_some(())
        })
        .await;
    }

    /// The objects that a side's pods mount: UID and content.
    async fn configuration(&self, side: Side) -> BTreeMap<String, Value> {
        let mut objects = BTreeMap::new();
        for pod in self.pods(side).await {
            for object in self.mounted(&pod).await {
                let metadata = &object["metadata"];
                let name = format!("{} {}", object["kind"], metadata["name"]);
                let facts = json!([metadata["uid"], object["data"], object["binaryData"]]);
                objects.insert(name, facts);
            }
        }
        objects
    }

    async fn until_paused(&self, commit: &str) {
        self.stage
            .until(SHOP, "it is at its pause", |status| {
                shop::phase(status) == Some(Phase::Paused) && status.rollouts[0].commit == commit
            })
            .await;
    }

    /// In the middle of a rollout, with a stable pod and one of the other workload that started just now.
    async fn each_side_sees_its_own(&self, old: Wanted, new: Wanted) {
        self.restart_one(Side::Stable).await;
        self.restart_one(Side::Other).await;
        assert_eq!(self.seen(Side::Stable).await, [old.seen()].into());
        assert_eq!(self.seen(Side::Canary).await, [new.seen()].into());
        let other = format!("version other, {}", old.color);
        assert_eq!(self.seen(Side::Other).await, [other].into());
    }

    /// After a promotion, also for those that start later.
    async fn everybody_sees(&self, wanted: Wanted) {
        self.restart_one(Side::Stable).await;
        assert_eq!(self.seen(Side::Stable).await, [wanted.seen()].into());
        // Without a suffix nothing restarts those that read it by themselves.
        self.restart_one(Side::Other).await;
        let other = format!("version other, {}", wanted.color);
        assert_eq!(self.seen(Side::Other).await, [other].into());
    }
}

async fn configuration_moves_with_its_workload(form: Form, moment: &str) {
    let Some(node) = need_node!() else { return };
    let scene = Scene {
        stage: Stage::new(node).await,
        image: shop::image(),
        form,
    };
    let stage = &scene.stage;
    let first = scene.push(FIRST).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let address = shop::address(stage, "api");
    load::answers(&address).await;
    let load = Load::start(&address, "api", 200);
    assert_eq!(scene.seen(Side::Stable).await, [FIRST.seen()].into());
    let old = scene.configuration(Side::Stable).await;

    // A commit of nothing but configuration; taken back.
    let second = scene.push(SECOND).await;
    scene.until_paused(&second).await;
    scene.each_side_sees_its_own(FIRST, SECOND).await;
    shop::say(stage, "abort").await;
    stage
        .until(SHOP, "it is taken back", |status| {
            shop::phase(status) == Some(Phase::Failed)
        })
        .await;
    assert_eq!(
        scene.configuration(Side::Stable).await,
        old,
        "the old ones are untouched"
    );
    scene.restart_one(Side::Stable).await;
    scene.restart_one(Side::Other).await;
    assert_eq!(scene.seen(Side::Stable).await, [FIRST.seen()].into());
    table::must(
        moment,
        "configuration only, then an abort",
        "restarted stable pods saw the old, canary pods the new; the old objects have their UIDs and content",
        "so",
        scene.configuration(Side::Stable).await == old,
    );

    // Configuration and template in one commit; promoted.
    let third = scene.push(THIRD).await;
    scene.until_paused(&third).await;
    scene.each_side_sees_its_own(FIRST, THIRD).await;
    shop::say(stage, "promote").await;
    shop::over(stage, &third).await;
    scene.everybody_sees(THIRD).await;

    let what = "restarted stable pods saw the old, canary pods the new, promoted pods the new; so did the other workload";
    table::must(
        moment,
        "with the template, then a promotion",
        what,
        "so",
        true,
    );

    if table::is_long() {
        // Nothing but configuration again, of a workload that was promoted before.
        let fourth = scene.push(FOURTH).await;
        scene.until_paused(&fourth).await;
        scene.each_side_sees_its_own(THIRD, FOURTH).await;
        shop::say(stage, "promote").await;
        shop::over(stage, &fourth).await;
        scene.everybody_sees(FOURTH).await;
        table::must(
            moment,
            "configuration only, then a promotion",
            what,
            "so",
            true,
        );
    }
    table::none_failed(moment, &load.end().await, |_| false);
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_fixed_names_moves_with_its_workload() {
    configuration_moves_with_its_workload(Form::Plain, "3 configuration, fixed names").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_with_a_hash_suffix_moves_with_its_workload() {
    configuration_moves_with_its_workload(Form::Suffixed, "3 configuration, hash suffix").await;
}

#[test]
fn base64_is_that_of_kubernetes() {
    assert_eq!(base64([0xff, 0x01]), "/wE=");
    assert_eq!(base64([0x00, 0x00]), "AAA=");
}
