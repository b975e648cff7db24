//! The Jobs of checks and their pods, and single values of Secrets.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ApiResource, ListParams};
use kube::{Api, Resource};

use super::{Cluster, ClusterError, Identity};
use crate::object::Object;

impl Cluster {
    /// The Jobs of a namespace with these labels.
    pub async fn jobs(&self, namespace: &str, labels: &str) -> Result<Vec<Object>, ClusterError> {
        self.labelled::<Job>(namespace, labels).await
    }

    /// The pods of a namespace with these labels.
    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Object>, ClusterError> {
        self.labelled::<Pod>(namespace, labels).await
    }

    async fn labelled<K: Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Object>, ClusterError> {
        let resource = ApiResource::erase::<K>(&());
        let params = ListParams::default().labels(labels);
        let mut objects = self.listed(&resource, namespace, &params).await?;
        // The items of a list do not say what they are.
        for object in &mut objects {
            for (key, value) in [
                ("apiVersion", &resource.api_version),
                ("kind", &resource.kind),
            ] {
                object.0.insert(key.to_owned(), value.clone().into());
            }
        }
        Ok(objects)
    }

    /// The value of a key of a Secret, read as `identity`; `None` where the Secret has no such key.
    pub async fn secret_value(
        &self,
        identity: &Identity,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, ClusterError> {
        let api: Api<Secret> = Api::namespaced(self.acting_as(identity), namespace);
        let secret = api.get(name).await.map_err(|error| {
            ClusterError::new(
                format!("read the Secret {namespace}/{name} as {}", identity.user()),
                error,
            )
        })?;
        Ok(secret
            .data
            .and_then(|mut data| data.remove(key))
            .map(|value| value.0))
    }
}
