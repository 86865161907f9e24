"""From a question to a plan in force, with the client: `python examples/api/journey.py [URL] [KEY]`.

A plan is asked for and watched, explained, checked, approved and put in force; requests are directed by it, also after
a cluster is lost, until the service has mended it; a history is forecast.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from planner.client import NDJSON, Client
from planner.client.results import PlanState

HERE = Path(__file__).parent


def told(now: PlanState) -> None:
    """One line whenever something has changed."""
    progress = now.progress
    gap = "" if progress is None or progress.gap is None else f", gap {100 * progress.gap:.1f} %"
    print(f"  {now.status}{gap}")


def main(url: str, key: str | None) -> None:
    """The whole journey."""
    start = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z")
    scenario = json.loads((HERE / "scenario.json").read_text(encoding="utf-8").replace("START", start))
    with Client(url, key=key) as planner:
        print("plan")
        made = planner.plans.make(scenario, time_limit_s=20, told=told)
        assert made.plan is not None
        print(f"  {made.id}: USD {made.plan['cost_usd']:.2f}, gap {100 * made.plan['gap']:.2f} %")
        for unit in planner.fleet.where("web", made.id).units:
            print(f"  web for {unit.user_region}: {unit.cluster}/{unit.pool}")
        print("why there")
        for why in planner.plans.explain(made.id, "web")["units"]:
            print(f"  {why['user_region']}: {why['why']}")

        life = planner.life_cycles.get(made.id)
        planner.jobs.wait(planner.life_cycles.verify(life).id)
        life = planner.life_cycles.approve(planner.life_cycles.get(made.id), why="as expected")
        life = planner.life_cycles.put_in_force(life)
        print(f"{life.state}: {', '.join(f'{event.step} by {event.who}' for event in life.history)}")

        found = planner.fleet.direct("web", region="aws/eu-central-1", key="customer-17")
        print(f"customer-17 goes to {found.cluster}")
        planner.fleet.report(found.cluster, "down", "person", source="journey", note="a drill")
        found = planner.fleet.direct("web", region="aws/eu-central-1", key="customer-17")
        print(f"{found.home} is lost: customer-17 goes to {found.cluster}")
        while not (mended := [one for one in planner.plans.list() if one.settings.get("mends") == made.id]):
            time.sleep(0.5)
        done = planner.plans.wait(mended[0].id)
        assert done.plan is not None
        print(f"mended without {', '.join(done.plan['provenance']['down'])}: USD {done.plan['cost_usd']:.2f}")
        planner.fleet.report(found.home, "up", "person", source="journey", note="the drill is over")

        print("forecast")
        forecast = planner.forecasts.make(HERE / "history.csv", "6h", quantiles=[0.5, 0.9])
        for line in planner.forecasts.quantiles(forecast.id, NDJSON).splitlines():
            print(f"  {line.decode()}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080", sys.argv[2] if len(sys.argv) > 2 else None)
