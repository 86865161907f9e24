"""Notices sent to real receivers: an HTTP server, a mail server, and an Alertmanager where there is one."""

import base64
import hashlib
import hmac
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.channels import SENDERS, AnyChannel, Notice, UndeliveredError
from api.channels.channel import WEEK, Quiet
from api.database.events import Event

NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)  # a Monday
NOTICE = Notice(7, NOW, "default", "alarm", "critical", "cluster onprem", "latency of onprem is not as usual",
                "read latency 90 ms, usually 4 ms", resolved=False, fingerprint="f00d", fields={"since": "noon"})
KEY = base64.b64encode(b"a key of 24 bytes or so!").decode()


def channel(kind: str, **settings: Any) -> Any:
    return TypeAdapter(AnyChannel).validate_python({"name": "one", "kind": kind} | settings)


def send(to: Any, notice: Notice = NOTICE) -> None:
    SENDERS[to.kind](to, notice)


def test_a_webhook_is_signed_as_the_standard_says(hooks: Any) -> None:
    """The receiver finds the signature over id, time and body, and the same id each time; without a key there is none.
    """
    to = channel("webhook", url=hooks.url, secret=f"whsec_{KEY}")
    send(to)
    send(to)
    send(channel("webhook", url=hooks.url))
    first, again, bare = hooks.heard
    assert first.body["data"]["title"] == NOTICE.title
    assert (first.body["type"], first.body["timestamp"]) == ("planner.alarm", "2026-11-02T12:30:00.000Z")
    signed = f"{first.headers['webhook-id']}.{first.headers['webhook-timestamp']}.".encode() + first.raw
    digest = hmac.digest(base64.b64decode(KEY), signed, hashlib.sha256)
    assert first.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == "planner-7"
    assert "webhook-signature" not in bare.headers


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True), (400, False), (404, False),
                                               (302, False)])
def test_what_a_receiver_does_not_take(hooks: Any, status: int, again: bool) -> None:
    """A server in trouble is asked again, one that refuses is not; a redirect is not followed; no secret is told."""
    hooks.answers = [status]
    with pytest.raises(UndeliveredError, match=f"answers {status}") as caught:
        send(channel("webhook", url=f"{hooks.url}?token=hunter2"))
    assert caught.value.again is again
    assert "hunter2" not in str(caught.value)


def test_a_receiver_that_is_not_there_is_asked_again() -> None:
    """The host is named, and nothing else of the address."""
    with pytest.raises(UndeliveredError, match=r"^127.0.0.1:1: ConnectError$") as caught:
        send(channel("webhook", url="http://user:pass@127.0.0.1:1/hook"))
    assert caught.value.again


def test_a_mail_arrives(mails: Any) -> None:
    """The headline is the subject, the text and the fields are the body; the end of a thing says so."""
    to = channel("service", url=f"mailto://127.0.0.1:{mails.port}?mode=insecure&from=planner@example.org&to=ann@x.org")
    send(to)
    send(to, replace(NOTICE, resolved=True))
    first, second = (message_from_bytes(one, policy=default) for one in mails.heard)
    assert first["subject"] == "critical: latency of onprem is not as usual"
    assert "ann@x.org" in first["to"]
    body = first.get_body(("plain", "html"))
    assert body is not None
    assert "read latency 90 ms, usually 4 ms" in body.get_content()
    assert second["subject"] == "resolved: latency of onprem is not as usual"


def test_a_mail_server_that_is_away(mails: Any) -> None:
    """A service that does not take it is asked again; what Apprise does not know is not."""
    with pytest.raises(UndeliveredError) as caught:
        send(channel("service", url="mailto://u:hunter2@127.0.0.1:1?mode=insecure&from=a@b.org&to=c@d.org"))
    assert caught.value.again
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UndeliveredError, match="knows") as caught:
        send(channel("service", url="pigeon://coop/7"))
    assert not caught.value.again


def test_chat_by_its_webhook(hooks: Any) -> None:
    """A chat that takes JSON over HTTP, as Mattermost does, gets headline and text."""
    host = hooks.url.removeprefix("http://").split("/")[0]
    send(channel("service", url=f"json://{host}/chat"))
    assert hooks.heard[0].body["title"] == "critical: latency of onprem is not as usual"
    assert "since: noon" in hooks.heard[0].body["message"]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an Alertmanager of our own."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("alertmanager is not installed (Debian: prometheus-alertmanager)")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, f"--config.file={folder / 'config.yml'}", f"--storage.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], stderr=subprocess.DEVNULL)
    url, give_up = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.1)
    yield url
    process.kill()
    process.wait()


def test_an_alert_fires_and_is_resolved(alertmanager: str) -> None:
    """Alertmanager shows it with its labels until it ends; told again, it is one alert."""

    def alerts() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{alertmanager}/api/v2/alerts").json()
        return found

    to = channel("alertmanager", url=alertmanager)
    send(to)
    send(to, replace(NOTICE, id=8, at=datetime.now(UTC)))
    (alert,) = alerts()
    assert alert["labels"]["alertname"] == NOTICE.title
    assert (alert["labels"]["severity"], alert["annotations"]["since"]) == ("critical", "noon")
    assert alert["status"]["state"] == "active"
    send(to, replace(NOTICE, resolved=True))
    assert alerts() == []


@pytest.mark.parametrize(("settings", "says"), [
    ({"kind": "webhook", "url": "http://x", "secret": "not base64!"}, "openssl"),
    ({"kind": "webhook", "url": "http://x", "secret": "c2hvcnQ="}, "16 bytes"),
    ({"kind": "service", "url": "ann"}, "no address of Apprise"),
    ({"kind": "alertmanager", "url": "ann"}, "pattern"),
    ({"kind": "pager"}, "pager"),
    ({"kind": "webhook", "url": "http://x", "quiet": [{"begins": "25:00", "ends": "06:00"}]}, "begins"),
])
def test_a_channel_that_cannot_be_is_refused(settings: dict[str, Any], says: str) -> None:
    """The settings say what is wrong, before anything happens."""
    with pytest.raises(ValidationError, match=says):
        channel(**settings)


def test_a_channel_tells_what_it_is_for() -> None:
    """By tenant, by what it is about and by severity; a test is always told."""
    event = Event("alarm", "warning", "cluster a", "a is lost")
    assert channel("webhook", url="http://x").tells("default", event)
    assert not channel("webhook", url="http://x").tells("acme", event)
    assert channel("webhook", url="http://x", tenant="*").tells("acme", event)
    assert not channel("webhook", url="http://x", about=["job"]).tells("default", event)
    assert not channel("webhook", url="http://x", least="critical").tells("default", event)
    assert channel("webhook", url="http://x", about=[], least="critical").tells(
        "default", replace(event, about="test", severity="info"))


def test_quiet_hours_over_midnight_and_the_weekend() -> None:
    """From ten to six on every day, and from Friday's ten to Monday's six where the days between are quiet too."""
    night = {"begins": "22:00", "ends": "06:00"}
    day = {"begins": "06:00", "ends": "22:00", "weekdays": ["sat", "sun"]}
    to = channel("webhook", url="http://x", quiet=[night, day])
    event = Event("alarm", "warning", "cluster a", "a is lost")
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    assert to.waits_until(event, monday + timedelta(hours=12)) is None
    assert to.waits_until(event, monday + timedelta(hours=22)) == monday + timedelta(hours=30)
    assert to.waits_until(event, monday + timedelta(hours=29)) == monday + timedelta(hours=30)
    friday = monday + timedelta(days=4, hours=23)
    assert to.waits_until(event, friday) == monday + timedelta(days=7, hours=6)
    assert to.waits_until(replace(event, severity="critical"), friday) is None


@given(minute=st.integers(0, 1439), length=st.integers(1, 1439), at=st.integers(0, 7 * 1440 - 1),
       days=st.sets(st.sampled_from(WEEK), min_size=1))
def test_quiet_is_what_begins_and_has_not_ended(minute: int, length: int, at: int, days: set[str]) -> None:
    """A moment is quiet exactly if some quiet that began on one of its days lasts until after it."""
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    begins, ends = (f"{one // 60:02}:{one % 60:02}" for one in (minute, (minute + length) % 1440))
    quiet = Quiet.model_validate({"begins": begins, "ends": ends, "weekdays": sorted(days)})
    now = monday + timedelta(minutes=at)
    spans = [(monday + timedelta(days=n, minutes=minute), monday + timedelta(days=n, minutes=minute + length))
             for n in range(-7, 8) if WEEK[n % 7] in days]
    assert quiet.until(now) == next((end for begin, end in spans if begin <= now < end), None)
