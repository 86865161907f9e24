"""Public holidays as columns known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.history import DAY, Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """Holidays `days` (days since 1970) of some countries, each from midnight to midnight in `zone`."""

    countries: tuple[str, ...]
    zone: tzinfo | None
    days: tuple[Ints, ...]

    def columns(self, ns: Ints) -> Floats:
        """[n, countries]: 1 in steps that begin (nanoseconds since 1970) on a holiday, else 0."""
        if not self.countries:
            return np.zeros((len(ns), 0))
        local = pd.DatetimeIndex(ns.astype("datetime64[ns]")).tz_localize("UTC").tz_convert(self.zone)
        day = local.tz_localize(None).to_numpy("datetime64[D]").astype(np.int64)
        return np.stack([np.isin(day, days) for days in self.days], axis=1).astype(np.float64)


def make_calendar(countries: Sequence[str], zone: tzinfo | None, first: np.datetime64, last: np.datetime64) -> Calendar:
    """The holidays of countries (`BR`, or `BR-SP` with a part of it) between two times. Raises ValueError."""
    if not countries:
        return Calendar((), zone, ())
    import holidays  # half a second, and seldom asked for

    years = range(int(str((first - DAY).astype("datetime64[Y]"))), int(str((last + DAY).astype("datetime64[Y]"))) + 1)
    days = []
    for name in countries:
        country, _, part = name.partition("-")
        try:
            found = holidays.country_holidays(country, subdiv=part or None, years=years)
        except NotImplementedError as error:
            codes = "country codes are needed, as BR, or BR-SP with a part of the country"
            mend = codes if name == name.upper() else f"did you mean {name.upper()}?"
            raise ValueError(f"holidays {name!r}: {error}; {mend}") from None
        days.append(np.array(sorted(found), "datetime64[D]").astype(np.int64))
    return Calendar(tuple(countries), zone, tuple(days))
