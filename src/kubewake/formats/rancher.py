"""Rancher's own API audit log, which looks like Kubernetes' and is none.

https://ranchermanager.docs.rancher.com/how-to-guides/advanced-user-guides/enable-api-audit-log
"""

from collections.abc import Iterable

from kubewake.formats.format import Outcome, Record, Reject, format_, mapping

_REASON = (
    "an entry of Rancher's API audit log, which is not supported: it logs calls to Rancher; give the audit log of the "
    "cluster's kube-apiserver, where calls through Rancher appear as impersonation by cattle-system"
)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_PATHS = ("/v3/", "/v3-public/")


@format_
class Rancher:
    """One entry of Rancher's API audit log, of request or response."""

    name = "rancher"
    title = "Rancher API audit log (not supported)"
    order = 30

    def recognises(self, record: Record) -> bool:
        """By an HTTP method where Kubernetes has a verb, and by Rancher's names for user, time and code."""
        if "kind" in record:
            return False
        user = mapping(record.get("user"))
        is_named = "username" not in user and ("name" in user or "group" in user)
        if str(record.get("verb", record.get("method"))) in _METHODS and (
            is_named or str(record.get("requestURI")).startswith(_PATHS)
        ):
            return True
        if "verb" in record or "stage" in record:
            return isinstance(record.get("responseStatus"), str) and "verb" not in record and not user
        return ("requestURI" in record or "responseCode" in record) and any(
            key in record for key in ("method", "responseCode", "requestTimestamp", "responseTimestamp")
        )

    def read(self, record: Record) -> Iterable[Outcome]:  # noqa: ARG002
        """Rejected, by name."""
        yield Reject(_REASON)
