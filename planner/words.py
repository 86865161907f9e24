"""The sentences and figures of `placement.verify` for people."""

from __future__ import annotations

import re

import numpy as np

from placement.problem import Purchase
from placement.result import Solution
from planner.formulate import Formulation

_ROW = re.compile(r"\b(pool|stream|workload|unit|offer|loss|limit|commitment) (\d+)\b")


def in_words(sentence: str, formulation: Formulation, solution: Solution | None = None) -> str:
    """A sentence of `placement.verify` with names for rows of the problem's tables."""
    names, offers, layers = formulation.names, formulation.problem.offers, formulation.problem.layers
    split = () if layers is None else np.bincount(layers.group)

    def stream(row: int) -> str:
        workload, region = names.streams[row]
        part = int(layers.part[row]) if layers is not None and split[layers.group[row]] > 1 else None
        which = [f"users in {region}"] * bool(region) + [f"part {part}"] * (part is not None)
        return f"{workload} ({', '.join(which)})" if which else workload

    def name(match: re.Match[str]) -> str:
        what, row = match.group(1), int(match.group(2))
        if what == "pool":
            return f"pool {'/'.join(names.pools[row])}"
        if what == "loss":
            return f"the loss of {names.losses[row]}"
        if what in ("limit", "commitment"):
            return f"{what} {(names.limits if what == 'limit' else names.commitments)[row]}"
        if what == "workload":
            return f"workload {names.workloads[row]}"
        if what == "stream":
            return f"workload {stream(row)}"
        if what == "offer":
            return f"offer {Purchase(offers.purchase[row]).name.lower()} of {'/'.join(names.pools[offers.pool[row]])}"
        if solution is not None:
            return f"copy {int(solution.units.copy[row])} of {stream(int(solution.units.stream[row]))}"
        return match.group(0)

    return _ROW.sub(name, sentence)


def same_usd(stated: float, found: float) -> bool:
    """Whether two figures agree within a cent or one part in a million."""
    return abs(stated - found) <= max(0.01, 1e-6 * abs(found))
