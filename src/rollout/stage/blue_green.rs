//! What blue/green makes of Services: the preview, and the switch. Must not know when.

use serde_json::json;

use super::{Stage, mark};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::object::Id;
use crate::rollout::TRACK_LABEL;
use crate::rollout::names::preview_name;
use crate::rollout::policy::{Policy, Strategy};

impl Stage<'_> {
    /// Each Service selects the green pods instead of the stable ones: its selector is one value, replaced by one write.
    pub(super) fn select_canary(&mut self, services: &[Id], record: &RolloutStatus) {
        for service in services {
            if let Some(object) = self.objects.get_mut(service) {
                object.object.0["spec"]["selector"][TRACK_LABEL] = json!("canary");
                mark(&mut object.object, record);
            }
        }
    }

    /// Shows the green side, as long as there is one.
    pub(super) fn preview(&mut self, policy: &Policy, services: &[Id], record: &RolloutStatus) {
        if matches!(
            record.phase,
            Phase::Narrowing | Phase::Aborting | Phase::Removing
        ) {
            return;
        }
        let named = match &policy.strategy {
            Strategy::BlueGreen { preview, .. } => preview.as_ref(),
            Strategy::Canary | Strategy::Partition => None,
        };
        let Some(name) = named else {
            for service in services {
                self.canary_service(service, preview_name(&service.name), policy, record);
            }
            return;
        };
        let id = Id {
            group: String::new(),
            kind: "Service".to_owned(),
            namespace: policy.workload.namespace.clone(),
            name: name.clone(),
        };
        self.roles.traffic.insert(id.clone());
        self.select_canary(std::slice::from_ref(&id), record);
    }
}
