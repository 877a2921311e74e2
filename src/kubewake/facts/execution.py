"""What was run inside a container: commands of exec, attach and the kubelet's run endpoint."""

import re
import shlex

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field
from kubewake.facts.request import envelope_text, kubelet_endpoint, proxy_path, raw_params
from kubewake.facts.shapes import flag, mapping, optional_text, texts
from kubewake.facts.source import scope_of_address

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "csh", "tcsh", "fish", "rbash", "pwsh", "powershell",
                    "powershell.exe", "cmd", "cmd.exe", "busybox"})  # fmt: skip
_WRAPPERS = frozenset({"env", "sudo", "nohup", "setsid", "nsenter", "chroot", "timeout", "stdbuf", "script", "su", "doas",
                       "unshare", "busybox"})  # fmt: skip
_ADDRESS = re.compile(
    r"(?<![\w.:-])(?<![=~<>!]=)(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F]{1,4}:[0-9a-fA-F:]{4,}\]?)(?![\w.]*\w)"
)
"""An address by itself; after a hyphen or a comparison it is a version (tool-1.2.3.4.tar.gz, tool==1.2.3.4)."""
_EXEC_SUBRESOURCES = frozenset({"exec", "attach", "portforward"})
MAX_COMMAND = 65536


def is_execution(facts: Facts) -> bool:
    """Whether the request runs or enters something in a container, directly or through a node."""
    return facts.subresource in _EXEC_SUBRESOURCES or kubelet_endpoint(facts) in ("run", "exec", "attach")


@field("exec.argv", "list", "The command's words as the client sent them.", example="[sh, -c, id]")
def argv(facts: Facts) -> list[str] | None:
    if facts.subresource == "exec":
        words = [value for name, value in raw_params(facts) if name == "command"]
        if not words:
            words = texts(mapping(facts.request_body).get("command"))
        if not words:
            words = texts(facts.event.envelope.get("command.gke.io/command") if facts.event.envelope else None)
        return words or None
    if kubelet_endpoint(facts) in ("run", "exec"):
        words = [value for name, value in raw_params(facts) if name in ("cmd", "command")]
        return words or None
    return None


@field("exec.command", "text", "The whole command, decoded: from the URI, the body, or what the cloud's envelope "
       "says.", example="sh -c id")  # fmt: skip
def command(facts: Facts) -> str | None:
    words = argv(facts)
    if words:
        return " ".join(words)[:MAX_COMMAND]
    if facts.subresource == "exec":
        return envelope_text(facts, "command.gke.io/command", "labels.command.gke.io/command")
    return None


def _option(facts: Facts, name: str) -> str | None:
    for key, value in raw_params(facts):
        if key == name:
            return value
    return None


@field("exec.container", "text", "The container that was entered, where the client names one.", example="main")
def container(facts: Facts) -> str | None:
    if facts.subresource in ("exec", "attach"):
        return _option(facts, "container") or optional_text(mapping(facts.request_body).get("container"))
    if kubelet_endpoint(facts) in ("run", "exec", "attach"):
        steps = (proxy_path(facts) or "").partition("?")[0].strip("/").split("/")
        return steps[3] if len(steps) > 3 else None
    return None


def _wants(facts: Facts, name: str) -> bool | None:
    if facts.subresource not in ("exec", "attach"):
        return None
    value = _option(facts, name)
    if value is not None:
        return value.lower() in ("true", "1", "t")
    return bool(flag(mapping(facts.request_body).get(name)))


@field("exec.stdin", "boolean", "Whether input was connected.", example="true")
def stdin(facts: Facts) -> bool | None:
    return _wants(facts, "stdin")


@field("exec.tty", "boolean", "Whether a terminal was connected: someone typing.", example="true")
def tty(facts: Facts) -> bool | None:
    return _wants(facts, "tty")


def _program(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2].lower()


@field("exec.is_shell", "boolean", "Whether the command is a shell, directly or through env, nsenter, chroot and "
       "the like.", example="true")  # fmt: skip
def is_shell(facts: Facts) -> bool | None:
    words = argv(facts)
    if not words:
        text = command(facts)
        if not text:
            return None
        words = [text]
    if len(words) == 1 and " " in words[0]:
        try:
            words = shlex.split(words[0])
        except ValueError:
            words = words[0].split()
    if not words:
        return False
    first = _program(words[0])
    if first in SHELLS and first != "busybox":
        return True
    return first in _WRAPPERS and any(_program(word) in SHELLS - {"busybox"} for word in words[1:])


@field("exec.has_public_ip", "boolean", "Whether the command contains a public IP address.", example="true")
def has_public_ip(facts: Facts) -> bool | None:
    text = command(facts)
    if text is None:
        return None
    return any(scope_of_address(match.group().strip("[]")) == "public" for match in _ADDRESS.finditer(text))
