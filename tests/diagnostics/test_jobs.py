"""Stuck jobs: found against their own history, with a likely cause."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.jobs import Job, JobsError, StuckSettings, find_stuck, read_jobs
from diagnostics.jobs.hints import Surroundings, hints

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def past(workload: str, runs: list[float], waits: float = 0.1, **more: object) -> list[Job]:
    """Finished runs of so many hours each, one a day."""
    found = []
    for number, length in enumerate(runs, 1):
        start = NOW - hours(24 * number + length)
        found.append(Job(f"{workload}-{number}", workload, "c", start - hours(waits), start, start + hours(length),
                         "succeeded", **more))
    return found


def running(workload: str, length: float, **more: object) -> Job:
    return Job(f"{workload}-now", workload, "c", NOW - hours(length), NOW - hours(length), None, "running", **more)


def pending(workload: str, length: float, **more: object) -> Job:
    return Job(f"{workload}-now", workload, "c", NOW - hours(length), **more)


def names(*jobs: Job) -> list[str]:
    return [one.job for one in find_stuck(jobs, NOW)]


def test_without_a_history_the_limits_for_all_hold() -> None:
    """Two hours of waiting and two days of running are the limits where nothing is known."""
    assert names(pending("a", 1.9), pending("b", 2.1), running("c", 47), running("d", 49)) == ["b-now", "d-now"]
    (found,) = find_stuck([running("d", 49)], NOW)
    assert (found.basis, found.chance, found.usual_hours) == ("0 earlier runs, so the limit for all", None, None)


def test_a_job_is_held_to_its_own_history() -> None:
    """Minutes become suspicious after an hour or so, three days are as usual for who always takes them."""
    short = past("short", [0.2, 0.25, 0.2, 0.3, 0.22, 0.2, 0.21, 0.24])
    long = past("long", [70, 72, 75, 71, 69, 72, 74, 73])
    assert names(*short, running("short", 1.5), *long, running("long", 76)) == ["short-now"]
    assert names(*short, running("short", 0.9)) == []
    assert names(*long, running("long", 150)) == ["long-now"]
    assert names(*past("queued", [1.0] * 8, waits=6), pending("queued", 5)) == []


def test_a_chance_is_a_share_of_past_runs() -> None:
    """One in nine when none of eight took as long."""
    (found,) = find_stuck([*past("w", [1.0] * 8), running("w", 9)], NOW)
    assert found.chance == round(1 / 9, 6)
    assert found.usual_hours == 1.0
    assert "w-now has been running for 9.0 h (usually 1.0 h)" in found.sentence


@pytest.mark.parametrize(("reason", "cause"), [
    ("0/5 nodes are available: 5 Insufficient nvidia.com/gpu.", "capacity"),
    ("0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "volume"),
    ('persistentvolumeclaim "scratch" not found', "volume"),
    ('pods "train" is forbidden: exceeded quota: team-gpu, requested: 8, used: 64, limited: 64', "quota"),
    ("Back-off pulling image: ImagePullBackOff", "image"),
    ("Failed to pull image: unauthorized: access denied", "image"),
    ("CreateContainerConfigError: secret db-login not found", "configuration"),
    ("GET /v1/runs: 401 Unauthorized, retrying", "credentials"),
    ("the API token has expired", "credentials"),
    ("InsufficientInstanceCapacity in us-east-1a", "capacity"),
    ("all is well", "unknown"),
    ("", "unknown"),
])  # fmt: skip
def test_what_the_scheduler_says_is_understood(reason: str, cause: str) -> None:
    """Words of Kubernetes and clouds lead to their cause, the special before the general."""
    found = hints(pending("a", 5, reason=reason), Surroundings({}, None, 0))
    assert found[0].cause == cause
    assert all(hint.remedy for hint in found)


def test_what_a_job_waits_for_is_named() -> None:
    """A job that waits for one that failed, runs or is not there says so; one that has succeeded is no cause."""
    failed = Job("in", "in", "c", NOW - hours(9), NOW - hours(9), NOW - hours(8), "failed")
    (found,) = find_stuck([failed, pending("a", 5, waits_for=("in",))], NOW)
    assert found.hints[0] == ("dependency", "waits for in, which has failed", "start in again")
    (found,) = find_stuck([pending("a", 5, waits_for=("gone",))], NOW)
    assert found.hints[0].evidence == "waits for gone, which is not in the table"
    done = Job("in", "in", "c", NOW - hours(9), NOW - hours(9), NOW - hours(8), "succeeded")
    (found,) = find_stuck([done, pending("a", 5, waits_for=("in",))], NOW)
    assert found.hints[0].cause == "unknown"


def test_what_a_job_waits_for_is_followed_to_its_root() -> None:
    """The job that failed is named through those that only wait for it."""
    failed = Job("in", "in", "c", NOW - hours(9), NOW - hours(9), NOW - hours(8), "failed")
    found = find_stuck([failed, pending("a", 5, waits_for=("in",)), pending("b", 5, waits_for=("a-now",))], NOW)
    assert {one.job: one.hints[0] for one in found}["b-now"] == (
        "dependency", "waits for a-now, which waits for in, which has failed", "start in again")


@given(st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_jobs_that_wait_for_each_other_are_named(size: int, before: int) -> None:
    """However long the circle is, and however far the way into it, every job says that it never ends."""
    ring = [pending(f"r{number}", 5, waits_for=(f"r{(number + 1) % size}-now",)) for number in range(size)]
    way = [pending(f"w{number}", 5, waits_for=(f"w{number + 1}-now" if number + 1 < before else "r0-now",))
           for number in range(before)]
    found = find_stuck([*ring, *way], NOW)
    assert len(found) == size + before
    assert {one.hints[0].cause for one in found} == {"circle"}


def test_slow_input_is_held_to_the_usual_pace() -> None:
    """A run that reads at a quarter of its usual pace has slow input; at nearly all of it, not."""
    earlier = past("w", [1.0] * 8, read_gb_per_h=100.0)
    (found,) = find_stuck([*earlier, running("w", 9, read_gb_per_h=25.0)], NOW)
    assert found.hints[0].cause == "slow input"
    assert found.hints[0].evidence == "reads 25 GB/h where 100 is usual"
    (found,) = find_stuck([*earlier, running("w", 9, read_gb_per_h=90.0)], NOW)
    assert found.hints[0].cause == "unknown"


def test_company_on_a_cluster_is_a_hint() -> None:
    """Three workloads that wait too long on one cluster point to its room."""
    found = find_stuck([pending("a", 5), pending("b", 5), pending("d", 5)], NOW)
    assert {one.hints[0].cause for one in found} == {"capacity"}
    assert find_stuck([pending("a", 5), pending("b", 5)], NOW)[0].hints[0].cause == "unknown"


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 200), min_size=0, max_size=30), st.floats(0, 400), st.floats(0.1, 50))
def test_who_is_stuck_stays_stuck_longer(runs: list[float], length: float, more: float) -> None:
    """A job that is stuck is still so when it has run longer, and one as long as an earlier run never is."""
    earlier = past("w", runs)
    if names(*earlier, running("w", length)):
        assert names(*earlier, running("w", length + more))
    if len(runs) >= 8:
        assert not names(*earlier, running("w", max(runs) * 0.999))


def test_the_future_does_not_count() -> None:
    """Rows from after the moment that is asked about change nothing."""
    earlier = past("w", [1.0] * 8)
    later = Job("z", "w", "c", NOW + hours(1), NOW + hours(2), NOW + hours(90), "succeeded")
    assert find_stuck([*earlier, later, running("w", 9)], NOW) == find_stuck([*earlier, running("w", 9)], NOW)


TABLE = """job,workload,cluster,submitted,started,finished,reason,waits_for,read_gb_per_h
a,etl,c,2026-11-01T00:00:00Z,2026-11-01T01:00:00+01:00,2026-11-01T02:00:00Z,,,12.5
b,etl,c,2026-11-01T03:00:00Z,,,no capacity,a x,
"""


def test_tables_are_read_as_they_are_meant(tmp_path: Path) -> None:
    """CSV and Parquet give the same jobs; states follow from times."""
    import pandas as pd

    (tmp_path / "jobs.csv").write_text(TABLE)
    first, second = read_jobs(tmp_path / "jobs.csv")
    assert (first.state, first.started, first.read_gb_per_h) == ("succeeded", first.submitted, 12.5)
    assert (second.state, second.waits_for, second.reason) == ("pending", ("a", "x"), "no capacity")
    frame = pd.read_csv(tmp_path / "jobs.csv", keep_default_na=True)
    for name in ("submitted", "started", "finished"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    frame.to_parquet(tmp_path / "jobs.parquet")
    assert read_jobs(tmp_path / "jobs.parquet") == (first, second)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("2026-11-01T03:00:00Z", "yesterday", "submitted: row 2: 'yesterday': must be ISO-8601"),
    ("2026-11-01T03:00:00Z", "2026-11-01T03:00:00", "submitted: row 2: .* must be ISO-8601 with a time zone"),
    ("2026-11-01T02:00:00Z", "2026-10-01T02:00:00Z", "finished: row 1: .*before it began"),
    ("b,etl", "a,etl", "job: row 2: 'a': is row 1 too"),
    ("b,etl", ",etl", "job: row 2: None: must be a name"),
    ("12.5", "fast", "read_gb_per_h: row 1: 'fast': must be a number"),
    ("waits_for", "waits", "column 'waits' is not known; .*; 'waits_for'"),
    (",cluster,", ",clusters,", "column 'cluster' is missing; .*; rename 'clusters'"),
])  # fmt: skip
def test_a_wrong_cell_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Column, row, value and what is allowed."""
    (tmp_path / "jobs.csv").write_text(TABLE.replace(old, new))
    with pytest.raises(JobsError, match=message):
        read_jobs(tmp_path / "jobs.csv")


def test_contradictions_are_refused() -> None:
    """A run that is over cannot be pending, and limits are above nothing."""
    with pytest.raises(JobsError, match="state: 'pending': contradicts the times"):
        Job("a", "a", "c", NOW, NOW, NOW + hours(1), "pending")
    with pytest.raises(ValueError, match="pending_hours: 0: above 0"):
        StuckSettings(pending_hours=0)
