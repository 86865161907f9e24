"""How pools settle prices: the exact proximal step on what machines cost.

After a step along the loads, the prices y [W, T] of all work and z [W, T] of work that may not be preempted are
pulled back by the machines that would run at them: `n` machines that are not spot and `m` spot ones take
`eta * (n + m)` from every y and `eta * n` from every z, down to 0 at least. The right counts are those at which no
machine earns more than it costs unless the pool or the offer is full (Parikh and Boyd, "Proximal algorithms",
Foundations and Trends in Optimization 1, 2014). A machine that is not spot earns sum(y) + sum(z) in a slot, a spot
machine sum(y). So prices always stay where machines are paid for, and only a full pool bears more: a rent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.jit import fast_jit
from placement.menu import NEVER
from placement.payment import NO_OFFER_USD, Purse
from placement.problem import Bools, Floats, Ints

_NEWTON, _HALVINGS, _LEVELS = 40, 26, 14


class Supply(NamedTuple):
    """Machines of every pool, [P, T] or [P]: `run_usd` of any, on demand for `loose_usd`, spot for `spot_usd` (with
    `run_usd`; `NEVER` where there are none). Fixed machines: `held` are paid for, then steps of up to `step_max` [P, I]
    more for `step_usd` each over the horizon, cheapest first; `fixed_max` caps them by slot, `most` all machines, of
    which `least` run anyway.
    """

    run_usd: Floats
    loose_usd: Floats
    loose_max: Floats
    spot_usd: Floats
    spot_max: Floats
    held: Floats
    step_usd: Floats
    step_max: Floats
    fixed_max: Floats
    least: Floats
    most: Floats
    has_spot: Bools


def supply(purse: Purse, has_spot: Bools) -> Supply:
    """What `purse` sells, for the kernels here."""
    run_usd, pool_min, pool_max, fixed_max, demand_usd, demand_max, spot_usd, spot_max = (
        np.ascontiguousarray(one) for one in purse.by_slot.transpose(1, 0, 2))

    def priced(usd: Floats, most: Floats) -> Floats:
        return np.where((usd < NO_OFFER_USD) & (most > 0), usd + run_usd, NEVER)

    return Supply(
        run_usd, priced(demand_usd, demand_max), demand_max, priced(spot_usd, spot_max), spot_max,
        purse.held.astype(float), purse.step_usd.copy(), purse.step_max.astype(float), fixed_max, pool_min, pool_max,
        has_spot,
    )  # fmt: skip


@fast_jit
def _over(price: Floats, pull: float) -> float:
    """What is left of prices [W] in sum when each is pulled down by `pull`, to 0 at least."""
    total = 0.0
    for w in range(len(price)):
        total += max(0.0, price[w] - pull)
    return total


@fast_jit
def _pull_to(price: Floats, target: float) -> float:
    """The pull that leaves `target` in sum (0 when there is no more than that), by Newton's method on the slope."""
    pull = 0.0
    for _ in range(_NEWTON):
        total, count = 0.0, 0
        for w in range(len(price)):
            if price[w] > pull:
                total += price[w] - pull
                count += 1
        if total - target <= 1e-12 * (1 + target):
            break
        pull += (total - target) / count
    return pull


@fast_jit
def _counts(
    y: Floats, z: Floats, eta: float, fixed: float, loose_usd: float, loose_max: float, spot_usd: float,
    spot_max: float, least: float, most: float, run_usd: float, has_spot: bool,
) -> tuple[float, float]:  # fmt: skip
    """Machines of one slot, not spot and spot, at prices y and z [W] before the pull; `fixed` ones are paid for."""
    cap = min(max(fixed, least) + loose_max, most)
    fixed = min(max(fixed, least), cap)
    least = min(least, cap)
    if not has_spot:
        if _over(y, eta * least) <= run_usd:
            return least, 0.0
        kept = _over(y, eta * fixed)
        if kept <= run_usd:
            return _pull_to(y, run_usd) / eta, 0.0
        if kept <= loose_usd:
            return fixed, 0.0
        if _over(y, eta * cap) <= loose_usd:
            return _pull_to(y, loose_usd) / eta, 0.0
        return cap, 0.0
    wanted = _pull_to(y, spot_usd) / eta  # machines in all at which a spot machine earns just its price
    low, high = least, cap
    for _ in range(_HALVINGS):
        n = 0.5 * (low + high)
        m = min(max(wanted - n, 0.0), spot_max, max(most - n, 0.0))
        earned = _over(y, eta * (n + m)) + _over(z, eta * n)
        if earned > (run_usd if n < fixed else loose_usd):
            low = n
        else:
            high = n
        if high - low < 1e-3 * (1 + high):
            break
    n = high
    return n, min(max(wanted - n, 0.0), spot_max, max(most - n, 0.0))


@fast_jit
def _pull(
    s: Supply, p: int, level: float, y: Floats, z: Floats, eta: Floats, count: int, write: int, firm: Floats,
    spot: Floats,
) -> float:  # fmt: skip
    """What one more fixed machine of pool p would earn at fixed `level`; prices change if `write` is not 0."""
    at, at_z = np.empty(count), np.empty(count)
    gain = 0.0
    for t in range(y.shape[1]):
        for w in range(count):
            at[w] = y[w, t]
            at_z[w] = z[w, t]
        fixed = min(level, s.fixed_max[p, t])
        n, m = _counts(at, at_z, eta[t], fixed, s.loose_usd[p, t], s.loose_max[p, t], s.spot_usd[p, t],
                       s.spot_max[p, t], s.least[p, t], s.most[p, t], s.run_usd[p, t], s.has_spot[p])
        earned = _over(at, eta[t] * (n + m)) + _over(at_z, eta[t] * n)
        if level <= s.fixed_max[p, t]:
            gain += max(0.0, min(earned, s.loose_usd[p, t]) - s.run_usd[p, t])
        if write > 0:
            firm[t], spot[t] = n, m
            for w in range(count):
                y[w, t] = max(0.0, at[w] - eta[t] * (n + m))
                z[w, t] = max(0.0, at_z[w] - eta[t] * n)
    return gain


@fast_jit
def _step_usd(s: Supply, p: int, level: float) -> float:
    """What one more fixed machine costs beyond `level`."""
    extra, usd = level - s.held[p], 0.0
    for i in range(s.step_max.shape[1]):
        if s.step_max[p, i] > 0:
            usd = s.step_usd[p, i]
            if extra < s.step_max[p, i] - 1e-9:
                break
            extra -= s.step_max[p, i]
    return float(usd)


@fast_jit
def _level(s: Supply, p: int, start: float, y: Floats, z: Floats, eta: Floats, count: int, firm: Floats,
           spot: Floats) -> float:
    """The fixed level at which one more machine would just not pay: steps from `start` that grow, then halving."""
    low, high = s.held[p], s.held[p] + s.step_max[p].sum()
    level, step = min(max(start, low), high), max(1.0, 0.05 * start)
    if high <= low:
        return float(low)
    for _ in range(_LEVELS):
        if _pull(s, p, level, y, z, eta, count, 0, firm, spot) > _step_usd(s, p, level):
            low = level
            level = level + step if level + step < high else 0.5 * (level + high)
        else:
            high = level
            level = level - step if level - step > low else 0.5 * (level + low)
        step *= 3
        if high - low < 2e-3 * (1 + high):
            break
    return float(0.5 * (low + high))


@fast_jit
def settle(
    s: Supply, first: int, end: int, y: Floats, z: Floats, eta: Floats, counts: Ints, level: Floats, firm: Floats,
    spot: Floats,
) -> None:  # fmt: skip
    """The proximal step of pools `first` to `end`, in place.

    y, z [P, W, T] are prices after a step of size `eta` [P, T] along the loads, with `counts` [P] rows in use; `level`
    [P] are the fixed machines of the step before, which this one starts from. `firm` and `spot` [P, T] become the
    machines that run.
    """
    for p in range(first, end):
        level[p] = _level(s, p, level[p], y[p], z[p], eta[p], counts[p], firm[p], spot[p])
        _pull(s, p, level[p], y[p], z[p], eta[p], counts[p], 1, firm[p], spot[p])
