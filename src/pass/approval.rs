//! The words of people that a pass goes by: which Approval admits what, and that each is used once.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use super::Pass;
use crate::api::{Approval, ApprovalSpec, ApprovalStatus};

/// The name of the ValidatingAdmissionPolicy that pins who approves, and of its binding.
const POLICY: &str = "driftless-approvals";

/// A valid, unused Approval of this commit that fits.
pub(super) fn approval(
    pass: &Pass<'_>,
    commit: &str,
    fits: impl Fn(&ApprovalSpec) -> bool,
) -> Option<Arc<Approval>> {
    let uid = pass.environment.metadata.uid.as_deref();
    let name = pass.environment.name_any();
    pass.context.approvals.state().into_iter().find(|approval| {
        let spec = &approval.spec;
        approval.namespace().as_deref() == Some(pass.namespace())
            && spec.environment == name
            && Some(spec.environment_uid.as_str()) == uid
            && spec.commit == commit
            && spec.expires.0 > pass.now
            && approval.metadata.deletion_timestamp.is_none()
            && approval
                .status
                .as_ref()
                .is_none_or(|status| status.used_at.is_none())
            && fits(spec)
    })
}

/// Who admitted this revision: its approval was used when its rollouts began.
pub(super) fn approver(pass: &Pass<'_>, commit: &str) -> Option<String> {
    let uid = pass.environment.metadata.uid.as_deref();
    let approvals = pass.context.approvals.state();
    let used = approvals.iter().find(|approval| {
        let admitted = approval.status.as_ref();
        approval.namespace().as_deref() == Some(pass.namespace())
            && Some(approval.spec.environment_uid.as_str()) == uid
            && approval.spec.commit == commit
            && admitted.is_some_and(|status| status.admitted.as_deref() == Some("revision"))
    })?;
    Some(used.spec.by.clone())
}

/// Writes the use of an approval before what it admits is done. Without the policy that pins who approves, none counts.
pub(super) async fn use_approval(
    pass: &mut Pass<'_>,
    approval: &Approval,
    admitted: &str,
) -> Result<(), String> {
    let client = pass.context.cluster.client();
    policy_is_there(&client).await?;
    let mut used = approval.clone();
    used.metadata.managed_fields = None;
    used.status = Some(ApprovalStatus {
        used_at: Some(Time(Timestamp::now())),
        admitted: Some(admitted.to_owned()),
    });
    let api: Api<Approval> = Api::namespaced(client, pass.namespace());
    api.replace_status(&approval.name_any(), &PostParams::default(), &used)
        .await
        .map_err(|error| format!("cannot use the Approval {}: {error}", approval.name_any()))?;
    let what = format!(
        "{} by {} admits {admitted} of {}",
        approval.name_any(),
        approval.spec.by,
        approval.spec.commit
    );
    pass.events.push((false, "Approved", "Approve", what));
    Ok(())
}

async fn policy_is_there(client: &Client) -> Result<(), String> {
    let missing = |what: &str, error: kube::Error| {
        format!(
            "no Approval is accepted while the {what} {POLICY} is not there, which pins who approves: {error}"
        )
    };
    Api::<ValidatingAdmissionPolicy>::all(client.clone())
        .get(POLICY)
        .await
        .map_err(|error| missing("ValidatingAdmissionPolicy", error))?;
    Api::<ValidatingAdmissionPolicyBinding>::all(client.clone())
        .get(POLICY)
        .await
        .map_err(|error| missing("ValidatingAdmissionPolicyBinding", error))?;
    Ok(())
}
