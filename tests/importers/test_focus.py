"""A bill becomes what ran at what it cost: commitments once, discounts found, nothing of another currency."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml

from planner.cli import run
from planner.errors import InputError
from planner.importers import importer
from planner.importers.draft import Asked, Draft

Samples = Callable[[str], list[str]]
Rows = list[dict[str, str]]


@pytest.fixture
def draft_of(samples: Samples, asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft of the sample bill after an edit of its rows."""

    def make(edit: Callable[[Rows], object] = lambda _: None) -> Draft:
        with Path(samples("focus")[0]).open(newline="") as file:
            rows = list(csv.DictReader(file))
        edit(rows)
        with (tmp_path / "bill.csv").open("w", newline="") as out:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return importer("focus")([str(tmp_path / "bill.csv")], asked)

    return make


def offers(draft: Draft, cluster: int) -> dict[str, dict[str, Any]]:
    (pool,) = draft.clusters[cluster]["pools"]
    return {one["purchase"]: one for one in pool["offers"]}


def test_every_way_of_paying_is_an_offer(draft_of: Callable[..., Draft]) -> None:
    """On demand at the contract's 0.2 an hour, spot at what it cost; two reservations, one unused, at 0.12 each."""
    found = offers(draft_of(), 0)
    assert found["on_demand"]["price_usd_per_hour"] == 0.2
    assert found["spot"] == {"purchase": "spot", "price_usd_per_hour": 0.07, "max": 1}
    assert found["committed"] == {"purchase": "committed", "price_usd_per_hour": 0.12, "owned": 2}


def test_a_savings_plan_is_a_commitment_with_the_discount_that_it_gave(draft_of: Callable[..., Draft]) -> None:
    """6 of 9.216 USD were paid for what it covered, 7.2 in all: 0.3 an hour; its price is on demand's by contract."""
    draft = draft_of()
    assert draft.more["commitments"] == [{"name": "sp-9", "covers": ["aws-us-east-1/m6i.2xlarge"],
                                          "unit": "usd_per_hour", "discount": 0.3489583333, "owned": 0.3}]
    assert offers(draft, 1)["on_demand"]["price_usd_per_hour"] == 0.384


def test_buying_a_commitment_is_not_counted_again(draft_of: Callable[..., Draft]) -> None:
    """Whatever its purchase cost, the scenario is the same; calibration adds up to the bill without it."""
    dear = draft_of(lambda rows: [row.update(EffectiveCost="5000") for row in rows
                                  if row["ChargeCategory"] == "Purchase"])
    assert (dear.clusters, dear.workloads, dear.files) == (draft_of().clusters, draft_of().workloads, draft_of().files)
    lines = list(csv.DictReader(draft_of().files["calibration.csv"].decode().splitlines()))
    assert sum(float(line["paid_usd"]) for line in lines) == pytest.approx(9.6 + 2.88 + 2.88 + 0.84 + 6 + 1.2 + 3 + 5)


def test_machines_run_when_they_were_charged_for(draft_of: Callable[..., Draft]) -> None:
    """Owners by tag, else by account; daily charges spread over the day, hourly ones in their hour; spot apart."""
    needs = {one["name"].split("/aws-")[0]: (one["owner"], one["replicas"]) for one in draft_of().workloads}
    assert needs == {"shop/m6i.xlarge": ("shop", [3] * 24), "prod/m6i.2xlarge": ("prod", [1] * 24),
                     "prod/m6i.xlarge/spot": ("prod", [1] * 12 + [0] * 12)}


def test_parquet_is_read_too(samples: Samples, asked: Asked, tmp_path: Path) -> None:
    """The same bill in Parquet gives the same draft."""
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(samples("focus")[0]), tmp_path / "bill.parquet")
    again = importer("focus")([str(tmp_path / "bill.parquet")], asked)
    assert again.clusters == importer("focus")(samples("focus"), asked).clusters


def _set(field: str, value: str) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update({field: value})


@pytest.mark.parametrize(("edit", "line"), [
    (_set("BillingCurrency", "EUR"),
     "bill.csv: BillingCurrency: EUR, USD: plans are in USD: say what one is worth: --usd-per EUR=RATE"),
    (_set("ChargeCategory", "Usages"), "bill.csv: row 1: ChargeCategory: Usages: one of Usage, Purchase, Tax, Credit"),
    (_set("EffectiveCost", ""), "bill.csv: row 1: EffectiveCost: not a number: every charge has one"),
    (_set("ChargePeriodEnd", "2026-09-01T00:00:00Z"), "bill.csv: row 1: ChargePeriodEnd: not after ChargePeriodStart"),
    (lambda rows: [row.update(SkuPriceDetails="") for row in rows], "bill.csv: no machine hours: rows of usage with a"),
    (lambda rows: [row.pop("EffectiveCost") for row in rows], "bill.csv: no column EffectiveCost: a bill in FOCUS 1.0"),
])
def test_a_wrong_bill_is_told(draft_of: Callable[..., Draft], edit: Callable[[Rows], object], line: str) -> None:
    """File, row, column, value and what is allowed, in one line."""
    with pytest.raises(InputError) as error:
        draft_of(edit)
    assert str(error.value).startswith(line)


def test_a_region_nobody_knows_is_left_out_and_told(draft_of: Callable[..., Draft]) -> None:
    """No catalog says its country: the rest of the bill is planned."""
    draft = draft_of(lambda rows: [row.update(RegionId="mars-1") for row in rows if row["RegionId"] == "us-east-1"])
    assert len(draft.clusters) == 1
    assert any("aws/mars-1" in guess.line for guess in draft.guesses())


def test_other_currencies_count_at_the_rate_given(draft_of: Callable[..., Draft], samples: Samples, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The whole bill in euros at two dollars each costs twice as much, and the rate is told; a bad rate is refused."""
    usd = draft_of()

    def euros(rows: Rows) -> None:
        for row in rows:
            row["BillingCurrency"] = "EUR"

    with pytest.raises(InputError):
        draft_of(euros)
    command = ["import", "focus", str(tmp_path / "bill.csv"), "-o", str(tmp_path / "out")]
    assert run([*command, "--usd-per", "EUR=2"]) == 0
    assert "guessed: costs: EUR at USD 2: the rate given holds for the whole bill" in capsys.readouterr().out
    found = yaml.safe_load((tmp_path / "out" / "scenario.yaml").read_text())
    twice = [offer["price_usd_per_hour"] / 2 for pool in found["clusters"][0]["pools"] for offer in pool["offers"]]
    assert twice == [offer["price_usd_per_hour"] for pool in usd.clusters[0]["pools"] for offer in pool["offers"]]
    for wrong in ("EUR", "EUR=0", "euro=2", "USD=1", "EUR=nan"):
        assert run([*command, "--usd-per", wrong]) == 2
        assert f"--usd-per: '{wrong}': a currency's code" in capsys.readouterr().err
