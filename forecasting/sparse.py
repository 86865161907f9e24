"""Intermittent series: what models of running demand say, beside the quantiles of demand that comes now and then.

Low, middle and high do not tell the quantiles of something that is mostly 0, so these are said level by level, and
weighed against the calibrated ones on past origins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecasting.combining import combine, learn_weights
from forecasting.history import Floats
from forecasting.models.intermittent import Fitted, is_intermittent
from forecasting.panel import Ints, Panel


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Shares [N] that quantiles of intermittent demand, at `levels`, have for series `ids`; others have their mean."""

    horizon: int
    levels: Floats
    ids: tuple[str, ...]
    shares: Floats

    def shares_of(self, panel: Panel) -> Floats:
        """Shares [N] of any series: 0 where demand is not intermittent."""
        known, usual = dict(zip(self.ids, self.shares.tolist(), strict=True)), float(self.shares.mean())
        shares = np.array([known.get(name, usual) for name in panel.ids])
        return np.where(is_intermittent(panel), shares, 0.0)

    def blend(self, panel: Panel, said: Floats) -> Floats:
        """Quantiles [N, H, Q], with what `said` [N, H, Q] is for intermittent series weighed anew."""
        shares = self.shares_of(panel)
        rows = np.flatnonzero(shares > 0)
        if not len(rows):
            return said
        direct = Fitted(self.horizon).quantiles(panel.pick(rows), self.levels)
        both = np.stack([said[rows], direct])
        mixed = said.copy()
        mixed[rows] = np.sort(combine(both, np.stack([1 - shares[rows], shares[rows]], axis=1)), axis=-1)
        return mixed

    def blend_past(self, panel: Panel, back: int, said: Floats) -> Floats:
        """The same for quantiles [N, h, Q] from an origin `back` steps before the end: what came since is not known."""
        at, old, mixed = {name: i for i, name in enumerate(panel.ids)}, panel.before(back), said.copy()
        rows = [at[name] for name in old.ids]
        if rows:
            mixed[rows] = replace(self, horizon=said.shape[1]).blend(old, said[rows])
        return mixed


def fit_sparse(panel: Panel, back: Ints, truth: Floats, said: Floats, levels: Floats, unit: Floats,
               horizon: int) -> Sparse | None:
    """Weigh by what came: `truth` [J, N, h] after origins `back` [J] steps before the end, and the calibrated quantiles
    `said` [J, N, h, Q] from there. None where no series is intermittent.
    """
    rows = np.flatnonzero(is_intermittent(panel))
    if not len(rows):
        return None
    some = panel.pick(rows)
    both = np.stack([said[:, rows], np.full_like(said[:, rows], np.nan)])
    at = {name: i for i, name in enumerate(some.ids)}
    for j, steps in enumerate(back.tolist()):
        old = some.before(steps)
        if len(old):
            both[1, j, [at[name] for name in old.ids]] = Fitted(truth.shape[2]).quantiles(old, levels)
    weights = learn_weights(truth[:, rows], both, levels, unit[rows])
    return Sparse(horizon, levels, some.ids, weights[:, 1])
