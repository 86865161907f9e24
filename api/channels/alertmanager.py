"""Alertmanager of Prometheus, by its API v2. It groups and silences by itself, so it is told again each time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr

from api.channels.channel import Channel, Notice
from api.channels.posting import post
from api.database.events import About, stamp
from api.section import Secret


class Alertmanager(Channel):
    """An Alertmanager."""

    kind: Literal["alertmanager"] = Field(description="an Alertmanager")
    url: str = Field(pattern="^https?://", description="its address, without /api/v2")
    username: str | None = Field(None, description="of its basic authentication")
    password: Secret | None = Field(None, description="of its basic authentication")
    about: tuple[About, ...] = Field(("alarm", "run_out", "job"), description="what it tells of")
    again_after_s: float = Field(0.0, ge=0, description="the same again within so many seconds is not told")
    lasts_s: float = Field(7_200.0, gt=0, description="an alert that is not told again ends after so many seconds")


def send(channel: Alertmanager, notice: Notice) -> None:
    """Fire or resolve an alert. Raises UndeliveredError."""
    now = datetime.now(UTC)
    ends = now if notice.resolved else now + timedelta(seconds=channel.lasts_s)
    labels = {"alertname": notice.title, "about": notice.about, "severity": notice.severity, "subject": notice.subject,
              "tenant": notice.tenant, "source": "planner"}
    alert: dict[str, Any] = {
        "labels": labels, "annotations": {"summary": notice.title, "description": notice.text, **notice.fields},
        "startsAt": stamp(min(notice.at, ends)), "endsAt": stamp(ends)}
    password = channel.password or SecretStr("")
    login = None if channel.username is None else (channel.username, password.get_secret_value())
    post(f"{channel.url.rstrip('/')}/api/v2/alerts", json.dumps([alert]).encode(), {}, login)
