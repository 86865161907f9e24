"""What comes after an alarm and belongs to it: other metrics of the same places, in the same burst and later ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from diagnostics.alarms.events import Attributes
from diagnostics.alarms.lifecycle import Alarm
from diagnostics.causes.sharing import Flags, Hypothesis, Inventory, described, matching, score_of

_ABOUT_METRICS = ("measures", "metric")
_HOMES = ("host", "cluster")
"""What metrics that follow each other are of, the nearest first."""


@dataclass(frozen=True, eq=False)
class Found:
    """A hypothesis, which places [entities] have it, of which kinds its alarms are, and the alarms it takes."""

    hypothesis: Hypothesis
    inside: Flags
    kinds: frozenset[int]
    members: list[Alarm]


def joined_with(found: list[Found], left: list[Alarm], inventory: Inventory) -> tuple[list[Found], list[Alarm]]:
    """Groups about some metrics of the same places are one, the first, and alarms that are left join it where at least
    half of the places that have their metric are alarmed.
    """
    joined: list[Found] = []
    for one in found:
        same = [at for at, other in enumerate(joined) if _scope(one) == _scope(other) != ()
                and (_about_metrics(one) or _about_metrics(other))]
        if same:
            joined[same[0]] = replace(joined[same[0]], members=in_order([*joined[same[0]].members, *one.members]))
        else:
            joined.append(one)
    for at, one in enumerate(joined):
        if _about_metrics(one) and _scope(one):
            joined[at], left = _taking(one, left, left, inventory)
    return joined, left


def followed(found: list[Found], left: list[Alarm], inventory: Inventory,
             follows: timedelta) -> tuple[list[Found], list[Alarm]]:
    """Groups of alarms of metrics that come while one about the same places fires are that one, and so are alarms that
    are left there, as above.
    """
    grown: list[Found] = []
    for one in sorted(found, key=lambda one: one.members[0].since):
        before = [at for at, other in enumerate(grown) if _scope(one) == _scope(other) != ()
                  and _of_metrics(one.members + other.members) and _follows(one.members[0], other.members, follows)]
        if before:
            grown[before[-1]] = replace(grown[before[-1]],
                                        members=in_order([*grown[before[-1]].members, *one.members]))
        else:
            grown.append(one)
    for at, one in enumerate(grown):
        if _scope(one) and _of_metrics(one.members):
            near = [alarm for alarm in left
                    if _follows(alarm, one.members, follows) or _follows(one.members[0], [alarm], follows)]
            grown[at], left = _taking(one, near, left, inventory)
    return [replace(one, hypothesis=described(inventory, alarmed_by(one.members, inventory), one.hypothesis.conditions,
                                              one.hypothesis.score)) for one in grown], left


def by_home(left: list[Alarm], inventory: Inventory, follows: timedelta) -> tuple[list[Found], list[Alarm]]:
    """Alarms of metrics of one host, or of a cluster without hosts, that follow each other, few as they are; and those
    that are alone.
    """
    chains: dict[tuple[str, str], list[list[Alarm]]] = {}
    for alarm in left:
        homes = [pair for name in _HOMES for pair in alarm.attributes if pair[0] == name]
        if not homes or not _of_metrics([alarm]):
            continue
        own = chains.setdefault(homes[0], [])
        if own and _follows(alarm, own[-1], follows):
            own[-1].append(alarm)
        else:
            own.append([alarm])
    found = []
    for home, members in ((home, members) for home, own in sorted(chains.items()) for members in own):
        alarmed = alarmed_by(members, inventory)
        if alarmed.sum() > 1:
            score = score_of(inventory, alarmed[None], np.ones_like(alarmed)[None], (home,))
            found.append(Found(described(inventory, alarmed, (home,), score), matching(inventory, (home,)),
                               frozenset(), members))
    taken = {name_of(alarm) for one in found for alarm in one.members}
    return found, [alarm for alarm in left if name_of(alarm) not in taken]


def _follows(alarm: Alarm, before: list[Alarm], follows: timedelta) -> bool:
    """Whether an alarm begins while some of those before it fire, and soon enough after the last of them began."""
    begun = [other.since for other in before if other.since <= alarm.since]
    return (bool(begun) and alarm.since <= max(begun) + follows
            and any(other.fires_at(alarm.since) for other in before))


def _of_metrics(alarms: list[Alarm]) -> bool:
    return all(any(name == "metric" for name, _ in alarm.attributes) for alarm in alarms)


def _taking(one: Found, near: list[Alarm], left: list[Alarm], inventory: Inventory) -> tuple[Found, list[Alarm]]:
    """A group with those alarms near it that are at its places, of metrics that at least half of the places that have
    them alarm by; and what is left.
    """
    here, more = matching(inventory, _scope(one)), list[Alarm]()
    for pair in sorted({pair for alarm in near for pair in alarm.attributes if pair[0] == "metric"}):
        places = here & matching(inventory, (pair,))
        own = [alarm for alarm in near if places[inventory.index[alarm.attributes]]]
        if own and 2 * len({alarm.attributes for alarm in own}) >= places.sum():
            more += own
    names = set(map(name_of, more))
    return (replace(one, members=in_order([*one.members, *more])),
            [alarm for alarm in left if name_of(alarm) not in names])


def _about_metrics(one: Found) -> bool:
    return len(_scope(one)) < len(one.hypothesis.conditions)


def _scope(one: Found) -> Attributes:
    """The places that a hypothesis is about, whatever is measured there."""
    return tuple(pair for pair in one.hypothesis.conditions if pair[0] not in _ABOUT_METRICS)


def in_order(alarms: list[Alarm]) -> list[Alarm]:
    """Alarms by when they began."""
    return sorted(alarms, key=lambda alarm: (alarm.since, alarm.fingerprint))


def name_of(alarm: Alarm) -> tuple[str, datetime]:
    """What tells an alarm from all others, earlier ones of its fingerprint too."""
    return alarm.fingerprint, alarm.since


def alarmed_by(alarms: list[Alarm], inventory: Inventory) -> Flags:
    """Which entities [entities] have an alarm."""
    alarmed = np.zeros(len(inventory.entities), dtype=bool)
    alarmed[[inventory.index[alarm.attributes] for alarm in alarms]] = True
    return alarmed
