"""The planning process: makes one plan and writes it into the store. `api.dispatcher` starts it.

One JSON line comes in on standard input, which then stays open: its end means that the service is gone, and this
process ends itself at once (the solver below it does the same).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.scenarios import read
from api.store import Job, Store
from planner.errors import InputError
from planner.files import write_atomically
from planner.packings import packing_bytes
from planner.planning import NoPlanFound, PlanRequest, make_plan

if TYPE_CHECKING:
    from placement.worker import Progress

REPORT_EVERY_S = 0.5
ORPHANED = 3
"""Exit status when the service has gone."""


def main() -> None:
    """Read the job, make its plan, keep it."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    store = Store(Path(order["database"]))
    job = Job(order["plan_id"], order["attempt"], order["request"])
    try:
        _make(store, job, order)
    except InputError as error:
        store.fail(job, list(error.problems))
    except NoPlanFound as why:
        store.fail(job, [str(why)])
    except Exception as error:  # noqa: BLE001 - whatever it was, the plan must say so
        traceback.print_exc()
        store.fail(job, [f"a fault of the planner: {type(error).__name__}: {error}".splitlines()[0]])


def _end_with_the_service() -> None:
    sys.stdin.buffer.read()
    os._exit(ORPHANED)


def _make(store: Store, job: Job, order: Mapping[str, Any]) -> None:
    """Plan the job's scenario; `order` names the folders."""
    settings = dict(job.request)
    name, text = settings.pop("scenario", None), store.scenario(job.plan_id)
    root = None if order["scenarios"] is None else Path(order["scenarios"])
    scenario = read(root, json.loads(text) if text is not None else name)
    planned = make_plan(scenario, PlanRequest(**settings), _reporter(store, job))
    plan = planned.plan
    if planned.packings is not None:
        write_atomically(Path(order["packings"]), packing_bytes(planned.packings))
        plan = plan.model_copy(update={"tables": {"packings": f"/v1/plans/{job.plan_id}/packings"}})
    store.finish(job, plan)


def _reporter(store: Store, job: Job) -> Callable[[Progress], None]:
    """Write progress into the store, not more often than a client would ask."""
    last = float("-inf")

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_EVERY_S:
            last = now
            store.report(
                job,
                {
                    "seconds": progress.seconds,
                    "objective": progress.objective,
                    "bound": progress.bound,
                    "gap": progress.gap,
                    "phase": progress.phase,
                },
            )

    return report
