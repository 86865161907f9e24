"""The benchmark of profiles on a small trace made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.profiles import METHODS, figures_of, means, measure, oracle, run_folds
from benchmarks.profiles_data import QUANTITIES, instances

HEAD = ("instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,memory_request,"
        "memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,scheduled_time,deletion_time\n")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Forty applications: a CPU half of 64 vCPU, or 48 for a quarter of them, and a GPU half of 8."""
    lines = []
    for app in range(40):
        cores = 48 if app % 4 == 0 else 64
        lines += [f"a{app}-{i},CN,app_{app},{cores},64,0,0,1,1,{5 * cores},320,300,300,-1,{i},{i},{i + 5}"
                  for i in range(3)]
        lines.append(f"b{app},HN,app_{app},8,8,1,1,25,25,40,40,100,100,4,,,")
    (tmp_path / "alibaba2025_dlrm_instances.csv").write_text(HEAD + "\n".join(lines) + "\n")
    return tmp_path


def test_no_method_beats_the_oracle_and_the_planner_finds_the_role(trace: Path) -> None:
    """Buckets by role are right for all here: 48 and 64 are within 64; the intervals hold at least 80 %."""
    found = instances(trace)["dlrm/role"]
    assert sum(run.times for run in found.library.runs) == 160
    figures = {name: figures_of(found, {q: run_folds(found, method, q, 1) for q in QUANTITIES})
               for name, method in METHODS.items()}
    best = {q: float(np.average(oracle(found, q) == oracle(found, q))) for q in QUANTITIES}
    assert figures["planner"]["bucket_accuracy_gpu"] == best["gpu"] == 1
    assert figures["planner"]["bucket_accuracy_vcpu"] == 1
    assert figures["planner"]["interval_coverage_vcpu_by_application"] >= 0.8
    assert figures["common"]["bucket_accuracy_vcpu"] == 0.75
    assert figures["planner"]["slack_vcpu"] < figures["median"]["slack_vcpu"]


def test_rows_say_instance_method_metric(trace: Path) -> None:
    """Every figure is a row; the mean over traces is given only where both traces are there."""
    rows = measure(instances(trace)["dlrm/role"], "oracle", 1)
    assert {row.metric for row in rows} >= {"bucket_accuracy", "bucket_accuracy_vcpu_by_application"}
    assert means(rows) == []
