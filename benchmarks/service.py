"""The service under load, while a plan is being made at low priority.

    python -m benchmarks.service [--data DIR] [--instances A,B] [--database sqlite|postgresql] [--seed N] [--seconds S]
                                 [--kills N] [--json out.json]

`DIR` is a folder of scenario folders; the largest of them is what the service plans in the background. Instances:
`inside` (the library of routers, in process), `start` (to ready, and memory when idle), `direct` (over HTTP; with the
same connections the peer `limit`, a bare route that answers constant bytes), `direct with a key` (of the API),
`status` (of a job that has ended), `submit` (plans at 50 requests a second), `loss` (how long after a cluster is
reported lost requests were still sent to it, by the service that was told and by another on the same database) and
`kills` (of the service, its workers and PostgreSQL). `generator_cpu` is the share of one core that asking took.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from api.jobs.worker import REST_S
from benchmarks import service_inside, service_kills
from benchmarks.harness import WIDTH, Row, table
from benchmarks.machine import describe_machine
from benchmarks.measure import ROOT
from benchmarks.service_limit import limit
from benchmarks.service_load import Load, Request, after_a_loss, at_most, at_rate
from benchmarks.service_process import Served, fleet, put_in_force, serving, solving

DIRECT = "/v1/direct/web-7?region=aws/eu-west-1&key=customer-#"
CONNECTIONS, STATUS_CONNECTIONS = 16, 8
SUBMITS_PER_S = 50.0
IDLE_S = 5.0
"""How long after it is ready nothing is asked before memory is looked at."""
AIMS = {
    ("inside", "calls_per_s"): ">= 500000", ("inside by key", "calls_per_s"): ">= 500000",
    ("direct", "requests_per_s"): ">= 2000", ("direct", "p99_ms"): "<= 20",
    ("direct with a key", "requests_per_s"): ">= 2000", ("direct with a key", "p99_ms"): "<= 20",
    ("status", "requests_per_s"): ">= 1000", ("submit", "p99_ms"): "<= 20",
    ("start", "ready_s"): "<= 3", ("start", "idle_mib"): "<= 300",
    ("start", "rested_mib"): "<= 300",
    ("loss", "last_ms"): "<= 100", ("loss elsewhere", "last_ms"): "<= 100",
    ("kills", "lost"): "<= 0", ("kills", "doubled"): "<= 0",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What is asked of a run."""

    folder: Path
    data: Path
    database: str | None
    server: service_kills.Postgres | None
    seconds: float
    seed: int
    kills: int

    def settings(self, name: str) -> dict[str, object]:
        """Settings of a service with a data folder of its own."""
        given: dict[str, object] = {"data": self.folder / name, "scenarios": self.data}
        return given | ({} if self.database is None else {"database": self.database})

    @property
    def scenario(self) -> str:
        """What is planned in the background: the scenario with the most text."""
        found = [file.parent for file in sorted(self.data.glob("*/scenario.yaml"))]
        return max(found, key=lambda one: sum(file.stat().st_size for file in one.glob("*.yaml"))).name


Found = Iterator[tuple[str, str, dict[str, tuple[float, str]], float, float, float]]
"""Instance, method, figures by metric with their unit; seconds, processor seconds, peak MiB."""


def inside(asked: Setting) -> Found:
    """The library."""
    for name, kind in (("inside", service_inside.by_turns), ("inside by key", service_inside.by_key)):
        found = service_inside.measure(kind, asked.seconds)
        figures = {"calls_per_s": (found.calls_per_s, "1/s"), "calls_per_cpu_s": (found.calls_per_cpu_s, "1/s"),
                   "share_off": (found.share_off, "share"), "lost": (float(found.lost), "calls")}
        yield name, "planner", figures, found.seconds, found.cpu_seconds, 0.0


def start(asked: Setting) -> Found:
    """To ready, and idle: before any job, right after one, and when what jobs are forked from has ended by itself."""
    with serving(**asked.settings("start")) as served:
        time.sleep(IDLE_S)
        before = served.cpu_seconds()
        time.sleep(IDLE_S)
        figures = {"ready_s": (served.ready_s, "s"), "idle_mib": (served.resident_mib(), "MiB"),
                   "idle_cpu": ((served.cpu_seconds() - before) / IDLE_S, "share")}
        put_in_force(served)
        figures["after_a_job_mib"] = served.proportional_mib(), "MiB"
        time.sleep(REST_S + IDLE_S)
        figures["rested_mib"] = served.proportional_mib(), "MiB"
        yield "start", "planner", figures, served.ready_s, before, served.resident_mib()


def under_load(asked: Setting) -> Found:
    """Directing, status and submission while a plan is made; the limit in the same minutes."""
    with serving(**asked.settings("load")) as served:
        put_in_force(served)
        plan_id = served.http.get("/v1/plans").json()["plans"][0]["id"]
        with solving(served, asked.scenario):
            direct, status = Request(served.url, DIRECT), Request(served.url, f"/v1/jobs/{plan_id}")
            plan = {"scenario": fleet(), "solver": "first-fit", "priority": -50}
            submit = Request(served.url, "/v1/plans", method="POST", body=json.dumps(plan).encode())
            yield _asked("direct", served, lambda: at_most(direct, CONNECTIONS, asked.seconds))
            answer = served.http.get(DIRECT.replace("#", "1")).content
            with limit(answer) as (url, _):
                bare = at_most(Request(url, "/answer"), CONNECTIONS, asked.seconds)
                yield "direct", "limit", _figures(bare), bare.seconds, 0.0, 0.0
            yield _asked("status", served, lambda: at_most(status, STATUS_CONNECTIONS, asked.seconds))
            yield _asked("submit", served, lambda: at_rate(submit, SUBMITS_PER_S, CONNECTIONS, asked.seconds))
            with_key = Request(served.url, DIRECT, (("x-api-key", _key(asked, served)),))
            yield _asked("direct with a key", served, lambda: at_most(with_key, CONNECTIONS, asked.seconds))


def _key(asked: Setting, served: Served) -> str:
    """A key of the service, once it is needed: from then on nobody is served without one."""
    from datetime import timedelta

    from api.configured import read_settings
    from api.security.keys import Keys

    settings = read_settings(None, {}, asked.settings("load"))
    keys = Keys(settings.store, "benchmark")
    _, text = keys.create("benchmark", ["admin"], "default", timedelta(days=1))
    keys.close()
    while served.http.get("/v1/jobs").status_code != 401:
        time.sleep(0.05)
    served.http.headers["x-api-key"] = text
    return text


def loss(asked: Setting) -> Found:
    """Requests after a loss: of the service that is told, and of another on the same database."""
    with ExitStack() as stack:
        settings = asked.settings("told")
        told = stack.enter_context(serving(**settings))
        store = asked.database or f"sqlite:///{Path(str(settings['data'])) / 'planner.sqlite'}"
        other = stack.enter_context(serving(**asked.settings("other") | {"database": store}))
        put_in_force(told)
        while not other.http.get("/v1/direct/web-0").is_success:
            time.sleep(0.05)
        with solving(told, asked.scenario):
            for name, at in (("loss", told), ("loss elsewhere", other)):
                cluster = at.http.get(DIRECT.replace("&key=customer-#", "")).json()["cluster"]
                ask = Request(at.url, DIRECT.replace("&key=customer-#", ""))
                found = after_a_loss(ask, cluster, lambda cluster=cluster: _say(told, cluster, "down"), asked.seconds)
                _say(told, cluster, "up")
                while at.http.get(f"/v1/clusters/{cluster}/health").json()["state"] != "up":
                    time.sleep(0.05)
                figures = {"last_ms": (found.last_ms, "ms"), "watched": (float(found.watched), "requests")}
                yield name, "planner", figures, asked.seconds, 0.0, at.resident_mib()


def _say(served: Served, cluster: str, state: str) -> None:
    body = {"state": state, "by": "person"}
    served.http.put(f"/v1/clusters/{cluster}/health", json=body).raise_for_status()


def kills(asked: Setting) -> Found:
    """Kill -9."""
    found = service_kills.run(asked.folder / "kills", asked.kills, asked.seed, asked.server)
    figures: dict[str, tuple[float, str]] = {
        "lost": (float(len(found.lost)), "jobs"), "doubled": (float(len(found.doubled)), "jobs"),
        "failed": (float(len(found.failed)), "jobs"), "accepted": (float(found.accepted), "jobs"),
        **{f"kills_{what}": (float(count), "kills") for what, count in found.kills.items()},
    }  # fmt: skip
    yield "kills", "planner", figures, found.seconds, 0.0, 0.0


INSTANCES: dict[str, Callable[[Setting], Found]] = {
    "inside": inside, "start": start, "load": under_load, "loss": loss, "kills": kills}  # fmt: skip
"""What is measured, in this order; `load` are `direct`, `status`, `submit` and `direct with a key`."""


def _asked(name: str, served: Served, ask: Callable[[], Load]) -> tuple[str, str, dict[str, tuple[float, str]], float,
                                                                         float, float]:
    """Ask, with what the service and the processes that plan took meanwhile."""
    own, others = served.cpu_seconds(), served.other_cpu_seconds()
    found = ask()
    own = served.cpu_seconds() - own
    later = served.other_cpu_seconds()
    planning = sum(value - others.get(pid, 0.0) for pid, value in later.items())
    figures = _figures(found) | {"service_cpu": (own / found.seconds, "cores"),
                                 "planning_cpu": (planning / found.seconds, "cores")}
    return name, "planner", figures, found.seconds, own, served.resident_mib()


def _figures(load: Load) -> dict[str, tuple[float, str]]:
    return {"requests_per_s": (load.requests_per_s, "1/s"), "p50_ms": (load.p50_ms, "ms"),
            "p99_ms": (load.p99_ms, "ms"), "errors": (float(load.errors), "requests"),
            "generator_cpu": (load.cpu_seconds / load.seconds, "cores")}


@contextmanager
def _setting(asked: argparse.Namespace) -> Iterator[Setting]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, server, url = Path(name), None, None
        if asked.database == "postgresql":
            server = stack.enter_context(service_kills.postgres(folder / "postgresql"))
            url = server.url
        yield Setting(folder, asked.data, url, server, asked.seconds, asked.seed, asked.kills)


def main() -> None:
    """Run the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=ROOT / "examples", help="a folder of scenario folders")
    made.add_argument("--instances", default=",".join(INSTANCES), help=f"default {','.join(INSTANCES)}")
    made.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--seconds", type=float, default=20.0, help="of each load; default 20")
    made.add_argument("--kills", type=int, default=100)
    made.add_argument("--json", type=Path, help="where to write the figures, after every instance")
    asked = made.parse_args()
    wanted = [name.strip() for name in asked.instances.split(",")]
    if unknown := [name for name in wanted if name not in INSTANCES]:
        made.error(f"--instances: {', '.join(unknown)}: allowed are {', '.join(INSTANCES)}")
    machine, rows = describe_machine() | {"database": asked.database}, list[Row]()
    for name in wanted:
        with _setting(asked) as setting:
            for instance, method, figures, seconds, cpu_seconds, peak_mib in INSTANCES[name](setting):
                rows += [Row(instance, method, metric, round(value, 4), unit, round(seconds, 2), round(cpu_seconds, 2),
                             round(peak_mib, 1)) for metric, (value, unit) in figures.items()]
                if asked.json:
                    write("service", asked.json, machine, rows)
    show("Service", rows, AIMS)


def write(kind: str, out: Path, machine: dict[str, Any], rows: list[Row]) -> None:
    """Figures as rows."""
    content = {"benchmark": kind, "machine": machine, "rows": [asdict(row) for row in rows]}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def show(title: str, rows: list[Row], aims: Mapping[tuple[str, str], str]) -> None:
    """A table of all figures, each beside what is aimed at."""
    made = table(title, ("instance", "method", "metric", "value", "unit", "aim"))
    for row in rows:
        aim = aims.get((row.instance, row.metric), "") if row.method == "planner" else ""
        met = not aim or (row.value >= float(aim[3:]) if aim[0] == ">" else row.value <= float(aim[3:]))
        made.add_row(row.instance, row.method, row.metric, f"{row.value:,.3f}".rstrip("0").rstrip("."), row.unit,
                     aim + ("" if met else " missed"))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(made)


if __name__ == "__main__":
    main()
