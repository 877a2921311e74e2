"""What pods and templates would run, however the write spells it."""

import pytest

from kubewake.facts.container import familiar_name, split_image
from kubewake.facts.hostpath import is_sensitive_path, normal_path

RISKY = {
    "serviceAccountName": "builder",
    "automountServiceAccountToken": False,
    "hostPID": True,
    "hostNetwork": True,
    "nodeName": "node-1",
    "runtimeClassName": "gvisor",
    "priorityClassName": "system-node-critical",
    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
    "securityContext": {"runAsUser": 0},
    "volumes": [
        {"name": "root", "hostPath": {"path": "/"}},
        {"name": "sock", "hostPath": {"path": "/var/run/docker.sock"}},
        {"name": "s", "secret": {"secretName": "db"}},
        {
            "name": "p",
            "projected": {
                "sources": [{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "t"}}]
            },
        },
        {"name": "g", "gitRepo": {"repository": "https://example.com/x", "directory": ".git"}},
    ],
    "containers": [
        {
            "name": "main",
            "image": "registry.example:5000/team/app:1.2@sha256:abc",
            "command": ["sh", "-c"],
            "args": ["id"],
            "securityContext": {
                "privileged": True,
                "allowPrivilegeEscalation": True,
                "capabilities": {"add": ["CAP_SYS_ADMIN", "net_admin"]},
                "seccompProfile": {"type": "Unconfined"},
                "procMount": "Unmasked",
            },
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "x"}}},
            ],
            "envFrom": [{"secretRef": {"name": "all"}}],
            "volumeMounts": [{"name": "root", "mountPath": "/host", "subPath": "x"}],
            "ports": [{"containerPort": 1, "hostPort": 80}],
            "stdin": True,
        }
    ],
    "initContainers": [{"name": "init", "image": "busybox"}],
}

TEMPLATES = [
    ("pods", "", "Pod", {"spec": RISKY}),
    ("deployments", "apps", "Deployment", {"spec": {"template": {"spec": RISKY}}}),
    ("daemonsets", "apps", "DaemonSet", {"spec": {"template": {"spec": RISKY}}}),
    ("statefulsets", "apps", "StatefulSet", {"spec": {"template": {"spec": RISKY}}}),
    ("replicasets", "apps", "ReplicaSet", {"spec": {"template": {"spec": RISKY}}}),
    ("replicationcontrollers", "", "ReplicationController", {"spec": {"template": {"spec": RISKY}}}),
    ("jobs", "batch", "Job", {"spec": {"template": {"spec": RISKY}}}),
    ("cronjobs", "batch", "CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": RISKY}}}}}),
    ("podtemplates", "", "PodTemplate", {"template": {"spec": RISKY}}),
    (
        "scaledjobs",
        "keda.sh",
        "ScaledJob",
        {"kind": "ScaledJob", "spec": {"jobTargetRef": {"template": {"spec": RISKY}}}},
    ),
    ("rollouts", "argoproj.io", "Rollout", {"kind": "Rollout", "spec": {"template": {"spec": RISKY}}}),
]

RISKS = {
    "privileged", "host-pid", "host-network", "host-path", "sensitive-host-path", "runtime-socket",
    "dangerous-capability", "run-as-root", "privilege-escalation", "unconfined", "unmasked-proc",
    "control-plane-pinned", "host-port",
}  # fmt: skip


@pytest.mark.parametrize("verb", ["create", "update", "patch"])
@pytest.mark.parametrize(("resource", "group", "kind", "body"), TEMPLATES)
def test_every_kind_and_verb(write, resource, group, kind, body, verb):
    facts = write(resource, body, verb=verb, group=group)
    assert facts.value("workload.kind") == kind
    assert facts.value("workload.is_template") is (resource != "pods")
    assert set(facts.value("workload.risks")) == RISKS
    assert facts.value("workload.service_account") == "builder"


def test_commands_of_hooks_and_probes(write):
    def command(*words):
        return {"exec": {"command": list(words)}}

    container = {
        "lifecycle": {"postStart": command("sh", "-c", "a"), "preStop": command("b")},
        "livenessProbe": command("c", "d"),
        "readinessProbe": {"httpGet": {"path": "/"}},
        "startupProbe": command("e"),
    }
    facts = write("pods", {"spec": {"containers": [container, {"lifecycle": "broken", "livenessProbe": [1]}]}})
    assert [found["hook_commands"] for found in facts.value("workload.containers")] == [
        ["e", "c d", "sh -c a", "b"],
        [],
    ]


def test_fields_of_the_pod(write):
    facts = write("pods", {"metadata": {"name": "web"}, "spec": RISKY})
    expected = {
        "workload.name": "web",
        "workload.images": ["registry.example:5000/team/app:1.2@sha256:abc", "busybox"],
        "workload.host_pid": True,
        "workload.host_ipc": False,
        "workload.host_paths": ["/", "/var/run/docker.sock"],
        "workload.sensitive_host_paths": ["/", "/var/run/docker.sock"],
        "workload.host_path_writable": True,
        "workload.volume_types": ["hostPath", "secret", "projected", "gitRepo"],
        "workload.secrets_mounted": ["db"],
        "workload.projected_tokens": [{"audience": "vault", "expiration_seconds": 600, "path": "t"}],
        "workload.automount": False,
        "workload.node_name": "node-1",
        "workload.node_selector": {"node-role.kubernetes.io/control-plane": ""},
        "workload.tolerates_control_plane": True,
        "workload.pinned_to_control_plane": True,
        "workload.runtime_class": "gvisor",
        "workload.security_context_run_as_user": 0,
        "workload.git_repos": [{"repository": "https://example.com/x", "directory": ".git"}],
        "workload.is_mirror": False,
        "workload.priority_class": "system-node-critical",
        "workload.containers.name": ["main", "init"],
        "workload.containers.kind": ["regular", "init"],
        "workload.containers.env.A": ["1"],
        "workload.containers.capabilities_add": ["SYS_ADMIN", "NET_ADMIN"],
    }
    assert {name: facts.value(name) for name in expected} == expected
    main, init = facts.value("workload.containers")
    assert main == {
        "kind": "regular",
        "name": "main",
        "hook_commands": [],
        "image": "registry.example:5000/team/app:1.2@sha256:abc",
        "registry": "registry.example:5000",
        "repository": "team/app",
        "familiar_name": "registry.example:5000/team/app",
        "full_name": "registry.example:5000/team/app",
        "tag": "1.2",
        "digest": "sha256:abc",
        "privileged": True,
        "run_as_user": 0,
        "run_as_non_root": None,
        "allow_privilege_escalation": True,
        "capabilities_add": ["SYS_ADMIN", "NET_ADMIN"],
        "capabilities_set": True,
        "command": "sh -c id",
        "env_secrets": ["db"],
        "env_from_secrets": ["all"],
        "env_names": ["A", "B"],
        "env": {"A": "1"},
        "mount_paths": ["/host"],
        "sub_paths": ["x"],
        "seccomp_type": "Unconfined",
        "seccomp_localhost_profile": None,
        "host_ports": [80],
        "proc_mount": "Unmasked",
        "stdin": True,
    }
    assert init["privileged"] is None
    assert init["capabilities_set"] is False


def test_json_patch_alone(write):
    operations = [
        {"op": "add", "path": "/spec/template/spec/containers/0/securityContext", "value": {"privileged": True}},
        {"op": "add", "path": "/spec/template/spec/hostPID", "value": True},
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "x", "hostPath": {"path": "/etc"}}},
    ]
    facts = write("deployments", operations, verb="patch", group="apps")
    assert facts.value("workload.risks") == ["privileged", "host-pid", "host-path", "sensitive-host-path"]
    assert facts.value("patch.type") == "json"


def test_custom_resources_without_a_pod(write):
    assert (
        write("widgets", {"spec": {"template": {"spec": {"size": 3}}}}, group="example.com").value("workload.kind")
        is None
    )


def test_patch_tells_only_what_it_sets(write):
    after = {"kind": "Deployment", "spec": {"template": {"spec": RISKY}}}
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    facts = write("deployments", body, verb="patch", group="apps", after=after)
    assert facts.value("workload.risks") == []
    assert facts.value("workload.images") == ["app:2"]


def test_create_of_which_only_the_answer_was_logged(make):
    facts = make(responseObject={"kind": "Pod", "metadata": {"name": "web-x"}, "spec": {"hostPID": True}})
    assert facts.value("workload.host_pid") is True
    assert facts.value("workload.name") == "web-x"


@pytest.mark.parametrize(
    ("verb", "sub"), [("get", ""), ("delete", ""), ("create", "eviction"), ("patch", "status"), ("update", "scale")]
)
def test_what_is_no_write_of_a_workload(write, verb, sub):
    facts = write("pods", {"spec": RISKY}, verb=verb, sub=sub)
    assert facts.value("workload.kind") is None
    assert facts.value("workload.risks") is None
    assert facts.value("workload.containers.image") is None


def test_ephemeral_containers(write):
    body = {
        "spec": {"ephemeralContainers": [{"name": "debugger-1", "image": "busybox", "targetContainerName": "main"}]}
    }
    facts = write("pods", body, verb="patch", sub="ephemeralcontainers")
    assert facts.value("workload.containers.kind") == ["ephemeral"]


def test_metadata_level_knows_nothing(make):
    facts = make(level="Metadata")
    assert facts.value("workload.risks") is None
    assert facts.value("workload.host_pid") is None


def test_owner_mirror_and_last_applied(write):
    body = {
        "metadata": {
            "annotations": {
                "kubernetes.io/config.mirror": "x",
                "kubectl.kubernetes.io/last-applied-configuration": '{"securityContext": {"privileged": true}}',
            },
            "ownerReferences": [
                {"kind": "Node", "name": "a"},
                {"kind": "ReplicaSet", "name": "web-1", "controller": True},
            ],
        },
        "spec": {"resourceClaims": [{"name": "gpu"}]},
    }
    facts = write("pods", body)
    assert facts.value("workload.owner_kind") == "ReplicaSet"
    assert facts.value("workload.owner_name") == "web-1"
    assert facts.value("workload.is_mirror") is True
    assert facts.value("workload.last_applied_privileged") is True
    assert facts.value("node.claims") == ["gpu"]


@pytest.mark.parametrize(
    ("spec", "tolerates", "pinned"),
    [
        ({"tolerations": [{"operator": "Exists"}]}, True, False),
        ({"tolerations": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]}, True, False),
        ({"tolerations": [{"key": "dedicated", "operator": "Exists"}]}, False, False),
        ({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}, False, False),
        (
            {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}]}}}},
            False, True,
        ),
        (
            {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}]}]}}}},
            False, False,
        ),
    ],
)  # fmt: skip
def test_control_plane(write, spec, tolerates, pinned):
    facts = write("pods", {"spec": spec})
    assert facts.value("workload.tolerates_control_plane") is tolerates
    assert facts.value("workload.pinned_to_control_plane") is pinned


@pytest.mark.parametrize(
    "path",
    ["/", "", "/etc", "/etc/kubernetes/pki", "//etc//", "/data/../etc", "/run/containerd/containerd.sock", "/custom/crio.sock",
     "/proc", "/var", "/var/lib", "/var/lib/kubelet", "/var/lib/kubelet/pods", "/var/run", "/run", "/dev", "/dev/sda",
     "/root/.ssh", "/home/admin", "/usr", "/opt", "/sys", "/sys/fs/cgroup", "/var/run/docker.sock"],
)  # fmt: skip
def test_sensitive_paths(path):
    assert is_sensitive_path(path) is True


@pytest.mark.parametrize(
    "path",
    ["/data", "/etcetera", "/etc/localtime", "/etc/ssl/certs", "/lib/modules", "/usr/lib/modules/6.1", "/var/log", "/var/log/pods",
     "/var/lib/docker/containers", "/var/lib/kubelet/plugins/x.example", "/dev/fuse", "/run/xtables.lock", "/var/run/cilium",
     "/sys/fs/bpf", "/mnt/disks", "/var/lib/postgres", "/opt/app"],
)  # fmt: skip
def test_paths_that_agents_mount(path):
    assert is_sensitive_path(path) is False


def test_normal_paths():
    assert normal_path("/a/./b//../c/") == "/a/c"
    assert normal_path("/../../x") == "/x"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", ("docker.io", "nginx", "latest", "")),
        ("nginx:1.27", ("docker.io", "nginx", "1.27", "")),
        ("team/app", ("docker.io", "team/app", "latest", "")),
        ("ghcr.io/team/app:1", ("ghcr.io", "team/app", "1", "")),
        ("localhost/app", ("localhost", "app", "latest", "")),
        ("host:5000/app", ("host:5000", "app", "latest", "")),
        ("host:5000/app@sha256:ab", ("host:5000", "app", "", "sha256:ab")),
        ("GHCR.io/a/b:x@sha256:ab", ("ghcr.io", "a/b", "x", "sha256:ab")),
    ],
)
def test_images(image, parts):
    assert split_image(image) == parts


@pytest.mark.parametrize(
    ("profile", "kind", "file"),
    [({"type": "Localhost", "localhostProfile": "p.json"}, "Localhost", "p.json"), ({"type": "Localhost"}, "Localhost", ""),
     ({"type": "RuntimeDefault"}, "RuntimeDefault", None), (None, None, None)],
)  # fmt: skip
def test_seccomp_of_the_pod_counts_for_its_containers(write, profile, kind, file):
    body = {"spec": {"securityContext": {"seccompProfile": profile}, "containers": [{"name": "a"}]}}
    (container,) = write("pods", body).value("workload.containers")
    assert container["seccomp_type"] == kind
    assert container["seccomp_localhost_profile"] == file


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:1.27", "nginx"),
        ("index.docker.io/bitnami/redis@sha256:0a1b", "bitnami/redis"),
        ("Evil.example/nginx", "evil.example/nginx"),
        ("evil.example/library/nginx", "evil.example/library/nginx"),
        ("localhost/nginx", "localhost/nginx"),
        ("docker.io/ghcr.io/team/app", "docker.io/ghcr.io/team/app"),
    ],
)
def test_no_image_of_another_registry_has_the_familiar_name_of_one_of_docker_hub(image, name):
    registry, repository, _, _ = split_image(image)
    assert familiar_name(registry, repository) == name
