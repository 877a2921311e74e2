"""Roles, bindings and what they come to: who can do what, how far an identity reaches, what was never used."""

from kubewake.rbac.model import Binding, Grant, Role, Rule, Subject
from kubewake.rbac.state import RbacState

__all__ = ["Binding", "Grant", "RbacState", "Role", "Rule", "Subject"]
