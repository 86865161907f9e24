"""Drift of streams, online: false alarms while nothing changes, and points until a change is found.

Streams are made from the seed; `elec2.csv.xz` in the folder adds real values (price and demand of electricity in New
South Wales) in random order, so that nothing drifts but what is put in. Every stream is calm from its beginning to a
random point and changed from there for `AFTER` points: the mean by one standard deviation up or down, the variance
doubled, or the shape with mean and variance as they were. A delay is that of the first alarm after the change, over
streams without an alarm before it (Pollak's conditional delay; `_early` is the share of the others). A change that is
not found counts `AFTER`, as does one where every stream had an alarm before. `limit` is the delay that no test with the
same false alarms can beat on average, known change and all: log(g D) / D for g points between false alarms and a
divergence of D nats a point (Lorden, 1971), where it can be computed.

Shapes are of two groups: those of which the mixture of the planner's test knows the density, and others.

Errors of a model (right or wrong, and sizes of residuals) drift when the model goes stale: `delay_errors`, beside the
detectors that were made for just that (DDM, HDDM).
"""

from __future__ import annotations

import csv
import lzma
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.table import Table

from benchmarks.harness import Row, table, text

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

METHODS = ("planner", "adwin", "page_hinkley", "ks_windows", "psi_windows", "ddm", "hddm")
FOR_ERRORS = ("ddm", "hddm")
"""Methods for streams of right and wrong only."""
BUDGET = 1.25
"""Asked for, so that all families together stay within two: those whose spread swings keep no budget."""
CALM = 100_000
CALM_STREAMS = 4
STREAMS = 40
AFTER = 1000
BEFORE = (2000, 5000)
WINDOW = 200


# ---------------------------------------------------------------- streams


def _normal(generator: np.random.Generator, points: int) -> Floats:
    return generator.normal(size=points)


def _two_peaks(apart: float) -> Draw:
    def draw(generator: np.random.Generator, points: int) -> Floats:
        return apart * generator.choice([-1.0, 1.0], points) + np.sqrt(1 - apart**2) * generator.normal(size=points)

    return draw


def _lognormal(generator: np.random.Generator, points: int) -> Floats:
    spread = 0.6
    values = np.exp(spread * generator.normal(size=points))
    return (values - np.exp(spread**2 / 2)) / np.sqrt((np.exp(spread**2) - 1) * np.exp(spread**2))


SHAPES: dict[str, Draw] = {
    "normal": _normal,
    "uniform": lambda generator, points: generator.uniform(-np.sqrt(3), np.sqrt(3), points),
    "laplace": lambda generator, points: generator.laplace(0, np.sqrt(0.5), points),
    "skewed": lambda generator, points: generator.exponential(1, points) - 1,
    "two peaks": _two_peaks(0.9),
}
NEW_SHAPES: dict[str, Draw] = {
    "two far peaks": _two_peaks(0.95),
    "arcsine": lambda generator, points: np.sqrt(2) * np.sin(2 * np.pi * generator.random(points)),
    "log-normal": _lognormal,
    "student 2.5": lambda generator, points: generator.standard_t(2.5, points) / np.sqrt(5),
    "three values": lambda generator, points: generator.choice([-1.0, 1.0], points) * np.sqrt(
        np.where(generator.random(points) < 0.5, 0.4, 1.6)) + 0.05 * generator.normal(size=points),
}


def _following(follows: float) -> Draw:
    def draw(generator: np.random.Generator, points: int) -> Floats:
        from scipy.signal import lfilter

        noise = generator.normal(size=points + 500) * np.sqrt(1 - follows**2)
        return np.asarray(lfilter([1.0], [1.0, -follows], noise))[500:]

    return draw


def _clustered(generator: np.random.Generator, points: int) -> Floats:
    """Spread that comes in clusters: GARCH(1,1) with persistence 0.95, variance 1."""
    noise, variance, values = generator.normal(size=points), 1.0, np.zeros(points)
    for t in range(points):
        values[t] = np.sqrt(variance) * noise[t]
        variance = 0.05 + 0.1 * values[t] ** 2 + 0.85 * variance
    return values


class Stream(NamedTuple):
    """Noise of mean 0 and variance 1 that changes, and the rhythm that it is laid upon, which does not. Of `errors`
    only a growing level is a drift.
    """

    noise: Draw
    rhythm: Callable[[int], Floats] = np.zeros
    errors: bool = False


def _day(steps: int) -> Callable[[int], Floats]:
    def rhythm(points: int) -> Floats:
        phase = 2 * np.pi * np.arange(points) / steps
        return 1.5 * np.sin(phase) + 0.5 * np.cos(2 * phase)

    return rhythm


FAMILIES: dict[str, Stream] = {
    **{name: Stream(draw) for name, draw in SHAPES.items()},
    "student 3": Stream(lambda generator, points: generator.standard_t(3, points) / np.sqrt(3)),
    "seasonal 24": Stream(_normal, _day(24)),
    "seasonal 48": Stream(_normal, _day(48)),
    "follows 0.3": Stream(_following(0.3)),
    "follows 0.6": Stream(_following(0.6)),
    "follows 0.9": Stream(_following(0.9)),
    "clustered": Stream(_clustered),
}
def _wrong(share: float) -> Draw:
    return lambda generator, points: (generator.random(points) < share).astype(np.float64)


ERRORS: dict[str, tuple[Stream, Draw]] = {
    "wrong 0.1 to 0.2": (Stream(_wrong(0.1), errors=True), _wrong(0.2)),
    "wrong 0.2 to 0.4": (Stream(_wrong(0.2), errors=True), _wrong(0.4)),
    "wrong 0.05 to 0.3": (Stream(_wrong(0.05), errors=True), _wrong(0.3)),
}
RESIDUALS = "residuals half as large again"
ERRORS[RESIDUALS] = (Stream(lambda generator, points: np.abs(generator.normal(size=points)), errors=True),
                     lambda generator, points: 1.5 * np.abs(generator.normal(size=points)))
"""Calm and stale errors of a model: shares of wrong answers, and sizes of residuals."""

INDEPENDENT = (*SHAPES, "student 3", "seasonal 24", "seasonal 48", "elec2 price", "elec2 demand")
"""Where a shift of the mean by one standard deviation is not hidden by dependence."""


def _elec2(data: Path) -> dict[str, Stream]:
    """Real values that cannot drift but for what is put in: price and demand of single half-hours in random order, and
    demand of whole days in random order, which keeps rhythm and dependence within a day (each day has its own level).
    """
    source = data / "elec2.csv.xz"
    if not source.exists():
        return {}
    with lzma.open(source, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    demand, price = (np.array([float(row[name]) for row in rows]) for name in ("nswdemand", "nswprice"))
    days = demand[: len(demand) // 48 * 48].reshape(-1, 48)
    days = (days - days.mean(axis=0)) / days.std(axis=0)

    def drawn(parts: Floats) -> Draw:
        def draw(generator: np.random.Generator, points: int) -> Floats:
            size = parts.shape[1]
            return parts[generator.integers(0, len(parts), points // size + 1)].ravel()[:points]

        return draw

    scaled = {name: ((values - values.mean()) / values.std())[:, None] for name, values in
              (("elec2 price", price), ("elec2 demand", demand))}
    return {**{name: Stream(drawn(values)) for name, values in scaled.items()},
            "elec2 days": Stream(drawn(days), _day(48))}


# ---------------------------------------------------------------- methods: a stream in, points of alarm out


def _planner(stream: Floats, *, errors: bool = False) -> list[int]:
    from diagnostics.drift.online import OnlineSettings, online_changes

    return [change.at for change in online_changes(stream, OnlineSettings(BUDGET, only_up=errors))]


def _river(name: str, part: str = "river.drift") -> Callable[[Floats], list[int]]:
    def run(stream: Floats) -> list[int]:
        detector = getattr(import_module(part), name)()
        found = []
        for t, value in enumerate(stream.tolist()):
            detector.update(value)
            if detector.drift_detected:
                found.append(t)
        return found

    return run


def _windows(gap: Callable[[Floats, Floats], float], limit: float) -> Callable[[Floats], list[int]]:
    """Every ten points the last `WINDOW` against the `5 * WINDOW` before; an alarm starts a new reference."""

    def run(stream: Floats) -> list[int]:
        found, begin = [], 0
        for t in range(6 * WINDOW, len(stream), 10):
            if t - begin >= 6 * WINDOW and gap(stream[t - 6 * WINDOW : t - WINDOW], stream[t - WINDOW : t]) >= limit:
                found.append(t - 1)
                begin = t
        return found

    return run


def _ks(before: Floats, now: Floats) -> float:
    before, now = np.sort(before), np.sort(now)
    both = np.concatenate([before, now])
    return float(np.abs(np.searchsorted(before, both, "right") / len(before)
                        - np.searchsorted(now, both, "right") / len(now)).max())


def _psi(before: Floats, now: Floats) -> float:
    edges = np.quantile(before, np.arange(1, 10) / 10)
    shares = [np.bincount(np.searchsorted(edges, part, "right"), minlength=10) + 0.5 for part in (before, now)]
    old, new = (share / share.sum() for share in shares)
    return float(((new - old) * np.log(new / old)).sum())


RUN: dict[str, Callable[[Floats], list[int]]] = {
    "planner": _planner,
    "adwin": _river("ADWIN"),
    "page_hinkley": _river("PageHinkley"),
    "ks_windows": _windows(_ks, 0.16),
    "psi_windows": _windows(_psi, 0.175),
    "ddm": _river("DDM", "river.drift.binary"),
    "hddm": _river("HDDMA", "river.drift.binary"),
}
"""Peers at their usual settings; the windows' limits give normal values about 2 false alarms in 100,000."""


def _alarms(method: str, stream: Stream, values: Floats) -> list[int]:
    return _planner(values, errors=stream.errors) if method == "planner" else RUN[method](values)


def _applies(method: str, instance: str) -> bool:
    """Methods for right and wrong only are run on nothing else."""
    return method not in FOR_ERRORS or (instance in ERRORS and instance != RESIDUALS)


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Change:
    """One kind of change of one family of streams."""

    instance: str
    metric: str
    stream: Stream
    after: Callable[[Floats, np.random.Generator], Floats]


def _changes(families: dict[str, Stream]) -> Iterator[Change]:
    for name, stream in families.items():
        yield Change(name, "delay_1sigma", stream, lambda noise, generator: noise + generator.choice([-1.0, 1.0]))
        yield Change(name, "delay_variance", stream, lambda noise, _: noise * np.sqrt(2))
    for name, draw in (SHAPES | NEW_SHAPES).items():
        if name != "normal":
            yield Change(f"normal to {name}", "delay_shape", Stream(_normal),
                         lambda noise, generator, draw=draw: draw(generator, len(noise)))  # type: ignore[misc]
    for name, (stream, stale) in ERRORS.items():
        yield Change(name, "delay_errors", stream,
                     lambda noise, generator, stale=stale: stale(generator, len(noise)))  # type: ignore[misc]
    for name in ("uniform", "skewed", "two peaks"):
        yield Change(f"{name} to normal", "delay_shape", Stream(SHAPES[name]),
                     lambda noise, generator: _normal(generator, len(noise)))


def _delays(change: Change, method: str, generator: np.random.Generator) -> list[int]:
    """The delays of streams without an alarm before the change."""
    delays = []
    for _ in range(STREAMS):
        at = int(generator.integers(*BEFORE))
        noise = change.stream.noise(generator, at + AFTER)
        noise[at:] = change.after(noise[at:], generator)
        alarms = _alarms(method, change.stream, noise + change.stream.rhythm(at + AFTER))
        if not alarms or alarms[0] >= at:
            delays.append(min(alarms[0] - at + 1, AFTER) if alarms else AFTER)
    return delays


def _limits() -> dict[tuple[str, str], float]:
    """Lorden's bound for changes of independent values with known densities."""
    grid = np.linspace(-12, 12, 480_001)
    step = grid[1] - grid[0]
    root3 = np.sqrt(3)

    def normal(x: Floats, mean: float = 0.0, spread: float = 1.0) -> Floats:
        return np.exp(-(((x - mean) / spread) ** 2) / 2) / np.sqrt(2 * np.pi) / spread

    def peaks(apart: float) -> Floats:
        spread = np.sqrt(1 - apart**2)
        return (normal(grid, apart, spread) + normal(grid, -apart, spread)) / 2

    after = {
        ("normal", "delay_1sigma"): normal(grid, 1.0),
        ("normal", "delay_variance"): normal(grid, 0.0, np.sqrt(2)),
        ("normal to uniform", "delay_shape"): np.where(np.abs(grid) <= root3, 1 / (2 * root3), 0),
        ("normal to laplace", "delay_shape"): np.exp(-np.sqrt(2) * np.abs(grid)) / np.sqrt(2),
        ("normal to skewed", "delay_shape"): np.where(grid >= -1, np.exp(-(grid + 1)), 0),
        ("normal to two peaks", "delay_shape"): peaks(0.9),
        ("normal to two far peaks", "delay_shape"): peaks(0.95),
    }
    found = {}
    for key, density in after.items():
        has = density > 0
        nats = float((density[has] * np.log(density[has] / normal(grid[has]))).sum() * step)
        found[key] = float(np.log(1e5 / BUDGET * nats) / nats)
    return found


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """False alarms and delays of every method on every family; `all` is the mean over families (see the columns)."""
    families = FAMILIES | _elec2(data)
    changes = list(_changes(families))
    families |= {name: stream for name, (stream, _) in ERRORS.items()}
    known = [*families, *dict.fromkeys(change.instance for change in changes if change.instance not in families)]
    if unknown := [name for name in instances if name not in known]:
        raise ValueError(f"--instances: {', '.join(unknown)}: allowed are {', '.join(known)}")
    wanted = list(instances) or known
    rows: list[Row] = []
    for method in methods:
        if method == "planner":
            _planner(_normal(np.random.default_rng(0), 3000))  # what is compiled at its first call
        for name in families:
            if name in wanted and _applies(method, name):
                rows.append(_false_alarms(name, families[name], method, seed))
                told(f"{method}: {name}: {rows[-1].value:.1f} false alarms in 100,000")
        for order, change in enumerate(changes):
            if change.instance in wanted and _applies(method, change.instance):
                made = _delay_rows(change, method, np.random.default_rng([seed, order]))
                rows += made
                told(f"{method}: {change.instance}: {change.metric} {made[0].value:.0f}, found {made[1].value:.0%}")
        rows += _all(rows, method)
    return rows, _table(rows, methods)


def _false_alarms(name: str, stream: Stream, method: str, seed: int) -> Row:
    generator = np.random.default_rng([seed, 999])
    count, began, used = 0, time.perf_counter(), 0.0
    for _ in range(CALM_STREAMS):
        values = stream.noise(generator, CALM) + stream.rhythm(CALM)
        started = time.process_time()
        count += len(_alarms(method, stream, values))
        used += time.process_time() - started
    return Row(name, method, "false_alarms_per_100k", count / CALM_STREAMS * 1e5 / CALM, "alarms",
               round(time.perf_counter() - began, 2), round(used, 4), 0.0)


def _delay_rows(change: Change, method: str, generator: np.random.Generator) -> list[Row]:
    began, started = time.perf_counter(), time.process_time()
    delays = _delays(change, method, generator)
    took = round(time.perf_counter() - began, 2), round(time.process_time() - started, 4), 0.0
    return [Row(change.instance, method, change.metric, round(float(np.mean(delays or [AFTER])), 1), "points", *took),
            Row(change.instance, method, f"{change.metric}_found",
                round(float((np.array(delays or [AFTER]) < AFTER).mean()), 3), "share", *took),
            Row(change.instance, method, f"{change.metric}_early", round(1 - len(delays) / STREAMS, 3), "share", *took)]


def _all(rows: Sequence[Row], method: str) -> list[Row]:
    """Means over families: false alarms over all, delays of mean and variance over independent values and over all."""
    own = [row for row in rows if row.method == method]
    made = []
    others = [row.instance for row in own if row.instance not in ERRORS]
    for instance, metric, chosen in (
        ("all", "false_alarms_per_100k", others),
        ("all", "delay_1sigma", INDEPENDENT),
        ("all", "delay_variance", INDEPENDENT),
        ("all", "delay_shape", None),
        ("model errors", "false_alarms_per_100k", ERRORS),
        ("model errors", "delay_errors", None),
        ("with dependence", "delay_1sigma", None),
        ("with dependence", "delay_variance", None),
    ):
        part = [row for row in own if row.metric == metric and (chosen is None or row.instance in chosen)]
        if part:
            mean = round(float(np.mean([row.value for row in part])), 2)
            made.append(Row(instance, method, metric, mean, part[0].unit, round(sum(row.seconds for row in part), 2),
                            round(sum(row.cpu_seconds for row in part), 2), 0.0))
    calm = [row for row in own if row.metric == "false_alarms_per_100k"]
    if calm:
        used = sum(row.cpu_seconds for row in calm)
        made.append(Row("all", method, "points_per_cpu_s", round(len(calm) * CALM_STREAMS * CALM / max(used, 1e-9)),
                        "points/s", round(sum(row.seconds for row in calm), 2), round(used, 2), 0.0))
    return made


def _table(rows: Sequence[Row], methods: Sequence[str]) -> Table:
    limits = _limits()
    made = table("Drift of streams", ("metric", "instance", "limit", *methods),
                 "delays in points; `all` of delay_1sigma and delay_variance: independent values and rhythms")
    figures = {(row.metric, row.instance, row.method): row.value for row in rows}
    for metric, instance in dict.fromkeys((row.metric, row.instance) for row in rows):
        if not metric.endswith(("_found", "_early")):
            form = ",.0f" if metric == "points_per_cpu_s" else ".1f"
            made.add_row(metric, instance, text(limits.get((instance, metric)), ".0f").replace("none", ""),
                         *(text(figures.get((metric, instance, method)), form) for method in methods))
    return made
