"""Remove telemetry, verdicts and rows to train on that are older than the settings let them be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from api.database.tables import streams
from api.database.tenancy import DEFAULT, EVERYONE, of_tenant
from api.hosting.retention import purge
from api.hosting.steps import ROWS
from api.jobs.job import Task, print_line
from api.settings import ScheduledJob
from planner.errors import InputError

NIGHTLY: Final = ScheduledJob(name="retention", cron="23 3 * * *", kind="purge")
"""Of a service whose settings say how long something is kept."""


class Asked(BaseModel):
    """Nothing: how long is what the settings say."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def carry_out(task: Task) -> None:
    """Purge what the tenant has; of the tenant `default`, whose jobs the settings make, what all have.

    A tenant that cannot be purged holds up no other. Raises InputError after them, with what was wrong of each.
    """
    engine, settings = task.store.engine, task.settings
    tenants = [task.job.tenant]
    if task.job.tenant == DEFAULT:
        with of_tenant(engine, EVERYONE).connect() as connection:
            tenants = sorted({DEFAULT, *settings.tenants, *connection.execute(select(streams.c.tenant)).scalars()})
    removed, silent, wrong = dict[str, Mapping[str, int]](), dict[str, Sequence[str]](), list[str]()
    for tenant in tenants:
        task.report({"phase": f"removing what {tenant} kept"})
        try:
            made = purge(of_tenant(engine, tenant), settings.retention, settings.of(tenant).model_folder / ROWS)
        except (InputError, OSError) as error:
            problems = error.problems if isinstance(error, InputError) else [str(error)]
            wrong += [f"tenant {tenant}: {problem}" for problem in problems]
            continue
        removed[tenant] = made.removed
        if made.silent:
            silent[tenant] = made.silent
        print_line(f"{tenant}: removed {json.dumps(made.removed)}")
    if wrong:
        raise InputError(wrong)
    task.store.finish(task.job, json.dumps({"removed": removed, "silent": silent}), {})
