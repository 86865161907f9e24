"""Claims of `planner data`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.cli import run


def table(path: Path, seed: int, shift: float = 0.0) -> Path:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"rows": generator.normal(size=800) + shift, "kind": generator.choice(["a", "b"], 800)})
    frame.to_csv(path, index=False)
    return path


def test_rules_are_proposed_and_tell_drift_from_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules come from good data; calm data pass with status 0, drifted ones fail with 1, and say so twice."""
    good, calm, moved = (table(tmp_path / f"{seed}.csv", seed, shift) for seed, shift in ((0, 0), (1, 0), (2, 1)))
    rules = tmp_path / "drift.json"
    assert run(["data", "propose", str(good), "-o", str(rules)]) == 0
    asked = ["--config", str(rules), "--baseline", str(good)]
    assert run(["data", "validate", str(calm), *asked]) == 0
    assert run(["data", "validate", str(moved), *asked]) == 1
    assert "rows drifted" in capsys.readouterr().out
    assert run(["data", "validate", str(moved), *asked, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["interpretation"]["drift"]["state"] == "drifted"
    assert run(["data", "validate", str(moved), *asked, "--set", "drift.accepted_share=0.5"]) == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--config", "none.json"], "none.json: no such file"),
        (["--config", "{rules}", "--baseline", "none.csv"], "none.csv: no such file"),
        (["--config", "{rules}", "--set", "drift.tst=ks"], "'test'"),
        (["--config", "{rules}", "--set", "x"], "FIELD=VALUE"),
    ],
)
def test_wrong_input_is_status_2(more: list[str], says: str, tmp_path: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, an unknown field and a setting without a value."""
    good = table(tmp_path / "good.csv", 0)
    rules = tmp_path / "drift.json"
    assert run(["data", "propose", str(good), "-o", str(rules)]) == 0
    assert run(["data", "validate", str(good), *(part.format(rules=rules) for part in more)]) == 2
    assert says in capsys.readouterr().err
