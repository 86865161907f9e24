"""E-mail, chat and whatever else Apprise knows an address for: mailto://, slack://, mattermost://, msteams:// ..."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator

from api.channels.channel import Channel, Notice, UndeliveredError
from api.database.events import Severity
from api.section import Secret

_KINDS: Final[dict[Severity, str]] = {"info": "info", "warning": "warning", "critical": "failure"}


class Service(Channel):
    """E-mail or chat."""

    kind: Literal["service"] = Field(description="e-mail or chat")
    url: Secret = Field(description="its address as Apprise writes it: mailtos://USER:PASSWORD@HOST?to=A,B")

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: SecretStr) -> SecretStr:
        if "://" not in url.get_secret_value():
            raise ValueError("no address of Apprise: mailtos://USER:PASSWORD@HOST?to=A,B is one")
        return url


def send(channel: Service, notice: Notice) -> None:
    """Send a text. Raises UndeliveredError."""
    import apprise  # half a second and 20 MiB, only where it is used

    service = apprise.Apprise.instantiate(channel.url.get_secret_value())
    if service is None:
        raise UndeliveredError("not an address that Apprise knows", again=False)
    kind = "success" if notice.resolved else _KINDS[notice.severity]
    text = "\n".join([notice.text, *(f"{name}: {value}" for name, value in notice.fields.items())]).strip()
    body = text or notice.title
    if not service.notify(body=body, title=notice.headline, notify_type=apprise.NotifyType(kind)):
        raise UndeliveredError(f"{service.service_name}: not taken")
