"""Shares are met, keys stay, what is lost is not chosen, and nobody waits."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.directing import (
    Director,
    NoClusterError,
    NotInForceError,
    Report,
    UnknownClusterError,
    UnknownRegionError,
    UnknownWorkloadError,
)
from planner.plan import PlanHorizon, PlanPeriod

START = datetime(2026, 11, 2, tzinfo=UTC)
DOWN, UP = Report("down", by="probe"), Report("up", by="probe")
KEYS = [f"customer-{number}" for number in range(8_000)]
SIGMAS = 4.5

weights = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6)


def shares_of(raw: list[float]) -> list[float]:
    return [value / sum(raw) for value in raw]


def places(shares: list[float]) -> list[Any]:
    """One place a share, on clusters a, b, c, ..."""
    return [(name, share, {}) for name, share in zip("abcdef", shares, strict=False)]


def by_key(director: Director, workload: str = "web") -> dict[str, str]:
    return {key: director.direct(workload, key=key).cluster for key in KEYS}


@given(raw=weights, calls=st.integers(1, 3000), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_turns_meet_the_shares(routes: Any, raw: list[float], calls: int, seed: int) -> None:
    """After any number of calls every cluster has had its share of them within a few calls."""
    shares = shares_of(raw)
    director = Director(routes({"web": places(shares)}), clock=START.timestamp, seed=seed)
    got = Counter(director.direct("web").cluster for _ in range(calls))
    for name, share in zip("abcdef", shares, strict=False):
        assert abs(got[name] - share * calls) <= 12


@given(raw=weights)
@settings(deadline=None, max_examples=20, derandomize=True)
def test_keys_meet_the_shares(routes: Any, raw: list[float]) -> None:
    """Keys are spread by the shares within the error of sampling that many keys and 2^16 buckets."""
    shares = shares_of(raw)
    got = Counter(by_key(Director(routes({"web": places(shares)}), clock=START.timestamp)).values())
    for name, share in zip("abcdef", shares, strict=False):
        sigma = sqrt(share * (1 - share) * (1 / len(KEYS) + 1 / 2**16))
        assert abs(got[name] / len(KEYS) - share) <= SIGMAS * sigma + 1e-9


@given(raw=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=6), data=st.data())
@settings(deadline=None, max_examples=15, derandomize=True)
def test_few_keys_move(routes: Any, raw: list[float], data: st.DataObject) -> None:
    """When a cluster is lost only its keys move; when a share grows keys only move there, no more than it grew by."""
    shares, lost = shares_of(raw), data.draw(st.sampled_from("abcdef"[: len(raw)]))
    director = Director(routes({"web": places(shares)}), clock=START.timestamp)
    before = by_key(director)
    grown = [share * (2 if name == lost else 1) for name, share in zip("abcdef", shares, strict=False)]
    director.follow(routes({"web": places(shares_of(grown))}))
    after = by_key(director)
    moved = {after[key] for key in KEYS if before[key] != after[key]}
    assert moved <= {lost}
    more = shares_of(grown)["abcdef".index(lost)] - shares["abcdef".index(lost)]
    assert sum(before[key] != after[key] for key in KEYS) / len(KEYS) <= more + SIGMAS * 0.5 / sqrt(len(KEYS))
    director.follow(routes({"web": places(shares)}))
    director.report(lost, DOWN)
    after = by_key(director)
    assert all(after[key] == before[key] for key in KEYS if before[key] != lost)
    assert lost not in after.values()


def test_a_fallback_takes_over_at_once(routes: Any) -> None:
    """What a lost cluster had goes where the plan says, all of it and nothing else, and home once the hold is over."""
    made = routes({"web": [("a", 0.6, {"a": "c"}), ("b", 0.4, {"b": "a"})]})
    now = [START.timestamp()]
    director = Director(made, clock=lambda: now[0])
    before = by_key(director)
    director.report("a", DOWN)
    moved = {before[key]: cluster for key, cluster in by_key(director).items()}
    assert moved == {"a": "c", "b": "b"}
    turns = Counter((found.cluster, found.home) for found in (director.direct("web") for _ in range(1000)))
    assert abs(turns["c", "a"] - 600) <= 5
    assert abs(turns["b", "b"] - 400) <= 5
    director.report("a", UP)
    now[0] += 59
    assert "a" not in by_key(director).values()
    now[0] += 2
    assert by_key(director) == before


@pytest.mark.parametrize(
    ("lost", "goes"), [(["a"], "b"), (["a", "b"], "c"), (["a", "b", "c"], "d"), (["a", "c", "d"], "b")]
)
def test_fallbacks_from_the_narrowest_loss_to_the_widest(routes: Any, lost: list[str], goes: str) -> None:
    """Where the fallback for a cluster is lost too, the one for its region counts, then the one for its provider."""
    director = Director(routes({"web": [("a", 1.0, {"p": "d", "p/a": "c", "a": "b"})]}), clock=START.timestamp)
    for cluster in lost:
        director.report(cluster, DOWN)
    assert director.direct("web").cluster == goes


def test_what_has_no_fallback_goes_to_the_others(routes: Any) -> None:
    """Copies without fallbacks take over from each other; with none left the error names what is lost."""
    director = Director(routes({"web": [(name, 1 / 3, {}) for name in "abc"]}), clock=START.timestamp)
    director.report("b", DOWN)
    got = Counter(director.direct("web").cluster for _ in range(1000))
    assert abs(got["a"] - 500) <= 5
    assert abs(got["c"] - 500) <= 5
    director.report("a", DOWN)
    director.report("c", DOWN)
    for key in (None, "k"):
        with pytest.raises(NoClusterError, match="all of a, b, c are lost"):
            director.direct("web", key=key)


def test_a_part_that_takes_nothing_now_still_takes_over(routes: Any) -> None:
    """Where only a part with no share in this slot is left, it takes everything rather than nobody."""
    director = Director(routes({"web": [("a", 1.0, {}), ("b", 0.0, {})]}), clock=START.timestamp)
    assert {director.direct("web").cluster for _ in range(100)} == {"a"}
    director.report("a", DOWN)
    assert {director.direct("web", key=key).cluster for key in (None, "k")} == {"b"}


@given(lost=st.sets(st.sampled_from("abcdef")), seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None, max_examples=80, derandomize=True)
def test_never_a_lost_cluster(routes: Any, lost: set[str], seed: int, data: st.DataObject) -> None:
    """Whatever is lost and whatever the fallbacks, no call is answered with a lost cluster."""
    cluster = st.sampled_from("abcdef")
    units = st.tuples(cluster, st.floats(0, 1), st.dictionaries(st.sampled_from([*"abcdef", "p"]), cluster))
    director = Director(routes({"web": data.draw(st.lists(units, min_size=1, max_size=4))}), clock=START.timestamp,
                        seed=seed)  # fmt: skip
    for name in sorted(lost):
        director.report(name, DOWN)
    for key in (*[None] * 50, *KEYS[:50]):
        try:
            assert director.direct("web", key=key).cluster not in lost
        except NoClusterError:
            assert lost


def test_a_reported_loss_holds_for_every_thread_at_once(routes: Any) -> None:
    """Calls that begin after a report has returned never get the lost cluster, with others calling all the time."""
    director = Director(_now(routes({"web": places([1 / 6] * 6)})))
    lost, wrong, stop = list[str](), list[str](), threading.Event()

    def call() -> None:
        while not stop.is_set():
            known = tuple(lost)
            found = director.direct("web").cluster
            if found in known:
                wrong.append(found)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for cluster in "abcde":
        director.report(cluster, DOWN)
        lost.append(cluster)
        stop.wait(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert director.direct("web").cluster == "f"


def _now(routes: Any) -> Any:
    """The same routes, in force now."""
    start = datetime.now(UTC) - timedelta(minutes=5)
    return routes.model_copy(update={"horizon": PlanHorizon(start=start, slots=24, slot_minutes=60)})


def test_regions(routes: Any) -> None:
    """Users go where their region's stream is; without a region all streams share; other regions are named."""
    made = routes({
        "web": {("aws/eu-west-1", 0.75): [("a", 1.0, {})], ("aws/us-east-1", 0.25): [("b", 1.0, {})]},
        "etl": [("c", 1.0, {})],
    })  # fmt: skip
    director = Director(made, clock=START.timestamp)
    assert director.direct("web", "aws/eu-west-1").cluster == "a"
    assert director.direct("web", "aws/us-east-1", key="x").cluster == "b"
    got = Counter(director.direct("web").cluster for _ in range(1000))
    assert abs(got["a"] - 750) <= 5
    assert director.direct("etl", "gcp/anywhere").cluster == "c"
    with pytest.raises(UnknownRegionError, match="'aws/eu-west-1'"):
        director.direct("web", "aws/eu-west-2")
    for number in range(1000):
        director.direct("etl", f"gcp/{number}")
    assert len(director._now.ways["etl"]) == 1


def test_shares_follow_the_slot(routes: Any) -> None:
    """Each slot has its own shares; the last one holds for a day past the end, then the plan is too old."""
    now = [START.timestamp()]
    made = routes({"web": [("a", (1.0, 0.5), {}), ("b", (0.0, 0.5), {})]}, slots=2)
    director = Director(made, clock=lambda: now[0])
    assert {director.direct("web").cluster for _ in range(100)} == {"a"}
    for later in (3600, 2 * 3600, 2 * 3600 + 86_399):
        now[0] = START.timestamp() + later
        assert abs(Counter(director.direct("web").cluster for _ in range(100))["a"] - 50) <= 3
    for outside in (2 * 3600 + 86_400, -1):
        now[0] = START.timestamp() + outside
        with pytest.raises(NotInForceError, match="from 2026-11-02T00:00:00Z to 2026-11-02T02:00:00Z"):
            Director(made, clock=lambda: now[0]).direct("web")


def test_a_plan_that_ends_while_directing(routes: Any) -> None:
    """A director that runs on past the end and the grace of its plan refuses, until it follows another."""
    now = [START.timestamp()]
    director = Director(routes({"web": [("a", 1.0, {})]}), clock=lambda: now[0], grace_s=0)
    director.direct("web")
    now[0] += 24 * 3600
    with pytest.raises(NotInForceError):
        director.direct("web")
    later = PlanHorizon(start=START + timedelta(days=1), slots=1)
    director.follow(director.routes[0].model_copy(update={"horizon": later}))
    assert director.direct("web").cluster == "a"


def test_slots_of_several_windows() -> None:
    """The slot of a moment is the last that has begun, through windows and the gaps between them."""
    windows = (PlanPeriod(start=START, slots=2, stands_for_days=300),
               PlanPeriod(start=START + timedelta(days=7), slots=3, stands_for_days=65))  # fmt: skip
    horizon = PlanHorizon(start=START, slots=5, slot_minutes=60, periods=windows)
    hours = {-1: None, 0: 0, 1: 1, 2: 1, 100: 1, 7 * 24: 2, 7 * 24 + 2: 4, 7 * 24 + 9: 4}
    assert {hour: horizon.slot_at(START + timedelta(hours=hour)) for hour in hours} == hours
    assert PlanHorizon().slot_at(START) is None


def test_what_is_not_known_is_named(routes: Any) -> None:
    """Unknown workloads and clusters are named with the nearest, and a workload that the plan left out says so."""
    director = Director(routes({"web": [("a", 1.0, {})]}, unplaced=("etl",)), clock=START.timestamp)
    with pytest.raises(UnknownWorkloadError, match=r"wep: not in the plan in force; 'web'\?"):
        director.direct("wep")
    with pytest.raises(UnknownWorkloadError, match="places it nowhere"):
        director.direct("etl")
    for call in (lambda: director.report("z", DOWN), lambda: director.health("z")):
        with pytest.raises(UnknownClusterError, match="cluster: z: not known"):
            call()


def test_the_same_everywhere(routes: Any) -> None:
    """Keys go to the same cluster in every process: the figures below never change."""
    director = Director(routes({"web": [("a", 0.5, {}), ("b", 0.3, {}), ("c", 0.2, {})]}), clock=START.timestamp)
    assert "".join(director.direct("web", key=key).cluster for key in KEYS[:24]) == "ccaacaababccabaaabbabaac"
    assert director.direct("web", key="\ud800").cluster in "abc"


def test_plans_of_several_scenarios(routes: Any, clock: Any) -> None:
    """Each workload goes by its own plan, its slots and fallbacks; a cluster of both is one, a loss counts for both.
    A plan that is over refuses its own workloads only, and without plans every request is refused.
    """
    by_slot = routes({"web": [("a", tuple([1.0] + [0.0] * 23), {"a": "b"}), ("c", tuple([0.0] + [1.0] * 23), {})]})
    short = routes({"etl": [("a", 1.0, {"a": "d"})]}, slots=1, clusters="adz").model_copy(update={"plan_id": "1" * 64})
    director = Director(by_slot, short, clock=clock, grace_s=0)

    def found(workload: str) -> tuple[str, str]:
        direction = director.direct(workload)
        return direction.cluster, direction.plan_id[0]

    assert (found("web"), found("etl")) == (("a", "0"), ("a", "1"))
    assert director.clusters == set("abcdefz")
    director.report("a", DOWN)
    assert (found("web"), found("etl"), director.lost) == (("b", "0"), ("d", "1"), {"a"})
    clock.now += 3600
    assert found("web") == ("c", "0")
    with pytest.raises(NotInForceError, match="to 2026-11-02T01:00:00Z"):
        director.direct("etl")
    with pytest.raises(UnknownWorkloadError, match=r"wep: not in any plan in force; 'web'\?"):
        director.direct("wep")
    director.follow(short)
    with pytest.raises(UnknownClusterError):
        director.health("b")
    director.follow()
    with pytest.raises(UnknownWorkloadError, match="web: not in any plan in force"):
        director.direct("web")
    director.follow(by_slot)
    assert (found("web"), director.lost) == (("c", "0"), {"a"})
