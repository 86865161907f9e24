"""The answer to a what-if for people: in a terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from planner.diff_view import ROWS, markdown, terminal_view
from planner.passed import Passed
from planner.plan import Plan
from planner.sections import Section, listed, markdown_section, markdown_text, section_table
from planner.spike import Shortage
from planner.suppose import Supposed
from planner.terminal import percent, plain, plan_view, usd

HIT = 5
"""Workloads named of those that a shortage hits."""


def supposed_view(found: Supposed, rows: int = ROWS) -> RenderableType:
    """What is supposed, how the plan in force fares, the plan made anew, and what differs."""
    parts: list[RenderableType] = [Text(plain(f"What if: {'; '.join(found.changes)}"), style="bold"), ""]
    parts += [Text(plain(line)) for line in in_force_lines(found)]
    for section in in_force_sections(found, rows):
        parts += ["", section_table(section)]
    parts += ["", Text(plain(anew(found)), style="bold")]
    if found.plan is not None and found.plan.status == "infeasible":
        return Group(*parts, plan_view(found.plan, {}))
    return Group(*parts, *(["", terminal_view(found.differs, rows=rows)] if found.differs else []))


def supposed_markdown(found: Supposed, rows: int = ROWS) -> str:
    """The same as Markdown."""
    lines = [f"## What if: {markdown_text('; '.join(found.changes))}", ""]
    for line in in_force_lines(found):
        lines += [markdown_text(line), ""]
    for section in in_force_sections(found, rows):
        lines += markdown_section(section)
    lines += [f"**{markdown_text(anew(found))}**", ""]
    if found.differs is not None:
        lines.append(markdown(found.differs, rows=rows, title="What changes"))
    return "\n".join(lines)


def anew(found: Supposed) -> str:
    """The plan made anew, in a sentence."""
    plan = found.plan
    if plan is None:
        return f"Planned anew: {found.no_plan}."
    if plan.status == "infeasible":
        return "Planned anew: no plan is possible."
    bound = f"USD {usd(plan.bound)}" if plan.mode == "min_cost" else percent(plan.bound)
    return (f"Planned anew: USD {usd(plan.cost_usd)}, SLA attainment {percent(plan.sla_attainment)}, gap "
            f"{100 * plan.gap:.2f} % (bound {bound}).")


def in_force_lines(found: Supposed) -> Iterator[str]:
    """What gives first and when, and how much the plan in force still holds."""
    fares, plan = found.fares, found.before
    if found.stale:
        yield "The plan in force is stale: it was made from another state of this scenario."
    if fares.holds:
        yield "The plan in force holds: its pools have room for this, all units where they are."
    elif fares.shortages:
        first = fares.shortages[0]
        yield f"The plan in force gives way in {_count(len(fares.shortages), 'pool')}, first {_gives(first, plan)}."
    if fares.passed:
        first_passed = _gives(fares.passed[0], plan)
        yield f"The plan in force passes {_count(len(fares.passed), 'shared limit')}, first {first_passed}."
    if fares.displaced:
        yield f"{_count(len(fares.displaced), 'place')} of the plan in force cannot stay."
    whose = "today's demand" + (f" of {_count(fares.scaled, 'workload')}" if fares.scaled < fares.workloads else "")
    if fares.factor is None:
        yield f"The plan in force does not hold even without {whose}."
    elif fares.first_beyond is not None:
        more = f"x{fares.factor + 0.01:.2f}"
        yield (f"It holds up to x{fares.factor:.2f} of {whose}; at {more} first to give is "
               f"{_gives(fares.first_beyond, plan)}.")
    else:
        yield f"It holds at least x{fares.factor:.2f} of {whose}; more was not looked at."


def _gives(short: Shortage | Passed, plan: Plan) -> str:
    if isinstance(short, Passed):
        return f"limit {short.limit} in {_slot(plan, short.slot)}: {_count(short.lacking, 'machine')} too few within it"
    return (f"{short.cluster}/{short.pool} in {_slot(plan, short.slot)}: {short.lacking:,} more than its "
            f"{_count(short.most, 'machine')} {'is' if short.lacking == 1 else 'are'} needed (hit: {_hit(short)})")


def _hit(short: Shortage) -> str:
    more = f" and {len(short.hit) - HIT} more" if len(short.hit) > HIT else ""
    return ", ".join(short.hit[:HIT]) + more


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _slot(plan: Plan, slot: int) -> str:
    moment = plan.horizon.moment(slot)
    return f"slot {slot}" + ("" if moment is None else f" ({moment:%a %d %b %H:%M})")


def in_force_sections(found: Supposed, rows: int) -> list[Section]:
    """Pools that run out, limits passed, and units that cannot stay."""
    lines = [(f"{row.cluster}/{row.pool}", _hit(row), str(row.slot), f"{row.lacking:,}", f"{row.most:,}",
              f"{row.slots:,}", f"{row.worst_lacking:,} in {row.worst_slot}") for row in found.fares.shortages]
    headings = ("pool", "hit, least important first", "slot", "lacking", "of at most", "slots short", "worst")
    limits = [(row.limit, str(row.slot), f"{row.lacking:,}", f"{row.slots:,}",
               f"{row.worst_lacking:,} in {row.worst_slot}") for row in found.fares.passed]
    made = [listed("Pools that run out, by the first slot", headings, lines, rows, 2),
            listed("Shared limits passed, by the first slot", ("limit", "slot", "lacking", "slots short", "worst"),
                   limits, rows, 3),
            listed("Cannot stay", ("what",), [(line,) for line in found.fares.displaced], rows, 9)]
    return [section for section in made if section.rows]
