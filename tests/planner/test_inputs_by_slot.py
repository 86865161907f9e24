"""Inputs that vary with time, and horizons of several windows: what they mean in arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from placement.problem import Purchase
from planner.errors import InputError
from planner.formulate import Formulation
from planner.plan import PlanHorizon, PlanPeriod
from planner.scenario.model import Horizon, Scenario
from planner.timeline import Timeline

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]

TWO_WINDOWS = {"slot_minutes": 60, "periods": [
    {"start": "2026-11-02T00:00:00Z", "slots": 3, "stands_for_days": 10.0},
    {"start": "2026-12-24T06:00:00Z", "slots": 1, "stands_for_days": 0.5}]}


def test_windows_say_where_the_horizon_starts_and_how_long_it_is() -> None:
    """Start and slots come from the windows; days are those they stand for, and the end is the last window's."""
    horizon = Horizon.model_validate(TWO_WINDOWS)
    assert (horizon.start.isoformat(), horizon.slots) == ("2026-11-02T00:00:00+00:00", 4)
    assert (horizon.days, horizon.hours, horizon.end.isoformat()) == (10.5, 252.0, "2026-12-24T07:00:00+00:00")
    line = Timeline.of(horizon)
    assert line.window.tolist() == [0, 0, 0, 1]
    assert line.weight == pytest.approx([80, 80, 80, 12])
    assert line.minute.tolist() == [0, 60, 120, 52 * 1440 + 360]


def test_one_window_stands_for_itself() -> None:
    """Without periods every slot counts once, exactly."""
    line = Timeline.of(Horizon.model_validate({"start": "2026-11-02T00:00:00Z", "slots": 168, "slot_minutes": 55}))
    assert set(line.weight) == {1.0}


def test_a_plan_knows_when_each_slot_of_each_window_begins() -> None:
    """Labels of slots jump to the next window; the last slot's end follows its own window."""
    rows = tuple(PlanPeriod.model_validate(one) for one in TWO_WINDOWS["periods"])  # type: ignore[union-attr]
    horizon = PlanHorizon(start=rows[0].start, slots=4, slot_minutes=60, periods=rows)
    moments = [str(horizon.moment(t)) for t in (0, 2, 3, 4)]
    assert [text[5:16] for text in moments] == ["11-02 00:00", "11-02 02:00", "12-24 06:00", "12-24 07:00"]


def test_costs_of_a_window_count_as_often_as_it_stands_for(fleet: dict[str, Any], build: Build, new: New) -> None:
    """Machines and carbon are scaled slot by slot; data and storage count the days all windows stand for."""
    fleet["horizon"] = TWO_WINDOWS
    fleet["carbon_usd_per_tonne"] = 100.0
    fleet["clusters"][0] |= {"grid_g_per_kwh": [0, 100.0, 200.0, 300.0], "storage_usd_per_gb_month": 0.73}
    fleet["clusters"][0]["pools"][0]["machine"]["watts"] = 1000.0
    fleet["clusters"][0]["pools"][0]["offers"][0]["price_usd_per_hour"] = [1.0, 2.0, 3.0, 4.0]
    fleet["workloads"] = [new("w", data={"location": "azure/westeurope", "gb_per_day_in": 2.0, "stored_gb": 10.0})]
    problem, parts = build(fleet)[1].problem, build(fleet)[1].cost_parts
    assert problem.offers.price_usd[0] == pytest.approx([80, 160, 240, 48])
    assert problem.pools.run_usd[0] == pytest.approx([0, 0.01 * 80, 0.02 * 80, 0.03 * 12])
    assert parts.egress_usd[0] == pytest.approx(2.0 * 10.5 * 0.1)
    assert parts.storage_usd[0] == pytest.approx(10.0 * 0.73 * 252 / 730)


def test_limits_owned_machines_and_lead_times_go_by_the_slot(fleet: dict[str, Any], build: Build) -> None:
    """Machines beyond what is owned then come after the lead time, which counts days from the first window on."""
    fleet["horizon"] = TWO_WINDOWS
    one = fleet["clusters"][0]["pools"][0]
    one |= {"max": [5, 4, 3, 20], "lead_time_days": 30, "min": [0, 1, 0, 0], "offers": [
        {"purchase": "committed", "price_usd_per_hour": 0.5, "owned": [1, 2, 4, 2], "max": [3, 3, 3, 9]},
        {"purchase": "owned", "price_usd_per_hour": 0.5, "owned": 1}]}
    problem = build(fleet)[1].problem
    assert problem.pools.max_machines[0].tolist() == [5, 4, 3, 20]
    assert problem.pools.min_machines[:2].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert problem.offers.purchase[:2].tolist() == [Purchase.OWNED, Purchase.COMMITTED]
    assert problem.offers.owned[:2].tolist() == [[1, 1, 1, 1], [1, 2, 4, 2]]
    assert problem.offers.max_machines[:2].tolist() == [[5, 4, 3, 20], [1, 2, 3, 9]]


def test_a_minimum_that_offers_cannot_give_is_an_input_error(fleet: dict[str, Any], build: Build) -> None:
    """The line names the pool, the slot and how many there can be."""
    fleet["clusters"][0]["pools"][0] |= {"min": 2, "lead_time_days": 0.1}
    with pytest.raises(InputError, match=r"clusters.aws-sp.pools.m6i.min: 2: in slot 0 .* give 0 machines at most"):
        build(fleet)


def _starts(formulation: Formulation) -> set[int]:
    v = formulation.problem.variants
    return {s for first, last in zip(v.earliest.tolist(), v.latest.tolist(), strict=True)
            for s in range(first, last + 1)}


@pytest.mark.parametrize(("batch", "starts"), [
    ({"duration_slots": 2, "latest_slot": 6}, {0, 1, 3, 4, 5, 6}),  # a run from slot 2 would be in both windows
    ({"duration_slots": 1, "latest_slot": 7}, set(range(8))),
    ({"duration_slots": 2, "latest_slot": 2, "every_slots": 4}, {0, 1}),  # twice: 2 and 6 would cross
    ({"duration_slots": 3, "latest_slot": 1, "every_slots": 3}, {0})])
def test_runs_never_cross_from_one_window_into_the_next(fleet: dict[str, Any], build: Build, new: New,
                                                        batch: dict[str, int], starts: set[int]) -> None:
    """Starts from which any of the runs would lie in two windows are left out, whatever the numbers of copies."""
    fleet["horizon"] = {"slot_minutes": 60, "periods": [
        {"start": "2026-11-02T00:00:00Z", "slots": 3, "stands_for_days": 1.0},
        {"start": "2026-12-02T00:00:00Z", "slots": 5, "stands_for_days": 1.0}]}
    fleet["workloads"] = [new("w", replicas=[1] * 8, batch=batch)]
    _, formulation = build(fleet)
    assert _starts(formulation) == starts
    v = formulation.problem.variants
    assert (np.diff(v.stream * 10_000 + v.copies * 100 + v.speed) >= 0).all()


def test_work_whose_runs_fit_no_window_has_no_option_and_is_told_why(fleet: dict[str, Any], build: Build,
                                                                     new: New) -> None:
    """Three slots in a row lie in none of the two windows of two."""
    fleet["horizon"] = {"slot_minutes": 60, "periods": [
        {"start": "2026-11-02T00:00:00Z", "slots": 2, "stands_for_days": 1.0},
        {"start": "2026-12-02T00:00:00Z", "slots": 2, "stands_for_days": 1.0}]}
    fleet["workloads"] = [new("w", batch={"duration_slots": 3, "latest_slot": 1})]
    assert "no run may cross from one of the 2 windows into the next" in " ".join(build(fleet)[1].rejections["w"])
