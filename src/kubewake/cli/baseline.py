"""`kubewake baseline`: what is usual for whom, learnt from logs, carried from one place to another."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from kubewake.cli.names import known_names
from kubewake.errors import InputError, SettingsError, StoreError

if TYPE_CHECKING:
    from kubewake.baseline import Archive
    from kubewake.store.state import Snapshot, State

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
        raise InputError(f"{identity} was never seen here; {known_names(identity, archive.identities)}")
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

    from kubewake.engine.learnt import saved_archives, unknown_cluster, with_archives
    from kubewake.pipeline.detection import load_archives

    archives = load_archives(file)
    path = folder_of(state_dir)
    with stopped_state(path) as (state, saved):
        held_before = saved_archives(saved.body, saved.pieces, str(path))
        unknown = [name for name in archives if name not in held_before]
        if len(unknown) == len(archives):
            raise InputError(f"{path}: {unknown_cluster(', '.join(unknown), held_before)}; {file} adds nothing")
        body = with_archives(saved.body, archives)
        state.save("engine", body, saved.cursors, time.time())
    for cluster, archive in saved_archives(body, saved.pieces, str(path)).items():
        if cluster in archives:
            sys.stderr.write(f"{path}: {summary(cluster, archive)}\n")
    for cluster in unknown:
        sys.stderr.write(f"{path}: cluster {cluster or '(no name)'} left out, serve has seen nothing of it\n")


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
    from kubewake.engine.learnt import saved_archives

    path = folder_of(state_dir)
    with read_state(path) as state:
        saved = state.snapshot("engine")
    if saved is None:
        raise StoreError(f"{path}: serve has saved nothing yet; let it run, or give --baseline FILE")
    return saved_archives(saved.body, saved.pieces, str(path))


@contextmanager
def read_state(folder: Path) -> "Iterator[State]":
    """The state in serve's folder, to read from, whether serve runs or not."""
    from kubewake.store.state import State

    require_state(folder)
    state = State(folder / "state.db")
    try:
        yield state
    finally:
        state.close()


def require_state(folder: Path) -> None:
    """Raises SettingsError where serve has kept no state."""
    if not (folder / "state.db").exists():
        raise SettingsError(
            f"{folder}: serve has kept no state there; give the --state-dir that serve was started with"
        )


@contextmanager
def stopped_state(folder: Path) -> "Iterator[tuple[State, Snapshot]]":
    """The state in the folder of a serve that does not run, to change, and what it saved; raises StoreError."""
    from kubewake.store.folder import Folder

    require_state(folder)
    with Folder(folder), read_state(folder) as state:
        saved = state.snapshot("engine")
        if saved is None:
            raise StoreError(
                f"{folder}: serve has saved nothing yet; let it run first, or start it with --baseline FILE"
            )
        yield state, saved


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
    if not archives:
        raise InputError("nothing is known of any cluster yet; let serve run, or give --baseline FILE")
    names = ", ".join(sorted(archives))
    raise InputError(f"--cluster {cluster or '(not given)'}: there are baselines of these clusters: {names}")


def write(path: Path, archives: "dict[str, Archive]") -> None:
    """Write a baseline file, whole or not at all, and say what is in it."""
    from kubewake.baseline import encode

    data = encode(archives)
    target = path.resolve()
    half = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            half.write_bytes(data)
            if target.exists():
                shutil.copymode(target, half)
            half.replace(target)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise SettingsError(f"--out {path}: cannot be written ({error.strerror}); choose another path") from error
    for cluster, archive in archives.items():
        sys.stderr.write(f"{path}: {summary(cluster, archive)}\n")


def summary(cluster: str, archive: Any) -> str:
    """One line on a baseline."""
    behaviours = sum(len(identity.keys) for identity in archive.identities.values())
    return f"cluster {cluster or '(no name)'}: {len(archive.identities):,} identities, {behaviours:,} known behaviours"
