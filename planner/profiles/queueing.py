"""How many servers keep waiting short: the M/M/c queue (Erlang C).

Requests come at random (Poisson) at rate lambda, each of c servers works at rate mu, service times are exponential and
nobody gives up. With offered load a = lambda / mu < c, an arriving request waits with probability (Erlang 1917;
Kleinrock, "Queueing Systems" vol. 1, 1975, eq. 3.40)

    C(c, a) = B / (1 - (a / c) (1 - B)),   B = (a^c / c!) / sum over k = 0..c of a^k / k!   (Erlang B)

and waits longer than t with probability C(c, a) exp(-(c mu - lambda) t).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, pdtr, xlogy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SERVERS = 2**31 - 1


def erlang_c(servers: ArrayLike, load: ArrayLike) -> Floats:
    """The chance that a request waits, for `servers` >= 1 and a `load` >= 0 in erlangs; 1 where load >= servers."""
    c, a = np.broadcast_arrays(np.asarray(servers, np.float64), np.asarray(load, np.float64))
    safe = np.minimum(a, c)
    # Erlang B is a Poisson probability over a Poisson sum, which stays accurate where powers and factorials overflow.
    blocked = np.exp(xlogy(c, safe) - safe - gammaln(c + 1)) / pdtr(c, safe)
    waits = blocked / (1 - safe / c * (1 - blocked))
    return np.where(a < c, waits, 1.0)


def chance_of_waiting_longer(servers: ArrayLike, rate: ArrayLike, service_rate: float, wait: float) -> Floats:
    """The chance that a request waits longer than `wait`; rates are per the unit of time that `wait` is given in."""
    c, arrivals = np.asarray(servers, np.float64), np.asarray(rate, np.float64)
    spare = np.maximum(c * service_rate - arrivals, 0.0)
    return np.asarray(erlang_c(c, arrivals / service_rate) * np.exp(-spare * wait), np.float64)


def servers_needed(rate: ArrayLike, service_rate: float, wait: float, level: float) -> Ints:
    """The fewest servers with which at least `level` of requests wait no longer than `wait`, and never fewer than 1.

    `rate` is one arrival rate or an array of them. Raises ValueError for rates or waits that make no sense.
    """
    arrivals = np.asarray(rate, np.float64)
    if not (service_rate > 0 and wait >= 0 and 0 < level < 1 and np.isfinite(arrivals).all() and (arrivals >= 0).all()):
        raise ValueError(
            f"rate {arrivals}, service rate {service_rate}, wait {wait}, level {level}: no queue has these"
        )
    load = arrivals / service_rate
    if (load >= MOST_SERVERS / 2).any():
        raise ValueError(
            f"{load.max():g} servers would be busy at once; {MOST_SERVERS} is the most that can be counted"
        )

    def met(servers: Ints) -> NDArray[np.bool_]:
        return chance_of_waiting_longer(servers, arrivals, service_rate, wait) <= 1 - level

    few = np.floor(load).astype(np.int64)  # never enough: as many as are busy on average, or fewer
    spare = np.ones_like(few)
    while not (reached := met(few + spare)).all():
        spare = np.where(reached, spare, 2 * spare)
    enough = few + spare
    while (enough - few > 1).any():
        middle = np.maximum((few + enough) // 2, 1)
        few, enough = np.where(met(middle), few, middle), np.where(met(middle), middle, enough)
    return enough
