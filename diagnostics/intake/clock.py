"""Clocks that are wrong, as seen from when a batch arrived: set right where that can be told, refused by name else.

A row from the future is certain to be wrong; one from the past may just be late. So only clocks that are ahead are
judged. By how much a clock is ahead is known where the batch says when it was sent by that same clock, or where other
hosts of the cluster, whose clocks are not ahead, sent their newest rows along.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from diagnostics.intake.contract import IntakeSettings

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


class Seen(NamedTuple):
    """A host of a batch: its newest row, and when it says it sent the batch; microseconds since 1970, UTC."""

    cluster: str
    host: str
    newest_us: int
    sent_us: int | None


class Clock(NamedTuple):
    """By how much a host's rows go back, or why they are refused."""

    back_us: int
    refused: str | None = None


def judge(hosts: Sequence[Seen], arrived_us: int, settings: IntakeSettings) -> list[Clock]:
    """A verdict for each host, in the order given."""
    allowed = arrived_us + int(settings.skew_minutes * MINUTE_US)
    right: dict[str, list[int]] = defaultdict(list)
    for seen in hosts:
        if max(seen.newest_us, seen.sent_us or 0) <= allowed:
            right[seen.cluster].append(seen.newest_us)
    return list(_verdicts(hosts, right, (arrived_us, allowed), settings))


def _verdicts(
    hosts: Sequence[Seen], right: dict[str, list[int]], moments: tuple[int, int], settings: IntakeSettings
) -> Iterator[Clock]:
    arrived_us, allowed = moments
    for seen in hosts:
        if max(seen.newest_us, seen.sent_us or 0) <= allowed:
            yield Clock(0)
            continue
        ahead = f"rows up to {in_words(seen.newest_us - arrived_us)} ahead of their arrival"
        peers = sorted(right[seen.cluster])
        if seen.sent_us is not None and seen.sent_us > allowed:
            back = seen.sent_us - arrived_us
        elif seen.sent_us is None and peers:
            back = seen.newest_us - peers[(len(peers) - 1) // 2]
        elif seen.sent_us is not None:
            yield Clock(0, f"{ahead}, though its clock was right when it sent them; set the clock that stamps rows")
            continue
        else:
            yield Clock(0, f"{ahead}, and nothing to tell its clock by; set it, or send the column sent_at along")
            continue
        if back > settings.longest_skew_hours * HOUR_US:
            most = f"{settings.longest_skew_hours:g} h"
            yield Clock(0, f"its clock is {in_words(back)} ahead; up to {most} are set right")
        elif seen.newest_us - back > allowed:
            yield Clock(0, f"{ahead}, more than the {in_words(back)} by which its clock is; set the clock")
        else:
            yield Clock(back)


def in_words(span_us: int) -> str:
    """A span as people say it."""
    hours = abs(span_us) / HOUR_US
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
