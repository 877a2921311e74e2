"""Lineage: exact causal links between requests, from credentials, bindings, pods, secrets, certificates and owners."""

from kubewake.lineage.lineage import Lineage, all_links
from kubewake.lineage.link import LINKS, Coverage, Link, LinkInfo
from kubewake.lineage.reference import EventRef
from kubewake.lineage.session import Session

__all__ = ["LINKS", "Coverage", "EventRef", "Lineage", "Link", "LinkInfo", "Session", "all_links"]
