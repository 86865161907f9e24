"""A streaming detector as one that reads recorded series: its score, judged by the scores before it.

Streams need no week to compare with: they learn from 1,000 steps, which is three and a half days of five minutes each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.detectors import Detector, DetectorSettings, Scores
from diagnostics.detectors.calm import Floats, judge
from diagnostics.streaming import StreamDetector, StreamSettings

LEARN_STEPS = 1000
_FIRST_SCORES = 250
"""Scores of the first steps, when little is known yet, are not those that later ones are judged by."""


def streamed(make: StreamDetector) -> Detector:
    """The detector. `expected` is what was last known before a step; z is that of the score, never below 0."""

    def detect(values: Floats, settings: DetectorSettings) -> Scores:
        asked = StreamSettings(LEARN_STEPS, 0, settings.steps_per_day)
        scores = np.array([make(asked).feed(row).score for row in values]).reshape(values.shape)
        scores[~np.isfinite(values)] = np.nan
        scores[:, :_FIRST_SCORES] = np.nan
        found = judge(scores, np.zeros_like(scores), settings, first=LEARN_STEPS)
        usual = found.z <= 0  # stranger than usual is news, calmer is not
        p = np.where(usual, 1.0, found.p)
        return replace(found, expected=_last_known(values), z=np.where(usual, 0.0, found.z), p=p,
                       alarm=p < settings.chance_per_step)

    return detect


def _last_known(values: Floats) -> Floats:
    """The last value before each step, NaN where there is none: [series, steps]."""
    before = np.hstack([np.full((len(values), 1), np.nan), values[:, :-1]])
    at = np.maximum.accumulate(np.where(np.isfinite(before), np.arange(values.shape[1]), 0), axis=1)
    return np.asarray(np.take_along_axis(before, at, axis=1))
