"""Forecast a history that came with the request or that the service holds, or those that a scenario names."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from api.folders import named_file
from api.jobs.job import CannotBeError, Task
from api.kinds.view import shown
from api.scenarios import scenario_of
from api.store.files import BACKTEST, ENDINGS, HISTORY, PARQUET, QUANTILES
from planner.batch import Asked, join_parts, run_batch
from planner.outlook import run_report
from planner.profiles.history import select_history, wanted
from planner.report.forecast import forecast_view

if TYPE_CHECKING:
    from planner.scenario import Scenario


def carry_out(task: Task) -> None:
    """Forecast, and keep the run report, the quantiles and, where asked for, the scores of every series."""
    began, request, given = time.monotonic(), task.job.request, task.store.file(task.job.id, HISTORY)
    asked = Asked(request["horizon_minutes"], tuple(request["quantiles"]), request["seed"], tuple(request["known"]),
                  tuple(request["holidays"]), request["backtest"],
                  tuple(request.get("models", ())))  # jobs that wait since before models could be named have none

    def told(phase: str, share: float) -> None:
        task.report({"seconds": time.monotonic() - began, "phase": phase, "share": share})

    with tempfile.TemporaryDirectory(prefix="planner-forecast-") as name:
        folder = Path(name)
        if given is None and "scenario" in request:
            file = _demand_of(scenario_of(task.settings, task.store, request, task.job.id, task.folder), folder)
        elif given is None:
            file = named_file(task.settings.histories, request["history"], ENDINGS.values(), "history")
        else:
            file = folder / f"history{ENDINGS[given[0]]}"
            file.write_bytes(given[1])
        batch = run_batch(file, asked, folder / "parts", "serial", 1, told)
        report = run_report(batch, "history")
        if not batch.forecast_series:
            reasons = "; ".join(f"{series}: {reason}" for series, reason in batch.refused[:5])
            raise CannotBeError(f"no series can be forecast: {reasons}")
        made = shown(forecast_view(batch, report))
        for what, asked_for in ((QUANTILES, True), (BACKTEST, asked.backtest)):
            if asked_for:
                join_parts(batch, folder / what, what.removesuffix(".parquet"))
                made[what] = PARQUET, (folder / what).read_bytes()
    task.store.finish(task.job, json.dumps(report, ensure_ascii=False), made)


def _demand_of(scenario: Scenario, folder: Path) -> Path:
    """A history file of what the workloads of a scenario were asked for. Raises CannotBeError where none has any."""
    wants = [want for want in (wanted(workload, scenario.folder) for workload in scenario.workloads) if want]
    if not wants:
        raise CannotBeError(f"scenario {scenario.name}: no workload has a history: name one as replicas.history, or "
                            "forecast a history file")
    file = folder / "history.parquet"
    select_history(wants).to_parquet(file)
    return file
