"""From `kubectl get nodes,pods,cronjobs -A -o json` to a plan, and to what six tools apply.

`python examples/exchange/run.py [FOLDER]`; the cluster in `prod-eu.json` is made up. Sizes of node pools, replicas,
quotas and gangs that were written are read again and held against the plan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from planner.cli import run
from planner.kube.quantities import parse_quantity

HERE = Path(__file__).parent
START = "2026-11-02T00:00:00Z"
SHOP_BY_NIGHT, SHOP_BY_DAY, SHOP_OPENS = 2, 6, 7
TOOLS = ("kubernetes", "karmada", "kueue", "keda", "terraform", "skypilot")


def planner(*words: str) -> None:
    """Run one command of the planner; whatever it refuses ends the example."""
    print("$ planner", *words, flush=True)
    if (status := run(list(words))) != 0:
        sys.exit(f"planner {' '.join(words)}: exit status {status}")


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def hold(claim: str, found: object, wanted: object) -> None:
    """End the example where a file does not say what the plan says."""
    if found != wanted:
        sys.exit(f"{claim}: found {found}, the plan has {wanted}")
    print(f"  {claim}: as planned")


def main(folder: Path) -> None:
    """Import, plan, verify, export, and hold every export against the plan."""
    fleet, plan_file = folder / "fleet", folder / "plan.json"
    planner("import", "kubernetes", str(HERE / "prod-eu.json"), "-o", str(fleet), "--start", START)
    mend(fleet / "scenario.yaml")
    planner("plan", str(fleet), "-o", str(plan_file))
    planner("verify", str(fleet), str(plan_file))
    for tool in TOOLS:
        planner("export", tool, str(fleet), str(plan_file), "-o", str(folder / tool))
    scenario = yaml.safe_load((fleet / "scenario.yaml").read_text(encoding="utf-8"))
    check(folder, json.loads(plan_file.read_text(encoding="utf-8")), scenario)


def mend(scenario: Path) -> None:
    """Put in what the cluster cannot say: the shop needs fewer replicas at night."""
    found = yaml.safe_load(scenario.read_text(encoding="utf-8"))
    (shop,) = (one for one in found["workloads"] if one["name"] == "shop")
    shop["replicas"] = [SHOP_BY_NIGHT if hour < SHOP_OPENS else SHOP_BY_DAY for hour in range(24)]
    scenario.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")


def check(folder: Path, plan: dict[str, Any], scenario: dict[str, Any]) -> None:
    """Hold what was written against the plan."""
    rows = plan["machines"]
    pools = json.loads((folder / "terraform" / "planner.auto.tfvars.json").read_text())["planner_node_pools"]
    hold("Terraform's sizes of node pools", {name: one["max"] for name, one in pools.items()},
         {f"{row['cluster']}/{row['pool']}/{row['purchase']}": max(row["count"]) for row in rows})
    running = {one["name"]: one["replicas"][0] for one in scenario["workloads"] if "batch" not in one}
    deployed = {one["metadata"]["name"]: one["spec"]["replicas"]
                for one in documents(folder / "karmada" / "deployments.yaml")}
    hold("Karmada's replicas", deployed, running)
    (queue,) = (one for one in documents(folder / "kueue" / "prod-eu" / "queues.yaml") if one["kind"] == "ClusterQueue")
    quota = sum((parse_quantity(resource["nominalQuota"]) for flavor in queue["spec"]["resourceGroups"][0]["flavors"]
                 for resource in flavor["resources"] if resource["name"] == "cpu"), Fraction(0))
    room = {pool["name"]: Fraction(str(pool["machine"]["vcpu"])) - Fraction(str(pool["reserved"]["vcpu"]))
            for pool in scenario["clusters"][0]["pools"]}
    hold("Kueue's quota of CPUs", quota, sum(max(row["count"]) * room[row["pool"]] for row in rows))
    (scaled,) = documents(folder / "keda" / "prod-eu" / "scaledobjects.yaml")
    by_clock = {int(one["metadata"]["desiredReplicas"]) for one in scaled["spec"]["triggers"]}
    hold("KEDA's replicas of the shop", by_clock | {scaled["spec"]["minReplicaCount"]}, {SHOP_BY_NIGHT, SHOP_BY_DAY})
    (job,) = documents(folder / "karmada" / "jobs.yaml")[:1]
    hold("Karmada's gang of the nightly claims", job["spec"]["jobTemplate"]["spec"]["parallelism"], 3)
    hold("SkyPilot's tasks", sum(1 for _ in (folder / "skypilot").glob("*.yaml")), len(scenario["workloads"]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
