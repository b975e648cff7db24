//! The drifts: what is changed, by whom, and where to look whether it was undone.

mod rows;

use serde_json::Value;

use crate::main_job::cluster::Cluster;
pub use rows::{all, desired};

/// In the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    ValueEdited,
    ListItemRemoved,
    Deleted,
    LabelRemoved,
    AnnotationRemoved,
    Scaled,
    TakenOver,
    FieldAdded,
    OwnManager,
    SecretData,
    FinalizerOrLabelAdded,
    Burst,
}

impl Class {
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::ValueEdited, "a value edited"),
        (Self::ListItemRemoved, "a list item removed"),
        (Self::Deleted, "an object deleted"),
        (Self::LabelRemoved, "our label removed"),
        (Self::AnnotationRemoved, "our annotation removed"),
        (Self::Scaled, "scaled where nothing autoscales"),
        (Self::TakenOver, "taken over by a forced apply"),
        (Self::FieldAdded, "a field added with kubectl"),
        (Self::OwnManager, "applied under our own name"),
        (Self::SecretData, "a Secret's data changed"),
        (Self::FinalizerOrLabelAdded, "a finalizer or label added"),
        (Self::Burst, "a burst of 20 objects"),
    ];
}

/// One change of what Git decides.
#[derive(Clone, Debug)]
pub struct Drift {
    pub class: Class,
    pub kind: &'static str,
    pub name: String,
    /// Where it shows. It is undone when this is again what it was before.
    pub pointer: String,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    /// A merge patch under the name of a hand tool.
    Merge(Value),
    /// A JSON patch under the name of a hand tool.
    Patch(Value),
    /// A forced apply by another manager.
    Apply(Value),
    /// An apply under the agent's own name: the object as Git has it, with this merged into it.
    Own(Value),
    /// The program, with these arguments.
    Kubectl(Vec<String>),
    Delete,
}

impl Drift {
    /// Changes the object. `desired` is the object as Git has it, `live` as it was before.
    pub async fn make(
        &self,
        cluster: &Cluster,
        namespace: &crate::support::node::Namespace,
        desired: &Value,
        live: &Value,
    ) {
        let (kind, name) = (self.kind, self.name.as_str());
        match &self.change {
            Change::Merge(patch) => {
                cluster
                    .merge("kubectl-edit", kind, name, patch.clone())
                    .await;
            }
            Change::Patch(patch) => {
                cluster
                    .json_patch("kubectl-edit", kind, name, patch.clone())
                    .await;
            }
            Change::Apply(fields) => {
                cluster
                    .force_apply("other-tool", kind, name, fields.clone())
                    .await;
            }
            Change::Own(stale) => {
                let mut fields = desired.clone();
                json_patch::merge(&mut fields, stale);
                for place in ["labels", "annotations"] {
                    let own = &live["metadata"][place]["driftless.dev/environment"];
                    fields["metadata"][place]["driftless.dev/environment"] = own.clone();
                }
                cluster.force_apply("driftless", kind, name, fields).await;
            }
            Change::Kubectl(arguments) => {
                let group = cluster.group();
                let arguments: Vec<String> = arguments
                    .iter()
                    .map(|argument| match argument.as_str() {
                        // The cluster may have kinds of these names from other tests.
                        "Widget" | "Realm" => format!("{argument}.v1.{group}"),
                        _ => argument.clone(),
                    })
                    .collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                tokio::task::block_in_place(|| namespace.kubectl(&arguments));
            }
            Change::Delete => cluster.delete(kind, name).await,
        }
    }
}
