//! Where one case happens: a namespace, a repository, an Environment with twelve applied objects.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use driftless::api::{Environment, EnvironmentStatus, Repository};
use git2::Oid;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, ServiceAccount},
    events::v1::Event,
    rbac::v1::ClusterRoleBinding,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    front::Front,
    witness::{KINDS, resource},
    world::{CANARY, World, patiently},
};
use crate::support::{
    agent::grant_tenant,
    repo::GitRepo,
    status::{condition, is_ready},
};

/// The name of the Environment and of the Repository.
pub const NAME: &str = "shop";

const KUSTOMIZATION: &str =
    "resources: [../base]\nnamePrefix: shop-\npatches: [{path: patch.yaml}]\n";
const PATCH: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-0}\ndata: {patched: 'yes'}\n";

pub struct Place {
    pub client: Client,
    pub namespace: String,
    /// Before the Git server, where the case wants one.
    pub front: Option<Front>,
    /// The commit that is good.
    pub good: String,
    drifts: AtomicU32,
    path: std::path::PathBuf,
    url: String,
    password: String,
    ca: String,
}

impl Place {
    pub async fn new(world: &World, with_front: bool) -> Result<Self, String> {
        let namespace = world.unique();
        let front = with_front.then(|| Front::of(&world.server));
        let url = front.as_ref().map_or_else(
            || world.server.url(&namespace),
            |front| front.url(&namespace),
        );
        world.server.repo(&namespace);
        let mut place = Self {
            client: world.client.clone(),
            drifts: AtomicU32::new(0),
            path: world.server.path(&namespace),
            front,
            url,
            password: world.server.password(),
            ca: world.server.ca(),
            namespace,
            good: String::new(),
        };
        place.good = place.repo().commit(
            &files()
                .iter()
                .map(|(path, text)| (*path, text.as_str()))
                .collect::<Vec<_>>(),
        );
        place.tenant(world).await?;
        place.refer().await?;
        place.environment(NAME, json!({})).await?;
        Ok(place)
    }

    /// The namespace, its deployer with all rights, and the agent's right to act as that one.
    async fn tenant(&self, world: &World) -> Result<(), String> {
        let (node, namespace) = (world.node, self.namespace.clone());
        self.create::<Namespace>(
            Api::all(self.client.clone()),
            json!({"metadata": {"name": namespace}}),
        )
        .await?;
        let granted = namespace.clone();
        tokio::task::spawn_blocking(move || grant_tenant(node, &granted))
            .await
            .map_err(|error| error.to_string())?;
        // What the installation grants may bring the account.
        let account = json!({"metadata": {"name": "deployer"}});
        let _ = self.create::<ServiceAccount>(self.api(), account).await;
        let binding = json!({
            "metadata": {"name": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}],
        });
        self.create::<ClusterRoleBinding>(Api::all(self.client.clone()), binding)
            .await?;
        let login = json!({
            "metadata": {"name": "git"},
            "stringData": {"username": "git", "password": self.password, "ca.crt": self.ca},
        });
        self.create::<k8s_openapi::api::core::v1::Secret>(self.api(), login)
            .await
    }

    /// Makes the Repository.
    pub async fn refer(&self) -> Result<(), String> {
        let spec = json!({"url": self.url, "interval": "1h", "credentials": {"secret": "git"}});
        self.create::<Repository>(
            self.api(),
            json!({"metadata": {"name": NAME}, "spec": spec}),
        )
        .await
    }

    /// Makes an Environment of `app` on `main`, with what else `spec` says.
    pub async fn environment(&self, name: &str, spec: Value) -> Result<(), String> {
        let mut whole = json!({
            "repository": NAME, "follow": [{"branches": ["main"]}], "path": "app",
            "namespace": self.namespace, "serviceAccount": "deployer",
        });
        if let (Some(whole), Value::Object(spec)) = (whole.as_object_mut(), spec) {
            whole.extend(spec);
        }
        self.create::<Environment>(
            self.api(),
            json!({"metadata": {"name": name}, "spec": whole}),
        )
        .await
    }

    pub async fn create<K>(&self, api: Api<K>, object: Value) -> Result<(), String>
    where
        K: Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).map_err(|error| error.to_string())?;
        api.create(&PostParams::default(), &object)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn repo(&self) -> GitRepo {
        GitRepo::at(&self.path)
    }

    /// The tip of `main`, or the good commit where there is none.
    pub fn tip(&self) -> String {
        self.repo()
            .tip("main")
            .map_or_else(|| self.good.clone(), |tip| tip.to_string())
    }

    /// Writes `bytes` at `path` on top of `main`.
    pub fn write(&self, path: &str, bytes: &[u8]) -> String {
        let repo = self.repo();
        let blob = repo
            .repository()
            .blob(bytes)
            .expect("a blob can be written");
        repo.change("main", |tree| {
            tree.upsert(path, blob, git2::FileMode::Blob);
        })
    }

    /// Removes a directory, with all below it, and the commit's tree is as `then` leaves it.
    pub fn without_directory(&self, directory: &str) -> String {
        let repo = self.repo();
        let tip = repo.tip("main").expect("main is there");
        let tree = repo
            .repository()
            .find_commit(tip)
            .and_then(|commit| commit.tree())
            .expect("the tree is there");
        let mut root = repo
            .repository()
            .treebuilder(Some(&tree))
            .expect("a tree can be made");
        root.remove(directory).expect("the directory is there");
        self.commit_tree(root.write().expect("a tree can be written"))
    }

    /// Commits a whole tree on top of `main`.
    pub fn commit_tree(&self, tree: Oid) -> String {
        let repo = self.repo();
        let git = repo.repository();
        let tip = repo.tip("main").expect("main is there");
        let parent = git.find_commit(tip).expect("the commit is there");
        let tree = git.find_tree(tree).expect("the tree is there");
        let author = git2::Signature::now("test", "test@example.com").expect("a valid name");
        let commit = git
            .commit(None, &author, &author, "Change", &tree, &[&parent])
            .expect("a commit can be written");
        repo.set("main", &commit.to_string());
        commit.to_string()
    }

    /// Undoes what was done to the repository and to its way to the agent, by a new commit where there was one.
    pub fn heal(&self) {
        if let Some(front) = &self.front {
            front.set(super::front::Mode::Pass);
            return;
        }
        let repo = self.repo();
        match repo.tip("main") {
            Some(tip)
                if tip.to_string() != self.good && repo.repository().find_commit(tip).is_ok() =>
            {
                repo.revert("main");
            }
            _ => repo.set("main", &self.good),
        }
    }

    /// Asks for a look at the server.
    pub async fn look(&self) -> Result<(), String> {
        self.ask::<Repository>(NAME).await.map(|_| ())
    }

    /// Asks for a pass, and waits until it was served.
    pub async fn pass(&self, environment: &str) -> Result<EnvironmentStatus, String> {
        let asked = self.ask::<Environment>(environment).await?;
        patiently("the pass that was asked for", || async {
            let status = self.status(environment).await?;
            if status.last_sync.as_deref() == Some(&asked) {
                Ok(status)
            } else {
                Err(telling(&status))
            }
        })
        .await
    }

    async fn ask<K>(&self, name: &str) -> Result<String, String>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let asked = format!("{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let patch = json!({"metadata": {"annotations": {"driftless.dev/sync-requested": asked}}});
        let patched = self
            .api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.map(|_| asked).map_err(|error| error.to_string())
    }

    /// Changes the spec of the Environment.
    pub async fn respec(&self, spec: Value) -> Result<(), String> {
        let patch = json!({"spec": spec});
        let patched = self
            .api::<Environment>()
            .patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.map(|_| ()).map_err(|error| error.to_string())
    }

    pub async fn status(&self, environment: &str) -> Result<EnvironmentStatus, String> {
        let object = self
            .api::<Environment>()
            .get_opt(environment)
            .await
            .map_err(|error| error.to_string())?;
        Ok(object.and_then(|object| object.status).unwrap_or_default())
    }

    /// Waits until `commit` is applied and healthy.
    pub async fn ready(
        &self,
        environment: &str,
        commit: &str,
    ) -> Result<EnvironmentStatus, String> {
        patiently(&format!("{environment} ready at {commit}"), || async {
            let status = self.status(environment).await?;
            if is_ready(&status, commit) {
                Ok(status)
            } else {
                Err(telling(&status))
            }
        })
        .await
    }

    /// What of the environment's objects there is: `Kind name` and UID.
    pub async fn objects(&self) -> Result<BTreeMap<String, String>, String> {
        let mut found = BTreeMap::new();
        for kind in KINDS {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind));
            let list = api
                .list_metadata(
                    &kube::api::ListParams::default().labels("driftless.dev/environment"),
                )
                .await;
            for object in list.map_err(|error| error.to_string())? {
                found.insert(
                    format!("{} {}", kind.2, object.name_any()),
                    object.uid().unwrap_or_default(),
                );
            }
        }
        Ok(found)
    }

    /// Changes a value by hand, and waits until it was put back: this environment is kept. Each time it is another one, so
    /// that nobody fights over it.
    pub async fn drifts_back(&self) -> Result<(), String> {
        let number = 1 + self.drifts.fetch_add(1, Ordering::Relaxed) % 4;
        let (name, wanted) = (format!("shop-map-{number}"), format!("value {number}"));
        let api = self.api::<ConfigMap>();
        let patch = json!({"data": {"key": "changed by hand"}});
        let hand = PatchParams {
            field_manager: Some("kubectl-edit".to_owned()),
            ..PatchParams::default()
        };
        api.patch(&name, &hand, &Patch::Merge(&patch))
            .await
            .map_err(|error| error.to_string())?;
        patiently("what was changed by hand is put back", || async {
            let map = api.get(&name).await.map_err(|error| error.to_string())?;
            let value = map
                .data
                .unwrap_or_default()
                .remove("key")
                .unwrap_or_default();
            if value == wanted {
                Ok(())
            } else {
                Err(format!("data.key of {name} is {value:?}"))
            }
        })
        .await
    }

    /// Waits for an Event of this namespace that says all of this.
    pub async fn event(&self, fragments: &[String]) -> Result<(), String> {
        patiently(&format!("an Event that says {fragments:?}"), || async {
            let events = self
                .api::<Event>()
                .list(&kube::api::ListParams::default())
                .await;
            let events = events.map_err(|error| error.to_string())?;
            let notes: Vec<_> = events
                .items
                .into_iter()
                .filter_map(|event| event.note)
                .collect();
            if notes
                .iter()
                .any(|note| fragments.iter().all(|fragment| note.contains(fragment)))
            {
                Ok(())
            } else {
                Err(format!("there are {notes:#?}"))
            }
        })
        .await
    }

    /// Leaves the cluster as it was, without waiting for it.
    pub async fn leave(&self) {
        let now = DeleteParams::background();
        // What is gone already is fine.
        let _ = self.api::<Environment>().delete(NAME, &now).await;
        let _ = self.api::<Repository>().delete(NAME, &now).await;
        let _ = Api::<ClusterRoleBinding>::all(self.client.clone())
            .delete(&self.namespace, &now)
            .await;
        let _ = Api::<Namespace>::all(self.client.clone())
            .delete(&self.namespace, &now)
            .await;
    }
}

/// The files of the good commit.
pub fn files() -> Vec<(&'static str, String)> {
    let maps: Vec<String> = (0..6)
        .map(|number| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{number}}}\ndata:\n  key: value {number}\n")
        })
        .collect();
    vec![
        ("README.md", "The shop.\n".to_owned()),
        (
            "base/kustomization.yaml",
            "resources:\n- maps.yaml\n- rest.yaml\n".to_owned(),
        ),
        ("base/maps.yaml", maps.join("---\n")),
        ("base/rest.yaml", rest()),
        ("app/kustomization.yaml", KUSTOMIZATION.to_owned()),
        ("app/patch.yaml", PATCH.to_owned()),
        (
            "other/one.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n".to_owned(),
        ),
    ]
}

fn rest() -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: vault}}
stringData:
  password: {CANARY}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80}}]
---
apiVersion: v1
kind: Service
metadata: {{name: api}}
spec:
  selector: {{app: api}}
  ports: [{{name: http, port: 80}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: runner}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: [get]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: runner}}]
"
    )
}

/// How many objects the good commit has.
pub const OBJECTS: usize = 12;

/// Everything that a status says in words.
pub fn telling(status: &EnvironmentStatus) -> String {
    let (ready, reason, message) = condition(status, "Ready");
    let mut text = format!("Ready {ready} {reason}: {message}");
    for failure in &status.failures {
        text.push_str(&format!(
            "\n  failure {} {}: {}",
            failure.object, failure.reason, failure.message
        ));
    }
    for held in &status.held {
        text.push_str(&format!(
            "\n  held {} of {}: {}",
            held.action, held.object, held.reason
        ));
    }
    text
}
