"""Well-known components as data; see `profiles` for how a right is written.

Control plane and controllers follow the bootstrap policy of upstream Kubernetes
(plugin/pkg/auth/authorizer/rbac/bootstrappolicy), operators the manifests and charts that their projects publish.
"""

from msgspec import Struct


class Row(Struct, frozen=True, gc=False):
    """One component: usernames or service accounts with their homes, user-agent prefixes, rights, origin."""

    component: str
    rights: tuple[str, ...]
    clients: tuple[str, ...]
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    origin: str = "private"


ANY = "*"
"""Stands for every service account of the namespaces."""

_KUBE_SYSTEM = ("kube-system",)
_ALL_IN_ONE = ("hyperkube/", "k3s/", "kubelite/")
"""Distributions that run all components in one program."""
_CONTROLLER_MANAGER = ("kube-controller-manager/", "cloud-controller-manager/", *_ALL_IN_ONE)
_MONITORING = ("monitoring", "kube-prometheus-stack", "prometheus", "observability", "kube-system", "metrics",
               "openshift-monitoring", "openshift-user-workload-monitoring")  # fmt: skip
_LOGGING = ("logging", "kube-logging", "kube-system", "fluentd", "fluent-bit", "fluent", "monitoring", "observability",
            "amazon-cloudwatch", "loki", "elastic", "elastic-system", "opensearch")  # fmt: skip
_READ_WORKLOADS = "r apps/* batch/* core/pods core/nodes core/services core/namespaces core/replicationcontrollers"
_EVERYTHING = ("rwd,deletecollection */*/*",)

CONTROL_PLANE: tuple[Row, ...] = (
    Row("kube-apiserver", ("* */*/*",), ("kube-apiserver/", *_ALL_IN_ONE), users=("system:apiserver", "system:kube-apiserver"),
        origin="loopback"),
    Row("kube-controller-manager",
        ("r */*/*", "create core/serviceaccounts/token @kube-system", "create,update core/serviceaccounts",
         "create,update,delete core/secrets", "w,delete core/endpoints @kube-system"),
        _CONTROLLER_MANAGER, users=("system:kube-controller-manager",)),
    Row("cloud-controller-manager",
        ("r */*", "w core/nodes core/nodes/status core/services core/services/status",
         "create core/serviceaccounts/token @kube-system", "d core/nodes"),
        _CONTROLLER_MANAGER, users=("system:cloud-controller-manager",)),
    Row("kube-scheduler",
        ("r */*", "d core/pods", "create core/pods/binding core/bindings", "w core/pods/status",
         ("w resource.k8s.io/resourceclaims resource.k8s.io/resourceclaims/status core/persistentvolumeclaims"
         " core/persistentvolumes")),
        ("kube-scheduler/", *_ALL_IN_ONE), users=("system:kube-scheduler", "system:volume-scheduler")),
    Row("kube-proxy", (("r core/services core/endpoints discovery.k8s.io/endpointslices core/nodes"
                       " networking.k8s.io/servicecidrs"),),
        ("kube-proxy/", *_ALL_IN_ONE), users=("system:kube-proxy",), accounts=("kube-proxy",),
        namespaces=_KUBE_SYSTEM),
    Row("kubelet",
        (("r core/services core/nodes core/pods core/configmaps core/secrets core/serviceaccounts"
         " core/persistentvolumeclaims core/persistentvolumes storage.k8s.io/* node.k8s.io/runtimeclasses"
         " certificates.k8s.io/certificatesigningrequests core/endpoints resource.k8s.io/*"
         " certificates.k8s.io/clustertrustbundles core/nodes/status"),
         "w core/nodes core/nodes/status core/pods/status certificates.k8s.io/certificatesigningrequests",
         "create,delete core/pods", "create core/pods/eviction core/serviceaccounts/token",
         "rwd storage.k8s.io/csinodes resource.k8s.io/resourceslices", "w core/persistentvolumeclaims/status",
         ("create authorization.k8s.io/subjectaccessreviews authentication.k8s.io/tokenreviews"
         " certificates.k8s.io/podcertificaterequests")),
        ("kubelet/", *_ALL_IN_ONE), users=("system:node:",)),
    Row("k3s", ("rwd */*/*",), ("k3s/", "k3s-agent/", "k3s-server/", "rke2/", "kube-controller-manager/"),
        users=("system:k3s-controller", "system:k3s-supervisor", "system:rke2-controller", "system:rke2-supervisor")),
)  # fmt: skip


def _controller(*accounts: str, rights: tuple[str, ...]) -> Row:
    return Row("kube-controller-manager", rights, _CONTROLLER_MANAGER, accounts=accounts, namespaces=_KUBE_SYSTEM)


_PODS = "rwd core/pods core/pods/status"

CONTROLLERS: tuple[Row, ...] = (
    _controller("attachdetach-controller", rights=("r core/* storage.k8s.io/*", "w core/nodes/status",
                                                   "rwd storage.k8s.io/volumeattachments")),
    _controller("bootstrap-signer", "token-cleaner",
                rights=("rwd core/secrets @kube-system", "rw core/configmaps @kube-public")),
    _controller("certificate-controller",
                rights=("r certificates.k8s.io/certificatesigningrequests", "d certificates.k8s.io/certificatesigningrequests",
                        ("w certificates.k8s.io/certificatesigningrequests/approval"
                        " certificates.k8s.io/certificatesigningrequests/status certificates.k8s.io/signers"))),
    _controller("clusterrole-aggregation-controller", rights=("rw rbac.authorization.k8s.io/clusterroles",)),
    _controller("cronjob-controller", rights=("rwd batch/cronjobs batch/cronjobs/status batch/jobs", "r,delete core/pods")),
    _controller("daemon-set-controller",
                rights=("rw apps/daemonsets apps/daemonsets/status", "r core/nodes", _PODS, "create core/pods/binding",
                        "rwd apps/controllerrevisions")),
    _controller("deployment-controller",
                rights=("rw apps/deployments apps/deployments/status", "rwd apps/replicasets", "rw core/pods")),
    _controller("disruption-controller",
                rights=("r */* */*/scale", "w policy/poddisruptionbudgets/status core/pods/status")),
    _controller("endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller",
                rights=("r core/services core/pods core/nodes core/endpoints discovery.k8s.io/endpointslices",
                        ("w,delete core/endpoints discovery.k8s.io/endpointslices core/endpoints/restricted"
                        " core/services/finalizers"))),
    _controller("ephemeral-volume-controller",
                rights=("r core/pods", "w core/pods/finalizers", "r,create core/persistentvolumeclaims")),
    _controller("expand-controller", rights=(("rw core/persistentvolumes core/persistentvolumeclaims"
                                             " core/persistentvolumeclaims/status"), "r storage.k8s.io/* core/secrets core/pods")),
    _controller("generic-garbage-collector", rights=("rwd,deletecollection */*",)),
    _controller("horizontal-pod-autoscaler",
                rights=("r */*", "w autoscaling/horizontalpodautoscalers/status", "rw */*/scale",
                        "r metrics.k8s.io custom.metrics.k8s.io external.metrics.k8s.io")),
    _controller("job-controller", rights=("rw batch/jobs batch/jobs/status batch/jobs/finalizers", _PODS)),
    _controller("legacy-service-account-token-cleaner", rights=("rwd core/secrets", "r core/pods core/configmaps core/serviceaccounts")),
    _controller("namespace-controller",
                rights=("r core/namespaces", "delete,update core/namespaces core/namespaces/finalize core/namespaces/status",
                        "get,list,watch,delete,deletecollection */*")),
    _controller("node-controller", "node-lifecycle-controller", "taint-eviction-controller", "device-taint-eviction-controller",
                rights=("rwd core/nodes core/nodes/status", "r,delete core/pods", "w core/pods/status", "r apps/* resource.k8s.io/*")),
    _controller("persistent-volume-binder", "pv-protection-controller", "pvc-protection-controller",
                rights=(("rwd core/persistentvolumes core/persistentvolumes/status core/persistentvolumeclaims"
                        " core/persistentvolumeclaims/status"), "rwd core/pods", "r storage.k8s.io/* core/nodes core/secrets",
                        "rwd core/endpoints core/services")),
    _controller("pod-garbage-collector", rights=("r,delete core/pods", "r core/nodes", "w core/pods/status")),
    _controller("replicaset-controller", rights=("rw apps/replicasets apps/replicasets/status", _PODS)),
    _controller("replication-controller",
                rights=("rw core/replicationcontrollers core/replicationcontrollers/status", _PODS)),
    _controller("resourcequota-controller", rights=("list,watch,get */*", "w core/resourcequotas/status")),
    _controller("root-ca-cert-publisher", "kube-apiserver-serving-clustertrustbundle-publisher", "service-ca-cert-publisher",
                rights=("rw core/configmaps", "rwd certificates.k8s.io/clustertrustbundles", "r core/namespaces")),
    _controller("route-controller", "cloud-node-controller", "cloud-node-lifecycle-controller", "node-ipam-controller",
                rights=("rwd core/nodes core/nodes/status", "r,delete core/pods")),
    _controller("service-account-controller", "service-account-tokens-controller",
                rights=("r,create,update core/serviceaccounts", "r core/namespaces", "rwd core/secrets")),
    _controller("service-controller", "cloud-provider",
                rights=("r core/services core/nodes", "w core/services core/services/status")),
    _controller("service-cidrs-controller", rights=("rw networking.k8s.io/servicecidrs networking.k8s.io/servicecidrs/status",
                                                    "r networking.k8s.io/ipaddresses")),
    _controller("statefulset-controller",
                rights=("rw apps/statefulsets apps/statefulsets/status", _PODS, "rwd apps/controllerrevisions core/persistentvolumeclaims")),
    _controller("resource-claim-controller",
                rights=("r core/pods resource.k8s.io/*", "rwd resource.k8s.io/resourceclaims resource.k8s.io/resourceclaims/status",
                        "w core/pods/status")),
    _controller("storage-version-migrator-controller", "storageversion-garbage-collector", rights=("rwd internal.apiserver.k8s.io/*",
                                                                            "rw storagemigration.k8s.io/*/*", "r,patch */*")),
    _controller("ttl-after-finished-controller", rights=("r,delete batch/jobs",)),
    _controller("ttl-controller", rights=("rw core/nodes",)),
    _controller("validatingadmissionpolicy-status-controller", "selinux-warning-controller",
                "podcertificaterequestcleaner-controller", "volumeattributesclass-protection-controller",
                rights=("r */*", "w admissionregistration.k8s.io/validatingadmissionpolicies/status",
                        "d certificates.k8s.io/podcertificaterequests", "update storage.k8s.io/volumeattributesclasses")),
)  # fmt: skip

ADDONS: tuple[Row, ...] = (
    Row("coredns", ("r core/services core/endpoints core/pods core/namespaces core/nodes discovery.k8s.io/endpointslices",),
        ("coredns/", "CoreDNS/"), accounts=("coredns", "coredns-autoscaler", "kube-dns"), namespaces=_KUBE_SYSTEM),
    Row("metrics-server", ("r core/pods core/nodes core/namespaces core/configmaps", "get core/nodes/metrics core/nodes/stats",
                           "create core/nodes/metrics"),
        ("metrics-server/",), accounts=("metrics-server",), namespaces=("kube-system", "metrics-server", "monitoring")),
    Row("cluster-autoscaler",
        ("r */*", "w,delete core/nodes core/nodes/status", "create core/pods/eviction", "w core/pods/status core/endpoints",
         "rw core/configmaps @kube-system", "w autoscaling.x-k8s.io/*/*"),
        ("cluster-autoscaler/",), accounts=("cluster-autoscaler", "cluster-autoscaler-aws-cluster-autoscaler"),
        namespaces=("kube-system", "cluster-autoscaler")),
    Row("karpenter",
        ("r */*", "rwd core/nodes core/nodes/status karpenter.sh/*/* karpenter.k8s.aws/*/*", "create core/pods/eviction",
         "d core/pods"),
        ("karpenter/", "controller/"), accounts=("karpenter",), namespaces=("kube-system", "karpenter")),
    Row("aws-node", ("r core/pods core/namespaces core/nodes", "r crd.k8s.amazonaws.com/*", "w core/nodes",
                     "rwd vpcresources.k8s.aws/*/* networking.k8s.aws/*/* crd.k8s.amazonaws.com/*"),
        ("aws-node/", "aws-k8s-agent/", "controller/", "aws-vpc-cni"), accounts=("aws-node",), namespaces=_KUBE_SYSTEM),
    Row("aws-load-balancer-controller",
        ("r core/* networking.k8s.io/* discovery.k8s.io/* elbv2.k8s.aws/* vpcresources.k8s.aws/* gateway.networking.k8s.io/*",
         ("w core/services core/services/status networking.k8s.io/ingresses networking.k8s.io/ingresses/status"
         " core/pods/status elbv2.k8s.aws/*/* gateway.networking.k8s.io/*/status"), "rw core/secrets @own"),
        ("elbv2.k8s.aws/", "aws-load-balancer-controller/", "controller/"), accounts=("aws-load-balancer-controller",),
        namespaces=_KUBE_SYSTEM),
    Row("csi-driver",
        (("r core/pods core/nodes core/persistentvolumes core/persistentvolumeclaims core/namespaces storage.k8s.io/*"
         " snapshot.storage.k8s.io/*"), "r core/secrets",
         ("rwd core/persistentvolumes storage.k8s.io/volumeattachments snapshot.storage.k8s.io/*/*"
         " storage.k8s.io/csistoragecapacities"), ("w core/persistentvolumes/status core/persistentvolumeclaims"
         " core/persistentvolumeclaims/status storage.k8s.io/volumeattachments/status core/nodes")),
        ("csi-", "external-", "snapshot-controller/", "aws-ebs-csi-driver/", "aws-efs-csi-driver/", "livenessprobe/",
         "azuredisk", "azurefile", "gce-pd-csi-driver/", "snapshotter/"),
        accounts=("ebs-csi-controller-sa", "ebs-csi-node-sa", "efs-csi-controller-sa", "efs-csi-node-sa",
                  "csi-azuredisk-controller-sa", "csi-azurefile-controller-sa", "csi-gce-pd-controller-sa",
                  "snapshot-controller", "csi-snapshot-controller"),
        namespaces=("kube-system", "gce-pd-csi-driver")),
    Row("cilium",
        ("r */*", "rwd cilium.io/*/*", "w core/nodes core/nodes/status core/pods/status core/services/status",
         "rwd discovery.k8s.io/endpointslices", "d core/pods", "w apiextensions.k8s.io/customresourcedefinitions",
         "w networking.k8s.io/ingresses/status gateway.networking.k8s.io/*/status", "rwd core/secrets @cilium-secrets"),
        ("cilium", "Cilium"), accounts=("cilium", "cilium-operator", "cilium-envoy", "hubble-relay", "cilium-agent"),
        namespaces=("kube-system", "cilium")),
    Row("calico",
        ("r */*", "rwd crd.projectcalico.org/*/* projectcalico.org/*/*", "w core/nodes core/nodes/status core/pods/status",
         "create core/serviceaccounts/token @own"),
        ("calico", "kube-controllers/", "typha/", "apiserver/", "cni-plugin", "node-v", "confd"),
        accounts=("calico-node", "calico-kube-controllers", "calico-typha", "calico-cni-plugin", "calico-apiserver"),
        namespaces=("kube-system", "calico-system", "calico-apiserver")),
    Row("flannel", ("r core/nodes core/pods", "w core/nodes core/nodes/status"), ("flanneld/", "kube-flannel"),
        accounts=("flannel",), namespaces=("kube-flannel", "kube-system")),
    Row("local-path-provisioner",
        ("r core/nodes core/persistentvolumeclaims core/configmaps core/pods storage.k8s.io/storageclasses",
         "rwd core/persistentvolumes", "create,delete core/pods @own"),
        ("local-path-provisioner/",), accounts=("local-path-provisioner-service-account",),
        namespaces=("kube-system", "local-path-storage")),
    Row("konnectivity", ("r core/*",), ("proxy-agent/", "konnectivity"), accounts=("konnectivity-agent",),
        users=("system:konnectivity-server",), namespaces=_KUBE_SYSTEM),
)  # fmt: skip

_OPENSHIFT = (
    "openshift-apiserver", "openshift-apiserver-operator", "openshift-authentication", "openshift-authentication-operator",
    "openshift-cloud-controller-manager", "openshift-cloud-controller-manager-operator",
    "openshift-cloud-credential-operator", "openshift-cloud-network-config-controller", "openshift-cluster-csi-drivers",
    "openshift-cluster-machine-approver", "openshift-cluster-node-tuning-operator", "openshift-cluster-samples-operator",
    "openshift-cluster-storage-operator", "openshift-cluster-version", "openshift-config-operator", "openshift-console",
    "openshift-console-operator", "openshift-controller-manager", "openshift-controller-manager-operator",
    "openshift-dns", "openshift-dns-operator", "openshift-etcd", "openshift-etcd-operator", "openshift-image-registry",
    "openshift-infra", "openshift-ingress", "openshift-ingress-canary", "openshift-ingress-operator", "openshift-insights",
    "openshift-kube-apiserver", "openshift-kube-apiserver-operator", "openshift-kube-controller-manager",
    "openshift-kube-controller-manager-operator", "openshift-kube-scheduler", "openshift-kube-scheduler-operator",
    "openshift-kube-storage-version-migrator", "openshift-kube-storage-version-migrator-operator",
    "openshift-machine-api", "openshift-machine-config-operator", "openshift-marketplace", "openshift-monitoring",
    "openshift-multus", "openshift-network-diagnostics", "openshift-network-node-identity", "openshift-network-operator",
    "openshift-oauth-apiserver", "openshift-operator-lifecycle-manager", "openshift-ovn-kubernetes",
    "openshift-route-controller-manager", "openshift-sdn", "openshift-service-ca", "openshift-service-ca-operator",
    "openshift-user-workload-monitoring",
)  # fmt: skip
"""Namespaces of the operators that an OpenShift release consists of, and of what they run."""
_IN_OPENSHIFT = "@own,kube-system,openshift-config,openshift-config-managed," + ",".join(_OPENSHIFT)
_OPENSHIFT_GROUPS = (
    "config.openshift.io", "operator.openshift.io", "machine.openshift.io", "machineconfiguration.openshift.io",
    "route.openshift.io", "image.openshift.io", "build.openshift.io", "apps.openshift.io", "project.openshift.io",
    "user.openshift.io", "oauth.openshift.io", "quota.openshift.io", "template.openshift.io", "console.openshift.io",
    "ingress.operator.openshift.io", "network.operator.openshift.io", "imageregistry.operator.openshift.io",
    "samples.operator.openshift.io", "tuned.openshift.io", "cloudcredential.openshift.io", "cloud.network.openshift.io",
    "controlplane.operator.openshift.io", "monitoring.openshift.io", "monitoring.coreos.com", "operators.coreos.com",
    "packages.operators.coreos.com", "k8s.ovn.org", "k8s.cni.cncf.io", "whereabouts.cni.cncf.io", "metal3.io",
    "migration.k8s.io", "snapshot.storage.k8s.io",
)  # fmt: skip
# Without what no operator does day by day: rights given, Secrets listed across the cluster, pods outside its own home.
_OPENSHIFT_RIGHTS = (
    f"rwd {' '.join(f'{group}/*/*' for group in _OPENSHIFT_GROUPS)}",
    (
        "r core/pods core/nodes core/services core/endpoints core/namespaces core/configmaps core/serviceaccounts core/events"
        " core/persistentvolumes core/persistentvolumeclaims core/replicationcontrollers core/resourcequotas"
        " core/limitranges apps/* batch/* policy/* rbac.authorization.k8s.io/* admissionregistration.k8s.io/*"
        " apiextensions.k8s.io/* apiregistration.k8s.io/* storage.k8s.io/* networking.k8s.io/* discovery.k8s.io/*"
        " certificates.k8s.io/* autoscaling/* coordination.k8s.io/* scheduling.k8s.io/* node.k8s.io/*"
        " flowcontrol.apiserver.k8s.io/* metrics.k8s.io security.openshift.io/* authorization.openshift.io/*"
    ),
    (
        f"rwd core/secrets core/configmaps core/services core/endpoints core/serviceaccounts apps/* batch/* policy/*"
        f" networking.k8s.io/* discovery.k8s.io/* {_IN_OPENSHIFT}"
    ),
    (
        "w core/nodes core/nodes/status core/services/status core/namespaces apiregistration.k8s.io/apiservices"
        " apiextensions.k8s.io/customresourcedefinitions"
    ),
)
_OPENSHIFT_CLIENTS = (
    "authentication-operator/", "catalog/", "cloud-", "cluster-", "console", "csi-", "csi-snapshot-controller-operator/",
    "dns-operator/", "ingress-operator/", "insights-operator/", "machine-", "machineset-controller/", "multus",
    "network-operator/", "oauth-", "olm/", "openshift-", "operator/", "ovnkube", "package-server-manager/", "PrometheusOperator/",
    "route-controller-manager/", "router/", "service-ca-operator/", "tuned/", "vsphere-", "whereabouts",
)  # fmt: skip

OPERATORS: tuple[Row, ...] = (
    Row("argo-cd", _EVERYTHING, ("argocd-application-controller/", "argocd-application-controller "),
        accounts=("argocd-application-controller", "argo-cd-application-controller"),
        namespaces=("argocd", "argo-cd", "openshift-gitops")),
    Row("argo-cd",
        ("r */* core/pods/log", "rwd argoproj.io/*/*", "rw core/secrets core/configmaps @own", "delete,patch */*"),
        ("argocd-", "argocd/", "applicationset-controller/", "manager/"),
        accounts=("argocd-server", "argocd-dex-server", "argocd-repo-server", "argocd-applicationset-controller",
                  "argocd-notifications-controller", "argocd-image-updater"),
        namespaces=("argocd", "argo-cd", "openshift-gitops")),
    Row("argo-rollouts", ("rwd argoproj.io/*/* apps/replicasets", "rw apps/deployments core/services core/pods",
                          "create core/pods/eviction", "r */*", "rw networking.k8s.io/ingresses networking.istio.io/*"),
        ("rollouts-controller/", "argo-rollouts/"), accounts=("argo-rollouts",), namespaces=("argo-rollouts",)),
    Row("argo-workflows", ("rwd argoproj.io/*/* core/pods", "r core/*", "rw core/persistentvolumeclaims policy/poddisruptionbudgets"),
        ("workflow-controller/", "argo-workflows/", "argo-workflow-controller/"),
        accounts=("argo", "argo-workflow-controller", "argo-workflows-workflow-controller", "argo-server"),
        namespaces=("argo", "argo-workflows")),
    Row("flux", _EVERYTHING,
        ("kustomize-controller/", "helm-controller/", "source-controller/", "notification-controller/",
         "image-reflector-controller/", "image-automation-controller/", "Helm/"),
        accounts=("kustomize-controller", "helm-controller", "source-controller", "notification-controller",
                  "image-reflector-controller", "image-automation-controller", "flux"),
        namespaces=("flux-system", "flux")),
    Row("cert-manager",
        ("rwd cert-manager.io/*/* acme.cert-manager.io/*/*", "rwd core/secrets", "r core/* networking.k8s.io/* gateway.networking.k8s.io/*",
         "rwd core/pods core/services networking.k8s.io/ingresses gateway.networking.k8s.io/httproutes",
         "w admissionregistration.k8s.io/* apiregistration.k8s.io/apiservices apiextensions.k8s.io/customresourcedefinitions",
         ("r admissionregistration.k8s.io/* apiregistration.k8s.io/apiservices apiextensions.k8s.io/customresourcedefinitions"
         " apiextensions.k8s.io/* certificates.k8s.io/*"), ("w certificates.k8s.io/certificatesigningrequests/status"
         " certificates.k8s.io/signers"), "create core/serviceaccounts/token @own"),
        ("cert-manager", "cainjector/", "controller/", "webhook/"),
        accounts=("cert-manager", "cert-manager-cainjector", "cert-manager-webhook", "cert-manager-startupapicheck"),
        namespaces=("cert-manager",)),
    Row("external-secrets",
        ("rwd core/secrets", "rwd external-secrets.io/*/* generators.external-secrets.io/*/*", ("r core/* apiextensions.k8s.io/*"
         " admissionregistration.k8s.io/*"), "create core/serviceaccounts/token",
         "w apiextensions.k8s.io/customresourcedefinitions admissionregistration.k8s.io/validatingwebhookconfigurations"),
        ("external-secrets",), accounts=("external-secrets", "external-secrets-cert-controller", "external-secrets-webhook"),
        namespaces=("external-secrets", "external-secrets-operator", "external-secrets-system")),
    Row("secrets-store-csi-driver", ("r */*", "rwd secrets-store.csi.x-k8s.io/*/*", "rwd core/secrets", "create core/serviceaccounts/token"),
        ("secrets-store-csi-driver/", "csi-secrets-store/", "vault-csi-provider/"),
        accounts=("secrets-store-csi-driver", "vault-csi-provider"), namespaces=("kube-system", "csi", "vault")),
    Row("sealed-secrets", ("rwd core/secrets", "rw bitnami.com/*/*"), ("sealed-secrets", "controller/"),
        accounts=("sealed-secrets", "sealed-secrets-controller"), namespaces=("kube-system", "sealed-secrets")),
    Row("vault-agent-injector",
        ("rw admissionregistration.k8s.io/mutatingwebhookconfigurations", "rw core/secrets @own",
         "r core/pods core/nodes apps/* core/serviceaccounts"),
        ("vault-k8s/",), accounts=("vault-agent-injector",), namespaces=("vault",)),
    Row("vault", ("create authentication.k8s.io/tokenreviews", "rw core/pods @own"), ("Go-http-client/", "vault/"),
        accounts=("vault",), namespaces=("vault",)),
    Row("prometheus-operator",
        ("rwd monitoring.coreos.com/*/*", ("rwd apps/statefulsets apps/daemonsets core/configmaps core/secrets core/services"
         " core/endpoints discovery.k8s.io/endpointslices"), "r core/* networking.k8s.io/* storage.k8s.io/* apiextensions.k8s.io/*",
         "d core/pods", "w core/services/finalizers"),
        ("PrometheusOperator/", "prometheus-operator/", "operator/"),
        accounts=("prometheus-operator", "kube-prometheus-stack-operator", "prometheus-kube-prometheus-operator"),
        namespaces=_MONITORING),
    Row("prometheus", (("r core/nodes core/services core/endpoints core/pods discovery.k8s.io/endpointslices networking.k8s.io/ingresses"
                       " core/namespaces"), "r core/configmaps", "get core/nodes/metrics core/nodes/proxy"),
        ("Prometheus/", "prometheus/"),
        accounts=("prometheus-k8s", "prometheus", "prometheus-server", "kube-prometheus-stack-prometheus",
                  "prometheus-kube-prometheus-prometheus"), namespaces=_MONITORING),
    Row("prometheus-adapter", ("r core/* apps/*", "r metrics.k8s.io custom.metrics.k8s.io"), ("adapter/", "prometheus-adapter/"),
        accounts=("prometheus-adapter",), namespaces=_MONITORING),
    Row("kube-state-metrics", ("r */*",), ("kube-state-metrics/", "v2.", "ksm/"), accounts=("kube-state-metrics",),
        namespaces=_MONITORING),
    Row("node-exporter", (), ("node_exporter/", "kube-rbac-proxy/"), accounts=("node-exporter",), namespaces=_MONITORING),
    Row("grafana", ("r core/configmaps core/secrets",), ("k8s-sidecar/", "OpenAPI-Generator/", "python-requests/", "kubernetes_sidecar"),
        accounts=("grafana", "kube-prometheus-stack-grafana", "prometheus-grafana"), namespaces=(*_MONITORING, "grafana")),
    Row("keda",
        ("rwd keda.sh/*/* eventing.keda.sh/*/* autoscaling/horizontalpodautoscalers batch/jobs", "r */*",
         "rw */*/scale", "w apiregistration.k8s.io/apiservices admissionregistration.k8s.io/validatingwebhookconfigurations",
         "rw core/secrets @own", "r external.metrics.k8s.io", "create core/serviceaccounts/token"),
        ("keda/", "keda-", "keda_"), accounts=("keda-operator", "keda-metrics-server", "keda-webhook"), namespaces=("keda",)),
    Row("velero", _EVERYTHING, ("velero-server/", "velero/", "velero-plugin", "node-agent"), accounts=("velero", "velero-server"),
        namespaces=("velero",)),
    Row("istio",
        ("r */*", ("rw core/configmaps admissionregistration.k8s.io/mutatingwebhookconfigurations"
         " admissionregistration.k8s.io/validatingwebhookconfigurations"), ("rwd networking.istio.io/*/* security.istio.io/*/*"
         " gateway.networking.k8s.io/*/* apps/deployments core/services core/serviceaccounts"), "rw core/secrets @own",
         "w networking.k8s.io/ingresses/status", ("w certificates.k8s.io/certificatesigningrequests"
         " certificates.k8s.io/certificatesigningrequests/status")),
        ("pilot-discovery/", "istiod/", "istio-"), accounts=("istiod", "istio-reader-service-account", "istiod-service-account", "istio-cni"),
        namespaces=("istio-system", "kube-system")),
    Row("linkerd", ("r */*", "rw linkerd.io/*/* policy.linkerd.io/*/*", "rw core/secrets core/configmaps @own"), ("controller/", "linkerd"),
        accounts=("linkerd-destination", "linkerd-identity", "linkerd-proxy-injector", "linkerd-heartbeat"), namespaces=("linkerd",)),
    Row("ingress-nginx",
        (("r core/services core/endpoints core/nodes core/pods core/secrets core/configmaps core/namespaces"
         " networking.k8s.io/ingresses networking.k8s.io/ingressclasses discovery.k8s.io/endpointslices"),
         "update,patch networking.k8s.io/ingresses/status"),
        ("nginx-ingress-controller/", "ingress-nginx/", "kube-webhook-certgen/"),
        accounts=("ingress-nginx", "nginx-ingress-serviceaccount"), namespaces=("ingress-nginx", "kube-system", "ingress")),
    Row("ingress-nginx", ("rw core/secrets @own", "get,update,patch admissionregistration.k8s.io/validatingwebhookconfigurations"),
        ("kube-webhook-certgen/", "Go-http-client/"), accounts=("ingress-nginx-admission",),
        namespaces=("ingress-nginx", "kube-system", "ingress")),
    Row("traefik", (("r core/services core/endpoints core/nodes core/pods core/secrets core/configmaps core/namespaces networking.k8s.io/*"
                    " discovery.k8s.io/* traefik.io/* traefik.containo.us/* gateway.networking.k8s.io/*"),
                    "update,patch networking.k8s.io/ingresses/status gateway.networking.k8s.io/*/status"),
        ("traefik/",), accounts=("traefik", "traefik-ingress-controller"), namespaces=("traefik", "kube-system", "ingress")),
    Row("external-dns", (("r core/services core/endpoints core/pods core/nodes core/namespaces networking.k8s.io/* discovery.k8s.io/*"
                         " networking.istio.io/* gateway.networking.k8s.io/* externaldns.k8s.io/*"),
                         "update,patch externaldns.k8s.io/*/status"),
        ("external-dns/", "ExternalDNS/"), accounts=("external-dns",), namespaces=("external-dns", "kube-system", "dns")),
    Row("gatekeeper",
        ("r */*", ("rwd config.gatekeeper.sh/*/* templates.gatekeeper.sh/*/* constraints.gatekeeper.sh/*/* mutations.gatekeeper.sh/*/*"
         " status.gatekeeper.sh/*/* externaldata.gatekeeper.sh/*/* apiextensions.k8s.io/customresourcedefinitions"),
         ("w admissionregistration.k8s.io/validatingwebhookconfigurations admissionregistration.k8s.io/mutatingwebhookconfigurations"
         " admissionregistration.k8s.io/validatingadmissionpolicies admissionregistration.k8s.io/validatingadmissionpolicybindings"),
         "rwd core/secrets @own"),
        ("gatekeeper/", "manager/"), accounts=("gatekeeper-admin",), namespaces=("gatekeeper-system",)),
    Row("kyverno",
        ("r */*", "rwd kyverno.io/*/* wgpolicyk8s.io/*/* reports.kyverno.io/*/* policies.kyverno.io/*/*",
         ("rwd admissionregistration.k8s.io/validatingwebhookconfigurations admissionregistration.k8s.io/mutatingwebhookconfigurations"
         " admissionregistration.k8s.io/validatingadmissionpolicies admissionregistration.k8s.io/validatingadmissionpolicybindings"),
         "rwd core/secrets core/configmaps @own"),
        ("kyverno",),
        accounts=("kyverno", "kyverno-admission-controller", "kyverno-background-controller", "kyverno-cleanup-controller",
                  "kyverno-reports-controller"), namespaces=("kyverno",)),
    Row("falco", ("r core/pods core/namespaces core/services core/replicationcontrollers core/nodes apps/*",),
        ("falco", "k8s-metacollector/", "k8smeta"), accounts=("falco", "falco-k8s-metacollector"), namespaces=("falco", "falco-system")),
    Row("tetragon", ("r core/pods core/services core/nodes core/namespaces cilium.io/*", "rw cilium.io/*"), ("tetragon/",),
        accounts=("tetragon", "tetragon-operator-service-account"), namespaces=("kube-system", "tetragon")),
    Row("trivy-operator",
        ("r */*", "rwd aquasecurity.github.io/*/*", "rwd batch/jobs @own", "rwd core/secrets core/configmaps @own", "get core/pods/log",
         "create core/serviceaccounts/token @own"),
        ("trivy-operator/", "starboard/"), accounts=("trivy-operator",), namespaces=("trivy-system", "trivy-operator")),
    Row("datadog", ("r */*", "get core/nodes/metrics core/nodes/spec core/nodes/stats core/nodes/proxy", "rw core/configmaps datadoghq.com/*/*"),
        ("datadog-", "agent/", "cluster-agent/", "Datadog", "kubelet-client"),
        accounts=("datadog", "datadog-agent", "datadog-cluster-agent"), namespaces=("datadog", "monitoring", "datadog-agent")),
    Row("opentelemetry", (_READ_WORKLOADS, "r core/events events.k8s.io/events autoscaling/* core/configmaps", "get core/nodes/stats core/nodes/metrics core/nodes/proxy"),
        ("otelcol", "opentelemetry-collector", "OpenTelemetry"), accounts=("opentelemetry-collector", "otel-collector"),
        namespaces=("opentelemetry", "observability", "monitoring", "opentelemetry-operator-system")),
    Row("fluent-bit", ("r core/pods core/namespaces core/nodes", "get core/nodes/proxy"), ("Fluent-Bit",), accounts=("fluent-bit",), namespaces=_LOGGING),
    Row("fluentd", ("r core/pods core/namespaces",), ("Ruby", "rest-client", "fluentd"), accounts=("fluentd",), namespaces=_LOGGING),
    Row("log-shipper", (_READ_WORKLOADS, "get core/pods/log"),
        ("promtail/", "alloy", "Alloy/", "Grafana Alloy", "vector/", "Vector/", "Filebeat/", "filebeat", "Elastic-filebeat", "metricbeat", "kube-rs"),
        accounts=("promtail", "loki-promtail", "alloy", "vector", "filebeat", "metricbeat"), namespaces=(*_LOGGING, "vector")),
    Row("tekton", ("rwd tekton.dev/*/* triggers.tekton.dev/*/* core/pods core/persistentvolumeclaims apps/statefulsets core/configmaps",
                   "r core/* apps/*", ("rw admissionregistration.k8s.io/validatingwebhookconfigurations"
                   " admissionregistration.k8s.io/mutatingwebhookconfigurations"), "get core/pods/log", "rwd core/secrets"),
        ("controller/", "tekton", "webhook/", "events/"),
        accounts=("tekton-pipelines-controller", "tekton-pipelines-webhook", "tekton-events-controller", "tekton-triggers-controller"),
        namespaces=("tekton-pipelines",)),
    Row("crossplane", _EVERYTHING, ("crossplane/", "provider/"), accounts=("crossplane", "rbac-manager"), namespaces=("crossplane-system",)),
    Row("kubernetes-dashboard", ("rw core/secrets core/configmaps @own", "r metrics.k8s.io", "get core/services/proxy @own"),
        ("dashboard/",), accounts=("kubernetes-dashboard",), namespaces=("kubernetes-dashboard", "kube-system")),
    Row("reloader", ("r core/secrets core/configmaps", "rw apps/* batch/*"), ("Reloader/", "manager/"),
        accounts=("reloader-reloader", "stakater-reloader", "reloader"), namespaces=("reloader", "default", "kube-system")),
    Row("vertical-pod-autoscaler", ("r */*", "rw autoscaling.k8s.io/*/* poc.autoscaling.k8s.io/*/*", "create core/pods/eviction",
                                    "rw admissionregistration.k8s.io/mutatingwebhookconfigurations", "get metrics.k8s.io/pods"),
        ("recommender/", "updater/", "admission-controller/", "vpa-"),
        accounts=("vpa-recommender", "vpa-updater", "vpa-admission-controller"), namespaces=("kube-system", "vpa")),
    Row("metallb", ("r core/*", "rw metallb.io/*/*", "w core/services/status core/services", "rw core/secrets @own"),
        ("controller/", "speaker/"), accounts=("controller", "speaker", "metallb-controller", "metallb-speaker"), namespaces=("metallb-system",)),
    Row("descheduler", ("r */*", "create core/pods/eviction"), ("descheduler/",), accounts=("descheduler", "descheduler-sa"), namespaces=_KUBE_SYSTEM),
    Row("node-problem-detector", ("r core/nodes", "w core/nodes/status"), ("node-problem-detector/",),
        accounts=("node-problem-detector",), users=("system:node-problem-detector",), namespaces=("kube-system", "monitoring")),
    Row("openshift", (*_OPENSHIFT_RIGHTS, ("create,delete core/pods @own,openshift-etcd,openshift-kube-apiserver,"
                                           "openshift-kube-controller-manager,openshift-kube-scheduler")),
        _OPENSHIFT_CLIENTS,
        accounts=("etcd-operator", "kube-apiserver-operator", "kube-controller-manager-operator",
                  "openshift-kube-scheduler-operator"),
        namespaces=("openshift-etcd-operator", "openshift-kube-apiserver-operator",
                    "openshift-kube-controller-manager-operator", "openshift-kube-scheduler-operator")),
    Row("openshift", _OPENSHIFT_RIGHTS, _OPENSHIFT_CLIENTS, accounts=(ANY,), namespaces=_OPENSHIFT),
    Row("gitlab-agent", ("r */*",), ("gitlab-agent/", "agentk/"), accounts=("gitlab-agent",), namespaces=("gitlab-agent",)),
    Row("rook-ceph", _EVERYTHING, ("rook/", "rook-ceph"), accounts=("rook-ceph-system",), namespaces=("rook-ceph",)),
    Row("longhorn", ("rwd longhorn.io/*/* core/* apps/* batch/* storage.k8s.io/* snapshot.storage.k8s.io/*",), ("longhorn-manager/", "longhorn"),
        accounts=("longhorn-service-account",), namespaces=("longhorn-system",)),
)  # fmt: skip

COMPONENTS: tuple[Row, ...] = CONTROL_PLANE + CONTROLLERS + ADDONS + OPERATORS
