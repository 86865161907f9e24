"""A fleet's telemetry from a small model of hosts: demand has a day, a week and a mood; everything else follows.

Load follows the local day and week of its cluster, an hourly mood that all hosts share (an autoregression), and each
host's own share and noise. From it come IOs, their size, the share that flash answers, and by a queue of `streams`
servers (latency = service / (1 - use), queue depth by Little's law) latency and depth; processor, memory and network
follow. So metrics move together the way they do on real hosts, and differently on all-flash and on mixed hardware,
where the cache decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from diagnostics.synthetic.hardware import HARDWARE, Hardware
from diagnostics.telemetry import MINUTES_PER_DAY, Series, Telemetry

if TYPE_CHECKING:  # pandas is only loaded when a frame is asked for
    import pandas as pd

Floats = npt.NDArray[np.float64]

GAUGES = ("cache_hit_share", "cpu_share", "io_size_kib", "iops", "memory_share", "network_mbps", "queue_depth",
          "read_latency_ms", "throughput_mib_s", "write_latency_ms")  # fmt: skip
COUNTERS = ("io_total", "moved_mib_total")
"""Counted since the host started; a restart begins at 0 again."""

_MOST_USED = 0.93
_REBOOT_CHANCE_A_DAY = 0.004


@dataclass(frozen=True)
class Site:
    """A cluster of equal hosts: `utc_offset_h` is how many hours its day is ahead of UTC, `io_times` how much larger,
    and fewer, IOs are than such hosts otherwise get.
    """

    cluster: str
    hardware_class: str
    country: str
    hosts: int = 4
    utc_offset_h: int = 0
    io_times: float = 1.0

    def __post_init__(self) -> None:
        """Refuse hardware that is not known."""
        if self.hardware_class not in HARDWARE:
            raise ValueError(f"hardware_class: {self.hardware_class!r}: one of {', '.join(HARDWARE)}")
        if self.hosts < 1:
            raise ValueError(f"hosts: {self.hosts}: at least 1")
        if not self.io_times > 0:
            raise ValueError(f"io_times: {self.io_times}: above 0")

    @property
    def hardware(self) -> Hardware:
        """One of its hosts, under the IOs that it gets."""
        usual = HARDWARE[self.hardware_class]
        return replace(usual, io_kib=usual.io_kib * self.io_times, iops=usual.iops / self.io_times)


class Host(NamedTuple):
    """One host, by its names."""

    cluster: str
    host: str
    hardware_class: str
    country: str


@dataclass(frozen=True, eq=False)
class Fleet:
    """`gauges` [hosts, GAUGES, steps] and `counters` [hosts, COUNTERS, steps] of `hosts`, from `start` (UTC)."""

    hosts: tuple[Host, ...]
    gauges: Floats
    counters: Floats
    start: np.datetime64
    step_minutes: int

    def by_cluster(self) -> Telemetry:
        """The mean of a cluster's hosts, metric by metric."""
        clusters = sorted({(host.cluster, host.hardware_class) for host in self.hosts})
        member = np.array([clusters.index((host.cluster, host.hardware_class)) for host in self.hosts])
        means = np.stack([self.gauges[member == number].mean(axis=0) for number in range(len(clusters))])
        return self._telemetry([Series(*cluster, metric) for cluster in clusters for metric in GAUGES], means)

    def by_host(self) -> Telemetry:
        """Every host by itself, as cluster/host."""
        names = [(f"{host.cluster}/{host.host}", host.hardware_class) for host in self.hosts]
        return self._telemetry([Series(*name, metric) for name in names for metric in GAUGES], self.gauges)

    def frame(self, first: int = 0, after: int | None = None) -> pd.DataFrame:
        """Steps `first` to before `after` as hosts send them: cluster, host, hardware_class, metric, ts, value."""
        import pandas as pd

        values = np.concatenate([self.gauges, self.counters], axis=1)[:, :, first:after]
        hosts, metrics, steps = values.shape
        names = np.array([host[:3] for host in self.hosts], dtype=object)
        hours = self.start + (first + np.arange(steps)) * np.timedelta64(self.step_minutes, "m")
        columns = {
            name: np.repeat(names[:, number], metrics * steps)
            for number, name in enumerate(("cluster", "host", "hardware_class"))
        }
        columns["metric"] = np.tile(np.repeat(np.array(GAUGES + COUNTERS, dtype=object), steps), hosts)
        stamps = pd.DatetimeIndex(np.tile(hours.astype("datetime64[ms]"), hosts * metrics)).tz_localize("UTC")
        return pd.DataFrame({**columns, "ts": stamps, "value": values.ravel()})

    def _telemetry(self, series: list[Series], values: Floats) -> Telemetry:
        rows = values.reshape(len(series), -1)
        order = sorted(range(len(series)), key=series.__getitem__)
        return Telemetry(tuple(series[row] for row in order), rows[order], self.start, self.step_minutes)


def make_fleet(
    sites: Sequence[Site], days: int, seed: int, start: str = "2026-08-31", step_minutes: int = 60
) -> Fleet:
    """Telemetry of `days` from `start` (a day, UTC). A cluster's figures do not depend on the others; the same seed
    gives the same figures.
    """
    if step_minutes < 1 or MINUTES_PER_DAY % step_minutes:
        raise ValueError(f"step_minutes: {step_minutes}: a whole number of minutes that divides a day")
    begin = np.datetime64(start, "m")
    steps = days * MINUTES_PER_DAY // step_minutes
    hosts, gauges, counters = [], [], []
    for site in sites:
        generator = np.random.default_rng([seed, *site.cluster.encode()])
        names = [Host(site.cluster, f"host-{number + 1:03d}", site.hardware_class, site.country)
                 for number in range(site.hosts)]  # fmt: skip
        load = _load(site, begin, steps, step_minutes, generator)
        found = _gauges(site.hardware, load, generator)
        hosts += names
        gauges.append(np.stack([found[metric] for metric in GAUGES], axis=1))
        counters.append(_counters(found, step_minutes, generator))
    return Fleet(tuple(hosts), np.concatenate(gauges), np.concatenate(counters), begin, step_minutes)


def _load(site: Site, begin: np.datetime64, steps: int, step_minutes: int, generator: np.random.Generator) -> Floats:
    """Share of full load [hosts, steps]."""
    hour = np.arange(steps) * step_minutes / 60 + site.utc_offset_h
    day = begin.astype("datetime64[D]").astype(np.int64) + 3 + np.floor(hour / 24)  # 1970 began on a Thursday
    wave = 0.52 + 0.22 * np.cos(2 * np.pi * (hour % 24 - 14.5) / 24) + 0.06 * np.cos(4 * np.pi * (hour % 24 - 10) / 24)
    shape = wave * np.where(day % 7 >= 5, 0.65, 1.0)
    mood = _wander(generator, (1, steps), 0.04, 0.8 ** (step_minutes / 60))
    own = generator.uniform(0.85, 1.15, (site.hosts, 1)) * np.exp(_wander(generator, (site.hosts, steps), 0.05, 0.3))
    return np.asarray(np.clip(shape * np.exp(mood) * own, 0.01, 1.2))


def _wander(generator: np.random.Generator, shape: tuple[int, int], scale: float, memory: float) -> Floats:
    """An autoregression of order one along axis 1 with the standard deviation `scale`."""
    from scipy.signal import lfilter  # loaded only where telemetry is made

    noise = generator.normal(0.0, scale * np.sqrt(1 - memory**2), shape)
    noise[:, 0] = generator.normal(0.0, scale, shape[0])
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=1))


def _gauges(hardware: Hardware, load: Floats, generator: np.random.Generator) -> dict[str, Floats]:
    """What hosts [hosts, steps] show at a load."""
    shape = load.shape

    def noise(scale: float) -> Floats:
        return np.asarray(np.exp(generator.normal(0.0, scale, shape)))

    iops = hardware.iops * load * noise(0.02)
    io_kib = hardware.io_kib * np.exp(_wander(generator, shape, 0.06, 0.7))
    missed = (1 - hardware.hit_share + hardware.hit_loss * (load - 0.5)) * noise(0.05)
    hit = np.clip(1 - missed, 0.0, 1.0)
    move_ms = io_kib / 1024 / hardware.mib_per_s * 1000
    service_ms = hit * hardware.flash_ms + (1 - hit) * hardware.disk_ms + move_ms
    used = np.minimum(iops * service_ms / 1000 / hardware.streams, _MOST_USED)
    read_ms = service_ms / (1 - used) * noise(0.04)
    write_ms = (1.6 * hardware.flash_ms + move_ms) / (1 - used) * noise(0.05)
    throughput = iops * io_kib / 1024
    full = hardware.iops * hardware.io_kib / 1024
    return {
        "cache_hit_share": hit,
        "cpu_share": np.clip(0.06 + 0.45 * load + 0.12 * throughput / full + 0.05 * used, 0, 1) * noise(0.02),
        "io_size_kib": io_kib,
        "iops": iops,
        "memory_share": np.clip(0.55 + 0.12 * load + _wander(generator, shape, 0.02, 0.95), 0, 0.99),
        "network_mbps": 8 * 1.048576 * throughput * 0.4 * noise(0.05),
        "queue_depth": iops * read_ms / 1000,
        "read_latency_ms": read_ms,
        "throughput_mib_s": throughput,
        "write_latency_ms": write_ms,
    }


def _counters(gauges: dict[str, Floats], step_minutes: int, generator: np.random.Generator) -> Floats:
    """Counters [hosts, COUNTERS, steps] at the end of every step; now and then a host restarts and counts from 0."""
    hosts, steps = gauges["iops"].shape
    restarted = generator.random((hosts, steps)) < _REBOOT_CHANCE_A_DAY * step_minutes / MINUTES_PER_DAY
    counted = np.stack([gauges["iops"], gauges["throughput_mib_s"]], axis=1) * step_minutes * 60
    total = np.cumsum(counted, axis=2)
    before = np.where(restarted[:, None, :], total - counted, 0.0)
    return np.asarray(np.floor(total - np.maximum.accumulate(before, axis=2)))
