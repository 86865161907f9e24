"""Telemetry and models at rest: encrypted where there is a key, as they are where there is none."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from planner.errors import InputError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

    from api.settings import Settings

_MARK = "gAAAA"
"""How a sealed text begins (Fernet's version and the high bits of its time)."""


class Sealing:
    """Seals texts with Fernet (AES-128 in CBC mode with HMAC-SHA-256); without keys it passes them on.

    The first key seals, all of them open, so that keys can be replaced one by one.
    """

    def __init__(self, keys: str = "") -> None:
        """`keys` are one a line. Raises InputError for one that is none."""
        self._keys = keys.split()
        try:
            if self._keys:
                self._fernet  # noqa: B018 - read now, so that a bad key is told at the start
        except ValueError:
            how = "32 bytes in URL-safe base64 a line; `openssl rand -base64 32 | tr +/ -_` makes one"
            raise InputError([f"encryption_keys: not keys: {how}"]) from None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With the keys of a service. Raises InputError."""
        keys = settings.encryption_keys
        return cls() if keys is None else cls(keys.get_secret_value())

    @property
    def on(self) -> bool:
        """Whether anything is encrypted."""
        return bool(self._keys)

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # loaded only where there is a key

        return MultiFernet([Fernet(key) for key in self._keys])

    def seal(self, text: str) -> str:
        """The text as it is kept."""
        return self._fernet.encrypt(text.encode()).decode() if self._keys else text

    def unseal(self, kept: str) -> str:
        """What `seal` was given. Raises InputError where it was sealed with a key that is not here."""
        if not kept.startswith(_MARK):
            return kept
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(kept.encode()).decode()
        except (InvalidToken, ValueError):
            lost = "encryption_keys: what is kept was sealed with a key that is not among them: add it"
            raise InputError([lost]) from None

    def open_json(self, kept: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON in what is kept."""
        return json.loads(self.unseal(kept))
