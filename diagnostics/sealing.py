"""What is kept at rest: encrypted where there is a key, as it is where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_MARK = b"gAAAA"
"""How something sealed begins (Fernet's version and the high bits of its time)."""
VARIABLE = "PLANNER_ENCRYPTION_KEYS"
"""Variable of the environment with keys; with `_FILE` behind it: of a file that holds them."""


class SealError(ValueError):
    """Keys that are none, or something that was sealed with others."""


class Sealer:
    """Seals bytes with Fernet (AES-128 in CBC mode with HMAC-SHA-256); without keys it passes them on.

    The first key seals, all of them open, so that keys can be replaced one by one. What was kept before there was a
    key is opened too.
    """

    def __init__(self, keys: str = "") -> None:
        """`keys` are one a line. Raises SealError for one that is none."""
        self._keys = keys.split()
        try:
            if self._keys:
                self._fernet  # noqa: B018 - read now, so that a bad key is told at the start
        except ValueError:
            how = "32 bytes in URL-safe base64 a line; `openssl rand -base64 32 | tr +/ -_` makes one"
            raise SealError(f"encryption_keys: not keys: {how}") from None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """With the keys that variables say. Raises SealError, also for a file that cannot be read."""
        file = environment.get(f"{VARIABLE}_FILE")
        try:
            return cls(Path(file).read_text(encoding="utf-8") if file else environment.get(VARIABLE, ""))
        except (OSError, UnicodeDecodeError) as error:
            raise SealError(f"{VARIABLE}_FILE: {file}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None

    @property
    def on(self) -> bool:
        """Whether anything is encrypted."""
        return bool(self._keys)

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # loaded only where there is a key

        return MultiFernet([Fernet(key) for key in self._keys])

    @staticmethod
    def is_sealed(path: Path) -> bool:
        """Whether a file begins as what was sealed does. Raises OSError."""
        with path.open("rb") as file:
            return file.read(len(_MARK)) == _MARK

    def seal(self, content: bytes) -> bytes:
        """The content as it is kept."""
        return self._fernet.encrypt(content) if self._keys else content

    def unseal(self, kept: bytes) -> bytes:
        """What `seal` was given. Raises SealError where it was changed, or sealed with a key that is not here."""
        if not kept.startswith(_MARK):
            return kept
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(kept)
        except (InvalidToken, ValueError):
            raise SealError("encryption_keys: was changed, or sealed with a key that is not among them") from None
