//! Kubernetes Events: what happened to whom, and why. The same note again is counted on the Event that is there; another
//! note is another Event, so that none hides another.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What the API server takes as a note, less than its limit of 1,024 bytes.
const NOTE: usize = 1000;

/// Writes Events about our objects. A lost Event never stops anything.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
}

impl Events {
    pub fn new(client: Client, instance: &str) -> Self {
        Self {
            client,
            instance: instance.to_owned(),
        }
    }

    /// Something went as it should.
    pub async fn normal<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        self.publish(object.object_ref(&()), "Normal", reason, action, note)
            .await;
    }

    /// Something needs a person's eye.
    pub async fn warning<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        self.publish(object.object_ref(&()), "Warning", reason, action, note)
            .await;
    }

    async fn publish(
        &self,
        regarding: ObjectReference,
        type_: &str,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let regarding = ObjectReference {
            // It changes with every write, and says nothing of the object that was meant.
            resource_version: None,
            ..regarding
        };
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let now = MicroTime(Timestamp::now());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name(&regarding, type_, reason, note)),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            type_: Some(type_.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(action.to_owned()),
            note: Some(shorten(note)),
            regarding: Some(regarding),
            reporting_controller: Some("driftless.dev/agent".to_owned()),
            reporting_instance: Some(self.instance.clone()),
            event_time: Some(now.clone()),
            ..Event::default()
        };
        let result = match events.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                count(&events, &event, now).await
            }
            other => other.map(|_| ()),
        };
        if let Err(error) = result {
            tracing::warn!(reason, %error, "cannot write an Event");
        }
    }
}

/// Counts the same Event once more.
async fn count(events: &Api<Event>, event: &Event, now: MicroTime) -> Result<(), kube::Error> {
    let name = event.metadata.name.clone().unwrap_or_default();
    let known = events.get(&name).await?;
    let series = EventSeries {
        count: known.series.map_or(2, |series| series.count + 1),
        last_observed_time: now,
    };
    let patch = json!({"series": series});
    events
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

/// The same for the same note about the same object.
fn name(regarding: &ObjectReference, type_: &str, reason: &str, note: &str) -> String {
    let object = regarding.name.as_deref().unwrap_or_default();
    let uid = regarding.uid.as_deref().unwrap_or_default();
    let mut name: String = object.chars().take(200).collect();
    name.push('.');
    let digest = Sha256::digest(format!("{uid}/{type_}/{reason}/{note}").as_bytes());
    for byte in digest.iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// At most [`NOTE`] bytes, cut between characters.
fn shorten(text: &str) -> String {
    if text.len() <= NOTE {
        return text.to_owned();
    }
    let mut end = NOTE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
