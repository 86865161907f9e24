"""What splits are worth at prices: the best caps for every stream that may be split, and the bound with splits allowed.

At prices of the packing rows (`placement.bound`) what a part costs in a pool is known, so the best split of one stream
into contiguous layers of its load is a shortest path over caps; caps are tried at a few levels of the load. For the
bound a load is cut into the thinnest layers, between neighbouring levels of it, and each goes where it is cheapest:
every part of every split is made of whole layers or of equal fractions of one, and a replica is not rounded up, so no
split pays less. What a part pays by its share of the replicas is a price on them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from placement.bound import Pricer, Prices, most_replicas
from placement.domains import SLO_TOLERANCE, all_up, failure_domains
from placement.parts import parts_of, taken_of
from placement.problem import Bools, Floats, Ints, Problem

LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of a stream's load at which caps are tried, beside the load just below its peak."""
_ROUNDING = 1e-6
"""Share by which the bound of a split is lowered, for needs that are rounded down by a hair."""


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Where one stream's parts may go: `candidate` [n] rows, `throughput` [n], `price` [n, T] of a replica there,
    `shared_usd` [n] paid by share, `whole_usd` [n] by every part, `most` [n] replicas that fit.
    """

    candidate: Ints
    throughput: Floats
    price: Floats
    shared_usd: Floats
    whole_usd: Floats
    most: Ints


def reliable(problem: Problem) -> Bools:
    """[N] candidates that together keep the availability SLO of a stream that may be split; all of other streams.

    Candidates of a split stream are taken in order of how often they are up, while all that are taken are up often
    enough at once.
    """
    keep = np.ones(len(problem.candidates.stream), bool)
    domains = failure_domains(problem)
    for s in parts_of(problem).stream.tolist():
        slo = float(problem.streams.availability[s])
        if slo <= 0:
            continue
        first, end = problem.streams.candidate_first[s:s + 2].tolist()
        own = domains.pool[problem.candidates.pool[first:end]]
        alone = {d: float(all_up(domains.path, domains.up, np.array([d]), -1)) for d in np.unique(own).tolist()}
        taken: list[int] = []
        for d in sorted(alone, key=lambda d: (-alone[d], d)):
            if float(all_up(domains.path, domains.up, np.array([*taken, d]), -1)) >= slo - SLO_TOLERANCE:
                taken.append(d)
        keep[first:end] = np.isin(own, taken)
    return keep


def cap_levels(load: Floats) -> Ints:
    """Caps worth trying for a load [T]: whole replicas at some of its levels, none at its peak or above."""
    peak = float(load.max(initial=0.0))
    below = load[load < peak - 1e-9]
    found = np.ceil(np.quantile(load, LEVELS) - 1e-9) if len(load) else np.zeros(0)
    found = np.append(found, np.ceil(below.max() - 1e-9)) if len(below) else found
    caps = np.unique(found.astype(np.int64))
    return np.asarray(caps[(caps >= 1) & (caps < peak - 1e-9)], np.int64)


def fine_levels(load: Floats, most: int) -> Ints:
    """The whole-number levels of a load [T], or `most` of them evenly drawn where there are more; none at its peak."""
    peak = float(load.max(initial=0.0))
    caps = np.unique(np.ceil(load - 1e-9).astype(np.int64))
    caps = caps[(caps >= 1) & (caps < peak - 1e-9)]
    if len(caps) > most:
        caps = caps[np.unique(np.linspace(0, len(caps) - 1, most).round().astype(np.int64))]
    return np.asarray(caps, np.int64)


def sites(problem: Problem, prices: Prices, keep: Bools) -> Iterator[tuple[int, Sites]]:
    """(position among the streams that may be split, where its parts may go), by stream; nowhere: left out."""
    parts, c, streams = parts_of(problem), problem.candidates, problem.streams
    most = most_replicas(problem)
    for x, s in enumerate(parts.stream.tolist()):
        rows = np.arange(*streams.candidate_first[s:s + 2])
        rows = rows[keep[rows] & c.single[rows]]
        own = np.arange(*streams.variant_first[s:s + 2])
        own = own[problem.variants.copies[own] == 1]
        if not len(rows) or not len(own):
            continue
        by_speed = np.zeros(int(c.speed[rows].max()) + 1)
        known = own[problem.variants.speed[own] < len(by_speed)]
        by_speed[problem.variants.speed[known]] = parts.throughput[known]
        rows = rows[by_speed[c.speed[rows]] > 0]
        price = prices.replica_usd[int(streams.preemptible[s]), streams.shape[s]][c.pool[rows]]
        whole = parts.whole_usd[rows]
        shared = c.cost_usd[rows] - whole + c.user_usd[rows]
        yield x, Sites(rows, by_speed[c.speed[rows]], price, prices.cost_scale * shared, prices.cost_scale * whole,
                       most[int(streams.preemptible[s]), streams.shape[s], c.pool[rows]])


def price_layer(at: Sites, load: Floats, taken: Floats) -> Floats:
    """What a part that takes `taken` [T] of `load` [T] costs at every site [n]; infinite where it never fits."""
    needs = np.ceil(taken[None, :] / at.throughput[:, None] - 1e-9)
    share = taken.sum() / load.sum() if load.any() else 1.0
    usd: Floats = (needs * at.price).sum(axis=1) + share * at.shared_usd + at.whole_usd
    return np.where(needs.max(axis=1, initial=0.0) > at.most, np.inf, usd)


def best_cuts(problem: Problem, prices: Prices, keep: Bools) -> Ints:
    """`cuts` (see `placement.result.Solution`) of the streams whose best split costs less at `prices` than the whole.
    """
    parts, found = parts_of(problem), list[tuple[int, int]]()
    for x, at in sites(problem, prices, keep):
        found += [(int(parts.stream[x]), cap) for cap in _best_caps(at, parts.load[x], int(parts.most[x]))]
    return np.array(found, np.int64).reshape(-1, 2)


def _best_caps(at: Sites, load: Floats, most: int) -> list[int]:
    """Caps of the cheapest split into `most` layers at most; none where the whole is as cheap."""
    levels = [0, *cap_levels(load).tolist(), 0]  # the last 0 stands for all the rest
    end = len(levels) - 1
    usd = np.full((end + 1, end + 1), np.inf)
    for i in range(end):
        for j in range(i + 1, end + 1):
            taken = taken_of(load, levels[i], levels[j] - levels[i] if j < end else 0)
            usd[i, j] = price_layer(at, load, taken).min()
    best, before = usd[0].copy(), [[0] * (end + 1)]
    whole = best[end]
    for _ in range(1, most):
        through = best[:, None] + usd
        step = through.argmin(axis=0)
        better = through[step, np.arange(end + 1)] < best - 1e-9 * np.abs(np.where(np.isfinite(best), best, 0.0))
        before.append([int(step[j]) if better[j] else -1 for j in range(end + 1)])
        best = np.where(better, through[step, np.arange(end + 1)], best)
    if not best[end] < whole:
        return []
    cuts, j = [], end
    for row in reversed(before[1:]):
        if row[j] > 0:
            j = row[j]
            cuts.append(levels[j])
    cuts.reverse()
    return [high - low for low, high in pairwise([0, *cuts])]


def split_bound(problem: Problem, prices: Prices) -> float:
    """The Lagrangian bound at `prices` of a problem whose streams may be split, as `placement.bound.Pricer.bound`.

    Prices that no rows give, such as the guess that a bound begins with, prove nothing: the bound is then 0.
    """
    if (prices.replica_usd.any(axis=(0, 1)) & (prices.firm_usd <= 0) & (prices.spot_usd <= 0)).any():
        return 0.0
    parts, pricer = parts_of(problem), Pricer(problem)
    choices = pricer.cheapest(prices)
    best = choices.best.copy()
    every = np.ones(len(problem.candidates.stream), bool)
    for x, at in sites(problem, prices, every):
        usd = layered_usd(at, parts.load[x])
        s = parts.stream[x]
        best[s] = min(best[s], usd - _ROUNDING * abs(usd))
    return pricer.bound(prices, replace(choices, best=best))


def layered_usd(at: Sites, load: Floats) -> float:
    """The least that a split of `load` [T] may cost, each thin layer of it being where it is cheapest.

    A layer between two levels of the load needs as many replicas in all slots that reach it, none in the others.
    """
    order = np.argsort(-load, kind="stable")
    level = load[order]
    rate = np.cumsum((at.price / at.throughput[:, None])[:, order], axis=1)  # [n, T]: of the slots with most load
    if load.any():
        rate = rate + np.outer(at.shared_usd / load.sum(), np.arange(len(load)) + 1)
    height = level - np.append(level[1:], 0.0)
    return float((rate.min(axis=0) * height).sum() + at.whole_usd.min())
