"""Where policy and kubeconfig go on each Kubernetes distribution, and which cannot send a webhook at all."""

from msgspec import Struct

POLICY_FILE = "audit-policy.yaml"
KUBECONFIG_FILE = "audit-webhook.yaml"

_FLAGS = {
    "audit-policy-file": "{folder}/" + POLICY_FILE,
    "audit-webhook-config-file": "{folder}/" + KUBECONFIG_FILE,
    "audit-webhook-mode": "batch",
    "audit-webhook-batch-max-wait": "5s",
    "audit-webhook-batch-max-size": "400",
    "audit-webhook-batch-buffer-size": "50000",
}
"""Flags of kube-apiserver. A short wait brings alerts early; a large buffer outlasts a restart of kubewake."""

_KUBEADM = """\
On every control-plane node:
1. Copy both files to {folder} (mode 600, owner root).
2. Edit /etc/kubernetes/manifests/kube-apiserver.yaml. Add under spec.containers[0].command:
{dashes}
   under volumeMounts:
    - {{name: kubewake, mountPath: {folder}, readOnly: true}}
   and under volumes:
    - {{name: kubewake, hostPath: {{path: {folder}, type: Directory}}}}
3. The kubelet restarts the API server. Check: kubectl get --raw /metrics | grep apiserver_audit_error_total
To keep it over upgrades, put the same into the ClusterConfiguration: kubectl -n kube-system edit cm kubeadm-config
"""
_K3S = """\
On every server node:
1. Copy both files to {folder} (mode 600, owner root).
2. Add to /etc/rancher/k3s/config.yaml:
kube-apiserver-arg:
{items}
3. systemctl restart k3s
"""
_RKE2 = """\
On every server node:
1. Copy both files to {folder} (mode 600, owner root).
2. Add to /etc/rancher/rke2/config.yaml:
audit-policy-file: {folder}/audit-policy.yaml
kube-apiserver-arg:
{items}
kube-apiserver-extra-mount:
  - "{folder}:{folder}:ro"
3. systemctl restart rke2-server
"""
_KIND = """\
Create the cluster with this configuration (kind create cluster --config FILE), both files in ./kubewake:
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - {{hostPath: ./kubewake, containerPath: {folder}, readOnly: true}}
    kubeadmConfigPatches:
      - |
        kind: ClusterConfiguration
        apiServer:
          extraArgs:
{arguments}
          extraVolumes:
            - {{name: kubewake, hostPath: {folder}, mountPath: {folder}, readOnly: true, pathType: Directory}}
"""
_TALOS = """\
Patch the control plane's machine configuration (talosctl patch mc --patch @FILE):
machine:
  files:
    - path: {folder}/audit-webhook.yaml
      permissions: 0o600
      op: create
      content: |
        (the kubeconfig)
cluster:
  apiServer:
    auditPolicy:
      (the policy)
    extraArgs:
{talos}
    extraVolumes:
      - {{hostPath: {folder}, mountPath: {folder}, readonly: true}}
"""
_OPENSHIFT = """\
OpenShift's API servers are managed: they write audit logs to the nodes and take no webhook.
1. Set the profile: oc patch apiserver cluster --type=merge -p '{{"spec":{{"audit":{{"profile":"WriteRequestBodies"}}}}}}'
2. Run kubewake on every control-plane node (a DaemonSet with a hostPath mount), following
   /var/log/kube-apiserver/audit.log, /var/log/openshift-apiserver/audit.log and /var/log/oauth-apiserver/audit.log:
   kubewake serve --listen '' --cluster {cluster} --follow /var/log/kube-apiserver/audit.log …
"""
_CLOUD = """\
{name} runs the API server for you: its audit policy is fixed, it takes no webhook, and its logs go to the cloud's log
service ({service}). Export them, and give the files to `kubewake scan`.
"""


class Distribution(Struct, frozen=True):
    """How one distribution is connected. `folder` is where the API server finds the files; empty: no webhook there."""

    title: str
    guide: str
    folder: str = ""
    service: str = ""


DISTRIBUTIONS: dict[str, Distribution] = {
    "kubeadm": Distribution("kubeadm", _KUBEADM, "/etc/kubernetes/kubewake"),
    "k3s": Distribution("k3s", _K3S, "/var/lib/rancher/k3s/server/kubewake"),
    "rke2": Distribution("RKE2", _RKE2, "/etc/rancher/rke2/kubewake"),
    "kind": Distribution("kind", _KIND, "/etc/kubernetes/kubewake"),
    "talos": Distribution("Talos", _TALOS, "/var/etc/kubewake"),
    "openshift": Distribution("OpenShift", _OPENSHIFT),
    "eks": Distribution("Amazon EKS", _CLOUD, service="CloudWatch Logs, log type `audit`"),
    "gke": Distribution("Google GKE", _CLOUD, service="Cloud Logging, with data access logs switched on"),
    "aks": Distribution("Azure AKS", _CLOUD, service="diagnostic settings, category kube-audit"),
}


def guide(name: str, cluster: str) -> str:
    """What to do on a distribution, step by step."""
    distribution = DISTRIBUTIONS[name]
    flags = {flag: value.format(folder=distribution.folder) for flag, value in _FLAGS.items()}
    own = {flag: value for flag, value in flags.items() if name != "rke2" or flag != "audit-policy-file"}
    return distribution.guide.format(
        folder=distribution.folder,
        cluster=cluster,
        name=distribution.title,
        service=distribution.service,
        dashes="\n".join(f"    - --{flag}={value}" for flag, value in flags.items()),
        items="\n".join(f"  - {flag}={value}" for flag, value in own.items()),
        arguments="\n".join(f'            {flag}: "{value}"' for flag, value in flags.items()),
        talos="\n".join(f"      {flag}: {value}" for flag, value in flags.items() if flag != "audit-policy-file"),
    )
