"""Every engine does the same: tasks in order, a lost one gives None, errors are told, nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

from placement.block_search import Guide, Task, search_block
from placement.blocks import divide, shares
from placement.bounding import Bounding
from placement.engines import ENGINES, Engine, TaskFailed, missing, to_the_end, unreachable
from placement.problem import Problem
from placement.result import Settings
from placement.solvers import first_fit
from placement.worker import Stopwatch, Unsupported, solve_here


def times(shared: int, task: int) -> int:
    """The product; a negative task dies by signal 9, and 99 raises."""
    if task < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 99:
        raise ValueError("99 is too much")
    return shared * task


def sleep(_: int, seconds: float) -> float:
    """Take some time."""
    time.sleep(seconds)
    return seconds


@pytest.fixture(scope="module", params=[pytest.param(name, marks=[pytest.mark.soak] if name == "ray" else [])
                                        for name in ENGINES])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of two workers; after its end none of its processes is left."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    made = ENGINES[request.param](2)
    yield made
    made.close()
    time.sleep(0.2)
    left = {child.pid for child in psutil.Process().children(recursive=True) if child.status() != "zombie"} - before
    names = [psutil.Process(pid).cmdline() for pid in left if psutil.pid_exists(pid)]
    assert [name for name in names if name and "resource_tracker" not in " ".join(name)] == []


def test_answers_come_in_the_order_of_tasks(engine: Engine) -> None:
    """Each task is answered with what is shared now, in its place."""
    engine.share(10)
    assert engine.map(times, [3, 1, 2], bool) == [30, 10, 20]
    engine.share(7)
    assert engine.map(times, [1], bool) == [7]


def test_kill_9_loses_one_task_and_no_other(engine: Engine) -> None:
    """A task whose process is killed gives None; the others are answered, before and afterwards."""
    engine.share(10)
    before = engine.lost
    assert engine.map(times, [1, -1, 2, 3], bool) == [10, None, 20, 30]
    assert engine.lost == before + 1
    assert engine.map(times, [4], bool) == [40]


def test_an_error_is_told(engine: Engine) -> None:
    """What a task raises comes back in one line."""
    engine.share(10)
    with pytest.raises(TaskFailed, match="99 is too much"):
        engine.map(times, [99], bool)


def test_a_stop_does_not_wait_for_tasks(engine: Engine) -> None:
    """Once stopped, unfinished tasks give None at once, and the engine still works."""
    engine.share(10)
    stop_at = time.monotonic() + 3.0
    found = engine.map(sleep, [0.0, 600.0], lambda: time.monotonic() > stop_at)
    assert found[1] is None
    assert time.monotonic() < stop_at + 30
    assert engine.map(times, [5], bool) == [50]


def test_a_block_is_searched_alike_wherever(engine: Engine, tiny_problem: Callable[..., Problem]) -> None:
    """The same seed finds the same units in this process and as a task of any engine."""
    problem = tiny_problem(5, clusters=6, workloads=14, slots=3)
    held = first_fit.solve(problem, Settings(), Stopwatch(20.0)).solution
    assert held is not None
    bounding = Bounding(problem, 0, bool, time.monotonic() + 60)
    guide = Guide(problem, bounding.prices, np.zeros(len(problem.workloads.weight)), bounding.legal, large=False)
    blocks = divide(problem, held.units, 2, np.random.default_rng(1))
    tasks = [Task(pools, held.units, share, [bounding.weights[p] for p in pools.tolist()], 0.2, 7, 600.0)
             for pools, share in zip(blocks, shares(problem, held, 0.0, blocks, 0), strict=True)]
    engine.share(guide)
    found = engine.map(search_block, tasks, bool)
    here = [search_block(guide, task) for task in tasks]
    assert any(one is not None for one in here)
    assert [one and one.units.candidate.tolist() for one in found] == [
        one and one.units.candidate.tolist() for one in here]


def test_a_cluster_that_cannot_be_reached_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no address and where nobody answers is one line that says how to mend it; what Ray starts is not tried.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert unreachable("ray") is None
    assert f"RAY_ADDRESS={address}: no cluster answers there" in (unreachable("ray") or "")
    assert unreachable("processes") is None
    for nonsense in ("nonsense", "host:port", ":6379", "host:99999"):
        monkeypatch.setenv("RAY_ADDRESS", nonsense)
        assert f"RAY_ADDRESS={nonsense}: not an address; give HOST:PORT" in (unreachable("ray") or "")
    for known in ("", "local", "auto", "ray://host:10001"):
        monkeypatch.setenv("RAY_ADDRESS", known)
        assert unreachable("ray") is None


def test_blocks_are_not_begun_without_their_cluster(monkeypatch: pytest.MonkeyPatch,
                                                    tiny_problem: Callable[..., Problem]) -> None:
    """A cluster that is not there ends the solve before it begins, with its name."""
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(Unsupported, match="RAY_ADDRESS=nonsense"):
        solve_here(tiny_problem(1, clusters=6), "planner", Settings(engine="ray", blocks=2), Stopwatch(5.0))


def test_missing_ray_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the command."""
    monkeypatch.setattr("placement.engines.find_spec", lambda _: None)
    why = missing("ray")
    assert why is not None
    assert "pip install 'workload-planner[ray]'" in why
    assert missing("processes") is None
    assert "allowed are processes, ray" in str(missing("dask"))


def test_ctrl_c_waits_for_the_end_of_ray() -> None:
    """What is being ended is ended whole; Ctrl-C counts after it."""
    done = []

    def ended() -> None:
        with to_the_end():
            signal.raise_signal(signal.SIGINT)
            done.append("ended")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run may not hear of it
    try:
        with pytest.raises(KeyboardInterrupt):
            ended()
        assert done == ["ended"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
