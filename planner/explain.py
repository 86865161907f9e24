"""Why a workload is where it is: what it costs there, what every other pool would cost, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import isfinite

import numpy as np

from placement.domains import failure_domains
from placement.moving import Move, Mover
from placement.restrict import forced
from placement.result import Settings, Solution
from placement.verify import costs
from placement.worker import solve
from planner.bill import Bill, bill
from planner.errors import InputError
from planner.explanation import Explanation, Place, Resolved, Step, Unit
from planner.left_out import left_out, places_of
from planner.market import Market
from planner.multiplex import sharing
from planner.opened import Opened
from planner.reasons import Company, Option, place_reason, what_for

EXACT_MOVES = 5
"""Moves priced exactly, the cheapest ones; the others are packed by simple orders. All where one place is asked for."""
CENT = 0.005
NOT_PLACED = "not placed"
COPIES = "copies"
"""What keeps one copy from a legal pool while the others stay where they are; no rule of the scenario by itself."""


def explain(opened: Opened, workload: str, at: str | None = None, resolve_s: float = 0.0) -> Explanation:
    """Explain where a plan has a workload, or why it has it nowhere.

    `at` is a cluster or cluster/pool: no other places are looked at. With `resolve_s` > 0 the fleet is planned again
    within that many seconds, the workload forced to the cheapest of the places shown. Raises InputError for a workload
    or a place that is not in the scenario.
    """
    names = opened.formulation.names
    if workload not in names.workloads:
        raise _unknown("workload", workload, list(names.workloads))
    return _Explainer(opened, names.workloads.index(workload), _asked(opened, at)).explanation(resolve_s)


def _asked(opened: Opened, at: str | None) -> frozenset[int]:
    """Rows of the pools that are asked about."""
    pools = opened.formulation.names.pools
    found = frozenset(p for p, (cluster, pool) in enumerate(pools) if at in (None, cluster, f"{cluster}/{pool}"))
    if not found:
        assert at is not None
        raise _unknown("at", at, [*opened.formulation.names.clusters, *("/".join(pool) for pool in pools)])
    return found


def _unknown(what: str, name: str, known: list[str]) -> InputError:
    near = get_close_matches(name, known, n=1)
    return InputError([f"{what}: {name!r} is not in the scenario{f'; did you mean {near[0]!r}?' if near else ''}"])


class _Explainer:
    """One workload of an opened plan; `asked` are the pools that are looked at."""

    def __init__(self, opened: Opened, workload: int, asked: frozenset[int]) -> None:
        self.opened, self.formulation, self.workload, self.asked = opened, opened.formulation, workload, asked
        self.problem, self.names = self.formulation.problem, self.formulation.names
        self.streams = np.flatnonzero(self.problem.streams.workload == workload)
        self.narrow = len(asked) < len(self.names.pools)

    def explanation(self, resolve_s: float) -> Explanation:
        name, plan, solution = self.names.workloads[self.workload], self.opened.plan, self.opened.solution
        demand = self.formulation.demand.workloads[self.workload]
        found = Explanation(
            workload=name, kind=demand.kind, owner=demand.owner, droppable=demand.droppable, plan_id=plan.plan_id,
            plan_cost_usd=plan.cost_usd, needs=self.opened.needs.get(name, ""), rules=tuple(self._rules()),
            fallbacks=tuple((row.lost, f"{row.cluster}/{row.pool}") for row in plan.fallbacks if row.workload == name))
        if solution is None:
            return replace(found, units=tuple(self._nowhere(stream) for stream in self.streams.tolist()),
                           not_placed=self._no_plan())
        account = bill(self.formulation, solution)
        units = self._units(solution, account)
        nowhere = [s for s in self.streams.tolist() if s not in solution.units.stream]
        company = Company(self.formulation, sharing(self.problem, solution)).all_of(self.workload)
        found = replace(
            found, units=(*(unit for unit, _ in units), *(self._nowhere(stream) for stream in nowhere)),
            cost_usd=sum(sum(unit.costs_usd.values()) for unit, _ in units), shares_with=tuple(company),
            not_placed=left_out(self.formulation, solution, self.workload, plan.cost_usd) if nowhere else (),
            binding=tuple(dict.fromkeys((*self._binding(tuple(unit for unit, _ in units)), *self._reached()))))
        return replace(found, resolved=self._resolved(solution, units, resolve_s)) if resolve_s > 0 else found

    def _rules(self) -> Iterator[Step]:
        """How many pools each rule takes and leaves, for each stream."""
        legality, total = self.formulation.legality, len(self.names.pools)
        for stream in self.streams.tolist():
            left = np.ones(total, bool)
            for rule in legality.rules:
                passes = rule.passes[rule.row[stream]]
                failed = np.flatnonzero(left & ~passes)
                left &= passes
                if len(failed):
                    yield Step(self.names.streams[stream][1], rule.name, len(failed), int(left.sum()),
                               rule.why(stream, failed))

    def _no_plan(self) -> tuple[str, ...]:
        name, plan = self.names.workloads[self.workload], self.opened.plan
        mine = tuple(reason for row in plan.unplaced if row.workload == name for reason in row.reasons)
        return mine or ("there is no plan for this scenario", *plan.conflict)

    # ------------------------------------------------------------ where it is

    def _units(self, solution: Solution, account: Bill) -> list[tuple[Unit, dict[int, Move]]]:
        """Every unit of the workload with its other places, and the moves that they were priced by."""
        market = Market(self.formulation, solution, account)
        mine = np.flatnonzero(np.isin(solution.units.stream, self.streams))
        pairs = market.elsewhere(mine)
        mover = Mover(self.problem, solution)
        moves = {(u, n): mover.move(u, n, exact=False)
                 for u, n in zip(pairs.unit.tolist(), pairs.candidate.tolist(), strict=True)}
        order = sorted(moves, key=lambda pair: (moves[pair].lacking > 0, moves[pair].extra_usd, pair))
        shown = [pair for pair in order if self.narrow and self._pool(pair[1]) in self.asked]
        for pair in sorted({*order[:EXACT_MOVES], *shown}):
            moves[pair] = mover.move(*pair)
        return [self._unit(solution, account, u, {n: move for (unit, n), move in moves.items() if unit == u})
                for u in mine.tolist()]

    def _unit(self, solution: Solution, account: Bill, u: int,
              moves: dict[int, Move]) -> tuple[Unit, dict[int, Move]]:
        units, parts = solution.units, self.formulation.cost_parts
        stream, here = int(units.stream[u]), int(units.candidate[u])
        cluster, pool = self.names.pools[self.problem.candidates.pool[here]]
        storage, moved = float(parts.storage_usd[here]), float(parts.moves_usd[here])
        order = sorted(moves.values(), key=lambda move: (move.lacking > 0, move.extra_usd, move.candidate))
        rival = self._place(stream, here, order[0]) if order else None
        places = [self._place(stream, here, move) for move in order if self._pool(move.candidate) in self.asked]
        places += self._closed(stream, here, set(moves))
        copies = int(self.problem.variants.copies[units.variant[u]])
        why = [place_reason(self.formulation, stream, self._option(u, rival), "")]
        if copies > 1:
            why.append(f"{copies} copies{what_for(self.formulation, stream, copies)}")
        batch = self.problem.variants.row[units.variant[u]] < 0
        unit = Unit(
            user_region=self.names.streams[stream][1], copy=int(units.copy[u]), copies=copies, cluster=cluster,
            pool=pool, start_slot=int(units.start[u]) if batch else None, why="; ".join(why),
            costs_usd={"machines": float(account.unit_machine_usd[u]), "storage": storage, "moves": moved,
                       "egress": float(account.unit_other_usd[u]) - storage - moved},
            runner_up=rival, places=tuple(places))
        return unit, moves

    def _pool(self, candidate: int) -> int:
        return int(self.problem.candidates.pool[candidate])

    def _option(self, unit: int, rival: Place | None) -> Option | None:
        if rival is None or rival.extra_usd is None:
            return None
        return Option(unit, self.names.pool_row[rival.cluster, rival.pool], rival.extra_usd,
                      rival.extra_by_part_usd.get("egress", 0.0), rival.lacking == 0)

    def _place(self, stream: int, here: int, move: Move) -> Place:
        """A legal pool with its price, of which units' part is split into what it pays for."""
        parts, n = self.formulation.cost_parts, move.candidate
        cluster, pool = self.names.pools[self.problem.candidates.pool[n]]
        storage = float(parts.storage_usd[n] - parts.storage_usd[here])
        moved = float(parts.moves_usd[n] - parts.moves_usd[here])
        extra = move.extra
        split = {"machines": extra.machines_usd, "carbon": extra.running_usd, "storage": storage, "moves": moved,
                 "egress": extra.units_usd - storage - moved + extra.users_usd + extra.flows_usd}
        window = self.problem.variants.row[self.problem.streams.variant_first[stream]] < 0
        return Place(cluster, pool, extra_usd=move.extra_usd, lacking=move.lacking, exact=move.exact,
                     extra_by_part_usd={name: usd for name, usd in split.items() if abs(usd) > CENT},
                     start_slot=move.start if window else None)

    def _closed(self, stream: int, here: int | None, priced: set[int]) -> list[Place]:
        """Pools that are forbidden: by rules, or legal ones where another copy is in the way."""
        known = self.problem.candidates.pool
        legal = {int(known[n]): n for n in range(*self.problem.streams.candidate_first[stream:stream + 2].tolist())}
        found = []
        for p in sorted(self.asked - {-1 if here is None else int(known[here])}):
            if p in legal and (legal[p] in priced or here is None):
                continue
            why = self.formulation.legality.reason(stream, p)
            rules = self.formulation.legality.forbidding(stream, p)
            if why is None:
                why, rules = self._crowded(p), (COPIES,)
            found.append(Place(*self.names.pools[p], rules=rules, why_not=why))
        return found

    def _crowded(self, pool: int) -> str:
        """Why a legal pool is none for one copy while the others stay where they are."""
        solution = self.opened.solution
        if solution is not None:
            domain = failure_domains(self.problem).pool
            mine = domain[self.problem.candidates.pool[solution.units.candidate]]
            if domain[pool] in mine[np.isin(solution.units.stream, self.streams)]:
                return f"another copy is in this {'cluster' if self.problem.domains is None else 'failure domain'}"
        return "the copies together would miss slo.availability"

    # ------------------------------------------------------------ where it is not

    def _nowhere(self, stream: int) -> Unit:
        """A stream without a unit: its legal pools with machines of its own, and the forbidden ones."""
        region, closed = self.names.streams[stream][1], self._closed(stream, None, set())
        if len(closed) == len(self.asked):
            return Unit(region, NOT_PLACED, places=tuple(closed))
        rows, machines, least_usd, room = places_of(self.problem, stream, self.opened.solution)
        pools = self.names.pools
        places = [Place(pools[p][0], pools[p][1], extra_usd=usd, lacking=max(0, need - free))
                  for p, usd, need, free in zip(self.problem.candidates.pool[rows].tolist(), least_usd.tolist(),
                                                machines.tolist(), room.tolist(), strict=True) if p in self.asked]
        places.sort(key=lambda place: (place.lacking > 0, place.extra_usd, place.name))
        return Unit(region, NOT_PLACED, places=(*places, *closed))

    # ------------------------------------------------------------ what binds it

    def _binding(self, units: tuple[Unit, ...]) -> Iterator[str]:
        """Rules that forbid pools on their own, copies for availability, and full pools that would be cheaper."""
        for unit in units:
            whose = f"users in {unit.user_region}: " if unit.user_region else ""
            alone: dict[str, list[str]] = {}
            for place in unit.places:
                if len(place.rules) == 1 and place.rules != (COPIES,):
                    alone.setdefault(place.rules[0], []).append(place.name)
            for rule, names in alone.items():
                yield f"{whose}{rule}: alone forbids {_some(names)}"
            if unit.copies > 1 and not self._single(unit):
                yield f"{whose}availability: no single legal cluster has enough, so there are {unit.copies} copies"
            for place in unit.places:
                if place.lacking and place.extra_usd is not None and place.extra_usd < -CENT:
                    yield (f"{whose}capacity: {place.name} would cost {-place.extra_usd:,.2f} USD less, but lacks room "
                           f"for {place.lacking} machine{'s' * (place.lacking > 1)}")

    def _reached(self) -> Iterator[str]:
        """Limits that the plan reaches and that this workload has a part in: of its legal pools, shared ones that cap
        these, the floor and the budget; with what one more is worth.
        """
        first = self.problem.streams.candidate_first
        legal = {"/".join(self.names.pools[pool]) for stream in self.streams.tolist()
                 for pool in self.problem.candidates.pool[first[stream]:first[stream + 1]].tolist()}
        shared = [f"limit {limit.name} (" for limit in self.opened.scenario.limits
                  if any(fnmatchcase(pool, pattern) for pool in legal for pattern in limit.pools)]
        for row in self.opened.plan.scarce:
            mine = row.what.startswith((*shared, "sla_floor (", "budget_usd ("))
            if mine or any(f" {pool} (" in row.what for pool in legal):
                yield f"scarce: {row.what} is worth USD {row.price_usd:,.2f} to the plan"

    def _single(self, unit: Unit) -> bool:
        stream = self.names.stream_row[self.names.workloads[self.workload], unit.user_region]
        first, end = self.problem.streams.candidate_first[stream:stream + 2].tolist()
        return bool(self.problem.candidates.single[first:end].any())

    # ------------------------------------------------------------ forced, all others adapting

    def _resolved(self, solution: Solution, units: list[tuple[Unit, dict[int, Move]]], seconds: float) -> Resolved:
        """Plan again with the workload forced to its cheapest other place."""
        options = [(move, unit) for unit, moves in units for move in moves.values()
                   if self._pool(move.candidate) in self.asked]
        if not options:
            return Resolved("", "there is no other legal place among those asked for")
        move, unit = min(options, key=lambda option: (option[0].extra_usd, option[0].candidate))
        candidate, name = move.candidate, "/".join(self.names.pools[self._pool(move.candidate)])
        if unit.copies > 1:
            return Resolved(name, "a copy among several cannot be forced; the price of the move stands")
        problem = forced(self.problem, int(self.problem.candidates.stream[candidate]), candidate)
        result = solve(problem, "planner", Settings(self.opened.plan.provenance.seed, seconds),
                       lambda _: None, lambda: False)
        if result.solution is None:
            proven = result.status == "infeasible"
            return Resolved(name, "proven impossible" if proven else f"no plan found in {seconds:g} s")
        then, now = costs(problem, result.solution).total_usd, costs(self.problem, solution).total_usd
        return Resolved(name, "", then, then - now, result.bound if isfinite(result.bound) else 0.0,
                        None if move.lacking else move.extra_usd)


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
