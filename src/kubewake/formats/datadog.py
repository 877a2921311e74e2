"""Events out of Datadog: native fields beside Datadog's own (`http`, `usr`, `network`), often under `attributes`."""

from collections.abc import Iterable
from urllib.parse import urlencode

from kubewake.formats.format import Inner, Outcome, Record, format_, mapping, text
from kubewake.formats.native import is_event

_HTTP_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_NEEDLESS = ("http", "usr", "network")


def _is_normalised(record: Record) -> bool:
    http = record.get("http")
    return isinstance(http, dict) and ("url_details" in http or "status_code" in http or "method" in http)


@format_
class Nested:
    """A log of the Logs API or of an archive: the event stands under `attributes`, once or twice."""

    name = "datadog-log"
    title = "Datadog log with a Kubernetes audit event"
    order = 8

    def recognises(self, record: Record) -> bool:
        """By attributes that hold an event."""
        inner = record.get("attributes")
        if not isinstance(inner, dict) or is_event(record):
            return False
        return is_event(inner) or _is_normalised(inner) or isinstance(inner.get("attributes"), dict)

    def read(self, record: Record) -> Iterable[Outcome]:
        """What stands under `attributes`."""
        time = record.get("timestamp") or record.get("date")
        yield Inner(record["attributes"], time=time, cluster=_cluster(record))


def _cluster(record: Record) -> str:
    tags = record.get("tags") or record.get("ddtags")
    listed = tags.split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else []
    for tag in listed:
        if isinstance(tag, str) and tag.startswith(("kube_cluster_name:", "cluster_name:")):
            return tag.partition(":")[2]
    return ""


@format_
class Normalised:
    """A native event with Datadog's standard attributes, which stand in for what is missing."""

    name = "datadog"
    title = "Datadog-normalised Kubernetes audit event"
    order = 9

    def recognises(self, record: Record) -> bool:
        """By `http` beside an event."""
        return _is_normalised(record) and ("objectRef" in record or "auditID" in record or "requestURI" in record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event, completed from the standard attributes."""
        http = mapping(record.get("http"))
        event = {key: value for key, value in record.items() if key not in _NEEDLESS}
        method = text(http.get("method"))
        if "verb" not in event and method is not None and method not in _HTTP_METHODS:
            event["verb"] = method
        details = mapping(http.get("url_details"))
        path = text(details.get("path"))
        if "requestURI" not in event and path is not None:
            query = mapping(details.get("queryString"))
            event["requestURI"] = path + ("?" + urlencode(query, doseq=True) if query else "")
        if "responseStatus" not in event and http.get("status_code") is not None:
            event["responseStatus"] = {"code": http["status_code"]}
        name = text(mapping(record.get("usr")).get("id"))
        if "user" not in event and name is not None:
            event["user"] = {"username": name}
        address = text(mapping(mapping(record.get("network")).get("client")).get("ip"))
        if "sourceIPs" not in event and address is not None:
            event["sourceIPs"] = [address]
        if isinstance(event.get("annotations"), dict):
            event["annotations"] = _unfolded(event["annotations"])
        yield Inner(event)


def _unfolded(annotations: Record) -> Record:
    """The annotations under their whole names, of which Datadog makes objects at each dot."""
    whole: Record = {}
    for key, value in annotations.items():
        inner = _unfolded(value) if isinstance(value, dict) else {"": value}
        whole |= {f"{key}.{rest}".removesuffix("."): item for rest, item in inner.items()}
    return whole
