"""People are told by a real service of what really happens."""

import time
from typing import Any

import pytest

Json = dict[str, Any]


def arrived(service: Any, count: int, state: str = "sent") -> list[Json]:
    """What is on record in a state, newest first, once there is so much of it."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        found: list[Json] = service.http.get("/v1/notifications", params={"state": state}).json()["notifications"]
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"only {found}")


@pytest.mark.soak
def test_a_failed_job_is_told_after_a_restart(serve: Any, database: str, hooks: Any) -> None:
    """A receiver that is in trouble is asked again, also by the service that comes after; all is on record."""
    channels = [{"name": "hook", "kind": "webhook", "url": hooks.url},
                {"name": "gone", "kind": "webhook", "url": "http://127.0.0.1:1/", "about": []}]
    service = serve(database=database, channels=channels)
    bad = b"unique_id,ds,y\na,2026-10-05T00:00:00Z,many\n"
    asked = service.http.post("/v1/forecasts", params={"horizon": "24h"}, content=bad,
                              headers={"Content-Type": "text/csv"}).json()
    hooks.answers = [503] * 2
    give_up = time.monotonic() + 120
    while not hooks.heard and time.monotonic() < give_up:
        time.sleep(0.05)
    service.kill()
    service = serve(database=database, channels=channels)
    (row,) = arrived(service, 1)
    assert (row["channel"], row["title"], row["severity"]) == ("hook", "forecast of forecast failed", "warning")
    assert row["fields"] == {"job": asked["id"]}
    assert "'many' is no number" in row["text"]
    assert len(hooks.heard) >= 3
    assert {one.headers["webhook-id"] for one in hooks.heard} == {f"planner-{row['id']}"}

    assert service.http.post("/v1/notifications/test").status_code == 202
    assert arrived(service, 2)[0]["about"] == "test"
    log = service.http.get("/v1/notifications", params={"limit": 1}).json()
    assert log["next"].startswith("/v1/notifications?limit=1&before=")
    assert service.http.get("/v1/notifications", params={"state": "lost"}).status_code == 422


@pytest.mark.soak
def test_alarms_of_the_telemetry_are_told_by_mail(serve: Any, mails: Any) -> None:
    """A drift job's lasting alarms arrive, one mail each; the same again does not."""
    url = f"mailto://127.0.0.1:{mails.port}?mode=insecure&from=planner@example.org&to=ann@x.org"
    service = serve(channels=[{"name": "mail", "kind": "service", "url": url, "least": "warning"}],
                    telemetry="examples/hybrid/telemetry.parquet")
    for _ in range(2):
        job = service.http.post("/v1/jobs", json={"kind": "drift"}).json()
        give_up = time.monotonic() + 200
        while service.http.get(f"/v1/jobs/{job['id']}").json()["status"] != "done" and time.monotonic() < give_up:
            time.sleep(0.1)
    lasting = service.http.get("/v1/alarms", params={"state": "lasting"}).json()["alarms"]
    grave = [alarm for alarm in lasting if alarm["severity"] != "log"]
    assert grave
    sent, repeated = arrived(service, len(grave)), arrived(service, len(grave), "repeated")
    assert {alarm["summary"] for alarm in grave} <= {row["title"] for row in sent}
    assert len(repeated) == len(mails.heard) == len(sent)
