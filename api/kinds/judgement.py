"""Set a plan beside all that was reported of what really came."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from api.jobs.job import CannotBeError, Task
from api.scenarios import scenario_of
from api.store.files import ACTUALS, ENDINGS, NDJSON
from planner.actuals import judge
from planner.errors import InputError
from planner.plan import Plan, write_plan


def carry_out(task: Task) -> None:
    """Take in what came with this job and those before it, judge, and keep what was found."""
    plan_id = task.job.request["plan"]
    row, document = task.store.job(plan_id, "plan"), task.store.result(plan_id)
    if row is None or document is None:
        raise CannotBeError(f"plan {plan_id}: there is no such plan that is done")
    scenario = scenario_of(task.settings, task.store, json.loads(row.request), plan_id, task.folder)
    plan = Plan.model_validate_json(document)
    if scenario.source_sha256 != plan.provenance.scenario_sha256:
        raise CannotBeError(f"plan {plan_id}: the scenario {plan.name} has changed since it was made")
    with tempfile.TemporaryDirectory(prefix="planner-actuals-") as name:
        folder = Path(name)
        files = _files(task, plan_id, folder)
        write_plan(plan, folder / "plan.json")
        bill = _together(files["costs"], folder / "costs.parquet") if files["costs"] else None
        found = judge(scenario, folder / "plan.json", files["demand"], bill, folder)
    task.store.finish(task.job, json.dumps(found, ensure_ascii=False), {})


def _files(task: Task, plan_id: str, folder: Path) -> dict[str, list[Path]]:
    """What was reported of a plan up to this job, the oldest first."""
    found: dict[str, list[Path]] = {"demand": [], "costs": []}
    for row in task.store.reports(plan_id, task.job.id):
        given = task.store.file(row.id, ACTUALS)
        assert given is not None
        what, (kind, content) = json.loads(row.request)["what"], given
        path = folder / f"{what}-{len(found[what]) + 1}{ENDINGS.get(kind, '.ndjson')}"
        path.write_bytes(content)
        found[what].append(_as_table(path) if kind == NDJSON else path)
    return found


def _as_table(lines: Path) -> Path:
    """Lines of JSON as Parquet. Raises InputError."""
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet as pq

    try:
        table = pa.json.read_json(lines)
    except (pa.ArrowException, ValueError) as error:
        raise InputError([f"{lines.name}: not a JSON object a line: {' '.join(str(error).split())[:120]}"]) from None
    path = lines.with_suffix(".parquet")
    pq.write_table(table, path)
    return path


def _together(bills: list[Path], path: Path) -> Path:
    """One bill of several."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from planner.focus import TEXTS
    from planner.recorded import read_columns

    tables = [read_columns(bill, TEXTS) for bill in bills]
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), path)
    return path
