"""Growth that a scenario assumes: `serving=+3%/month`, on top of what histories show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.scenario.model import Workload
from planner.whatif import selected

DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "quarter": 365.25 / 4, "year": 365.25}
_RATE = re.compile(r"(?P<sign>[+-])(?P<by>\d+(?:\.\d+)?)%|x(?P<times>\d+(?:\.\d+)?)")
MOST_TIMES = 1_000_000
"""Times by which demand may be said to grow within the horizon; more is a mistake of rates or periods."""
_EXAMPLE = "serving=+3%/month"


@dataclass(frozen=True, slots=True)
class Growth:
    """Demand of the selected workloads is multiplied by `exp(a_day x days)`; `text` is what was written."""

    text: str
    selector: str
    a_day: float

    @classmethod
    def parse(cls, text: str) -> Growth:
        """Read SELECTOR=RATE/PERIOD. Raises InputError that says how to mend it."""
        where = f"--growth: {text}"
        selector, equals, rate = text.strip().rpartition("=")
        if not equals or not selector.strip():
            raise InputError([f"{where}: SELECTOR=RATE/PERIOD is needed, as {_EXAMPLE}"])
        amount, slash, period = rate.strip().partition("/")
        if not slash or period.strip() not in DAYS:
            mend = f"a rate and a period are needed, as +3%/month; periods are {', '.join(DAYS)}"
            raise InputError([f"{where}: {rate.strip() or 'nothing'}: {mend}"])
        found = _RATE.fullmatch(amount.strip())
        if found is None:
            raise InputError([f"{where}: {amount}: +3%, -2% or x1.5 is allowed"])
        if found["times"] is not None:
            factor = float(found["times"])
        else:
            factor = 1 + float(found["by"]) / 100 * (-1 if found["sign"] == "-" else 1)
        if factor <= 0:
            raise InputError([f"{where}: {amount}: something must be left: more than -100% is allowed"])
        return cls(text.strip(), selector.strip(), math.log(factor) / DAYS[period.strip()])


def growth_a_day(growths: Iterable[Growth], workloads: Sequence[Workload], days: int) -> NDArray[np.float64]:
    """Growth of the logarithm of demand a day [W]; what is said twice of a workload adds up.

    Raises InputError where a selector matches nothing, and where it comes to over a million times within `days`.
    """
    found = np.zeros(len(workloads))
    for growth in growths:
        found[selected(growth.selector, workloads, f"--growth: {growth.text}")] += growth.a_day
        if found.max(initial=0.0) * days > math.log(MOST_TIMES):
            why = f"over {MOST_TIMES:,} times as much within {days} days: a smaller rate, or a longer period, is meant"
            raise InputError([f"--growth: {growth.text}: {why}"])
    return found
