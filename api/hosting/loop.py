"""The process that trains one hardware class again and again, as durable workflows: a crash at any step goes on there.

Its order comes in as one JSON line on standard input, which then stays open: its end means that the host is gone, and
this process ends itself at once; whoever serves the workload next goes on with the run under the same name.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from sqlalchemy import Connection, Engine

from api.database.engine import engine_of
from api.database.tenancy import of_tenant
from api.hosting.leases import ALIVE_S, fenced
from api.hosting.rollouts import end_left
from api.hosting.steps import GO_ON, Facts, Steps
from api.hosting.transactions import writing
from api.jobs.durable import APPLICATION
from api.jobs.job import make_way
from api.settings import Settings
from planner.hosting import HostedWork

WORKFLOW, VERSION = "retrain", "retrain-2"
"""The workflow, and the version of its steps. Each workload has one of its own: what was cut off waits in one queue for
all, and a process takes from there what has its version.
"""
ORPHANED, TAKEN = 3, 4
"""Exit status when the host has gone, and when another holds the lease."""
NICENESS = 10
LOOK_S = 0.5


def main() -> None:
    """Read the order, go on with what was left behind, then run once a period."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_host, daemon=True).start()
    make_way(NICENESS)
    settings = Settings.from_dict(order["settings"])
    engine = of_tenant(engine_of(settings.store, ALIVE_S), order["tenant"])
    work = HostedWork.model_validate_json(order["work"])
    Loop(engine, settings, (order["tenant"], order["workload"]), work, (order["host"], order["epoch"])).run()


class Loop:
    """The runs of one workload, one at a time."""

    def __init__(
        self, engine: Engine, settings: Settings, name: tuple[str, str], work: HostedWork, lease: tuple[str, int]
    ) -> None:
        self._engine, self._settings, self._work = engine, settings, work
        self._tenant, self._workload = name
        self._host, self._epoch = lease

    def run(self) -> None:
        """Never returns."""
        from dbos import DBOS, SetWorkflowID

        mine = f"{VERSION}/{self._tenant}/{self._workload}"
        DBOS(config={"name": APPLICATION, "system_database_url": self._settings.store, "executor_id": mine,
                     "application_version": mine, "log_level": "ERROR", "sys_db_pool_size": 2,
                     "run_migrations": False})  # fmt: skip
        begun: set[str] = set()

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=1000)
        def retrain(run: str) -> str:
            begun.add(f"{self._tenant}/{run}")
            facts: Facts = {}
            for step in Steps(self._engine, self._settings, self._workload, self._work, run).named():
                found: dict[str, Any] = DBOS.run_step({"name": step}, self._step, run, step, facts)
                if found["outcome"] != GO_ON:
                    return str(found["outcome"])
                facts = facts | found
            return GO_ON

        DBOS.launch()  # queues a run that was cut off
        left: set[str] = set()
        while True:
            self._hold()
            unfinished = DBOS.list_workflows(status=["PENDING", "ENQUEUED"], name=WORKFLOW, app_version=mine,
                                             load_input=False)  # fmt: skip
            if not unfinished:
                run = f"{self._workload}-{int(time.time() // (60 * self._settings.retraining.every_minutes))}"
                if DBOS.get_workflow_status(f"{self._tenant}/{run}") is None:
                    end_left(self._engine, self._work.watches.hardware_class, self._workload, self._mine)
                    with SetWorkflowID(f"{self._tenant}/{run}"):
                        DBOS.start_workflow(retrain, run).get_result()
            # A process that lost the lease may have taken from the queue what was meant for this one, and then ended.
            before, left = left, {one.workflow_id for one in unfinished if one.status == "PENDING"} - begun
            for lost in before & left:
                DBOS.resume_workflow(lost)
            time.sleep(LOOK_S)

    def _step(self, run: str, step: str, facts: Facts) -> Facts:
        self._hold()
        return Steps(self._engine, self._settings, self._workload, self._work, run, self._mine).done(step, facts)

    def _hold(self) -> None:
        """End where another host holds the lease: it goes on."""
        with writing(self._engine) as connection:
            self._mine(connection)

    def _mine(self, connection: Connection) -> None:
        """The same in a transaction, until whose end nobody takes the lease."""
        if not fenced(connection, self._host, {self._workload: self._epoch}):
            os._exit(TAKEN)


def _end_with_the_host() -> None:
    sys.stdin.buffer.read()
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
