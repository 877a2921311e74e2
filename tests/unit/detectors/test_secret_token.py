"""A token's first use after somebody read it, over a restart."""

import pytest

from kubewake.detectors.secret_token import SecretToken
from kubewake.observation import Stub
from tests.unit.engine.stubs import second, stub

SECRET = {"resource": "secrets", "name": "builder-token", "uri": "/api/v1/namespaces/shop/secrets/builder-token"}


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ((), 1),
        ((stub(1, verb="create", code=201, **SECRET),), 0),
        ((stub(1, verb="patch", code=201, **SECRET),), 0),
        ((stub(1, verb="patch", code=200, **SECRET),), 1),
        ((stub(1, verb="create", code=201, user="bob", **SECRET),), 1),
    ],
)
def test_who_made_a_secret_may_take_its_token_outside(before: tuple[Stub, ...], found: int) -> None:
    detector, restored = SecretToken(), SecretToken()
    for item in (*before, stub(2, second(10), **SECRET)):
        assert list(detector.observe(item)) == []
    restored.restore(detector.snapshot())
    used = stub(
        3, second(110), user="system:serviceaccount:shop:builder", actor_kind="serviceaccount",
        source="203.0.114.9", secret_token="builder-token",
    )  # fmt: skip
    assert len(list(restored.observe(used))) == found
