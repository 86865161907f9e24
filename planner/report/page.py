"""The HTML report: one page with its style, its charts and the library that draws them inside."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from planner.embedding import embedded
from planner.files import write_atomically
from planner.report.plain import plain
from planner.report.sections import plan_sections
from planner.report.words import WORDS
from planner.terminal import miss_words, monthly_usd, percent, running_machines, usd

if TYPE_CHECKING:
    from planner.plan import Plan
    from planner.report.figures import Figures

SHOWN = 500
"""Rows of a long table that the page shows."""
NAMED = 40
"""Workloads named of those that share a pool."""


class Headline(NamedTuple):
    """One large number on top of the page."""

    what: str
    value: str
    note: str


class Assignment(NamedTuple):
    """Where one workload runs, and why."""

    workload: str
    places: tuple[str, ...]
    usd: float
    why: str


class ClusterCost(NamedTuple):
    """Cost of one cluster by part, in USD."""

    cluster: str
    amounts: tuple[float, ...]
    total: float


def write_report(path: Path, plan: Plan, figures: Figures) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render(plan, figures).encode())


def render(plan: Plan, figures: Figures) -> str:
    """Return the page. The same plan gives the same bytes."""
    return framed("page.html.j2", "charts.js", plan_view(plan, figures))


def plan_view(plan: Plan, figures: Figures | None) -> dict[str, Any]:
    """What a page shows of a plan, as JSON has it; of `data` charts are drawn. Without figures nothing is said of use
    and of costs by cluster and workload.
    """
    parts = () if figures is None else tuple(name for name, usd in figures.cluster_usd.items() if np.any(usd))
    machines = [{"cluster": row.cluster, "pool": row.pool, "purchase": row.purchase, "least": min(row.count),
                 "mean": sum(row.count) / len(row.count), "most": max(row.count)}
                for row in plan.machines if max(row.count)]
    shown = {"name": plan.name, "status": plan.status, "mode": plan.mode, "machines": machines,
             "unplaced": [row.model_dump() for row in plan.unplaced[:SHOWN]], "conflict": plan.conflict,
             "relaxations": [row.model_dump() for row in plan.relaxations],
             "groups": [row.model_dump() | {"workloads": row.workloads[:NAMED],
                                            "more": max(0, len(row.workloads) - NAMED)} for row in plan.groups]}
    found: dict[str, Any] = plain({
        "plan": shown, "data": _data(plan, figures), "sections": plan_sections(plan, SHOWN), "horizon": _horizon(plan),
        "headlines": headlines(plan), "facts": _facts(plan), "unplaced": len(plan.unplaced),
        "pools": sorted({f"{row.cluster}/{row.pool}" for row in plan.machines if max(row.count)}),
        "shown": SHOWN, "figured": figures is not None, "cost_parts": parts,
        "cluster_costs": [] if figures is None else _cluster_costs(figures, parts),
        "assignments": [] if figures is None else _assignments(plan, figures.workload_usd)[:SHOWN],
        "workload_count": len({unit.workload for unit in plan.assignments})})
    return found


def framed(template: str, script: str, view: Mapping[str, Any]) -> str:
    """A page that needs nothing else: its style, what it shows, and the charts of `view["data"]` by a script."""
    css = Markup(text_of("templates/report.css"))  # noqa: S704 (our own file)
    return environment().get_template(template).render({**view, "css": css, **drawn_by(script, view["data"])})


@cache
def environment() -> Environment:
    """Templates of this package, with everything escaped."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                       loader=FunctionLoader(lambda name: text_of(f"templates/{name}")))
    made.globals |= WORDS
    return made


def text_of(name: str) -> str:
    """A file of this package. Scripts must not end the element that holds them."""
    text = files("planner.report").joinpath(name).read_text(encoding="utf-8")
    if name.endswith(".js") and "</script" in text:
        raise ValueError(f"{name}: holds </script, which would end the script in the page")
    return text


def drawn_by(script: str, data: object) -> dict[str, Any]:
    """What a template needs to draw `data` by a script of this package: the library, the script, and their hashes."""
    library, own = text_of("vendor/echarts.min.js"), text_of("templates/drawing.js") + text_of(f"templates/{script}")
    return {"echarts": Markup(library), "charts": Markup(own), "data": embedded(data),  # noqa: S704 (our own files)
            "script_hashes": " ".join(f"'{script_hash(one)}'" for one in (library, own))}


def script_hash(script: str) -> str:
    """The hash by which a content policy knows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(plan: Plan, figures: Figures | None) -> dict[str, Any]:
    machines = [{"pool": f"{row.cluster}/{row.pool}", "purchase": row.purchase, "count": list(row.count)}
                for row in plan.machines if max(row.count)]
    drawn: dict[str, Any] = {"slots": slots_of(plan), "machines": machines, "heat": {"clusters": [], "rows": []},
                             "cost": {"clusters": [], "parts": {}}}
    if figures is None:
        return drawn
    busy = [g for g in range(len(figures.clusters)) if not np.isnan(figures.use[g]).all()]
    rows = [[None if np.isnan(use) else round(100 * float(use)) for use in figures.use[g]] for g in busy]
    paid = [g for g in range(len(figures.clusters)) if any(amount[g] for amount in figures.cluster_usd.values())]
    return drawn | {
        "heat": {"clusters": [figures.clusters[g] for g in busy], "rows": rows},
        "cost": {"clusters": [figures.clusters[g] for g in paid],
                 "parts": {name: [round(float(amount[g]), 2) for g in paid]
                           for name, amount in figures.cluster_usd.items()}},
    }


def slots_of(plan: Plan) -> list[str]:
    """Labels of the slots; a plan that does not say when it starts counts them."""
    return [_moment(plan, t, "%a %d %b %H:%M") for t in range(plan.horizon.slots)]


def _horizon(plan: Plan) -> str:
    form = "%Y-%m-%d %H:%M"
    return f"{_moment(plan, 0, form)} to {_moment(plan, plan.horizon.slots, form)} UTC"


def _moment(plan: Plan, slot: int, form: str) -> str:
    moment = plan.horizon.moment(slot)
    return f"slot {slot}" if moment is None else moment.strftime(form)


def headlines(plan: Plan) -> list[Headline]:
    """The figures that say most of a plan."""
    low, high = running_machines(plan)
    bound = f"USD {usd(plan.bound)}" if plan.mode == "min_cost" else percent(plan.bound)
    limit = "no plan costs less than" if plan.mode == "min_cost" else "no plan attains more than"
    return [
        Headline("SLA attainment", percent(plan.sla_attainment), "weight of workloads whose objectives hold"),
        Headline("Machines", f"{low:,} – {high:,}", "quietest and busiest slot"),
        Headline("Cost", f"USD {usd(plan.cost_usd)}", f"USD {usd(monthly_usd(plan))} a month"),
        Headline("Proven gap", f"{100 * plan.gap:.2f} %", f"{limit} {bound}"),
    ]


def _cluster_costs(figures: Figures, parts: Sequence[str]) -> list[ClusterCost]:
    rows = []
    for g, cluster in enumerate(figures.clusters):
        amounts = tuple(float(figures.cluster_usd[part][g]) for part in parts)
        rows.append(ClusterCost(cluster, amounts, sum(amounts)))
    return [row for row in rows if row.total]


def _assignments(plan: Plan, workload_usd: Mapping[str, float]) -> list[Assignment]:
    places: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for unit in plan.assignments:
        start = "" if unit.start_slot is None else f", from slot {unit.start_slot}"
        places[unit.workload][f"{unit.cluster} / {unit.pool}{start}"] += 1
    why = {reason.workload: reason.why for reason in plan.reasons}
    rows = [Assignment(name, tuple(f"{place} ×{count}" if count > 1 else place for place, count in sorted(at.items())),
                       workload_usd.get(name, 0.0), why.get(name, "")) for name, at in places.items()]
    return sorted(rows, key=lambda row: (-row.usd, row.workload))


def _facts(plan: Plan) -> list[tuple[str, str]]:
    origin = plan.provenance
    versions = ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))
    return [
        ("Plan", plan.plan_id), ("Bound proven by", plan.bound_method),
        ("Prices as of", origin.catalog_as_of or "the scenario's own"), ("Scenario SHA-256", origin.scenario_sha256),
        *([("Misses", miss_words(plan))] if plan.misses else []),
        ("Planner", f"{origin.version}, solver {origin.solver}, seed {origin.seed}"), ("Libraries", versions),
    ]
