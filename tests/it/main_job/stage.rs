//! Everything that one scenario needs: an agent, a namespace with a service account, a Git server with a repository, and the
//! Repository that refers to it.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use driftless::api::{Environment, EnvironmentStatus};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{cluster::Cluster, http, manifests};
use crate::support::{
    agent::{Agent, grant_tenant},
    git::GitServer,
    node::{Namespace, Node},
    status,
    wait::wait_until,
};

pub use crate::support::status::condition;

/// How long anything may take that has no bar of its own: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The name of the stage's Repository, and of the repository on its server.
const REPOSITORY: &str = "shop";
/// What the webhook is signed with.
const TOKEN: &str = "a shared secret";

pub struct Stage {
    pub node: &'static Node,
    pub agent: Agent,
    pub server: GitServer,
    pub cluster: Cluster,
    pub namespace: Namespace,
    clone: TempDir,
}

impl Stage {
    /// With a repository that is empty but for a README.
    pub async fn new(node: &'static Node) -> Self {
        let agent = Agent::start(node).await;
        // On a node that was kept, the cluster-scoped objects of earlier runs are those of other namespaces.
        let namespace = node.namespace(&format!("job{}", std::process::id()));
        let server = GitServer::https();
        server
            .repo(REPOSITORY)
            .commit(&[("README.md", "The shop.\n")]);
        let cluster = Cluster {
            client: node.client().await,
            namespace: namespace.name.clone(),
        };
        let clone = TempDir::with_prefix("driftless-clone-").expect("a temporary folder");
        let stage = Self {
            node,
            agent,
            server,
            cluster,
            namespace,
            clone,
        };
        grant_tenant(node, &stage.namespace.name);
        stage.namespace.secret("git", &stage.server.secret());
        stage
            .namespace
            .secret("hook", &[("token", TOKEN.to_owned())]);
        stage.deployer("deployer").await;
        stage.repository(&[]).await;
        stage
    }

    /// A service account that may do everything.
    pub async fn deployer(&self, name: &str) {
        // The account may be there: a tenant's installation makes it. A node that was kept may have the binding of another run.
        self.cluster
            .force_apply("tests", "ServiceAccount", name, json!({}))
            .await;
        let binding = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace.name}],
        });
        let binding_name = format!("{}-{name}", self.namespace.name);
        self.cluster
            .force_apply("tests", "ClusterRoleBinding", &binding_name, binding)
            .await;
    }

    async fn repository(&self, allow: &[&str]) {
        self.cluster
            .create(json!({
                "apiVersion": "driftless.dev/v1alpha1", "kind": "Repository", "metadata": {"name": REPOSITORY},
                "spec": {
                    "url": self.server.url(REPOSITORY), "interval": "1h",
                    "credentials": {"secret": "git"}, "webhook": {"secret": "hook"}, "allow": allow,
                },
            }))
            .await;
    }

    /// An Environment of `path` on `main`, with what else `spec` says.
    pub async fn environment(&self, name: &str, path: &str, spec: Value) {
        let mut whole = json!({
            "repository": REPOSITORY, "follow": [{"branches": ["main"]}], "path": path,
            "namespace": self.namespace.name, "serviceAccount": "deployer",
        });
        merge(&mut whole, spec);
        self.cluster
            .create(json!({
                "apiVersion": "driftless.dev/v1alpha1", "kind": "Environment", "metadata": {"name": name}, "spec": whole,
            }))
            .await;
    }

    /// Changes the spec of an Environment.
    pub async fn respec(&self, name: &str, spec: Value) {
        self.cluster
            .merge("kubectl-edit", "Environment", name, json!({"spec": spec}))
            .await;
    }

    /// Writes files on top of `main` and tells the agent.
    pub async fn push(&self, files: &[(&str, &str)]) -> String {
        let commit = self.server.repo(REPOSITORY).commit(files);
        self.hook().await;
        commit
    }

    /// Writes these objects as the one file of `path`, and tells the agent.
    pub async fn push_objects(&self, path: &str, objects: &[Value]) -> String {
        self.push(&[(&format!("{path}/objects.yaml"), &manifests::yaml(objects))])
            .await
    }

    /// Undoes the last commit, and tells the agent.
    pub async fn revert(&self) -> String {
        let commit = self.server.repo(REPOSITORY).revert("main");
        self.hook().await;
        commit
    }

    /// The webhook of a push. Until its watch shows it the Repository, a young agent knows of none.
    pub async fn hook(&self) {
        let start = Instant::now();
        let repository = format!("{}/{REPOSITORY}", self.namespace.name);
        loop {
            let code = http::hook(&self.agent.url(), &repository, TOKEN);
            if (200..300).contains(&code) {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the webhook is answered with {code}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `git push` of these files over the server's own transport, and when it ended.
    pub fn git_push(&self, files: &[(&str, &str)]) -> (String, Instant) {
        let folder = self.clone.path();
        if !folder.join(".git").exists() {
            self.git(&["clone", "--quiet", &self.server.url(REPOSITORY), "."]);
        }
        for (path, text) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
                .expect("a folder can be made");
            std::fs::write(path, text).expect("a file can be written");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Change"]);
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
        let ended = Instant::now();
        (self.git(&["rev-parse", "HEAD"]), ended)
    }

    /// How long one `git ls-remote` to the server takes.
    pub fn ls_remote(&self) -> Duration {
        let start = Instant::now();
        self.git(&["ls-remote", &self.server.url(REPOSITORY)]);
        start.elapsed()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command: Command = self.server.client();
        let output = command
            .args(arguments)
            .current_dir(self.clone.path())
            .output()
            .expect("git starts");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub async fn status(&self, environment: &str) -> EnvironmentStatus {
        let api: Api<Environment> =
            Api::namespaced(self.cluster.client.clone(), &self.namespace.name);
        let object = api
            .get_opt(environment)
            .await
            .expect("the API server answers");
        object.and_then(|object| object.status).unwrap_or_default()
    }

    /// Waits until the status is as `check` wants it.
    pub async fn until(
        &self,
        environment: &str,
        what: &str,
        check: impl Fn(&EnvironmentStatus) -> bool,
    ) -> EnvironmentStatus {
        let start = Instant::now();
        loop {
            let status = self.status(environment).await;
            if check(&status) {
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{environment} not within {PATIENCE:?}: {what}\n{}",
                serde_json::to_string_pretty(&status).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the Environment is gone.
    pub async fn gone(&self, environment: &str, limit: Duration) {
        wait_until(limit, "the Environment is gone", || async {
            let there = self.cluster.get("Environment", environment).await;
            there.is_none().then_some(())
        })
        .await;
    }

    /// Waits until `commit` is applied and healthy.
    pub async fn ready(&self, environment: &str, commit: &str) -> EnvironmentStatus {
        self.until(environment, &format!("ready at {commit}"), |status| {
            is_ready(status, commit)
        })
        .await
    }

    /// Asks for a pass, as `driftless sync` does, and waits until it was served.
    pub async fn sync(&self, environment: &str) -> EnvironmentStatus {
        let now = format!("{:?}", Instant::now());
        let api: Api<Environment> =
            Api::namespaced(self.cluster.client.clone(), &self.namespace.name);
        let patch = Patch::Merge(
            json!({"metadata": {"annotations": {"driftless.dev/sync-requested": now}}}),
        );
        api.patch(environment, &PatchParams::default(), &patch)
            .await
            .expect("the API server answers");
        self.until(environment, "the pass that was asked for", |status| {
            status.last_sync.as_deref() == Some(&now)
        })
        .await
    }

    /// Waits until the agent with this name leads; gives the holder of the Lease.
    pub async fn leader(&self, limit: Duration, other_than: Option<&str>) -> String {
        let leases = Cluster {
            client: self.cluster.client.clone(),
            namespace: crate::support::agent::NAMESPACE.to_owned(),
        };
        crate::support::wait::wait_until(limit, "a replica leads", || async {
            let holder = leases
                .at("Lease", "driftless", "/spec/holderIdentity")
                .await;
            let holder = holder
                .as_str()
                .filter(|holder| !holder.is_empty())?
                .to_owned();
            (Some(holder.as_str()) != other_than).then_some(holder)
        })
        .await
    }

    /// Gives an Approval as `user`, whom the API server lets create it or not.
    pub async fn approve(&self, user: &str, environment: &str, commit: &str) -> Result<(), String> {
        let object = self
            .cluster
            .get("Environment", environment)
            .await
            .expect("the Environment is there");
        let status = &object["status"];
        let expires = jiff::Timestamp::now() + Duration::from_hours(1);
        let approval = json!({
            "apiVersion": "driftless.dev/v1alpha1", "kind": "Approval",
            "metadata": {"generateName": format!("{environment}-"), "namespace": self.namespace.name},
            "spec": {
                "environment": environment, "environmentUID": object["metadata"]["uid"], "commit": commit,
                "hash": status["hash"], "deletions": status["deletions"], "by": user, "expires": expires.to_string(),
            },
        });
        let mut config = self.node.config().await;
        config.auth_info.impersonate = Some(user.to_owned());
        let client = kube::Client::try_from(config).expect("a client for the node");
        let cluster = Cluster {
            client,
            namespace: self.namespace.name.clone(),
        };
        let approval = serde_json::from_value(approval).expect("an object");
        let created = cluster
            .api("Approval")
            .create(&PostParams::default(), &approval)
            .await;
        created.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Whether `commit` is applied and healthy.
pub fn is_ready(status: &EnvironmentStatus, commit: &str) -> bool {
    status::is_ready(status, commit) && condition(status, "Healthy").0 == "True"
}

fn merge(into: &mut Value, from: Value) {
    let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) else {
        return;
    };
    into.extend(from);
}
