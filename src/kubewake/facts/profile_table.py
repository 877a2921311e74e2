"""Well-known components as data; see `profiles` for how a right is written."""

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


COMPONENTS: tuple[Row, ...] = (
    Row("kube-apiserver", ("* */*",), ("kube-apiserver/",), users=("system:apiserver",), origin="loopback"),
)
