"""Write what a store of one version holds: python tests/api/stores/make.py 0016

Tables are those that the migrations up to that version make, each with a row. Run it when a migration is added, and
leave the files of earlier versions as they are: they are what real stores of those versions look like.
"""

import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, MetaData, Table

from api.database.engine import engine_of

ROOT = Path(__file__).resolve().parents[3]
PLAN = {
    "schema": 1, "name": "tiny", "status": "optimal", "mode": "min_cost", "cost_usd": 4.0, "bound": 4.0, "gap": 0.0,
    "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0,
    "assignments": [{"workload": "etl", "user_region": None, "copy": 0, "part": 0, "cap": None, "cluster": "cheap",
                     "pool": "p", "start_slot": None}],
    "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}],
}  # fmt: skip
SUBMISSION = {"name": "tiny", "request": {}, "given": None, "clusters": ["cheap"], "body_sha256": "a",
              "idempotency_key": None, "kind": "plan", "priority": 0, "file": None}
HEALTH = {"reports": [], "lost": False, "since": 0.0, "well_since": None, "losses": []}
VALUES: dict[str, Any] = {
    "id": "p1", "plan_id": "p1", "job_id": "p1", "tenant": "default", "kind": "plan", "name": "tiny", "status": "done",
    "request": '{"time_limit_s": 5.0}', "clusters": '["cheap", "dear"]', "errors": "[]", "idempotency_key": "k",
    "plan": json.dumps(PLAN), "result": json.dumps(PLAN), "scenario": '{"name": "tiny"}', "given": '{"name": "tiny"}',
    "workload": "etl", "cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": "[1, 1, 1, 1]",
    "schedule": "p1", "cron": "0 2 * * *", "origin": "api", "submission": json.dumps(SUBMISSION), "event": 1,
    "about": "alarm", "severity": "warning", "fields": "{}", "state": "in_force", "moves": "[]", "made": "[]",
    "parent": None, "predecessor": None, "verification": None, "content": json.dumps(HEALTH), "attempt": 1, "copy": 0,
    "key_id": "p1", "part": 0, "user_region": None, "start_slot": None, "priority": 0, "verdict": "false", "gap": 0.0,
}  # fmt: skip
IN_TABLE: dict[tuple[str, str], Any] = {("notices", "state"): "sent", ("files", "name"): "packings.parquet",
                                        ("life_cycles", "scenario"): "tiny", ("scenario_versions", "clusters"): 12}


def main(version: str) -> None:
    """Write the file of a version."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.sqlite"
        config, engine = Config(), engine_of(f"sqlite:///{file}")
        config.set_main_option("script_location", str(ROOT / "api" / "database" / "migrations"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, version)
        held = MetaData()
        held.reflect(engine)
        engine.dispose()
        schema = [line for line in sqlite3.connect(file).iterdump()
                  if not line.startswith("INSERT") and "sqlite_sequence" not in line and line not in ("COMMIT;",)]
    tables = [table for table in held.sorted_tables if table.name != "alembic_version"]
    rows = [f"INSERT INTO alembic_version (version_num) VALUES ('{version}');", *map(_insert, tables), "COMMIT;"]
    (Path(__file__).with_name(f"{version}.sql")).write_text("\n".join([*schema, *rows]) + "\n")


def _insert(table: Table) -> str:
    values = {column.name: _value(table.name, column) for column in table.columns if column.name != "seq"}
    names = ", ".join(f'"{name}"' for name in values)
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join(map(_literal, values.values()))});"


def _value(table: str, column: Column[Any]) -> Any:
    """What stands in a column: what is known of it by its name, else something of its type."""
    known = IN_TABLE.get((table, column.name), VALUES.get(column.name, ...))
    if known is not ... and not isinstance(column.type, LargeBinary | Boolean):
        return known
    if column.name.endswith(("_at", "_before")) or column.name == "at":
        return 1.0 if isinstance(column.type, Float) else "2026-01-01T00:00:00.000Z"
    for kind, value in ((Boolean, False), (Integer, 1), (Float, 1.0), (LargeBinary, b"PAR1")):
        if isinstance(column.type, kind):
            return value
    return column.name


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


if __name__ == "__main__":
    main(sys.argv[1])
