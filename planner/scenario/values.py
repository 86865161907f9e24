"""Kinds of values that fields of a scenario have."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Strict, Tag

Item = TypeVar("Item")
Row = Annotated[tuple[Item, ...], Strict(strict=False)]
Some = Annotated[tuple[Item, ...], Strict(strict=False), Field(min_length=1)]

Kind = Literal["etl", "feature", "training", "serving", "diagnostics", "drift_monitor"]
Purchase = Literal["owned", "on_demand", "spot", "committed"]
Tier = Literal["iaas", "paas", "saas"]
Survive = Literal["none", "cluster", "region", "provider"]
Mode = Literal["min_cost", "max_sla"]
Measure = Literal["machines", "vcpu", "gpu", "kw", "usd_per_hour"]

NO_TIME = "not a time of ISO 8601"
YES_AND_NO = {"yes": True, "on": True, "no": False, "off": False}


def _flag(value: object) -> object:
    """Read the words that YAML 1.1 takes for true and false where a truth value is wanted."""
    return YES_AND_NO.get(value.lower(), value) if isinstance(value, str) else value


def _instant(value: object) -> object:
    """Read an ISO 8601 time with a zone, as UTC; anything else is left for the strict check to refuse."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(NO_TIME) from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("no_zone")
        try:
            return value.astimezone(UTC)
        except OverflowError:  # in another zone it is in the year 0, or 10000
            raise ValueError(NO_TIME) from None
    return value


Name = Annotated[str, Field(min_length=1)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
AtLeastOne = Annotated[int, Field(ge=1, le=2**31 - 1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Level = Annotated[float, Field(gt=0, lt=1)]
ONE, BY_SLOT = "one number", "a number a slot"
"""Forms of an input that may vary with time, as validation names them."""


def _slot_form(value: object) -> str:
    return BY_SLOT if isinstance(value, list | tuple) else ONE


Amounts = Annotated[
    Annotated[Amount, Tag(ONE)] | Annotated[Some[Amount], Tag(BY_SLOT)], Discriminator(_slot_form)
]
Counts = Annotated[Annotated[Count, Tag(ONE)] | Annotated[Some[Count], Tag(BY_SLOT)], Discriminator(_slot_form)]
RegionKey = Annotated[str, Field(pattern=re.compile(r"^[^/\s]+/[^/\s]+$"))]
Country = Annotated[str, Field(pattern=re.compile(r"^[A-Z]{2}$"))]
