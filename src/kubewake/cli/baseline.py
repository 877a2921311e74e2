"""`kubewake baseline`: what is usual for whom, learnt from logs, carried from one place to another."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from kubewake.errors import InputError, SettingsError, StoreError

if TYPE_CHECKING:
    from kubewake.baseline import Archive

app = App(name="baseline", help="What is usual for whom: show it, learn it from logs, carry it over.")

File = Annotated[
    Path | None,
    Parameter(
        name=["--baseline", "-b"], help="A file of `baseline train` or `export`; default: what serve has learnt."
    ),
]
StateDir = Annotated[Path | None, Parameter(name="--state-dir", help="State folder of serve; default: the setting.")]
Out = Annotated[Path, Parameter(name=["--out", "-O"], help="File to write.")]
Cluster = Annotated[str, Parameter(name="--cluster", help="Cluster; needed where there are several.")]
MAX_SHOWN = 8


@app.command
def show(
    identity: str,
    /,
    *,
    baseline: File = None,
    state_dir: StateDir = None,
    cluster: Cluster = "",
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"], help="Output format.")] = "table",
) -> None:
    """What is usual for an identity: since when it is known, its peers, what it does, where, from where, with what.

    Parameters
    ----------
    identity
        A username as it stands in the audit log: alice, system:serviceaccount:shop:web.
    """
    from kubewake.baseline.profile import profile_of

    archives = held(baseline, state_dir)
    archive = chosen(archives, cluster)
    profile = profile_of(archive, identity)
    if profile is None:
        known = ", ".join(list(archive.identities)[:5])
        raise InputError(f"{identity} was never seen here; known are {known or 'nobody'}, …")
    if output == "json":
        import msgspec

        sys.stdout.write(msgspec.json.encode(profile).decode() + "\n")
        return
    sys.stdout.write("\n".join(profile.lines(MAX_SHOWN)) + "\n")


@app.command
def train(
    paths: Annotated[list[str], Parameter(help="Audit logs of the past: files, directories or globs.", negative=())],
    /,
    *,
    out: Out,
    baseline: Annotated[Path | None, Parameter(name=["--baseline", "-b"], help="Go on from this file.")] = None,
    cluster: Annotated[str, Parameter(help="Name of the cluster for events whose envelope names none.")] = "",
) -> None:
    """Learn from logs what is usual, to start warm. What looks like an attack in them is not learnt."""
    from kubewake.cli.progress import Progress
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.training import train as learn
    from kubewake.sources.files import FileSource

    size_bytes = FileSource(paths, cluster=cluster).size_bytes()
    with Progress(size_bytes, hidden=not sys.stderr.isatty()) as progress:
        archives = learn(paths, Knowledge(baseline=baseline), cluster=cluster, on_progress=progress.advance)
    if not archives:
        raise InputError(f"{', '.join(paths)}: no audit events in there; check the path")
    write(out, archives)


@app.command(name="export")
def export(*, out: Out, state_dir: StateDir = None) -> None:
    """Write what serve has learnt to a file, to keep it or to start another kubewake with it."""
    write(out, held(None, state_dir))


@app.command(name="import")
def import_(file: Path, /, *, state_dir: StateDir = None) -> None:
    """Add a baseline file to what serve has learnt. Stop serve first; it goes on with both.

    Parameters
    ----------
    file
        A file of `baseline train`, `export` or `merge`.
    """
    import time

    from kubewake.engine.fold import with_archives
    from kubewake.pipeline.detection import load_archives
    from kubewake.store.folder import Folder
    from kubewake.store.state import State

    archives = load_archives(file)
    with Folder(folder_of(state_dir)) as folder:
        state = State(folder.state)
        try:
            saved = state.snapshot("engine")
            if saved is None:
                raise StoreError(
                    f"{folder_of(state_dir)}: serve has saved nothing yet; start it with --baseline {file} instead"
                )
            state.save("engine", with_archives(saved.body, archives), saved.cursors, time.time())
        finally:
            state.close()


@app.command
def merge(files: Annotated[list[Path], Parameter(help="Baseline files.", negative=())], /, *, out: Out) -> None:
    """Put several baseline files together; the order does not matter."""
    from kubewake.pipeline.detection import load_archives

    merged: dict[str, Archive] = {}
    for file in files:
        for cluster, archive in load_archives(file).items():
            merged[cluster] = merged[cluster].merge(archive) if cluster in merged else archive
    write(out, merged)


def held(file: Path | None, state_dir: Path | None) -> "dict[str, Archive]":
    """Baselines of a file, or of what serve has saved."""
    if file is not None:
        from kubewake.pipeline.detection import load_archives

        return load_archives(file)
    from kubewake.engine.fold import saved_archives
    from kubewake.store.state import State

    path = folder_of(state_dir)
    if not (path / "state.db").exists():
        raise SettingsError(f"{path}: serve has kept no state there; give --baseline FILE or --state-dir")
    state = State(path / "state.db")
    try:
        saved = state.snapshot("engine")
    finally:
        state.close()
    return {} if saved is None else saved_archives(saved.body)


def folder_of(state_dir: Path | None) -> Path:
    """The state folder: as given, else as serve's settings say."""
    if state_dir is not None:
        return state_dir
    from kubewake.settings import load

    return Path(load(None, flags={}).settings.state_dir).expanduser()


def chosen(archives: "dict[str, Archive]", cluster: str) -> "Archive":
    """The baseline of one cluster; InputError where it is not clear which."""
    if cluster in archives:
        return archives[cluster]
    if not cluster and len(archives) == 1:
        return next(iter(archives.values()))
    names = ", ".join(sorted(archives)) or "none"
    raise InputError(f"--cluster {cluster or '(not given)'}: there are baselines of these clusters: {names}")


def write(path: Path, archives: "dict[str, Archive]") -> None:
    """Write a baseline file and say what is in it."""
    from kubewake.baseline import encode

    try:
        path.write_bytes(encode(archives))
    except OSError as error:
        raise SettingsError(f"--out {path}: cannot be written ({error.strerror}); choose another path") from error
    for cluster, archive in archives.items():
        sys.stderr.write(f"{path}: {summary(cluster, archive)}\n")


def summary(cluster: str, archive: Any) -> str:
    """One line on a baseline."""
    behaviours = sum(len(identity.keys) for identity in archive.identities.values())
    return f"cluster {cluster or '(no name)'}: {len(archive.identities):,} identities, {behaviours:,} known behaviours"
