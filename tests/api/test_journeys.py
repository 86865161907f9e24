"""The journeys of people, and every mistake that is made on them: `docs/journeys.md` says what they are told, and each
line of it is said here by the program itself.

| journey | tests that walk it | its mistakes |
|---|---|---|
| 1 a first plan | `tests/examples/test_examples.py`, `tests/docs/test_site.py` (the tutorial) | here, `tests/scenario/test_mistakes.py` |
| 2 plans over HTTP | `test_plans_http.py`, `test_life_cycle_http.py`, in chromium `pages/test_pages.py` | here, `test_fuzz.py` |
| 3 what if | `tests/whatif/test_spike.py`, in chromium `pages/test_outcomes.py` | here, `tests/whatif/test_whatif.py` |
| 4 forecasts of many series | `tests/cli/test_forecast_batch.py`, in chromium `pages/test_outcomes.py` | here, `tests/forecasting/test_validate.py` |
| 5 capacity | `tests/capacity/test_capacity.py`, in chromium `pages/test_outcomes.py` | here |
| 6 profiles of new tasks | `tests/profiles/test_worked_examples.py`, `test_description.py` | here, `tests/profiles/test_tasks.py` |
| 7 a lost cluster | `test_directing_http.py`, `test_mending_http.py`, in chromium `pages/test_fleet.py` | here, `test_mending.py` |
| 8 diagnostics | `test_alarms_http.py`, `test_models_http.py`, in chromium `pages/test_diagnostics.py` | here |
"""  # noqa: E501 - a table

import csv
import json
import re
import shlex
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from math import pi, sin
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
import yaml

from diagnostics.store import ModelStore, NewVersion
from planner.cli import run
from planner.plan import Plan

Json = dict[str, Any]
Told = dict[str, str]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "journeys.md"
BEGIN = datetime(2026, 8, 31, tzinfo=UTC)
NINE_WEEKS = 9 * 168


def promised(journey: int) -> dict[str, list[str]]:
    """Mistakes of a journey, and what the page says that people are told: every part of it in code."""
    part = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[journey]
    rows = re.findall(r"^\| (.+?) \| (.*`.*) \|$", part, re.MULTILINE)
    return {mistake: re.findall(r"`([^`]+)`", words) for mistake, words in rows}


def command(journey: int) -> list[str]:
    """The first command of a journey as the page prints it, without the program."""
    part = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[journey]
    printed = re.search(r"^    planner (.+)$", part, re.MULTILINE)
    assert printed
    return shlex.split(printed[1])


def check(journey: int, told: Told) -> None:
    """Every mistake on the page was made, none is missing there, and the words are those of the page."""
    wanted = promised(journey)
    assert set(told) == set(wanted)
    for mistake, words in wanted.items():
        said = " ".join(re.sub("[│┃]", " ", told[mistake]).split())
        for one in words:
            assert one in said, (mistake, said)


class Terminal:
    """A folder, and what commands in it say."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def says(self, status: int, *words: str) -> str:
        """What a command says that ends so."""
        self.capsys.readouterr()
        ended, shown = run(list(words)), self.capsys.readouterr()
        assert ended == status, (words, shown)
        assert status != 2 or len(shown.err.splitlines()) == 1
        return shown.out + shown.err

    def scenario(self, name: str, content: Json | str) -> str:
        """Name of a folder with a scenario."""
        Path(name).mkdir()
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        Path(name, "scenario.yaml").write_text(text)
        return name


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal in an empty folder; as wide as its lines are long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return Terminal(tmp_path, capsys)


def changed(scenario: Json, change: Callable[[Json], object]) -> Json:
    copy = deepcopy(scenario)
    change(copy)
    return copy


@pytest.fixture
def shop(tiny: Json) -> Json:
    """Three clusters and one workload, which survives the loss of any of them."""
    third = changed(tiny["clusters"][0], lambda one: one.update(name="spare", region="eu-north-1"))
    third["pools"][0]["offers"][0]["price_usd_per_hour"] = 3.0
    return tiny | {"survive": "cluster", "clusters": [*tiny["clusters"], third], "workloads": tiny["workloads"][:1]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, serve_long: Any) -> Any:
    """A service whose clusters may be lost."""
    return serve_long(tmp_path_factory.mktemp("journeys") / "data")


def test_a_first_plan(terminal: Terminal, shop: Json) -> None:
    """Seven mistakes in a scenario or in where it is: one line each, which says how to mend it."""
    def region(scenario: Json) -> None:
        scenario["clusters"][0].update(provider="azure", region="west-europe")
        del scenario["clusters"][0]["country"]

    scenario = terminal.scenario("good", shop)
    says = terminal.says
    check(1, {
        "a path that is wrong": says(2, "plan", "nowhere"),
        "an empty file": says(2, "plan", terminal.scenario("empty", "")),
        "tabs in YAML": says(2, "plan", terminal.scenario("tabs", "name: x\nhorizon:\n\tslots: 3\n")),
        "no budget": says(2, "plan", scenario, "--mode", "max_sla"),
        "`99.9` for `0.999`": says(2, "plan", terminal.scenario("nines", changed(
            shop, lambda it: it["clusters"][0].update(availability=99.9)))),
        "an unknown region": says(2, "plan", terminal.scenario("region", changed(shop, region))),
        "two workloads of one name": says(2, "plan", terminal.scenario("twice", changed(
            shop, lambda it: it["workloads"].append(it["workloads"][0])))),
    })


def test_plans_over_http(service: Any, tiny: Json) -> None:
    """Mistakes are problems, a budget that pays for nothing is a plan that says so, a repeated request is one plan."""
    def owned(scenario: Json) -> None:
        scenario["objective"] = {"mode": "max_sla", "budget_usd": 0.5}
        scenario["clusters"][0]["pools"][0]["offers"] = [
            {"purchase": "owned", "price_usd_per_hour": 1.0, "owned": 1, "max": 1}]

    negative = changed(tiny, lambda it: it["workloads"][0]["request"].update(vcpu=-4))
    small = service.ask({"scenario": changed(tiny, owned)})
    huge = service.http.post("/v1/plans", content=b" " * 33554433, headers={"Content-Type": "application/json"})
    first, again = (service.ask({"scenario": tiny}, **{"Idempotency-Key": "same"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    other = service.ask({"scenario": tiny | {"name": "other"}}, **{"Idempotency-Key": "same"})
    made = service.ended(small.json()["id"])
    assert (made["status"], made["plan"]["status"]) == ("infeasible", "infeasible")
    check(2, {
        "fields of both modes": service.ask({"scenario": tiny, "mode": "min_cost", "budget_usd": 5}).json()["detail"],
        "a CPU below zero": service.ask({"scenario": negative}).json()["detail"],
        "a body that is too long": huge.json()["detail"],
        "a budget that is too small": json.dumps([made["plan"]["conflict"], made["plan"]["relaxations"]]),
        "the same key with another request": other.json()["detail"],
    })


def test_what_if(terminal: Terminal, shop: Json) -> None:
    """Selectors that match nothing, amounts of nobody knows what, no cluster left, and a plan of another scenario."""
    scenario = terminal.scenario("good", shop)
    dearer = terminal.scenario("dearer", changed(
        shop, lambda it: it["clusters"][0]["pools"][0]["offers"][0].update(price_usd_per_hour=1.5)))
    terminal.says(0, "plan", scenario, "--solver", "highs", "-o", "plan.json")
    against = ["--against", "plan.json"]
    check(3, {
        "a pattern that matches nothing": terminal.says(
            2, "what-if", scenario, "--remove-cluster", "azure-*", *against),
        "`+40` for `+40%`": terminal.says(2, "what-if", scenario, "--demand", "etl:+40", *against),
        "every cluster removed": terminal.says(2, "what-if", scenario, "--remove-cluster", "*", *against),
        "a plan of a fleet that has changed": terminal.says(0, "what-if", dearer, "--demand", "all:x2", *against),
    })


def demand(hours: Iterator[tuple[str, float, float]]) -> list[tuple[str, str, float]]:
    """Rows of a history: time, workload, value."""
    return [(f"{BEGIN + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ}", name, value) for name, at, value in hours]


def written(name: str, header: str, rows: list[tuple[Any, ...]]) -> str:
    """Name of a CSV file."""
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return name


def test_forecasts(terminal: Terminal) -> None:
    """What is wrong with a series is told by its name, others are forecast; what is wrong with all is a line."""
    def wave(hour: int) -> float:
        return round(100 + 30 * sin(hour * pi / 12) + hour * 7919 % 11 / 5, 2)

    hours = range(21 * 24)
    rows = demand(iter([
        *(("good", at, wave(at)) for at in hours),
        *(("holes", at if at < 200 else at + 150, wave(at)) for at in hours),
        *(("double", 49 if at == 50 else at, wave(at)) for at in hours),
        *(("uneven", at if at < 250 else 250 + (at - 250) / 2, wave(at)) for at in hours),
        *(("young", at, wave(at)) for at in hours[-5:]),
        *(("none", at, 0) for at in hours),
        *(("moved", at, wave(at) * (1 + 2 * (at >= 21 * 24 - 120))) for at in hours),
        *(("wild", at, 1e12 if at == 300 else wave(at)) for at in hours)]))
    history = written("history.csv", "ts,workload,value", rows)
    good = [row for row in rows if row[1] == "good"]
    naive = written("naive.csv", "ts,workload,value", [(at.removesuffix("Z"), name, value) for at, name, value in good])
    said = terminal.says(0, "forecast", history, "--horizon", "24h")
    old = demand(("old", at, wave(at)) for at in range(-150 * 24, 21 * 24))
    written("rows.csv", "ts,workload,value", [*good, *old])
    pd.read_csv("rows.csv", parse_dates=["ts"]).to_parquet("history.parquet", index=False)
    far = terminal.says(0, *command(4))
    scores = pd.read_parquet("forecast.backtest.parquet")
    assert set(scores.loc[scores["wql"].notna(), "unique_id"]) == {"old"}
    assert "Back-test of 1 of 2 series" in far
    lines = {name: line for line in said.splitlines() if (name := line.partition(": ")[2].partition(":")[0])}
    check(4, {
        "gaps": lines["holes"], "one time twice": lines["double"], "steps of two lengths": lines["uneven"],
        "five points": lines["young"], "nothing but zeros": lines["none"], "a value of `1e12`": lines["wild"],
        "another level in the last week": lines["moved"], "a horizon longer than the history": far,
        "times without a zone": terminal.says(2, "forecast", naive),
        "columns of other names": terminal.says(2, "forecast", written("names.csv", "when,workload,value", good)),
    })


def fleet() -> Json:
    """Own machines of which nobody says how long an order takes, and a cloud with machines committed to."""
    def pool(name: str, offers: list[Json]) -> Json:
        return {"name": name, "machine": {"name": "m8", "vcpu": 8, "memory_gib": 32}, "max": 40, "offers": offers}

    def work(name: str, pin: str) -> Json:
        return {"name": name, "kind": "serving", "request": {"vcpu": 4, "memory_gib": 8}, "clusters": {"pin": pin},
                "replicas": {"history": {"file": "history.csv", "metric": name, "per_replica": 10}}}

    committed = {"purchase": "committed", "price_usd_per_hour": 0.2, "max": 20, "owned": 2}
    return {"name": "f", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 24, "slot_minutes": 60},
            "objective": {"mode": "min_cost"},
            "clusters": [
                {"name": "hall", "provider": "onprem", "region": "here", "country": "DE", "pools": [
                    pool("own", [{"purchase": "owned", "price_usd_per_hour": 0.1, "owned": 12}])]},
                {"name": "cloud", "provider": "aws", "region": "us-east-1", "country": "US", "pools": [
                    pool("vm", [{"purchase": "on_demand", "price_usd_per_hour": 0.4}, committed])]}],
            "workloads": [work("web", "hall/own"), work("jobs", "cloud")]}


def test_capacity(terminal: Terminal) -> None:
    """Lead times nobody stated are named, bills in other money and GPUs of no list are refused, what is owned is not
    bought again.
    """
    rows = [(f"{datetime(2026, 9, 7, tzinfo=UTC) + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ}", *[
        round(100 + 40 * sin(at * pi / 12) + at * 7919 % 13, 2)] * 2) for at in range(8 * 168)]
    folder = terminal.scenario("fleet", fleet())
    written(f"{folder}/history.csv", "ts,web,jobs", rows)
    asked = ["capacity", folder, "--horizon", "60d"]
    (bought,) = json.loads(terminal.says(0, *asked, "--json"))["commitments"]
    assert bought["owned"] == 2
    lead = terminal.says(0, *asked)

    def again(change: Callable[[Json], object], status: int) -> str:
        scenario = changed(fleet(), lambda it: change(it["clusters"][1]["pools"][0]))
        Path(folder, "scenario.yaml").write_text(yaml.safe_dump(scenario))
        return terminal.says(status, *asked, "--json")

    more = json.loads(again(lambda pool: pool["offers"][1].update(owned=2 + int(bought["buy"])), 0))
    assert more["commitments"] == [] or more["commitments"][0]["buy"] == 0
    reserved = [{"purchase": "committed", "max": 3}]
    bill = written("bill.csv", "ChargePeriodStart,ChargePeriodEnd,BillingCurrency,ChargeCategory,EffectiveCost", [
        ("2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", currency, "Usage", 5) for currency in ("USD", "EUR")])
    check(5, {
        "the lead time of own machines left out": lead,
        "two currencies in a bill": terminal.says(2, "import", "focus", bill, "-o", "billed"),
        "a commitment that is owned already": lead,
        "reserved GPUs that no price list has": again(
            lambda pool: pool.update(machine="p5.48xlarge", offers=reserved), 2),
        "a machine that no catalog has": again(lambda pool: pool.update(machine="p5.47xlarge"), 2),
    })


def test_profiles(service: Any) -> None:
    """Amounts in words are read, schemas as text too; what is not known or cannot be is told with what would do."""
    def ask(status: int, kind: str, **task: Any) -> str:
        answer = service.http.post("/v1/profiles/predict", json={"kind": kind, "task": task})
        assert answer.status_code == status, answer.text
        return answer.text if status == 200 else str(answer.json()["detail"])

    def history(rows: list[Json] | None, **more: str) -> str:
        known = ({} if rows is None else {"rows": rows}) | more
        answer = service.http.post("/v1/profiles/predict", json={"kind": "serving", "history": known},
                                   timeout=180)
        assert answer.status_code == 422, answer.text
        return str(answer.json()["detail"])

    claims = "CREATE TABLE claims (id BIGINT, name VARCHAR(80), amount DECIMAL(9,2))"
    check(6, {
        '`rows: "400M"`': ask(422, "training", data={"rows": "400M"}, model="unknown", cadence="daily"),
        "an unknown kind": ask(422, "trainng"),
        "nothing that says how much": ask(422, "training"),
        "a latency of 0 ms": ask(422, "serving", latency_ms=0, requests_per_s=10),
        "a schema as SQL text": ask(200, "etl", volume_gb=500, source_schema=claims),
        "a day of history": history([{"ts": f"2026-11-02T{hour:02d}:00:00Z", "value": 40} for hour in range(24)]),
        "a history whose times have no zone": history([{"ts": "2026-11-02T00:00:00", "value": 40}]),
        "a file in a request": history(None, file="past.csv"),
    })


def test_a_lost_cluster(terminal: Terminal, service: Any, shop: Json, document: Callable[..., Plan]) -> None:
    """Names that are not known, everything lost, a cluster that flaps, a second loss, and a part of a cluster."""
    scenario = terminal.scenario("good", shop)
    terminal.says(0, "plan", scenario, "--solver", "highs", "-o", "plan.json")
    replan = ["replan", scenario, "plan.json", "--down"]
    terminal.says(0, *replan, "cheap", "-o", "second.json")
    later = terminal.says(0, "replan", scenario, "second.json", "--waves-done", "0", "--down", "dear", "-o", "3.json")
    back = terminal.says(0, "replan", scenario, "3.json", "--restore", "cheap", "--restore", "dear")

    service.withdraw()
    assert service.step(service.hold(document()), "in-force").status_code == 200
    health = "/v1/clusters/{}/health"

    def report(cluster: str, state: str) -> Any:
        return service.http.put(health.format(cluster), json={"state": state, "by": "probe", "source": "eu"})

    unknown = report("chaep", "down")
    assert unknown.status_code == 404
    flapping = [report("cheap", state).text for state in ("down", "up", "down", "up")][-1]
    report("dear", "down")
    nowhere = service.http.get("/v1/direct/a")
    assert nowhere.status_code == 503
    service.withdraw()
    check(7, {
        "an unknown cluster": terminal.says(2, *replan, "chaep"),
        "an unknown cluster, over HTTP": unknown.json()["detail"],
        "every cluster lost": terminal.says(2, *replan, "cheap", "--down", "dear", "--down", "spare"),
        "every cluster lost, asked where a request goes": nowhere.json()["detail"],
        "a cluster that flaps": flapping,
        "a second loss before the first is mended": later,
        "a loss reported twice": terminal.says(0, "replan", scenario, "second.json", "--down", "cheap"),
        "a part of a cluster": terminal.says(2, *replan, "cheap/eu-west-1a"),
        "all of it back": back,
    })


def test_diagnostics(terminal: Terminal) -> None:
    """Telemetry of every bad kind is diagnosed with a word about it; models that are not there are named."""
    noise = Random(5)

    def wave(hour: int) -> float:
        return round(50 + 10 * sin(hour * pi / 12) + noise.gauss(), 3)

    weeks = range(NINE_WEEKS)
    series: list[tuple[str, str, range | list[int], Callable[[int], float | str], str]] = [
        ("calm", "cpu", weeks, wave, "true"), ("new", "cpu", weeks[-168:], wave, "true"),
        ("private", "cpu", weeks, wave, "false"), ("holes", "cpu", weeks, wave, "true"),
        ("holes", "disk", weeks, lambda _: "NaN", "true"),
        ("ahead", "cpu", [*weeks[:-120], *weeks[-2:]], wave, "true"), ("flat", "queue", weeks, lambda _: 0, "true"),
        ("flat", "balance", weeks, lambda at: -wave(at), "true")]
    rows = [(name, "nvme", metric, f"{BEGIN + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ}", value(at), agrees)
            for name, metric, hours, value, agrees in series for at in hours]
    telemetry = written("telemetry.csv", "cluster,hardware_class,metric,ts,value,telemetry_opt_in", rows)
    said = terminal.says(0, "diagnose", telemetry)
    alone = written("new.csv", "cluster,hardware_class,metric,ts,value", [row[:5] for row in rows if row[0] == "new"])
    store = ModelStore(Path("models"))
    version = store.register(NewVersion("nvme", "0" * 64, "rows", "code", "0" * 64, {}, {"relative_error": 0.1}),
                             b"model", "ann", "made")
    store.promote(version.id, None, "ann", "the first")
    store.close()
    rollback = ["models", "rollback", "nvme", "--why", "floods us"]
    job = ("j1", "etl", "a", "2026-11-01T00:00:00Z", "", "", "pending", "401 Unauthorized: token")
    stuck = written("jobs.csv", "job,workload,cluster,submitted,started,finished,state,reason", [job])
    check(8, {
        "no model for the hardware": terminal.says(1, "models", "which", "quantum"),
        "the first week": terminal.says(0, "diagnose", alone),
        "a cluster that did not agree": said, "metrics that are `NaN`": said, "a clock that is ahead": said,
        "a metric that is always 0, one below 0": next(
            line for line in said.splitlines() if "flat" in line),
        "nothing to roll back to": terminal.says(1, *rollback),
        "a version that is typed wrong": terminal.says(2, *rollback, "--to", f"{version.id[:8]}zz"),
        "a job that waits for ever": terminal.says(1, "jobs", "stuck", stuck, "--at", "2026-11-02T00:00:00Z"),
    })
