"""The kubeconfig with which kube-apiserver reaches kubewake (--audit-webhook-config-file)."""

import base64
import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kubewake.errors import SettingsError

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def webhook_kubeconfig(
    url: str, cluster: str, *, ca: Path | None, token: str = "", cert: Path | None = None, key: Path | None = None
) -> str:
    """YAML text; credentials stand in it, so it must be readable by the API server alone. Raises SettingsError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"--url is {url!r}, expected https://ADDRESS:PORT as in https://10.0.0.5:9443")
    if not _CLUSTER_NAME.fullmatch(cluster):
        raise SettingsError(f"--cluster is {cluster!r}; it may have letters, digits, '.', '_' and '-' only")
    if bool(cert) != bool(key):
        raise SettingsError("--cert and --key go together: the API server's client certificate and its key")
    connection: dict[str, str] = {"server": f"{parts.scheme}://{parts.netloc}/v1/audit/{cluster}"}
    if ca is not None:
        connection["certificate-authority-data"] = _encoded(ca, "--ca")
    user: dict[str, str] = {}
    if token:
        user["token"] = token
    if cert is not None and key is not None:
        user["client-certificate-data"] = _encoded(cert, "--cert")
        user["client-key-data"] = _encoded(key, "--key")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kubewake", "cluster": connection}],
        "users": [{"name": "kube-apiserver", "user": user}],
        "contexts": [{"name": "kubewake", "context": {"cluster": "kubewake", "user": "kube-apiserver"}}],
        "current-context": "kubewake",
    }
    return yaml.safe_dump(document, sort_keys=False)


def warnings(url: str, ca: Path | None, *, authenticated: bool) -> list[str]:
    """What will not work, or not be safe, though it can be written."""
    found: list[str] = []
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        if ipaddress.ip_address(host).is_loopback:
            found.append(f"{host} is loopback: it works only when kubewake runs beside the API server, on its host")
    except ValueError:
        found.append(
            f"{host} is a name: API servers run on the host network and often cannot resolve the cluster's DNS; "
            "give an IP address that the certificate names"
        )
    if parts.scheme == "http":
        found.append("plain HTTP: audit events hold names and requests of everyone; use https beyond a test")
    elif ca is None:
        found.append("no --ca: the API server will trust the system's certificate authorities only")
    if not authenticated:
        found.append("neither token nor client certificate: anyone who reaches kubewake can send it events")
    return found


def _encoded(path: Path, flag: str) -> str:
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise SettingsError(f"{flag} {path}: cannot be read ({error.strerror})") from error
