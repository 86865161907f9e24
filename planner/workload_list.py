"""All workloads of a plan as one table: what each is, where it runs and why, whom it shares with, where it goes when
something is lost. It is made once, with the plan; a page of it, filtered and sorted, takes a small part of a second.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from planner.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from planner.plan import Plan
    from planner.planning import Planned
    from planner.scenario.model import Workload

Standing = Literal["attained", "missed", "not_placed"]
"""Whether the objectives of a workload hold, or one does not, or some of it has no place."""
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)
SORTS: Final = ("usd", "workload", "kind", "owner", "priority", "units", "runner_up_extra_usd")
"""Columns that the list is sorted by; with `-` before it, the largest first."""
_LATER: Final = ("fallbacks", "groups")
"""Columns that only the page of one workload shows."""
_NO_OWNER: Final = "(none)"


def workload_table(planned: Planned, workload_usd: Mapping[str, float]) -> pa.Table:
    """The table of a plan that was just made, the dearest workloads first."""
    verdict, names = planned.verdict, planned.formulation.names.workloads
    missed = set() if verdict is None else {
        name for name, attained in zip(names, verdict.attained.tolist(), strict=True) if not attained}
    return table_of(planned.plan, planned.formulation.demand.workloads, workload_usd, missed)


def table_of(plan: Plan, workloads: Sequence[Workload], workload_usd: Mapping[str, float], missed: set[str]
             ) -> pa.Table:
    """The same of a plan, its workloads, what each costs, and those whose objectives do not hold."""
    import pyarrow as pa

    places, clusters, groups, fallbacks = _of_each(plan)
    why = {row.workload: row for row in plan.reasons}
    nowhere = {row.workload: "; ".join(row.reasons) for row in plan.unplaced}
    rows: list[dict[str, Any]] = []
    for one in workloads:
        name, reason = one.name, why.get(one.name)
        standing: Standing = "not_placed" if name in nowhere else "missed" if name in missed else "attained"
        rows.append({
            "workload": name, "kind": one.kind, "owner": one.owner or _NO_OWNER, "pipeline": one.pipeline or "",
            "priority": one.priority, "standing": standing, "units": places[name].total(),
            "clusters": sorted(clusters[name]), "usd": round(workload_usd.get(name, 0.0), 2) + 0.0,
            "places": [f"{place} ×{count}" if count > 1 else place for place, count in sorted(places[name].items())],
            "why": "; ".join([*([nowhere[name]] if name in nowhere else []), *([reason.why] if reason else [])]),
            "runner_up": reason.runner_up if reason else "",
            "runner_up_extra_usd": reason.runner_up_extra_usd if reason and reason.runner_up else None,
            "groups": groups[name], "fallbacks": fallbacks[name],
        })
    rows.sort(key=lambda row: (-row["usd"], row["workload"]))
    return pa.Table.from_pylist(rows, _schema())


def table_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _of_each(plan: Plan) -> tuple[dict[str, Counter[str]], dict[str, set[str]], dict[str, list[int]],
                                  dict[str, list[dict[str, Any]]]]:
    """By workload: its places, its clusters, the numbers of its groups, and where its units go after each loss."""
    places: dict[str, Counter[str]] = defaultdict(Counter)
    clusters: dict[str, set[str]] = defaultdict(set)
    for unit in plan.assignments:
        places[unit.workload][f"{unit.cluster}/{unit.pool}"] += 1
        clusters[unit.workload].add(unit.cluster)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(plan.groups):
        for name in group.workloads:
            groups[name].append(number)
    fallbacks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in plan.fallbacks:
        fallbacks[row.workload].append({"lost": row.lost, "user_region": row.user_region, "copy": row.copy_,
                                        "place": f"{row.cluster}/{row.pool}"})
    return places, clusters, groups, fallbacks


def _schema() -> pa.Schema:
    import pyarrow as pa

    word, words = pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())
    to = pa.struct([("lost", pa.string()), ("user_region", pa.string()), ("copy", pa.int32()), ("place", pa.string())])
    return pa.schema([
        ("workload", pa.string()), ("kind", word), ("owner", word), ("pipeline", pa.string()), ("priority", pa.int32()),
        ("standing", word), ("units", pa.int32()), ("clusters", words), ("usd", pa.float64()), ("places", words),
        ("why", pa.string()), ("runner_up", pa.string()), ("runner_up_extra_usd", pa.float64()),
        ("groups", pa.list_(pa.int32())), ("fallbacks", pa.list_(to))])


@dataclass(frozen=True)
class Wanted:
    """Which workloads: `search` is found in the name or the pipeline, capitals alike; `group` is a number of those who
    share a pool; `sort` one of SORTS, with `-` before it for the largest first.
    """

    search: str = ""
    kind: str = ""
    owner: str = ""
    cluster: str = ""
    standing: str = ""
    group: int | None = None
    sort: str = "-usd"

    def __post_init__(self) -> None:
        if self.sort.removeprefix("-") not in SORTS:
            raise InputError([f"sort: {self.sort}: allowed are {', '.join(SORTS)}, with - before it the largest first"])


@dataclass(frozen=True)
class WorkloadList:
    """The list of one plan; `kinds`, `owners` and `clusters` are those that occur.

    Values to compare with are taken from the table itself, and numbers from where they lie in memory: pyarrow loads
    pandas to turn values of Python and numpy into its own and back, which takes longer than to filter any list.
    """

    _content: bytes = field(repr=False)
    _table: pa.Table = field(repr=False)
    _values: Mapping[str, Mapping[str, pa.Scalar]] = field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> WorkloadList:
        """That of a Parquet file that `table_bytes` made."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        file = pq.ParquetFile(pa.BufferReader(content))
        names = [name for name in file.schema_arrow.names if name not in _LATER or name == "groups"]
        table = file.read(names).combine_chunks()
        columns = {name: table[name] for name in ("kind", "owner", "standing")}
        columns["clusters"] = pc.list_flatten(table["clusters"])
        return cls(content, table, {name: {value.as_py(): value for value in pc.unique(column)}
                                    for name, column in columns.items()})

    @property
    def kinds(self) -> list[str]:
        """Kinds that occur."""
        return sorted(self._values["kind"])

    @property
    def owners(self) -> list[str]:
        """Owners that occur."""
        return sorted(self._values["owner"])

    @property
    def clusters(self) -> list[str]:
        """Clusters that occur."""
        return sorted(self._values["clusters"])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def rows(self, wanted: Wanted, first: int, most: int) -> tuple[list[dict[str, Any]], int]:
        """So many rows from one on, and how many there are in all."""
        import pyarrow.compute as pc

        mask = self._mask(wanted)
        found = None if mask is None else pc.indices_nonzero(mask)
        if wanted.sort != "-usd":  # it lies in that order
            column = wanted.sort.removeprefix("-")
            keys = self._table.select(list(dict.fromkeys((column, "workload"))))
            if found is not None:
                keys = keys.take(found)
            if column in ("kind", "owner"):
                keys = keys.set_column(0, column, keys[column].cast("string"))
            order = "descending" if wanted.sort.startswith("-") else "ascending"
            by = [(column, order), ("workload", "ascending")][:len(keys.column_names)]
            order_of = pc.sort_indices(keys, sort_keys=by)
            found = order_of if found is None else found.take(order_of)
        if found is None:
            return self._table.slice(first, most).to_pylist(), len(self)
        return self._table.take(found.slice(first, most)).to_pylist(), len(found)

    def one(self, name: str) -> dict[str, Any] | None:
        """All that is known of a workload; None where there is none of that name."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        names = self._table["workload"]
        like = pc.indices_nonzero(pc.match_substring(names, name)).to_pylist()
        at = next((at for at in like if names[at].as_py() == name), None)
        if at is None:
            return None
        later = pq.ParquetFile(pa.BufferReader(self._content)).read(["fallbacks"])
        row: dict[str, Any] = self._table.slice(at, 1).to_pylist()[0] | later.slice(at, 1).to_pylist()[0]
        return row

    def _mask(self, wanted: Wanted) -> pa.Array | None:
        """Which rows are wanted; None: all."""
        import pyarrow.compute as pc

        table = self._table
        masks = [self._equal(table[column], column, value) for column, value in (
            ("kind", wanted.kind), ("owner", wanted.owner), ("standing", wanted.standing)) if value]
        if wanted.cluster:
            inside = self._equal(pc.list_flatten(table["clusters"]), "clusters", wanted.cluster)
            masks.append(_having(table["clusters"], inside))
        if wanted.group is not None:
            inside = _truth(_numbers(pc.list_flatten(table["groups"])) == wanted.group)
            masks.append(_having(table["groups"], inside))
        if wanted.search:
            masks.append(pc.or_(*(pc.match_substring(table[column], wanted.search, ignore_case=True)
                                  for column in ("workload", "pipeline"))))
        return reduce(pc.and_, masks) if masks else None

    def _equal(self, column: pa.ChunkedArray, name: str, value: str) -> pa.Array:
        """Which values of a column are this one."""
        import numpy as np
        import pyarrow.compute as pc

        known = self._values[name].get(value)
        return _truth(np.zeros(len(column), np.bool_)) if known is None else pc.equal(column, known)


def _having(lists: pa.ChunkedArray, hits: pa.Array) -> pa.Array:
    """Which lists have one of the hits among all that is in them."""
    import numpy as np
    import pyarrow.compute as pc

    mask = np.zeros(len(lists), np.bool_)
    mask[_numbers(pc.list_parent_indices(lists).filter(hits))] = True
    return _truth(mask)


def _numbers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    """Whole numbers, all given, as numpy has them."""
    import numpy as np

    if not len(column):
        return np.zeros(0, np.int64)
    array = column.combine_chunks()
    every = np.frombuffer(array.buffers()[1], f"i{array.type.bit_width // 8}")
    return every[array.offset:array.offset + len(array)]


def _truth(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Array:
    """Truth values as pyarrow has them, a bit each."""
    import numpy as np
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little"))])
