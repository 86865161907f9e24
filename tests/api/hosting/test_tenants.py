"""Hosts of several tenants on one database: each serves its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.database.engine import engine_of
from api.database.tenancy import of_tenant
from api.hosting.results import verdicts_of
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, push
from planner.cli import app

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Whose rows a statement sees does not depend on the database."""


def test_each_tenant_has_hosts_of_its_own(
    engine: Engine, database: str, models: Path, start_process: Callable[..., Any], start_thread: Callable[[str], Any],
    in_force: Callable[..., str], made_up: Callable[..., Any], fleet: Any, eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """Two tenants have a cluster of the same name and send rows at the same times: each host scores the rows of its own
    tenant only, whose rows wait until it has one.
    """
    rows = fleet(1)["a"]
    acme = of_tenant(engine_of(database), "acme")
    for tenant, one, some in (("default", engine, rows[:12]), ("acme", acme, rows)):
        in_force(made_up(), tenant)
        push(one, [Given("a", ts, hosts) for ts, hosts in some], made_up().clusters, Sealing())

    def said(one: Engine) -> list[str]:
        return [str(row["host"]) for row in verdicts_of(one, ["a"], 0, 2**31 - 1, 100)]

    start_process("a", database, models, tenant="acme")
    by_acmes = eventually(lambda: len(said(acme)) == len(rows) and set(said(acme)))
    assert said(engine) == []
    mine = start_thread("a")
    eventually(lambda: len(said(engine)) == 12)
    assert set(said(engine)) == {mine.host.name}
    assert set(said(acme)) == by_acmes
    assert mine.host.name not in by_acmes
    acme.dispose()


def test_a_tenant_that_nobody_knows_is_refused_by_name(
    database: str, tmp_path: Path, in_force: Callable[..., str], made_up: Callable[..., Any]
) -> None:
    """With the nearest of those that stand in the settings or have plans; models of another tenant are no option."""
    in_force(made_up(), "globex")
    config = tmp_path / "planner.toml"
    config.write_text(f'data = "{tmp_path}"\n[tenants.acme]\n')
    for words, says in (
        (["--tenant", "acne"], "--tenant: acne: not a tenant of this service: did you mean 'acme'?"),
        (["--tenant", "globe"], "did you mean 'globex'?"),
        (["--tenant", "zzz"], "known are acme, default, globex"),
        (["--tenant", "acme", "--models", str(tmp_path)], "models of acme stand in the file of settings"),
    ):
        refused = CliRunner().invoke(app, ["host", "--cluster", "a", "--config", str(config), *words])
        assert refused.exception is not None
        assert says in " ".join(str(refused.exception).split()), (words, refused.exception)
