"""Where is what: who served, when, by which plan, with which version; which versions serve what; the nearest store."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from api.hosting.leases import Leases, standing
from api.hosting.models import Models
from api.hosting.whereabouts import serving_versions, tenures_of
from diagnostics.store import ModelStore
from planner.hosting import Hosted

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_who_held_what_from_when_to_when_is_kept(engine: Engine) -> None:
    """Every taking is a line with the plan it was by; it ends when it is given back, or when another takes it."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    first.beat()
    first.hold(["one", "two"], {"one": "plan-1", "two": "plan-1"})
    first.hold(["one"], {"one": "plan-2"})
    first.leave()
    second.beat()
    second.hold(["one"], {"one": "plan-2"})
    lines = [(one.epoch, one.host, one.cluster, one.plan, one.until is None) for one in
             sorted(tenures_of(engine, workload="one"), key=lambda one: one.epoch)]  # fmt: skip
    assert lines == [(1, "first", "a", "plan-1", False), (2, "second", "b", "plan-2", True)]
    (two,) = tenures_of(engine, workload="two")
    assert two.until is not None
    assert [one.workload for one in tenures_of(engine, cluster="b")] == ["one"]
    assert tenures_of(engine, cluster="a") == []


@on_sqlite
def test_versions_that_served_are_told_by_hardware_and_software(
    engine: Engine,
    start_thread: Callable[[str], Any],
    in_force: Callable[[Hosted], str],
    made_up: Callable[..., Hosted],
    fleet: Callable[..., Any],
    send: Callable[..., Any],
    models: Path,
    eventually: Callable[..., Any],
) -> None:
    """A rollback is a second version beside the first, on clusters whose software nobody touched."""
    what = made_up()
    clusters = {name: one.model_copy(update={"software_version": "7.2" if name == "a" else "6.9"})
                for name, one in what.clusters.items()}  # fmt: skip
    plan = in_force(what.model_copy(update={"clusters": clusters}))
    hosted = what.model_copy(update={"clusters": clusters})
    rows, store = fleet(2), ModelStore(models)
    newest = store.serving("mixed-disk").id
    host = start_thread("a")

    def rows_of() -> dict[tuple[str | None, str], int]:
        found = serving_versions(engine, hosted, 10_000)
        return {(one.software_version, one.model_version): one.rows for one in found}

    send({"a": rows["a"][:10], "b": rows["b"][:10]})
    eventually(lambda: rows_of() == {("7.2", newest): 10, ("6.9", newest): 10})
    earlier = store.rollback("mixed-disk", "last-known-good", "test", "worse").after
    eventually(lambda: f'version="{earlier}"' in host.figures())
    send({"a": rows["a"][10:]})
    eventually(lambda: rows_of() == {("7.2", newest): 10, ("7.2", earlier): 38, ("6.9", newest): 10})
    (tenure,) = tenures_of(engine, workload="diagnostics-a")
    assert tenure.plan == plan
    assert tenure.host == standing(engine)["diagnostics-a"].host
    assert {one.version: one.rows for one in tenure.versions} == {newest: 10, earlier: 38}


def test_model_files_come_from_the_nearest_store_and_fill_it(models: Path, tmp_path: Path) -> None:
    """What the nearest has not is read from the next one and kept there; a broken copy is as if it were not there."""
    near, next_one = tmp_path / "near", tmp_path / "next"
    version = ModelStore(models).serving("mixed-disk")
    name = f"{version.file_sha256}.skops"
    shutil.copytree(models / "files", next_one)

    def loaded() -> tuple[str, str]:
        one = Models(models)
        one.nearer = {"near": near, "next": next_one}
        found = one.of("mixed-disk")
        assert found is not None
        return found.version, one.came_from

    assert loaded() == (version.id, "next")
    assert (near / name).read_bytes() == (next_one / name).read_bytes()
    assert loaded() == (version.id, "near")
    for folder in (near, next_one):
        (folder / name).chmod(0o600)
        (folder / name).write_bytes(b"broken")
    assert loaded() == (version.id, "origin")
    assert loaded() == (version.id, "near")
