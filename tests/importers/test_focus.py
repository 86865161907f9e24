"""A bill becomes what ran at what it cost: commitments once, discounts found, nothing of another currency."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
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


def _renamed(rows: Rows, old: str, new: str) -> None:
    for row in rows:
        row[new] = row.pop(old)


def _added(**fields: str) -> Callable[[Rows], object]:
    return lambda rows: [row.update(fields) for row in rows]


def _without_details(rows: Rows) -> None:
    for row in rows:
        row["x_InstanceType"] = json.loads(row.pop("SkuPriceDetails") or "{}").get("InstanceType", "")


VERSIONS = {
    "1.0, before SkuPriceDetails": _without_details,
    "1.1, with what it added": _added(CapacityReservationId="", CapacityReservationStatus="",
                                      CommitmentDiscountQuantity="1", CommitmentDiscountUnit="Hours", SkuMeter="Box"),
    "1.2, priced in another currency than billed": _added(PricingCurrency="EUR", PricingCurrencyEffectiveCost="999",
                                                          InvoiceId="i-1", BillingAccountType="Account"),
    "1.3, which renamed the provider": lambda rows: _renamed(rows, "ProviderName", "ServiceProviderName"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_gives_the_same(draft_of: Callable[..., Draft], version: str) -> None:
    """Columns that a version of FOCUS lacks, adds or renames change nothing of what the bill says."""
    first, found = draft_of(), draft_of(VERSIONS[version])
    assert (found.clusters, found.workloads, found.more, found.files) == (
        first.clusters, first.workloads, first.more, first.files)


def test_columns_of_nothing_are_as_if_they_were_not_there(samples: Samples, asked: Asked, tmp_path: Path) -> None:
    """A provider that fills a column with nulls, typed so in Parquet, is read: list prices and savings are unknown."""
    table = pyarrow.csv.read_csv(samples("focus")[0])
    names = ("ListCost", "ContractedCost", "CommitmentDiscountId", "CommitmentDiscountStatus", "Tags",
             "CommitmentDiscountCategory")
    nulls = table
    for name in names:
        nulls = nulls.set_column(nulls.column_names.index(name), name, pa.nulls(len(table)))
    pyarrow.parquet.write_table(nulls, tmp_path / "nulls.parquet")
    pyarrow.parquet.write_table(table.drop_columns(list(names)), tmp_path / "without.parquet")
    found, bare = (importer("focus")([str(tmp_path / name)], asked) for name in ("nulls.parquet", "without.parquet"))
    assert (found.clusters, found.workloads, found.files) == (bare.clusters, bare.workloads, bare.files)
    assert {work["owner"] for work in found.workloads} == {"prod"}
    assert "commitments" not in found.more


def test_credits_are_no_discount_of_machines(draft_of: Callable[..., Draft]) -> None:
    """A credit of 100 and a correction below zero leave every price as it is; calibration adds up to the bill with
    them.
    """
    def credit(rows: Rows) -> None:
        blank = dict.fromkeys(rows[0], "") | {name: rows[0][name] for name in (
            "ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "ProviderName", "RegionId")}
        rows.append(blank | {"ChargeCategory": "Credit", "EffectiveCost": "-100"})
        rows.append(rows[0] | {"ConsumedQuantity": "-3", "EffectiveCost": "-0.6", "ListCost": "-0.6",
                               "ContractedCost": "-0.6"})

    plain, found = draft_of(), draft_of(credit)
    assert (found.clusters, found.workloads, found.more) == (plain.clusters, plain.workloads, plain.more)

    def paid(draft: Draft) -> float:
        lines = csv.DictReader(draft.files["calibration.csv"].decode().splitlines())
        return sum(float(line["paid_usd"]) for line in lines)

    assert paid(found) == pytest.approx(paid(plain) - 100.6)


def test_what_a_commitment_costs_is_counted_once(draft_of: Callable[..., Draft]) -> None:
    """Offers and commitments of the scenario, over the bill's hours, cost what its machines did: used, unused, bought
    and covered rows are the same money, which is there once.
    """
    draft = draft_of()
    hours = draft.more["horizon"]["slots"]
    committed = [offer["price_usd_per_hour"] * offer["owned"] * hours for cluster in draft.clusters
                 for pool in cluster["pools"] for offer in pool["offers"] if offer["purchase"] == "committed"]
    spent = [one["owned"] * hours for one in draft.more["commitments"]]
    assert (sum(committed), sum(spent)) == (pytest.approx(2.88 + 2.88), pytest.approx(6 + 1.2))
