"""How Karmada divides replicas by static weights, and weights that divide them as a plan does.

The rule (`TakeByWeight` of Karmada's dispenser): each cluster gets floor(weight x replicas / sum of weights); what is
left goes one by one to the clusters of the largest weights. Among equal weights chance decides, so weights under which
a tie would matter are not taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm

Split = Mapping[str, int]
"""Replicas by cluster."""
LARGEST = 2**31
"""Weights stay below this: weight x replicas must fit 64 bits."""


def divide(replicas: int, weights: Split) -> dict[str, int] | None:
    """Replicas that Karmada gives each cluster; None where chance would decide. Weights are above 0."""
    total = sum(weights.values())
    found = {name: weight * replicas // total for name, weight in weights.items()}
    left = replicas - sum(found.values())
    order = sorted(weights, key=lambda name: (-weights[name], name))
    if 0 < left < len(order) and weights[order[left - 1]] == weights[order[left]]:
        return None
    for name in order[:left]:
        found[name] += 1
    return found


def weights_for(splits: Sequence[Split]) -> dict[str, int] | None:
    """Weights under which Karmada makes every one of these splits; None where none were found.

    Those of a single split are the replicas themselves, which divide without a rest. Splits of nothing ask nothing.
    """
    asked = [split for split in splits if sum(split.values())]
    if not asked:
        return dict.fromkeys(splits[0], 1) if splits else None
    return next((weights for weights in _candidates(asked) if _makes(weights, asked)), None)


def _makes(weights: Split, splits: Sequence[Split]) -> bool:
    return all(divide(sum(split.values()), weights) == {name: split.get(name, 0) for name in weights}
               and all(name in weights for name, count in split.items() if count) for split in splits)


def _candidates(splits: Sequence[Split]) -> Iterator[dict[str, int]]:
    """The splits themselves, their sum, and the least shares that never fall short, the largest cluster the rest."""
    names = sorted({name for split in splits for name, count in split.items() if count})
    together = {name: sum(split.get(name, 0) for split in splits) for name in names}
    for split in (*splits, together):
        yield _reduced({name: split.get(name, 0) for name in names})
    largest = max(names, key=lambda name: together[name])
    share = {name: max(Fraction(split.get(name, 0), sum(split.values())) for split in splits) for name in names}
    share[largest] = 1 - sum((part for name, part in share.items() if name != largest), Fraction(0))
    whole = lcm(*(part.denominator for part in share.values()))
    if share[largest] > 0 and whole < LARGEST:
        yield _reduced({name: int(part * whole) for name, part in share.items()})


def _reduced(weights: Split) -> dict[str, int]:
    """The same proportions in the smallest whole numbers; clusters without weight are left out."""
    most = gcd(*weights.values())
    return {name: weight // most for name, weight in weights.items() if weight}


def stretches(splits: Sequence[Split]) -> list[tuple[int, dict[str, int]]]:
    """The fewest stretches, first come first served, of slots that share weights: (first slot, weights) of each."""
    found: list[tuple[int, dict[str, int]]] = []
    distinct: list[Split] = []
    for slot, split in enumerate(splits):
        if split in distinct:
            continue
        weights = weights_for([*distinct, split])
        if weights is None:
            distinct = []
            weights = weights_for([split])
            assert weights is not None
            found.append((slot, weights))
        elif not found:
            found.append((0, weights))
        else:
            found[-1] = found[-1][0], weights
        distinct.append(split)
    return found
