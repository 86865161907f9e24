"""Demand run online against a plan: recounted from the events, and run again one replica at a time in plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.needs import unit_needs
from placement.online import EVENTS, Policy, Rules, Run, gangs, run_online
from placement.problem import Problem, Purchase
from placement.result import Settings, Solution, Units
from placement.solvers import first_fit

Case = tuple[Problem, Solution]
PLACED, LEFT, MOVED, EVICTED, STARTED, STOPPED, INTERRUPTED = range(len(EVENTS))
ROOM = 1e-6


class Quiet:
    """Watches a solver without a word."""

    def report(self, *_: object) -> None: ...

    def stopped(self) -> bool:
        return False


@pytest.fixture(scope="module")
def make(tiny_problem: Callable[..., Problem]) -> Callable[[int], Case]:
    """A plan by first fit, and its problem with other replicas than it was made for."""
    def case(seed: int) -> Case:
        problem = tiny_problem(seed, slots=6, workloads=5)
        result = first_fit.solve(problem, Settings(), Quiet())
        assert result.solution is not None
        rng = np.random.default_rng(seed)
        rows = np.maximum(0, problem.variants.rows + rng.integers(-1, 4, problem.variants.rows.shape))
        return replace(problem, variants=replace(problem.variants, rows=rows.astype(np.int32))), result.solution
    return case


def rules(problem: Problem, plan: Solution, seed: int, policy: Policy, chance: float = 0.3) -> Rules:
    """Two priorities; spot machines that are interrupted often."""
    priority = np.random.default_rng(seed).choice([10, 90], len(plan.units.stream))
    return Rules(policy, priority, np.where(problem.offers.purchase == Purchase.SPOT, chance, 0.0), seed, every=True)


def told(run: Run) -> Iterator[tuple[int, ...]]:
    """Events as tuples, in order."""
    events = run.events
    yield from zip(events.slot.tolist(), events.what.tolist(), events.offer.tolist(), events.machine.tolist(),
                   events.unit.tolist(), events.replicas.tolist(), strict=True)


class Yard:
    """What is where, by the events alone."""

    def __init__(self, problem: Problem, plan: Solution) -> None:
        self.problem, self.shape = problem, problem.shapes[problem.streams.shape[plan.units.stream]]
        self.on: set[tuple[int, int]] = set()
        self.there: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)

    def happen(self, what: int, machine: tuple[int, int], unit: int, replicas: int) -> None:
        if what == STARTED:
            assert machine not in self.on
            self.on.add(machine)
        elif what in (STOPPED, INTERRUPTED):
            assert not +self.there[machine]
            self.on.remove(machine)
        else:
            assert machine in self.on
            assert replicas > 0
            self.there[machine][unit] += replicas if what in (PLACED, MOVED) else -replicas
            assert self.there[machine][unit] >= 0

    def check(self) -> None:
        """No machine holds more than it has room for; none on spot that must not be."""
        for (offer, number), units in self.there.items():
            if not +units:
                continue
            room = self.problem.pools.room[self.problem.offers.pool[offer]]
            assert (offer, number) in self.on
            assert (sum(n * self.shape[u] for u, n in units.items()) <= room + ROOM + 1e-9).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), policy=st.sampled_from(["fixed", "autoscale"]))
def test_events_add_up_to_what_ran(make: Callable[[int], Case], seed: int, policy: Policy) -> None:
    """By the events alone no machine is over its room in any slot, and machines and replicas are those stated."""
    problem, plan = make(seed)
    run = run_online(problem, plan, rules(problem, plan, seed, policy))
    yard, by_pool = Yard(problem, plan), defaultdict(list)
    for event in told(run):
        by_pool[int(problem.offers.pool[event[2]])].append(event)
    for t in range(problem.slots):
        for events in by_pool.values():
            for _, what, offer, machine, unit, replicas in (e for e in events if e[0] == t):
                yard.happen(what, (offer, machine), unit, replicas)
        yard.check()
        ran = sum((+units for units in yard.there.values()), Counter())
        assert [ran[u] for u in range(len(run.ran))] == run.ran[:, t].tolist()
        assert Counter(offer for offer, _ in yard.on) == +Counter(dict(enumerate(run.machines[:, t].tolist())))
        used = Counter(int(problem.offers.pool[o]) for (o, _), units in yard.there.items() if +units)
        assert [used[p] for p in range(len(run.used))] == run.used[:, t].tolist()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), policy=st.sampled_from(["fixed", "autoscale"]))
def test_limits_and_demand_hold(make: Callable[[int], Case], seed: int, policy: Policy) -> None:
    """What ran and what waited is what was asked; machines keep to the plan, the offers and the pools."""
    problem, plan = make(seed)
    run = run_online(problem, plan, rules(problem, plan, seed, policy, chance=0.0))
    steady = ~gangs(problem, plan.units)
    needs = unit_needs(problem, plan.units)
    assert (run.ran + run.short == needs)[steady].all()
    whole = needs.max(axis=1)[:, None]
    assert ((run.ran == 0) | (run.ran == whole))[~steady].all()
    assert (run.ran[~steady].sum(axis=1) <= needs[~steady].sum(axis=1)).all()
    assert (run.machines >= plan.machines).all()
    assert (run.machines <= np.maximum(problem.offers.max_machines, plan.machines)).all()
    fixed = problem.offers.purchase <= Purchase.COMMITTED
    held = np.maximum(problem.offers.owned, plan.machines.max(axis=1)[:, None])
    assert (run.machines <= held)[fixed].all()
    if policy == "fixed":
        assert (run.machines == plan.machines).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), policy=st.sampled_from(["fixed", "autoscale"]))
def test_same_again(make: Callable[[int], Case], seed: int, policy: Policy) -> None:
    """The same input gives the same events; leaving out placements changes nothing else."""
    problem, plan = make(seed)
    asked = rules(problem, plan, seed, policy)
    run, again = run_online(problem, plan, asked), run_online(problem, plan, asked)
    few = run_online(problem, plan, replace(asked, every=False))
    assert list(told(run)) == list(told(again))
    assert [event for event in told(run) if event[1] not in (PLACED, LEFT)] == list(told(few))
    assert (run.ran == few.ran).all()


class Plain:
    """The same rules, one replica at a time, in plain Python; interruptions are those of the run."""

    def __init__(self, problem: Problem, plan: Solution, asked: Rules, run: Run) -> None:
        self.problem, self.plan, self.asked = problem, plan, asked
        self.needs, self.gang = unit_needs(problem, plan.units), gangs(problem, plan.units)
        self.shape = problem.shapes[problem.streams.shape[plan.units.stream]]
        self.pool = problem.candidates.pool[plan.units.candidate]
        self.spot_ok = problem.streams.preemptible[plan.units.stream]
        self.stack: list[list[tuple[int, int]]] = [[] for _ in self.pool]
        self.pending, self.since, self.owed = ([0] * len(self.pool) for _ in range(3))
        self.on: set[tuple[int, int]] = set()
        self.lost = [(t, (o, m)) for t, what, o, m, _, _ in told(run) if what == INTERRUPTED]

    def run(self) -> Iterator[tuple[list[int], list[int], list[int]]]:
        """Machines, replicas that ran and replicas that waited, slot by slot."""
        for t in range(self.problem.slots):
            for u in range(len(self.pool)):
                self.ask(u, t)
            gone = [machine for slot, machine in self.lost if slot == t]
            for machine in gone:
                self.stop(machine, t)
            missing = Counter(o for o, _ in gone)
            self.floor = [max(0, int(n) - missing[o]) for o, n in enumerate(self.plan.machines[:, t])]
            self.limit = [max(0, self.most(o, t) - missing[o]) for o in range(len(self.floor))]
            self.resize(t)
            for u in sorted((u for u in range(len(self.pool)) if self.pending[u]), key=self.turn):
                self.serve(u, t)
            for o, floor in enumerate(self.floor):
                for machine in sorted((m for m in self.on if m[0] == o), reverse=True):
                    if self.count(o) > floor and not self.holds(machine):
                        self.on.remove(machine)
            ran = [len(stack) for stack in self.stack]
            yield [self.count(o) for o in range(len(self.floor))], ran, list(self.pending)
            for u in np.flatnonzero(self.gang).tolist():
                self.owed[u] -= bool(ran[u])

    def ask(self, u: int, t: int) -> None:
        wanted = int(self.needs[u, t])
        if self.gang[u]:
            self.owed[u] += wanted > 0
            wanted = int(self.needs[u].max()) if self.owed[u] else 0
        while wanted < len(self.stack[u]) + self.pending[u]:
            if self.pending[u]:
                self.pending[u] -= 1
            else:
                self.stack[u].pop()
        if wanted > len(self.stack[u]) + self.pending[u]:
            self.wait(u, t, wanted - len(self.stack[u]) - self.pending[u])

    def wait(self, u: int, t: int, n: int) -> None:
        self.since[u] = self.since[u] if self.pending[u] else t
        self.pending[u] += n

    def most(self, o: int, t: int) -> int:
        offers, planned = self.problem.offers, self.plan.machines[o]
        if self.asked.policy == "fixed":
            return int(planned[t])
        held = max(int(offers.owned[o, t]), int(planned.max()))
        most = int(offers.max_machines[o, t])
        return max(int(planned[t]), min(most, held) if offers.purchase[o] <= Purchase.COMMITTED else most)

    def count(self, o: int) -> int:
        return sum(machine[0] == o for machine in self.on)

    def of_pool(self, p: int) -> list[tuple[int, int]]:
        return sorted(machine for machine in self.on if self.problem.offers.pool[machine[0]] == p)

    def holds(self, machine: tuple[int, int]) -> Counter[int]:
        return Counter(u for u, stack in enumerate(self.stack) for m in stack if m == machine)

    def share(self, machine: tuple[int, int], more: Any = 0.0) -> float:
        room = self.problem.pools.room[self.problem.offers.pool[machine[0]]]
        used = sum((n * self.shape[u] for u, n in self.holds(machine).items()), np.zeros(len(room))) + more
        return -1.0 if (used > room + ROOM).any() else round(float((used / room).max()), 9)

    def loss(self, machine: tuple[int, int]) -> tuple[bool, float]:
        return any(self.gang[u] for u in self.holds(machine)), self.share(machine)

    def stop(self, machine: tuple[int, int], t: int) -> None:
        for u, n in self.holds(machine).items():
            kept = [] if self.gang[u] else [m for m in self.stack[u] if m != machine]
            self.wait(u, t, len(self.stack[u]) if self.gang[u] else n)
            self.stack[u] = kept
        self.on.remove(machine)

    def resize(self, t: int) -> None:
        for o, floor in enumerate(self.floor):
            while self.count(o) > self.limit[o]:
                self.stop(min((m for m in self.on if m[0] == o), key=lambda m: (*self.loss(m), -m[1])), t)
            while self.count(o) < floor:
                self.start(o)
        for p in range(len(self.problem.pools.cluster)):
            while len(self.of_pool(p)) > self.problem.pools.max_machines[p, t]:
                spare = [m for m in self.of_pool(p) if self.count(m[0]) > self.floor[m[0]]]
                self.stop(min(spare, key=lambda m: (*self.loss(m), m[0], -m[1])), t)

    def start(self, o: int) -> tuple[int, int]:
        number = next(n for n in range(10_000) if (o, n) not in self.on)
        self.on.add((o, number))
        return o, number

    def turn(self, u: int) -> tuple[float, ...]:
        share = (self.shape[u] / self.problem.pools.room[self.pool[u]]).max()
        return -float(self.asked.priority[u]), self.since[u], -round(float(share), 9), u

    def serve(self, u: int, t: int) -> None:
        before = list(self.stack[u]), set(self.on), self.pending[u]
        while self.pending[u]:
            machine = self.best(u) or self.another(u, t)
            if machine is None:
                break
            self.stack[u].append(machine)
            self.pending[u] -= 1
        if self.gang[u] and self.pending[u]:
            self.stack[u], self.on, self.pending[u] = before

    def best(self, u: int) -> tuple[int, int] | None:
        for spot in ([True, False] if self.spot_ok[u] else [False]):
            fits = [(self.share(m, self.shape[u]), -i, m) for i, m in enumerate(self.of_pool(int(self.pool[u])))
                    if (self.problem.offers.purchase[m[0]] == Purchase.SPOT) == spot]
            if fits and max(fits)[0] >= 0:
                return max(fits)[2]
        return None

    def another(self, u: int, t: int) -> tuple[int, int] | None:
        offers, p = self.problem.offers, int(self.pool[u])
        if len(self.of_pool(p)) >= self.problem.pools.max_machines[p, t]:
            return None
        free = [(0.0 if offers.purchase[o] <= Purchase.COMMITTED else float(offers.price_usd[o, t]), o)
                for o in np.flatnonzero(offers.pool == p).tolist() if self.count(o) < self.limit[o]
                and (self.spot_ok[u] or offers.purchase[o] != Purchase.SPOT)]
        return self.start(min(free)[1]) if free else None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), policy=st.sampled_from(["fixed", "autoscale"]))
def test_one_replica_at_a_time_does_the_same(make: Callable[[int], Case], seed: int, policy: Policy) -> None:
    """A plain reading of the rules, one replica at a time, has the same machines and replicas in every slot."""
    problem, plan = make(seed)
    asked = rules(problem, plan, seed, policy)
    run = run_online(problem, plan, asked)
    for t, (machines, ran, short) in enumerate(Plain(problem, plan, asked, run).run()):
        assert (t, machines) == (t, run.machines[:, t].tolist())
        assert (t, ran, short) == (t, run.ran[:, t].tolist(), run.short[:, t].tolist())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_nested_packings_miss_nothing(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """One unit a pool packs the same way whatever came before: its planned demand runs on the planned machines."""
    problem = tiny_problem(seed, slots=8, workloads=1, most_copies=1)
    result = first_fit.solve(problem, Settings(), Quiet())
    if result.solution is None or len(np.unique(problem.candidates.pool[result.solution.units.candidate])) < len(
            result.solution.units.stream):
        return
    run = run_online(problem, result.solution, rules(problem, result.solution, seed, "fixed", chance=0.0))
    assert run.short.sum() == 0
    assert (run.ran == unit_needs(problem, result.solution.units)).all()


def test_interruptions_come_as_often_as_stated(make: Callable[[int], Case]) -> None:
    """Over many draws the share of spot machines interrupted is the chance given, and other machines are left alone."""
    lost = ran = 0
    for seed in range(60):
        problem, plan = make(seed)
        run = run_online(problem, plan, rules(problem, plan, seed, "fixed", chance=0.25))
        spot = problem.offers.purchase == Purchase.SPOT
        hit = run.events.offer[run.events.what == INTERRUPTED]
        assert spot[hit].all()
        lost, ran = lost + len(hit), ran + int(run.machines[spot, :-1].sum())
    assert ran > 200
    assert abs(lost / ran - 0.25) < 0.08


@pytest.mark.parametrize("seed", range(5))
def test_windows_stand_alone(make: Callable[[int], Case], seed: int) -> None:
    """A window that follows another runs as it would alone, where no gang crosses into it."""
    problem, plan = make(seed)
    steady = ~gangs(problem, plan.units)
    plan = Solution(Units(*(getattr(plan.units, name)[steady] for name in plan.units.__slots__)), plan.machines)
    asked = rules(problem, plan, seed, "autoscale", chance=0.0)
    run = run_online(problem, plan, replace(asked, window=np.array([0, 0, 0, 1, 1, 1])))
    later = replace(problem, variants=replace(problem.variants, rows=np.roll(problem.variants.rows, -3, axis=1)),
                    offers=replace(problem.offers, **{name: np.roll(getattr(problem.offers, name), -3, axis=1)
                                                      for name in ("owned", "price_usd", "max_machines")}))
    alone = run_online(later, Solution(plan.units, np.roll(plan.machines, -3, axis=1)), asked)
    assert (run.ran[:, 3:] == alone.ran[:, :3]).all()
    assert (run.machines[:, 3:] == alone.machines[:, :3]).all()


def test_a_pool_without_machines_keeps_everybody_waiting(make: Callable[[int], Case]) -> None:
    """Where the plan runs nothing and may start nothing, all replicas wait."""
    problem, plan = make(3)
    empty = Solution(plan.units, np.zeros_like(plan.machines))
    run = run_online(problem, empty, rules(problem, plan, 0, "fixed"))
    assert run.ran.sum() == run.machines.sum() == len(run.events.slot) == 0
    steady = ~gangs(problem, plan.units)
    assert (run.short == unit_needs(problem, plan.units))[steady].all()
    none = Units(*(np.zeros(0, np.int64) for _ in range(5)))
    nobody = Solution(none, empty.machines)
    assert run_online(problem, nobody, rules(problem, nobody, 0, "fixed")).ran.shape == (0, problem.slots)
