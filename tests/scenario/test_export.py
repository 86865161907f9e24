"""An exported scenario holds everything in full, and reads back as the same scenario."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.catalog import builtin_catalog
from planner.errors import InputError
from planner.export import export_scenario
from planner.profiles import profile
from planner.resolve import resolve
from planner.scenario import Scenario, parse_scenario, read_scenario

Fields = Callable[..., dict[str, Any]]


def resolved(fields: dict[str, Any]) -> Scenario:
    """A scenario read and filled in."""
    return resolve(parse_scenario(fields), builtin_catalog())


def test_an_export_reads_back_as_the_same_scenario(fields: Fields, tmp_path: Path) -> None:
    """Reading what was written gives an equal scenario that needs no catalog any more."""
    written = export_scenario(resolved(fields()), None, tmp_path)
    again = read_scenario(tmp_path)
    assert again == written
    assert resolve(again, builtin_catalog()) == again


def test_an_export_leaves_nothing_to_a_default(fields: Fields, tmp_path: Path) -> None:
    """Price, shape, link and default are in the file for any program to read."""
    export_scenario(resolved(fields()), None, tmp_path)
    plain = yaml.safe_load((tmp_path / "scenario.yaml").read_text(encoding="utf-8"))
    pool = plain["clusters"][0]["pools"][0]
    assert pool["machine"]["vcpu"] == 16
    assert pool["offers"][0]["price_usd_per_hour"] == 1.224
    assert plain["links"][0]["rtt_ms"] == 186
    assert plain["workloads"][0]["priority"] == 50
    assert plain["workloads"][0]["replicas"] == {"from": "replicas.parquet"}


def test_profiled_replicas_are_written_as_numbers(fields: Fields, tmp_path: Path) -> None:
    """With profiles the replicas are theirs, and what was predicted is part of the scenario."""
    scenario = resolved(fields())
    profiles = profile(scenario)
    export_scenario(scenario, profiles, tmp_path)
    names = [workload.name for workload in scenario.workloads]
    assert np.array_equal(read_scenario(tmp_path).given_replicas.stack(names), profiles.replicas)


def test_replicas_that_are_not_numbers_need_profiles(fields: Fields, tmp_path: Path) -> None:
    """Without profiles a workload described by history cannot be written out."""
    (tmp_path / "h.csv").write_text("ts,value\n", encoding="utf-8")
    changed = fields({"workloads/1/replicas": {"history": {"file": "h.csv", "per_replica": 4}}})
    scenario = resolve(parse_scenario(changed, tmp_path), builtin_catalog())
    with pytest.raises(InputError, match=r"workloads\.web\.replicas: not stated as numbers"):
        export_scenario(scenario, None, tmp_path / "out")


def test_the_source_is_not_overwritten(write: Callable[..., Path]) -> None:
    """A scenario is never exported onto itself."""
    folder = write()
    scenario = resolve(read_scenario(folder), builtin_catalog())
    before = (folder / "scenario.yaml").read_bytes()
    with pytest.raises(InputError, match="holds the scenario itself"):
        export_scenario(scenario, None, folder)
    assert (folder / "scenario.yaml").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(fields: Fields, tmp_path: Path) -> None:
    """A file where the folder should be is an input error, and stays as it is."""
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        export_scenario(resolved(fields()), None, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_long_lists_become_tables(fields: Fields, tmp_path: Path) -> None:
    """Hundreds of workloads are written as Parquet, users, patterns and all, and read back the same."""
    plain = fields({"workloads/0/hardware": {"throughput": {"m6i.*": 1.5, "H100": 2}, "gpu_models": ["H100"]},
                    "workloads/0/runbook": {"contact": "#ops", "steps": ["restart"]}})
    etl, web = plain["workloads"]
    plain["workloads"] = [{**one, "name": f"{one['name']}-{n}"} for n in range(120) for one in (etl, web)]
    written = export_scenario(resolved(plain), None, tmp_path)
    assert (tmp_path / "workloads.parquet").is_file()
    assert read_scenario(tmp_path) == written


def test_same_scenario_same_bytes(fields: Fields, tmp_path: Path) -> None:
    """Two exports of one scenario are equal byte for byte."""
    for name in ("a", "b"):
        export_scenario(resolved(fields()), None, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


SLOTS = 4
NAMES = st.text(alphabet="abcXYZ019-_.é", min_size=1, max_size=8)
AMOUNTS = st.floats(0, 1e6, allow_nan=False) | st.integers(0, 1000)
SHARES = st.floats(0.001, 1)
REQUESTS = st.fixed_dictionaries({"vcpu": st.floats(0.1, 64), "memory_gib": AMOUNTS},
                                 optional={"gpu": st.integers(0, 8), "disk_gib": AMOUNTS, "network_gbps": AMOUNTS})
BATCHES = st.builds(lambda first, length: {"duration_slots": length, "earliest_slot": min(first, SLOTS - length)},
                    st.integers(0, SLOTS - 1), st.integers(1, SLOTS))
WORKLOADS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["etl", "feature", "training", "diagnostics"]), "request": REQUESTS,
     "replicas": st.lists(st.integers(0, 2**31 - 1), min_size=SLOTS, max_size=SLOTS)},
    optional={"priority": st.integers(0, 100), "weight": AMOUNTS, "description": st.text(max_size=20),
              "owner": NAMES, "droppable": st.booleans(), "preemptible": st.booleans(), "probability": SHARES,
              "slo": st.fixed_dictionaries({}, optional={"availability": SHARES, "deploy_minutes": AMOUNTS}),
              "residency": st.sampled_from([{"allow": ["BR", "NO"]}, {"deny": ["US"]}]), "batch": BATCHES,
              "hardware": st.just({"throughput": {"m6i.*": 0.5, "H100": 2}, "arch": ["x86_64", "arm64"]}),
              "data": st.fixed_dictionaries({"stored_gb": AMOUNTS}),
              "runbook": st.fixed_dictionaries({"contact": st.text(max_size=9), "steps": st.lists(NAMES, max_size=2)}),
              "incumbent": st.just({"cluster": "aws-saopaulo", "pool": "m6i", "move_cost_usd": 3})})


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(WORKLOADS, min_size=1, max_size=3), st.floats(0, 0.9), AMOUNTS)
def test_any_scenario_survives_the_way_through_yaml(fields: Fields, tmp_path: Path, workloads: list[dict[str, Any]],
                                                    headroom: float, carbon: float) -> None:
    """Whatever is in it, a scenario that is written out and read again is the same scenario."""
    named = [{"name": f"w{n}", **workload} for n, workload in enumerate(workloads)]
    plain = fields({"workloads": named, "clusters/0/pools/0/headroom": headroom, "carbon_usd_per_tonne": carbon})
    written = export_scenario(resolved(plain), None, tmp_path)
    assert read_scenario(tmp_path) == written
