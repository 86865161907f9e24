"""Every importer keeps these promises: golden files, the same bytes again, plans as it is, mistakes told."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from planner.cli import run
from planner.errors import InputError
from planner.importers import IMPORTERS, importer
from planner.importers.complete import check, files_of
from planner.importers.draft import Asked
from planner.planning import PlanRequest, make_plan

SPOILT = 12
ODD = (None, "", -1, 0, 1e308, "x", [], {}, [None], {"a": None}, True, "-5", "1Gi", "NaN", {"kind": "Pod"}, "*", 10**30)
GOLDEN = Path(__file__).parent / "golden"
Samples = Callable[[str], list[str]]


@pytest.mark.parametrize("name", IMPORTERS)
def test_files_are_the_golden_ones(name: str, samples: Samples, asked: Asked) -> None:
    """Files are byte for byte the committed ones, read twice; PLANNER_WRITE_GOLDEN=1 writes them anew."""
    files = files_of(importer(name)(samples(name), asked), asked, name)
    assert files == files_of(importer(name)(samples(name), asked), asked, name)
    if os.environ.get("PLANNER_WRITE_GOLDEN") == "1":
        (GOLDEN / name).mkdir(parents=True, exist_ok=True)
        for path, found in files.items():
            (GOLDEN / name / path).write_bytes(found)
    golden = {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / name).iterdir()}
    assert {path: found.decode() for path, found in files.items()} == golden


@pytest.mark.parametrize("name", IMPORTERS)
def test_the_scenario_plans_as_it_is(name: str, samples: Samples, asked: Asked) -> None:
    """A plan comes of it without a change, every workload placed; every guess is a line."""
    draft = importer(name)(samples(name), asked)
    scenario = check(files_of(draft, asked, name), asked)
    solver = "highs" if scenario.limits else "first-fit"  # which fills each pool by itself
    made = make_plan(scenario, PlanRequest(time_limit_s=60, solver=solver), catalog=asked.catalog)
    assert made.plan.status in ("optimal", "feasible")
    assert not made.plan.unplaced
    assert all(guess.field and guess.value and guess.why and "\n" not in guess.line for guess in draft.guesses())


@pytest.mark.parametrize("name", IMPORTERS)
@pytest.mark.parametrize("content", ["", "{", "- 1\n- 2\n", "just words", "a: [1, 2", "\x00\x01"])
def test_rubbish_is_told_with_the_file(name: str, content: str, tmp_path: Path, asked: Asked) -> None:
    """A file that cannot be what is wanted is named in one line, never a traceback."""
    for suffix in ("json", "yaml", "csv"):
        (tmp_path / f"rubbish.{suffix}").write_text(content)
        with pytest.raises(InputError, match="rubbish") as told:
            importer(name)([str(tmp_path / f"rubbish.{suffix}")], asked)
        assert len(told.value.problems) == 1


@pytest.mark.parametrize("name", IMPORTERS)
def test_whatever_a_field_holds_is_told(name: str, samples: Samples, asked: Asked, tmp_path: Path) -> None:
    """A field of a sample that holds something else, or is not there, is told or makes no difference: no traceback."""
    sources = [Path(file) for folder in map(Path, samples(name))
               for file in (sorted(folder.iterdir()) if folder.is_dir() else [folder])]
    chance = Random(name)
    for number in range(SPOILT):
        spoilt = chance.choice(sources)
        folder = tmp_path / str(number) / "aws"
        folder.mkdir(parents=True)
        for file in sources:
            text = file.read_text()
            (folder / file.name).write_text(_spoilt(text, file.suffix, chance) if file == spoilt else text)
        with suppress(InputError):
            importer(name)([str(folder / file.name) for file in sources], asked)


def _spoilt(text: str, suffix: str, chance: Random) -> str:
    """A file with one value in the place of another."""
    if suffix == ".csv":
        rows = [line.split(",") for line in text.splitlines()]
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = str(chance.choice(ODD))
        return "\n".join(map(",".join, rows))
    documents = list(yaml.safe_load_all(text))
    *way, last = chance.choice(list(_ways(documents)))
    holder: Any = documents
    for part in way:
        holder = holder[part]
    if chance.random() < 0.3:
        del holder[last]
    else:
        holder[last] = chance.choice(ODD)
    return yaml.safe_dump_all(documents) if suffix != ".json" else json.dumps(documents[0] if documents else None)


def _ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values are within a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, held in inside:
        yield (*way, name)
        yield from _ways(held, (*way, name))


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_missing_file_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of what is not there, and exit status 2."""
    assert run(["import", name, str(tmp_path / "nowhere.json"), "-o", str(tmp_path / "out")]) == 2
    assert "nowhere.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
