"""The file that proves a plan's bound, in names of the scenario: docs/certificate.md is its specification."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from placement.certificate import Certificate, Decision, Leaf, PricedRows
from placement.checks.reprove import NotProven
from placement.domains import failure_domains
from placement.problem import Floats, Ints, Problem
from planner.errors import InputError
from planner.files import write_atomically
from planner.formulate import Formulation
from planner.supply import RESOURCES

HEADER = "certificate.json"
TABLES = {"weights": "<f8", "pool": "<i4", "vector": "<i4", "firm": "|u1", "price": "<f8", "limit_price": "<f8",
          "unit_price": "<f8"}
"""Arrays of the file and their types."""
MOST_BYTES = 1 << 33
"""Arrays that come to more than this are not read."""
_MADE = (1980, 1, 1, 0, 0, 0)
"""Date of every member: the same certificate gives the same bytes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DecisionRow(_Part):
    """A decision of a leaf: exactly one of `uses`, `avoids` (a failure domain), `copies_at_most`, `copies_above`."""

    workload: str
    user_region: str | None = None
    uses: str | None = None
    avoids: str | None = None
    copies_at_most: int | None = None
    copies_above: int | None = None


class LeafRow(_Part):
    """A leaf: what is decided, two prices, and which rows of the tables are its own (`rows` from, up to)."""

    decisions: Annotated[tuple[DecisionRow, ...], Strict(strict=False)] = ()
    usd_price: float
    weight_price: float
    rows: Annotated[tuple[int, int], Strict(strict=False)]


class Header(_Part):
    """What a certificate says of itself beside its tables."""

    schema_: Literal[1] = Field(alias="schema")
    scenario_sha256: str
    catalog_as_of: str = ""
    objective: dict[str, Any]
    what_if: Annotated[tuple[str, ...], Strict(strict=False)] = ()
    bound: float
    method: str
    slots: int
    resources: Annotated[tuple[str, ...], Strict(strict=False)]
    requests: Annotated[tuple[Annotated[tuple[float, ...], Strict(strict=False)], ...], Strict(strict=False)]
    pools: Annotated[tuple[Annotated[tuple[str, str], Strict(strict=False)], ...], Strict(strict=False)]
    limits: Annotated[tuple[str, ...], Strict(strict=False)] = ()
    commitments: Annotated[tuple[str, ...], Strict(strict=False)] = ()
    leaves: Annotated[tuple[LeafRow, ...], Strict(strict=False)]


@dataclass(frozen=True, slots=True, eq=False)
class CertificateFile:
    """A certificate in names, as it is written and read; `tables` are the arrays of `TABLES`."""

    header: Header
    tables: Mapping[str, np.ndarray]


def in_names(certificate: Certificate, formulation: Formulation, about: Mapping[str, Any]) -> CertificateFile:
    """A certificate with names for the problem's rows; `about` are the fields of the header that it does not know."""
    problem, names, leaves = formulation.problem, formulation.names, certificate.leaves
    ends = np.cumsum([0, *(len(leaf.rows.pool) for leaf in leaves)]).tolist()
    domains = domain_names(formulation)
    rows = tuple(LeafRow(decisions=tuple(_decision_row(formulation, domains, one) for one in leaf.decisions),
                         usd_price=float(leaf.usd_price), weight_price=float(leaf.weight_price), rows=(a, b))
                 for leaf, a, b in zip(leaves, ends[:-1], ends[1:], strict=True))
    header = Header.model_validate({
        **about, "schema": 1, "slots": problem.slots, "resources": resources_of(formulation),
        "requests": problem.shapes.tolist(), "pools": names.pools, "limits": names.limits,
        "commitments": names.commitments, "leaves": rows})
    tables = {
        "weights": certificate.weights,
        **{name: np.concatenate([getattr(leaf.rows, field) for leaf in leaves])
           for name, field in (("pool", "pool"), ("vector", "weight"), ("firm", "firm"), ("price", "price"))},
        "limit_price": _by_leaf(problem, [leaf.limit for leaf in leaves], [0 * problem.limits.most] * len(leaves)),
        "unit_price": _by_leaf(problem, [leaf.unit for leaf in leaves],
                               [leaf.usd_price * problem.commitments.price_usd for leaf in leaves])}
    return CertificateFile(header, {name: np.asarray(values, TABLES[name]) for name, values in tables.items()})


def _by_leaf(problem: Problem, given: Sequence[Floats], free: Sequence[Floats]) -> Floats:
    """Prices [leaves, n, T] of what pools share; where a leaf gives none, those at which nothing is shared."""
    tables = [values if len(values) else usual for values, usual in zip(given, free, strict=True)]
    return np.array([values.reshape(-1, problem.slots) for values in tables])


def resources_of(formulation: Formulation) -> list[str]:
    """Names of the resources of the problem's shapes."""
    used = [name for name in RESOURCES if any(getattr(request, name) for request in formulation.demand.requests)]
    return used or ["vcpu"]


def domain_names(formulation: Formulation) -> list[str]:
    """Failure domains by row: the cluster's name, with its zone after a slash where it has zones."""
    named: dict[int, str] = {}
    for (cluster, pool), d in zip(formulation.supply.pools, failure_domains(formulation.problem).pool.tolist(),
                                  strict=True):
        named[d] = f"{cluster.name}/{pool.zone}" if pool.zone is not None else cluster.name
    return [named.get(d, "") for d in range(len(failure_domains(formulation.problem).path))]


def _decision_row(formulation: Formulation, domains: Sequence[str], decision: Decision) -> DecisionRow:
    workload, region = formulation.names.streams[decision.stream]
    if decision.domain >= 0:
        where = domains[decision.domain]
        return DecisionRow(workload=workload, user_region=region, uses=where if decision.yes else None,
                           avoids=None if decision.yes else where)
    return DecisionRow(workload=workload, user_region=region, copies_at_most=decision.copies if decision.yes else None,
                       copies_above=None if decision.yes else decision.copies)


# ---------------------------------------------------------------- bytes


def write_certificate(found: CertificateFile, path: Path) -> None:
    """Write the file, all of it or nothing; the same certificate gives the same bytes. Raises OSError."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        text = json.dumps(found.header.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
        _add(archive, HEADER, f"{text}\n".encode())
        for name in TABLES:
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(found.tables[name]), (1, 0), allow_pickle=False)  # type: ignore[no-untyped-call]
            _add(archive, f"{name}.npy", member.getvalue())
    write_atomically(path, buffer.getvalue())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _MADE)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    archive.writestr(info, content)


def read_certificate(path: Path) -> CertificateFile:
    """Read a file. Raises InputError where it is not a certificate."""
    try:
        with zipfile.ZipFile(path) as archive:
            header = Header.model_validate_json(archive.read(HEADER))
            tables = {name: _array(archive, path, name) for name in TABLES}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError([f"{path}: {HEADER}: {where}: {first['msg']}"]) from None
    except FileNotFoundError:
        raise InputError([f"{path}: no such file; planner plan --certificate makes one"]) from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError, zlib.error) as error:
        cause = " ".join(str(error).split())
        raise InputError([f"{path}: not a certificate: {cause}; planner plan --certificate makes one"]) from None
    return CertificateFile(header, tables)


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > MOST_BYTES:
        raise InputError([f"{path}: {name}.npy: {info.file_size} bytes: at most {MOST_BYTES} are read"])
    with archive.open(info) as member:
        found = np.lib.format.read_array(member, allow_pickle=False)  # type: ignore[no-untyped-call]
    if found.dtype != np.dtype(TABLES[name]):
        raise InputError([f"{path}: {name}.npy: values of type {found.dtype}: {np.dtype(TABLES[name])} is needed"])
    return np.asarray(found)


# ---------------------------------------------------------------- names back to rows


def of_names(found: CertificateFile, formulation: Formulation) -> Certificate:
    """The certificate by rows of the problem. Raises NotProven where it is not one of this scenario."""
    header, tables, problem, names = found.header, found.tables, formulation.problem, formulation.names
    if header.slots != problem.slots:
        raise NotProven(f"the certificate has {header.slots} slots; the scenario has {problem.slots}")
    shape = _rows("request", [tuple(row) for row in problem.shapes.tolist()], header.requests)
    if list(header.resources) != resources_of(formulation):
        raise NotProven(f"the certificate's resources are {', '.join(header.resources)}; the scenario's are "
                        f"{', '.join(resources_of(formulation))}")
    pool = _rows("pool", names.pools, header.pools)
    limit, unit = (_rows(*which) for which in (("limit", names.limits, header.limits),
                                               ("commitment", names.commitments, header.commitments)))
    given = tables["weights"]
    if given.ndim != 2 or given.shape[1] != len(shape):
        raise NotProven(f"weights have shape {given.shape}; {len(shape)} columns, one a request, are needed")
    weights = np.zeros((len(given), len(problem.shapes)))
    weights[:, shape] = given
    leaves = tuple(_leaf(formulation, found, row, at, pool, limit, unit) for at, row in enumerate(header.leaves))
    return Certificate(weights, leaves)


def _rows(what: str, known: Sequence[Any], named: Sequence[Any]) -> Ints:
    """Rows in the problem's table of what the certificate names, in its order."""
    row = {name: at for at, name in enumerate(known)}
    missing = [name for name in named if name not in row]
    if missing:
        words = "/".join(map(str, missing[0])) if isinstance(missing[0], tuple) else str(missing[0])
        raise NotProven(f"the certificate names {what} {words}, which the scenario does not have")
    if len(set(named)) < len(named):
        raise NotProven(f"the certificate names a {what} twice")
    return np.array([row[name] for name in named], np.int64)


def _leaf(formulation: Formulation, found: CertificateFile, row: LeafRow, at: int, pool: Ints, limit: Ints,
          unit: Ints) -> Leaf:
    problem, tables, (first, end) = formulation.problem, found.tables, row.rows
    count = len(tables["price"])
    if not 0 <= first <= end <= count or any(len(tables[name]) != count for name in ("pool", "vector", "firm")):
        raise NotProven(f"leaf {at}: rows {first} to {end} are not there; the tables have {count}")
    number = tables["pool"][first:end].astype(np.int64)
    if ((number < 0) | (number >= len(pool))).any() or tables["price"].ndim != 2:
        raise NotProven(f"leaf {at}: a row names a pool that is not there; they are numbered from 0 to {len(pool) - 1}")
    rows = PricedRows(pool[number], tables["vector"][first:end].astype(np.int64),
                      tables["firm"][first:end].astype(np.bool_), np.ascontiguousarray(tables["price"][first:end]))
    decisions = tuple(_decision(formulation, one) for one in row.decisions)
    return Leaf(decisions, rows, row.usd_price, row.weight_price,
                _shared(problem, tables["limit_price"], at, limit, len(problem.limits.paid), "limit_price"),
                _shared(problem, tables["unit_price"], at, unit, len(problem.commitments.owned), "unit_price"))


def _shared(problem: Problem, table: Floats, at: int, row: Ints, count: int, name: str) -> Floats:
    """Prices [count, T] of what pools share in leaf `at`; what the certificate does not name is free of charge."""
    if table.ndim != 3 or at >= len(table) or table.shape[1:] != (len(row), problem.slots):
        raise NotProven(f"{name} has shape {table.shape}; (leaves, {len(row)}, {problem.slots}) is needed")
    if count and len(row) < count:
        raise NotProven(f"{name} is for {len(row)} rows; the scenario has {count}")
    prices = np.zeros((count, problem.slots))
    prices[row] = table[at]
    return prices


def _decision(formulation: Formulation, row: DecisionRow) -> Decision:
    stream = formulation.names.stream_row.get((row.workload, row.user_region))
    if stream is None:
        raise NotProven(f"a decision names workload {row.workload} (users in {row.user_region}), which is not there")
    asked = [value is not None for value in (row.uses, row.avoids, row.copies_at_most, row.copies_above)]
    if sum(asked) != 1:
        raise NotProven(f"a decision on {row.workload} says {sum(asked)} things; one of uses, avoids, copies_at_most "
                        f"and copies_above is needed")
    where = row.uses or row.avoids
    if where is None:
        copies = row.copies_at_most if row.copies_at_most is not None else row.copies_above
        return Decision(stream, -1, int(copies or 0), row.copies_at_most is not None)
    known = domain_names(formulation)
    if where not in known:
        raise NotProven(f"a decision names failure domain {where}, which the scenario does not have")
    return Decision(stream, known.index(where), 0, row.uses is not None)

