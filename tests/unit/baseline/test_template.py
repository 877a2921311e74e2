"""What of a name counts."""

import pytest

from kubewake.baseline.template import account_template, template_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sh.helm.release.v1.shop.v12", "sh.helm.release.v1.shop.v13"),
        ("web-7d9f8c6b5-x2k4q", "web-6c8d7b9f4-q9z2m"),
        ("token-3f2504e0-4f89-41d3-9a0c-0305e82c3301", "token-6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        ("node-10-20-3-4", "node-10-20-11-250"),
    ],
)
def test_generated_parts_do_not_count(one: str, other: str) -> None:
    assert template_of(one) == template_of(other)


@pytest.mark.parametrize(("one", "other"), [("card-keys", "web-config"), ("admin", "admins"), ("db-main", "db-spare")])
def test_given_names_do(one: str, other: str) -> None:
    assert template_of(one) != template_of(other)


def test_like_named_accounts_are_peers() -> None:
    assert account_template("system:serviceaccount:a:web") == account_template("system:serviceaccount:b:web")
    assert account_template("system:node:n1") == account_template("system:node:n2")
    assert account_template("robot-1") == account_template("robot-22")
