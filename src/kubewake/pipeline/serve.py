"""`serve`: sources, spool, engine, state and sinks put together in one process, from start to clean shutdown."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from kubewake import __version__
from kubewake.errors import ExitCode, SettingsError, StoreError
from kubewake.finding import Finding, Incident
from kubewake.logs import logger
from kubewake.metrics import Metrics
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.following import SOURCE as FOLLOW
from kubewake.pipeline.following import Following
from kubewake.pipeline.judge import Judge
from kubewake.pipeline.ledger import Ledger
from kubewake.pipeline.loading import Loaded, Loading
from kubewake.pipeline.memory import rare_collections
from kubewake.pipeline.reception import SOURCE as WEBHOOK
from kubewake.pipeline.reception import Answered, Reception
from kubewake.pipeline.stopping import Signals
from kubewake.settings import Settings
from kubewake.sinks import Filter, Sink, open_sink
from kubewake.sinks.courier import Courier
from kubewake.sinks.jsonl import JsonLines
from kubewake.sources.follow import Follower
from kubewake.store.folder import Folder
from kubewake.store.spool import Spool
from kubewake.store.state import State

_LOGGED_REFUSALS_SECONDS = 10.0
"""Refused POSTs are counted all, and logged once in so long for each reason."""
_WATCH_SECONDS = 0.5
_TIDY_SECONDS = 600.0
_REFRESH_SECONDS = 3_600.0
"""Reading rules again costs a second or two of one core."""
_DAY_SECONDS = 86_400.0


class Service:
    """Everything that runs while kubewake serves. `start`, then `stop`; raises KubewakeError when it cannot start."""

    def __init__(
        self,
        settings: Settings,
        *,
        sinks: Sequence[Sink] | None = None,
        loaded: Loaded | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`loaded` is what `knowledge_of` the settings comes to, where it was read already."""
        if not settings.listen and not settings.follow:
            raise SettingsError("nothing to do: listen is empty and no file is followed; give --listen or --follow")
        self._settings = settings
        self._clock = clock
        self._log = logger("serve")
        self._logged: dict[str, float] = {}
        self._tidy_at = 0.0
        self._refresh_at = clock() + _REFRESH_SECONDS
        self.metrics = Metrics(__version__)
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._build(stack, sinks, loaded)
            self._stack = stack.pop_all()

    def _build(self, stack: contextlib.ExitStack, sinks: Sequence[Sink] | None, loaded: Loaded | None) -> None:
        settings = self._settings
        folder = stack.enter_context(Folder(Path(settings.state_dir).expanduser()))
        state = self._state = State(folder.state)
        stack.callback(state.close)
        spool = self._spool = Spool(folder.spool, settings.spool_max_bytes, on_append=self._received, clock=self._clock)
        stack.callback(spool.close)
        self._sinks = list(open_sinks(settings)) if sinks is None else list(sinks)
        for gone, count in state.forget_sinks(sink.name for sink in self._sinks).items():
            self._log.warning("messages for a sink that is configured no more were dropped", sink=gone, messages=count)
            self.metrics.deliveries.labels(gone, "dropped").inc(count)
        self._couriers = [Courier(sink, state, self._count_delivery, clock=self._clock) for sink in self._sinks]
        self._judge = Judge(
            spool,
            state,
            knowledge_of(settings),
            Ledger(state, self._sinks, self.metrics, self._wake_couriers, clock=self._clock),
            self.metrics,
            lateness_seconds=settings.lateness_seconds,
            snapshot_seconds=settings.snapshot_seconds,
            spool_max_bytes=settings.spool_max_bytes,
            loaded=loaded,
            clock=self._clock,
        )
        self._following = self._follow() if settings.follow else None
        self.reception = self._receive(folder.spool) if settings.listen else None

    def _follow(self) -> Following:
        settings = self._settings
        follower = Follower(
            settings.follow,
            self._spool.cursor(FOLLOW),
            start=settings.follow_from,
            line_max_bytes=settings.line_max_bytes,
            trouble=self._trouble,
        )
        return Following(
            follower,
            self._spool,
            self.metrics,
            cluster=settings.cluster,
            poll_seconds=settings.follow_poll_seconds,
            judged=lambda: self._judge.progress.sequence,
        )

    def _receive(self, spool: Path) -> Reception:
        return Reception(
            self._settings,
            spool,
            appended=self._received,
            answered=self._count_answer,
            problems=self.problems,
            metrics_text=self.metrics_text,
        )

    def start(self) -> None:
        """Begin to receive, judge and tell."""
        for courier in self._couriers:
            courier.start()
        self._judge.start()
        if self._following is not None:
            self._following.start()
        if self.reception is not None:
            self.reception.start()

    def stop(self) -> None:
        """Take nothing more, judge what is stored, save the state, send what is due, close."""
        deadline = self._clock() + self._settings.shutdown_seconds
        if self.reception is not None:
            self.reception.stop()
        if self._following is not None:
            self._following.stop()
        self._judge.stop(max(0.0, deadline - self._clock()) / 2)
        for courier in self._couriers:
            courier.stop(max(0.5, deadline - self._clock()))
        self._stack.close()

    def settle(self, seconds: float) -> bool:
        """Wait until everything received is judged, in order, and told; False when that takes longer than `seconds`."""
        end = time.monotonic() + seconds
        pause = threading.Event()
        asked = False
        while time.monotonic() < end:
            idle = not self._spool.read(self._judge.progress.sequence, 1) and not self._judge.progress.working_on
            if idle and not asked:
                self._judge.settle()
                asked = True
            elif idle and self._judge.is_settled and all(courier.is_idle.is_set() for courier in self._couriers):
                return True
            pause.wait(0.05)
        return False

    def findings(self) -> list[Finding]:
        """Every finding in the state, by time, with the incident that it is in now; credentials are redacted."""
        found = [msgspec.json.decode(item.body, type=Finding) for item in self._state.all_items("finding")]
        incident_of = {finding: incident.id for incident in self.incidents() for finding in incident.findings}
        for finding in found:
            finding.incident = incident_of.get(finding.id)
        return found

    def incidents(self) -> list[Incident]:
        """Every incident in the state, by time."""
        return [msgspec.json.decode(item.body, type=Incident) for item in self._state.all_items("incident")]

    def reload(self) -> None:
        """Read rules and certificates again; what cannot be used is logged, and the old stays."""
        self._judge.reload()
        if self.reception is not None:
            self.reception.reload()

    def refresh(self) -> None:
        """Read rules and lists again once in a while: exceptions expire, lists of addresses are published anew."""
        now = self._clock()
        if now >= self._refresh_at and (self._settings.rules or self._settings.intelligence):
            self._refresh_at = now + _REFRESH_SECONDS
            self._judge.reload()

    def tidy(self) -> None:
        """Forget what is too old to be told again, and messages beyond what may wait for a target that is down."""
        now = self._clock()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _TIDY_SECONDS
        try:
            self._state.prune(now - self._settings.retention_days * _DAY_SECONDS)
            for sink, count in self._state.trim(self._settings.outbox_max_messages).items():
                self.metrics.deliveries.labels(sink, "dropped").inc(count)
                self._log.error(
                    "a target took nothing for too long; its oldest messages were dropped", sink=sink, messages=count
                )
        except StoreError as error:
            self._log.error("the state cannot be tidied", error=str(error))

    def problems(self) -> list[str]:
        """Why kubewake is not ready."""
        found = [self._spool.failure, self._judge.progress.failure]
        if not self._judge.is_alive and not self._judge.progress.failure:
            found.append("the engine is not running")
        if self._spool.bytes >= self._settings.spool_max_bytes:
            found.append("the spool is full (setting spool_max_bytes)")
        lag = self._judge.lag_seconds
        if lag > self._settings.ready_lag_seconds:
            found.append(f"the engine is {lag:.0f} seconds behind (setting ready_lag_seconds)")
        if self._following is not None:
            found.append(self._following.failure)
        if self.reception is not None and not self.reception.is_alive:
            found.append("the webhook's process is not running")
        return [problem for problem in found if problem]

    def metrics_text(self) -> bytes:
        """Prometheus text, gauges brought up to date."""
        self.metrics.ingest_lag.set(self._judge.lag_seconds)
        self.metrics.spool_bytes.set(self._spool.bytes)
        self.metrics.spool_bodies.set(self._spool.bodies)
        waiting = self._state.waiting()
        for sink in self._sinks:
            self.metrics.outbox.labels(sink.name).set(waiting.get(sink.name, 0))
        return self.metrics.text()

    def _count_answer(self, answer: Answered) -> None:
        self.metrics.posts.labels(str(answer.code)).inc()
        self.metrics.post_seconds.observe(answer.seconds)
        if not answer.reason:
            self.metrics.events.labels(WEBHOOK, "received").inc(answer.events)
            return
        self.metrics.dropped.labels(answer.reason).inc()
        now = self._clock()
        if now - self._logged.get(answer.reason, 0.0) > _LOGGED_REFUSALS_SECONDS:
            self._logged[answer.reason] = now
            self._log.warning("a POST was refused", reason=answer.reason, code=answer.code)

    def _trouble(self, reason: str, file: str, line: int) -> None:
        self.metrics.dropped.labels(reason).inc()
        self._log.warning("lines of a followed file are lost", reason=reason, file=file, line=line)

    def _received(self) -> None:
        self._judge.wake()

    def _wake_couriers(self) -> None:
        for courier in self._couriers:
            courier.wake()

    def _count_delivery(self, sink: str, outcome: str, number: int) -> None:
        self.metrics.deliveries.labels(sink, outcome).inc(number)

    @property
    def failed_bodies(self) -> int:
        """Bodies that the engine could not judge."""
        return self._judge.failed_bodies

    @property
    def health(self) -> str:
        """Why it cannot go on at all; empty while it can."""
        return self._judge.progress.failure if not self._judge.is_alive else ""


def knowledge_of(settings: Settings) -> Knowledge:
    """What the settings say to detect with."""
    return Knowledge(
        rule_paths=tuple(Path(path).expanduser() for path in settings.rules),
        intelligence=Path(settings.intelligence).expanduser() if settings.intelligence else None,
        baseline=Path(settings.baseline).expanduser() if settings.baseline else None,
    )


def open_sinks(settings: Settings) -> Iterator[Sink]:
    """The sinks that the settings ask for."""
    if settings.output != "none":
        form = "text" if settings.output == "auto" else settings.output
        wanted = Filter(settings.print_min_severity, settings.audience, growth=form == "jsonl")
        yield open_sink("stdout", form, wanted)
    if settings.out:
        yield JsonLines(Path(settings.out).expanduser(), Filter(growth=True, suppressed=True), fsync=settings.out_fsync)
    for url in settings.notify:
        yield open_sink(
            "apprise", url, Filter(settings.notify_min_severity, settings.audience, notices=False, joined=False)
        )


@rare_collections()
def serve(settings: Settings, signals: Signals, *, started: Callable[[Service], None] = lambda _service: None) -> int:
    """Serve until the signals say to stop, which they may while it still starts."""
    log = logger("serve")
    loading = Loading(knowledge_of(settings), copies_first=True)
    if not loading.wait(lambda: signals.is_stopping):
        log.info("stopped before it had started")
        return ExitCode.CLEAN
    service = Service(settings, loaded=loading.result())
    try:
        if not signals.is_stopping:
            service.start()
            started(service)
        while not signals.wait(_WATCH_SECONDS):
            if signals.take_reload():
                service.reload()
            if service.health:
                raise StoreError(service.health)
            service.refresh()
            service.tidy()
        if signals.stop_signal is not None:
            log.info("stopping", signal=signals.stop_signal.name)
    finally:
        signals.begin_to_end()
        service.stop()
    log.info("stopped")
    return ExitCode.CLEAN
