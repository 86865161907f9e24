"""What every streaming detector gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LARGEST = 1e150
"""Values beyond have squares that are no numbers."""


@dataclass(frozen=True)
class StreamSettings:
    """How to read one stream.

    Nothing is an alarm in the first `learn_steps`, nor in the `rest_steps` after an alarm. `steps_per_day` tells where
    the same time of yesterday lies; None where there is no such time.
    """

    learn_steps: int = 750
    rest_steps: int = 150
    steps_per_day: int | None = None

    def __post_init__(self) -> None:
        """Refuse lengths that are none."""
        for field, value, least in (
            ("learn_steps", self.learn_steps, 1),
            ("rest_steps", self.rest_steps, 0),
            ("steps_per_day", 1 if self.steps_per_day is None else self.steps_per_day, 1),
        ):
            if value < least:
                raise ValueError(f"{field}: {value}: at least {least}")


@dataclass(frozen=True, eq=False)
class Readings:
    """What a detector makes of the values it was fed, both [steps].

    `score` rises with how unlike the past a step is, each detector on its own scale; it is 0 where no value was
    measured or too little is known. `alarm` marks steps whose score reached the detector's threshold, out of rest.
    """

    score: Floats
    alarm: Flags


class Stream(Protocol):
    """One stream as it was read so far. It knows what it was fed and nothing of what comes."""

    def feed(self, values: Floats) -> Readings:
        """Read the next values [steps] of the stream, NaN where nothing was measured; the input stays as it is."""


class StreamDetector(Protocol):
    """Opens streams. The same values and settings give the same readings, in whatever portions they are fed."""

    def __call__(self, settings: StreamSettings) -> Stream:
        """Begin a stream that has seen nothing."""


def checked(values: Floats) -> Floats:
    """The values as one contiguous stream.

    Raises ValueError for more than one dimension and for numbers beyond `LARGEST`; infinite ones count as not measured.
    """
    if values.ndim != 1:
        raise ValueError(f"values: {values.ndim} dimensions: one stream is read at a time, [steps]")
    values = np.ascontiguousarray(values, dtype=np.float64)
    if (np.abs(values[np.isfinite(values)]) > LARGEST).any():
        raise ValueError(f"values: beyond {LARGEST:g}: use a larger unit")
    return values
