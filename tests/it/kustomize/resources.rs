//! The objects of the generated trees: templates by kind, with the fields that kustomize's transformers look at.

/// A pod's specification, `PAD` deep.
const POD: &str = "\
?serviceAccountName: $serviceaccount
?securityContext: {runAsUser: 1000}
?hostNetwork: $bool
?imagePullSecrets:
- name: $secret
?initContainers:
- name: init
  image: $image
  ?command: [sh, -c, \"echo $(VAR)\"]
  ?envFrom:
  - secretRef:
      name: $secret
containers:
- name: main
  image: $image
  ?args:
  - --level=$(VAR)
  - $text
  ?env:
  - name: PLAIN
    value: $text
  ?- name: FROM_MAP
    valueFrom:
      configMapKeyRef:
        name: $configmap
        key: key
        ?optional: $bool
  ?- name: FROM_SECRET
    valueFrom:
      secretKeyRef:
        name: $secret
        key: key
  ?- name: FIELD
    valueFrom:
      fieldRef: {fieldPath: metadata.name}
  ?envFrom:
  - configMapRef:
      name: $configmap
  ?- prefix: S_
    secretRef:
      name: $secret
  ?ports:
  - containerPort: 8080
    ?name: http
    ?protocol: TCP
  ?- containerPort: 8080
    protocol: UDP
  ?resources:
    limits: {cpu: 1, memory: $quantity}
    ?requests:
      cpu: $quantity
  ?livenessProbe:
    httpGet: {path: /health, port: 8080}
    ?initialDelaySeconds: $number
  ?volumeMounts:
  - name: config
    mountPath: /etc/config
  ?- name: data
    mountPath: /data
    readOnly: $bool
?- name: sidecar
  image: $image
  ?env:
  - {name: A, value: $(VAR)}
  ?volumeMounts:
  - mountPath: /data
    name: data
?volumes:
- name: config
  configMap:
    name: $configmap
    ?defaultMode: 0644
    ?items:
    - {key: a, path: a.txt}
?- name: secret
  secret:
    secretName: $secret
?- name: data
  emptyDir: {}
?- name: claim
  persistentVolumeClaim:
    claimName: $pvc
?- name: all
  projected:
    sources:
    - configMap:
        name: $configmap
    - secret:
        name: $secret
?nodeSelector:
  disk: ssd
?tolerations:
- key: dedicated
  operator: Exists
  ?effect: NoSchedule
?affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - labelSelector:
        matchLabels:
          app: $label
      topologyKey: kubernetes.io/hostname
?topologySpreadConstraints:
- maxSkew: 1
  topologyKey: zone
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels: {app: web}
?priorityClassName: $priorityclass
?dnsPolicy: ClusterFirst
";

const TEMPLATE: &str = "\
metadata:
  ?labels:
    app: $label
    ?tier: $label
  ?annotations:
    note: $text
?spec:
";

/// Kinds, with how often they come and what they look like. `%pod` stands for the specification of a pod, `%template`
/// for a pod template; the metadata is added.
pub const KINDS: &[(u32, &str, &str, &str)] = &[
    (
        6,
        "v1",
        "ConfigMap",
        "?data:\n  key: $text\n  ?a: $text\n  ?number: \"5\"\n  ?long: $lines\n?binaryData:\n  bin: aGVsbG8=\n?immutable: $bool\n",
    ),
    (
        4,
        "v1",
        "Secret",
        "?type: Opaque\n?data:\n  key: aGVsbG8=\n?stringData:\n  plain: $text\n",
    ),
    (
        14,
        "apps/v1",
        "Deployment",
        "spec:\n  ?replicas: $number\n  ?selector:\n    matchLabels:\n      app: $label\n  ?strategy:\n    type: RollingUpdate\n    ?rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}\n  template:\n    %template\n",
    ),
    (
        6,
        "apps/v1",
        "StatefulSet",
        "spec:\n  serviceName: $service\n  ?replicas: $number\n  selector:\n    matchLabels:\n      app: $label\n  template:\n    %template\n  ?volumeClaimTemplates:\n  - metadata:\n      name: data\n      ?labels:\n        app: $label\n    spec:\n      accessModes: [ReadWriteOnce]\n      ?storageClassName: $storageclass\n      resources:\n        requests:\n          storage: $quantity\n",
    ),
    (
        3,
        "apps/v1",
        "DaemonSet",
        "spec:\n  selector:\n    matchLabels: {app: web}\n  template:\n    %template\n",
    ),
    (
        2,
        "batch/v1",
        "Job",
        "spec:\n  ?backoffLimit: $number\n  ?completions: 1\n  template:\n    %template\n",
    ),
    (
        4,
        "batch/v1",
        "CronJob",
        "spec:\n  schedule: \"*/5 * * * *\"\n  ?suspend: $bool\n  jobTemplate:\n    ?metadata:\n      labels:\n        app: $label\n    spec:\n      template:\n        %template\n",
    ),
    (2, "v1", "Pod", "spec:\n  %pod\n"),
    (
        2,
        "apps/v1",
        "ReplicaSet",
        "spec:\n  ?replicas: $number\n  selector:\n    matchLabels:\n      app: $label\n  template:\n    %template\n",
    ),
    (
        1,
        "v1",
        "ReplicationController",
        "spec:\n  replicas: $number\n  selector:\n    app: $label\n  template:\n    %template\n",
    ),
    (
        8,
        "v1",
        "Service",
        "spec:\n  ?type: ClusterIP\n  ?selector:\n    app: $label\n  ports:\n  - port: 80\n    ?name: http\n    ?targetPort: 8080\n    ?protocol: TCP\n  ?- port: 443\n    name: https\n    targetPort: tls\n  ?clusterIP: None\n",
    ),
    (
        4,
        "networking.k8s.io/v1",
        "Ingress",
        "spec:\n  ?ingressClassName: $ingressclass\n  ?tls:\n  - hosts: [$(VAR).example.com]\n    secretName: $secret\n  rules:\n  - host: $host\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: $service\n            port: {number: 80}\n  ?defaultBackend:\n    service:\n      name: $service\n      port:\n        name: http\n",
    ),
    (
        2,
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "spec:\n  podSelector:\n    matchLabels:\n      app: $label\n  ?policyTypes: [Ingress, Egress]\n  ?ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: $label\n    ?- namespaceSelector:\n        matchLabels: {team: a}\n    ?ports:\n    - {port: 80, protocol: TCP}\n  ?egress:\n  - to:\n    - podSelector:\n        matchLabels:\n          app: $label\n",
    ),
    (
        5,
        "v1",
        "ServiceAccount",
        "?automountServiceAccountToken: $bool\n?secrets:\n- name: $secret\n?imagePullSecrets:\n- name: $secret\n",
    ),
    (
        3,
        "rbac.authorization.k8s.io/v1",
        "Role",
        "rules:\n- apiGroups: [\"\"]\n  resources: [configmaps]\n  verbs: [get, list]\n  ?resourceNames:\n  - $configmap\n?- apiGroups: [apps]\n  resources: ['*']\n  verbs: ['*']\n",
    ),
    (
        6,
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: $role\nsubjects:\n- kind: ServiceAccount\n  name: $serviceaccount\n  ?namespace: $namespace\n?- kind: ServiceAccount\n  name: default\n?- kind: User\n  name: jane\n  apiGroup: rbac.authorization.k8s.io\n",
    ),
    (
        2,
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "?rules:\n- apiGroups: [\"\"]\n  resources: [secrets]\n  ?resourceNames: [one, two]\n  verbs: [get]\n?aggregationRule:\n  clusterRoleSelectors:\n  - matchLabels:\n      app: $label\n",
    ),
    (
        3,
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: $clusterrole\nsubjects:\n- kind: ServiceAccount\n  name: $serviceaccount\n  namespace: $namespace\n?- kind: Group\n  name: everybody\n  apiGroup: rbac.authorization.k8s.io\n",
    ),
    (
        3,
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "spec:\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: $deployment\n  ?minReplicas: $number\n  maxReplicas: 10\n  ?metrics:\n  - type: Resource\n    resource:\n      name: cpu\n      target: {type: Utilization, averageUtilization: 80}\n",
    ),
    (
        3,
        "v1",
        "PersistentVolumeClaim",
        "spec:\n  accessModes:\n  - ReadWriteOnce\n  ?storageClassName: $storageclass\n  resources:\n    requests:\n      storage: $quantity\n",
    ),
    (
        1,
        "v1",
        "PersistentVolume",
        "spec:\n  capacity: {storage: 1Gi}\n  accessModes: [ReadWriteOnce]\n  ?storageClassName: $storageclass\n  ?claimRef:\n    name: $pvc\n    namespace: $namespace\n",
    ),
    (
        1,
        "storage.k8s.io/v1",
        "StorageClass",
        "provisioner: example.com/disk\n?parameters:\n  type: ssd\n",
    ),
    (2, "v1", "Namespace", "?spec: {}\n"),
    (
        1,
        "scheduling.k8s.io/v1",
        "PriorityClass",
        "value: 1000000\n?globalDefault: false\n",
    ),
    (
        1,
        "networking.k8s.io/v1",
        "IngressClass",
        "spec:\n  controller: example.com/ingress\n",
    ),
    (
        2,
        "policy/v1",
        "PodDisruptionBudget",
        "spec:\n  ?minAvailable: 50%\n  ?maxUnavailable: 1\n  selector:\n    matchLabels:\n      app: $label\n    ?matchExpressions:\n    - {key: tier, operator: In, values: [a, b]}\n",
    ),
    (
        5,
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "spec:\n  group: example.com\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    ?schema:\n      openAPIV3Schema:\n        type: object\n        ?x-kubernetes-preserve-unknown-fields: true\n  ?conversion:\n    strategy: Webhook\n    webhook:\n      clientConfig:\n        service:\n          name: $service\n          namespace: $namespace\n",
    ),
    (
        2,
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "webhooks:\n- name: a.example.com\n  clientConfig:\n    service:\n      name: $service\n      namespace: $namespace\n      ?path: /check\n  ?rules:\n  - apiGroups: ['*']\n    operations: [CREATE]\n",
    ),
    (
        1,
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "webhooks:\n- name: m.example.com\n  clientConfig:\n    service:\n      name: $service\n      namespace: $namespace\n",
    ),
    (
        1,
        "apiregistration.k8s.io/v1",
        "APIService",
        "spec:\n  group: example.com\n  version: v1\n  service:\n    name: $service\n    namespace: $namespace\n",
    ),
    (
        8,
        "example.com/v1",
        "Widget",
        "spec:\n  ?configRef:\n    name: $configmap\n  ?size: $number\n  ?ratio: $float\n  ?image: $image\n  ?mode: 0644\n  ?flag: $odd\n  ?nothing: null\n  ?empty: {}\n  ?none: []\n  ?items:\n  - name: one\n    value: $text\n  ?- name: two\n    value: $odd\n  ?list: [a, b, c]\n  ?matrix: [[1, 2], [3]]\n  ?quoted: \"5\"\n  ?lines: $lines\n  ?template:\n    metadata: {labels: {app: w}}\n    spec:\n      containers:\n      - name: w\n        image: $image\n  ?selector:\n    app: $label\n",
    ),
    (
        2,
        "example.com/v1",
        "Gadget",
        "?data: $text\n?spec:\n  replicas: $number\n  ?secretName: $secret\n",
    ),
];

/// The template of a kind's body.
pub fn body(template: &str) -> String {
    let mut out = String::new();
    let insert = |out: &mut String, text: &str, pad: &str| {
        for line in text.lines() {
            out.push_str(&format!("{pad}{line}\n"));
        }
    };
    for line in template.lines() {
        let trimmed = line.trim_start();
        let pad = &line[..line.len() - trimmed.len()];
        match trimmed {
            "%pod" => insert(&mut out, POD, pad),
            "%template" => {
                insert(&mut out, &TEMPLATE.replace("?spec", "spec"), pad);
                insert(&mut out, POD, &format!("{pad}  "));
            }
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

/// Kinds that have no namespace.
pub const CLUSTER: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "StorageClass",
    "Namespace",
    "PriorityClass",
    "IngressClass",
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
];
