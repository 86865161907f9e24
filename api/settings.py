"""What the service is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True)
class Settings:
    """`data_dir` holds the store; `scenarios` is the folder whose sub-folders may be planned by name; `telemetry` is
    the file that diagnostics are made from. `planners` plans are solved at a time, the others wait. A plan whose
    process died with the service is tried `max_attempts` times.
    """

    data_dir: Path
    scenarios: Path | None = None
    telemetry: Path | None = None
    planners: int = 1
    max_attempts: int = 3
    max_body_bytes: int = 32 * 2**20

    def __post_init__(self) -> None:
        """Refuse counts that allow nothing, and folders that are not there."""
        for field in ("planners", "max_attempts", "max_body_bytes"):
            if getattr(self, field) < 1:
                raise InputError([f"{field}: {getattr(self, field)}: at least 1"])
        if self.scenarios is not None and not self.scenarios.is_dir():
            raise InputError([f"scenarios: {self.scenarios}: not a folder; name one that holds scenario folders"])
        if self.telemetry is not None and not self.telemetry.is_file():
            raise InputError([f"telemetry: {self.telemetry}: no such file; name a CSV or Parquet file"])

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "planner.sqlite"

    def packings(self, plan_id: str) -> Path:
        """Where the packings of a plan are kept, if it has any."""
        return self.data_dir / "packings" / f"{plan_id}.parquet"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
