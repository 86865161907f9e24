"""An explanation for people in a terminal, wide or narrow."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.explanation import Explanation, Place, Step, Unit
from planner.terminal import percent, plain, usd

SHOWN = 25
"""Legal places shown of one unit; JSON has all."""
CENT = 0.005


def explanation_view(found: Explanation) -> RenderableType:
    """Where it is and why, then a table of other places for each unit, then what is forbidden and by what."""
    parts: list[RenderableType] = [_facts(found)]
    for unit in found.units:
        parts += list(_places(unit, several=len(found.units) > 1))
    return Group(*parts)


def _facts(found: Explanation) -> Table:
    """Label and sentence, one under the other."""
    grid = Table(title=Text(plain(found.workload), style="bold"), title_justify="left", show_header=False, box=None,
                 pad_edge=False, expand=False)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for label, text in _rows(found):
        grid.add_row(label, Text(plain(text)))
    return grid


def _rows(found: Explanation) -> Iterator[tuple[str, str]]:
    for reason in found.not_placed:
        yield "Not placed", reason
    for unit in found.units:
        if unit.cluster is not None:
            yield _who(unit) or "Runs on", f"{unit.cluster}/{unit.pool}{_start(unit.start_slot)}"
            yield "  why", unit.why
            yield "  costs", _money(unit.costs_usd)
            if unit.runner_up is not None:
                yield "  runner-up", _runner_up(unit.runner_up)
    if found.needs:
        yield "Needs", found.needs
    if found.cost_usd:
        share = percent(found.cost_usd / max(found.plan_cost_usd, CENT))
        yield "Costs", f"USD {usd(found.cost_usd)}, {share} of the plan"
    if found.resolved is not None:
        yield "Re-solved", _resolved(found)
    for line in found.binding:
        yield "Bound by", line
    for step in found.rules:
        yield "Rule", _step(step)
    if found.shares_with:
        names = ", ".join(found.shares_with[:8])
        yield "Shares", f"machines with {names}" + (f" and {len(found.shares_with) - 8} more"
                                                    if len(found.shares_with) > 8 else "")
    for lost, place in found.fallbacks:
        yield "Fallback", f"if {lost} is lost: {place}"


def _who(unit: Unit) -> str:
    parts = [unit.user_region or "", f"copy {unit.copy}" if unit.copies > 1 else ""]
    return ", ".join(part for part in parts if part)


def _start(slot: int | None) -> str:
    return "" if slot is None else f", from slot {slot}"


def _money(parts: dict[str, float]) -> str:
    shown = ", ".join(f"{name} {usd(amount)}" for name, amount in parts.items() if abs(amount) > CENT)
    return f"USD {usd(sum(parts.values()))}" + (f": {shown}" if shown else "")


def _runner_up(place: Place) -> str:
    return f"{place.name}{_start(place.start_slot)}: {_extra(place)}, all else in place" + _lacking(place)


def _extra(place: Place) -> str:
    extra = place.extra_usd or 0.0
    about = "" if place.exact else "about "
    return f"{about}USD {usd(abs(extra))} {'less' if extra < 0 else 'more'}"


def _lacking(place: Place) -> str:
    return f", but no room: {place.lacking} machine{'s' * (place.lacking > 1)} too few" if place.lacking else ""


def _resolved(found: Explanation) -> str:
    answer = found.resolved
    assert answer is not None
    if answer.cost_usd is None or answer.extra_usd is None:
        return f"{answer.place}: {answer.why_not}" if answer.place else answer.why_not
    word = "less" if answer.extra_usd < 0 else "more"
    if answer.move_usd is not None and answer.move_usd < answer.extra_usd:
        return f"forced to {answer.place}, no plan was found that is cheaper than this one with that move alone"
    return (f"forced to {answer.place}, all else planned anew: USD {usd(abs(answer.extra_usd))} {word} "
            f"(USD {usd(answer.cost_usd)}; no such plan costs less than {usd(answer.bound_usd or 0.0)})")


def _step(step: Step) -> str:
    whose = f"users in {step.user_region}: " if step.user_region else ""
    return f"{whose}{step.rule} takes {step.taken}, leaves {step.left}: {step.why}"


def _places(unit: Unit, *, several: bool) -> Iterator[RenderableType]:
    legal = [place for place in unit.places if not place.why_not]
    closed = [place for place in unit.places if place.why_not]
    of = f" for {_who(unit)}" if several and _who(unit) else ""
    if legal:
        table = _table(f"Other places{of}", ("Place", "USD more", "Room", "What differs"), right=1)
        for place in legal[:SHOWN]:
            table.add_row(Text(plain(place.name)), ("" if place.exact else "about ") + usd(place.extra_usd or 0.0),
                          "yes" if not place.lacking else f"{place.lacking} too few", _differs(place))
        yield table
        if len(legal) > SHOWN:
            yield Text(f"and {len(legal) - SHOWN} more legal places, none of them cheaper with room")
    if closed:
        table = _table(f"Forbidden places{of}", ("Place", "Rules", "Why"))
        for why, places in _by_reason(closed).items():
            table.add_row(Text("\n".join(plain(place.name) for place in places)),
                          ", ".join(places[0].rules), Text(plain(why)))
        yield table


def _table(title: str, headings: tuple[str, ...], right: int | None = None) -> Table:
    table = Table(title=Text(plain(title)), title_justify="left")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at == right else "left", overflow="fold")
    return table


def _differs(place: Place) -> str:
    parts = [f"{name} {usd(amount)}" for name, amount in place.extra_by_part_usd.items()]
    return ", ".join(parts) + (_start(place.start_slot) if not parts else "")


def _by_reason(places: list[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.why_not, []).append(place)
    return found
