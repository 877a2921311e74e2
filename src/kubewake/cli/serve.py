"""`kubewake serve`: receive audit events and alert while an attack runs."""

import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from kubewake.errors import SettingsError

if TYPE_CHECKING:
    from kubewake.pipeline.serve import Service
    from kubewake.settings import Settings


def serve(**flags: Any) -> int:
    """Receive audit events over the API server's webhook, or follow its log files, and alert while an attack runs.

    Each flag is a setting; it can stand in a file or the environment as well (`kubewake settings`). A 200 follows
    only when the events are on the disk; a restart goes on where it stopped. Ctrl-C stops cleanly, SIGHUP reads rules
    and certificates again.
    """
    from kubewake.pipeline.stopping import Signals

    signals = Signals()
    from kubewake import logs
    from kubewake.settings import load

    config = flags.pop("config", None)
    settings = load(config, flags=flags).settings
    if not all(settings.follow):
        raise SettingsError("follow holds an empty path; give a log file, a folder or a glob, or leave it out")
    logs.configure(settings.log_level, settings.log_format)
    if settings.output == "auto" and not sys.stdout.isatty() and not settings.out:
        sys.stderr.write("kubewake: findings are printed in plain words; --output jsonl prints JSON Lines\n")

    from kubewake.pipeline.serve import serve as run

    def greet(service: "Service") -> None:
        sys.stderr.write(greeting(settings, service))
        sys.stderr.flush()

    return run(settings, signals, started=greet)


def greeting(settings: "Settings", service: "Service") -> str:
    """What it listens on and how to connect an API server, in plain words."""
    lines = []
    if service.reception is not None:
        url = service.reception.url
        lines += [
            f"kubewake listens on {url}",
            f"  API servers send their audit events to  {url}/v1/audit/CLUSTER",
            "  `kubewake connect` writes the audit policy and the webhook kubeconfig for kube-apiserver",
            f"  {_protection(settings)}",
            f"  health {url}/healthz, readiness {url}/readyz, metrics {url}/metrics",
        ]
    if settings.follow:
        lines.append(f"kubewake follows {', '.join(settings.follow)} as cluster {settings.cluster!r}")
    lines.append(f"State is kept in {settings.state_dir}; Ctrl-C stops cleanly.")
    return "\n".join(lines) + "\n"


def _protection(settings: "Settings") -> str:
    parts = ["TLS" if settings.tls_cert else "plain HTTP"]
    if settings.client_ca:
        parts.append("client certificates required")
    if settings.token_file:
        parts.append("bearer token required")
    if not settings.client_ca and not settings.token_file:
        parts.append("no authentication")
    return f"Connection: {', '.join(parts)}"


def _signature() -> inspect.Signature:
    """One flag a setting, from the table of settings, so that neither can drift."""
    from kubewake.settings import TABLE, Settings, shown

    parameters = [
        inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, Parameter(help="TOML or YAML file with settings.")],
        )
    ]
    sections = list(dict.fromkeys(row.section for row in TABLE))
    groups = {section: Group(section, sort_key=number) for number, section in enumerate(sections)}
    for row in TABLE:
        kind = Settings.__annotations__[row.name].__origin__
        unit = f" In {row.unit}." if row.unit else ""
        default = shown(row, row.default)
        help_text = f"{row.doc}{unit}" + (f" Default: {default}." if default and row.name != "state_dir" else "")
        parameters.append(
            inspect.Parameter(
                row.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    kind | None,
                    Parameter(
                        name=row.flag,
                        help=help_text,
                        show_default=False,
                        show_env_var=False,
                        negative=(),
                        group=groups[row.section],
                    ),
                ],
            )
        )
    return inspect.Signature(parameters, return_annotation=int)


serve.__signature__ = _signature()  # type: ignore[attr-defined]  # read by inspect.signature
