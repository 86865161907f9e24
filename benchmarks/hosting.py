"""Hosts of diagnostics under load: from row to verdict, memory, cost of a row, kills; and diagnostics in one plan.

    python -m benchmarks.hosting [--parts live,hourly,cost,kills,plan] [--seconds 120] [--kills 50]
                                 [--database sqlite|postgresql] [--json FILE]

live: three hosts, 600 watched clusters (200 a host), a row a minute each, spread over the minute.
hourly: 10,000 watched clusters of four hosts, one row each at once, by three hosts.
cost: CPU seconds a host's row and a comparison of two months take, and a host's memory, one host alone.
kills: hosts, and processes that retrain in them, are killed (-9) at random while rows come and retraining promotes.
plan: 200 models of 20 classes with 300 other workloads in one plan.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from api.hosting.leases import standing
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, push
from benchmarks.harness import Row
from benchmarks.hosting_fleet import (
    HARDWARE,
    HOSTS,
    NODES,
    delays,
    hosted,
    kept_units,
    large_scenario,
    measures,
    opened,
    row,
    until,
    warm,
)
from benchmarks.hosting_kills import kill_at_random, taught
from benchmarks.machine import describe_machine

PARTS = ("live", "hourly", "cost", "kills", "plan")


def main() -> None:
    """Measure what is asked for."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.hosting", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("--parts", default=",".join(PARTS))
    made.add_argument("--seconds", type=float, default=120.0)
    made.add_argument("--kills", type=int, default=50)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    made.add_argument("--json", type=Path)
    asked = made.parse_args()
    rows: list[Row] = []
    parts: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
        "live": live, "hourly": hourly, "cost": cost, "kills": kills, "plan": plan}  # fmt: skip
    for name in asked.parts.split(","):
        if name not in parts:
            made.error(f"--parts: {name}: allowed are {', '.join(PARTS)}")
        found = parts[name](asked)
        for one in found:
            print(f"{one.instance:28} {one.metric:28} {one.value:12.4f} {one.unit}", flush=True)
        rows += found
        if asked.json:
            machine = describe_machine() | {"database": asked.database}
            content = {"benchmark": "hosting", "machine": machine, "rows": [asdict(one) for one in rows]}
            asked.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


# Parts ----------------------------------------------------------------------------------------------------------------


def live(asked: argparse.Namespace) -> list[Row]:
    """Rows that come evenly."""
    names = [f"watched-{number:04d}" for number in range(600)]
    with opened(asked.database, hosted(names)) as bench:
        for cluster in HOSTS:
            bench.start(cluster)
        until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 120)
        warm(bench, names)
        began, cpu = time.monotonic(), bench.cpu_s()
        clusters, turn, minute = hosted(names).clusters, 0, int(time.time()) // 60 * 60
        values = [measures(seed) for seed in range(20)]
        while time.monotonic() - began < asked.seconds:
            due = int((time.monotonic() - began) * len(names) / 60)
            if due > turn:
                given = [Given(names[at % len(names)], minute - 86_400 + 60 * (at // len(names)), values[at % 20])
                         for at in range(turn, due)]  # fmt: skip
                push(bench.engine, given, clusters, Sealing())
                turn = due
            bench.sample()
            time.sleep(0.1)
        until(lambda: bench.waiting() == 0, 60)
        used, spent = bench.cpu_s() - cpu, time.monotonic() - began
        seconds = delays(bench.engine, minute - 86_400)
        name = f"live/{len(names)}"
        return [row(name, "p50", float(np.quantile(seconds, 0.5)), "s", spent, used, bench.peak_mib),
                row(name, "p99", float(np.quantile(seconds, 0.99)), "s", spent, used, bench.peak_mib),
                row(name, "max", float(seconds.max()), "s", spent, used, bench.peak_mib),
                row(name, "rows", float(len(seconds)), "rows", spent, used, bench.peak_mib),
                row(name, "peak_memory_a_host", bench.peak_mib, "MiB", spent, used, bench.peak_mib)]  # fmt: skip


def hourly(asked: argparse.Namespace) -> list[Row]:
    """All rows of an hour at once."""
    names = [f"watched-{number:05d}" for number in range(10_000)]
    with opened(asked.database, hosted(names)) as bench:
        for cluster in HOSTS:
            bench.start(cluster)
        until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 300)
        warm(bench, names[:30])
        began, cpu, hour = time.monotonic(), bench.cpu_s(), int(time.time()) // 3600 * 3600
        clusters, values = hosted(names).clusters, [measures(seed) for seed in range(20)]
        for first in range(0, len(names), 1000):
            given = [Given(name, hour, values[at % 20]) for at, name in enumerate(names[first : first + 1000])]
            push(bench.engine, given, clusters, Sealing())
        sent = time.monotonic() - began
        while bench.waiting():
            bench.sample()
            time.sleep(0.2)
        spent, used = time.monotonic() - began, bench.cpu_s() - cpu
        bench.sample()
        return [
            row("hourly/10000", "sent", sent, "s", spent, used, bench.peak_mib),
            row("hourly/10000", "all_scored", spent, "s", spent, used, bench.peak_mib),
            row("hourly/10000", "peak_memory_a_host", bench.peak_mib, "MiB", spent, used, bench.peak_mib),
        ]


def cost(asked: argparse.Namespace) -> list[Row]:
    """One host alone."""
    from api.hosting.monitoring import compare
    from api.hosting.streams import Reader

    names = [f"watched-{number:03d}" for number in range(100)]
    with opened(asked.database, hosted(names)) as bench:
        for one in HOSTS:  # so that every cluster has a place that is there
            bench.start(one)
        until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 120)
        warm(bench, names)
        clusters, cpu, began = hosted(names).clusters, bench.cpu_s(), time.monotonic()
        hour, rows = int(time.time()) // 3600 * 3600 - 86_400, 0
        for step in range(20):
            given = [Given(name, hour + 60 * step, measures(step)) for name in names]
            rows += push(bench.engine, given, clusters, Sealing()).stored
            until(lambda: bench.waiting() == 0, 120)
        used, spent = bench.cpu_s() - cpu, time.monotonic() - began
        bench.sample()
        first = hour - 70 * 86_400
        push(bench.engine, [Given(names[0], first + 3600 * at, measures(at)) for at in range(24 * 60)], clusters,
             Sealing())  # fmt: skip
        reader, begun = Reader(bench.engine, "IE", Sealing()), time.process_time()
        assert compare(reader, names[0], HARDWARE, (first + 3600 * 24 * 60) // 86_400 - 1)
        drift = time.process_time() - begun
        return [
            row("cost", "score_cpu_s_per_host_row", used / rows / NODES, "s", spent, used, bench.peak_mib),
            row("cost", "drift_cpu_s_per_cluster", drift, "s", drift, drift, bench.peak_mib),
            row("cost", "host_memory", bench.peak_mib, "MiB", spent, used, bench.peak_mib),
        ]


def kills(asked: argparse.Namespace) -> list[Row]:
    """Kill -9 at random, over and over."""
    began = time.monotonic()
    with opened(asked.database, taught()) as bench:
        found, spent = kill_at_random(bench, asked.kills, asked.seed), time.monotonic() - began
        name = f"kills/{asked.kills}/{asked.database}"
        counts = ("loops", "rows", "lost", "doubled", "wrong", "versions", "changes", "promoted", "runs", "broken_runs")
        return [*(row(name, one, getattr(found, one), one, spent, 0.0, bench.peak_mib) for one in counts),
                row(name, "new_version_noticed_max", found.noticed_s, "s", spent, 0.0, bench.peak_mib),
                row(name, "take_over_median", float(np.median(found.taken_over)), "s", spent, 0.0, bench.peak_mib),
                row(name, "take_over_max", max(found.taken_over), "s", spent, 0.0, bench.peak_mib)]  # fmt: skip


def plan(asked: argparse.Namespace) -> list[Row]:
    """200 models of 20 classes with 300 other workloads, verified by the code that the solver does not share."""
    from planner.checking import verify_plan
    from planner.planning import PlanRequest, make_plan

    scenario = large_scenario(asked.seed)
    began, cpu = time.monotonic(), time.process_time()
    planned = make_plan(scenario, PlanRequest(time_limit_s=asked.seconds, seed=asked.seed))
    spent, used = time.monotonic() - began, time.process_time() - cpu
    country = {cluster.name: cluster.country for cluster in scenario.clusters}
    watches = {one.name: one.watches for one in planned.scenario.workloads if one.watches is not None}
    abroad = [
        unit
        for unit in planned.plan.assignments
        if unit.workload in watches and country[unit.cluster] != watches[unit.workload].country
    ]
    abroad_after = [
        row
        for row in planned.plan.fallbacks
        if row.workload in watches and country[row.cluster] != watches[row.workload].country
    ]
    kept = kept_units(planned.plan, planned.scenario)
    stored = [unit for unit in kept if unit[0] in watches and country[unit[1]] != watches[unit[0]].country]
    check = verify_plan(scenario, planned.plan)
    costs = planned.plan.costs_by_owner
    share = costs.get("diagnostics", 0.0) / planned.plan.cost_usd
    scored = {name: one.clusters[0] for name, one in watches.items() if one.purpose == "score"}
    near = {unit.workload for unit in planned.plan.assignments if scored.get(unit.workload) == unit.cluster}
    name = f"plan/{len(planned.scenario.workloads)}"
    return [
        row(name, "holds", float(check.holds), "1 if so", spent, used, 0.0),
        row(name, "hosted_workloads", float(len(watches)), "workloads", spent, used, 0.0),
        row(name, "abroad", float(len(abroad) + len(abroad_after)), "units", spent, used, 0.0),
        row(name, "units_in_the_store", float(len(kept)), "units", spent, used, 0.0),
        row(name, "abroad_in_the_store", float(len(stored)), "units", spent, used, 0.0),
        row(name, "scored_at_home", len(near) / len(scored), "share", spent, used, 0.0),
        row(name, "gap", planned.plan.gap, "share", spent, used, 0.0),
        row(name, "cost_share_of_diagnostics", share, "share", spent, used, 0.0),
        *(row(name, f"cost_of_{kind}", cost, "USD", spent, used, 0.0)
          for kind, cost in planned.plan.costs_of_diagnostics.items()),
    ]


if __name__ == "__main__":
    main()
