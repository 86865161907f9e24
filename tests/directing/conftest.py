"""Small routes made by hand, and a clock that stands still."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from planner.directing.routes import Routes, Stream, Unit
from planner.plan import PlanHorizon

START = datetime(2026, 11, 2, tzinfo=UTC)


class Clock:
    """POSIX seconds that only move when told to."""

    def __init__(self) -> None:
        self.now = START.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Place = tuple[str, Any, dict[str, str]]


@pytest.fixture(scope="session")
def routes() -> Callable[..., Routes]:
    """Routes of workloads, each a list of (cluster, share, fallbacks), or of such lists by (user region, share)."""

    def make(workloads: dict[str, Any], slots: int = 24, clusters: Sequence[str] = "abcdef", **more: Any) -> Routes:
        def units(places: Sequence[Place]) -> tuple[Unit, ...]:
            return tuple(Unit(cluster=cluster, share=share, fallbacks=to) for cluster, share, to in places)

        streams = {
            name: tuple(Stream(user_region=region, share=share, units=units(found)) for (region, share), found in
                        (places.items() if isinstance(places, dict) else [((None, 1.0), places)]))
            for name, places in workloads.items()
        }  # fmt: skip
        horizon = PlanHorizon(start=START, slots=slots, slot_minutes=60)
        losses = {name: (name, f"p/{name}", "p") for name in clusters}
        return Routes(plan_id="0" * 64, name="made", horizon=horizon, clusters=losses, workloads=streams, **more)

    return make
