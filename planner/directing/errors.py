"""Why a request is not directed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DirectingError(Exception):
    """There is no cluster for a request; the message is one line that says why and what would help."""


class UnknownWorkloadError(DirectingError):
    """The plan in force places no workload of that name."""


class UnknownRegionError(DirectingError):
    """The plan in force places the workload, but nothing of it for users of that region."""


class UnknownClusterError(DirectingError):
    """The plan in force knows no cluster of that name."""


class NotInForceError(DirectingError):
    """The plan has not begun yet, or ended too long ago."""


class ShedError(DirectingError):
    """The plan in force has no room for the workload, though it must have a place."""


class NoClusterError(DirectingError):
    """Every cluster that the plan names for the request, and every fallback, is lost."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest name that is known, empty where none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"; '{near[0]}'?" if near else ""
