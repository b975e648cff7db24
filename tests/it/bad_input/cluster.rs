//! The ways to a short render that lie in the cluster and in the agent: what cannot be read, found or remembered is not
//! gone. And an API server that is down, slow, or refuses.

use std::{collections::BTreeMap, time::Duration};

use driftless::api::Environment;
use k8s_openapi::{
    api::{core::v1::ConfigMap, rbac::v1::ClusterRole},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    agents::Lone,
    apiserver::{Mood, Proxy},
    place::{NAME, OBJECTS, Place, telling},
    world::{FLAGS, World, patiently},
};
use crate::{need_node, support::status::condition};

/// A place, and what must not be lost of it.
struct Scene {
    world: World,
    place: Place,
    before: BTreeMap<String, String>,
}

impl Scene {
    async fn new(world: World) -> Result<Self, String> {
        let place = Place::new(&world, false).await?;
        place.ready(NAME, &place.good).await?;
        let before = place.objects().await?;
        if before.len() == OBJECTS {
            Ok(Self {
                world,
                place,
                before,
            })
        } else {
            Err(format!(
                "{} objects are applied, not {OBJECTS}",
                before.len()
            ))
        }
    }

    fn lost_nothing(&self) -> Result<(), String> {
        let gone = self.world.witness.gone_in(&self.place.namespace);
        let lost: Vec<_> = gone
            .iter()
            .filter(|gone| self.before.values().any(|uid| *uid == gone.uid))
            .collect();
        if lost.is_empty() {
            Ok(())
        } else {
            Err(format!("deleted: {lost:?}"))
        }
    }

    /// Waits until the environment is not Ready and says this.
    async fn tells(&self, words: &str) -> Result<(), String> {
        patiently(&format!("the status says {words:?}"), || async {
            let status = self.place.status(NAME).await?;
            let text = telling(&status);
            if condition(&status, "Ready").0 != "True" && text.contains(words) {
                Ok(())
            } else {
                Err(text)
            }
        })
        .await
    }

    /// Ends the agent, changes the status as it is recorded, and starts the agent again.
    async fn restart_with(&mut self, status: Value) -> Result<(), String> {
        self.world.stop();
        let api = self.place.api::<Environment>();
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(NAME, &PatchParams::default(), &patch)
            .await
            .map_err(|error| error.to_string())?;
        self.world.restart();
        Ok(())
    }

    /// A commit of the base without its last map: one object that may go when everything is well, and only then.
    async fn without_last_map(&self) -> Result<String, String> {
        let maps = super::place::files()
            .into_iter()
            .find(|(path, _)| *path == "base/maps.yaml")
            .expect("it is there")
            .1;
        let shorter = maps
            .rsplit_once("---\n")
            .expect("there are several")
            .0
            .to_owned();
        let commit = self.place.repo().commit(&[("base/maps.yaml", &shorter)]);
        self.place.look().await?;
        Ok(commit)
    }

    /// The last map goes when the trouble is over, and nothing else ever did.
    async fn only_the_last_map_goes(&mut self) -> Result<(), String> {
        let last = self
            .before
            .remove("ConfigMap shop-map-5")
            .ok_or("it was there")?;
        patiently("what Git no longer has is deleted", || async {
            let status = self.place.status(NAME).await?;
            if self
                .place
                .objects()
                .await?
                .contains_key("ConfigMap shop-map-5")
            {
                Err(telling(&status))
            } else {
                Ok(())
            }
        })
        .await?;
        let gone = self.world.witness.gone_in(&self.place.namespace);
        if !gone.iter().any(|gone| gone.uid == last) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.lost_nothing()?;
        // Everything again, for the next trouble.
        let commit = self.place.repo().revert("main");
        self.place.look().await?;
        self.place.ready(NAME, &commit).await?;
        self.before = self.place.objects().await?;
        Ok(())
    }

    async fn recorded(&self, wanted: usize) -> Result<(), String> {
        patiently(&format!("the inventory has {wanted} objects"), || async {
            let status = self.place.status(NAME).await?;
            let count = status.inventory.entries.len();
            if count == wanted {
                Ok(())
            } else {
                Err(format!("it has {count}; {}", telling(&status)))
            }
        })
        .await
    }

    async fn end(self, outcome: Result<(), String>) {
        self.place.leave().await;
        let mut world = self.world;
        world.stop();
        let told = super::secrets::told(&world).await;
        // With the agent's log, which the harness shows of a test that fails.
        assert!(
            told.is_empty() && outcome.is_ok(),
            "{told:#?}\n{}",
            outcome.err().unwrap_or_default()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_remembered_is_not_gone() {
    let Some(node) = need_node!() else { return };
    let mut scene = Scene::new(World::new(node).await)
        .await
        .expect("a scene for the cases");
    let outcome = async {
        let at = |what: &'static str| move |error: String| format!("{what}: {error}");
        corrupt_clone(&mut scene)
            .await
            .map_err(at("15 an object is missing in the agent's clone"))?;
        forbidden(&mut scene)
            .await
            .map_err(at("19 403 on reads and lists"))?;
        second_agent(&mut scene)
            .await
            .map_err(at("24 a second agent with another configuration"))?;
        forgotten(&mut scene)
            .await
            .map_err(at("25 another version of the agent"))
    }
    .await;
    scene.end(outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_not_gone() {
    let Some(node) = need_node!() else { return };
    let mut scene = Scene::new(World::new(node).await)
        .await
        .expect("a scene for the case");
    let outcome = undiscovered(&mut scene)
        .await
        .map_err(|error| format!("20 partial discovery: {error}"));
    scene.end(outcome).await;
}

/// The mirror loses its packs while the agent runs, and the next commit needs what they held.
async fn corrupt_clone(scene: &mut Scene) -> Result<(), String> {
    let mut damaged = 0;
    let mut folders = vec![scene.world.data.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .map_err(|error| error.to_string())?
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.components().any(|part| part.as_os_str() == "objects") {
                // A new file of that name: what is mapped into memory is another matter.
                std::fs::remove_file(&path).map_err(|error| error.to_string())?;
                std::fs::write(&path, b"").map_err(|error| error.to_string())?;
                damaged += 1;
            }
        }
    }
    if damaged == 0 {
        return Err("no mirror was found to damage".to_owned());
    }
    let commit = scene.place.repo().commit(&[(
        "app/patch.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-0}\ndata: {patched: again}\n",
    )]);
    scene.place.look().await?;
    // It may be told, and it heals by itself: the mirror is only a cache.
    scene.place.ready(NAME, &commit).await?;
    scene.lost_nothing()
}

/// The agent loses its right to read ConfigMaps.
async fn forbidden(scene: &mut Scene) -> Result<(), String> {
    const ROLE: &str = "driftless-agent";
    let roles: Api<ClusterRole> = Api::all(scene.place.client.clone());
    let whole = roles.get(ROLE).await.map_err(|error| error.to_string())?;
    let mut rules = serde_json::to_value(&whole.rules).map_err(|error| error.to_string())?;
    let verbs = ["get", "list", "watch"];
    rules[0] = json!({"apiGroups": [""], "verbs": verbs, "resources": ["secrets", "services", "serviceaccounts", "namespaces", "pods"]});
    let groups = [
        "apps",
        "rbac.authorization.k8s.io",
        "driftless.dev",
        "coordination.k8s.io",
        "apiextensions.k8s.io",
        "admissionregistration.k8s.io",
    ];
    let rest = json!({"apiGroups": groups, "verbs": verbs, "resources": ["*"]});
    rules.as_array_mut().ok_or("rules are a list")?.push(rest);
    let set = |rules: Value| {
        let roles = roles.clone();
        async move {
            let patch = Patch::Merge(json!({"rules": rules}));
            roles
                .patch(ROLE, &PatchParams::default(), &patch)
                .await
                .map(|_| ())
                .map_err(|error| error.to_string())
        }
    };
    let whole = serde_json::to_value(&whole.rules).map_err(|error| error.to_string())?;
    set(rules.clone()).await?;
    let outcome = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.without_last_map().await?;
        scene.place.pass(NAME).await?;
        scene.lost_nothing()?;
        scene.world.restart();
        scene.tells("configmaps").await?;
        scene.place.event(&["configmaps".to_owned()]).await?;
        scene.place.pass(NAME).await?;
        scene.lost_nothing()
    }
    .await;
    set(whole.clone()).await?;
    outcome?;
    scene.only_the_last_map_goes().await?;
    // Once more, with nothing recorded: an agent that starts anew has to list what it owns.
    set(rules).await?;
    let outcome = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.restart_with(Value::Null).await?;
        scene.tells("configmaps").await?;
        scene.place.pass(NAME).await?;
        scene.lost_nothing()
    }
    .await;
    set(whole).await?;
    outcome?;
    scene.place.ready(NAME, &scene.place.tip()).await?;
    scene.recorded(OBJECTS).await?;
    scene.lost_nothing()
}

/// The server of a group of kinds does not answer: its kinds are not to be found, and its objects are not gone.
async fn undiscovered(scene: &mut Scene) -> Result<(), String> {
    let client = scene.place.client.clone();
    let group = format!("{}.example.com", scene.place.namespace);
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    scene
        .place
        .create(definitions.clone(), definition(&group))
        .await?;
    let widgets = ApiResource {
        group: group.clone(),
        version: "v1".to_owned(),
        api_version: format!("{group}/v1"),
        kind: "Widget".to_owned(),
        plural: "widgets".to_owned(),
    };
    let widgets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &scene.place.namespace, &widgets);
    let with = scene.place.repo().commit(&[
        (
            "app/kustomization.yaml",
            "resources: [../base, widget.yaml]\nnamePrefix: shop-\npatches: [{path: patch.yaml}]\n",
        ),
        (
            "app/widget.yaml",
            &format!(
                "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: one}}\nspec: {{size: 1}}\n"
            ),
        ),
    ]);
    scene.place.look().await?;
    scene.place.ready(NAME, &with).await?;
    let uid = widgets
        .get("shop-one")
        .await
        .map_err(|error| error.to_string())?
        .metadata
        .uid;

    // Somebody else is to serve the group, and is nowhere.
    let services: Api<APIService> = Api::all(client);
    let name = format!("v1.{group}");
    let nowhere = json!({
        "metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": null}},
        "spec": {"service": {"namespace": scene.place.namespace, "name": "nowhere", "port": 443}, "insecureSkipTLSVerify": true},
    });
    services
        .patch(&name, &PatchParams::default(), &Patch::Merge(&nowhere))
        .await
        .map_err(|error| error.to_string())?;
    let outcome = async {
        patiently("the group is not served", || async {
            if widgets.get("shop-one").await.is_err() {
                Ok(())
            } else {
                Err("it is".to_owned())
            }
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Git no longer has the widget, nor a map; with everything well both would go.
        let without = scene.place.repo().revert("main");
        scene.place.look().await?;
        scene.world.restart();
        scene.tells("Widget").await?;
        scene.place.pass(NAME).await?;
        scene.lost_nothing()?;
        Ok::<_, String>(without)
    }
    .await;
    services
        .delete(&name, &DeleteParams::background())
        .await
        .map_err(|error| error.to_string())?;
    let without = outcome?;
    patiently("the group is served again", || async {
        match widgets.get("shop-one").await {
            Ok(widget) if widget.metadata.uid == uid => Ok(()),
            Ok(_) => Err("another widget of that name".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    scene.place.ready(NAME, &without).await?;
    // It is still known to be owned.
    patiently(
        "the widget, which Git no longer has, is deleted",
        || async {
            match widgets.get_opt("shop-one").await {
                Ok(None) => Ok(()),
                other => Err(format!(
                    "{other:?}; {}",
                    telling(&scene.place.status(NAME).await?)
                )),
            }
        },
    )
    .await?;
    definitions
        .delete(&format!("widgets.{group}"), &DeleteParams::background())
        .await
        .map_err(|error| error.to_string())?;
    scene.lost_nothing()
}

fn definition(group: &str) -> Value {
    json!({
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                }},
            }],
        },
    })
}

/// An agent with all rights and a Lease of its own, for which every environment has too many files, leads too.
async fn second_agent(scene: &mut Scene) -> Result<(), String> {
    let flags = [&FLAGS[..], &["--max-files", "2"]].concat();
    let mut second = Lone::almighty(scene.world.node, &scene.place.namespace, &flags);
    scene
        .tells("files")
        .await
        .map_err(|error| format!("{error}\n{}", second.last_words()))?;
    let patch =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-0}\ndata: {patched: twice}\n";
    let commit = scene.place.repo().commit(&[("app/patch.yaml", patch)]);
    scene.place.look().await?;
    let maps = scene.place.api::<ConfigMap>();
    patiently("the commit is applied", || async {
        let map = maps
            .get("shop-map-0")
            .await
            .map_err(|error| error.to_string())?;
        let data = map.data.unwrap_or_default();
        if data.get("patched").is_some_and(|value| value == "twice") {
            Ok(())
        } else {
            Err(format!("{data:?}"))
        }
    })
    .await?;
    scene.place.drifts_back().await?;
    scene.place.pass(NAME).await?;
    second.kill();
    scene.lost_nothing()?;
    scene.place.pass(NAME).await?;
    scene.place.ready(NAME, &commit).await.map(|_| ())
}

/// What the agent recorded is lost, or in the words of another version.
async fn forgotten(scene: &mut Scene) -> Result<(), String> {
    let tip = scene.place.tip();
    // Everything is lost, as after a restore from a backup.
    scene.restart_with(Value::Null).await?;
    scene.place.ready(NAME, &tip).await?;
    scene.place.pass(NAME).await?;
    scene.recorded(OBJECTS).await?;
    scene.lost_nothing()?;
    // The same objects have another hash now: nothing is to be done for it.
    scene.restart_with(json!({"hash": "0".repeat(64)})).await?;
    scene.place.pass(NAME).await?;
    scene.place.ready(NAME, &tip).await?;
    scene.lost_nothing()?;
    // The inventory is there, and cannot be read.
    let recorded = scene.place.status(NAME).await?.inventory;
    scene
        .restart_with(
            json!({"inventory": {"count": 1, "entries": [{"id": "another version's words"}]}}),
        )
        .await?;
    scene.tells("inventory").await?;
    scene.place.event(&["inventory".to_owned()]).await?;
    scene.without_last_map().await?;
    scene.place.pass(NAME).await?;
    scene.lost_nothing()?;
    let recorded = serde_json::to_value(recorded).map_err(|error| error.to_string())?;
    scene.restart_with(json!({"inventory": recorded})).await?;
    scene.only_the_last_map_goes().await?;
    // Lost, while Git shrinks by more than may go at once.
    scene.world.stop();
    scene.place.repo().commit(&[
        (
            "app/kustomization.yaml",
            "resources: [../rest]\nnamePrefix: shop-\n",
        ),
        ("rest/kustomization.yaml", "resources: [rest.yaml]\n"),
        (
            "rest/rest.yaml",
            &super::place::files()
                .into_iter()
                .find(|(path, _)| *path == "base/rest.yaml")
                .ok_or("it is there")?
                .1,
        ),
    ]);
    scene.restart_with(Value::Null).await?;
    patiently("the deletions are held", || async {
        let status = scene.place.status(NAME).await?;
        if condition(&status, "Held").0 == "True" {
            Ok(())
        } else {
            Err(telling(&status))
        }
    })
    .await?;
    scene.place.pass(NAME).await?;
    scene.lost_nothing()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_in_trouble_costs_nothing() {
    let Some(node) = need_node!() else { return };
    let mut scene = Scene::new(World::new(node).await)
        .await
        .expect("a scene for the cases");
    scene.world.stop();
    let mut proxy = Proxy::start(node).await;
    let mut agent = Lone::at(node, &proxy.url(), &FLAGS);
    let outcome = troubles(&mut scene, &mut proxy, &mut agent).await;
    let outcome = outcome.map_err(|error| format!("{error}\n{}", agent.last_words()));
    scene.world.said.push_str(&agent.log());
    drop(agent);
    scene.end(outcome).await;
}

/// Each trouble begins with a commit and a drift, lasts some seconds, and is over.
async fn troubles(scene: &mut Scene, proxy: &mut Proxy, agent: &mut Lone) -> Result<(), String> {
    scene.place.pass(NAME).await?;
    let moods = [
        Some(Mood::Refuses(503)),
        None,
        Some(Mood::Refuses(404)),
        Some(Mood::Refuses(429)),
        Some(Mood::Refuses(403)),
        Some(Mood::Slow(Duration::from_millis(200))),
        Some(Mood::Flaky(500)),
    ];
    for (number, mood) in moods.into_iter().enumerate() {
        let what = mood.map_or_else(|| "down".to_owned(), |mood| format!("{mood:?}"));
        let at = |error: String| format!("the API server is {what}: {error}");
        match mood {
            Some(mood) => proxy.set(mood),
            None => proxy.down().await,
        }
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-0}}\ndata: {{patched: '{number}'}}\n"
        );
        let commit = scene.place.repo().commit(&[("app/patch.yaml", &text)]);
        scene.place.look().await.map_err(at)?;
        if matches!(mood, Some(Mood::Slow(_) | Mood::Flaky(_))) {
            // It works all the same.
            scene.place.ready(NAME, &commit).await.map_err(at)?;
        } else {
            let asked = proxy.requests();
            tokio::time::sleep(Duration::from_secs(3)).await;
            let asked = proxy.requests() - asked;
            if asked > 200 {
                return Err(at(format!("{asked} requests within three seconds")));
            }
        }
        if !agent.is_running() {
            return Err(at("the agent ended".to_owned()));
        }
        match mood {
            Some(_) => proxy.set(Mood::Well),
            None => proxy.up().await,
        }
        scene.place.ready(NAME, &commit).await.map_err(at)?;
        scene.place.drifts_back().await.map_err(at)?;
        scene.lost_nothing().map_err(at)?;
    }
    Ok(())
}
