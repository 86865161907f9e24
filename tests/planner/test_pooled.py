"""`sizing: pooled` in people's words: what it saves, what a plan states of misses, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.checking import verify_plan
from planner.errors import InputError
from planner.export import export_scenario
from planner.plan import read_plan
from planner.planning import Planned, PlanRequest, make_plan, prepare
from planner.profiles.paths import draw
from planner.replan import ReplanRequest, replan
from planner.replay import replay
from planner.scenario import read_scenario
from planner.terminal import miss_words
from planner.whatif import Change, apply

Row = dict[str, Any]
SLOTS, PATHS = 4, 20


@pytest.fixture(autouse=True)
def in_this_process() -> Iterator[None]:
    """The same solvers without a process of their own."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        yield


def alternating(path: int) -> tuple[list[int], list[int]]:
    """Demand of two workloads that are never busy on the same path, and differ a little from path to path."""
    busy, calm = [8 + (path // 2 + t) % 3 for t in range(SLOTS)], [2 + (path // 4 + t) % 2 for t in range(SLOTS)]
    return (busy, calm) if path % 2 else (calm, busy)


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Path]:
    """Write a scenario of two workloads with paths, and change what is said of it; returns its folder."""
    def make(name: str = "s", rows: list[list[Any]] | None = None, workload: Row | None = None, **fields: Any) -> Path:
        given = [[w, i, *alternating(i)[k]] for i in range(PATHS) for k, w in enumerate(("web", "night"))]
        folder = tmp_path / name
        folder.mkdir()
        lines = [["workload", "path", *range(SLOTS)], *(given if rows is None else rows)]
        (folder / "paths.csv").write_text("\n".join(",".join(map(str, line)) for line in lines) + "\n")
        request = {"vcpu": 2, "memory_gib": 4}
        workloads = [{"name": w, "kind": "serving", "request": request, "replicas": {"paths": "paths.csv"}}
                     for w in ("web", "night")]
        if workload is not None:
            workloads.append({"name": "branch", "kind": "etl", "request": request, "replicas": [4] * SLOTS} | workload)
        offers = [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]
        pool = {"name": "p", "machine": {"name": "m", "vcpu": 4, "memory_gib": 16}, "max": 40, "offers": offers}
        cluster = {"name": "own", "provider": "onprem", "region": "hall", "country": "DE", "pools": [pool]}
        content = {"name": "mux", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": SLOTS, "slot_minutes": 60},
                   "objective": {"mode": "min_cost"}, "sizing": "pooled", "service_level": 0.9,
                   "clusters": [cluster], "workloads": workloads} | fields
        (folder / "scenario.yaml").write_text(yaml.safe_dump(content))
        return folder
    return make


def planned(folder: Path, solver: str = "brute") -> Planned:
    """The plan, written beside its scenario."""
    made = make_plan(folder, PlanRequest(solver=solver, time_limit_s=600))
    made.write(folder / "plan.json")
    return made


def test_workloads_that_peak_on_different_paths_share_machines(scenario: Callable[..., Path]) -> None:
    """Each workload alone needs ten replicas and the two together never more than thirteen: pooled pays for those."""
    pooled, each = planned(scenario()), planned(scenario("each", sizing="each"))
    assert each.plan.cost_usd == SLOTS * 10
    assert 5 * SLOTS <= pooled.plan.bound <= pooled.plan.cost_usd <= SLOTS * 7
    for made, folder in ((pooled, "s"), (each, "each")):
        assert verify_plan(made.scenario.folder, made.plan).holds, folder
    assert each.plan.misses == ()
    assert each.plan.provenance.paths is None


def test_the_planners_own_method_finds_and_bounds_it(scenario: Callable[..., Path]) -> None:
    """Guided by prices, the plan costs what the best of all costs, and its bound is not above."""
    folder = scenario()
    best, found = planned(folder), planned(folder, "planner")
    assert found.plan.cost_usd == pytest.approx(best.plan.cost_usd)
    assert 0 < found.plan.bound <= best.plan.cost_usd + 1e-6
    assert verify_plan(folder, found.plan).holds


def test_a_plan_states_how_often_it_misses(scenario: Callable[..., Path]) -> None:
    """The stated chance is the share of paths that do not fit, at most 1 - level; the paths it used are named."""
    folder = scenario()
    made = planned(folder)
    machines = np.array(made.plan.machines[0].count)
    paths = np.array([np.add(*alternating(i)) for i in range(PATHS)])
    missed = (np.ceil(paths / 2) > machines).mean(axis=0)
    assert [row.workload for row in made.plan.misses] == ["night", "web"]
    for row in (*made.plan.misses, *made.plan.pool_misses):
        assert (row.chance, row.mean) == pytest.approx((missed.max(), missed.mean()))
        assert row.chance <= 0.1 + 1e-9
        assert row.held_out is not None and row.held_out >= row.mean  # noqa: PT018 (one claim, for the type checker)
    used = made.plan.provenance.paths
    assert used is not None
    assert (used.count, used.needed, used.drawn, used.files[0].file) == (PATHS, 18, 0, "paths.csv")
    assert f"of {PATHS} sample paths in any slot" in miss_words(made.plan)


def test_sizes_that_miss_more_often_than_stated_are_refused(scenario: Callable[..., Path]) -> None:
    """One machine fewer in a slot leaves too few paths with room; a lower chance than there is counts as wrong."""
    folder = scenario()
    plan = planned(folder).plan
    row = plan.machines[0]
    fewer = row.model_copy(update={"count": (row.count[0] - 1, *row.count[1:])})
    short = plan.model_copy(update={"machines": (fewer,)}).with_id()
    assert any("sample paths; at least 18 are needed" in line for line in verify_plan(folder, short).violations)
    rosy = plan.model_copy(update={"misses": tuple(m.model_copy(update={"chance": 0.0}) for m in plan.misses)})
    lines = verify_plan(folder, rosy.with_id()).violations
    assert any(line.startswith("misses: web: chance is stated as 0; it is 0.") for line in lines)
    silent = plan.model_copy(update={"misses": ()}).with_id()
    assert any(line.startswith("misses: night: ") for line in verify_plan(folder, silent).violations)


def test_the_back_test_sees_paths_that_sizes_were_not_made_from(scenario: Callable[..., Path]) -> None:
    """Where each path is higher than the one before, the highest misses in sizes made without it, and no other."""
    rows = [[w, i, *[2 * i + 2] * SLOTS] for i in range(PATHS) for w in ("web", "night")]
    (pool,) = planned(scenario(rows=rows, service_level=0.999)).plan.pool_misses
    assert (pool.chance, pool.mean) == (0.0, 0.0)
    assert pool.held_out == pytest.approx(1 / PATHS)


def test_a_branch_runs_on_the_paths_that_are_drawn_for_it(scenario: Callable[..., Path]) -> None:
    """A probability is drawn on each path, the same for the same seed; each by itself it is needed in full."""
    folder = scenario(workload={"probability": 0.3})
    paths = prepare(folder, PlanRequest()).profiles.paths
    assert paths is not None
    runs = [draw("branch", i, 0) < 0.3 for i in range(PATHS)]
    assert paths.runs[list(paths.workload).index(2)].tolist() == runs
    assert 0 < sum(runs) < PATHS
    other = prepare(folder, PlanRequest(seed=5)).profiles.paths
    assert other is not None
    assert other.runs.tolist() != paths.runs.tolist()
    assert planned(folder).plan.cost_usd < planned(scenario("all", workload={})).plan.cost_usd


def test_without_paths_chances_are_drawn_and_the_rest_stays(scenario: Callable[..., Path]) -> None:
    """Two hundred paths are drawn where only probabilities vary; nothing random at all is one path."""
    plain = [{"name": "etl", "kind": "etl", "request": {"vcpu": 2, "memory_gib": 4}, "replicas": [3] * SLOTS}]
    one = prepare(scenario(workloads=plain, rows=[]), PlanRequest()).profiles.paths
    drawn = prepare(scenario("drawn", workloads=[plain[0] | {"probability": 0.5}], rows=[]), PlanRequest())
    assert one is not None
    assert (one.count, one.counts.shape[0]) == (1, 0)
    assert drawn.profiles.paths is not None
    assert drawn.profiles.paths.runs.mean() == pytest.approx(0.5, abs=0.1)


def test_what_ifs_change_every_path(scenario: Callable[..., Path]) -> None:
    """Half as much demand again is that on each path, rounded up once."""
    prepared = prepare(scenario(), PlanRequest())
    _, more = apply((Change.read("demand web:+50%"),), prepared.scenario, prepared.profiles)
    before, after = prepared.profiles.paths, more.paths
    assert before is not None
    assert after is not None
    assert np.array_equal(after.counts[0], np.ceil(before.counts[0] * 1.5))
    assert np.array_equal(after.counts[1], before.counts[1])


def test_exported_paths_mean_the_same(scenario: Callable[..., Path], tmp_path: Path) -> None:
    """A scenario written out in full has the same paths and probabilities, and the plan holds there."""
    made = planned(scenario(workload={"probability": 0.3}))
    export_scenario(made.scenario, made.profiles, tmp_path / "out")
    again = read_scenario(tmp_path / "out")
    assert again.given_replicas.paths == made.scenario.given_replicas.paths
    assert verify_plan(tmp_path / "out", made.plan).violations == ()


def test_a_pooled_plan_is_replayed_like_any_other(scenario: Callable[..., Path], tmp_path: Path) -> None:
    """Recorded demand runs against the machines of the plan, whatever they were sized on."""
    folder = scenario()
    made = planned(folder)
    lines = [["workload", *range(SLOTS)], *(["web", *alternating(1)[0]], ["night", *alternating(1)[1]])]
    (tmp_path / "actual.csv").write_text("\n".join(",".join(map(str, line)) for line in lines) + "\n")
    done = replay(folder, folder / "plan.json", tmp_path / "actual.csv")
    assert done.missed == (0, 2 * SLOTS)
    assert done.cost_usd == pytest.approx(made.plan.cost_usd)


def test_what_is_not_there_yet_is_refused_by_name(scenario: Callable[..., Path]) -> None:
    """Survival, repair, packings and solvers that know one row a unit say so."""
    with pytest.raises(InputError, match="survive: cluster: not available yet with sizing: pooled"):
        read_scenario(scenario("survive", survive="cluster"))
    folder = scenario()
    made = planned(folder)
    with pytest.raises(InputError, match="sizing: pooled: mending a plan"):
        replan(folder, read_plan(folder / "plan.json"), ReplanRequest(down=("own",)))
    with pytest.raises(InputError, match="packings: not available with sizing: pooled"):
        make_plan(folder, PlanRequest(packings=True))
    with pytest.raises(InputError, match="survive cluster: not available yet with sizing: pooled"):
        apply((Change.read("survive cluster"),), made.scenario, made.profiles)
    for solver in ("highs", "first-fit"):
        with pytest.raises(InputError, match="sample paths"):
            make_plan(folder, PlanRequest(solver=solver))


def test_the_same_again_gives_the_same_bytes(scenario: Callable[..., Path]) -> None:
    """Same input and seed: the same plan, misses and all."""
    folder = scenario(workload={"probability": 0.3})
    first, again = (json.dumps(planned(folder).plan.to_dict()) for _ in range(2))
    assert first == again
