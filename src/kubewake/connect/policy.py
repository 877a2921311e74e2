"""The audit policy that kubewake recommends: everything a detection needs, bodies only where one needs them.

https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

POLICY = """\
# Audit policy for kubewake. The first rule that fits an event decides.
# Secrets, ConfigMaps and tokens never have their bodies logged.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
  - RequestReceived
rules:
  # Health checks, several a second, say nothing.
  - level: None
    nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]

  # Heartbeats of nodes and of the control plane's own elections.
  - level: None
    userGroups: ["system:nodes"]
    verbs: ["get", "update", "patch"]
    resources:
      - group: coordination.k8s.io
        resources: ["leases"]
  - level: None
    users: ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"]
    verbs: ["get", "update"]
    resources:
      - group: coordination.k8s.io
        resources: ["leases"]

  # Written by every component all day. Their deletion hides traces, and is logged below.
  - level: None
    verbs: ["create", "update", "patch", "get", "list", "watch"]
    resources:
      - group: ""
        resources: ["events"]
      - group: events.k8s.io
        resources: ["events"]

  # Who, when, from where; never the content.
  - level: Metadata
    resources:
      - group: ""
        resources: ["secrets", "configmaps", "serviceaccounts/token"]
      - group: authentication.k8s.io
        resources: ["tokenreviews"]

  # Sessions into containers and through nodes: the command is in the request's URI.
  - level: Metadata
    resources:
      - group: ""
        resources: ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"]

  # What was asked about permissions.
  - level: Request
    resources:
      - group: authorization.k8s.io
        resources: ["*"]

  # Rights, workloads and the gates to the cluster: a patch shows its result only in the response.
  - level: RequestResponse
    verbs: ["create", "update", "patch", "delete", "deletecollection", "approve", "bind", "escalate"]
    resources:
      - group: rbac.authorization.k8s.io
      - group: admissionregistration.k8s.io
      - group: apiregistration.k8s.io
      - group: apiextensions.k8s.io
      - group: certificates.k8s.io
      - group: networking.k8s.io
      - group: policy
      - group: batch
      - group: apps
        resources: ["deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"]
      - group: ""
        resources:
          - pods
          - pods/ephemeralcontainers
          - replicationcontrollers
          - serviceaccounts
          - services
          - endpoints
          - namespaces
          - nodes
          - persistentvolumes
      - group: discovery.k8s.io
        resources: ["endpointslices"]

  # Everything else.
  - level: Metadata
"""
