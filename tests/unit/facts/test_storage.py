"""Volumes and the hosts that their parameters reach."""

import pytest


def test_storage_class(write):
    body = {
        "provisioner": "kubernetes.io/glusterfs",
        "parameters": {"resturl": "http://169.254.169.254:80/x", "type": "gp3"},
    }
    facts = write("storageclasses", body, group="storage.k8s.io")
    assert facts.value("storage.provisioner") == "kubernetes.io/glusterfs"
    assert facts.value("storage.parameters.type") == "gp3"
    assert facts.value("storage.hosts") == ["169.254.169.254"]


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        ({"hostPath": {"path": "/etc"}}, "storage.host_path", "/etc"),
        ({"local": {"path": "/mnt & calc"}}, "storage.local_path", "/mnt & calc"),
        ({"claimRef": {"namespace": "shop", "name": "data"}}, "storage.claims", ["shop/data"]),
        ({}, "storage.claims", []),
        ({"nfs": {"server": "10.0.0.9", "path": "/"}}, "storage.hosts", ["10.0.0.9"]),
        ({"rbd": {"monitors": ["127.0.0.1:6789", "b.example:1"]}}, "storage.hosts", ["127.0.0.1", "b.example"]),
        ({"quobyte": {"registry": "127.0.0.1:1,10.0.0.1:2"}}, "storage.hosts", ["127.0.0.1", "10.0.0.1"]),
        ({"scaleIO": {"gateway": "https://[::1]:443/api"}}, "storage.hosts", ["::1"]),
        ({"scaleIO": {"gateway": "https://2130706433/api"}}, "storage.hosts", ["127.0.0.1"]),
        ({"scaleIO": {"gateway": "https://0x7f000001:443/api"}}, "storage.hosts", ["127.0.0.1"]),
        ({"scaleIO": {"gateway": "https://[::ffff:169.254.169.254]:443/api"}}, "storage.hosts", ["169.254.169.254"]),
        ({"nfs": {"server": "0xA9.254.43518"}}, "storage.hosts", ["169.254.169.254"]),
        ({"nfs": {"server": "0177.0.0.1"}}, "storage.hosts", ["127.0.0.1"]),
        ({"nfs": {"server": "127.1"}}, "storage.hosts", ["127.0.0.1"]),
        ({"nfs": {"server": "0"}}, "storage.hosts", ["0.0.0.0"]),
        ({"nfs": {"server": "1.2.3.4.5"}}, "storage.hosts", ["1.2.3.4.5"]),
        ({"nfs": {"server": "10.0.0.999"}}, "storage.hosts", ["10.0.0.999"]),
        ({"nfs": {"server": "300.1"}}, "storage.hosts", ["300.1"]),
        ({"nfs": {"server": "089.0.0.1"}}, "storage.hosts", ["089.0.0.1"]),
    ],
)
def test_persistent_volumes(write, spec, name, expected):
    assert write("persistentvolumes", {"spec": spec}).value(name) == expected


def test_claims_of_pods(write):
    facts = write("pods", {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}})
    assert facts.value("storage.claims") == ["data"]
    assert facts.value("storage.hosts") == []
    assert write("secrets", {}).value("storage.hosts") is None
