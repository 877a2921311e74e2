"""`kubewake connect`: what an API server needs to send its audit events here."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def connect(
    distribution: Annotated[
        Literal["kubeadm", "k3s", "rke2", "kind", "talos", "openshift", "eks", "gke", "aks"],
        Parameter(help="How the cluster was made."),
    ],
    /,
    *,
    url: Annotated[str, Parameter(help="Where the API server reaches kubewake: https://ADDRESS:PORT.")] = "",
    cluster: Annotated[str, Parameter(help="Name of the cluster in findings.")] = "default",
    ca: Annotated[Path | None, Parameter(help="PEM file of the CA of kubewake's certificate.")] = None,
    token_file: Annotated[Path | None, Parameter(help="The file given to `kubewake serve --token-file`.")] = None,
    cert: Annotated[Path | None, Parameter(help="PEM file of the API server's client certificate.")] = None,
    key: Annotated[Path | None, Parameter(help="PEM file of its key.")] = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder to write the two files to.")] = Path("kubewake"),
) -> int:
    """Write the audit policy and the webhook kubeconfig for an API server, and say where they go.

    The kubeconfig holds the token or key, and is written readable by you alone.
    """
    from kubewake.connect.distributions import DISTRIBUTIONS, KUBECONFIG_FILE, POLICY_FILE, guide
    from kubewake.connect.kubeconfig import warnings, webhook_kubeconfig
    from kubewake.connect.policy import POLICY
    from kubewake.errors import SettingsError

    if not DISTRIBUTIONS[distribution].folder:
        sys.stdout.write(guide(distribution, cluster))
        return 0
    if not url:
        raise SettingsError("--url is missing: where the API server reaches kubewake, as in https://10.0.0.5:9443")
    token = _token(token_file, cluster) if token_file is not None else ""
    kubeconfig = webhook_kubeconfig(url, cluster, ca=ca, token=token, cert=cert, key=key)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / POLICY_FILE).write_text(POLICY, encoding="utf-8")
        path = out / KUBECONFIG_FILE
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(kubeconfig, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written ({error.strerror})") from error
    sys.stdout.write(f"Wrote {out / POLICY_FILE} and {out / KUBECONFIG_FILE}.\n\n{guide(distribution, cluster)}")
    for warning in warnings(url, ca, authenticated=bool(token or cert)):
        sys.stderr.write(f"warning: {warning}\n")
    return 0


def _token(path: Path, cluster: str) -> str:
    from kubewake.errors import SettingsError
    from kubewake.sources.tokens import token_of

    token = token_of(path, cluster)
    if not token:
        raise SettingsError(f"{path}: holds no token for cluster {cluster!r}; add a line `{cluster} TOKEN`")
    return token
