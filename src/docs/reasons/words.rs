//! The words: all reasons but those of an object's health, which `health::Reason` has.

pub struct Word {
    pub name: &'static str,
    pub cause: &'static str,
    pub command: &'static str,
}

const fn word(name: &'static str, cause: &'static str, command: &'static str) -> Word {
    Word {
        name,
        cause,
        command,
    }
}

const STATUS: &str = "driftless status NAME -n NAMESPACE";
const REPOSITORY: &str = "kubectl describe repository NAME -n NAMESPACE";
const OBJECT: &str = "kubectl get KIND NAME -n NAMESPACE -o yaml --show-managed-fields";

/// Of the conditions of Environments and Repositories.
const CONDITIONS: &[Word] = &[
    word(
        "Applied",
        "Everything that Git says is applied and healthy.",
        STATUS,
    ),
    word("Healthy", "Every object is healthy.", STATUS),
    word(
        "Progressing",
        "The revision is being applied, or its objects are not healthy yet.",
        STATUS,
    ),
    word("Settled", "Nothing is under way.", STATUS),
    word(
        "Failed",
        "An object will not become healthy. The revision stays applied; the next commit replaces it.",
        STATUS,
    ),
    word("Pending", "Nothing was applied, or fetched, yet.", STATUS),
    word(
        "Held",
        "The revision is applied, and something beside it waits for a person.",
        STATUS,
    ),
    word(
        "WaitsForApproval",
        "A deletion, a replacement or a revision waits for a person: `status.held` says which and why.",
        "driftless approve NAME -n NAMESPACE",
    ),
    word("Nothing", "Nothing is held back.", STATUS),
    word(
        "Suspended",
        "`spec.suspend` is true: nothing is applied, repaired or deleted.",
        "driftless resume NAME -n NAMESPACE",
    ),
    word("Running", "The environment is kept.", STATUS),
    word(
        "Fetched",
        "The server's refs are known and fetched.",
        REPOSITORY,
    ),
];

/// Why a revision is not taken, or not all of it.
const REVISIONS: &[Word] = &[
    word(
        "FetchFailed",
        "The Git server cannot be reached, refuses the credentials, or has another host key. What is applied stays.",
        REPOSITORY,
    ),
    word(
        "RepositoryNotFound",
        "There is no Repository of the name in `spec.repository`.",
        "kubectl get repositories -A",
    ),
    word(
        "RepositoryNotAllowed",
        "The Repository lies in another namespace and does not list this one in `spec.allow`.",
        "kubectl get repositories -A",
    ),
    word(
        "RepositoryFailed",
        "The Repository cannot be fetched; its own status says why.",
        REPOSITORY,
    ),
    word(
        "RepositoryPending",
        "The Repository was not fetched yet.",
        REPOSITORY,
    ),
    word(
        "RevisionNotFound",
        "No rule of `spec.follow` yields a revision: a branch, tag or commit is missing, or no version is in the range.",
        "git ls-remote URL",
    ),
    word(
        "Diverged",
        "The revision neither contains the running one nor has a higher version: the history was rewritten, or the ref moved back.",
        "driftless approve NAME -n NAMESPACE",
    ),
    word(
        "RenderFailed",
        "The path does not render; the message names the file and the field.",
        "driftless render PATH",
    ),
    word(
        "Refused",
        "The dry run refused objects of the revision; nothing of it was written. `status.failures` names them all.",
        STATUS,
    ),
    word(
        "RolloutUnknown",
        "What a rollout needs to know (a workload, a revision, who selects its pods) could not be read; the rollout stays as it is.",
        STATUS,
    ),
    word(
        "RolloutFailed",
        "The rollout of a workload was taken back; the message says which check failed, with its value. The state before serves.",
        "driftless status NAME -n NAMESPACE",
    ),
    word(
        "InvalidCheck",
        "An expression in `spec.health.checks` is not CEL.",
        "kubectl get environment NAME -n NAMESPACE -o jsonpath='{.spec.health.checks}'",
    ),
    word(
        "ApprovalFailed",
        "An Approval could not be marked as used, or the ValidatingAdmissionPolicy that guards Approvals is missing.",
        "kubectl get approvals -n NAMESPACE",
    ),
];

/// Why an object is not applied.
const OBJECTS: &[Word] = &[
    word(
        "OwnedElsewhere",
        "Another Environment owns the object. Objects are not stolen: remove it from one of the two.",
        OBJECT,
    ),
    word(
        "ForeignOwner",
        "Helm, Argo CD or Flux manages the object. `driftless.dev/adopt: \"true\"` takes it over.",
        OBJECT,
    ),
    word(
        "Conflict",
        "Other field managers own fields that Git wants to set. `driftless.dev/adopt: \"true\"` takes them over.",
        OBJECT,
    ),
    word(
        "Immutable",
        "A field that cannot change did. `driftless.dev/replace: \"true\"` deletes the object and makes it again.",
        OBJECT,
    ),
    word(
        "Invalid",
        "The API server does not accept the manifest.",
        "driftless check PATH",
    ),
    word(
        "Denied",
        "An admission webhook or policy refused the object.",
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies",
    ),
    word(
        "Forbidden",
        "The Environment's service account may not write the object.",
        "kubectl auth can-i --list --as system:serviceaccount:NAMESPACE:ACCOUNT",
    ),
    word(
        "NotGranted",
        "The agent may not act as the Environment's service account. The object is the service account.",
        "driftless install --tenant NAMESPACE --service-account ACCOUNT | kubectl apply -f -",
    ),
    word(
        "NoServiceAccount",
        "The Environment's service account does not exist. The object is the service account.",
        "driftless install --tenant NAMESPACE --service-account ACCOUNT | kubectl apply -f -",
    ),
    word(
        "InvalidRolloutPolicy",
        "A RolloutPolicy cannot be followed: its workload is missing, has another policy, or cannot run in two versions at once.",
        STATUS,
    ),
    word(
        "NotFound",
        "The kind, or the namespace, does not exist.",
        "kubectl api-resources",
    ),
    word(
        "ApplyFailed",
        "The API server did not answer, or answered with a failure of its own. It is tried again.",
        "kubectl get --raw /readyz?verbose",
    ),
    word(
        "ReplaceHeld",
        "The replacement deletes an object of a protected kind, and waits for approval.",
        "driftless approve NAME -n NAMESPACE",
    ),
    word(
        "ReplaceFailed",
        "The replacement did not pass the dry run, or the old object could not be deleted.",
        OBJECT,
    ),
    word(
        "NotLeading",
        "The replica stopped leading in the middle of its work; the other goes on.",
        "kubectl get lease -n driftless-system",
    ),
    word(
        "Contested",
        "Somebody changes the same fields again and again; they are restored every five minutes only. The message says who.",
        OBJECT,
    ),
    word(
        "DriftRepaired",
        "Somebody changed what Git decides, and it was put back. The Event says who and which fields.",
        "kubectl get events -n NAMESPACE --field-selector reason=DriftRepaired",
    ),
    word(
        "PodNotDeleted",
        "A pod of a StatefulSet that runs a change that was taken back, and is not ready, could not be deleted; the service account needs the right to delete pods. The next pass tries again.",
        STATUS,
    ),
    word(
        "PruneFailed",
        "An object that left Git could not be deleted; the next pass tries again.",
        STATUS,
    ),
    word(
        "PodDeleted",
        "A pod of a StatefulSet that runs a change that was taken back, and is not ready, was deleted: the set would have waited for it forever.",
        "kubectl get pods -n NAMESPACE",
    ),
    word(
        "Pruned",
        "An object that left Git, or was made for a rollout that is over, was deleted.",
        STATUS,
    ),
    word(
        "RolloutStarted",
        "The canary starts beside the stable side.",
        STATUS,
    ),
    word(
        "RolloutStepped",
        "The canary's share of the traffic goes to the next step.",
        STATUS,
    ),
    word(
        "RolloutPaused",
        "The rollout waits for `driftless promote`.",
        "driftless promote NAME -n NAMESPACE",
    ),
    word("RolloutProved", "Every step was passed.", STATUS),
    word(
        "RolloutPromoting",
        "The stable side takes the change.",
        STATUS,
    ),
    word(
        "RolloutRestarted",
        "The stable side restarts in the middle of blue/green, so that the green side starts anew: it gets no traffic before the stable pods are of one template again. Or Git has other steps now: the present one begins anew.",
        STATUS,
    ),
    word(
        "RolloutSwitched",
        "All traffic goes to the green side; the old side is kept, and `driftless abort` goes back to it at once.",
        STATUS,
    ),
    word(
        "RolloutPromoted",
        "The stable side runs the change; the canary drains.",
        STATUS,
    ),
    word(
        "RolloutRestoring",
        "The stable side goes back to what it was before the promotion, while the canary serves; the message says why.",
        STATUS,
    ),
    word(
        "AutoscalerNotInGit",
        "A workload that is rolled out is scaled by an autoscaler that is not of the environment, and that the rollout does not touch: it may take the stable side below its size.",
        "kubectl get horizontalpodautoscalers -n NAMESPACE",
    ),
    word(
        "RolloutLeft",
        "The Environment was deleted, and a rollout of it could not be taken back within five minutes; the message says what stays.",
        "kubectl get all,httproutes,ingresses -n NAMESPACE -l driftless.dev/rollout",
    ),
    word(
        "RolloutAborted",
        "All traffic goes back to the stable side; the message says why.",
        STATUS,
    ),
    word(
        "Approved",
        "An Approval was used.",
        "kubectl get approvals -n NAMESPACE",
    ),
];

/// What the agent could not find out, so that it left everything as it was.
const UNKNOWN: &[Word] = &[
    word("Unknown", "The object could not be read.", OBJECT),
    word(
        "HealthUnknown",
        "The object, or its pods, could not be read, or it vanished while it was looked at.",
        OBJECT,
    ),
    word(
        "InventoryUnknown",
        "What the environment owns could not be read. Nothing is deleted until it can.",
        STATUS,
    ),
    word(
        "DeletionUnknown",
        "Whether the whole installation is being removed could not be found out; the objects stay.",
        STATUS,
    ),
    word(
        "FinalizerFailed",
        "The finalizer that `deletion: prune` needs could not be written.",
        "kubectl get environment NAME -n NAMESPACE -o yaml",
    ),
    word(
        "StatusNotWritten",
        "The status could not be written; nothing is applied without it.",
        "kubectl get environment NAME -n NAMESPACE -o yaml",
    ),
];

/// The tables, each under its title.
pub const SECTIONS: &[(&str, &[Word])] = &[
    ("Conditions", CONDITIONS),
    ("Why a revision is not taken", REVISIONS),
    ("Why an object is not applied, or was changed", OBJECTS),
    ("What could not be found out", UNKNOWN),
];
