"""`planner models …`: what people type, see, and are refused."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.synthetic import Site, make_fleet
from planner.cli import run

SETS = Path(__file__).parents[1] / "diagnostics" / "training" / "small.yaml"


class Shop:
    """A store, telemetry and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "rows.parquet"
        sites = [Site("c-br", "mixed-disk", "BR", 4), Site("c-pt", "mixed-disk", "PT", 4)]
        frame = make_fleet(sites, 12, 0).frame()
        frame.assign(country=frame["cluster"].map({"c-br": "BR", "c-pt": "PT"}).astype(object)).to_parquet(self.data)

    def models(self, *arguments: str) -> int:
        return run(["models", *arguments, "--store", str(self.folder / "models")])

    def train(self, seed: int = 0, *more: str) -> int:
        return self.models("train", str(self.data), "--hardware", "mixed-disk", "--countries", "all", "--features",
                           str(SETS), "--time-limit", "0.001", "--seed", str(seed), "--by", "ann", *more)

    def json(self, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert self.models(*arguments, "--json") == status
        return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with tempfile.TemporaryDirectory() as folder:
        made = Shop(Path(folder))
        assert made.train(0) == 0
        assert made.train(1) == 0
        yield made


def test_a_model_from_training_to_rollback(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, promote two, compare, roll back, retire, and read it all in the history."""
    listed = shop.json(capsys, "list")
    assert [version["stage"] for version in listed] == ["candidate", "candidate"]
    first, second = (version["id"] for version in listed)
    assert shop.models("rollback", "mixed-disk", "--why", "x") == 1
    assert "nothing to roll back: no version was promoted" in capsys.readouterr().err
    assert shop.models("which", "mixed-disk") == 1
    assert "no stable model" in capsys.readouterr().err
    assert shop.json(capsys, "promote", first, "--why", "first", "--by", "ann")["after"] == first
    assert shop.models("promote", second, "--why", "better", "--expect", "none") == 1
    assert f"is served by {first} (promote by ann" in capsys.readouterr().err
    assert shop.models("promote", second, "--why", "better") == 1
    assert "slow-disk: not measured on the same rows" in capsys.readouterr().err
    compared = shop.json(capsys, "compare", first, second, "--data", str(shop.data), "--features", str(SETS))
    assert {row["loss"] for row in compared["differences"]} == {
        "false_alarms", "missed_at_budget", "missed_faults", "relative_error", "scenario/slow-disk"}
    assert shop.models("promote", second, "--why", "better", "--by", "ann") == 0
    assert shop.models("rollback", "mixed-disk", "--why", "alarms", "--to", "last-known-good", "--by", "bob") == 0
    assert f"rollback {first}: mixed-disk is served by {first} (before: {second})" in capsys.readouterr().out
    assert shop.models("rollback", "mixed-disk", "--why", "alarms") == 1
    assert f"{first} goes on serving: there is no earlier stable" in capsys.readouterr().err
    told = shop.json(capsys, "history", "mixed-disk")
    assert [event["action"] for event in told] == ["register", "register", "promote", "promote", "rollback"]
    assert (told[-1]["by"], told[-1]["why"]) == ("bob", "alarms")
    assert shop.json(capsys, "which", "mixed-disk")["version"] == first
    assert shop.models("retire", first, "--why", "x") == 2


def test_training_the_same_again_registers_nothing_and_says_so(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The version that is there is named."""
    listed = shop.json(capsys, "list")
    assert shop.train(0) == 0
    assert f"the same was trained before: version {listed[0]['id']} of" in capsys.readouterr().out
    assert shop.json(capsys, "list") == listed


def test_the_store_may_be_named_as_other_commands_name_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """`--models` is `--store`, as for `planner diagnose`."""
    assert run(["models", "list", "--models", str(shop.folder / "models")]) == 0
    assert "Models" in capsys.readouterr().out


def test_tables_are_shown_to_people(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """list, show, compare and history print tables with what matters."""
    first, second = (version["id"] for version in shop.json(capsys, "list"))
    for arguments, wanted in ((("list",), "False alarms a host and day"), (("show", first), "Parameters"),
                              (("compare", first, second), "Figures when registered"), (("history",), "Revision")):
        assert shop.models(*arguments) == 0
        shown = capsys.readouterr().out
        assert wanted in shown
        assert first in shown


def test_versions_are_made_anew_and_verified(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Same bytes: status 0. A file changed on disk: status 1 and the version by name."""
    version = shop.json(capsys, "list")[0]
    assert shop.json(capsys, "reproduce", version["id"])["same"]
    assert all(one["holds"] for one in shop.json(capsys, "verify"))
    path = shop.folder / "models" / "files" / f"{version['file_sha256']}.skops"
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content + b"x")
    assert "was changed on disk" in shop.json(capsys, "verify", version["id"], status=1)[0]["sentence"]
    path.write_bytes(content)


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (["show", "zzzz"], 2, "version 'zzzz': is not in the store"),
    (["compare", "zzzz", "yyyy"], 2, "version 'zzzz'"),
    (["rollback", "mixed-dsk", "--why", "x"], 1, "did you mean 'mixed-disk'"),
    (["rollback", "mixed-disk", "--why", " "], 2, "why: no reason"),
    (["train", "none.parquet", "--hardware", "x"], 2, "none.parquet: no such file"),
    (["train", "none.parquet", "--hardware", "x", "--time-limit", "0"], 2, "--time-limit: 0.0: above 0"),
    (["train", "none.parquet", "--hardware", "x", "--time-limit", "inf"], 2, "--time-limit: inf: above 0"),
    (["train", "none.parquet", "--hardware", "x", "--false-alarms", "0"], 2, "--false-alarms: 0.0: above 0"),
    (["train", "none.parquet", "--hardware", "x", "--seed", "-1"], 2, "--seed: -1"),
    (["train", "none.parquet", "--hardware", "x", "--countries", ","], 2, "--countries: ','"),
    (["export", "x", "--to", "paper", "--address", "y"], 2, "--to: 'paper': mlflow"),
])
def test_mistakes_are_one_line(shop: Shop, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int,
                               message: str) -> None:
    """What was found and what is allowed, and nothing is changed."""
    before = shop.json(capsys, "history")
    assert shop.models(*arguments) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shop.json(capsys, "history") == before


def test_a_store_that_is_not_there_is_not_made_by_asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reading from the wrong folder is an error that names it."""
    assert run(["models", "list", "--store", str(tmp_path / "nowhere")]) == 2
    assert "there is no model store" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
    assert run(["models", "list", "--store", str(tmp_path), "--database", "mysql://x/y"]) == 2
    assert "mysql: is not a database for models" in capsys.readouterr().err


def test_mlflow_is_refused_by_name_where_it_is_not_installed(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named; nothing else needs it."""
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    version = shop.json(capsys, "list")[0]["id"]
    assert shop.models("export", version, "--to", "mlflow", "--address", "sqlite:///x.db") == 2
    assert "MLflow is not installed: pip install 'workload-planner[mlflow]'" in capsys.readouterr().err
