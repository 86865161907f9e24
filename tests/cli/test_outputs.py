"""No command overwrites what it reads, whichever it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from typer.models import ParameterInfo

from planner.cli import app, run
from planner.cli_outputs import SCENARIO, names_of
from planner.errors import InputError
from planner.scenario import read_scenario

EXAMPLES = Path(__file__).parents[2] / "examples"


def commands(of: typer.Typer, before: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command by the words that call it."""
    for command in of.registered_commands:
        assert command.callback is not None
        yield f"{before}{command.name}", command.callback
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{before}{group.name} ")


def options(command: Callable[..., Any]) -> dict[str, ParameterInfo]:
    """Parameters of a command that are paths, by name."""
    return {name: told for name, hint in get_type_hints(command, include_extras=True).items() if "Path" in str(hint)
            for told in getattr(hint, "__metadata__", ()) if isinstance(told, ParameterInfo)}


PAIRS = [(name, command, written, read) for name, command in commands(app)
         for written, to in options(command).items() if to.writable and to.file_okay
         for read, source in options(command).items() if not source.writable]


def test_every_option_that_writes_is_known_to_write() -> None:
    """What is called -o, or said to write, is looked at before the work."""
    told = [(name, one) for name, command in commands(app) for one in options(command).values()]
    assert not [name for name, one in told if not one.writable and (
        "-o" in names_of(one) or str(one.help).startswith("Write"))]
    assert {"plan", "replay", "forecast", "diagnose", "capacity", "what-if", "learn", "backup", "export routes",
            "telemetry export", "data propose"} <= {name for name, _, _, _ in PAIRS}


@pytest.mark.parametrize(("command", "written", "read"), [pair[1:] for pair in PAIRS],
                         ids=[f"{name} {written} over {read}" for name, _, written, read in PAIRS])
def test_no_command_writes_over_what_it_reads(command: Callable[..., Any], written: str, read: str, tmp_path: Path
                                              ) -> None:
    """The file of any parameter is refused for any output before the command starts, and stays as it was."""
    shutil.copy(EXAMPLES / "medical" / "scenario.yaml", tmp_path)
    path = tmp_path / "scenario.yaml"
    before = path.read_bytes()
    many = "list" in str(get_type_hints(command)[read])
    with pytest.raises(InputError, match=r"scenario.yaml: what is read would be lost"):
        command(**{written: path, read: [path] if many else path})
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost", ["scenario.yaml", "workloads.yaml", "replicas.csv"])
def test_files_that_a_scenario_names_are_not_overwritten(lost: str, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of a scenario are read, too; what it does not name may lie beside it and be replaced."""
    folder = tmp_path / "hybrid"
    shutil.copytree(EXAMPLES / "hybrid", folder)
    before = (folder / lost).read_bytes()
    assert run(["plan", str(folder), "-o", str(folder / lost)]) == 2
    assert f"-o: {folder / lost}: what is read would be lost" in capsys.readouterr().err
    assert (folder / lost).read_bytes() == before
    rules = ["export", "rules", "--scenario", str(folder), "-o", str(folder / "rules.yml")]
    assert [run(rules), run(rules)] == [0, 0]


def test_a_scenario_knows_the_files_it_was_read_from() -> None:
    """The file itself, tables of lists, replicas, sample paths and histories."""
    found = {name: sorted(path.name for path in read_scenario(EXAMPLES / name).files)
             for name in ("hybrid", "pooled", "capacity")}
    assert found == {"hybrid": ["replicas.csv", "scenario.yaml", "workloads.yaml"],
                     "pooled": ["paths.csv", "scenario.yaml"], "capacity": ["history.csv", "scenario.yaml"]}
    assert SCENARIO in options(dict(commands(app))["plan"])
