"""Stores of every earlier version, as they really were, are brought to this one with all that they hold."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, func, inspect, select

from api.database.engine import checked_url, engine_of, upgrade
from api.database.tables import metadata
from api.database.tenancy import EVERYONE, of_tenant
from api.jobs.schedules import Schedules
from api.life_cycle.lives import Lives
from api.notices import records
from api.store.placements import Placements
from api.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
STORES = sorted(Path(__file__).with_name("stores").glob("*.sql"))
RENAMED = {"plans": "jobs"}


def configured() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "api" / "database" / "migrations"))
    return config


def counts(engine: Engine) -> dict[str, int]:
    """Rows of every table of ours, by its name today."""
    held = MetaData()
    held.reflect(engine)
    names = {table: RENAMED.get(name, name) for name, table in held.tables.items()}
    with engine.connect() as connection:
        return {name: connection.execute(select(func.count()).select_from(table)).scalar() or 0
                for table, name in names.items() if name in metadata.tables}


Make = Callable[[Path], str]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def make(request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[str], str]) -> Make:
    """Makes a store of an earlier version on each kind of database; its address."""

    def on_sqlite(dump: Path) -> str:
        with sqlite3.connect(tmp_path / "old.sqlite") as connection:
            connection.executescript(dump.read_text())
        return f"sqlite:///{tmp_path / 'old.sqlite'}"

    def on_postgresql(dump: Path) -> str:
        url = new_database(checked_url(request.getfixturevalue("postgresql")))
        engine, config = engine_of(url), configured()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, dump.stem)
            for line in dump.read_text().splitlines():
                if line.startswith("INSERT") and "alembic_version" not in line:
                    connection.exec_driver_sql(re.sub(r"X'([0-9a-f]+)'", r"'\\x\1'", line).replace("%", "%%"))
        engine.dispose()
        return url

    return on_sqlite if request.param == "sqlite" else on_postgresql


@pytest.mark.parametrize("dump", STORES, ids=lambda dump: dump.stem)
def test_a_store_of_an_earlier_version_keeps_all_it_holds(dump: Path, make: Make) -> None:
    """No table loses a row; the plan, what runs where by it, its files, schedules and notices are read as today's."""
    url = make(dump)
    engine = of_tenant(engine_of(url), EVERYONE)
    before = counts(engine)
    upgrade(url)
    upgrade(url)
    after = counts(engine)
    lost = {name for name, count in before.items() if after[name] < count}
    assert lost == set()
    assert after.keys() == metadata.tables.keys()
    columns = inspect(engine).get_columns("jobs")
    assert {column["name"] for column in columns} == {column.name for column in metadata.tables["jobs"].columns}
    engine.dispose()
    store = Store(url).of("default")
    row = store.job("p1", "plan")
    assert row is not None
    assert (row.status, row.name) == ("done", "tiny")
    assert '"cost_usd": 4.0' in (store.result("p1") or "")
    assert [unit["cluster"] for unit in Placements(store.engine).units("p1", workload="etl")] == ["cheap"]
    assert Placements(store.engine).machines("p1", "cheap")[0]["count"] == [1, 1, 1, 1]
    assert (store.file("p1", "packings.parquet") is not None) == ("files" in before)
    standing = Lives(store.engine).standing("p1")
    assert standing is not None
    assert standing.life.state == ("in_force" if before.get("in_force") else "draft")
    assert [one.name for one in Schedules(store, _No()).all()] == (["tiny"] if "schedules" in before else [])
    assert len(records(store, 9, None, None, None)) == before.get("notices", 0)
    assert Store(url).of("acme").job("p1") is None
    store.close()


class _No:
    """No clock."""

    def __getattr__(self, _: str) -> Any:
        raise AssertionError("nothing is scheduled here")


def test_stores_of_all_versions_are_there() -> None:
    """Every version up to the last that has a store beside this file has one: `stores/make.py` writes one."""
    versions = sorted(one.revision for one in ScriptDirectory.from_config(configured()).walk_revisions())
    assert [dump.stem for dump in STORES] == [one for one in versions if one <= STORES[-1].stem]


def test_versions_follow_one_another() -> None:
    """There is one newest version: no two follow the same one."""
    assert len(ScriptDirectory.from_config(configured()).get_heads()) == 1
