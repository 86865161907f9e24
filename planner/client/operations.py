"""The service itself: whether it lives, its figures, what it offers, whom it told, and who did what."""

from __future__ import annotations

from collections.abc import Iterator

from planner.client.results import Entry, Health, Json, Notification
from planner.client.transport import Transport


class Operations:
    """The service."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def alive(self) -> Health:
        """Whether the process answers."""
        return self._to.read(Health, "GET", "/healthz")

    def ready(self) -> Health:
        """Whether it can work. Raises UnavailableError where it cannot, with why."""
        return self._to.read(Health, "GET", "/readyz")

    def metrics(self) -> str:
        """Figures as Prometheus reads them."""
        return self._to.ask("GET", "/metrics").text

    def openapi(self) -> Json:
        """What the service offers."""
        return self._to.json("GET", "/openapi.json")

    def notifications(self, *, channel: str | None = None, state: str | None = None) -> Iterator[Notification]:
        """What was told over which channel, the newest first."""
        for page in self._to.pages("/v1/notifications", {"channel": channel, "state": state}):
            yield from map(Notification.model_validate, page["notifications"])

    def test_notifications(self) -> None:
        """Tell every channel something."""
        self._to.ask("POST", "/v1/notifications/test")

    def audit(self, caller: str | None = None) -> Iterator[Entry]:
        """Who did what, the newest first."""
        for page in self._to.pages("/v1/audit", {"caller": caller}):
            yield from map(Entry.model_validate, page["entries"])
