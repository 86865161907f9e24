"""Range queries of Prometheus: asked over HTTP, or as `/api/v1/query_range` answered them, as series of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from planner.errors import InputError
from planner.importers.draft import Asked
from planner.scenario.words import shown

QUERY = 'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!=""}[5m]))'
"""What is asked where an address names no query: CPU cores that containers used, by pod."""
DAYS, TIMEOUT_S = 14, 60
"""How far back is asked, which is about as long as Prometheus keeps samples unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values by time (seconds since 1970) of one set of labels; what is no number is not among them."""

    labels: Mapping[str, str]
    values: Mapping[int, float]
    file: str

    @property
    def metric(self) -> str:
        """The metric's name; empty where the query made it up."""
        return self.labels.get("__name__", "")


def is_address(source: str) -> bool:
    """Whether a source is the address of a Prometheus, rather than a file."""
    return source.startswith(("http://", "https://"))


def fetch(address: str, asked: Asked) -> Mapping[str, Any]:
    """The answer of a Prometheus: to the query in its address, or to the usual one. Raises InputError."""
    parts = urlsplit(address)
    if not parts.query:
        step = asked.slot_minutes * 60
        last = int(asked.start.timestamp()) - step
        query = urlencode({"query": QUERY, "start": last - DAYS * 86_400, "end": last, "step": step})
        parts = parts._replace(path=parts.path.rstrip("/") + "/api/v1/query_range", query=query)
    try:
        with urlopen(parts.geturl(), timeout=TIMEOUT_S) as answer:  # noqa: S310  (is_address lets HTTP through only)
            found = json.load(answer)
    except URLError as error:
        said = error.read().decode(errors="replace")[:200] if hasattr(error, "read") else ""
        raise InputError([f"{address}: {getattr(error, 'reason', error)} {said}".rstrip()
                          + ": the address of a Prometheus is needed, such as http://127.0.0.1:9090"]) from None
    except (OSError, ValueError) as error:
        raise InputError([f"{address}: {error}: the address of a Prometheus is needed"]) from None
    return {**result(found, address), "file": address}


def result(value: object, file: str) -> Mapping[str, Any]:
    """The data of a successful answer. Raises InputError for any other."""
    if not isinstance(value, Mapping) or value.get("status") != "success" or not isinstance(value.get("data"), Mapping):
        said = value.get("error") if isinstance(value, Mapping) else None
        raise InputError([f"{file}: {said or shown(value)}: a successful answer of /api/v1/query_range is needed"])
    data: Mapping[str, Any] = value["data"]
    return data


def series_of(results: Iterable[Mapping[str, Any]]) -> list[Series]:
    """Series of some answers, those with the same labels joined.

    Raises InputError for answers that are no ranges, and for counters, whose rate says what was demanded.
    """
    joined: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}
    files: dict[tuple[tuple[str, str], ...], str] = {}
    for found in results:
        file = str(found["file"])
        if found.get("resultType") != "matrix":
            kind = shown(found.get("resultType"))
            raise InputError([f"{file}: data.resultType: {kind}: matrix is needed: ask /api/v1/query_range"])
        for number, one in enumerate(found.get("result") or []):
            labels = {str(key): str(value) for key, value in one.get("metric", {}).items()}
            if labels.get("__name__", "").endswith("_total"):
                name = labels["__name__"]
                raise InputError([f"{file}: {name}: is a counter: ask for its rate: rate({name}[5m])"])
            key = tuple(sorted(labels.items()))
            files.setdefault(key, file)
            joined.setdefault(key, {}).update(_numbers(one.get("values"), f"{file}: data.result[{number}].values"))
    return [Series(dict(key), dict(sorted(values.items())), files[key]) for key, values in joined.items()]


def _numbers(values: object, where: str) -> dict[int, float]:
    """Pairs of time and number; NaN, which also marks the end of a series, and infinities are left out."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError([f"{where}: {shown(values)}: a list of [time, value] is needed"])
    found = {}
    for at, pair in enumerate(values):
        try:
            second, value = pair
            number = float(value)
            moment = round(float(second))
        except (TypeError, ValueError):
            raise InputError([f"{where}[{at}]: {shown(pair)}: [time, value] is needed"]) from None
        if isfinite(number):
            found[moment] = number
    return found
