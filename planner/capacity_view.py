"""How long room lasts, for people: the whole fleet as tables; the same rows stand in the HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from planner.remaining import Left, Order, Remaining
from planner.sections import Section, listed, section_table
from planner.terminal import percent, plain, usd

ROWS = 60
UNITS = {"memory_gib": "GiB", "disk_gib": "GiB disk", "network_gbps": "Gbit/s", "vcpu": "vCPU", "gpu": "GPUs",
         "kw": "kW", "usd_per_hour": "USD/hour"}
_DATES = ("P10", "P50", "P90", "chance")


def capacity_view(found: Remaining) -> RenderableType:
    """Headline, tables, and what is to be known of them."""
    parts: list[RenderableType] = [Text(plain(headline(found)), style="bold"), ""]
    for section in capacity_sections(found, ROWS):
        parts += [section_table(section), ""]
    return Group(*parts, *(Text(plain(note), style="yellow") for note in notes(found)))


def headline(found: Remaining) -> str:
    """The soonest of all, in a sentence."""
    pools = [row for row in found.left if row.what != "cluster" and row.chance > 0]
    about = f"{found.name}: {found.days} {'day' if found.days == 1 else 'days'} from {found.start:%Y-%m-%d}"
    if not found.left:
        return f"{about}: nothing can be told"
    if not pools:
        return f"{about}: no room ends on any of {found.paths} paths"
    first = min(pools, key=lambda row: (row.p50 or found.end, row.p10 or found.end, -row.chance, row.name))
    return f"{about}: first {first.name} ({UNITS.get(first.resource, first.resource)}), {_when(first, found)}"


def _when(row: Left, found: Remaining) -> str:
    if row.p50 is None:
        return f"with a chance of {percent(row.chance)} before {found.end:%Y-%m-%d}"
    late = f"{row.p90:%Y-%m-%d}" if row.p90 else f"after {found.end:%Y-%m-%d}"
    return f"by {row.p50:%Y-%m-%d} as likely as not ({row.p10 or row.p50:%Y-%m-%d} to {late})"


def capacity_sections(found: Remaining, rows: int) -> list[Section]:
    """Clusters, limits, pools, orders, commitments, and what cannot be told; empty ones are left out."""
    of = {what: [row for row in found.left if row.what == what] for what in ("cluster", "limit", "pool")}
    made = [
        listed("Clusters: when the first pool runs out of machines", ("cluster", "first", "machines", "used", *_DATES),
               [(row.name, row.first, f"{row.limit:,.0f}", _used(row), *_dates(row, found)) for row in of["cluster"]],
               rows, 2),
        listed("Shared limits", ("limit", "of", "at most", "used", *_DATES),
               [(row.name, UNITS.get(row.resource, row.resource), f"{row.limit:,.6g}", _used(row), *_dates(row, found))
                for row in of["limit"]], rows, 2),
        listed("Pools by resource", ("pool", "resource", "there is", "used", *_DATES),
               [(row.name, UNITS.get(row.resource, row.resource), f"{row.limit:,.6g}", _used(row), *_dates(row, found))
                for row in of["pool"]], rows, 2),
        listed("Orders", ("pool", "order by", "machines", "lead time, days", "needed by", "beyond max", "note"),
               [_order(row, found) for row in found.orders], rows, 1, 6),
        listed("Commitments that pay", ("commitment", "unit", "owned", "buy", "break-even h/month",
                                        "last unit runs h/month", "saves USD/month", "P10", "P90"),
               [(row.name, UNITS.get(row.unit, row.unit), f"{row.owned:,.6g}", f"{row.buy:,.6g}",
                 f"{row.break_even_hours:,.0f}", f"{row.last_unit_hours:,.0f}", usd(row.saving_usd_per_month),
                 usd(row.saving_p10), usd(row.saving_p90))
                for row in found.commits], rows, 2),
        listed("Cannot be told", ("what", "name", "why"), [(row.what, row.name, row.why) for row in found.untold], rows,
               3)]
    return [section for section in made if section.rows]


def _used(row: Left) -> str:
    return f"{100 * row.used:.0f} %"


def _dates(row: Left, found: Remaining) -> Iterator[str]:
    for date in (row.p10, row.p50, row.p90):
        yield f"after {found.end:%Y-%m-%d}" if date is None else _date(date)
    yield percent(row.chance)


def _date(date: datetime) -> str:
    return f"{date:%Y-%m-%d}"


def _order(row: Order, found: Remaining) -> tuple[str, ...]:
    if row.late:
        note = "room ends before an order of today is there" if row.lead_time_days else "room has ended"
    else:
        note = "now: that date has passed" if row.order_by < found.start else ""
    return (f"{row.cluster}/{row.pool}", _date(row.order_by), f"{row.machines:,}", f"{row.lead_time_days:g}",
            _date(row.needed_by), f"{row.beyond_max:,}" if row.beyond_max else "", note)


def notes(found: Remaining) -> Iterator[str]:
    """What the figures rest on."""
    if found.growths:
        yield f"Growth on top of what histories show: {', '.join(found.growths)}"
    if found.at_once:
        yield (f"Own machines without lead_time_days count as if all of max were there at once: "
               f"{', '.join(found.at_once)}: say how many days an order takes")
    if found.flat:
        more = f" and {len(found.flat) - 8} more" if len(found.flat) > 8 else ""
        yield f"Held as the scenario states them, since they have no history: {', '.join(found.flat[:8])}{more}"
    if found.slow:
        yield (f"Lead times as long as the {found.days} days looked ahead: {', '.join(found.slow)}; what must be "
               "ordered now is decided beyond them: look further (--horizon)")
    if len(found.commits) > 1:
        yield "Each commitment is weighed by itself: what one pays for, another cannot"
    yield (f"P10, P50, P90: by then room has ended on that share of {found.paths} joint sample paths; chance: the "
           f"share on which it ends before {found.end:%Y-%m-%d}; used: on average in the first week")
    yield "Machines are estimated by whole parts of a machine; planner plan packs exactly"
    if any(row.what == "limit" for row in found.left):
        yield "Dates of clusters and pools are of their machines alone: a shared limit over them may end sooner"
