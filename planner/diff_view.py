"""A diff of two plans for people: in a terminal, and as Markdown for a pull request. Both show the same tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from planner.diff import Amount, Changed, PlanDiff, Side, stream_name
from planner.sections import Section, listed, markdown_section, markdown_text, section_table
from planner.terminal import percent, plain, usd

ROWS = 20
"""Rows of a list that are shown; the others are counted."""
KINDS = {"moved": "moved", "copies": "more or fewer copies", "start": "another start", "new": "new", "gone": "gone"}


def terminal_view(found: PlanDiff, about: Mapping[str, str] | None = None, rows: int = ROWS) -> RenderableType:
    """The diff as rich shows it, in whatever width there is. `about` adds words to workloads, by name."""
    parts: list[RenderableType] = [Text(line, style="yellow") for line in map(plain, found.notes)]
    for section in sections(found, about or {}, rows):
        parts += [section_table(section), ""]
    return Group(*parts, Text(plain(sentence(found)), style="bold"))


def markdown(found: PlanDiff, about: Mapping[str, str] | None = None, rows: int = ROWS, title: str = "Plan") -> str:
    """The diff as GitHub and GitLab show it in a pull request."""
    lines = [f"### {markdown_text(title)}", "", markdown_text(sentence(found)), ""]
    for note in found.notes:
        lines += [f"> **Note:** {markdown_text(note)}", ""]
    for section in sections(found, about or {}, rows):
        lines += markdown_section(section)
    return "\n".join(lines).rstrip() + "\n"


def sentence(found: PlanDiff) -> str:
    """All in one sentence."""
    if found.same:
        return "Nothing differs: the same places, machines and costs."
    if not found.after.exists:
        return "No plan is possible after the change."
    by = found.after.cost_usd - found.before.cost_usd
    share = f" ({100 * by / found.before.cost_usd:+.1f} %)" if found.before.cost_usd else ""
    parts = [f"USD {_signed(by)}{share}"]
    counts = {kind: len(found.of_kind(kind)) for kind in ("moved", "copies", "start", "new", "gone")}
    parts += [f"{count} {KINDS[kind]}" for kind, count in counts.items() if count]
    parts += [f"{len(found.unplaced)} no longer placed"] if found.unplaced else []
    parts += [f"{len(found.placed_again)} placed again"] if found.placed_again else []
    return "; ".join(parts) + "."


def sections(found: PlanDiff, about: Mapping[str, str], rows: int = ROWS) -> list[Section]:
    """The tables that have something to say, the figures first."""
    made = [Section("Figures", ("", "before", "after", "change"), tuple(_figures(found)), 1)]
    lost = [(name, "; ".join(why)) for name, why in found.unplaced]
    if not (found.before.exists and found.after.exists):
        return made + ([listed("No longer placed", ("workload", "why"), lost, rows, 9)] if lost else [])
    made += [_streams(found.of_kind("moved", "copies", "start"), about, rows, "Moved", "from", "to"),
             _routes(found, rows), _streams(found.of_kind("new"), about, rows, "New", "", "where"),
             _streams(found.of_kind("gone"), about, rows, "Gone", "was", "")]
    made += [listed("No longer placed", ("workload", "why"), lost, rows, 9),
             listed("Placed again", ("workload",), [(name,) for name in found.placed_again], rows, 9),
             listed("Without a second copy or a fallback now", ("what",), [(s,) for s in found.uncovered], rows, 9),
             listed("With a second copy or a fallback now", ("what",), [(s,) for s in found.covered_again], rows, 9),
             listed("Fallbacks by what is lost", ("lost", "before", "after", "change"),
                   [(row.name, f"{row.before:,}", f"{row.after:,}", f"{row.by:+,}") for row in found.fallbacks], rows),
             _pools(found, rows),
             _usd("Cost by owner, USD", "owner", found.owners, rows),
             _usd("Cost of diagnostics, USD", "kind", found.diagnostics, rows)]
    return [section for section in made if section.rows]


def _usd(title: str, what: str, amounts: Sequence[Amount], rows: int) -> Section:
    return listed(title, (what, "before", "after", "change"),
                  [(row.name, usd(row.before), usd(row.after), _signed(row.by)) for row in amounts], rows)


def _figures(found: PlanDiff) -> Iterable[tuple[str, str, str, str]]:
    old, new = found.before, found.after
    yield "status", old.status, new.status, ""
    yield "cost USD", usd(old.cost_usd), usd(new.cost_usd), _signed(new.cost_usd - old.cost_usd)
    for part in old.costs:
        if old.costs[part] or new.costs[part]:
            by = new.costs[part] - old.costs[part]
            yield f"{part} USD", usd(old.costs[part]), usd(new.costs[part]), _signed(by)
    points = 100 * (new.sla_attainment - old.sla_attainment)
    yield "SLA attainment", percent(old.sla_attainment), percent(new.sla_attainment), _none(points, "{:+.3g} points")
    yield ("survive a lost cluster", f"{old.covered:,} of {old.streams:,}", f"{new.covered:,} of {new.streams:,}",
           _none(new.covered - old.covered, "{:+,}"))
    yield "not placed", f"{old.unplaced:,}", f"{new.unplaced:,}", _none(new.unplaced - old.unplaced, "{:+,}")
    yield ("machines at the peak", f"{old.peak_machines:,}", f"{new.peak_machines:,}",
           _none(new.peak_machines - old.peak_machines, "{:+,}"))
    hours = new.machine_hours - old.machine_hours
    yield "machine hours", f"{old.machine_hours:,.0f}", f"{new.machine_hours:,.0f}", _none(hours, "{:+,.0f}")
    yield "proven bound", _bound(old), _bound(new), ""
    yield "gap", f"{100 * old.gap:.2f} %", f"{100 * new.gap:.2f} %", _none(100 * (new.gap - old.gap), "{:+.2f} points")


def _bound(side: Side) -> str:
    return usd(side.bound) if side.mode == "min_cost" else percent(side.bound)


def _none(value: float, form: str) -> str:
    return form.format(value) if abs(value) > 1e-9 else ""


def _signed(amount: float) -> str:
    return f"{'+' if amount > 0 else '-' if amount < 0 else ''}{usd(abs(amount))}" if abs(amount) >= 0.005 else "0.00"


def _streams(changed: Sequence[Changed], about: Mapping[str, str], rows: int, title: str, before: str,
             after: str) -> Section:
    """Streams with their places, an empty column left out."""
    kinds = len({row.kind for row in changed}) > 1
    headings = ("what", *(("how",) if kinds else ()), *((before,) if before else ()), *((after,) if after else ()))
    lines = [(stream_name(row.workload, row.user_region) + about.get(row.workload, ""),
              *((KINDS[row.kind],) if kinds else ()), *((", ".join(row.before),) if before else ()),
              *((", ".join(row.after),) if after else ())) for row in changed[:rows]]
    return Section(f"{title} ({len(changed):,})", headings, tuple(lines), 9, max(0, len(changed) - rows))


def _routes(found: PlanDiff, rows: int) -> Section:
    """From which pool to which, where there are more moves than are shown one by one."""
    many = len(found.of_kind("moved", "copies")) > rows
    lines = [(route.before, route.after, f"{route.units:,}") for route in found.routes] if many else []
    return listed("Moved, by pool", ("from", "to", "units"), lines, rows, 2)


def _pools(found: PlanDiff, rows: int) -> Section:
    """The pools whose machines change most come first."""
    order = sorted(found.pools, key=lambda row: (-abs(row.hours_after - row.hours_before), row.cluster, row.pool))
    lines = [(f"{row.cluster}/{row.pool}", f"{row.peak_before:,}", f"{row.peak_after:,}",
              _none(row.peak_after - row.peak_before, "{:+,}"), f"{row.hours_after - row.hours_before:+,.0f}")
             for row in order]
    return listed("Machines by pool", ("pool", "peak before", "peak after", "change", "hours"), lines, rows)
