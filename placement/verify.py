"""The independent check of a solution: is every rule of the problem kept, what does it cost, what does it attain.

Everything is recomputed in float64 from the problem and the solution; no optimiser uses this module. A packing is only
believed after its own replicas, machines and sizes have been added up here.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields

import numpy as np

from placement.checks.interference import broken_interference
from placement.checks.packs import unpacked
from placement.checks.parts import broken_parts, whole_copies_up
from placement.checks.pooled import broken_pools
from placement.checks.shared import broken_limits, commitment_costs
from placement.checks.shown_rows import Shown
from placement.checks.survival import broken_survival
from placement.checks.violation import Violation
from placement.domains import failure_domains
from placement.needs import Load, machines_by_kind, pool_loads, unit_needs
from placement.parts import WrongCutError, cut
from placement.problem import TOLERANCE, Bools, Counts, Domains, Ints, Problem, Purchase
from placement.result import Solution, Units
from placement.shown import PackingRows

RELATIVE = 1e-6
"""Figures in USD agree within one part in a million."""
_THREADS = 2
"""Pools whose packing is checked side by side."""


@dataclass(frozen=True, slots=True)
class Costs:
    """USD over the horizon: machines by their offers, what running machines cost beside (carbon), units where they are
    (data egress, storage, moves), egress to users, egress between streams. Machines that a commitment pays for are not
    in `machines_usd`; `commitments_usd` is what commitments cost.
    """

    machines_usd: float
    running_usd: float
    units_usd: float
    users_usd: float
    flows_usd: float
    commitments_usd: float = 0.0

    @property
    def total_usd(self) -> float:
        """All of it."""
        return float(sum(getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violations` (none: the solution holds), what it costs, the share of weight attained, and which workloads are
    [W].
    """

    violations: tuple[Violation, ...]
    costs: Costs
    attainment: float
    attained: Bools = field(repr=False)

    @property
    def holds(self) -> bool:
        """True when no rule is broken."""
        return not self.violations


def verify(problem: Problem, solution: Solution, bound: float | None = None,
           packings: PackingRows | None = None) -> Verdict:
    """Check a solution and recompute its figures.

    `bound` is a claimed limit on the objective; `packings` shows packings for slots where our own means may fail.
    A solution whose rows do not exist in the problem gets a verdict with these violations alone, and costs of NaN, and
    so does one whose streams are split as they may not be.
    """
    given = problem
    if len(solution.cuts) and problem.layers is None:
        try:
            problem = cut(problem, solution.cuts).problem
        except WrongCutError as wrong:
            return _worthless(given, (Violation("parts", {"stream": wrong.stream}, 0.0, 0.0, str(wrong)),))
    malformed = tuple(_malformed(problem, solution))
    if malformed:
        return _worthless(problem, malformed)
    placed, available = _placed(problem, solution.units), _available(problem, solution.units)
    attained = _whole(problem, placed & available)
    weight = problem.workloads.weight
    attainment = float(weight[attained].sum() / weight.sum()) if weight.sum() > 0 else 1.0
    cost = costs(problem, solution)
    violations = (*(broken_parts(given, problem) if given is not problem else ()),
                  *_legal_units(problem, solution.units), *_copies(problem, solution.units),
                  *_unattained(problem, placed, available, attainment),
                  *_moves(problem, solution.units), *_limits(problem, solution.machines),
                  *broken_limits(problem, solution), *_room(problem, solution, packings),
                  *broken_survival(problem, solution, packings),
                  *_money(problem, cost.total_usd), *_bound(problem, bound, cost.total_usd, attainment))
    return Verdict(violations, cost, attainment, attained)


def _worthless(problem: Problem, violations: tuple[Violation, ...]) -> Verdict:
    """The verdict on a solution of which no figure can be said."""
    nan, nothing = float("nan"), np.zeros(len(problem.workloads.weight), np.bool_)
    return Verdict(violations, Costs(nan, nan, nan, nan, nan), 0.0, nothing)


def verify_room(problem: Problem, solution: Solution) -> tuple[Violation, ...]:
    """Check only that the machines are within all limits and hold all replicas: a state on the way to a plan, in which
    a stream may take room in more places than it has copies.
    """
    return (*_malformed(problem, solution), *_limits(problem, solution.machines), *broken_limits(problem, solution),
            *_room(problem, solution, None))


def moves_made(problem: Problem, units: Units) -> int:
    """Places of the plan in force that placed streams have left; a stream that lost a copy is placed anew."""
    force = problem.incumbent
    if force is None:
        return 0
    streams = len(problem.streams.shape)
    had = np.bincount(force.stream, minlength=streams)
    wanted = np.zeros(streams, np.int64)
    wanted[force.stream] = problem.variants.copies[force.variant]
    kept = np.bincount(units.stream[np.isin(units.candidate, force.candidate)], minlength=streams)
    return int((had - kept)[(had == wanted) & _placed(problem, units)].sum())


def _moves(problem: Problem, units: Units) -> Iterator[Violation]:
    """No more places of the plan in force are left than may be."""
    most = problem.incumbent.most_moves if problem.incumbent is not None else None
    if most is not None and (made := moves_made(problem, units)) > most:
        yield Violation("moves", {}, float(made), float(most),
                        f"{made} places of the plan in force are left; {most} moves are allowed")


# ---------------------------------------------------------------- rows


def _malformed(problem: Problem, solution: Solution) -> Iterator[Violation]:
    units, shape = solution.units, (len(problem.offers.pool), problem.slots)
    if solution.machines.shape != shape:
        yield Violation("rows", {}, float(solution.machines.size), float(shape[0] * shape[1]),
                        f"machine counts have shape {solution.machines.shape}; {shape} (offers, slots) is needed")
    tables = {"stream": len(problem.streams.shape), "candidate": len(problem.candidates.pool),
              "variant": len(problem.variants.stream)}
    for name, rows in tables.items():
        column: Ints = getattr(units, name)
        for u in np.flatnonzero((column < 0) | (column >= rows)):
            yield Violation("rows", {"unit": int(u)}, float(column[u]), rows - 1.0,
                            f"unit {u} names {name} {column[u]}; there are {rows}, numbered from 0")


def _legal_units(problem: Problem, units: Units) -> Iterator[Violation]:
    """Every unit uses its own stream's candidate and variant, at the pool's speed, and starts inside its window."""
    candidates, variants = problem.candidates, problem.variants
    speed, needed_speed = variants.speed[units.variant], candidates.speed[units.candidate]
    steady = variants.row[units.variant] >= 0
    earliest = np.where(steady, 0, variants.earliest[units.variant])
    latest = np.where(steady, 0, variants.latest[units.variant])
    rules: tuple[tuple[str, Ints, Ints, Bools, str], ...] = (
        ("candidate", candidates.stream[units.candidate], units.stream,
         candidates.stream[units.candidate] != units.stream, "lies in a pool by a candidate of stream"),
        ("variant", variants.stream[units.variant], units.stream,
         variants.stream[units.variant] != units.stream, "needs what a variant says of stream"),
        ("speed", speed, needed_speed, speed != needed_speed, "is sized for hardware of speed"),
        ("window", units.start, earliest, units.start < earliest, "starts in slot"),
        ("window", units.start, latest, units.start > latest, "starts in slot"))
    for kind, found, allowed, broken, words in rules:
        for u in np.flatnonzero(broken):
            yield Violation(kind, {"unit": int(u), "stream": int(units.stream[u])}, float(found[u]), float(allowed[u]),
                            f"unit {u} of stream {units.stream[u]} {words} {found[u]}; {allowed[u]} is allowed")


def _copies(problem: Problem, units: Units) -> Iterator[Violation]:
    """Copies of a stream are numbered 0..k-1, all sized for k copies, and lie in distinct failure domains."""
    domain = failure_domains(problem).pool[problem.candidates.pool[units.candidate]]
    copies = problem.variants.copies[units.variant]
    count = np.bincount(units.stream, minlength=len(problem.streams.shape))[units.stream]
    wrong = (units.copy < 0) | (units.copy >= count) | (copies != count)
    wrong |= _again(units.stream, units.copy) | _again(units.stream, domain)
    for stream in np.unique(units.stream[wrong]).tolist():
        yield from _copies_of(stream, np.flatnonzero(units.stream == stream), units, copies, domain)


def _again(stream: Ints, value: Ints) -> Bools:
    """[U] whether another unit of the same stream comes before in order with the same value."""
    order = np.lexsort((value, stream))
    again = np.zeros(len(stream), np.bool_)
    again[order[1:]] = (np.diff(stream[order]) == 0) & (np.diff(value[order]) == 0)
    return again


def _copies_of(stream: int, own: Ints, units: Units, copies: Ints, domain: Ints) -> Iterator[Violation]:
    where, count = {"stream": stream}, len(own)
    if sorted(units.copy[own].tolist()) != list(range(count)):
        yield Violation("copies", where, float(units.copy[own].max()), count - 1.0,
                        f"stream {stream} has copies {sorted(units.copy[own].tolist())}; 0 to {count - 1}, each "
                        f"once, are needed")
    for u in own[copies[own] != count]:
        yield Violation("copies", {**where, "unit": int(u)}, float(copies[u]), float(count),
                        f"copy {units.copy[u]} of stream {stream} is sized for {copies[u]} copies; it has {count}")
    if len(np.unique(domain[own])) < count:
        yield Violation("domain", where, float(len(np.unique(domain[own]))), float(count),
                        f"stream {stream} has {count} copies in {len(np.unique(domain[own]))} failure domains; "
                        f"each copy needs its own")


# ---------------------------------------------------------------- service level


def _placed(problem: Problem, units: Units) -> Bools:
    """[S] whether the stream has a unit."""
    placed = np.zeros(len(problem.streams.shape), np.bool_)
    placed[units.stream] = True
    return placed


def _available(problem: Problem, units: Units) -> Bools:
    """[S] whether the stream's copies meet its availability (True where it has none to check)."""
    available = np.ones(len(problem.streams.shape), np.bool_)
    domains = failure_domains(problem)
    order = np.lexsort((domains.pool[problem.candidates.pool[units.candidate]], units.stream))
    domain = domains.pool[problem.candidates.pool[units.candidate[order]]]
    streams, first, count = np.unique(units.stream[order], return_index=True, return_counts=True)
    alone = count == 1
    available[streams[alone]] = problem.candidates.single[units.candidate[order[first[alone]]]]
    for k in np.unique(count[~alone]).tolist():
        some = count == k  # the same domains over and over: the chance of each set is worked out once
        sets, which = np.unique(domain[first[some][:, None] + np.arange(k)], axis=0, return_inverse=True)
        chance = np.array([at_most_one_down(domains, chosen) for chosen in sets])[which.reshape(-1)]
        available[streams[some]] = chance >= problem.streams.availability[streams[some]] - 1e-12
    return available & whole_copies_up(problem, units)


def at_most_one_down(domains: Domains, chosen: Ints) -> float:
    """Chance that at most one of the copies in the failure domains `chosen` [k] is down."""
    return sum(_down(domains, chosen, 0))


def _down(domains: Domains, chosen: Ints, level: int) -> tuple[float, float]:
    """Chances that none and that exactly one of the copies is down, given that all parts before `level` are up.

    Copies that share the part at `level` go down with it; those of different parts do not depend on one another.
    """
    if level == domains.path.shape[1]:
        return 1.0, 0.0  # a copy with nothing left to fail, or several in one domain: that is another rule's matter
    none, one = 1.0, 0.0
    parts = domains.path[chosen, level]
    for part in np.unique(parts):
        members = chosen[parts == part]
        up = float(domains.up[part]) if part >= 0 else 1.0
        inner_none, inner_one = _down(domains, members, level + 1)
        own_none, own_one = up * inner_none, up * inner_one + (1 - up) * (len(members) == 1)
        none, one = none * own_none, one * own_none + none * own_one
    return none, one


def _whole(problem: Problem, good: Bools) -> Bools:
    """[W] workloads all of whose streams are good [S]."""
    bad = np.zeros(len(problem.workloads.weight), np.bool_)
    bad[problem.streams.workload[~good]] = True
    return ~bad


def _unattained(problem: Problem, placed: Bools, available: Bools, attainment: float) -> Iterator[Violation]:
    """In `min_cost` only droppable workloads go unattained, and together no more than the floor allows."""
    if problem.objective.mode != "min_cost":
        return
    for kind, good, words in (("unplaced", placed, "has a stream without a unit"),
                              ("availability", available, "has copies that miss its availability")):
        for w in np.flatnonzero(~_whole(problem, good) & ~problem.workloads.droppable):
            stream = int(np.flatnonzero(~good & (problem.streams.workload == w))[0])
            yield Violation(kind, {"workload": int(w), "stream": stream}, 0.0, 1.0,
                            f"workload {w} {words} (stream {stream}); it is not droppable")
    if attainment < problem.objective.sla_floor - 1e-9:
        yield Violation("floor", {}, attainment, problem.objective.sla_floor,
                        f"attainment is {attainment:.6f}; at least {problem.objective.sla_floor} is asked for")


# ---------------------------------------------------------------- machines


def _limits(problem: Problem, machines: Counts) -> Iterator[Violation]:
    """Counts are not negative and within every offer's and every pool's maximum; as many run as the pool always has."""
    in_pool = machines_by_kind(problem, machines).sum(axis=1)
    for kind, name, counts, most in (("offer", "offer", machines, problem.offers.max_machines),
                                     ("pool", "pool", in_pool, problem.pools.max_machines)):
        over = counts.astype(np.int64) - most
        for row in np.flatnonzero((over > 0).any(axis=1)):
            t = int(over[row].argmax())
            yield Violation(kind, {name: int(row), "slot": t}, float(counts[row, t]), float(most[row, t]),
                            f"{name} {row} runs {counts[row, t]} machines in slot {t}; its maximum is {most[row, t]} "
                            f"(too many in {(over[row] > 0).sum()} slots)")
    short = (in_pool < problem.pools.min_machines) & (problem.pools.min_machines > 0)
    for row in np.flatnonzero(short.any(axis=1)):
        under = problem.pools.min_machines[row] - in_pool[row]
        t = int(under.argmax())
        yield Violation("pool", {"pool": int(row), "slot": t}, float(in_pool[row, t]),
                        float(problem.pools.min_machines[row, t]),
                        f"pool {row} runs {in_pool[row, t]} machines in slot {t}; its minimum is "
                        f"{problem.pools.min_machines[row, t]} (too few in {(under > 0).sum()} slots)")
    for row in np.flatnonzero((machines < 0).any(axis=1)):
        t = int(machines[row].argmin())
        yield Violation("offer", {"offer": int(row), "slot": t}, float(machines[row, t]), 0.0,
                        f"offer {row} runs {machines[row, t]} machines in slot {t}; 0 is the least")


def _room(problem: Problem, solution: Solution, packings: PackingRows | None) -> Iterator[Violation]:
    """In every pool and slot the machines that run hold all replicas: firm ones off spot, each one whole; where pools
    are sized on sample paths, those of enough paths.
    """
    if problem.paths is not None:
        yield from broken_pools(problem, solution, problem.paths)
        return
    kinds = machines_by_kind(problem, solution.machines)
    needs = unit_needs(problem, solution.units)
    yield from broken_interference(problem, solution.units, needs)
    shown = Shown(problem, solution.units, needs, kinds, packings)

    def checked(pool: int, load: Load) -> list[Violation]:
        return list(_pool_room(problem, pool, load, kinds[pool], shown))

    loads = pool_loads(problem, solution.units, needs)
    with ThreadPoolExecutor(_THREADS) as executor:
        for found in executor.map(checked, range(len(loads)), loads):
            yield from found


def _pool_room(problem: Problem, pool: int, load: Load, kinds: Ints, shown: Shown) -> Iterator[Violation]:
    misfit = ((load.firm + load.flexible).any(axis=1)
              & (problem.shapes[load.shapes] > problem.pools.room[pool] + TOLERANCE).any(axis=1))
    for shape in load.shapes[misfit]:
        yield Violation("misfit", {"pool": pool, "shape": int(shape)}, 1.0, 0.0,
                        f"a replica of shape {shape} fits no machine of pool {pool}")
    if misfit.any():
        return
    firm, total = kinds[: Purchase.SPOT].sum(axis=0), kinds.sum(axis=0)
    found = unpacked(problem, pool, load, firm, total, lambda t: shown.packs(pool, t))
    for kind in ("room", "unproven"):
        slots = [one for one in found if one.impossible == (kind == "room")]
        if not slots:
            continue
        first, t = slots[0], slots[0].slot
        of_firm = kind == "room" and first.low <= total[t]
        runs, allowed = (firm[t], first.low_firm) if of_firm else (total[t], first.low)
        words = "" if kind == "room" else "; no packing was found, nor is it proven that there is none"
        yield Violation(kind, {"pool": pool, "slot": t}, float(runs), float(allowed),
                        f"pool {pool} runs {runs} machines{' that are not spot' if of_firm else ''} in slot {t}; at "
                        f"least {allowed} are needed{words} ({len(slots)} such slots)")


# ---------------------------------------------------------------- money


def costs(problem: Problem, solution: Solution) -> Costs:
    """What a solution costs, by part; its rows must exist in the problem."""
    offers, units, machines = problem.offers, solution.units, solution.machines.astype(np.float64)
    held = np.maximum(offers.owned, machines.max(axis=1, initial=0.0)[:, None])
    fixed = (offers.purchase <= Purchase.COMMITTED)[:, None]
    running = problem.pools.run_usd[offers.pool] * machines
    copies = problem.variants.copies[units.variant]
    commitments, saved = commitment_costs(problem, solution)
    return Costs(float((np.where(fixed, held, machines) * offers.price_usd).sum()) - saved, float(running.sum()),
                 float(problem.candidates.cost_usd[units.candidate].sum()),
                 float((problem.candidates.user_usd[units.candidate] / copies).sum()), _flows_usd(problem, units),
                 commitments)


def _flows_usd(problem: Problem, units: Units) -> float:
    """Egress of every flow from the sender's copy 0 to each of the receiver's copies."""
    cluster = problem.pools.cluster[problem.candidates.pool[units.candidate]]
    first = np.full(len(problem.streams.shape), -1)
    first[units.stream[units.copy == 0]] = cluster[units.copy == 0]
    order = np.argsort(units.stream, kind="stable")
    begin, end = (np.searchsorted(units.stream[order], problem.flows.receiver, side=side) for side in ("left", "right"))
    sent = np.where(first[problem.flows.sender] >= 0, end - begin, 0)  # to so many copies
    flow = np.repeat(np.arange(len(sent)), sent)
    turn = np.arange(len(flow)) - np.repeat(np.cumsum(sent) - sent, sent)
    to = cluster[order[begin[flow] + turn]]
    price = problem.clusters.egress_usd_per_gb[first[problem.flows.sender[flow]], to]
    return float((problem.flows.gb[flow] * price).sum())


def _money(problem: Problem, cost_usd: float) -> Iterator[Violation]:
    budget = problem.objective.budget_usd
    if problem.objective.mode == "max_sla" and cost_usd > budget + RELATIVE * max(1.0, abs(budget)):
        yield Violation("budget", {}, cost_usd, budget,
                        f"the plan costs {cost_usd:.2f} USD; {budget:.2f} is the budget")


def _bound(problem: Problem, bound: float | None, cost_usd: float, attainment: float) -> Iterator[Violation]:
    """A lower bound on cost is not above the cost; an upper bound on attainment is not below what is attained."""
    if bound is None:
        return
    if problem.objective.mode == "min_cost":
        broken, reached, words = not bound <= cost_usd + RELATIVE * max(1.0, abs(cost_usd)), cost_usd, "cost of"
    else:
        broken, reached, words = not bound >= attainment - RELATIVE, attainment, "attainment of"
    if broken:
        yield Violation("bound", {}, bound, reached,
                        f"the bound {bound:.6g} contradicts the plan's {words} {reached:.6g}")


__all__ = ["Costs", "Verdict", "Violation", "at_most_one_down", "costs", "verify"]
