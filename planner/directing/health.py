"""Whether a cluster is there, from what hosts, probes and people report, without flapping.

A report counts until it is replaced by another of the same source, withdrawn, or expires. The reports of the highest
rank decide (a person's before a probe's before a host's); among several of one rank one that says `down` is enough. A
cluster that is said to be down is lost at once. One that is said to be up again comes back when that was so for the
hold time, which doubles with every loss within the last hour; a person's word brings it back at once. A cluster that
nobody reports on is up: the plan counts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any, Literal

Word = Literal["up", "down", "unknown"]
Reporter = Literal["host", "probe", "person"]
RANK: Mapping[Reporter, int] = {"host": 0, "probe": 1, "person": 2}


@dataclass(frozen=True, slots=True)
class Report:
    """`up`, `down`, or `unknown`, which withdraws what the same source said before.

    `source` tells hosts and probes apart; people speak as one, the last word counts. `expires_in_s` of None: `up`
    counts for 15 minutes, `down` until somebody says otherwise.
    """

    state: Word
    by: Reporter
    source: str = ""
    expires_in_s: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse an expiry that is none."""
        if self.expires_in_s is not None and not self.expires_in_s > 0:
            raise ValueError(f"expires_in_s: {self.expires_in_s}: seconds above 0")


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """How long a cluster is kept out after it is said to be up: `hold_s`, twice as long for every further loss within
    `memory_s`, `doublings` times at most. `up_s` is how long a report of `up` counts that states no expiry.
    """

    hold_s: float = 60.0
    memory_s: float = 3600.0
    doublings: int = 4
    up_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A report that counts, from `at` until `until` (POSIX seconds)."""

    state: Literal["up", "down"]
    by: Reporter
    source: str
    at: float
    until: float
    note: str

    def replaced_by(self, report: Report) -> bool:
        """Whether the report is of the same source."""
        return self.by == report.by and (self.by == "person" or self.source == report.source)


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """What is known of one cluster, and since when it is so. `well_since`: said to be up, but on hold. Times are POSIX
    seconds.
    """

    reports: tuple[Standing, ...] = ()
    lost: bool = False
    since: float = 0.0
    well_since: float | None = None
    losses: tuple[float, ...] = ()

    def heard(self, report: Report, now: float, how: Hysteresis) -> ClusterHealth:
        """The same after a report that came now."""
        before = self.settled(now, how)
        kept = tuple(one for one in before.reports if not one.replaced_by(report))
        if report.state != "unknown":
            lasts = report.expires_in_s or (how.up_s if report.state == "up" else inf)
            kept = (*kept, Standing(report.state, report.by, report.source, now, now + lasts, report.note))
        return _judged(replace(before, reports=kept), now, how)

    def settled(self, now: float, how: Hysteresis) -> ClusterHealth:
        """The same now: with reports expired and holds ended as their times came."""
        health = self
        while (moment := health.changes_at(how)) <= now:
            health = _judged(health, moment, how)
        return health

    def changes_at(self, how: Hysteresis) -> float:
        """When anything changes if nobody reports; infinity for never."""
        return min([one.until for one in self.reports] + [self.returns_at(how) or inf], default=inf)

    def returns_at(self, how: Hysteresis) -> float | None:
        """When the cluster is back if nobody reports; None while it is up, and while it is said to be down."""
        return None if self.well_since is None else self.well_since + self._hold_s(how)

    def _hold_s(self, how: Hysteresis) -> float:
        recent = [at for at in self.losses if at > self.losses[-1] - how.memory_s]
        return float(how.hold_s * 2 ** min(len(recent) - 1, how.doublings))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; an expiry of never is null."""
        content = asdict(self)
        for row in content["reports"]:
            row["until"] = None if row["until"] == inf else row["until"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ClusterHealth:
        """What `to_dict` gave."""
        reports = tuple(Standing(**row | {"until": inf if row["until"] is None else row["until"]})
                        for row in content["reports"])
        return cls(reports, content["lost"], content["since"], content["well_since"], tuple(content["losses"]))


def _judged(health: ClusterHealth, moment: float, how: Hysteresis) -> ClusterHealth:
    """The state machine's one step: what the reports that count at a moment make of a cluster."""
    reports = tuple(one for one in health.reports if one.until > moment)
    rank = max((RANK[one.by] for one in reports), default=-1)
    words = {one.state for one in reports if RANK[one.by] == rank}
    if "down" in words:
        if health.lost:
            return replace(health, reports=reports, well_since=None)
        losses = (*(at for at in health.losses if at > moment - how.memory_s), moment)
        return ClusterHealth(reports, lost=True, since=moment, losses=losses)
    if not health.lost:
        return replace(health, reports=reports)
    held = replace(health, reports=reports, well_since=moment if health.well_since is None else health.well_since)
    if (rank == RANK["person"] and "up" in words) or moment >= (held.returns_at(how) or 0.0):
        return replace(held, lost=False, since=moment, well_since=None)
    return held
