"""The bound that a certificate proves, worked out anew from the problem and the certificate alone.

Nothing of what optimises is used here, and nothing that the certificate says is believed: that its weight vectors are
valid, that its prices are prices and that its branches cover every plan is proven first. docs/certificate.md says why
prices prove a bound. Every term is rounded down by more than float64 sums can be off, and what was taken off is
stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import fsum, inf

import numpy as np

from placement.certificate import Certificate, Decision, Leaf
from placement.checks.cheapest import StreamCosts
from placement.checks.heaviest import heaviest
from placement.checks.machines_least import machines_least
from placement.checks.rounding import UNIT
from placement.problem import Floats, Ints, Problem

KNOWN = ("slots", "objective", "shapes", "clusters", "pools", "offers", "workloads", "streams", "candidates",
         "variants", "flows", "domains", "survival", "incumbent", "limits", "commitments", "interference")
"""What a problem may ask for. Flows, survival, moves, interference and the availability of copies together only add."""
HEAVIEST = 1e-6
"""A vector that counts more than 1 by this for one machine is refused; one that does by less is scaled down."""


class NotProven(ValueError):  # noqa: N818 (says what happened)
    """The certificate does not prove a bound; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Reproof:
    """`bound` as the objective reads: a least cost in USD (`min_cost`) or a most attainment (`max_sla`).

    `margin` is what was taken off for rounding, in the same unit; `leaves` are the bounds by leaf, as `bound`.
    """

    bound: float
    margin: float
    leaves: tuple[float, ...]


def reprove(problem: Problem, certificate: Certificate) -> Reproof:
    """The bound that the certificate proves for the problem. Raises NotProven where it proves none."""
    if (part := not_covered(problem)) is not None:
        raise NotProven(f"the problem asks for {part}, which certificates do not cover yet")
    _sound(problem, certificate)
    gap = uncovered([leaf.decisions for leaf in certificate.leaves])
    if gap is not None:
        raise NotProven(f"the branches leave out plans in which {gap}")
    scaled = _valid_weights(problem, certificate)
    streams = StreamCosts(problem)
    found = [_leaf_bound(problem, streams, leaf, certificate, scaled) for leaf in certificate.leaves]
    least = min(range(len(found)), key=lambda i: found[i][0])
    bounds = tuple(_reads(problem, bound) for bound, _ in found)
    total = 1.0 if problem.objective.mode == "min_cost" else max(float(problem.workloads.weight.sum()), 1e-300)
    return Reproof(bounds[least], found[least][1] / total, bounds)


def not_covered(problem: Problem) -> str | None:
    """A part of the problem that no certificate covers; None where there is none."""
    return next((part.name for part in fields(problem)
                 if part.name not in KNOWN and _asks(getattr(problem, part.name))), None)


def _asks(part: object) -> bool:
    """Whether a part of a problem that is not known here asks for anything: it is there, and has rows."""
    if part is None:
        return False
    if not is_dataclass(part):
        return bool(part)
    return any(np.size(getattr(part, column.name)) > 0 for column in fields(part))


def _reads(problem: Problem, bound: float) -> float:
    """A bound on the objective: in `max_sla` a least weight left out is a most attainment."""
    if problem.objective.mode == "min_cost":
        return bound
    total = float(problem.workloads.weight.sum())
    if total <= 0:
        return 1.0
    return min(1.0, float(np.nextafter(1.0 - max(bound, 0.0) / total, 2.0)))


# ---------------------------------------------------------------- what is stated


def _sound(problem: Problem, certificate: Certificate) -> None:
    """Rows exist, and numbers are prices."""
    vectors, shapes = certificate.weights.shape
    if shapes != len(problem.shapes):
        raise NotProven(f"weight vectors have {shapes} shapes; the problem has {len(problem.shapes)}")
    if not _priced(certificate.weights):
        raise NotProven("a weight is not a number of 0 or more")
    if not certificate.leaves:
        raise NotProven("there is no leaf; one, without decisions, is the least")
    for at, leaf in enumerate(certificate.leaves):
        for problem_found in _leaf_problems(problem, leaf, vectors):
            raise NotProven(f"leaf {at}: {problem_found}")


def _leaf_problems(problem: Problem, leaf: Leaf, vectors: int) -> Iterator[str]:
    rows, slots = leaf.rows, problem.slots
    for what, row, count in (("pool", rows.pool, len(problem.pools.cluster)), ("weight vector", rows.weight, vectors)):
        if ((row < 0) | (row >= count)).any() or len(row) != len(rows.price):
            yield f"a row names a {what} that is not there; they are numbered from 0 to {count - 1}"
    if rows.price.shape != (len(rows.pool), slots) or len(rows.firm) != len(rows.pool):
        yield f"prices have shape {rows.price.shape}; {(len(rows.pool), slots)} (rows, slots) is needed"
    for what, values in (("price", rows.price), ("price of a limit", leaf.limit), ("price of a unit", leaf.unit),
                         ("usd_price", np.array(leaf.usd_price)), ("weight_price", np.array(leaf.weight_price))):
        if not _priced(values):
            yield f"a {what} is not a number of 0 or more"
    for what, values, count in (("limits", leaf.limit, len(problem.limits.paid)),
                                ("commitments", leaf.unit, len(problem.commitments.owned))):
        if values.size and values.shape != (count, slots):
            yield f"prices of {what} have shape {values.shape}; {(count, slots)} is needed"
    wanted = ("usd_price", leaf.usd_price, 1.0) if problem.objective.mode == "min_cost" else (
        "weight_price", leaf.weight_price, 0.0)
    if wanted[1] != wanted[2]:
        yield f"{wanted[0]} is {wanted[1]:g}; in {problem.objective.mode} it is {wanted[2]:g}"
    for decision in leaf.decisions:
        if not (0 <= decision.stream < len(problem.streams.shape) and decision.domain < _domains(problem)):
            yield "a decision names a stream or a failure domain that is not there"
        if decision.pool >= 0:
            yield "a decision names a pool; certificates cover those on failure domains and copies"


def _priced(values: Floats) -> bool:
    return bool((np.isfinite(values) & (values >= 0)).all())


def _domains(problem: Problem) -> int:
    return len(problem.clusters.availability) if problem.domains is None else len(problem.domains.path)


def uncovered(leaves: Sequence[tuple[Decision, ...]], taken: tuple[Decision, ...] = ()) -> str | None:
    """What no leaf is for, in words, of the plans that keep to the decisions `taken`; None where they are all covered.

    Leaves cover every plan when they are those of a tree in which each inner node asks one question.
    """
    depth = len(taken)
    if any(len(leaf) == depth for leaf in leaves):
        return None
    if not leaves:
        return " and ".join(map(_words, taken)) or "anything is decided"
    first = leaves[0][depth]
    asked = (first.stream, first.domain, first.copies)
    for yes in (True, False):
        same = [leaf for leaf in leaves
                if (leaf[depth].stream, leaf[depth].domain, leaf[depth].copies, leaf[depth].yes) == (*asked, yes)]
        if (gap := uncovered(same, (*taken, Decision(*asked, yes)))) is not None:
            return gap
    return None


def _words(decision: Decision) -> str:
    if decision.domain >= 0:
        return f"stream {decision.stream} {'uses' if decision.yes else 'avoids'} failure domain {decision.domain}"
    return f"stream {decision.stream} has {'at most' if decision.yes else 'more than'} {decision.copies} copies"


# ---------------------------------------------------------------- weights


def _valid_weights(problem: Problem, certificate: Certificate) -> dict[tuple[int, int], float]:
    """For every pool and vector that some row prices, what the vector is divided by to be valid for its machines."""
    rooms, kind = np.unique(problem.pools.room, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    pools = np.unique(np.concatenate([leaf.rows.pool for leaf in certificate.leaves]))
    used = np.unique(np.concatenate([np.stack([leaf.rows.pool, leaf.rows.weight], 1) for leaf in certificate.leaves]),
                     axis=0)
    legal = _legal_shapes(problem, kind, len(rooms), pools)
    known: dict[tuple[int, int], float] = {}
    for pool, vector in used.tolist():
        key = int(kind[pool]), vector
        if key not in known:
            shapes = legal[key[0]]
            known[key] = heaviest(certificate.weights[vector, shapes], problem.shapes[shapes], rooms[key[0]])
        if not known[key] <= 1 + HEAVIEST:
            raise NotProven(f"weight vector {vector} counts {known[key]:.6g} machines for what one machine of pool "
                            f"{pool} holds; 1 is allowed")
    return {(pool, vector): max(1.0, known[int(kind[pool]), vector]) for pool, vector in used.tolist()}


def _legal_shapes(problem: Problem, kind: Ints, kinds: int, pools: Ints) -> list[Ints]:
    """Shapes that may be on each kind of machine, in those of its pools that are named."""
    named = np.zeros(len(problem.pools.cluster), np.bool_)
    named[pools] = True
    shapes = len(problem.shapes)
    pairs = np.zeros(kinds * shapes, np.bool_)
    c = problem.candidates
    for first in range(0, len(c.pool), 1 << 20):
        pool = c.pool[first: first + (1 << 20)]
        stream = c.stream[first: first + (1 << 20)]
        pairs[(kind[pool] * shapes + problem.streams.shape[stream])[named[pool]]] = True
    return [np.flatnonzero(pairs[k * shapes: (k + 1) * shapes]) for k in range(kinds)]


# ---------------------------------------------------------------- one leaf


def _leaf_bound(problem: Problem, streams: StreamCosts, leaf: Leaf, certificate: Certificate,
                scaled: dict[tuple[int, int], float]) -> tuple[float, float]:
    """The least objective within a leaf's decisions that its prices prove, and what was taken off for rounding."""
    rows = leaf.rows
    by = np.array([scaled[key] for key in zip(rows.pool.tolist(), rows.weight.tolist(), strict=True)])
    weights = certificate.weights[rows.weight] / by[:, None]
    best, best_off = streams.least(rows, weights, leaf.usd_price, leaf.decisions)
    placed, placed_off = _workloads(problem, leaf, best, best_off)
    machines, machines_off = machines_least(problem, leaf)
    given_back = leaf.weight_price * problem.slack
    if problem.objective.mode == "max_sla" and leaf.usd_price > 0:
        given_back = leaf.usd_price * problem.objective.budget_usd
    if not (np.isfinite(placed).all() and np.isfinite(machines).all()):
        return inf, 0.0  # no plan keeps to the decisions
    total = fsum((*placed.tolist(), *machines.tolist(), -given_back * (1 + 4 * UNIT)))
    margin = fsum((*placed_off.tolist(), *machines_off.tolist(), given_back * 4 * UNIT))
    return float(np.nextafter(total, -inf)), margin


def _workloads(problem: Problem, leaf: Leaf, best: Floats, off: Floats) -> tuple[Floats, Floats]:
    """What every workload costs at least [W], placed or left out, rounded down; and by how much it was."""
    w, of = problem.workloads, problem.streams.workload
    placed, placed_off = np.zeros(len(w.weight)), np.zeros(len(w.weight))
    np.add.at(placed, of, best)
    np.add.at(placed_off, of, off)
    error = UNIT * (np.bincount(of, minlength=len(w.weight)) + 4) * np.where(np.isfinite(placed), np.abs(placed), 0.0)
    placed, placed_off = placed - error, placed_off + error
    if problem.objective.mode == "max_sla":
        out = w.weight
    else:
        out = np.where(w.droppable & (w.weight <= problem.slack), leaf.weight_price * w.weight * (1 - 4 * UNIT), inf)
    return np.minimum(placed, out), np.where(placed <= out, placed_off, 4 * UNIT * np.where(np.isfinite(out), out, 0.0))


__all__ = ["NotProven", "Reproof", "not_covered", "reprove", "uncovered"]
