"""Audit logs of a small shop's cluster: every day the same work, and now and then something that was never done before."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 5, 4, tzinfo=UTC)
PEOPLE = ("anna", "bert", "carla", "dirk", "elsa", "fritz")
NAMESPACES = ("shop", "pay", "mail", "docs")
KUBECTL = "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd"
HISTORY_DAYS = 6
REPEATS = 6
SERVICE_GROUPS = ["system:serviceaccounts", "system:authenticated"]


class Shop:
    """Makes events with running audit ids; times are days and seconds after `START`."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, day: float, seconds: float, user: str, verb: str, resource: str, **values: Any) -> dict[str, Any]:
        """One judged request; `values` may set namespace, name, subresource, group, source, agent, groups."""
        self.number += 1
        stamp = (START + timedelta(days=day, seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        subject = {"resource": resource, "apiVersion": "v1"}
        for key, field in (("namespace", "namespace"), ("name", "name"), ("sub", "subresource"), ("group", "apiGroup")):
            if values.get(key):
                subject[field] = values[key]
        root = f"/apis/{values['group']}/v1" if values.get("group") else "/api/v1"
        parts = [root.strip("/"), *(["namespaces", values["namespace"]] if values.get("namespace") else []), resource]
        parts += [values[key] for key in ("name", "sub") if values.get(key)]
        return {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": f"00000000-0000-4000-9000-{self.number:012d}",
            "stage": "ResponseComplete",
            "requestURI": "/" + "/".join(parts),
            "verb": verb,
            "user": {"username": user, "groups": values.get("groups", ["developers", "system:authenticated"])},
            "sourceIPs": [values.get("source", f"10.9.{PEOPLE.index(user) if user in PEOPLE else 99}.7")],
            "userAgent": values.get("agent", KUBECTL),
            "objectRef": subject,
            "responseStatus": {"metadata": {}, "code": 201 if verb == "create" else 200},
            "requestReceivedTimestamp": stamp,
            "stageTimestamp": stamp,
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        }

    def day(self, day: int) -> Iterator[dict[str, Any]]:
        """Everybody's routine."""
        for hour in (8, 10, 13, 15):
            for repeat in range(REPEATS):
                start = hour * 3600 + repeat * 400
                for index, name in enumerate(PEOPLE):
                    home, next_door = NAMESPACES[index % 4], NAMESPACES[(index + 1) % 4]
                    at = start + 20 * index
                    yield self.event(day, at, name, "list", "pods", namespace=home)
                    yield self.event(day, at + 1, name, "get", "deployments", namespace=home, name="web", group="apps")
                    yield self.event(day, at + 2, name, "get", "configmaps", namespace=next_door, name="web")
                    yield self.event(
                        day, at + 3, name, "patch", "deployments", namespace=home, name="web", group="apps"
                    )
                for index, namespace in enumerate(NAMESPACES):
                    user = f"system:serviceaccount:{namespace}:web"
                    common = {
                        "namespace": namespace, "groups": SERVICE_GROUPS, "agent": "web/v1", "source": f"10.1.2.{index + 3}"
                    }  # fmt: skip
                    yield self.event(day, start + 200 + index, user, "get", "configmaps", name="web", **common)
                    yield self.event(day, start + 210 + index, user, "list", "pods", **common)

    def history(self, days: int = HISTORY_DAYS, first: int = 0) -> Iterator[dict[str, Any]]:
        """So many days of routine."""
        for day in range(first, first + days):
            yield from self.day(day)

    def migration(self, day: int, seconds: float = 14 * 3600, **values: Any) -> list[dict[str, Any]]:
        """What carla was asked to do: from a new machine, with a new program, move things out of pay."""
        common = {"source": "10.44.0.9", "agent": "mover/2.1", "namespace": "pay", **values}
        steps = [
            ("get", "secrets", {"name": "card-keys"}),
            ("list", "serviceaccounts", {}),
            ("create", "configmaps", {"name": "moved"}),
            ("update", "cronjobs", {"name": "settle", "group": "batch"}),
            ("delete", "services", {"name": "old-web"}),
            ("delete", "deployments", {"name": "old-web", "group": "apps"}),
        ]
        return [
            self.event(day, seconds + 5 * number, "carla", verb, resource, **{**common, **step})
            for number, (verb, resource, step) in enumerate(steps)
        ]


def write_log(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    """Events in order of time, one JSON line each."""
    ordered = sorted(events, key=lambda event: event["requestReceivedTimestamp"])
    path.write_text("".join(json.dumps(event) + "\n" for event in ordered))
    return path
