//! Reading, applying and deleting one object.

use http::{Method, Request};
use serde_json::{Value, json};

use super::{Cluster, ClusterError};
use crate::desired::Kinds;
use crate::object::{FIELD_MANAGER, Id, Object};
use crate::plan::LiveState;

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub namespace: String,
    pub name: String,
}

impl Identity {
    /// Its user name: `system:serviceaccount:NAMESPACE:NAME`.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// Whether a write is only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    Yes,
    No,
}

const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const LIST_OF_METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

impl Cluster {
    async fn send(
        &self,
        identity: Option<&Identity>,
        action: &str,
        request: http::request::Builder,
        body: Option<&Value>,
    ) -> Result<Object, ClusterError> {
        let body = match body {
            Some(value) => serde_json::to_vec(value).map_err(kube::Error::SerdeError),
            None => Ok(Vec::new()),
        };
        let request = body
            .and_then(|body| request.body(body).map_err(kube::Error::HttpError))
            .map_err(|error| ClusterError::new(action, error))?;
        let client = match identity {
            Some(identity) => self.acting_as(identity),
            None => self.client(),
        };
        let value: Value = client
            .request(request)
            .await
            .map_err(|error| ClusterError::new(action, error))?;
        Object::from_value(value)
            .ok_or_else(|| ClusterError::unexpected(action, "the answer is not an object"))
    }

    /// Reads an object; only its metadata unless `whole`. What is not known to be absent is [`LiveState::Unknown`]. It is
    /// asked for as a list of one: the right to `get` every kind would be the right to their subresources' connections.
    pub async fn observe(&self, kinds: &Kinds, id: &Id, version: &str, whole: bool) -> LiveState {
        let Some((collection, version)) = collection(kinds, id, version) else {
            return LiveState::Unknown(format!("the cluster has no kind {}", id.kind));
        };
        let selector: String = url::form_urlencoded::byte_serialize(
            format!("metadata.name={}", selected(&id.name)).as_bytes(),
        )
        .collect();
        let accept = if whole {
            "application/json"
        } else {
            LIST_OF_METADATA
        };
        let request =
            Request::get(format!("{collection}?fieldSelector={selector}")).header("accept", accept);
        let mut list = match self.send(None, &format!("read {id}"), request, None).await {
            Ok(list) => list,
            Err(error) => return LiveState::Unknown(error.to_string()),
        };
        let items = match list.0.remove("items") {
            Some(Value::Array(items)) => items,
            // So an empty list of metadata is written.
            Some(Value::Null) if list.kind().ends_with("List") => Vec::new(),
            _ => return LiveState::Unknown(format!("cannot read {id}: the answer is not a list")),
        };
        let found = items
            .into_iter()
            .filter_map(Object::from_value)
            .find(|object| object.name() == id.name);
        match found {
            None => LiveState::Absent,
            Some(mut object) => {
                // The items of a list do not say what they are, or that they are PartialObjectMetadata.
                let api_version = api_version(&id.group, version);
                for (key, value) in [("apiVersion", &api_version), ("kind", &id.kind)] {
                    object
                        .0
                        .insert(key.to_owned(), Value::String(value.clone()));
                }
                LiveState::Present(object)
            }
        }
    }

    /// Server-side apply as `identity`; the answer is the object as it is now. Unknown fields are refused.
    pub async fn apply(
        &self,
        kinds: &Kinds,
        identity: &Identity,
        object: &Object,
        manager: &str,
        force: bool,
        dry_run: DryRun,
    ) -> Result<Object, ClusterError> {
        let id = object.id();
        let action = match dry_run {
            DryRun::Yes => format!("apply {id} (dry run)"),
            DryRun::No => format!("apply {id}"),
        };
        let path = known(kinds, &id, object.version(), &action)?;
        let dry_run = if dry_run == DryRun::Yes {
            "&dryRun=All"
        } else {
            ""
        };
        let uri =
            format!("{path}?fieldManager={manager}&force={force}&fieldValidation=Strict{dry_run}");
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(uri)
            .header("content-type", "application/apply-patch+yaml")
            .header("accept", "application/json");
        let sent = self
            .send(
                Some(identity),
                &action,
                request,
                Some(&Value::Object(object.0.clone())),
            )
            .await;
        sent.map_err(|error| discreet(&id, error))
    }

    /// Tries to create the object without doing so. That it exists already says that it passed admission and validation.
    pub async fn try_create(
        &self,
        kinds: &Kinds,
        identity: &Identity,
        object: &Object,
    ) -> Result<(), ClusterError> {
        let id = object.id();
        let action = format!("create {id} (dry run)");
        let Some((collection, _)) = collection(kinds, &id, object.version()) else {
            return Err(unknown_kind(&action, &id));
        };
        let uri =
            format!("{collection}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&dryRun=All");
        let request = Request::post(uri).header("content-type", "application/json");
        match self
            .send(
                Some(identity),
                &action,
                request,
                Some(&Value::Object(object.0.clone())),
            )
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.reason == "AlreadyExists" => Ok(()),
            Err(error) => Err(discreet(&id, error)),
        }
    }

    /// Replaces `metadata.managedFields`, if the object is still at this resourceVersion.
    pub async fn set_managed_fields(
        &self,
        kinds: &Kinds,
        identity: &Identity,
        id: &Id,
        version: &str,
        resource_version: &str,
        managed_fields: &Value,
    ) -> Result<Object, ClusterError> {
        let action = format!("take over the fields of {id}");
        let path = known(kinds, id, version, &action)?;
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": managed_fields},
        ]);
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{path}?fieldManager={FIELD_MANAGER}"))
            .header("content-type", "application/json-patch+json")
            .header("accept", METADATA_ONLY);
        let sent = self
            .send(Some(identity), &action, request, Some(&patch))
            .await;
        // The API server answers a failed test of a JSON patch as invalid; it is a conflict.
        sent.map_err(|error| match error.code {
            422 => ClusterError {
                code: 409,
                reason: "Conflict".to_owned(),
                ..error
            },
            _ => error,
        })
    }

    /// Deletes the object with this UID and, if given, at this resourceVersion. That it is gone already is success.
    pub async fn delete(
        &self,
        kinds: &Kinds,
        identity: &Identity,
        id: &Id,
        version: &str,
        uid: &str,
        resource_version: Option<&str>,
        propagation: &str,
    ) -> Result<(), ClusterError> {
        let action = format!("delete {id}");
        let path = known(kinds, id, version, &action)?;
        let mut preconditions = json!({"uid": uid});
        if let Some(resource_version) = resource_version {
            preconditions["resourceVersion"] = json!(resource_version);
        }
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": preconditions,
        });
        let request = Request::delete(path).header("content-type", "application/json");
        match self
            .send(Some(identity), &action, request, Some(&options))
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_absent(id) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What the API server says of an invalid Secret can hold its values: only the fields are told.
fn discreet(id: &Id, error: ClusterError) -> ClusterError {
    if !id.group.is_empty() || id.kind != "Secret" || !matches!(error.code, 400 | 422 | 500) {
        return error;
    }
    let fields: Vec<String> = error
        .causes
        .iter()
        .map(|cause| cause.field.clone())
        .collect();
    let place = if fields.is_empty() {
        String::new()
    } else {
        format!(" at {}", fields.join(", "))
    };
    ClusterError {
        message: format!(
            "the Secret is not valid{place}; the API server's words are left out, they can hold its values"
        ),
        causes: Vec::new(),
        ..error
    }
}

fn known(kinds: &Kinds, id: &Id, version: &str, action: &str) -> Result<String, ClusterError> {
    path(kinds, id, version).ok_or_else(|| unknown_kind(action, id))
}

fn unknown_kind(action: &str, id: &Id) -> ClusterError {
    ClusterError::unexpected(action, format!("the cluster has no kind {}", id.kind))
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// The path of an object; `None` if its kind is not known.
fn path(kinds: &Kinds, id: &Id, version: &str) -> Option<String> {
    let (collection, _) = collection(kinds, id, version)?;
    let name = url::form_urlencoded::byte_serialize(id.name.as_bytes()).collect::<String>();
    Some(format!("{collection}/{name}"))
}

/// The path that an object stands under, and the version that it is asked for in: a served one.
fn collection<'a>(kinds: &'a Kinds, id: &Id, version: &'a str) -> Option<(String, &'a str)> {
    let kind = kinds.get(&id.group, &id.kind)?;
    let version = if kind.versions.iter().any(|known| known == version) {
        version
    } else {
        kind.versions.first()?
    };
    let root = if id.group.is_empty() {
        "/api".to_owned()
    } else {
        format!("/apis/{}", id.group)
    };
    let scope = match &id.namespace {
        Some(namespace) if kind.namespaced => format!("/namespaces/{namespace}"),
        _ => String::new(),
    };
    let plural = &kind.plural;
    Some((format!("{root}/{version}{scope}/{plural}"), version))
}

/// A value as it stands in a field selector.
fn selected(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '=') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_field_selectors() {
        assert_eq!(selected("system:node"), "system:node");
        assert_eq!(selected(r"a,b=c\d"), r"a\,b\=c\\d");
    }
}
