"""Roles, and what each may do. Without what serves HTTP: processes of jobs read settings too."""

from __future__ import annotations

from typing import Final, Literal

Role = Literal["viewer", "planner", "sre", "admin"]
ROLES: Final[dict[Role, frozenset[Role]]] = {
    "viewer": frozenset({"viewer"}),
    "planner": frozenset({"viewer", "planner"}),
    "sre": frozenset({"viewer", "sre"}),
    "admin": frozenset({"viewer", "planner", "sre", "admin"}),
}
"""What each role may do: its own, and what others may."""
