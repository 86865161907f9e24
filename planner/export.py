"""Write a scenario out in full, so that anybody reads the same numbers that a plan was made from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.files import write_atomically
from planner.profiles import Profiles
from planner.scenario.model import Replicas, Scenario, Workload
from planner.scenario.replica_rows import ReplicaRows
from planner.scenario.sample_paths import SamplePaths
from planner.scenario.tables import flat_columns
from planner.scenario.yaml_file import dump_yaml

MAIN, REPLICAS, PATHS = "scenario.yaml", "replicas.parquet", "paths.parquet"
INLINE = 200
"""Lists longer than this are written as tables, which are quicker to read."""


def export_scenario(scenario: Scenario, profiles: Profiles | None, out_dir: Path) -> Scenario:
    """Write a resolved scenario into a folder with every default, price, shape, link and replica written out.

    `profiles` gives what was predicted or forecast; without it every workload must state its replicas as numbers.
    Writes scenario.yaml last, each file whole or not at all, and returns the scenario that reading them gives.
    Raises InputError for a folder that cannot be written or that holds the scenario itself.
    """
    if scenario.source_sha256 and out_dir.resolve() == scenario.folder.resolve():
        raise InputError([f"{out_dir}: holds the scenario itself: name another folder"])
    full, counts = _full(scenario, profiles)
    paths = scenario.given_replicas.paths
    rows = ReplicaRows({workload.name: at for at, workload in enumerate(full.workloads)}, counts, paths)
    content = full.model_dump(mode="json", by_alias=True, exclude_none=True)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(out_dir / REPLICAS, _replica_table(rows))
        if paths.row:
            write_atomically(out_dir / PATHS, _path_table(paths))
        for name in TABLES:
            if len(content[name]) > INLINE:
                file = f"{name}.parquet"
                write_atomically(out_dir / file, _list_table(content[name]))
                content[name] = file
        write_atomically(out_dir / MAIN, dump_yaml(content).encode())
    except OSError as error:
        raise InputError([f"{out_dir}: cannot be written: {error.strerror}: name another folder"]) from None
    return full.with_source(out_dir, scenario.source_sha256, rows)


def _full(scenario: Scenario, profiles: Profiles | None) -> tuple[Scenario, np.ndarray[tuple[int, int], Any]]:
    """The scenario with predicted needs and a replica table, and the replicas [W, T]."""
    filled = profiles.fill(scenario) if profiles is not None else scenario
    if profiles is None:
        names = [workload.name for workload in filled.workloads]
        if unknown := [name for name in names if name not in scenario.given_replicas]:
            raise InputError([f"workloads.{unknown[0]}.replicas: not stated as numbers: profile the scenario first"])
        counts = scenario.given_replicas.stack(names)
    else:
        counts = np.array(profiles.replicas)
    paths = scenario.given_replicas.paths.row
    workloads = tuple(_from_table(workload, workload.name in paths) for workload in filled.workloads)
    return filled.model_copy(update={"workloads": workloads, "library": None}), counts


def _from_table(workload: Workload, on_paths: bool) -> Workload:
    table = Replicas(paths=PATHS, per_replica=workload.per_replica) if on_paths else Replicas(
        from_=REPLICAS, per_replica=workload.per_replica)
    return workload.model_copy(update={"replicas": table})


def _parquet(columns: dict[str, Any]) -> bytes:
    import pyarrow as pa  # heavy: only an export pays for it
    import pyarrow.parquet
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _replica_table(rows: ReplicaRows) -> bytes:
    """Replicas of the workloads that have no sample paths."""
    names = [name for name in rows.row if name not in rows.paths.row]
    counts = rows.counts[[rows.row[name] for name in names]]
    return _parquet({"workload": names, **{str(t): counts[:, t] for t in range(rows.counts.shape[1])}})


def _path_table(paths: SamplePaths) -> bytes:
    """A row for every workload and path."""
    count = len(paths.path)
    names, number = [name for name in paths.row for _ in range(count)], np.tile(paths.path, len(paths.row))
    counts = paths.counts[list(paths.row.values())].reshape(len(names), -1)
    return _parquet({"workload": names, "path": number, **{str(t): counts[:, t] for t in range(counts.shape[1])}})


def _list_table(items: list[dict[str, Any]]) -> bytes:
    """Rows with nested names joined by dots; empty lists and mappings are left out, as not given."""
    columns = flat_columns(items)
    return _parquet({name: [None if value in ([], {}) else value for value in values]
                     for name, values in columns.items() if any(value not in ([], {}, None) for value in values)})


TABLES = ("workloads", "links")
"""Lists that are written as tables when they are long."""
