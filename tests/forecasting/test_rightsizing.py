"""Requests from usage: the histogram against a plain one, the forecast's quantile, days held out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import History
from forecasting.panel import Panel, make_panel
from forecasting.rightsizing import CPU, MEMORY, Rules, held_out, histogram_requests, recommend
from planner.cli import run

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2026-01-05T00:00:00")


def panel(*rows: np.ndarray) -> Panel:
    return make_panel([History(f"s{i}", START, HOUR, row) for i, row in enumerate(rows)])


def plain(values: list[float], rules: Rules, level: float) -> float:
    """The percentile of a decaying histogram, one sample after the other, as its documentation has it."""
    if rules.peaks:
        days = [values[max(0, len(values) - 24 * (k + 1)) : len(values) - 24 * k] for k in range(8)]
        samples = [(max(day), float(k)) for k, day in enumerate(days) if day]
    else:
        samples = [(value, (len(values) - 1 - i) / 24) for i, value in enumerate(values)]
    weights: dict[int, float] = {}
    for value, age in samples:
        bucket = 0 if value < rules.first else math.floor(math.log(value * 0.05 / rules.first + 1) / math.log(1.05))
        weights[bucket] = weights.get(bucket, 0.0) + 0.5**age
    total, part = sum(weights.values()), 0.0
    for bucket in sorted(weights):
        part += weights[bucket]
        if part >= level * total - 1e-12:
            break
    return 1.15 * rules.first * (1.05 ** (bucket + 1) - 1) / 0.05


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=200), st.sampled_from(["cpu", "memory"]))
def test_histogram_is_that_of_a_plain_implementation(values: list[float], resource: str) -> None:
    """Targets agree with one sample after the other; bounds lie below and above; short histories widen them."""
    rules, unit = (CPU, 1.0) if resource == "cpu" else (MEMORY, 1e9)
    target, lower, upper = histogram_requests(panel(np.array(values) * unit), rules)
    used = [value * unit for value in values]
    assert target[0] == pytest.approx(max(plain(used, rules, 0.9), rules.least))
    assert lower[0] <= target[0] <= upper[0]
    confidence = min((len(values) - 1) / 24, len(values) / 1440)
    if confidence > 0:
        assert upper[0] == pytest.approx(max(plain(used, rules, 0.95) * (1 + 1 / confidence), rules.least))


def test_neighbours_do_not_matter() -> None:
    """A series is sized alike beside a longer one and alone."""
    rng = np.random.default_rng(0)
    short, long = rng.random(24 * 9), rng.random(24 * 30)
    both, alone = recommend(panel(short, long), CPU, 0.95), recommend(panel(short), CPU, 0.95)
    assert both.target[0] == alone.target[0]
    assert both.upper[0] == alone.upper[0]
    assert both.forecast[0] == alone.forecast[0]


def test_forecast_quantile_is_kept_that_often() -> None:
    """Of steady days, a tenth of the steps are above the 0.9 quantile; a fixed maximum holds and wastes most."""
    rng = np.random.default_rng(4)
    wave = 2 + np.sin(np.arange(24 * 42) * np.pi / 12)
    rows = [np.clip(wave + rng.normal(0, 0.2, 24 * 42), 0, None) for _ in range(8)]
    fared = held_out(panel(*rows), CPU, 0.9, 7)
    assert 0.04 <= fared["forecast"].shortfall.mean() <= 0.16
    assert fared["max"].shortfall.max() == 0
    assert fared["max"].slack.mean() > fared["histogram"].slack.mean() > fared["forecast"].slack.mean()
    assert (fared["forecast"].lost < 0.03).all()


def test_a_series_under_a_week_has_no_forecast() -> None:
    """Three days are enough for the histogram, not for a forecast."""
    found = recommend(panel(np.ones(72)), CPU, 0.95)
    assert np.isnan(found.forecast[0])
    assert found.target[0] == pytest.approx(1.15, rel=0.06)


def test_command_sizes_and_refuses_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cores and GiB are sized in their units, a series with a hole is named; other metrics are an input error."""
    rows = ["ts,workload,metric,value"]
    for hour in range(24 * 10):
        ts = f"2026-01-{5 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
        rows += [f"{ts},web,cpu_cores,{1 + hour % 24 / 24:.3f}", f"{ts},web,memory_gib,4.0"]
        rows += [f"{ts},bad,cpu_cores,-1"] if hour > 100 else []
    (tmp_path / "usage.csv").write_text("\n".join(rows))
    assert run(["right-size", str(tmp_path / "usage.csv"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    cpu, memory = shown["rows"]
    assert 1.8 < cpu["target"] < 2.5
    assert 1.7 < cpu["forecast"] < 2.1
    assert 4 < memory["target"] < 5
    assert set(cpu["fared"]) == {"histogram", "forecast", "max"}
    assert "negative" in shown["refused"]["bad/cpu_cores"]
    (tmp_path / "other.csv").write_text("\n".join(rows).replace("cpu_cores", "cpu_core"))
    assert run(["right-size", str(tmp_path / "other.csv")]) == 2
    assert "cpu_cores" in capsys.readouterr().err


def test_a_young_workload_does_not_take_measures_from_the_others(tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    """Beside three days of one, four weeks of another are held out for a week, as they are alone."""
    rows = ["ts,workload,metric,value"]
    for hour in range(24 * 28):
        ts = f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
        rows += [f"{ts},old,cpu_cores,{1 + hour % 24 / 24:.3f}"]
        rows += [f"{ts},young,cpu_cores,1.0"] if hour >= 24 * 25 else []
    (tmp_path / "both.csv").write_text("\n".join(rows))
    (tmp_path / "alone.csv").write_text("\n".join(row for row in rows if "young" not in row))
    found = {}
    for name in ("both", "alone"):
        assert run(["right-size", str(tmp_path / f"{name}.csv"), "--json"]) == 0
        found[name] = {row["workload"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert found["both"]["old"] == found["alone"]["old"]
    assert found["both"]["old"]["held_days"] == 7
    assert (found["both"]["young"]["held_days"], found["both"]["young"]["fared"]) == (0, {})


def test_the_table_says_whose_slack_it_is_and_writes_bytes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                                               ) -> None:
    """Bytes have all their digits, what is not measured is left empty, and what slack and shortfall are is said."""
    rows = [f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z,web,memory_bytes,{4e9 + hour:.0f}"
            for hour in range(24 * 9)]
    (tmp_path / "usage.csv").write_text("\n".join(["ts,workload,metric,value", *rows]))
    assert run(["right-size", str(tmp_path / "usage.csv")]) == 0
    shown = capsys.readouterr().out
    assert "e+" not in shown
    assert "share of steps that used more" in shown


def test_a_history_without_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of columns alone are said to be that."""
    (tmp_path / "usage.csv").write_text("ts,workload,metric,value\n")
    assert run(["right-size", str(tmp_path / "usage.csv")]) == 2
    assert "usage.csv: no rows, only names of columns" in capsys.readouterr().err
