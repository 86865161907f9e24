"""Telemetry at rest in the database: texts, sealed where there is a key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from diagnostics.sealing import Sealer, SealError
from planner.errors import InputError

if TYPE_CHECKING:
    from api.settings import Settings


def sealer_of(settings: Settings) -> Sealer:
    """What seals by the keys of a service. Raises InputError."""
    keys = settings.encryption_keys
    try:
        return Sealer("" if keys is None else keys.get_secret_value())
    except SealError as error:
        raise InputError([str(error)]) from None


class Sealing:
    """Seals texts, and JSON."""

    def __init__(self, sealer: Sealer | None = None) -> None:
        self._sealer = sealer or Sealer()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With the keys of a service. Raises InputError."""
        return cls(sealer_of(settings))

    def seal(self, text: str) -> str:
        """The text as it is kept."""
        return self._sealer.seal(text.encode()).decode()

    def unseal(self, kept: str) -> str:
        """What `seal` was given. Raises InputError where it was sealed with a key that is not here."""
        try:
            return self._sealer.unseal(kept.encode()).decode()
        except SealError as error:
            raise InputError([str(error)]) from None

    def open_json(self, kept: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON in what is kept. Raises InputError where that is not what was kept."""
        try:
            return json.loads(self.unseal(kept))
        except ValueError as error:
            raise InputError([f"was changed: {error}"]) from None
