"""What the service is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from api.tenancy import DEFAULT
from planner.errors import InputError

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
MOST_NICE = 19


@dataclass(frozen=True)
class Settings:
    """`data_dir` holds what is this service's own, and the store where `address` names no PostgreSQL database;
    `scenarios` is the folder whose sub-folders may be planned by name; `telemetry` is the file that diagnostics are
    made from. `planners` jobs are carried out at a time, the others wait. A job whose process died with the service is
    tried `max_attempts` times. Their processes are nicer than the service by `niceness`.
    """

    data_dir: Path
    scenarios: Path | None = None
    telemetry: Path | None = None
    planners: int = 1
    max_attempts: int = 3
    max_body_bytes: int = 32 * 2**20
    niceness: int = 10
    address: str | None = None

    def __post_init__(self) -> None:
        """Refuse counts that allow nothing, and folders that are not there."""
        for field in ("planners", "max_attempts", "max_body_bytes"):
            if getattr(self, field) < 1:
                raise InputError([f"{field}: {getattr(self, field)}: at least 1"])
        if not 0 <= self.niceness <= MOST_NICE:
            raise InputError([f"niceness: {self.niceness}: 0 (as urgent as requests) to {MOST_NICE}"])
        if self.scenarios is not None and not self.scenarios.is_dir():
            raise InputError([f"scenarios: {self.scenarios}: not a folder; name one that holds scenario folders"])
        if self.telemetry is not None and not self.telemetry.is_file():
            raise InputError([f"telemetry: {self.telemetry}: no such file; name a CSV or Parquet file"])

    @property
    def database(self) -> str:
        """The address of the database, as SQLAlchemy reads it."""
        return self.address or f"sqlite:///{self.data_dir.absolute() / 'planner.sqlite'}"

    def of(self, tenant: str) -> Self:
        """As a tenant sees them: the folder of scenarios and the telemetry are the default tenant's."""
        return self if tenant == DEFAULT else replace(self, scenarios=None, telemetry=None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """What `to_dict` gave."""
        paths: dict[str, Any] = {name: Path(given[name]) for name in ("data_dir", "scenarios", "telemetry")
                                 if given[name] is not None}
        return cls(**given | paths)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
