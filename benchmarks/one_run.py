"""One solver on one problem, for a benchmark: what `benchmarks.KIND_run` modules have in common.

The job is a JSON file that names `path`, `method`, `seed`, `seconds`, `memory_gib` and `out`. The clock starts before
anything is read, for every method alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import SolverFailed, Unsupported, solve


@dataclass(frozen=True)
class Job:
    """What to run, and when it `began` (monotonic seconds)."""

    path: Path
    method: str
    seed: int
    seconds: float
    memory_gib: float
    began: float


def answer(problem: Problem, job: Job, checking_share: float,
           judged: Callable[[Result], dict[str, Any]]) -> dict[str, Any]:
    """What the method's answer comes to, as `judged`; `why` where it refuses or fails.

    `checking_share` of the time is kept for checking.
    """
    left_s = max(0.1, job.seconds * (1 - checking_share) - (time.monotonic() - job.began))
    settings = Settings(seed=job.seed, time_limit_s=left_s, thorough=True, memory_gib=job.memory_gib)
    try:
        result = solve(problem, job.method, settings, lambda _: None, lambda: False)
    except (Unsupported, SolverFailed) as why:
        return {"holds": False, "why": str(why)}
    return {"status": result.status, "proof": result.method} | judged(result)


def main(run: Callable[[Job], dict[str, Any]]) -> None:
    """Read the job, write its figures to `out`."""
    began = time.monotonic()
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    job = Job(Path(told["path"]), told["method"], told["seed"], told["seconds"], told["memory_gib"], began)
    Path(told["out"]).write_text(json.dumps(run(job)), encoding="utf-8")
