"""Machine hours of a bill in FOCUS: whose, where, when, of which type, and what was paid for them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.focus import CATEGORIES, CURRENCY, PROVIDERS
from planner.recorded import instants, numbers, read_columns

NEEDED = ("ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "ChargeCategory", "EffectiveCost")
TEXTS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "ChargeCategory", "ProviderName",
         "ServiceProviderName", "RegionId", "SkuPriceDetails", "x_InstanceType", "PricingCategory", "ConsumedUnit",
         "Tags", "SubAccountName", "CommitmentDiscountId", "CommitmentDiscountStatus", "CommitmentDiscountCategory")
COSTS = ("EffectiveCost", "ListCost", "ContractedCost")
AMOUNTS = (*COSTS, "ConsumedQuantity")
HOURS = ("hours", "hour", "hrs", "hr", "h")
OWNER_TAGS = ("owner", "team", "app", "application", "service", "project")
"""Tags that say whose a machine is; the first of these counts."""
NOBODY = "untagged"

Row = Mapping[str, Any]
Kind = tuple[str, str, str]
"""Provider, region and machine type."""


@dataclass(slots=True)
class Paid:
    """Machine hours paid for in one way: what they cost in the end, by contract, and by the list."""

    hours: float = 0.0
    effective_usd: float = 0.0
    contract_usd: float = 0.0
    list_usd: float = 0.0


@dataclass(slots=True)
class Commitment:
    """A commitment, of money (`spend`) or machines: what was used and unused, and what the used would have cost."""

    spend: bool
    used_usd: float = 0.0
    unused_usd: float = 0.0
    covered_usd: float = 0.0
    kinds: set[Kind] = field(default_factory=set)


@dataclass(slots=True)
class Usage:
    """What a bill says: `paid` by kind and purchase, machine `hours` by kind, owner and purchase in each slot,
    commitments by id, and what all else cost by category.
    """

    paid: dict[tuple[Kind, str], Paid] = field(default_factory=lambda: defaultdict(Paid))
    hours: dict[tuple[Kind, str, str], dict[int, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    commitments: dict[str, Commitment] = field(default_factory=dict)
    other_usd: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, row: Row, share: float, slots: Callable[[Row], Iterator[tuple[int, float]]]) -> None:
        """Count a charge, `share` of which lies in the horizon; `slots` spreads its time."""
        category, bought = row["ChargeCategory"], row["CommitmentDiscountId"]
        cost = row["EffectiveCost"] * share
        if category == "Purchase" and bought:
            return  # its price is in the usage that it covers and in what was left unused
        commitment = self._commitment(row) if bought else None
        if commitment is not None and row["CommitmentDiscountStatus"] == "Unused":
            commitment.unused_usd += cost
            return
        kind = _kind(row) if category == "Usage" else None
        if kind is None:
            self.other_usd[category] += cost
            return
        hours = row["ConsumedQuantity"]
        purchase = _purchase(row)
        paid = self.paid[kind, purchase]
        contract = _first(row["ContractedCost"], row["ListCost"], row["EffectiveCost"]) * share
        paid.hours += hours * share
        paid.effective_usd += cost
        paid.contract_usd += contract
        paid.list_usd += _first(row["ListCost"], row["ContractedCost"], row["EffectiveCost"]) * share
        if commitment is not None:
            commitment.used_usd += cost
            commitment.covered_usd += contract
            commitment.kinds.add(kind)
        for slot, part in slots(row):
            self.hours[kind, _owner(row), purchase][slot] += hours * part

    def _commitment(self, row: Row) -> Commitment:
        spend = row["CommitmentDiscountCategory"] != "Usage"
        return self.commitments.setdefault(str(row["CommitmentDiscountId"]), Commitment(spend))


def read_rows(path: Path, usd_per: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows of a bill with the columns in use; empty where one is not there; costs in USD.

    Raises InputError for what is not FOCUS, a charge without a cost, and currencies whose worth `usd_per` does not say.
    """
    table = read_columns(path, TEXTS)
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise InputError([f"{path.name}: no column {', '.join(missing)}: a bill in FOCUS 1.0 or later has them"])
    if not table.num_rows:
        raise InputError([f"{path.name}: no row: a bill with charges is needed"])
    found: dict[str, list[Any]] = {
        name: [str(cell) if cell is not None else "" for cell in table[name].to_pylist()] if name in table.column_names
        else [""] * table.num_rows for name in TEXTS}
    for name in AMOUNTS:
        found[name] = numbers(table[name]).tolist() if name in table.column_names else [float("nan")] * table.num_rows
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        found[name] = instants(path.name, table[name], name, zone_wanted=False).tolist()
    rows = [dict(zip(found, cells, strict=True)) for cells in zip(*found.values(), strict=True)]
    worth = {CURRENCY: 1.0, **usd_per}
    _check(path.name, rows, worth)
    return [{**row, **{name: row[name] * worth[row["BillingCurrency"]] for name in COSTS}} for row in rows]


def _check(file: str, rows: list[dict[str, Any]], worth: Mapping[str, float]) -> None:
    currencies = sorted({row["BillingCurrency"] for row in rows})
    if unknown := [code for code in currencies if code not in worth]:
        mend = f"say what one is worth: --usd-per {unknown[0] or 'CODE'}=RATE"
        raise InputError([f"{file}: BillingCurrency: {', '.join(currencies)}: plans are in {CURRENCY}: {mend}"])
    for number, row in enumerate(rows, 1):
        if row["ChargeCategory"] not in CATEGORIES:
            allowed = f"one of {', '.join(CATEGORIES)}"
            raise InputError([f"{file}: row {number}: ChargeCategory: {row['ChargeCategory'] or 'nothing'}: {allowed}"])
        if not isfinite(row["EffectiveCost"]):
            raise InputError([f"{file}: row {number}: EffectiveCost: not a number: every charge has one"])
        if row["ChargePeriodEnd"] <= row["ChargePeriodStart"]:
            raise InputError([f"{file}: row {number}: ChargePeriodEnd: not after ChargePeriodStart"])


def _kind(row: Row) -> Kind | None:
    """The machine type that a charge is for, and where; None where it is for something else."""
    hours, unit = row["ConsumedQuantity"], row["ConsumedUnit"].lower()
    machine = _details(row).get("InstanceType") or row["x_InstanceType"]
    if not machine or not row["RegionId"] or not isfinite(hours) or hours <= 0 or unit not in HOURS:
        return None
    provider = row["ProviderName"] or row["ServiceProviderName"]
    return PROVIDERS.get(provider.lower(), provider.replace(" ", "-").replace("/", "-")), row["RegionId"], str(machine)


def _details(row: Row) -> Mapping[str, Any]:
    return _json(row["SkuPriceDetails"])


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _purchase(row: Row) -> str:
    """How machine hours were paid for: spot, a commitment of machines, or on demand (savings plans cover these)."""
    if row["PricingCategory"] == "Dynamic":
        return "spot"
    machines = row["CommitmentDiscountId"] and row["CommitmentDiscountCategory"] == "Usage"
    return "committed" if machines else "on_demand"


def _owner(row: Row) -> str:
    tags = {str(key).lower().rsplit("/", 1)[-1]: str(value) for key, value in _json(row["Tags"]).items()}
    return next((tags[name] for name in OWNER_TAGS if tags.get(name)), row["SubAccountName"] or NOBODY)


def _first(*amounts: float) -> float:
    """The first that is a number."""
    return next((amount for amount in amounts if isfinite(amount)), 0.0)
