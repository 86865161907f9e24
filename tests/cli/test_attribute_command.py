"""`planner attribute`: where a rise of a rate comes from, and tables that cannot be counted."""

import json
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from planner.cli import run

HYBRID = Path(__file__).parents[2] / "examples" / "hybrid"
HOURS = ("2026-11-02T08:00Z", "2026-11-02T09:00Z", "2026-11-02T10:00Z")
CLUSTERS = ("onprem-ashburn", "onprem-frankfurt", "aws-virginia", "aws-ireland")
DEVICES = ("phone", "tablet", "tv")


def written(path: Path, ill: dict[str, list[str]], since: str = HOURS[-1]) -> Path:
    """Errors of requests by hour, cluster and device: 2 in 100, from an hour on 30 in 100 where it is ill."""
    rows = [{"ts": ts, "cluster": cluster, "device": device, "requests": 1000, "errors": 300 if ts >= since and all(
        {"cluster": cluster, "device": device}[name] in values for name, values in ill.items()) else 20}
            for ts, cluster, device in product(HOURS, CLUSTERS, DEVICES)]  # fmt: skip
    frame = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.assign(ts=pd.to_datetime(frame["ts"])).to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def asked(path: Path, *more: str) -> list[str]:
    return ["attribute", str(path), "--bad", "errors", "--total", "requests", *more]


@pytest.mark.parametrize("name", ["counts.csv", "counts.parquet"])
def test_a_rise_is_attributed_to_what_it_comes_from(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The conjunction that rose, by itself, from a table of either kind; exit status 1."""
    path = written(tmp_path / name, {"cluster": ["aws-virginia"], "device": ["tv"]})
    assert run(asked(path, "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["conditions"] for one in found["causes"]] == [{"cluster": "aws-virginia", "device": "tv"}]
    assert (found["since"], found["usual"]) == ("2026-11-02T10:00:00Z", 0.02)
    assert found["causes"][0]["rate"] == pytest.approx(0.3)
    assert run(asked(path)) == 1
    assert "cluster=aws-virginia and device=tv" in " ".join(capsys.readouterr().out.split())
    assert run(asked(path, "--by", "device", "--json")) == 1
    assert [one["conditions"] for one in json.loads(capsys.readouterr().out)["causes"]] == [{"device": "tv"}]


def test_a_scenario_adds_where_clusters_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What rose at all clusters of a provider is the provider."""
    path = written(tmp_path / "counts.csv", {"cluster": ["aws-virginia", "aws-ireland"]})
    assert run(asked(path, "--scenario", str(HYBRID), "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["attributes"] == ["cluster", "device", "provider", "region", "country"]
    assert [one["conditions"] for one in found["causes"]] == [{"provider": "aws"}]


def test_times_say_what_is_held_against_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From `--since` on, before `--until`; where nothing rose there is no cause, and the exit status is 0."""
    path = written(tmp_path / "counts.csv", {"device": ["tv"]}, HOURS[1])
    assert run(asked(path, "--since", "2026-11-02T09:00Z", "--json")) == 1
    assert json.loads(capsys.readouterr().out)["causes"][0]["conditions"] == {"device": "tv"}
    assert run(asked(path, "--since", "2026-11-02T10:00+01:00", "--until", "2026-11-02T09:00Z")) == 2
    assert "no rows are from it on; rows are of" in capsys.readouterr().err
    assert run(asked(written(path, {"device": ["tv"]}, since="never"))) == 0
    assert "no rise" in capsys.readouterr().out


@pytest.mark.parametrize(("more", "says"), [
    (["--bad", "error"], "--bad: counts.csv has no column 'error'"),
    (["--bad", "requests"], "--total: requests: the same column as --bad"),
    (["--by", "cluster,devices"], "--by: counts.csv has no column 'devices'"),
    (["--by", "ts"], "--by: ts: is no attribute"),
    (["--bad", "requests", "--total", "errors"], "requests: row 1: '1000': must be at most as many as errors counts"),
    (["--bad", "device"], "device: row 1: 'phone' is no number"),
    (["--since", "2026-11-02"], "--since: '2026-11-02': must be ISO-8601 with a time zone"),
    (["--since", "2026-11-02T08:00Z"], "nothing tells what is usual"),
])  # fmt: skip
def test_what_cannot_be_attributed_is_named(
    more: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake in one line, exit status 2."""
    assert run(asked(written(tmp_path / "counts.csv", {"device": ["tv"]}), *more)) == 2
    assert says in capsys.readouterr().err


def test_tables_without_attributes_or_with_too_many_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One attribute at least, at most twelve; the scenario needs a column of clusters; a file that is not there."""
    path = written(tmp_path / "counts.csv", {"device": ["tv"]})
    frame = pd.read_csv(path)
    for changed, more, says in (
            (frame.drop(columns=["cluster", "device"]), [], "has no attributes beside ts, errors, requests"),
            (frame.assign(**{f"a{number}": "x" for number in range(11)}), [], "13 attributes: at most 12"),
            (frame.drop(columns="cluster"), ["--scenario", str(HYBRID)], "no column cluster: leave it out"),
            (frame.iloc[:0], [], "no rows")):
        changed.to_csv(path, index=False)
        assert run(asked(path, *more)) == 2
        assert says in capsys.readouterr().err
    assert run(asked(tmp_path / "other.csv")) == 2
    assert "no such file" in capsys.readouterr().err
