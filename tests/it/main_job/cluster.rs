//! What people and other programs do to the cluster: reads, edits, deletes, each under the name of its manager.

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::Value;

/// The administrator's hands in one namespace.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    /// The group of the custom kinds of this namespace's test: no two tests share a definition.
    pub fn group(&self) -> String {
        format!("{}.example.com", self.namespace)
    }

    /// The objects of `kind`: of this namespace, or of the cluster.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (resource, namespaced) = self.resource(kind);
        if namespaced {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    /// What the API server knows `kind` as, and whether it lies in namespaces.
    fn resource(&self, kind: &str) -> (ApiResource, bool) {
        let own = self.group();
        let (group, version, plural, namespaced) = match kind {
            "ConfigMap" => ("", "v1", "configmaps", true),
            "Secret" => ("", "v1", "secrets", true),
            "Service" => ("", "v1", "services", true),
            "ServiceAccount" => ("", "v1", "serviceaccounts", true),
            "Pod" => ("", "v1", "pods", true),
            "Namespace" => ("", "v1", "namespaces", false),
            "Deployment" => ("apps", "v1", "deployments", true),
            "StatefulSet" => ("apps", "v1", "statefulsets", true),
            "DaemonSet" => ("apps", "v1", "daemonsets", true),
            "Job" => ("batch", "v1", "jobs", true),
            "Ingress" => ("networking.k8s.io", "v1", "ingresses", true),
            "NetworkPolicy" => ("networking.k8s.io", "v1", "networkpolicies", true),
            "Role" => ("rbac.authorization.k8s.io", "v1", "roles", true),
            "RoleBinding" => ("rbac.authorization.k8s.io", "v1", "rolebindings", true),
            "ClusterRoleBinding" => (
                "rbac.authorization.k8s.io",
                "v1",
                "clusterrolebindings",
                false,
            ),
            "HorizontalPodAutoscaler" => ("autoscaling", "v2", "horizontalpodautoscalers", true),
            "PodDisruptionBudget" => ("policy", "v1", "poddisruptionbudgets", true),
            "Lease" => ("coordination.k8s.io", "v1", "leases", true),
            "Event" => ("events.k8s.io", "v1", "events", true),
            "ValidatingWebhookConfiguration" => (
                "admissionregistration.k8s.io",
                "v1",
                "validatingwebhookconfigurations",
                false,
            ),
            "MutatingWebhookConfiguration" => (
                "admissionregistration.k8s.io",
                "v1",
                "mutatingwebhookconfigurations",
                false,
            ),
            "CustomResourceDefinition" => (
                "apiextensions.k8s.io",
                "v1",
                "customresourcedefinitions",
                false,
            ),
            "Repository" => ("driftless.dev", "v1alpha1", "repositories", true),
            "Environment" => ("driftless.dev", "v1alpha1", "environments", true),
            "Approval" => ("driftless.dev", "v1alpha1", "approvals", true),
            "Widget" => (own.as_str(), "v1", "widgets", true),
            "Realm" => (own.as_str(), "v1", "realms", false),
            _ => panic!("the tests do not know the kind {kind}"),
        };
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        (resource, namespaced)
    }

    pub async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let object = self
            .api(kind)
            .get_opt(name)
            .await
            .expect("the API server answers")?;
        Some(serde_json::to_value(object).expect("an object is JSON"))
    }

    /// The value at `pointer` of an object; null where either is not there.
    pub async fn at(&self, kind: &str, name: &str, pointer: &str) -> Value {
        let object = self.get(kind, name).await.unwrap_or_default();
        object.pointer(pointer).cloned().unwrap_or_default()
    }

    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let list = self
            .api(kind)
            .list(&kube::api::ListParams::default())
            .await
            .expect("the API server answers");
        list.items
            .into_iter()
            .map(|object| serde_json::to_value(object).expect("an object is JSON"))
            .collect()
    }

    pub async fn create(&self, object: Value) -> Value {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let created = self
            .api(&kind)
            .create(&PostParams::default(), &object)
            .await;
        serde_json::to_value(created.unwrap_or_else(|error| panic!("create {kind}: {error}")))
            .expect("an object is JSON")
    }

    /// A merge patch, as `kubectl edit` and most controllers write.
    pub async fn merge(&self, manager: &str, kind: &str, name: &str, patch: Value) {
        self.patch(kind, name, &by(manager), &Patch::Merge(patch))
            .await;
    }

    /// A JSON patch: what removes one item of a list.
    pub async fn json_patch(&self, manager: &str, kind: &str, name: &str, patch: Value) {
        let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).expect("a JSON patch"));
        self.patch(kind, name, &by(manager), &patch).await;
    }

    /// A forced server-side apply of `fields`, which need not name the object.
    pub async fn force_apply(&self, manager: &str, kind: &str, name: &str, mut fields: Value) {
        let (resource, namespaced) = self.resource(kind);
        fields["apiVersion"] = resource.api_version.into();
        fields["kind"] = kind.into();
        fields["metadata"]["name"] = name.into();
        if namespaced {
            fields["metadata"]["namespace"] = self.namespace.clone().into();
        }
        self.patch(
            kind,
            name,
            &PatchParams::apply(manager).force(),
            &Patch::Apply(fields),
        )
        .await;
    }

    /// What a controller writes into the status.
    pub async fn merge_status(&self, manager: &str, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(serde_json::json!({"status": status}));
        let written = self
            .api(kind)
            .patch_status(name, &by(manager), &patch)
            .await;
        written.unwrap_or_else(|error| panic!("status of {kind} {name}: {error}"));
    }

    /// The scale subresource, as an autoscaler's controller writes it.
    pub async fn scale(&self, manager: &str, kind: &str, name: &str, replicas: u32) {
        let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
        let written = self.api(kind).patch_scale(name, &by(manager), &patch).await;
        written.unwrap_or_else(|error| panic!("scale of {kind} {name}: {error}"));
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        let deleted = self
            .api(kind)
            .delete(name, &DeleteParams::background())
            .await;
        deleted.unwrap_or_else(|error| panic!("delete {kind} {name}: {error}"));
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        kind: &str,
        name: &str,
        params: &PatchParams,
        patch: &Patch<P>,
    ) {
        let patched = self.api(kind).patch(name, params, patch).await;
        patched.unwrap_or_else(|error| panic!("patch {kind} {name}: {error}"));
    }
}

fn by(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}
