"""What really came, reported to a service in several forms."""

import json
import time
from typing import Any

Json = dict[str, Any]
FOCUS = ("BilledCost,EffectiveCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ProviderName\n"
         "3,2.5,USD,Usage,2026-11-02T00:00:00Z,2026-11-02T01:00:00Z,AWS\n")


def report(service: Any, address: str, what: str, content: str, kind: str) -> Json:
    """A report that was worked in."""
    asked = service.http.post(address, params={"what": what}, content=content, headers={"Content-Type": kind})
    assert asked.status_code == 202, asked.text
    give_up = time.monotonic() + 120
    while (job := service.http.get(asked.headers["Location"]).json())["status"] in ("queued", "running"):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    return dict(job)


def test_a_plan_beside_what_came(service: Any, tiny: Json) -> None:
    """Demand as lines of JSON and costs as FOCUS come in one after the other; what does not fit changes nothing."""
    plan_id = service.ended(service.ask({"scenario": tiny, "seed": 71}).json()["id"])["id"]
    address = f"/v1/plans/{plan_id}/actuals"
    assert service.http.get(address).json() == {"plan": plan_id, "pending": 0, "found": None}
    rows = [{"workload": name, "slot": slot, "replicas": count}
            for name, count in (("claims-etl", 4), ("front", 1), ("drift-monitor", 1)) for slot in (0, 1)]
    lines = "\n".join(map(json.dumps, rows))
    assert report(service, address, "demand", lines, "application/x-ndjson")["errors"] == []
    found = service.http.get(address).json()["found"]
    assert (found["slots"], found["of"], found["billed_usd"]) == (2, 4, None)
    assert found["forecast"]["above_plan"] == 2 / 6
    wrong = report(service, address, "demand", "workload,slot,replicas\nfrnt,0,1\n", "text/csv")
    assert "did you mean front?" in wrong["errors"][0]
    assert report(service, address, "costs", FOCUS, "text/csv")["errors"] == []
    found = service.http.get(address).json()["found"]
    assert (found["slots"], found["billed_usd"]) == (2, 2.5)
    for kind, content, status in (("text/html", "a", 415), ("text/csv", "", 400)):
        refused = service.http.post(address, params={"what": "demand"}, content=content, headers={"Content-Type": kind})
        assert refused.status_code == status
    nowhere = service.http.post("/v1/plans/nope/actuals", params={"what": "demand"}, content="a",
                                headers={"Content-Type": "text/csv"})
    assert nowhere.status_code == 404
