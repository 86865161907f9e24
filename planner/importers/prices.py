"""Prices that a source does not state, guessed from what the catalog knows."""

from __future__ import annotations

from statistics import median

from planner.importers.draft import Asked, Draft
from planner.scenario.values import Purchase

SPOT_SHARE = 0.35
"""Spot prices as a share of list prices, where none is known: the median of one cloud's published prices (2025)."""


def guessed_price(draft: Draft, asked: Asked, where: str, place: tuple[str, str], machine: str,
                  purchase: Purchase) -> float | None:
    """A price for an offer, and what it was made from is told; None where the catalog has the price itself.

    `place` is provider and region.
    """
    if asked.catalog.price(*place, machine, purchase) is not None:
        return None
    price, why = _known(asked, place, machine) if purchase != "owned" else (0.0, "what own machines cost is not stated")
    if purchase == "spot" and price:
        price, why = round(price * SPOT_SHARE, 6), f"{SPOT_SHARE} x {why}: no spot price is known"
    draft.guess(f"{where}.offers.{purchase}.price_usd_per_hour", f"{price:g}", why)
    return price


def _known(asked: Asked, place: tuple[str, str], machine: str) -> tuple[float, str]:
    """A list price of the machine, and where it is from."""
    here = asked.catalog.price(*place, machine, "on_demand")
    if here is not None:
        return here, "the list price of on_demand"
    others = [price.on_demand for (provider, _, name), price in asked.catalog.prices.items()
              if (provider, name) == (place[0], machine) and price.on_demand is not None]
    if others:
        return round(median(others), 6), f"the median of its list prices in {len(others)} other regions"
    return 0.0, "the catalog knows no price of it"
