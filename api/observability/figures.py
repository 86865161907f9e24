"""Figures for Prometheus that the store has: jobs, what they took, how good plans and forecasts are, what was told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from prometheus_client.core import (
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from api.database.tables import jobs, notices
from api.store.store import Store

ERRORS = ("wql", "mase")
"""Errors of forecasts that are told, as the run report names them."""
SOLVE_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
GAPS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper ends of what plans are counted in: seconds that a solve took, and the share between cost and bound."""
_STORE_UP = "Whether the store answers."


class StoreFigures(Collector):
    """Figures of the rows of all tenants, as they are at this moment; services that share a store tell the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """All of them, or only that the store does not answer."""
        try:
            found = [*self._jobs(), *self._plans(), *self._forecasts(), *self._notices()]
        except SQLAlchemyError:
            yield GaugeMetricFamily("planner_store_up", _STORE_UP, value=0)
            return
        yield GaugeMetricFamily("planner_store_up", _STORE_UP, value=1)
        yield from found

    def _jobs(self) -> Iterable[Metric]:
        counted = GaugeMetricFamily("planner_jobs", "Jobs in the store.", labels=("kind", "status"))
        for (kind, status), count in self._store.counts().items():
            counted.add_metric([kind, status], count)
        oldest = self._store.oldest_queued()
        waits = 0.0 if oldest is None else (datetime.now(UTC) - datetime.fromisoformat(oldest)).total_seconds()
        took = SummaryMetricFamily("planner_job_seconds", "Seconds that jobs took which are done.", labels=("kind",))
        query = select(jobs.c.kind, func.count(jobs.c.seconds), func.sum(jobs.c.seconds))
        with self._store.engine.connect() as connection:
            for kind, count, seconds in connection.execute(query.where(jobs.c.status == "done").group_by(jobs.c.kind)):
                took.add_metric([kind], count, seconds or 0.0)
        what = "How long the job that waits longest has waited."
        return counted, took, GaugeMetricFamily("planner_oldest_queued_seconds", what, value=max(waits, 0.0))

    def _plans(self) -> Iterable[Metric]:
        newest = self._store.jobs("plan", 1, None, "done")
        for name, column, what in (("planner_last_plan_seconds", "seconds", "Seconds that the last plan took."),
                                   ("planner_last_plan_gap", "gap", "Share between the last plan and its bound.")):
            value = getattr(newest[0], column) if newest else None
            if value is not None:
                yield GaugeMetricFamily(name, what, value=value)
        yield self._counted("planner_plan_seconds", "Seconds that plans took which are done.", jobs.c.seconds, SOLVE_S)
        yield self._counted("planner_plan_gap", "Share between plans that are done and their bounds.", jobs.c.gap, GAPS)

    def _counted(self, name: str, what: str, column: ColumnElement[float], ends: Sequence[float]) -> Metric:
        """Plans that are done, counted by a column; the database does the counting."""
        below = [func.count(case((column <= end, 1))) for end in ends]
        done = jobs.c.kind == "plan", jobs.c.status == "done"
        query = select(func.count(column), func.sum(column), *below).where(*done)
        with self._store.engine.connect() as connection:
            count, total, *counts = connection.execute(query).one()
        buckets = [(str(end), found) for end, found in zip(ends, counts, strict=True)]
        return HistogramMetricFamily(name, what, buckets=[*buckets, ("+Inf", count)], sum_value=total or 0.0)

    def _forecasts(self) -> Iterable[Metric]:
        newest = self._store.jobs("forecast", 1, None, "done")
        report = json.loads(self._store.result(newest[0].id) or "{}") if newest else {}
        scored: dict[str, float | None] = next(iter(report.get("backtest", {}).get("models", {}).values()), {})
        what = "Errors of the last forecast on the past of its series."
        errors = GaugeMetricFamily("planner_last_forecast_error", what, labels=("measure",))
        for measure in ERRORS:
            error = scored.get(measure)
            if error is not None:
                errors.add_metric([measure], error)
        yield errors

    def _notices(self) -> Iterable[Metric]:
        told = GaugeMetricFamily("planner_notices", "What people were told, by what became of it.",
                                 labels=("channel", "state"))  # what waits is sent: a series falls
        query = select(notices.c.channel, notices.c.state, func.count()).group_by(notices.c.channel, notices.c.state)
        with self._store.engine.connect() as connection:
            for channel, state, count in connection.execute(query):
                told.add_metric([channel, state], count)
        yield told
