import json

import pytest
import structlog

from kubewake import logs

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture(autouse=True)
def restored():
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["text", "json"])
def test_tracebacks_show_no_events_and_no_credentials(capsys, form):
    logs.configure("info", form)
    event = f"an event with {JWT} in it"
    try:
        raise ValueError(f"bad {JWT}"[:3] + str(len(event)))
    except ValueError:
        logs.logger("test").exception("it failed", detail=event)
    said = capsys.readouterr().err
    assert "it failed" in said
    assert "Traceback" in said
    assert JWT not in said
    if form == "json":
        assert json.loads(said)["room"] == "test"


def test_levels(capsys):
    logs.configure("warning", "json")
    logs.logger("test").info("quiet")
    logs.logger("test").warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]
