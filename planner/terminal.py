"""What people see in a terminal: a plan as a table, the progress of a solve, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from placement.worker import Progress as SolverProgress
    from planner.plan import Interfering, Plan

HOURS_PER_MONTH = 730
ROWS = 40
"""Workloads shown of a large plan, the dearest first; the rest are summed up in a line."""
SCARCE = 5
"""Limits shown that are worth most when loosened."""
_WIDTH_OF_FILES = 160
_QUIET_S = 1.0


def console() -> Console:
    """A console on standard output, wide where that is a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, highlight=False, soft_wrap=False)


def plain(value: object) -> str:
    """Text that cannot move the cursor or change colours: what is not printable becomes a question mark."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))


def usd(amount: float) -> str:
    """Dollars, with cents below a thousand."""
    return f"{amount:,.2f}" if abs(amount) < 1000 else f"{amount:,.0f}"


def percent(share: float) -> str:
    """A share in per cent; never rounded up to 100."""
    shown = f"{100 * share:.2f}"
    return f"{99.99 if share < 1 and shown == '100.00' else float(shown):g} %"


def plan_view(plan: Plan, workload_usd: Mapping[str, float], rows: int = ROWS) -> RenderableType:
    """A plan for people: what runs where and why, then cost by part, SLA attainment and the proof."""
    if not plan.exists:
        return _refusal(plan)
    table = _assignments(plan, workload_usd, rows)
    facts = (*_headlines(plan), *_way(plan), *_interference(plan), *_scarce(plan), *_proof(plan))
    return Group(table, *_unplaced(plan), "", _costs(plan), *_diagnostics(plan), *facts)


def _way(plan: Plan) -> Iterator[Text]:
    """How to get here from the plan in force, where there is one."""
    if plan.parent is not None:
        moves, most = sum(len(wave.moves) for wave in plan.waves), plan.provenance.max_moves
        allowed = "" if most is None else f", at most {most} of them away from a place that is still good"
        yield Text(f"From plan {plan.parent[:12]}: {moves} moves in {len(plan.waves)} waves{allowed}")


def _assignments(plan: Plan, workload_usd: Mapping[str, float], rows: int) -> Table:
    places: dict[str, list[str]] = defaultdict(list)
    for unit in plan.assignments:
        places[unit.workload].append(f"{unit.cluster}/{unit.pool}")
    why = {reason.workload: reason.why for reason in plan.reasons}
    chance = {miss.workload: miss.chance for miss in plan.misses}
    missing = {row.workload for row in plan.unplaced}
    order = sorted(places, key=lambda name: (-workload_usd.get(name, 0.0), name))
    count = f"{len(places)} workload{'' if len(places) == 1 else 's'}"
    table = Table(title=Text(f"{plain(plan.name)}: {count}"), title_justify="left", expand=False)
    for heading in ("Workload", "Cluster", "Pool", "USD", "SLA", "Why"):
        table.add_column(heading, justify="right" if heading == "USD" else "left", overflow="fold")
    for name in order[:rows]:
        clusters, pools = _counted(place.split("/", 1) for place in places[name])
        table.add_row(Text(plain(name)), Text(clusters), Text(pools), usd(workload_usd.get(name, 0.0)),
                      _sla(name in missing, chance.get(name, 0.0)), Text(plain(why.get(name, ""))))
    if len(order) > rows:
        rest = order[rows:]
        table.add_section()
        table.add_row(f"and {len(rest)} more", "", "", usd(sum(workload_usd.get(name, 0.0) for name in rest)), "", "")
    return table


def _counted(places: Iterable[Sequence[str]]) -> tuple[str, str]:
    """Clusters and pools one under the other, with how many units are there."""
    count: dict[tuple[str, ...], int] = defaultdict(int)
    for place in places:
        count[tuple(place)] += 1
    ordered = sorted(count)
    clusters = [plain(place[0]) for place in ordered]
    pools = [plain(place[1]) + (f" x{count[place]}" if count[place] > 1 else "") for place in ordered]
    return "\n".join(clusters), "\n".join(pools)


def _sla(missing: bool, chance: float) -> str:
    if missing:
        return "not met"
    return f"met, {percent(1 - chance)}" if chance else "met"


def _unplaced(plan: Plan) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"Not placed: {plain(row.workload)}: {plain('; '.join(row.reasons))}", style="yellow")
        for row in plan.unplaced[:ROWS]]
    if len(plan.unplaced) > ROWS:
        lines.append(Text(f"and {len(plan.unplaced) - ROWS} more not placed", style="yellow"))
    return lines


def _costs(plan: Plan) -> Text:
    parts = ((name, float(amount)) for name, amount in plan.costs.model_dump().items())
    shown = ", ".join(f"{name} {usd(amount)}" for name, amount in parts if amount)
    return Text(f"Cost USD {usd(plan.cost_usd)}" + (f": {shown}" if shown else ""))


def _diagnostics(plan: Plan) -> Iterator[Text]:
    """What the planner's own watches cost, by kind."""
    if plan.costs_of_diagnostics:
        total = sum(plan.costs_of_diagnostics.values())
        share = f" ({percent(total / plan.cost_usd)})" if plan.cost_usd else ""
        kinds = ", ".join(f"{plain(kind)} {usd(amount)}" for kind, amount in plan.costs_of_diagnostics.items())
        yield Text(f"Diagnostics USD {usd(total)}{share}: {kinds}")


def running_machines(plan: Plan) -> tuple[int, int]:
    """Machines that run in the quietest and in the busiest slot."""
    running = [sum(counts) for counts in zip(*(row.count for row in plan.machines), strict=True)] or [0]
    return min(running), max(running)


def monthly_usd(plan: Plan) -> float:
    """Cost of a month at the rate of the horizon."""
    hours = plan.horizon.days * 24
    return plan.cost_usd * HOURS_PER_MONTH / hours if hours else 0.0


def _headlines(plan: Plan) -> list[Text]:
    low, high = running_machines(plan)
    lost = sorted({row.lost for row in plan.fallbacks})
    words = f"Losses     {len(plan.fallbacks):,} fallbacks with room, for the loss of {_some(lost)}"
    return [
        Text(f"Downtime   SLA attainment {percent(plan.sla_attainment)}", style="bold"),
        Text(f"Scale      {low:,} to {high:,} machines as demand moves", style="bold"),
        Text(f"Spend      USD {usd(monthly_usd(plan))} a month at this rate", style="bold"),
        *([Text(words, style="bold")] if lost else []),
        *([Text(f"Misses     {miss_words(plan)}", style="bold")] if plan.misses else []),
    ]


def miss_words(plan: Plan) -> str:
    """How often a pool has too little room, as stated and as measured on held-out paths; empty without sample paths."""
    used, rows = plan.provenance.paths, plan.pool_misses
    if used is None or not rows:
        return ""
    mean, held_out = (sum(getattr(row, name) for row in rows) / len(rows) for name in ("mean", "held_out"))
    return (f"at most {percent(max(row.chance for row in rows))} of {used.count:,} sample paths in any slot, "
            f"{percent(mean)} on average; {percent(held_out)} of paths held out")


def _scarce(plan: Plan) -> list[Text]:
    return [Text(f"Scarce     {plain(row.what)} is worth USD {usd(row.price_usd)}") for row in plan.scarce[:SCARCE]]


def _interference(plan: Plan) -> list[Text]:
    return [] if plan.interference is None else [Text(f"Beside     {plain(interference_line(plan.interference))}")]


def interference_line(found: Interfering) -> str:
    """Who is slowed down beside whom most, and how many pairs never meet."""
    apart = f"{found.kept_apart} of {found.pairs} measured pairs never meet"
    if not found.slowed:
        return f"{apart}: nobody is slowed down"
    worst = max(found.slowed, key=lambda row: (row.replicas_more, row.workload, row.by))
    times = f"{worst.replicas_more} replicas more over {worst.slots} slots"
    more = f", and {len(found.slowed) - 1} more" if len(found.slowed) > 1 else ""
    return f"{apart}; {worst.workload} beside {worst.by} in {worst.cluster}/{worst.pool} takes {times}{more}"


def _some(names: list[str], most: int = 4) -> str:
    """Any one of the names, the first few in words."""
    more = f" or {len(names) - most} more" if len(names) > most else ""
    return ", ".join(plain(name) for name in names[:most]) + more


def _proof(plan: Plan) -> list[Text]:
    bound = f"USD {usd(plan.bound)}" if plan.mode == "min_cost" else percent(plan.bound)
    what = "costs less than" if plan.mode == "min_cost" else "attains more than"
    return [
        Text(f"{plan.status}: no plan {what} {bound}; gap {100 * plan.gap:.2f} % ({plain(plan.bound_method)})"),
        Text(f"Prices as of {plain(plan.provenance.catalog_as_of or 'the scenario')}; plan {plain(plan.plan_id)}"),
    ]


def _refusal(plan: Plan) -> Group:
    lines = [Text(f"{plain(plan.name)}: no plan is possible", style="bold red"), *_unplaced(plan)]
    lines += [Text(f"In conflict: {plain(what)}") for what in plan.conflict]
    lines += [Text(f"Would help: {plain(row.what)} (USD {usd(row.cost_usd)})") for row in plan.relaxations]
    return Group(*lines)


class Interrupt:
    """Turns the first Ctrl-C into a question that the solver asks ("am I interrupted?"); the second one aborts."""

    def __init__(self) -> None:
        self.noted = False

    def __call__(self) -> bool:
        """Whether the user wants the best plan so far."""
        return self.noted

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
        print("stopping with the best plan so far; Ctrl-C again aborts", file=sys.stderr)  # noqa: T201


class _Elapsed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.elapsed or 0:.0f} of {task.total or 0:.0f} s")


class ProgressLine:
    """One line on standard error while a solve runs, from its second second on: phase, cost, bound, gap, time.

    Silent where standard error is not a terminal.
    """

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._shown: Progress | None = None

    def __call__(self, now: SolverProgress) -> None:
        """Show how far the solver is."""
        if self._shown is None:
            if now.seconds < _QUIET_S or not sys.stderr.isatty():
                return
            self._start()
        if self._shown is not None:
            self._shown.update(self._task, completed=min(now.seconds, self.time_limit_s), now=_words(now))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def _start(self) -> None:
        self._shown = Progress(SpinnerColumn(), BarColumn(bar_width=20), _Elapsed(), TextColumn("{task.fields[now]}"),
                               console=Console(stderr=True), transient=True)
        self._task = self._shown.add_task("", total=self.time_limit_s, now="")
        self._shown.start()


def _words(now: SolverProgress) -> str:
    words = [now.phase]
    if now.objective is not None:
        words.append(f"best {usd(now.objective)}")
    if now.bound is not None:
        words.append(f"bound {usd(now.bound)}")
    if now.gap is not None:
        words.append(f"gap {100 * now.gap:.1f} %")
    return plain("  ".join(words))
