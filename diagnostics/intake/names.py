"""Names of clusters and hosts as keyed hashes: the same name is the same hash, and only who has the key can tell whose.

HMAC-SHA-256 (RFC 2104): without the key nobody can try out names, which a plain hash would allow. A host's hash depends
on its cluster, so that "host-001" of two clusters are two.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from diagnostics.intake.contract import IntakeError

LEAST_BYTES = 16
_LETTERS = 16


@dataclass(frozen=True)
class Names:
    """Hashes names with a secret `key` of 16 bytes or more.

    Raises:
        IntakeError: the key is shorter.

    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that can be guessed."""
        if len(self.key) < LEAST_BYTES:
            raise IntakeError(f"key: {len(self.key)} bytes: at least {LEAST_BYTES}; `openssl rand -hex 32` makes one")

    def cluster(self, name: str) -> str:
        """The hash of a cluster's name."""
        return self._of("cluster", name)

    def host(self, cluster: str, name: str) -> str:
        """The hash of a host's name in its cluster; no name stays none."""
        return self._of("host", cluster, name) if name else ""

    def batch(self, name: str) -> str:
        """The hash of a batch's id, which may hold names too."""
        return self._of("batch", name)

    def check(self) -> str:
        """What a store remembers a key by."""
        return self._of("check")

    def _of(self, *parts: str) -> str:
        message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_LETTERS]
