"""Webhooks, signed as https://www.standardwebhooks.com has it, so that receivers can check them with its libraries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import asdict
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from api.channels.channel import Channel, Notice
from api.channels.posting import post
from api.database.events import stamp
from api.section import Secret

_PREFIX = "whsec_"


class Webhook(Channel):
    """An address that notices are posted to as JSON."""

    kind: Literal["webhook"] = Field(description="a webhook")
    url: Secret = Field(description="where to")
    secret: Secret | None = Field(None, description="the key that notices are signed with: base64, after `whsec_`")

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            try:
                key = _key(secret)
            except binascii.Error:
                raise ValueError("not base64: `openssl rand -base64 32` makes a key") from None
            if len(key) < 16:
                raise ValueError("shorter than 16 bytes: `openssl rand -base64 32` makes a key")
        return secret


def send(channel: Webhook, notice: Notice) -> None:
    """Post a notice. Raises UndeliveredError."""
    content = asdict(notice) | {"at": stamp(notice.at)}
    body = json.dumps({"type": f"planner.{notice.about}", "timestamp": stamp(notice.at), "data": content}).encode()
    headers = {"webhook-id": f"planner-{notice.id}", "webhook-timestamp": str(int(time.time()))}
    if channel.secret is not None:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(_key(channel.secret), signed, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    post(channel.url.get_secret_value(), body, headers)


def _key(secret: SecretStr) -> bytes:
    return base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
