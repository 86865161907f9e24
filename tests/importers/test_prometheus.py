"""Range queries, of a real Prometheus and from files, become history that is forecast."""

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
import pytest

from planner.cli import run
from planner.errors import InputError
from planner.importers import importer
from planner.importers.complete import files_of
from planner.importers.draft import Asked, Draft
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import read_scenario

Samples = Callable[[str], list[str]]
START = datetime(2026, 11, 2, tzinfo=UTC)
DAYS = 3
POD = "shop-7d9f8b6c5-00000"


def cores(moment: datetime) -> float:
    """Cores that the shop uses: most at two in the afternoon."""
    return 3 + 2 * math.cos((moment.hour - 14) / 24 * 2 * math.pi)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prometheus of our own with three days of CPU time of a pod that is there and one that is gone."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus (Debian package) is not installed: no real one is asked")
    folder = tmp_path_factory.mktemp("prometheus")
    lines = ["# TYPE container_cpu_usage_seconds counter"]
    for pod in (POD, "shop-aaaaaaaaa-zzzzz"):
        used = 0.0
        for minute in range(0, DAYS * 24 * 60, 2):
            moment = START - timedelta(days=DAYS) + timedelta(minutes=minute)
            used += 120 * cores(moment) / 2
            lines.append(f'container_cpu_usage_seconds_total{{namespace="web",pod="{pod}",container="main"}} '
                         f"{used:.3f} {moment.timestamp():.0f}")
    (folder / "metrics.txt").write_text("\n".join([*lines, "# EOF"]) + "\n")
    (folder / "prometheus.yml").write_text("{}\n")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "data"], cwd=folder,
                   check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["prometheus", f"--web.listen-address=127.0.0.1:{port}", "--config.file=prometheus.yml",
         "--storage.tsdb.path=data", "--storage.tsdb.retention.time=20y"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def workload(draft: Draft, name: str) -> dict[str, Any]:
    return next(one for one in draft.workloads if one["name"] == name)


def told(draft: Draft) -> list[str]:
    return [guess.line for guess in draft.guesses()]


def test_a_real_prometheus_gives_the_history(prometheus: str, samples: Samples, asked: Asked, tmp_path: Path) -> None:
    """Cores by hour of both pods together are the shop's history; what one replica does keeps today's three at most."""
    draft = importer("kubernetes")([*samples("kubernetes"), prometheus], asked)
    for name, content in files_of(draft, asked, "test").items():
        (tmp_path / name).write_bytes(content)
    frame = pd.read_csv(tmp_path / "history.csv")
    assert set(frame["workload"]) == {"shop"}
    assert len(frame) == DAYS * 24 - 1  # no rate from a single sample, the very first
    at_two = frame[frame["ts"] == "2026-11-01T14:00:00Z"]["value"].item()
    assert at_two == pytest.approx(5, rel=0.05)
    history = workload(draft, "shop")["replicas"]["history"]
    assert history["per_replica"] == pytest.approx(frame["value"].max() / 3)
    assert workload(draft, "db")["replicas"] == [2] * 24
    profiles = profile(resolve(read_scenario(tmp_path), asked.catalog))
    shop = [one.name for one in profiles.workloads].index("shop")
    assert 2 <= profiles.replicas[shop].max() <= 4
    assert profiles.replicas[shop].min() < profiles.replicas[shop].max()


def test_any_query_may_be_asked(prometheus: str, samples: Samples, asked: Asked) -> None:
    """An address with a query is asked as it stands; what Prometheus says of a wrong one is passed on."""
    def address(query: str) -> str:
        asks = {"query": query, "start": START.timestamp() - 2 * 86_400, "end": START.timestamp() - 3600, "step": 3600}
        return f"{prometheus}/api/v1/query_range?{urlencode(asks)}"

    query = 'label_replace(sum(rate(container_cpu_usage_seconds_total[10m])), "deployment", "shop", "", "")'
    named = f'label_replace({query}, "namespace", "web", "", "")'
    draft = importer("kubernetes")([*samples("kubernetes"), address(named)], asked)
    assert "history" in workload(draft, "shop")["replicas"]
    with pytest.raises(InputError, match="parse error"):
        importer("kubernetes")([*samples("kubernetes"), address("sum(")], asked)
    with pytest.raises(InputError, match=r"container_cpu_usage_seconds_total: is a counter: ask for its rate"):
        importer("kubernetes")([*samples("kubernetes"), address("container_cpu_usage_seconds_total")], asked)


def test_nobody_there_is_told(samples: Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the address, and exit status 2."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        command = ["import", "kubernetes", *samples("kubernetes"), address, "-o", str(tmp_path / "out")]
        assert run(command) == 2
    assert f"{address}: " in capsys.readouterr().err


def answer(series: list[tuple[dict[str, str], list[Any]]], end: datetime = START, step: int = 3600) -> dict[str, Any]:
    """What /api/v1/query_range answers for series whose last sample is one step before `end`."""
    def row(labels: dict[str, str], values: list[Any]) -> dict[str, Any]:
        first = end.timestamp() - step * len(values)
        return {"metric": labels, "values": [[first + at * step, str(value)] for at, value in enumerate(values)]}

    return {"status": "success", "data": {"resultType": "matrix", "result": [row(*one) for one in series]}}


@pytest.fixture
def draft_of(samples: Samples, asked: Asked, tmp_path: Path) -> Callable[[Any], Draft]:
    """The draft of the sample cluster with an answer beside it."""

    def make(content: Any) -> Draft:
        (tmp_path / "range.json").write_text(json.dumps(content))
        return importer("kubernetes")([*samples("kubernetes"), str(tmp_path / "range.json")], asked)

    return make


def test_replicas_that_were_counted_are_replicas(draft_of: Callable[[Any], Draft]) -> None:
    """A metric of kube-state-metrics needs no guess; NaN strings are no samples; missing ones count as nothing."""
    labels = {"__name__": "kube_deployment_status_replicas", "namespace": "web", "deployment": "shop"}
    other = {"__name__": "kube_statefulset_status_replicas", "namespace": "web", "statefulset": "db"}
    values: list[Any] = [2 + hour % 24 // 8 for hour in range(96)]
    draft = draft_of(answer([(labels, [*values[:50], "NaN", *values[51:]]), (other, [2] * 96)]))
    rows = [line.split(",") for line in draft.files["history.csv"].decode().splitlines()]
    shop = [row for row in rows if row[1] == "shop"]
    assert (len(shop), shop[50][3], shop[49][3]) == (96, "0", str(values[49]))
    assert workload(draft, "shop")["replicas"]["history"]["per_replica"] == 1
    assert not any("per_replica" in line and "shop" in line for line in told(draft))


def test_a_history_that_cannot_be_forecast_is_told_and_left(draft_of: Callable[[Any], Draft]) -> None:
    """Five points, nothing used, nobody's series: replicas stay those of now, with the reason."""
    pod = {"namespace": "web", "pod": POD}
    draft = draft_of(answer([(pod, [1] * 5), ({"namespace": "web", "pod": "db-0"}, [0] * 5),
                             ({"namespace": "nobody", "pod": "x"}, [1] * 5)]))
    assert "history.csv" not in draft.files
    assert workload(draft, "shop")["replicas"] == [3] * 24
    text = "\n".join(told(draft))
    assert "its history: 5 points of history" in text
    assert "its history: nothing was used (db)" in text
    assert "history: left out: series of nothing that runs now or is planned ({namespace=nobody,pod=x})" in text


def test_the_horizon_begins_where_the_history_ends(draft_of: Callable[[Any], Draft]) -> None:
    """A history that ends a day before moves the horizon there, and it is told."""
    values = [5 + 3 * (hour % 24 > 11) for hour in range(96)]
    draft = draft_of(answer([({"namespace": "web", "pod": POD}, values)], START - timedelta(days=1)))
    assert draft.more["horizon"]["start"] == "2026-11-01T00:00:00Z"
    assert "horizon.start: 2026-11-01T00:00:00Z: the history ends there" in told(draft)


@pytest.mark.parametrize(("content", "line"), [
    ({"status": "error", "data": {}, "error": "query timed out"}, "range.json: query timed out: a successful answer"),
    ({"status": "success", "data": {"resultType": "vector", "result": []}},
     "range.json: data.resultType: vector: matrix is needed: ask /api/v1/query_range"),
    (answer([({"namespace": "web", "pod": POD}, ["five"])]),
     "range.json: data.result[0].values[0]: a list of 2: [time, value] is needed"),
    (answer([({"namespace": "web", "pod": POD}, [1, -2, 3])]),
     "range.json: {namespace=web,pod=shop-7d9f8b6c5-00000}: 2026-11-01T22:00:00Z: -2: demand is at least 0"),
    (answer([({"namespace": "web", "pod": POD}, [1, 2, 3])], step=2700),
     "range.json: steps of 2700 s and slots of 3600 s do not divide each other: ask with step=3600, or import with"),
])
def test_a_wrong_answer_is_told(draft_of: Callable[[Any], Draft], content: Any, line: str) -> None:
    """File, field, value and what is wanted, in one line."""
    with pytest.raises(InputError) as error:
        draft_of(content)
    assert str(error.value).startswith(line)
