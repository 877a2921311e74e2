"""A small pack of rules and a way to tell stories with them, without the real rules or reader."""

import pytest

from kubewake.finding import Attack
from kubewake.incidents import Accusation, Stories
from kubewake.rules.model import RuleInfo
from tests.unit.lineage.conftest import handmade, later, recorded

RULES = {
    info.id: info
    for info in (
        RuleInfo(id="t-shell", title="Shell in a pod", level="medium", tactic="execution", confidence="high"),
        RuleInfo(id="t-secrets", title="Secrets fetched", level="high", tactic="credential-access", confidence="high",
                 story="{actor.name} fetched Secrets from {source.ip}.",
                 attack=Attack(["credential-access"], ["T1552.007"], ["MS-TA9025"])),
        RuleInfo(id="t-admin", title="Full control given away", level="critical", tactic="privilege-escalation", confidence="high"),
        RuleInfo(id="t-look", title="Rapid look around", level="low", tactic="discovery", confidence="high"),
        RuleInfo(id="t-persist", title="Way back left", level="medium", tactic="persistence", confidence="high"),
        RuleInfo(id="t-wipe", title="Events deleted", level="high", tactic="defense-evasion", confidence="high"),
        RuleInfo(id="t-note", title="Object written", level="informational", tactic="impact", audience="auditor"),
        RuleInfo(id="t-always", title="Never right", level="high", tactic="impact", confidence="high", always=True),
    )
}  # fmt: skip


PEOPLE = ("ann", "bob", "mallory", "first", "system:serviceaccount:kube-system:deployment-controller")


class Teller:
    """Feeds stubs to the stories of a cluster, where the usual people have been at work for ten minutes elsewhere."""

    def __init__(self, **settings):
        self.stories = Stories(RULES, **settings)
        for user in PEOPLE:
            for second in range(-600, -590, 2):
                self.stories.observe(
                    handmade(second, user=user, source="192.0.2.200", user_agent="desk/1", client="other")
                )

    def tell(self, stub, *rules, suppressed=False):
        accusations = [Accusation(RULES[rule], f"finding-{rule}-{stub.user}", stub, (), suppressed) for rule in rules]
        self.stories.observe(stub, accusations)
        return stub

    def say(self, seconds, *rules, **fields):
        return self.tell(handmade(seconds, **fields), *rules)

    @property
    def incidents(self):
        return self.stories.current()


@pytest.fixture
def teller():
    return Teller()


@pytest.fixture
def new_teller():
    return Teller


@pytest.fixture
def make():
    return handmade


@pytest.fixture
def at():
    return later


@pytest.fixture
def slice_of():
    return recorded
