"""Why a workload is where a plan has it, asked of the plans that the service made."""

from __future__ import annotations

import json
import tempfile
import threading
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.scenarios import scenario_of
from api.settings import Settings
from api.store.jobs import JobRow
from api.store.store import Store
from api.web.problems import Problem, unknown

if TYPE_CHECKING:
    from planner.opened import Opened


class Explainer:
    """Explains plans; the one asked about last stays open, as its next question is likely to follow."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._open: tuple[str, Opened, ExitStack] | None = None

    def explain(self, row: JobRow, workload: str, at: str | None) -> dict[str, Any]:
        """What `planner explain --json` says of a plan that is made.

        Raises Problem for a workload that the scenario does not have and for a scenario that has changed, InputError
        for a place that is not there.
        """
        from planner.explain import explain  # numba and pandas: the service answers before they are loaded

        with self._lock:  # one at a time: a large plan takes memory
            opened = self._opened(row)
            names = opened.formulation.names.workloads
            if workload not in names:
                raise unknown("workload", workload, names)
            return explain(opened, workload, at).to_dict()

    def _opened(self, row: JobRow) -> Opened:
        from planner.opened import open_plan
        from planner.plan import Plan

        if self._open is None or self._open[0] != row.id:
            if self._open is not None:
                self._open[2].close()
                self._open = None
            plan, request = Plan.model_validate_json(self._store.result(row.id) or ""), json.loads(row.request)
            with ExitStack() as files:
                folder = files.enter_context(tempfile.TemporaryDirectory(prefix="planner-explain-"))
                scenario = scenario_of(self._settings, self._store, request, row.id, Path(folder))
                if scenario.source_sha256 != plan.provenance.scenario_sha256:
                    name = request.get("scenario")
                    detail = f"plan {row.id}: the scenario {name} has changed since it was made: ask for a new plan"
                    raise Problem(HTTPStatus.CONFLICT, detail)
                self._open = row.id, open_plan(scenario, plan), files.pop_all()  # they stay while the plan is open
        return self._open[1]
