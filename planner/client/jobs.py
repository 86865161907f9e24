"""Work that takes long: asked for, watched, waited for, cancelled; schedules that ask for it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from planner.client.problems import NotDoneError
from planner.client.results import JobState, Json, Kind, ResultDetail, ScheduleState, Status
from planner.client.transport import CSV, PARQUET, Transport

Told = Callable[[JobState], object]
_TYPES = {".csv": CSV, ".parquet": PARQUET}
BAD_ENDS = ("failed", "cancelled")


class Jobs:
    """Jobs of every kind."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def ask(self, kind: Kind, request: Json, *, priority: int = 0, key: str | None = None) -> JobState:
        """Queue a job of any kind. The same `key` makes one job of any number of the same requests."""
        body = {"kind": kind, "request": request, "priority": priority}
        return self._to.read(JobState, "POST", "/v1/jobs", body=body, headers=keyed(key), keyed=True)

    def list(self, *, kind: Kind | None = None, status: Status | None = None, name: str | None = None,
             since: str | None = None) -> Iterator[JobState]:
        """Jobs, the newest first."""
        query = {"kind": kind, "status": status, "name": name, "since": since}
        for page in self._to.pages("/v1/jobs", query):
            yield from map(JobState.model_validate, page["jobs"])

    def get(self, job_id: str) -> JobState:
        """How far a job is."""
        return self._to.read(JobState, "GET", "/v1/jobs/{job_id}", {"job_id": job_id})

    def result(self, job_id: str) -> ResultDetail:
        """A job with what it made."""
        return self._to.read(ResultDetail, "GET", "/v1/jobs/{job_id}/result", {"job_id": job_id})

    def events(self, job_id: str) -> Iterator[JobState]:
        """How far a job is, whenever that changes, until it has ended."""
        path = {"job_id": job_id}
        yield from (JobState.model_validate_json(data) for _, data in self._to.events("/v1/jobs/{job_id}/events", path))

    def wait(self, job_id: str, told: Told | None = None, timeout_s: float | None = None) -> JobState:
        """Wait for the end of a job, telling how far it is.

        Raises NotDoneError when it failed or was cancelled, TimeoutError.
        """
        return ended(self.events(job_id), told, timeout_s)

    def cancel(self, job_id: str) -> JobState:
        """Cancel a job that is queued or running."""
        return self._to.read(JobState, "POST", "/v1/jobs/{job_id}/cancel", {"job_id": job_id}, safe=True)


class Forecasts:
    """Forecasts of histories."""

    def __init__(self, to: Transport, jobs: Jobs) -> None:
        self._to, self._jobs = to, jobs

    def ask(self, history: Path | bytes, horizon: str, *, media_type: str | None = None,
            quantiles: Sequence[float] = (0.5, 0.9, 0.99), known: Sequence[str] = (), holidays: Sequence[str] = (),
            models: Sequence[str] = (), backtest: bool = False, seed: int = 0, name: str = "forecast",
            priority: int = 0, key: str | None = None) -> JobState:
        """Queue a forecast of a history, a file (.csv, .parquet) or its bytes, so far ahead (`48h`, `7d`, `90min`)."""
        query = {"horizon": horizon, "quantiles": ",".join(map(str, quantiles)), "known": list(known) or None,
                 "holidays": list(holidays) or None, "models": list(models) or None, "backtest": backtest,
                 "seed": seed, "name": name, "priority": priority}
        content, kind = given(history, media_type)
        headers = {"Content-Type": kind, **keyed(key)}
        return self._to.read(JobState, "POST", "/v1/forecasts", query=query, content=content, headers=headers,
                             keyed=True)

    def make(self, history: Path | bytes, horizon: str, *, told: Told | None = None, timeout_s: float | None = None,
             **how: Any) -> ResultDetail:  # noqa: ANN401 - as `ask` has it
        """Ask for a forecast and wait for it. Raises NotDoneError, TimeoutError."""
        job = self.ask(history, horizon, **how)
        self._jobs.wait(job.id, told, timeout_s)
        return self.get(job.id)

    def get(self, job_id: str) -> ResultDetail:
        """How far a forecast is, and its run report once it is done."""
        return self._to.read(ResultDetail, "GET", "/v1/forecasts/{job_id}", {"job_id": job_id})

    def quantiles(self, job_id: str, media_type: str = PARQUET) -> bytes:
        """A row a series and step, as Parquet or as lines of JSON."""
        path, headers = {"job_id": job_id}, {"Accept": media_type}
        return self._to.ask("GET", "/v1/forecasts/{job_id}/quantiles", path, headers=headers).content

    def backtest(self, job_id: str, media_type: str = PARQUET) -> bytes:
        """Scores of every series, model and past origin, as Parquet or as lines of JSON."""
        path, headers = {"job_id": job_id}, {"Accept": media_type}
        return self._to.ask("GET", "/v1/forecasts/{job_id}/backtest", path, headers=headers).content


class Capacity:
    """When room runs out."""

    def __init__(self, to: Transport, jobs: Jobs) -> None:
        self._to, self._jobs = to, jobs

    def ask(self, scenario: str | Json, *, days: int = 365, growth: Sequence[str] = (), plan: str | None = None,
            seed: int = 0, priority: int = 0, key: str | None = None) -> JobState:
        """Queue the question of a scenario: its name at the service, or all of it."""
        body = {"scenario": scenario, "days": days, "growth": list(growth), "plan": plan, "seed": seed,
                "priority": priority}
        return self._to.read(JobState, "POST", "/v1/capacity", body=body, headers=keyed(key), keyed=True)

    def make(self, scenario: str | Json, *, told: Told | None = None, timeout_s: float | None = None,
             **how: Any) -> ResultDetail:  # noqa: ANN401 - as `ask` has it
        """Ask and wait for the answer. Raises NotDoneError, TimeoutError."""
        job = self.ask(scenario, **how)
        self._jobs.wait(job.id, told, timeout_s)
        return self.get(job.id)

    def get(self, job_id: str) -> ResultDetail:
        """How far the answer is, and the answer."""
        return self._to.read(ResultDetail, "GET", "/v1/capacity/{job_id}", {"job_id": job_id})


class Schedules:
    """Jobs that are queued by the clock."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def add(self, name: str, cron: str, kind: Kind, request: Json) -> ScheduleState:
        """Queue a job at every moment of a cron expression, in UTC."""
        body = {"name": name, "cron": cron, "kind": kind, "request": request}
        return self._to.read(ScheduleState, "POST", "/v1/schedules", body=body)

    def list(self, *, kind: Kind | None = None) -> Iterator[ScheduleState]:
        """All schedules."""
        for page in self._to.pages("/v1/schedules", {"kind": kind}):
            yield from map(ScheduleState.model_validate, page["schedules"])

    def get(self, name: str) -> ScheduleState:
        """A schedule, its next moment and its last ones."""
        return self._to.read(ScheduleState, "GET", "/v1/schedules/{name}", {"name": name})

    def remove(self, name: str) -> None:
        """Queue no more of it."""
        self._to.ask("DELETE", "/v1/schedules/{name}", {"name": name})


def keyed(key: str | None) -> dict[str, str]:
    """The header of an idempotency key; none where one is to be made."""
    return {} if key is None else {"Idempotency-Key": key}


def given(content: Path | bytes, media_type: str | None) -> tuple[bytes, str]:
    """A body and its type, which goes by the ending of a file. Raises ValueError where it cannot be told."""
    found = media_type or (_TYPES.get(content.suffix) if isinstance(content, Path) else None)
    if found is None:
        raise ValueError(f"media_type: missing: what is given is not a file that ends in {' or '.join(_TYPES)}")
    return content.read_bytes() if isinstance(content, Path) else content, found


def ended(states: Iterator[JobState], told: Told | None, timeout_s: float | None) -> JobState:
    """The last of the states of a job. Raises NotDoneError, TimeoutError."""
    give_up = float("inf") if timeout_s is None else time.monotonic() + timeout_s
    for state in states:
        if told is not None:
            told(state)
        if state.ended:
            if state.status in BAD_ENDS:
                raise NotDoneError(state)
            return state
        if time.monotonic() > give_up:
            raise TimeoutError(f"{state.id}: {state.status} after {timeout_s:g} s")
    raise TimeoutError("the service ended its events before the job")
