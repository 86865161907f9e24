"""A host: serves what the plan in force gives its cluster, as long as it lives, and takes over where another died.

One thread looks around twice a second: it says that the host lives, follows the plan and the health of clusters, and
holds the leases of what is to be served here. Another works: rows in, verdicts out. Neither waits for the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.hosting.figures import Figures
from api.hosting.health import Health
from api.hosting.leases import Leases
from api.hosting.models import Loaded, Models
from api.hosting.plans import Following
from api.hosting.results import Said, keep_drifts, keep_verdicts
from api.hosting.rollouts import Canary, canaries
from api.hosting.sealing import Sealing
from api.hosting.streams import DAY_S, Purpose, Reader, Row
from api.hosting.training import Training
from planner.errors import InputError
from planner.hosting import Hosted, HostedWork

LOOK_S = 0.5
REST_S = 0.2
"""How long the host rests when nothing waits."""
AWAY_S = 1.0
"""How long it rests when the database does not answer."""
PURPOSES: tuple[Purpose, ...] = "score", "drift"
"""What streams are read for, row by row or day by day."""
TELL_AGAIN_S = 60.0
"""How long the log is silent about what fails again for the same reason."""


@dataclass(frozen=True)
class Duty:
    """What is served now: the work, and the epochs of its leases."""

    work: Mapping[str, HostedWork]
    epochs: Mapping[str, int]

    def of(self, purpose: str) -> dict[str, HostedWork]:
        """The part of it with one purpose."""
        return {name: one for name, one in self.work.items() if one.watches.purpose == purpose}


class Host:
    """Serves one cluster. `run` until `stop`."""

    def __init__(
        self, engine: Engine, name: str, cluster: str, models: Models, sealing: Sealing, training: Training,
        stores: Mapping[str, Path] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.cluster = name, cluster
        self.figures = Figures(cluster)
        self._engine, self._models, self._sealing, self._training = engine, models, sealing, training
        self._stores = stores or {}
        self._leases = Leases(engine, name, cluster)
        self._following, self._health = Following(engine), Health(engine, cluster)
        self._duty = Duty({}, {})
        self._reader: Reader | None = None
        self._stopping = threading.Event()
        self._told: dict[str, tuple[str, float]] = {}
        self._log = structlog.get_logger("api.hosting")

    def stop(self) -> None:
        """Ask it to end; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until asked to stop; leases are given back then. What one thread cannot handle ends both, and is
        raised here: a host that does half of its work is taken for one that does all.
        """
        try:
            with ThreadPoolExecutor(1, "looking") as pool:
                looking = pool.submit(self._look_around)
                self._work()
            looking.result()
        finally:
            self._training.stop()
            try:
                self._leases.leave()
            except SQLAlchemyError as error:
                self._failed("database", error)

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                worked = None
                try:
                    worked = self._round()
                except SQLAlchemyError as error:
                    self._failed("database", error)
                except InputError as error:
                    self._failed("rows", error)
                self.figures.ended_round()
                if not worked:
                    self._stopping.wait(REST_S if worked is not None else AWAY_S)
        finally:
            self._stopping.set()

    def _failed(self, what: str, error: object, cluster: str = "") -> None:
        self.figures.errors.labels(what).inc()
        self._tell(f"{what} {cluster}".strip(), str(error).splitlines()[0])

    def _tell(self, what: str, why: str) -> None:
        """Say in the log what fails, once for a while."""
        moment = time.monotonic()
        before, at = self._told.get(what, ("", 0.0))
        if why != before or moment - at > TELL_AGAIN_S:
            self._told[what] = why, moment
            self._log.warning("failed", what=what, why=why)

    # Looking around ---------------------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    if self.figures.well:  # a host that is stuck stops saying that it lives, and another takes over
                        self._look()
                except SQLAlchemyError as error:
                    self._failed("database", error)
                except InputError as error:
                    self._failed("plan", error)
                except OSError as error:  # no process can be started
                    self._failed("training", error)
                self._stopping.wait(LOOK_S)
        finally:
            self._stopping.set()

    def _look(self) -> None:
        living = self._leases.beat()
        hosted = self._following.now()
        if hosted is None:
            self._tell("plan", "no plan is in force: waiting for one")
        lost = self._health.heard(living, hosted)
        if living.silent:
            self._leases.bury(living.silent)
        wanted = {} if hosted is None else self._wanted(hosted, frozenset(living.alive.values()), lost)
        before = self._duty.epochs
        epochs = self._leases.hold(wanted, {} if hosted is None else {name: hosted.plan_of(name) for name in wanted})
        taken = sorted(name for name, epoch in epochs.items() if before.get(name) != epoch)
        if taken or epochs.keys() != before.keys():
            self.figures.takeovers.inc(len(taken))
            self._log.info("leases", held=len(epochs), taken=len(taken), given_back=len(before.keys() - epochs.keys()))
        if hosted is not None and taken:
            self._begin(hosted, {name: wanted[name] for name in taken if name in wanted})
        self._duty = Duty({name: wanted[name] for name in epochs if name in wanted}, epochs)
        self._training.keep(self._duty.of("train"), epochs)
        for purpose in ("score", "drift", "train"):
            self.figures.held.labels(purpose).set(len(self._duty.of(purpose)))

    def _wanted(self, hosted: Hosted, alive: frozenset[str], lost: frozenset[str]) -> dict[str, HostedWork]:
        """The work that may be served here: by the plan, and as its rows may be in this country.

        Clusters that are said to be lost serve nothing, even when their hosts are back, as long as others may: the last
        one whose host lives serves rather than nobody.
        """
        here = hosted.clusters.get(self.cluster)
        if here is None:
            near = get_close_matches(self.cluster, hosted.clusters, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(hosted.clusters)[:10])}"
            raise InputError([f"--cluster: {self.cluster}: not a cluster of the plan in force{hint}"])
        if self._reader is None or self._reader.country != here.country:
            self._reader = Reader(self._engine, here.country, self._sealing)
        near = [store for store in here.model_stores if store in self._stores]
        if near != list(self._models.nearer):
            self._models.nearer = {store: self._stores[store] for store in near}
        losses = hosted.losses()
        found = {}
        for name, work in hosted.work.items():
            if work.watches.country != here.country:
                continue
            if self.cluster in (work.served_on(alive - lost, losses) or work.served_on(alive, losses)):
                found[name] = work
        return found

    def _begin(self, hosted: Hosted, work: Mapping[str, HostedWork]) -> None:
        assert self._reader is not None
        for purpose in PURPOSES:
            watching = [(name, cluster) for name, one in work.items() for cluster in one.watches.clusters
                        if one.watches.purpose == purpose and cluster in hosted.clusters]  # fmt: skip
            self._reader.begin(watching, purpose)

    # Working ----------------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        """Score what waits; where nothing does, compare the months of one cluster. Whether anything was done."""
        duty, reader = self._duty, self._reader
        if reader is None:
            return False
        self.figures.store.set(1 if self._models.refresh() else 0)
        scored = self._score(duty, reader)
        if broken := sorted(reader.broken.items()):
            more = f"; of {len(broken) - 1} more clusters, too" if broken[1:] else ""
            self._failed("rows", broken[0][1] + more)
        return scored or self._compare(duty, reader)

    def _score(self, duty: Duty, reader: Reader) -> bool:
        scoring = duty.of("score")
        rows = reader.pending(scoring)
        said = self._verdicts(scoring, rows, reader)
        self.figures.loaded(self._models.versions())
        self.figures.lag.set(len(rows) and reader.lag(scoring))
        if not said:
            return False
        epochs = {name: duty.epochs[name] for name in {one.verdict.row.workload for one in said}}
        seconds = keep_verdicts(self._engine, self.name, epochs, said, self._models.held)
        for taken in seconds:
            self.figures.seconds.observe(taken)
        for one in said[: len(seconds)]:
            self.figures.rows.labels(one.verdict.status).inc()
        return bool(seconds)

    def _verdicts(self, scoring: Mapping[str, HostedWork], rows: list[Row], reader: Reader) -> list[Said]:
        """Score rows, all that one model answers for together; rows without a model wait for one."""
        from api.hosting.scoring import score

        tried = canaries(self._engine) if rows else {}
        by_model: dict[tuple[str, str | None], tuple[Loaded, list[Row]]] = {}
        for row in rows:
            hardware = scoring[row.workload].watches.hardware_class
            loaded, run = self._model_for(hardware, row.cluster, tried.get(hardware))
            if loaded is not None:
                by_model.setdefault((loaded.version, run), (loaded, []))[1].append(row)
        said = []
        for (version, run), (loaded, some) in by_model.items():
            said += [Said(verdict, version, run) for verdict in score(loaded.model, some, reader.at)]
        return said

    def _model_for(self, hardware: str, cluster: str, tried: Canary | None) -> tuple[Loaded | None, str | None]:
        """The version that is tried on the cluster, if one is and can be read, with the run that tries it; else what
        serves the class.
        """
        if tried is not None and tried.cluster == cluster:
            found = self._models.version(tried.version)
            if found is not None:
                return found, tried.run
        return self._models.of(hardware), None

    def _compare(self, duty: Duty, reader: Reader) -> bool:
        """Compare the months of one cluster whose stream has gone on to another day."""
        from api.hosting.monitoring import compare

        monitors = {one.watches.clusters[0]: name for name, one in duty.of("drift").items()}
        due = reader.due(monitors, DAY_S)
        for cluster, day in due:
            name = monitors[cluster]
            try:
                found = compare(reader, cluster, duty.work[name].watches.hardware_class, day)
            except InputError as error:  # the others are compared all the same
                self._failed("rows", error, cluster)
                continue
            if keep_drifts(self._engine, self.name, (name, duty.epochs[name]), (cluster, day), found):
                self.figures.drifts.labels(str(any(one.drifted for one in found)).lower()).inc()
            return True
        return False
