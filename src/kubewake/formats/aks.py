"""Azure AKS: diagnostic settings (Event Hub, Storage) and Log Analytics tables.

https://learn.microsoft.com/azure/aks/monitor-aks-reference
"""

from collections.abc import Iterable
from typing import Any

from kubewake.formats.format import Inner, Outcome, Record, Reject, Skip, format_, listed, mapping, parse, text

_AUDIT_CATEGORIES = frozenset(("kube-audit", "kube-audit-admin"))
_OTHER = "another Azure log category"
_ACTIVITY = "Azure activity log, which has no Kubernetes requests"

_COLUMNS = {
    "AuditId": "auditID",
    "Level": "level",
    "Stage": "stage",
    "RequestUri": "requestURI",
    "Verb": "verb",
    "User": "user",
    "ImpersonatedUser": "impersonatedUser",
    "SourceIps": "sourceIPs",
    "UserAgent": "userAgent",
    "ObjectRef": "objectRef",
    "ResponseStatus": "responseStatus",
    "RequestObject": "requestObject",
    "ResponseObject": "responseObject",
    "RequestReceivedTime": "requestReceivedTimestamp",
    "StageReceivedTime": "stageTimestamp",
    "Annotations": "annotations",
}
"""Columns of AKSAudit and AKSAuditAdmin: https://learn.microsoft.com/azure/azure-monitor/reference/tables/aksaudit."""

_DYNAMIC = frozenset(
    (
        "User",
        "ImpersonatedUser",
        "SourceIps",
        "ObjectRef",
        "ResponseStatus",
        "RequestObject",
        "ResponseObject",
        "Annotations",
    )
)


def cluster_of(resource_id: Any) -> str:
    """`resource-group/cluster` of an Azure resource id, in small letters: Azure writes it in both."""
    parts = (text(resource_id) or "").lower().strip("/").split("/")
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    name = named.get("managedclusters", "")
    return "/".join(part for part in (named.get("resourcegroups", ""), name) if part) if name else ""


@format_
class DiagnosticRecord:
    """One record of a diagnostic setting."""

    name = "aks"
    title = "Azure AKS diagnostic record"
    order = 11

    def recognises(self, record: Record) -> bool:
        """By a category beside an operation or a resource id."""
        return "category" in record and (
            "operationName" in record or "resourceId" in record or "log" in mapping(record.get("properties"))
        )

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event in `properties.log`; other categories carry klog text."""
        category = str(record.get("category")).lower()
        operation = str(record.get("operationName", "")).lower()
        properties = record.get("properties")
        if isinstance(properties, str):
            try:
                properties = parse(properties)
            except ValueError:
                properties = {}
        if category not in _AUDIT_CATEGORIES:
            yield Skip(_OTHER if "diagnosticlogs" in operation or category.startswith("kube") else _ACTIVITY)
            return
        log = mapping(properties).get("log")
        if isinstance(log, str | dict):
            yield Inner(log, cluster=cluster_of(record.get("resourceId")), time=record.get("time"))
        else:
            yield Reject(f"an Azure {category} record without properties.log")


@format_
class DiagnosticsRow:
    """One row of AzureDiagnostics."""

    name = "aks-diagnostics"
    title = "Azure AKS audit events in AzureDiagnostics"
    order = 12

    def recognises(self, record: Record) -> bool:
        """By the column `log_s`."""
        return "log_s" in record

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event in `log_s`."""
        category = record.get("Category")
        if category is not None and category not in _AUDIT_CATEGORIES:
            yield Skip(_OTHER)
            return
        cluster = cluster_of(record.get("ResourceId") or record.get("_ResourceId"))
        log = record.get("log_s")
        if isinstance(log, str | dict):
            yield Inner(log, cluster=cluster, time=record.get("TimeGenerated"))
        else:
            yield Reject("an AzureDiagnostics row whose log_s is no text")


@format_
class AuditRow:
    """One row of AKSAudit or AKSAuditAdmin."""

    name = "aks-table"
    title = "Azure AKS audit events in AKSAudit"
    order = 13

    def recognises(self, record: Record) -> bool:
        """By its columns."""
        return "AuditId" in record and ("Verb" in record or "RequestUri" in record or "Stage" in record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event that the columns hold; dynamic columns may be JSON in text."""
        native: Record = {}
        for column, key in _COLUMNS.items():
            value = record.get(column)
            if value is None or value == "":
                continue
            if column in _DYNAMIC and isinstance(value, str):
                try:
                    value = parse(value)
                except ValueError:
                    value = [value] if column == "SourceIps" else value
            native[key] = value
        native["sourceIPs"] = native.get("sourceIPs", [])
        cluster = cluster_of(record.get("_ResourceId") or record.get("ResourceId"))
        yield Inner(native, cluster=cluster, time=record.get("TimeGenerated"))


@format_
class Tables:
    """An answer of the Log Analytics query API."""

    name = "aks-tables"
    title = "an answer of Azure Log Analytics"
    order = 14

    def recognises(self, record: Record) -> bool:
        """By tables of columns and rows."""
        tables = record.get("tables")
        return isinstance(tables, list) and any("columns" in mapping(table) for table in tables)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The rows, as objects by column name."""
        for table in listed(record.get("tables")):
            names = [str(mapping(column).get("name")) for column in listed(mapping(table).get("columns"))]
            for row in listed(mapping(table).get("rows")):
                yield Inner(dict(zip(names, listed(row), strict=False)))
