"""Names as templates: what is generated in a name is collapsed, so that the hundredth Pod of a job is not news."""

import re
from functools import lru_cache

NAMED = frozenset(
    {
        "secrets",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "nodes",
        "namespaces",
        "customresourcedefinitions",
    }
)
"""Kinds of objects of which the name counts; for all others only kind and namespace do."""
MAX_CHARACTERS = 120
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASH = re.compile(r"(?<=[-.])(?=[a-z0-9]*\d)(?:[0-9a-f]{6,}|[bcdfghjklmnpqrstvwxz2456789]{5,10})(?=$|[-.])")
_DIGITS = re.compile(r"\d+")
_ACCOUNT_PREFIX = "system:serviceaccount:"


@lru_cache(maxsize=8192)
def template_of(name: str) -> str:
    """`sh.helm.release.v1.shop.v12` becomes `sh.helm.release.v#.shop.v#`, `web-7d9f8c6b5-x2k4q` `web-*-*`."""
    return _DIGITS.sub("#", _HASH.sub("*", _UUID.sub("*", name[:MAX_CHARACTERS])))


@lru_cache(maxsize=8192)
def account_template(user: str) -> str:
    """What like-named identities share: a service account's name in any namespace, a node, a team's robot."""
    if user.startswith(_ACCOUNT_PREFIX):
        return f"service accounts named {template_of(user.rpartition(':')[2])}"
    if user.startswith("system:node:"):
        return "nodes"
    return f"accounts named {template_of(user)}"
