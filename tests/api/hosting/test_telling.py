"""Super alarms of hosts are told: begun once, graver, resolved; whoever looks, and after restarts."""

import json
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import Engine, insert, select, update

from api.channels import AnyChannel
from api.database.tables import cursors, events, verdicts
from api.database.tenancy import EVERYONE, of_tenant
from api.hosting.policy import Policy
from api.hosting.telling import SCOPE, Teller, Telling
from api.settings import Settings

START, HOUR = 1_789_948_800, 3600
NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
OFF = {"metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0}
HOSTS = ("host-1", "host-2", "host-3")
CHANNELS = TypeAdapter(tuple[AnyChannel, ...])


def said(engine: Engine, cluster: str, hours: Collection[int], *hosts: str) -> None:
    """What was said of rows of a cluster: some hosts are in alarm."""
    kept = {"model_version": "m", "status": "alarm" if hosts else "ok", "score": 1.0, "threshold": 3.0, "workload": "w",
            "host": "h", "epoch": 1, "seconds": 0.1, "cluster": cluster,
            "alarms": json.dumps([OFF | {"host": host} for host in hosts])}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(verdicts), [kept | {"ts": START + HOUR * hour} for hour in hours])


def noted(engine: Engine) -> list[tuple[str, bool, str]]:
    """Events in their order: how grave, whether resolved, and of which clusters."""
    with engine.connect() as connection:
        rows = connection.execute(select(events).where(events.c.scope == SCOPE).order_by(events.c.seq)).all()
    return [(row.severity, row.resolved, json.loads(row.fields)["clusters"]) for row in rows]


@pytest.fixture
def watching(engine: Engine, made_up: Any, in_force: Any, settings: Settings, tmp_path: Path) -> Callable[..., Teller]:
    """Services that begin to look at a plan in force which watches a, b and c; `tmp_path/alarms.yaml` is the policy."""
    in_force(made_up())
    (tmp_path / "alarms.yaml").write_text("{}", encoding="utf-8")
    watch = settings.watch.model_copy(update={"alarms": tmp_path / "alarms.yaml"})
    return lambda kind=Teller: kind(engine, Policy(watch), settings)


def test_an_alarm_is_noted_once_and_once_that_it_is_over(engine: Engine, watching: Callable[..., Teller]) -> None:
    """Also where two look at the same time, where a service begins anew, and where it grows; a second one later is
    another.
    """
    first, second = watching(), watching()
    assert first.tell(NOW)
    assert noted(engine) == []
    said(engine, "a", range(3), *HOSTS[:1])
    with ThreadPoolExecutor(2) as pool:
        assert any(pool.map(lambda one: one.tell(NOW), (first, second)))
    begun = [("warning", False, "a")]
    assert noted(engine) == begun
    said(engine, "a", range(3, 6), *HOSTS)  # it begins at two more hosts
    for one in (first, second, watching()):
        assert one.tell(NOW)
    assert noted(engine) == begun
    said(engine, "a", range(6, 10))
    for one in (second, first, watching()):
        assert one.tell(NOW)
    assert noted(engine) == [*begun, ("warning", True, "a")]
    said(engine, "a", range(40, 42), *HOSTS[:1])
    assert first.tell(NOW)
    assert second.tell(NOW)
    assert noted(engine) == [*begun, ("warning", True, "a"), *begun]


def test_what_becomes_graver_is_noted_again(engine: Engine, watching: Callable[..., Teller], tmp_path: Path) -> None:
    """Under the name that it has, as grave as it ever was; and each hour that it lasts."""
    one = watching()
    said(engine, "a", range(3), *HOSTS[:1])
    assert one.tell(NOW)
    (tmp_path / "alarms.yaml").write_text("users: [{match: {cluster: a}, affected: 0.5}]", encoding="utf-8")
    assert one.tell(NOW)
    assert one.tell(NOW)
    assert noted(engine) == [("warning", False, "a"), ("critical", False, "a")]
    (tmp_path / "alarms.yaml").write_text("{}", encoding="utf-8")
    assert one.tell(NOW)
    with engine.begin() as connection:
        connection.execute(update(events).values(at="2026-11-02T11:29:59.000Z"))
    assert one.tell(NOW)
    said(engine, "a", range(3, 7))
    assert one.tell(NOW)
    assert noted(engine)[2:] == [("critical", False, "a"), ("critical", True, "a")]
    with engine.connect() as connection:
        for column in (events.c.title, events.c.subject, events.c.fingerprint):
            assert len(set(connection.execute(select(column).where(events.c.scope == SCOPE)).scalars())) == 1


def test_it_stays_the_same_when_its_first_rows_are_too_old(engine: Engine, watching: Callable[..., Teller]) -> None:
    """What lasts longer than alarms are looked for begins later each time, and is told once."""
    one = watching()
    for hours in (range(40), range(40, 60), range(60, 100)):
        said(engine, "a", hours, *HOSTS)
        assert one.tell(NOW)
    assert noted(engine) == [("warning", False, "a")]


def test_tenants_with_new_verdicts_are_looked_at(
    engine: Engine, watching: Callable[..., Teller], tmp_path: Path
) -> None:
    """Again where another service was at it, or the policy could not be used; only those whom some channel tells of
    alarms.
    """
    everyone, looks = of_tenant(engine, EVERYONE), list[datetime]()

    class Counted(Teller):
        def tell(self, now: datetime) -> bool:
            looks.append(now)
            return len(looks) > 1 and super().tell(now)

    def telling(**channel: Any) -> Telling:
        hook = {"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:1"}
        return Telling(everyone, lambda _: watching(Counted), CHANNELS.validate_python([hook | channel]))

    said(engine, "a", range(3), *HOSTS)
    with engine.begin() as connection:
        connection.execute(insert(cursors).values(workload="w", cluster="a", number=3))
    for others in (telling(about=["plan"]), telling(tenant="acme")):
        others.look(NOW)
    assert looks == []
    ours = telling(tenant="*")
    (tmp_path / "alarms.yaml").write_text("page_users: 2", encoding="utf-8")
    for expected in (1, 2):
        ours.look(NOW)
        assert (len(looks), noted(engine)) == (expected, [])
    (tmp_path / "alarms.yaml").write_text("{}", encoding="utf-8")
    for _ in range(2):
        ours.look(NOW)
        assert (len(looks), noted(engine)) == (3, [("warning", False, "a")])
    with engine.begin() as connection:
        connection.execute(update(cursors).values(number=4))
    ours.look(NOW)
    assert (len(looks), len(noted(engine))) == (4, 1)
    for _ in range(2):  # no row is read any more: what lasts is told again, and what is over
        ours.look(NOW + timedelta(hours=1))
    assert len(looks) == 5
