"""Plans: asked for, waited for, read, explained, compared, mended, and seen beside what really came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from planner.client.jobs import BAD_ENDS, given, keyed
from planner.client.problems import NotDoneError
from planner.client.results import (
    JobState,
    Json,
    PlanAgainstActual,
    PlanDetail,
    PlanState,
    ShadowState,
    State,
    Status,
)
from planner.client.transport import PARQUET, Transport

Told = Callable[[PlanState], object]
Mode = Literal["min_cost", "max_sla"]


class Plans:
    """Plans of scenarios."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def ask(self, scenario: str | Json, *, mode: Mode | None = None, sla_floor: float | None = None,
            budget_usd: float | None = None, time_limit_s: float | None = None, thorough: bool = False, seed: int = 0,
            solver: str | None = None, incumbent: str | None = None, max_moves: int | None = None,
            now: str | None = None, priority: int = 0, key: str | None = None) -> PlanState:
        """Queue a plan of a scenario: its name at the service, or all of it. What is left out is as the scenario says.
        The same `key` makes one plan of any number of the same requests.
        """
        asked = {"mode": mode, "sla_floor": sla_floor, "budget_usd": budget_usd, "time_limit_s": time_limit_s,
                 "solver": solver, "incumbent": incumbent, "max_moves": max_moves, "now": now}
        body: Json = {name: value for name, value in asked.items() if value is not None}
        body |= {"scenario": scenario, "thorough": thorough, "seed": seed, "priority": priority}
        return self._to.read(PlanState, "POST", "/v1/plans", body=body, headers=keyed(key), keyed=True)

    def make(self, scenario: str | Json, *, told: Told | None = None, timeout_s: float | None = None,
             **how: Any) -> PlanDetail:  # noqa: ANN401 - as `ask` has it
        """Ask for a plan and wait for it. That none is feasible is an answer. Raises NotDoneError, TimeoutError."""
        return self.wait(self.ask(scenario, **how).id, told, timeout_s)

    def list(self, *, scenario: str | None = None, status: Status | None = None, state: State | None = None,
             since: str | None = None) -> Iterator[PlanState]:
        """Plans, the newest first."""
        query = {"scenario": scenario, "status": status, "state": state, "since": since}
        for page in self._to.pages("/v1/plans", query):
            yield from map(PlanState.model_validate, page["plans"])

    def get(self, plan_id: str) -> PlanDetail:
        """How far a plan is, and its document once it is made."""
        return self._to.read(PlanDetail, "GET", "/v1/plans/{plan_id}", {"plan_id": plan_id})

    def events(self, plan_id: str) -> Iterator[JobState]:
        """How far a plan is, whenever that changes, until it has ended."""
        path = {"plan_id": plan_id}
        for _, data in self._to.events("/v1/plans/{plan_id}/events", path):
            yield JobState.model_validate_json(data)

    def wait(self, plan_id: str, told: Told | None = None, timeout_s: float | None = None) -> PlanDetail:
        """Wait until a plan has ended, telling how far it is with objective, bound and gap.

        Raises NotDoneError when it failed or was cancelled, TimeoutError.
        """
        give_up = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        for _ in self.events(plan_id):
            found = self.get(plan_id)
            if told is not None:
                told(found)
            if found.status in BAD_ENDS:
                raise NotDoneError(found)
            if found.ended:
                return found
            if time.monotonic() > give_up:
                raise TimeoutError(f"plan {plan_id}: {found.status} after {timeout_s:g} s")
        raise TimeoutError(f"plan {plan_id}: the service ended its events before the plan")

    def cancel(self, plan_id: str) -> PlanState:
        """Cancel a plan that is queued or being made."""
        return self._to.read(PlanState, "POST", "/v1/plans/{plan_id}/cancel", {"plan_id": plan_id}, safe=True)

    def replan(self, plan_id: str, *, down: Sequence[str] = (), restore: Sequence[str] = (),
               max_moves: int | None = None, time_limit_s: float | None = None, key: str | None = None) -> PlanState:
        """Queue a plan near this one without lost clusters, or with those again that are back."""
        body: Json = {"down": list(down), "restore": list(restore), "max_moves": max_moves}
        if time_limit_s is not None:
            body["time_limit_s"] = time_limit_s
        path = {"plan_id": plan_id}
        return self._to.read(PlanState, "POST", "/v1/plans/{plan_id}/replan", path, body=body, headers=keyed(key),
                             keyed=True)

    def assignments(self, plan_id: str, *, cluster: str | None = None, workload: str | None = None,
                    media_type: str = PARQUET) -> bytes:
        """What runs where, a row a unit, as Parquet or as lines of JSON."""
        query, headers = {"cluster": cluster, "workload": workload}, {"Accept": media_type}
        path = {"plan_id": plan_id}
        return self._to.ask("GET", "/v1/plans/{plan_id}/assignments", path, query=query, headers=headers).content

    def packings(self, plan_id: str, media_type: str = PARQUET) -> bytes:
        """Which replica lies on which machine, for plans that name such a table."""
        path, headers = {"plan_id": plan_id}, {"Accept": media_type}
        return self._to.ask("GET", "/v1/plans/{plan_id}/packings", path, headers=headers).content

    def explain(self, plan_id: str, workload: str, at: str | None = None) -> Json:
        """Why a workload is where it is; with `at` (CLUSTER or CLUSTER/POOL), why it is not there."""
        path = {"plan_id": plan_id, "workload": workload}
        return self._to.json("GET", "/v1/plans/{plan_id}/explain/{workload}", path, query={"at": at})

    def diff(self, plan_id: str, other: str) -> Json:
        """What changes from a plan to another one."""
        return self._to.json("GET", "/v1/plans/{plan_id}/diff/{other}", {"plan_id": plan_id, "other": other})

    # Beside what really came ------------------------------------------------------------------------------------------

    def report_actuals(self, plan_id: str, what: Literal["demand", "costs"], rows: Path | bytes, *,
                       media_type: str | None = None, key: str | None = None) -> JobState:
        """Take in demand or costs that really came: a file (.csv, .parquet) or its bytes."""
        content, kind = given(rows, media_type)
        headers = {"Content-Type": kind, **keyed(key)}
        return self._to.read(JobState, "POST", "/v1/plans/{plan_id}/actuals", {"plan_id": plan_id},
                             query={"what": what}, content=content, headers=headers, keyed=True)

    def actuals(self, plan_id: str) -> PlanAgainstActual:
        """Forecast error, misses and cost of a plan so far."""
        return self._to.read(PlanAgainstActual, "GET", "/v1/plans/{plan_id}/actuals", {"plan_id": plan_id})

    def shadow(self, scenario: str) -> ShadowState:
        """Whether plans of a scenario are made only to be looked at."""
        return self._to.read(ShadowState, "GET", "/v1/scenarios/{name}/shadow", {"name": scenario})

    def make_shadow(self, scenario: str, why: str = "") -> ShadowState:
        """Plan a scenario beside what runs, and let none of its plans be applied."""
        path = {"name": scenario}
        return self._to.read(ShadowState, "PUT", "/v1/scenarios/{name}/shadow", path, body={"why": why}, safe=True)

    def end_shadow(self, scenario: str) -> None:
        """Let plans of a scenario be applied from now on."""
        self._to.ask("DELETE", "/v1/scenarios/{name}/shadow", {"name": scenario}, safe=True)
