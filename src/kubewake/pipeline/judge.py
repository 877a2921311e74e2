"""The engine's thread in `serve`: takes bodies from the spool, judges them, has findings told, saves its state."""

import threading
import time
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from kubewake.engine import Fold, LiveFold, News, Reader
from kubewake.errors import KubewakeError, StoreError
from kubewake.finding import Finding, Incident, Notice, stable_id
from kubewake.formats import batches
from kubewake.logs import logger
from kubewake.metrics import Metrics
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.ledger import Ledger
from kubewake.pipeline.loading import Loaded, Loading, load
from kubewake.pipeline.skipping import Skipping
from kubewake.sinks.change import Tellable
from kubewake.store.spool import Spool, Stored
from kubewake.store.state import State

_SNAPSHOT = "engine"
_CURSOR = "spool"
_TOLD = "told"
"""Cursor: up to which body people were told what was found."""
_GROUP_BODIES = 8
"""Bodies judged before what they showed is told."""
_TELL_SECONDS = 0.1
"""Findings wait no longer than this for the rest of their group."""
_IDLE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_MALFORMED_LOGGED = 5
_FAILURES_LOGGED = 3
_FAILURE_LOG_SECONDS = 60.0


class Progress(Struct):
    """How far judging has come. `working_on` is when the body in hand was received, 0 when idle."""

    sequence: int = 0
    working_on: float = 0.0
    failure: str = ""


class Judge:
    """One thread, one `LiveFold`. After a crash it goes on from the last snapshot and judges again what came since.

    Nothing is told of a body that was judged and told of before: what is found there is on its way to what people have
    heard already. Once that is reached, all that waits is judged in order, which says what of it holds.
    """

    def __init__(
        self,
        spool: Spool,
        state: State,
        knowledge: Knowledge,
        ledger: Ledger,
        metrics: Metrics,
        *,
        lateness_seconds: int,
        snapshot_seconds: float,
        spool_max_bytes: int,
        loaded: Loaded | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`loaded` is what the knowledge comes to, where it was read already."""
        self._spool = spool
        self._state = state
        self._knowledge = knowledge
        self._ledger = ledger
        self._metrics = metrics
        self._lateness_seconds = lateness_seconds
        self._snapshot_seconds = snapshot_seconds
        self._spool_high_bytes = spool_max_bytes // 2
        self._clock = clock
        self._log = logger("engine")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._reload = threading.Event()
        self._settle_asked = threading.Event()
        self._deadline = 0.0
        self._pending: dict[str, Tellable] = {}
        self._withdrawn: dict[str, Finding | Incident] = {}
        self._told_until = 0
        self._is_catching_up = False
        self._judged_at = self._clock()
        self._noticed: set[str] = set()
        """Notices about rules and stream that were passed on since the start."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.progress = Progress()
        self.failed_bodies = 0
        """Events or bodies that the engine could not judge, since the start."""
        self._failure_logged_at = 0.0
        self._skipped_logged: set[str] = set()
        self._part_failures: dict[tuple[str, str], int] = {}
        """Failures of parts of the engine that are counted in the metrics."""
        loaded = loaded or load(knowledge, copies_first=True)
        self._reader, self._fold = self._engine(loaded)
        self._loading: Loading | None = None
        self._restore(loaded)
        summary = self._fold.input()
        self._counted = (summary.duplicates, summary.late)
        self._covered = self.progress.sequence
        self._saved_at = self._clock()

    @property
    def is_alive(self) -> bool:
        """Whether it judges."""
        return self._thread.is_alive()

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest body that is not judged yet."""
        received = self.progress.working_on
        return max(0.0, self._clock() - received) if received else 0.0

    def start(self) -> None:
        """Begin to judge, with the last copies of lists from servers until these have answered."""
        if self._knowledge.intelligence is not None:
            self._reload.set()
        self._thread.start()

    def wake(self) -> None:
        """The spool has something new."""
        self._wake.set()

    def reload(self) -> None:
        """Read rules and lists again; judging goes on with the old ones until the new ones are there."""
        self._reload.set()
        self._wake.set()

    def settle(self) -> None:
        """Once all bodies are judged, judge in order what waits, without waiting for what may come late."""
        self._settle_asked.set()
        self._wake.set()

    @property
    def is_settled(self) -> bool:
        """Whether everything in the spool was judged in order and told."""
        return self._fold.is_settled and not self._settle_asked.is_set()

    def stop(self, patience_seconds: float) -> None:
        """Judge what is in the spool, for at most so long, then save the state."""
        self._deadline = self._clock() + patience_seconds
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._loading is not None:
            self._loading.leave()

    def save(self) -> None:
        """Save the engine's state and release the bodies that it covers; raises StoreError."""
        begun = time.perf_counter()
        self._fold.forget_closed()
        sequence = self.progress.sequence
        savings = self._fold.save_anew()
        self._tell_failures()
        cursors = {_CURSOR: b"%d" % sequence}
        self._state.save(_SNAPSHOT, savings.body, cursors, self._clock(), pieces=savings.pieces, held=savings.held)
        self._fold.note_saved(savings)
        self._spool.release(sequence)
        self._covered = sequence
        self._saved_at = self._clock()
        self._metrics.snapshot_seconds.observe(time.perf_counter() - begun)

    def _tell_failures(self) -> None:
        """Have parts told that could not be saved."""
        self._count_failures()
        self._pending.update((notice.id, notice) for notice in self._fold.failure_notices())

    def _engine(self, loaded: Loaded) -> tuple[Reader, LiveFold]:
        rules, context = loaded.rules, loaded.context
        fold = LiveFold(
            lambda: Fold(
                rules,
                lateness_seconds=self._lateness_seconds,
                baselines=loaded.baselines,
                about_lists=context.notices,
            )
        )
        self._metrics.rules.set(len(fold.infos))
        return Reader(rules, context), fold

    def _restore(self, loaded: Loaded) -> None:
        self._told_until = int(self._state.cursors().get(_TOLD, b"0"))
        if self._spool.last_sequence() < self._told_until:
            self._told_until = 0
        self._is_catching_up = self._told_until > 0
        saved = self._state.snapshot(_SNAPSHOT)
        if saved is None:
            self._expect_told()
            return
        self.progress.sequence = int(saved.cursors[_CURSOR])
        if self._spool.last_sequence() < self.progress.sequence:
            self._log.warning("the spool was replaced since the state was saved; all of it is judged")
            self.progress.sequence = 0
        try:
            self._fold.restore(saved.body, saved.pieces)
        except Exception as error:  # noqa: BLE001  # whatever an older version saved must not keep this one from starting
            self._reader, self._fold = self._engine(loaded)
            self._log.warning("the saved engine state does not fit this kubewake; windows start anew", error=str(error))
            notice = Notice(
                stable_id("n", "engine-state", self.progress.sequence),
                time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(self._clock())),
                "Detection windows started anew",
                f"The saved engine state could not be used ({error}). Events are not lost; repeats and sequences that "
                "began before the restart are counted from now on.",
            )
            self._pending[notice.id] = notice
        else:
            self._expect_told()
        self._log.info("goes on where it stopped", sequence=self.progress.sequence)

    def _expect_told(self) -> None:
        """What people know may turn out otherwise, unless the spool that it came from was replaced."""
        if self._told_until:
            self._fold.expect(self._ledger.told_from(self._fold.settled_from))

    def _run(self) -> None:
        try:
            self._take_notice()
            while self._step():
                pass
            self._take_notice()
            if self.progress.sequence >= self._told_until:
                self._settle()
                self._tell()
                if not (self._pending or self._withdrawn or self._fold.is_between):
                    self._until_stored(self.save, once=True)
                    self._tell()
        except Exception as error:  # noqa: BLE001  # shown by /readyz and the log: a dead thread would be silent
            self.progress.failure = f"the engine stopped: {error!r}"
            self._log.exception("the engine stopped")

    def _step(self) -> bool:
        """Judge some bodies, or wait for one; False when it is time to stop."""
        self._wake.clear()
        if not self._stopping.is_set():
            self._renew()
        try:
            bodies = self._spool.read(self.progress.sequence, _GROUP_BODIES)
        except StoreError as error:
            self._failed(error)
            self._stopping.wait(_RETRY_SECONDS)
            return not self._stopping.is_set()
        told_at = time.monotonic()
        for stored in bodies:
            self._judged_at = self._clock()
            self.progress.working_on = stored.received
            self._judge(stored)
            self.progress.sequence = stored.sequence
            if time.monotonic() - told_at > _TELL_SECONDS:
                self._tell(everything=False)
                told_at = time.monotonic()
        self._tell(everything=not bodies)
        now = self._clock()
        for stored in bodies:
            self._metrics.judge_seconds.observe(max(0.0, now - stored.received))
        self._metrics.ingest_lag.set(self.lag_seconds)
        self._maybe_save()
        if bodies:
            return not (self._stopping.is_set() and self._clock() > self._deadline)
        self.progress.working_on = 0.0
        self._metrics.ingest_lag.set(0.0)
        if self._stopping.is_set():
            return False
        if self._fold.is_between:
            self._try(self._fold.advance)
            return True
        if self._settle_asked.is_set() or now - self._judged_at > self._lateness_seconds:
            self._settle()
            self._tell()
            self._settle_asked.clear()
        self._wake.wait(_IDLE_SECONDS)
        return True

    def _judge(self, stored: Stored) -> None:
        for observation in self._observe(stored, stored.body, stored.line or 1):
            self._count(stored, observation)
            self._fold.absorb(observation)
        try:
            self._take(self._fold.advance())
        except Exception as error:  # noqa: BLE001  # one body must not stop the others; it is kept, counted and told
            self._reject(stored, error)
            return
        summary = self._fold.input()
        duplicates, late = summary.duplicates, summary.late
        self._metrics.dropped.labels("duplicate").inc(max(0, duplicates - self._counted[0]))
        self._metrics.events.labels(stored.source, "late").inc(max(0, late - self._counted[1]))
        self._counted = (duplicates, late)
        self._count_failures()

    def _take(self, news: News) -> None:
        """Have news told with the next telling."""
        for item in news.changed:
            self._pending[item.id] = item
            self._withdrawn.pop(item.id, None)
        for gone in news.withdrawn:
            self._pending.pop(gone.id, None)
            self._withdrawn[gone.id] = gone

    def _settle(self) -> None:
        """Judge in order what waits for earlier events; told is what turns out otherwise."""
        if not self._fold.is_settled:
            self._try(self._fold.settle)
            self._count_failures()

    def _try(self, judge: Callable[[], News]) -> None:
        """Judge what waits; a failure outside all parts is counted and logged, and judging goes on."""
        try:
            self._take(judge())
        except Exception as error:  # noqa: BLE001  # counted and logged; an engine that ends would judge nothing more
            self._metrics.part_failures.labels("order", type(error).__name__).inc()
            self._log.exception("what waits could not be judged in order; it is tried again")
            self._stopping.wait(_RETRY_SECONDS)

    def _count_failures(self) -> None:
        for failure in self._fold.failures():
            key = (failure.part, failure.error)
            known = self._part_failures.get(key, 0)
            if failure.count == known:
                continue
            self._part_failures[key] = failure.count
            self._metrics.part_failures.labels(*key).inc(failure.count - known)
            if not known:
                self._log.error(
                    "a part of the engine failed; everything else went on",
                    part=failure.part,
                    error=failure.error,
                    place=failure.place,
                    audit_id=failure.audit_id,
                )

    def _observe(self, stored: Stored, body: bytes, first_line: int) -> Iterator[Observation]:
        """What `read` makes of the lines; when it fails, of all lines but those that it fails on."""
        skipping = Skipping()
        try:
            observation = self._reader.read(
                skipping.heard(batches(body, file=stored.place, first_line=first_line, cluster=stored.cluster))
            )
        except Exception as error:  # noqa: BLE001  # one event must not cost the others; it is kept, counted and told
            lines = body.split(b"\n")
            if len(lines) == 1:
                self._reject(msgspec.structs.replace(stored, body=body, line=first_line), error)
                return
            middle = len(lines) // 2
            yield from self._observe(stored, b"\n".join(lines[:middle]), first_line)
            yield from self._observe(stored, b"\n".join(lines[middle:]), first_line + middle)
            return
        observation.file = stored.file
        skipping.tell(observation)
        yield observation

    def _count(self, stored: Stored, observation: Observation) -> None:
        metrics = self._metrics
        metrics.events.labels(stored.source, "judged").inc(observation.events)
        metrics.events.labels(stored.source, "partial").inc(observation.partial)
        if observation.malformed_total:
            metrics.dropped.labels("malformed").inc(observation.malformed_total)
            for malformed in observation.malformed[:_MALFORMED_LOGGED]:
                self._log.warning("malformed", file=malformed.file, line=malformed.line, reason=malformed.reason)
        if observation.skipped:
            metrics.dropped.labels("not_an_audit_event").inc(observation.skipped)
            for reason in observation.skipped_reasons.keys() - self._skipped_logged:
                self._skipped_logged.add(reason)
                self._log.info("records are skipped, and counted from now on", file=stored.file, reason=reason)

    def _reject(self, stored: Stored, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._tell_of_failure(stored, reason)
        self._metrics.dropped.labels("engine_error").inc()
        self._until_stored(lambda: self._spool.reject(stored, reason))

    def _tell_of_failure(self, stored: Stored, reason: str) -> None:
        """Log it: in full at first, then once in a while, as the same fault can meet every body."""
        self.failed_bodies += 1
        now = self._clock()
        if self.failed_bodies <= _FAILURES_LOGGED or now - self._failure_logged_at > _FAILURE_LOG_SECONDS:
            self._failure_logged_at = now
            self._log.exception(
                "an event or body could not be judged; the spool's table `rejected` keeps it",
                file=stored.file,
                reason=reason,
                so_far=self.failed_bodies,
            )

    def _take_notice(self) -> None:
        """Have it told what is blind, expired, out of date or forgotten; the state knows what was told before."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(self._clock()))
        for notice in self._fold.standing_notices():
            if notice.id not in self._noticed:
                self._noticed.add(notice.id)
                self._pending[notice.id] = msgspec.structs.replace(notice, time=notice.time or now)

    def _tell(self, *, everything: bool = True) -> None:
        """Have told what waits to be told; without `everything`, what only grows may wait a little longer."""
        sequence = self.progress.sequence
        if sequence < self._told_until:
            return
        if self._is_catching_up:
            self._is_catching_up = False
            self._settle()
        everything = everything or bool(self._withdrawn)  # what stands for something withdrawn is told with it
        items = [item for item in self._pending.values() if everything or self._ledger.is_pressing(item)]
        if items or self._withdrawn:
            cursors = {_TOLD: b"%d" % sequence}
            if self._until_stored(lambda: self._ledger.record(items, cursors, withdrawn=self._withdrawn.values())):
                for item in items:
                    del self._pending[item.id]
                self._withdrawn.clear()

    def _maybe_save(self) -> None:
        sequence = self.progress.sequence
        if sequence == self._covered or sequence < self._told_until or self._fold.is_between:
            return
        due = self._clock() - self._saved_at >= self._snapshot_seconds
        if due:
            self._take_notice()
        if due or (self._spool.bytes > self._spool_high_bytes and self._clock() - self._saved_at > _RETRY_SECONDS):
            self._saved_at = self._clock()
            self._tell()
            try:
                self.save()
                self.progress.failure = ""
            except StoreError as error:
                self._failed(error)

    def _until_stored(self, store: Callable[[], object], *, once: bool = False) -> bool:
        """Findings are not lost to a full disk: judging waits, the spool fills, senders are told to wait.

        False where it gave up, as it is time to stop.
        """
        while True:
            try:
                store()
                self.progress.failure = ""
                return True
            except StoreError as error:
                self._failed(error)
                if once or (self._stopping.is_set() and self._clock() > self._deadline):
                    return False
                time.sleep(_RETRY_SECONDS)

    def _failed(self, error: StoreError) -> None:
        self.progress.failure = str(error)
        self._log.error("the state cannot be read or written; will try again", error=str(error))

    def _renew(self) -> None:
        """Take rules and lists that were read, and have them read again where that was asked for."""
        if self._loading is not None and self._loading.is_done:
            self._take_new_rules(self._loading)
            self._loading = None
        if self._loading is None and self._reload.is_set():
            self._reload.clear()
            self._loading = Loading(self._knowledge, ended=self._wake.set)

    def _take_new_rules(self, loading: Loading) -> None:
        try:
            reader, fold = self._engine(loading.result())
            while self._fold.is_between:
                self._take(self._fold.advance())
            snapshot = self._fold.snapshot()
            self._tell_failures()
            fold.succeed(self._fold, snapshot)
        except KubewakeError as error:
            self._log.error("the rules were not taken, the old ones stay", error=str(error))
            return
        self._reader, self._fold = reader, fold
        self._take_notice()
        self._log.info("rules read again", rules=len(fold.infos))
