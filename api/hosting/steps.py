"""The steps of retraining one hardware class in one country. Each may be done again after a crash in its middle.

drift -> ingest -> validate -> train -> evaluate -> canary -> promote. A step gives what the next ones need, and its
outcome: `go_on`, or why the run ends there. All of it is on record (`api.hosting.rollouts`).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select

from api.database.tables import drifts, verdicts
from api.hosting.rollouts import Hold, begin_canary, end_canary, note, record
from api.hosting.scoring import score
from api.hosting.sealing import Sealing, sealer_of
from api.hosting.streams import DAY_S, Reader, Row
from api.hosting.transactions import writing
from api.settings import Settings
from planner.hosting import HostedWork

if TYPE_CHECKING:
    from diagnostics.store import ModelStore

Facts = dict[str, Any]
GO_ON = "go_on"
STEPS = ("drift", "ingest", "validate", "train", "evaluate", "canary", "promote")
QUALITY = ("missed_at_budget", "relative_error")
"""Losses by which a version is better or worse, beside the scenarios that it may not get worse on at all. Faults are
missed at one budget of false alarms for both, whose thresholds come from the same calm rows that neither has seen.
"""
LOOK_S = 1.0
BY = "retraining"
ROWS = "rows"
"""Folder, in that of models, of rows that they were trained on."""


@dataclass(frozen=True)
class Steps:
    """The steps of one run, `run` its id, for the workload that trains. `hold` ends this process where another host has
    taken over, which goes on with the run.
    """

    engine: Engine
    settings: Settings
    workload: str
    work: HostedWork
    run: str
    hold: Hold = lambda _: None

    @property
    def hardware_class(self) -> str:
        """The class that is trained."""
        return self.work.watches.hardware_class

    @property
    def reader(self) -> Reader:
        """Rows of the country that this class is trained in."""
        return Reader(self.engine, self.work.watches.country, Sealing.of(self.settings))

    def named(self) -> dict[str, Callable[[Facts], Facts]]:
        """The steps by name, in order."""
        return {name: getattr(self, name) for name in STEPS}

    def done(self, step: str, facts: Facts) -> Facts:
        """Do a step and put on record what became of it. What is on record before a crash is not done again: it might
        end otherwise, and runs go on by what the record says.
        """
        for one in record(self.engine, self.run):
            if one["step"] == step:
                return {"outcome": one["outcome"], **one["detail"]}
        found = self.named()[step](facts)
        kept = {name: value for name, value in found.items() if name != "outcome"}
        note(self.engine, (self.run, self.workload, self.hardware_class), step, found["outcome"], kept,
             self.hold)
        return found

    # Data -------------------------------------------------------------------------------------------------------------

    def ingest(self, _: Facts) -> Facts:
        """Write what may be trained on into a file: rows of this country, of clusters that agreed, names hashed, as
        means of the steps of models.
        """
        import pandas as pd

        from diagnostics.intake import IntakeError, Names

        secret = self.settings.retraining.name_key
        if secret is None:
            return _end("retraining.name_key is not set: names are hashed with it before rows are pooled")
        try:
            names = Names(secret.get_secret_value().encode())
        except IntakeError as error:
            return _end(f"retraining.name_key: {error}")
        agreed = self.reader.opted_in(self.work.watches.clusters)
        newest = self.reader.newest(agreed)
        if not newest:
            return _end("no rows of a cluster that opted in")
        after = max(newest.values()) + 1
        columns: dict[str, Any] = {"cluster": [], "host": [], "metric": [], "ts": array("q"), "value": array("d")}
        for cluster in agreed:
            hashed, hosts = names.cluster(cluster), dict[str, str]()
            for host, metric, at, mean in self._means(cluster, after - self.settings.retraining.days * DAY_S, after):
                if host not in hosts:
                    hosts[host] = names.host(cluster, host)
                for name, one in zip(columns, (hashed, hosts[host], metric, at, mean), strict=True):
                    columns[name].append(one)
        frame = pd.DataFrame(columns)
        frame["ts"] = pd.to_datetime(frame["ts"], unit="s", utc=True)
        frame["hardware_class"], frame["country"] = self.hardware_class, self.work.watches.country
        path = self.settings.model_folder / ROWS / f"{self.run}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = BytesIO()
        frame.to_parquet(content, index=False)
        beside = path.with_suffix(".part")
        beside.write_bytes(sealer_of(self.settings).seal(content.getvalue()))
        beside.replace(path)
        return _on(data=str(path), values=len(frame), clusters=len(agreed))

    def _means(self, cluster: str, first: int, after: int) -> Iterator[tuple[str, str, int, float]]:
        """Means of a cluster's values by host, metric and step, day by day: models know nothing finer, and a cluster
        that sends more rows takes no more memory.
        """
        step_s = self.settings.retraining.step_minutes * 60
        for day in range(first - first % DAY_S, after, DAY_S):
            sums: dict[tuple[str, str, int], list[float]] = {}
            for ts, hosts in self.reader.between(cluster, max(first, day), min(after, day + DAY_S)):
                for host, metrics in hosts.items():
                    for metric, value in metrics.items():
                        cell = sums.setdefault((host, metric, ts - ts % step_s), [0.0, 0.0])
                        cell[0] += value
                        cell[1] += 1.0
            for (host, metric, at), (total, count) in sums.items():
                yield host, metric, at, total / count

    def validate(self, facts: Facts) -> Facts:
        """Refuse rows that cannot be read, are too few days, or are mostly holes."""
        import numpy as np

        from diagnostics.training.errors import TrainingError
        from diagnostics.training.rows import Allowed, read_rows
        from diagnostics.training.search import FEWEST_DAYS

        try:
            rows = read_rows(
                Path(facts["data"]),
                Allowed(frozenset({self.work.watches.country})),
                self.settings.retraining.step_minutes,
                sealer_of(self.settings),
            )
        except TrainingError as error:
            return _end(str(error).splitlines()[0])
        known = float(np.isfinite(rows.values).mean())
        told = {"days": round(rows.days, 2), "hosts": len(rows.hosts), "known_share": round(known, 4)}
        if rows.days < FEWEST_DAYS:
            return _end(f"{rows.days:.1f} days of rows: at least {FEWEST_DAYS} are needed", **told)
        if known < 0.5:
            return _end(f"{known:.0%} of the values are known: at least half are needed", **told)
        return _on(**told)

    def drift(self, _: Facts) -> Facts:
        """Go on where the class has no model, or a month has drifted since the last run that looked at it and came to
        an end: one that failed (a full disk, a database that was away) is made up for.
        """
        query = select(drifts.c.cluster, drifts.c.day, drifts.c.metric).where(
            drifts.c.cluster.in_(sorted(self.work.watches.clusters)), drifts.c.drifted == 1
        )
        others = [one for one in record(self.engine) if one["workload"] == self.workload and one["run"] != self.run]
        ended = {one["run"] for one in others if one["outcome"] != GO_ON or one["step"] == STEPS[-1]}
        seen = max((one["detail"].get("day", -1) for one in others if one["step"] == "drift" and one["run"] in ended),
                   default=-1)  # fmt: skip
        with self.engine.connect() as connection:
            found = [row for row in connection.execute(query) if row.day > seen]
        told = {"drifted": sorted(f"{row.cluster} {row.metric}" for row in found),
                "day": max((row.day for row in found), default=seen)}  # fmt: skip
        if not found and self._with_store(lambda store: store.serving(self.hardware_class)) is not None:
            return _end("no drift since the last look", **told)
        return _on(**told)

    # Models -----------------------------------------------------------------------------------------------------------

    def train(self, facts: Facts) -> Facts:
        """Search for a model and register it as a candidate; a search that was cut off goes on where it was."""
        from diagnostics.lifecycle import TrainRequest, train
        from diagnostics.store import StoreError
        from diagnostics.training.errors import TrainingError
        from diagnostics.training.features import BUILTIN
        from diagnostics.training.rows import Allowed
        from diagnostics.training.search import SearchSettings

        asked = self.settings.retraining
        request = TrainRequest(Path(facts["data"]), self.hardware_class, BY, self.run,
                               Allowed(frozenset({self.work.watches.country})), self.settings.feature_sets or BUILTIN,
                               asked.step_minutes, SearchSettings(asked.search_s))  # fmt: skip
        try:
            made = self._with_store(lambda store: train(store, request))
        except (TrainingError, StoreError) as error:
            return _end(str(error).splitlines()[0])
        return _on(
            version=made.version.id,
            serving=None if made.serving is None else made.serving.id,
            seconds=round(made.seconds, 1),
            notes=list(made.notes),
        )

    def evaluate(self, facts: Facts) -> Facts:
        """Go on with a candidate that is better by a loss, worse by none, and not worse on any scenario."""
        from diagnostics.lifecycle import worse_on
        from diagnostics.store.compare import compare

        version, serving = facts["version"], facts["serving"]
        if serving is None:
            return _on(why="nothing serves the class yet")

        def judged(store: ModelStore) -> Facts:
            if version == serving:
                return _end("the candidate is what serves")
            worse = worse_on(store, store.version(version), store.version(serving))
            found = {one.loss: one for one in compare(store, [serving, version], losses=QUALITY).differences}
            told = {name: {"before": round(one.base_value, 5), "after": round(one.other_value, 5),
                           "verdict": one.verdict} for name, one in found.items()}  # fmt: skip
            if worse:
                return _end(f"not promoted: {'; '.join(worse)}", losses=told)
            verdict = {name: one.verdict for name, one in found.items()}
            if missing := [name for name in QUALITY if name not in verdict]:
                return _end(f"not measured beside {serving}: {', '.join(missing)}", losses=told)
            if bad := [name for name, one in verdict.items() if one == "worse"]:
                return _end(f"worse by {', '.join(bad)}", losses=told)
            if "better" not in verdict.values():
                return _end("not shown to be better", losses=told)
            return _on(losses=told)

        found: Facts = self._with_store(judged)
        return found

    def canary(self, facts: Facts) -> Facts:
        """Let one cluster be scored by the candidate, and go on where it raises hardly more alarms than what serves."""
        if facts["serving"] is None:
            return _on(why="nothing to fall back to")
        asked, version = self.settings.retraining, facts["version"]
        agreed = self.reader.opted_in(self.work.watches.clusters)
        tried = begin_canary(self.engine, self.hardware_class, self.run, version, agreed[0], self.hold)
        if tried.run != self.run:
            return _end(f"run {tried.run} tries another version on {tried.cluster}")
        while True:
            rows = self._scored(tried.cluster, version)
            if len(rows) >= asked.canary_rows:
                break
            if time.time() - tried.at > asked.canary_hours * 3600:
                end_canary(self.engine, self.hardware_class, self.run, self.hold)
                return _end(f"{len(rows)} rows in {asked.canary_hours:g} h: {asked.canary_rows} are needed",
                            cluster=tried.cluster)  # fmt: skip
            time.sleep(LOOK_S)
        now = sum(alarm for _, alarm in rows) / len(rows)
        before = self._alarms_of(facts["serving"], tried.cluster, [ts for ts, _ in rows])
        told = {"cluster": tried.cluster, "rows": len(rows), "alarm_share": round(now, 4),
                "alarm_share_of_serving": round(before, 4)}  # fmt: skip
        if now > before + asked.canary_more_alarms:
            end_canary(self.engine, self.hardware_class, self.run, self.hold)
            return _end("more alarms on the cluster that tried it: what served goes on", **told)
        return _on(**told)

    def promote(self, facts: Facts) -> Facts:
        """Let the candidate serve the class everywhere, unless somebody else has promoted another meanwhile."""
        from diagnostics.lifecycle import RegressionError, promote
        from diagnostics.store import PredecessorError

        def promoted(store: ModelStore) -> Facts:
            serving = store.serving(self.hardware_class)
            if serving is None or serving.id != facts["version"]:  # else: a crash came after it
                with writing(self.engine) as connection:  # it may be long since this was asked last
                    self.hold(connection)
                try:
                    promote(store, facts["version"], facts["serving"], BY, self.run)
                except (PredecessorError, RegressionError) as error:
                    return _end(str(error))
            return _on(version=facts["version"])

        found: Facts = self._with_store(promoted)
        end_canary(self.engine, self.hardware_class, self.run, self.hold)
        return found

    def _scored(self, cluster: str, version: str) -> list[tuple[int, bool]]:
        """Rows of a cluster that a version has scored, and whether in alarm."""
        query = select(verdicts.c.ts, verdicts.c.status).where(
            verdicts.c.cluster == cluster, verdicts.c.model_version == version
        )
        with self.engine.connect() as connection:
            return [(row.ts, row.status == "alarm") for row in connection.execute(query)]

    def _alarms_of(self, version: str, cluster: str, times: list[int]) -> float:
        """The share of rows that a version would have raised an alarm on."""
        from diagnostics.lifecycle import open_model

        model = self._with_store(lambda store: open_model(store, store.version(version)))
        found = self.reader.at([cluster], times)
        rows = [Row(self.workload, cluster, 0, ts, 0.0, found[cluster, ts]) for ts in times]
        said = score(model, rows, self.reader.at)
        return sum(one.status == "alarm" for one in said) / len(said)

    def _with_store(self, asked: Callable[[ModelStore], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        from diagnostics.store import ModelStore

        store = ModelStore(self.settings.model_folder, self.settings.model_database, sealer=sealer_of(self.settings))
        try:
            return asked(store)
        finally:
            store.close()


def _on(**told: Any) -> Facts:  # noqa: ANN401 - whatever JSON holds
    return {"outcome": GO_ON, **told}


def _end(why: str, **told: Any) -> Facts:  # noqa: ANN401 - whatever JSON holds
    return {"outcome": why, **told}
