"""Ways of telling people, one module each: its settings, and `send`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import Field

from api.channels import alertmanager, service, webhook
from api.channels.channel import Channel, Notice, UndeliveredError

AnyChannel = Annotated[webhook.Webhook | alertmanager.Alertmanager | service.Service, Field(discriminator="kind")]
SENDERS: Final[dict[str, Callable[[Any, Notice], None]]] = {
    "webhook": webhook.send,
    "alertmanager": alertmanager.send,
    "service": service.send,
}
"""What sends a notice over a channel of each kind."""

__all__ = ["SENDERS", "AnyChannel", "Channel", "Notice", "UndeliveredError"]
