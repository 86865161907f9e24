"""Hardware classes by name: what one host can do. A new one is one line in `HARDWARE`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """One host of a class.

    A read takes `flash_ms` where flash answers it, which `hit_share` of them do at half load (`hit_loss` fewer for each
    load more), and `disk_ms` otherwise; `mib_per_s` is what one IO moves at. `streams` IOs are in service at once, of
    `io_kib` each, `iops` of them a second at full load.
    """

    flash_ms: float
    disk_ms: float
    hit_share: float
    hit_loss: float
    mib_per_s: float
    streams: int
    io_kib: float
    iops: float

    def __post_init__(self) -> None:
        """Refuse a host that answers nothing, or more than there is."""
        if not 0 < self.hit_share <= 1:
            raise ValueError(f"hit_share: {self.hit_share}: above 0, at most 1")
        for name in ("flash_ms", "disk_ms", "mib_per_s", "streams", "io_kib", "iops"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)}: above 0")


HARDWARE: dict[str, Hardware] = {
    "all-flash-nvme": Hardware(0.11, 0.11, 1.0, 0.0, 2_000.0, 24, 16.0, 120_000.0),
    "mixed-disk": Hardware(0.35, 7.5, 0.93, 0.10, 180.0, 12, 32.0, 6_000.0),
}
