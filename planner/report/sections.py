"""What a plan says beside machines and places, as tables: losses, commitments, limits, chances, owners, waves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from planner.sections import Section, listed
from planner.terminal import percent, usd

if TYPE_CHECKING:
    from planner.plan import Place, Plan

PLACES = 4
"""Pools named where the units of one loss go."""


class Told(NamedTuple):
    """A table, what it means in a sentence, and (folded away) the rows it sums up."""

    section: Section
    meaning: str
    detail: Section | None = None


def plan_sections(plan: Plan, rows: int) -> list[Told]:
    """The tables that a plan has anything for, with `rows` rows each at most."""
    made = (_commitments, _scarce, _interference, _misses, _owners, _diagnostics, _survival, _waves)
    return [told for make in made for told in make(plan, rows)]


def _commitments(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.commitments:
        lines = [(row.name, f"{row.owned:,.6g}", f"{row.bought:,.6g}", percent(row.used_share), usd(row.cost_usd))
                 for row in plan.commitments]
        yield Told(listed("Commitments", ("Commitment", "owned", "bought", "used", "USD"), lines, rows),
                   "Paid in every slot, used or not; what is used takes the place of machines on demand.")


def _scarce(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.scarce:
        lines = [(row.what, usd(row.price_usd)) for row in plan.scarce]
        yield Told(listed("What limits this plan", ("Limit that is reached", "one more is worth, USD"), lines, rows),
                   "Limits that the plan reaches in some slot, and what one unit more would be worth over the horizon.")


def _interference(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.interference is not None and plan.interference.slowed:
        found = sorted(plan.interference.slowed, key=lambda row: (-row.replicas_more, row.workload, row.by))
        lines = [(row.workload, row.by, f"{row.cluster}/{row.pool}", percent(row.throughput), f"{row.slots:,}",
                  f"{row.replicas_more:,}") for row in found]
        head = ("Workload", "beside", "in", "keeps of its throughput", "slots", "replicas more")
        yield Told(listed("Interference", head, lines, rows),
                   f"Who may share machines with whom and is slower for it; {plan.interference.kept_apart} of "
                   f"{plan.interference.pairs} measured pairs never meet.")


def _misses(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.misses:
        lines = [(row.workload, *(f"{100 * share:.2f} %" if share is not None else ""
                                  for share in (row.chance, row.mean, row.held_out)))
                 for row in sorted(plan.misses, key=lambda row: (-row.chance, row.workload))]
        yield Told(listed("Chance of a miss", ("Workload", "worst slot", "on average", "held out"), lines, rows),
                   "The chance, in a slot, that a pool of the workload has too little room: by the sample paths it was "
                   "sized on, and on average over paths that it was not sized on.")


def _owners(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.costs_by_owner:
        lines = [(owner or "nobody named", usd(cost))
                 for owner, cost in sorted(plan.costs_by_owner.items(), key=lambda item: (-item[1], item[0]))]
        yield Told(listed("Cost by owner", ("Owner", "USD"), lines, rows), "USD over the horizon.")


def _diagnostics(plan: Plan, rows: int) -> Iterator[Told]:
    if plan.costs_of_diagnostics:
        lines = [(kind, usd(cost)) for kind, cost in plan.costs_of_diagnostics.items()]
        yield Told(listed("Cost of diagnostics", ("Kind", "USD"), lines, rows),
                   "What watching the clusters costs over the horizon: scoring their rows, comparing months, training.")


def _survival(plan: Plan, rows: int) -> Iterator[Told]:
    """Where units go, loss by loss."""
    if not plan.fallbacks:
        return
    losses: dict[str, Counter[str]] = defaultdict(Counter)
    for row in plan.fallbacks:
        losses[row.lost][f"{row.cluster} / {row.pool}"] += 1
    lines = [(lost, f"{to.total():,}", _most(to)) for lost, to in sorted(losses.items())]
    detail = sorted((row.lost, row.workload, row.user_region or "", str(row.copy_), f"{row.cluster} / {row.pool}")
                    for row in plan.fallbacks)
    yield Told(listed("When something is lost", ("Lost", "units that move", "Where they go"), lines, rows, words=2),
               "For every single loss, the place that each lost unit has ready, with room for it; a loss that is not "
               "listed moves nothing. Workloads that keep enough copies need no other place.",
               listed("Every fallback", ("Lost", "Workload", "Users in", "Copy", "Goes to"), detail, rows, numbers=5))


def _most(to: Counter[str]) -> str:
    """The places that take most, and how many more there are."""
    named = [f"{place} ×{count:,}" if count > 1 else place
             for place, count in sorted(to.items(), key=lambda item: (-item[1], item[0]))]
    more = [f"and {len(named) - PLACES:,} more pools"] if len(named) > PLACES else []
    return ", ".join(named[:PLACES] + more)


def _waves(plan: Plan, rows: int) -> Iterator[Told]:
    """Moves in the order in which they are made."""
    if not plan.waves:
        return
    lines = [(str(wave.wave), f"{len(wave.moves):,}", usd(wave.machines_usd_extra),
              "; ".join([*(["stops first"] if wave.stops else []), *([wave.note] if wave.note else [])]))
             for wave in plan.waves]
    detail = [(str(wave.wave), move.workload, move.user_region or "", str(move.copy_), _place(move.from_),
               _place(move.to)) for wave in plan.waves for move in wave.moves]
    yield Told(listed("Moves, in order", ("Wave", "moves", "extra USD an hour", "To be known"), lines, rows, words=3),
               "One wave after the other; while a wave is on its way its units take room at both ends.",
               listed("Every move", ("Wave", "Workload", "Users in", "Copy", "From", "To"), detail, rows, numbers=6))


def _place(place: Place | None) -> str:
    return "not running" if place is None else f"{place.cluster} / {place.pool}"
