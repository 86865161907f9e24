"""Diagnostics as hosts serve them, in a real browser."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, update

from api.database.tables import hosts, verdicts
from api.hosting.leases import ALIVE_S, Leases
from api.hosting.results import Said, keep_verdicts
from api.hosting.scoring import Verdict
from api.hosting.sealing import Sealing
from api.hosting.streams import Reader
from api.store.files import HOSTED, JSON
from planner.hosting import Hosted, hosted_text

pytestmark = pytest.mark.slow
HOSTS = {f"host-{number}": {"read_latency_ms": 4.0, "iops": 900.0} for number in range(4)}


@pytest.fixture(scope="module")
def said(served: Any, held: Any, plan_of: Callable[..., Any]) -> str:
    """A plan in force whose diagnostics nobody serves any more; the last row of a cluster had a host in alarm."""
    made = plan_of("hosted")
    hosted = Hosted.model_validate({
        "schema": 1, "plan_id": made.plan_id,
        "clusters": {"dear": {"country": "DE", "hardware_class": "mixed-disk", "software_version": "9.1",
                              "opted_in": True, "losses": ["dear"]}},
        "work": {"diagnostics-dear": {"kind": "diagnostics", "places": [{"cluster": "cheap"}], "watches": {
            "hardware_class": "mixed-disk", "clusters": ["dear"], "country": "DE", "purpose": "score"}}},
    }, strict=False)  # fmt: skip
    plan_id: str = held.plan(made, "in_force", {HOSTED: (JSON, hosted_text(hosted).encode())})
    at = int(time.time()) - 3600
    row = {"cluster": "dear", "ts": datetime.fromtimestamp(at, UTC).isoformat(), "hosts": HOSTS}
    assert served.http.post("/v1/telemetry", json={"rows": [row]}).json()["stored"] == 1
    off = [{"host": "host-2", "metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0}]
    with held.store.engine.begin() as connection:
        connection.execute(insert(verdicts).values(
            cluster="dear", ts=at, model_version="441fd82d7820", status="alarm", score=9.0, threshold=3.0,
            alarms=json.dumps(off), workload="diagnostics-dear", host="host-a", epoch=3, seconds=0.1))
    return plan_id


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_what_hosts_say_is_for_everybody(look: Any, looked_at: Any, said: str, guise: Any) -> None:
    """What is wrong and what to do, that nobody serves it, and which version scored; nothing against it by axe-core."""
    window = look(**guise)
    looked_at(window, "/hosting")
    page = window.page
    assert page.locator("article.alarm", has_text="host-2").count() == 1
    assert "nobody; planned on cheap" in page.get_by_role("region", name="Who serves what").inner_text()
    assert page.get_by_role("region", name="Versions that scored").get_by_role("row", name="9.1 441fd82d7820").count()


def test_a_lost_host_and_an_alarm_are_seen_at_once(look: Any, served: Any, held: Any, said: str) -> None:
    """Who looks sees who serves, what they find, and that they are gone, without loading the page again."""
    page = look().at("/hosting")
    page.evaluate("window.stayed = true")
    serves, engine, work = page.get_by_role("region", name="Who serves what"), held.store.engine, "diagnostics-dear"
    host, reader = Leases(engine, "host-a", "cheap"), Reader(engine, "DE", Sealing())
    host.beat()
    epochs = host.hold([work])
    reader.begin([(work, "dear")])
    serves.get_by_text("host-a on cheap").wait_for()
    row = {"cluster": "dear", "ts": datetime.now(UTC).isoformat(), "hosts": HOSTS}
    assert served.http.post("/v1/telemetry", json={"rows": [row]}).json()["stored"] == 1
    off = {"host": "host-3", "metric": "iops", "value": 9.0, "expected": 900.0, "z": -20.0}
    found = [Said(Verdict(one, "alarm", 9.0, 3.0, (off,)), "441fd82d7820") for one in reader.pending([work])]
    assert keep_verdicts(engine, "host-a", epochs, found)
    page.locator("article.alarm", has_text="host-3").wait_for()
    with engine.begin() as connection:  # it says nothing for longer than a host lives
        connection.execute(update(hosts).values(until=hosts.c.until - ALIVE_S))
    serves.get_by_text("nobody; planned on cheap").wait_for()
    assert page.evaluate("window.stayed") is True
