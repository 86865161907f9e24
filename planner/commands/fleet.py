"""`planner where`, `planner runs`, `planner versions` and telemetry for streams: a running service is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from planner.client import Client, InvalidError, ServiceError, UnreachableError
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.errors import InputError
from planner.terminal import plain

if TYPE_CHECKING:
    from planner.client.results import Served, Unit

ROWS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, and the key to ask it with."""

    url: str
    key: str | None

    @contextmanager
    def asked(self) -> Iterator[Client]:
        """A client of it. Raises InputError for what the service refuses, and where it does not answer."""
        try:
            with Client(self.url, key=self.key) as client:
                yield client
        except (ServiceError, UnreachableError) as error:
            raise InputError([f"--service: {self.url}: {line}" for line in str(error).splitlines()]) from error


def where(service: Service, workload: str, plan: str | None, as_json: bool) -> int:
    """Where a workload runs, and of diagnostics who served it."""
    with service.asked() as client:
        found = client.fleet.where(workload, plan)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return DONE
    _show_plan(found.plan, found.state, found.in_force)
    _show_units(workload, found.units)
    _show_served("Served by", found.served)
    return DONE


def runs(service: Service, cluster: str, plan: str | None, as_json: bool) -> int:
    """What runs on a cluster."""
    with service.asked() as client:
        found = client.fleet.runs(cluster, plan)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return DONE
    _show_plan(found.plan, found.state, found.in_force)
    _show_units(cluster, found.runs)
    _show_served("Its hosts serve now", found.served)
    return DONE


def versions(service: Service, days: float | None, as_json: bool) -> int:
    """Which versions of models serve what."""
    with service.asked() as client:
        found = client.diagnostics.versions(days)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return DONE
    rows = [(one.hardware_class, one.software_version or "", one.model_version, len(one.clusters), one.rows,
             f"{one.last:%Y-%m-%d %H:%M}") for one in found.serves]  # fmt: skip
    show_table(f"Models that serve, by plan {found.plan}",
               ("Hardware", "Software", "Model version", "Clusters", "Rows", "Newest row"), rows)  # fmt: skip
    return DONE


def send(service: Service, paths: Sequence[Path], as_json: bool) -> int:
    """Send telemetry to the streams of a service; the answer is no when any row was refused."""
    totals, refused = {"stored": 0, "again": 0}, list[str]()
    with service.asked() as client:
        for path in paths:
            for some in _portions(path):
                try:
                    said = client.diagnostics.push(some)
                except InvalidError as error:  # none of them was stored
                    refused += error.errors or (str(error),)
                    continue
                totals["stored"] += said.stored
                totals["again"] += said.again
                refused += said.refused
    if as_json:
        print_json(totals | {"refused": refused})
    else:
        typer.echo(f"{totals['stored']:,} rows stored, {totals['again']:,} were there already")
        for line in refused:
            typer.echo(plain(f"refused: {line}"))
    return NO if refused else DONE


def _portions(path: Path) -> Iterator[list[Mapping[str, Any]]]:
    """Rows of a long file as a service takes them, in the order of time, so many at a time."""
    from diagnostics.intake import IntakeError
    from diagnostics.intake.batch import rows_by_moment

    rows: Iterator[Mapping[str, Any]] = ({"cluster": cluster, "ts": ts.isoformat(), "hosts": hosts}
                                         for ts, cluster, hosts in rows_by_moment(path))  # fmt: skip
    try:
        while some := list(islice(rows, ROWS_AT_A_TIME)):
            yield some
    except IntakeError as error:
        raise InputError([str(error)]) from error


def _show_plan(plan: str, state: str | None, in_force: str | None) -> None:
    force = "nothing of its scenario is in force" if in_force is None else f"in force is {in_force}"
    other = "" if in_force == plan else f"; {force}"
    typer.echo(plain(f"plan {plan}: {state or 'no life'}{other}"))


def _show_units(title: str, units: Sequence[Unit]) -> None:
    rows = [(unit.workload, unit.copy_number, unit.part, unit.cluster, unit.pool,
             "" if unit.start_slot is None else unit.start_slot) for unit in units]  # fmt: skip
    show_table(title, ("Workload", "Copy", "Part", "Cluster", "Pool", "Start slot"), rows)


def _show_served(title: str, served: Sequence[Served]) -> None:
    if not served:
        return
    rows = []
    for one in served:
        until = "now" if one.until is None else f"{one.until:%Y-%m-%d %H:%M:%S}"
        versions = ", ".join(f"{spoke.version} ({spoke.rows:,} rows)" for spoke in one.versions)
        rows.append((one.workload, one.cluster, one.host, f"{one.since:%Y-%m-%d %H:%M:%S}", until, one.plan, versions))
    show_table(title, ("Workload", "Cluster", "Host", "Since", "Until", "Plan", "Model versions"), rows)
