"""RBAC read from a running cluster, through the kubeconfig or the pod's own service account."""

from typing import Any

from kubewake.errors import InputError
from kubewake.rbac.state import RbacState


def load_live(state: RbacState, context: str | None = None) -> None:
    """Add the cluster's roles, bindings and service accounts to the state; InputError where it cannot be read."""
    import httpx
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ApiError, ConfigError, LoadResourceError
    from lightkube.resources.core_v1 import ServiceAccount
    from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding

    try:
        config = KubeConfig.from_env()
        client = Client(config=config.get(context_name=context) if context else config)
        found: list[Any] = [*client.list(ClusterRole), *client.list(ClusterRoleBinding)]
        for kind in (Role, RoleBinding, ServiceAccount):
            found += client.list(kind, namespace="*")
        for item in found:
            state.put({**item.to_dict(), "kind": type(item).__name__})
    except (ApiError, ConfigError, LoadResourceError, httpx.HTTPError, OSError) as error:
        raise InputError(
            f"the cluster's roles cannot be read ({error}); check the kubeconfig and --context, or give --rbac a dump",
        ) from error
