//! The closed list of words for what is not healthy, each with its cause and the first command to run. Must hold no
//! rule: which word applies is decided beside the objects.

use std::fmt;

/// One row of the list: the documentation prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub reason: Reason,
    /// What it means, and what usually causes it.
    pub cause: &'static str,
    /// The command that shows more. `NAMESPACE`, `NAME`, `POD` and `CONTAINER` stand for what the failure names.
    pub command: &'static str,
}

macro_rules! reasons {
    ($($reason:ident { $cause:literal, $command:literal })*) => {
        /// Why an object is not healthy. Kubernetes' own words where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $cause] $reason,)*
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Explanation] = &[
                $(Explanation { reason: Reason::$reason, cause: $cause, command: $command },)*
            ];

            /// The word as the status, Events and metrics carry it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$reason => stringify!($reason),)*
                }
            }
        }
    };
}

reasons! {
    NotObserved {
        "The controller of this kind has not looked at the newest version of the object yet. If it stays so, that controller is not running.",
        "kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.generation} {.status.observedGeneration}'"
    }
    Terminating {
        "The object is wanted but is being deleted: somebody deleted it and a finalizer, or the pods' time to stop, holds it.",
        "kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.deletionTimestamp} {.metadata.finalizers}'"
    }
    RolloutInProgress {
        "Pods of the newest template are still being created, started or replaced. If none is made, the workload's Events say who refuses them.",
        "kubectl describe KIND NAME -n NAMESPACE"
    }
    DeploymentPaused {
        "`spec.paused` is true, so the newest template is not rolled out.",
        "kubectl rollout resume deployment/NAME -n NAMESPACE"
    }
    RolloutBlocked {
        "A `StatefulSet` replaces its pods one by one and waits for one of an older template that will not become ready. Going back to a good template does not mend it: Kubernetes wants that pod deleted by hand.",
        "kubectl delete pod POD -n NAMESPACE"
    }
    ProgressDeadlineExceeded {
        "The Deployment made no progress within its `progressDeadlineSeconds`.",
        "kubectl describe deployment NAME -n NAMESPACE"
    }
    FailedCreate {
        "The API server refuses the workload's pods: a missing service account, a limit range, an admission webhook or the namespace's Pod Security level.",
        "kubectl describe replicaset -n NAMESPACE"
    }
    ExceededQuota {
        "The namespace's `ResourceQuota` leaves no room for the workload's pods.",
        "kubectl describe resourcequota -n NAMESPACE"
    }
    CrashLoopBackOff {
        "The container ends again and again, and the kubelet waits longer before each restart. The exit code is in the message: 137 is a kill (memory, or a liveness probe), 143 a polite one, 0 a program that has nothing to do.",
        "kubectl logs POD -c CONTAINER -n NAMESPACE --previous"
    }
    Error {
        "The container ended with a code other than 0.",
        "kubectl logs POD -c CONTAINER -n NAMESPACE --previous"
    }
    OOMKilled {
        "The container used more memory than its limit, and the kernel killed it.",
        "kubectl get pod POD -n NAMESPACE -o jsonpath='{.spec.containers[*].resources}'"
    }
    Restarted {
        "The container runs, but ended shortly before. It counts as healthy once it has run for half a minute.",
        "kubectl logs POD -c CONTAINER -n NAMESPACE --previous"
    }
    ErrImagePull {
        "The image cannot be pulled: it does not exist (yet), the registry refuses the credentials, or cannot be reached.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    ImagePullBackOff {
        "The image could not be pulled several times; the kubelet waits before it tries again.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    ErrImageNeverPull {
        "`imagePullPolicy` is `Never` and the image is not on the node.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    InvalidImageName {
        "The image's name cannot be one: capital letters, blanks, or an empty tag.",
        "kubectl get pod POD -n NAMESPACE -o jsonpath='{.spec.containers[*].image}'"
    }
    CreateContainerConfigError {
        "A `ConfigMap`, a Secret or a key that the container refers to is missing, or its security settings contradict its image.",
        "kubectl get configmap,secret -n NAMESPACE"
    }
    CreateContainerError {
        "The container runtime cannot create the container.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    RunContainerError {
        "The container cannot be started: its program does not exist in the image or may not be executed.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    ContainerCreating {
        "The pod has a node, but its volumes or its network are not ready: a `ConfigMap`, Secret or claim that it mounts is missing, or a driver does not answer.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    ContainersNotReady {
        "The container runs, but its startup or readiness probe does not pass.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    Unschedulable {
        "No node takes the pod: not enough CPU or memory, a node selector, a taint, or a claim that is not bound.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    SchedulingGated {
        "The pod has scheduling gates that somebody has to remove.",
        "kubectl get pod POD -n NAMESPACE -o jsonpath='{.spec.schedulingGates}'"
    }
    Evicted {
        "The node was short of memory, disk or processes, and ended the pod.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    PodFailed {
        "The pod ended and is not started again.",
        "kubectl describe pod POD -n NAMESPACE"
    }
    JobRunning {
        "The Job has not finished yet.",
        "kubectl logs job/NAME -n NAMESPACE"
    }
    BackoffLimitExceeded {
        "The Job's pods failed more often than its `backoffLimit` allows.",
        "kubectl logs job/NAME -n NAMESPACE"
    }
    DeadlineExceeded {
        "The Job, or a pod, ran longer than its `activeDeadlineSeconds`.",
        "kubectl describe job NAME -n NAMESPACE"
    }
    JobFailed {
        "The Job failed by a rule of its own: a pod failure policy, or failed indexes.",
        "kubectl describe job NAME -n NAMESPACE"
    }
    LoadBalancerPending {
        "Nobody has given the Service of type `LoadBalancer` an address yet.",
        "kubectl describe service NAME -n NAMESPACE"
    }
    ProvisioningPending {
        "A node was chosen for the claim's pod, and the volume is being made.",
        "kubectl describe persistentvolumeclaim NAME -n NAMESPACE"
    }
    VolumeLost {
        "The claim's volume no longer exists, or the volume failed.",
        "kubectl describe persistentvolumeclaim NAME -n NAMESPACE"
    }
    FailedGetScale {
        "The autoscaler does not find what it is to scale.",
        "kubectl describe horizontalpodautoscaler NAME -n NAMESPACE"
    }
    NamesNotAccepted {
        "Another `CustomResourceDefinition` of the same group has one of these names.",
        "kubectl describe customresourcedefinition NAME"
    }
    NotEstablished {
        "The API server does not serve the new kind yet.",
        "kubectl describe customresourcedefinition NAME"
    }
    APIUnavailable {
        "The service behind the aggregated API does not answer.",
        "kubectl describe apiservice NAME"
    }
    NotReady {
        "The object's own controller says that it is not ready (condition `Ready`).",
        "kubectl describe KIND NAME -n NAMESPACE"
    }
    Reconciling {
        "The object's own controller is working on it (condition `Reconciling`).",
        "kubectl describe KIND NAME -n NAMESPACE"
    }
    Stalled {
        "The object's own controller has given up (condition `Stalled`).",
        "kubectl describe KIND NAME -n NAMESPACE"
    }
    CheckNotMet {
        "The expression `current` of a check in `spec.health.checks` is not true.",
        "kubectl get KIND NAME -n NAMESPACE -o yaml"
    }
    CheckFailed {
        "The expression `failed` of a check in `spec.health.checks` is true.",
        "kubectl get KIND NAME -n NAMESPACE -o yaml"
    }
    CheckError {
        "An expression of a check in `spec.health.checks` could not be evaluated: often a field that the object does not have. `has(self.status.field)` asks first.",
        "kubectl get KIND NAME -n NAMESPACE -o yaml"
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
