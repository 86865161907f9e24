"""The tables that a replay's figures are added up from, as Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.online import EVENTS
from placement.problem import Counts, Floats, Ints, Purchase
from planner.bill import HELD
from planner.files import write_atomically
from planner.replay import CAUSES, Replayed, Service, unplaced

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("machines", "pools", "workloads", "missed", "events")
"""machines: what every offer ran and cost in a slot. pools: a pool in a slot. workloads: what each got. missed: every
unit and slot with fewer replicas than asked for. events: all that happened, in order."""


def replay_tables(found: Replayed) -> dict[str, pa.Table]:
    """All tables by name; placements and departures are among the events only where the run noted them."""
    return {"machines": _machines(found), "pools": _pools(found), "workloads": _workloads(found),
            "missed": _missed(found), "events": _events(found)}


def write_tables(found: Replayed, folder: Path) -> dict[str, str]:
    """Write every table to `folder`, which is made where it is not there; return their names. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in replay_tables(found).items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_atomically(folder / f"{name}.parquet", sink.getvalue().to_pybytes())
    return {name: f"{name}.parquet" for name in TABLES}


Texts = dict[str, tuple[Sequence[str | None], Ints]]
Numbers = dict[str, Ints | Counts | Floats]


def _table(texts: Texts, numbers: Numbers, order: Sequence[str]) -> pa.Table:
    """Columns of words, each by its distinct words and the row's position among them, and of numbers."""
    import pyarrow as pa

    columns = {name: pa.array(words, pa.string()).take(pa.array(at)) for name, (words, at) in texts.items()}
    columns |= {name: pa.array(np.asarray(values)) for name, values in numbers.items()}
    return pa.table({name: columns[name] for name in order})


def _places(found: Replayed, pool: Ints) -> Texts:
    names = found.opened.formulation.names.pools
    return {"cluster": ([cluster for cluster, _ in names], pool), "pool": ([name for _, name in names], pool)}


def _purchases(kind: Ints) -> Texts:
    return {"purchase": ([one.name.lower() for one in Purchase], kind)}


def _machines(found: Replayed) -> pa.Table:
    """`paid` machines x `price_usd` = `usd`: added up, the realised cost of machines."""
    offers, ran = found.problem.offers, found.run.machines
    held = np.maximum(offers.owned, ran.max(axis=1, initial=0)[:, None])
    paid = np.where(np.isin(offers.purchase, HELD)[:, None], held, ran)
    o, t = np.nonzero((paid > 0) | (found.plan_machines > 0))
    price = offers.price_usd[o, t]
    numbers: Numbers = {"slot": t, "planned": found.plan_machines[o, t], "ran": ran[o, t], "paid": paid[o, t],
                        "price_usd": price, "usd": paid[o, t] * price}
    return _table(_places(found, offers.pool[o]) | _purchases(offers.purchase[o]), numbers,
                  ("cluster", "pool", "purchase", *numbers))


def _pools(found: Replayed) -> pa.Table:
    problem, run, plan = found.problem, found.run, found.opened.solution
    assert plan is not None
    shape = run.used.shape
    planned, ran, waited, replicas, evicted, moved = (np.zeros(shape, np.int64) for _ in range(6))
    pool = problem.candidates.pool[plan.units.candidate]
    for total, values in ((planned, found.plan_machines), (ran, run.machines)):
        np.add.at(total, problem.offers.pool, values)
    for total, values in ((waited, run.short), (replicas, run.ran)):
        np.add.at(total, pool, values)
    for total, kind in ((evicted, "evicted"), (moved, "moved")):
        rows = np.flatnonzero(run.events.what == EVENTS.index(kind))
        np.add.at(total, (problem.offers.pool[run.events.offer[rows]], run.events.slot[rows]),
                  run.events.replicas[rows])
    p, t = np.nonzero((planned > 0) | (ran > 0) | (waited > 0) | (replicas > 0))
    numbers: Numbers = {
        "slot": t, "planned": planned[p, t], "ran": ran[p, t], "used": run.used[p, t],
        "packed_anew": found.packed[p, t], "replicas": replicas[p, t], "waited": waited[p, t],
        "evicted": evicted[p, t], "moved": moved[p, t], "carbon_usd": ran[p, t] * problem.pools.run_usd[p, t]}
    texts = _places(found, p) | {"cause": ([None, *CAUSES[1:]], found.cause[p, t])}
    return _table(texts, numbers, ("cluster", "pool", *numbers, "cause"))


def _workloads(found: Replayed) -> pa.Table:
    import pyarrow as pa

    names = [*Service.__slots__, "kept"]
    return pa.table({name: pa.array([getattr(service, name) for service in found.services]) for name in names})


def _missed(found: Replayed) -> pa.Table:
    """A row for each unit and slot that got less than it asked for; workloads without a place have no cluster."""
    problem, run, plan = found.problem, found.run, found.opened.solution
    assert plan is not None
    names, demand = found.opened.formulation.names, found.opened.formulation.demand
    u, t = np.nonzero(run.short)
    lost, when = np.nonzero(demand.replicas[rows := unplaced(found)])
    lost = rows[lost]
    none = np.zeros(len(lost), np.int64)
    stream, pool = plan.units.stream[u], problem.candidates.pool[plan.units.candidate[u]]
    nowhere, places = len(names.pools), [*names.pools, (None, None)]
    at = np.concatenate([pool, none + nowhere])
    streams = [*names.streams, *((name, None) for name in names.workloads)]
    who = np.concatenate([stream, lost + len(names.streams)])
    texts: Texts = {
        "workload": ([name for name, _ in streams], who), "user_region": ([region for _, region in streams], who),
        "cluster": ([cluster for cluster, _ in places], at), "pool": ([name for _, name in places], at),
        "cause": ([None, *CAUSES[1:]], np.concatenate([found.cause[pool, t], none + CAUSES.index("not placed")]))}
    numbers: Numbers = {
        "copy": np.concatenate([plan.units.copy[u], none]), "slot": np.concatenate([t, when]),
        "asked": np.concatenate([(run.ran + run.short)[u, t], demand.replicas[lost, when]]),
        "ran": np.concatenate([run.ran[u, t], none])}
    return _table(texts, numbers, ("workload", "user_region", "copy", "cluster", "pool", "slot", "asked", "ran",
                                   "cause"))


def _events(found: Replayed) -> pa.Table:
    """Machines count from 0 in every pool and purchase."""
    events, plan, offers = found.run.events, found.opened.solution, found.problem.offers
    assert plan is not None
    streams = [*found.opened.formulation.names.streams, (None, None)]
    stream = np.where(events.unit >= 0, np.append(plan.units.stream, -1)[events.unit], len(streams) - 1)
    copy = np.where(events.unit >= 0, np.append(plan.units.copy, 0)[events.unit], 0)
    texts = _places(found, offers.pool[events.offer]) | _purchases(offers.purchase[events.offer]) | {
        "event": (EVENTS, events.what), "workload": ([name for name, _ in streams], stream),
        "user_region": ([region for _, region in streams], stream)}
    numbers = {"slot": events.slot, "machine": events.machine, "copy": copy, "replicas": events.replicas}
    return _table(texts, numbers, ("cluster", "pool", "slot", "event", "purchase", "machine", "workload", "user_region",
                                   "copy", "replicas"))
