"""Rancher's own API audit log, which looks like Kubernetes' and is none.

https://ranchermanager.docs.rancher.com/how-to-guides/advanced-user-guides/enable-api-audit-log
"""

from collections.abc import Iterable

from kubewake.formats.format import Outcome, Record, Reject, format_

_REASON = (
    "an entry of Rancher's API audit log, which is not supported: it logs calls to Rancher; give the audit log of the "
    "cluster's kube-apiserver, where calls through Rancher appear as impersonation by cattle-system"
)


@format_
class Rancher:
    """One entry of Rancher's API audit log, of request or response."""

    name = "rancher"
    title = "Rancher API audit log (not supported)"
    order = 30

    def recognises(self, record: Record) -> bool:
        """By an HTTP method where Kubernetes has a verb, and Rancher's time and code keys."""
        return (
            "verb" not in record
            and "stage" not in record
            and ("requestURI" in record or "responseCode" in record)
            and any(key in record for key in ("method", "responseCode", "requestTimestamp", "responseTimestamp"))
        )

    def read(self, record: Record) -> Iterable[Outcome]:  # noqa: ARG002
        """Rejected, by name."""
        yield Reject(_REASON)
