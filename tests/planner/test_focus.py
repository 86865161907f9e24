"""Bills in FOCUS: nothing counted twice, nothing outside the horizon, nothing in another currency."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planner.errors import InputError
from planner.focus import read_bill
from planner.scenario.model import Horizon

HORIZON = Horizon(start=datetime(2026, 11, 2, tzinfo=UTC), slots=48, slot_minutes=60)
COLUMNS = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd",
           "CommitmentDiscountId", "CommitmentDiscountStatus", "ProviderName")
DAY = ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")


def charge(billed: object, effective: object, category: str = "Usage", period: tuple[str, str] = DAY,
           **more: Any) -> dict[str, Any]:
    """One row of a bill."""
    row = dict.fromkeys(COLUMNS, "") | {
        "BilledCost": billed, "EffectiveCost": effective, "BillingCurrency": "USD", "ChargeCategory": category,
        "ChargePeriodStart": period[0], "ChargePeriodEnd": period[1], "ProviderName": "Amazon Web Services"}
    return row | more


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "focus.csv"
    lines = [",".join(rows[0]), *(",".join(str(cell) for cell in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_commitments_are_counted_once(tmp_path: Path) -> None:
    """Usage a commitment covers and what it left unused count; its purchase does not, though billed, zeroed or not."""
    bill = read_bill(write(
        tmp_path, charge(10, 10), charge(0, 6, CommitmentDiscountId="ri-1", CommitmentDiscountStatus="Used"),
        charge(0, 2, CommitmentDiscountId="ri-1", CommitmentDiscountStatus="Unused"),
        charge(3000, 0, "Purchase", CommitmentDiscountId="ri-1"),
        charge(8, 8, "Purchase", CommitmentDiscountId="sp-2"),
        charge(5, 5, "Purchase"), charge(2, 2, "Tax", ProviderName="Microsoft"), charge(-1, -1, "Credit")), HORIZON)
    assert bill.effective_usd == pytest.approx(24)
    assert bill.billed_usd == pytest.approx(3024)
    assert bill.by_category == pytest.approx({"Usage": 18, "Purchase": 5, "Tax": 2, "Credit": -1})
    assert bill.by_provider == pytest.approx({"aws": 22, "azure": 2})
    assert (bill.rows, bill.purchases, bill.outside, bill.cut) == (8, 2, 0, 0)


def test_charges_of_other_times_are_left_out(tmp_path: Path) -> None:
    """A charge counts for the share of its time that lies in the horizon; the end of its period is not part of it."""
    bill = read_bill(write(
        tmp_path, charge(10, 10), charge(7, 7, period=("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")),
        charge(9, 9, period=("2026-11-04T00:00:00Z", "2026-11-05T00:00:00Z")),
        charge(8, 8, period=("2026-11-03T12:00:00Z", "2026-11-04T12:00:00Z"))), HORIZON)
    assert bill.effective_usd == pytest.approx(10 + 4)
    assert (bill.rows, bill.outside, bill.cut) == (2, 2, 1)


def test_parquet_with_decimals(tmp_path: Path) -> None:
    """Decimals and times as clouds write them in Parquet (UTC without saying so) are read."""
    row = charge(1, 1)
    del row["CommitmentDiscountId"]
    path = tmp_path / "focus.parquet"
    begin, end = (datetime.fromisoformat(text).replace(tzinfo=None) for text in DAY)
    cost = pa.array(["1.25", "2.50"]).cast(pa.decimal128(20, 6))
    table = pa.table({name: [value] * 2 for name, value in row.items()})
    for name, values in (("EffectiveCost", cost), ("BilledCost", cost),
                         ("ChargePeriodStart", pa.array([begin] * 2, pa.timestamp("ms"))),
                         ("ChargePeriodEnd", pa.array([end] * 2, pa.timestamp("ms")))):
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path)
    assert read_bill(path, HORIZON).effective_usd == pytest.approx(3.75)


@pytest.mark.parametrize(("rows", "line"), [
    ([charge(1, 1), charge(1, 1, BillingCurrency="EUR")], "BillingCurrency: EUR, USD: plans are in USD"),
    ([charge(1, 1, BillingCurrency="EUR")], "BillingCurrency: EUR: plans are in USD"),
    ([charge(1, 1, "Usages")], "ChargeCategory: Usages: one of Usage, Purchase"),
    ([charge(1, "")], "EffectiveCost: 1 rows of the horizon without a number"),
    ([charge(1, 1, period=(DAY[0][:-1], DAY[1]))], "'2026-11-02T00:00:00' has no zone"),
    ([charge(1, 1, period=(DAY[1], DAY[0]))], "row 1: ChargePeriodEnd: not after ChargePeriodStart"),
    ([charge(1, 1, period=("2025-11-02T00:00:00Z", "2025-11-03T00:00:00Z"))], "no charge between 2026-11-02T00:00:00Z"),
    ([{"Cost": 1, "Date": "2026-11-02"}], "no column BilledCost, EffectiveCost")])
def test_mistakes_are_one_line(tmp_path: Path, rows: list[dict[str, Any]], line: str) -> None:
    """What is no FOCUS bill of the horizon in USD is refused in one line."""
    with pytest.raises(InputError) as caught:
        read_bill(write(tmp_path, *rows), HORIZON)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("focus.csv: ")
    assert line in caught.value.problems[0]
