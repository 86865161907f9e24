"""Bills in the FinOps Open Cost and Usage Specification (FOCUS 1.0 and later): what a horizon really cost.

`EffectiveCost` spreads what was paid ahead (reservations, savings plans) over the usage that it covers and over what
was left unused. Rows that buy such a commitment are therefore left out: it is in the others already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.problem import Bools, Floats
from planner.errors import InputError
from planner.recorded import instants, numbers, read_columns
from planner.scenario.model import Horizon

if TYPE_CHECKING:
    import pyarrow as pa

CURRENCY = "USD"
NEEDED = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd")
TEXTS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "ChargeCategory", "CommitmentDiscountId",
         "ProviderName", "ServiceProviderName")
"""Columns that are read as they are written."""
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
PROVIDERS = {"aws": "aws", "amazon web services": "aws", "amazon": "aws", "microsoft": "azure",
             "microsoft azure": "azure", "azure": "azure", "google": "gcp", "google cloud": "gcp",
             "google cloud platform": "gcp", "gcp": "gcp"}
"""Names that bills give to providers, in small letters, and the scenario's names for them."""


@dataclass(frozen=True, slots=True)
class CloudBill:
    """USD within a horizon. `effective_usd` is what the horizon cost, `billed_usd` what was invoiced for it.

    `by_category` and `by_provider` split `effective_usd` by ChargeCategory and by provider as scenarios name it. `rows`
    were counted, of which `cut` lie partly outside (counted for the share of their time inside); `outside` rows are of
    other times, `purchases` bought commitments and were left out of `effective_usd`.
    """

    effective_usd: float
    billed_usd: float
    by_category: Mapping[str, float]
    by_provider: Mapping[str, float]
    rows: int
    cut: int
    outside: int
    purchases: int


def read_bill(path: Path, horizon: Horizon) -> CloudBill:
    """Read a bill, CSV or Parquet. Raises InputError for what is not FOCUS, not in USD, or not of the horizon at all.

    A horizon of several periods is not one stretch of time and has no bill.
    """
    if len(horizon.windows) > 1:
        raise InputError([f"{path.name}: a bill is of one stretch of time, the horizon of {len(horizon.windows)}"])
    table = read_columns(path, TEXTS)
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise InputError([f"{path.name}: no column {', '.join(missing)}: a bill in FOCUS 1.0 or later has them"])
    share = _share_inside(path.name, table, horizon)
    inside = np.flatnonzero(share > 0)
    if not len(inside):
        stretch = f"{horizon.start:%Y-%m-%dT%H:%M:%SZ} and {horizon.end:%Y-%m-%dT%H:%M:%SZ}"
        raise InputError([f"{path.name}: ChargePeriodStart: no charge between {stretch}: give the bill of that time"])
    return _summed(path.name, table.take(inside), share[inside], table.num_rows - len(inside))


def _share_inside(file: str, table: pa.Table, horizon: Horizon) -> Floats:
    """Share of every charge's time that lies in the horizon; the end of a charge period is not part of it."""
    begin, end = (instants(file, table[name], name, zone_wanted=False)
                  for name in ("ChargePeriodStart", "ChargePeriodEnd"))
    wrong = np.flatnonzero(end <= begin)
    if len(wrong):
        raise InputError([f"{file}: row {wrong[0] + 1}: ChargePeriodEnd: not after ChargePeriodStart"])
    first, last = int(horizon.start.timestamp()), int(horizon.end.timestamp())
    share: Floats = (np.minimum(end, last) - np.maximum(begin, first)).clip(min=0) / (end - begin)
    return share


def _summed(file: str, table: pa.Table, share: Floats, outside: int) -> CloudBill:
    _check_words(file, table)
    category = np.array(table["ChargeCategory"].to_pylist(), object)
    bought = (category == "Purchase") & _given(table, "CommitmentDiscountId")
    effective = np.where(bought, 0.0, _usd(file, table, "EffectiveCost") * share)
    billed = _usd(file, table, "BilledCost") * share
    provider = _providers(table)
    return CloudBill(float(effective.sum()), float(billed.sum()), _by(category[~bought], effective[~bought]),
                     _by(provider[~bought], effective[~bought]), len(share), int((share < 1).sum()), outside,
                     int(bought.sum()))


def _check_words(file: str, table: pa.Table) -> None:
    currencies = sorted({str(word) for word in table["BillingCurrency"].unique().to_pylist()})
    if currencies != [CURRENCY]:
        found = ", ".join(currencies)
        raise InputError([f"{file}: BillingCurrency: {found}: plans are in {CURRENCY}: convert the bill first"])
    odd = sorted({str(word) for word in table["ChargeCategory"].unique().to_pylist()} - set(CATEGORIES))
    if odd:
        raise InputError([f"{file}: ChargeCategory: {', '.join(odd)}: one of {', '.join(CATEGORIES)}"])


def _given(table: pa.Table, name: str) -> Bools:
    if name not in table.column_names:
        return np.zeros(table.num_rows, np.bool_)
    return np.array([bool(word) for word in table[name].to_pylist()])


def _usd(file: str, table: pa.Table, name: str) -> Floats:
    values = numbers(table[name])
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise InputError([f"{file}: {name}: {len(wrong)} rows of the horizon without a number: every charge has one"])
    return values


def _providers(table: pa.Table) -> np.ndarray:
    """The scenario's name of each row's provider; FOCUS 1.3 calls the column ServiceProviderName."""
    column = next((name for name in ("ServiceProviderName", "ProviderName") if name in table.column_names), None)
    words = table[column].to_pylist() if column else [None] * table.num_rows
    return np.array([PROVIDERS.get(str(word).lower(), str(word)) if word else "" for word in words], object)


def _by(words: np.ndarray, usd: Floats) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for word, amount in zip(words.tolist(), usd.tolist(), strict=True):
        total[word] += amount
    return dict(sorted(total.items()))
