"""Mistakes in plain words: what pydantic found, said as file, field, value, what is allowed and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic_core import ErrorDetails

from planner.scenario.fields import Path, did_you_mean, field_at, fields_of, is_text, model_at, model_in
from planner.scenario.model import Model, Scenario
from planner.scenario.values import BY_SLOT, NO_TIME, ONE
from planner.scenario.yaml_file import Value

NAMED = {"clusters": "name", "pools": "name", "workloads": "name", "offers": "purchase", "links": "from",
         "domains": "name", "zones": "name", "limits": "name", "commitments": "name", "users": "region",
         "after": "workload", "tasks": "name"}
"""Lists whose items are called by a field of theirs rather than by position."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where values of a scenario came from: `main` is its file, `tables` the file of each list kept in a table."""

    main: str
    tables: Mapping[str, str]

    def file(self, field: str) -> str:
        """The file that a field (`workloads.etl.request`) was read from."""
        return self.tables.get(re.split(r"[.\[]", field, maxsplit=1)[0], self.main)

    def line(self, field: str, *parts: str) -> str:
        """One problem as a line: file: field: value: what is allowed: how to mend; empty parts are left out."""
        return ": ".join(part for part in (self.file(field), field, *parts) if part)


def shown(value: object) -> str:
    """A value in a message: short, on one line."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    text = " ".join(str(value).split()) or "''"
    return text if len(text) <= 60 else f"{text[:57]}..."


def field_name(path: Path, raw: Value) -> str:
    """A path in people's words: `clusters.aws-saopaulo.pools.m6i.max`; items without a name by their position."""
    words: list[str] = []
    for at, part in enumerate(path):
        raw = _inside(raw, part)
        if isinstance(part, str):
            words.append(part)
            continue
        title = _title(path[at - 1] if at else "", raw)
        if title:
            words.append(title)
        else:
            words[-1] += f"[{part}]"
    return ".".join(words)


def _inside(raw: Value, part: str | int) -> Value:
    try:
        return raw[part]
    except (KeyError, IndexError, TypeError):
        return None


def _title(group: str | int, item: Value) -> str | None:
    if not isinstance(item, Mapping):
        return None
    if group == "links" and isinstance(item.get("from"), str):
        return f"{item['from']} -> {item.get('to')}"
    title = item.get(NAMED.get(str(group), ""))
    return title if isinstance(title, str) and title else None


def translate(errors: list[ErrorDetails], raw: Value, places: Places, root: type[Model] = Scenario) -> list[str]:
    """Lines for the errors of a pydantic validation of `raw` as a scenario, or as another model."""
    lines = []
    columns: set[Path] = set()
    for error in errors:
        path = error["loc"]
        if error["type"] == "too_short" and error["input"]:
            continue  # the items with mistakes do not count, and are told already
        if error["type"] == "extra_forbidden" and path[0] in places.tables:
            if path[2:] in columns:
                continue  # one line for a column
            columns.add(path[2:])
        lines.append(_line(error, raw, places, root))
    return lines


def real_path(location: Path) -> Path:
    """The path of an error without the words that a choice of forms puts into it."""
    return tuple(part for at, part in enumerate(location)
                 if not (part in (ONE, BY_SLOT) or (part in ("list", "source") and at
                                                    and location[at - 1] == "replicas")))


def _line(error: ErrorDetails, raw: Value, places: Places, root: type[Model]) -> str:
    path, kind, value = real_path(error["loc"]), error["type"], error["input"]
    field = field_name(path, raw)
    if not path:
        return places.line("scenario", shown(value), "a mapping of fields is needed")
    if kind == "missing":
        return places.line(field, "not given", REPLICAS if path[-1] == "replicas" else _allowed(path, root))
    if kind == "extra_forbidden":
        return places.line(field, "unknown field", _unknown(path, root))
    say = KINDS.get(kind)
    allowed, mend = say(error, path) if say is not None else (str(error["msg"]), "")
    return places.line(field, "" if isinstance(value, str) and repr(value) in allowed else shown(value), allowed, mend)


def _unknown(path: Path, root: type[Model]) -> str:
    word, model = str(path[-1]), model_at(path[:-1], root)
    if model is None:
        return "leave it out"
    known = fields_of(model)
    for name, field in known.items():
        inner = model_in(field.annotation)
        if inner is not None and word in fields_of(inner) and word not in ("name", "from"):
            return f"did you mean {name}.{word}?"
    return did_you_mean(word, list(known), most=40)


def _allowed(path: Path, root: type[Model]) -> str:
    """What a field takes, from its type and bounds."""
    field = field_at(path, root)
    if field is None:
        return "a value is needed"
    annotation = field.annotation
    if model_in(annotation) is not None:
        return "a list is needed" if "tuple" in str(annotation) else "a mapping is needed"
    if _choices(annotation):
        return f"one of {', '.join(_choices(annotation))} is needed"
    if is_text(annotation):
        return "text is needed"
    return "a whole number is needed" if "int" in str(annotation) else "a value is needed"


def _choices(annotation: object) -> list[str]:
    args = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is Literal:
        return [str(arg) for arg in args]
    return next((found for arg in args if (found := _choices(arg))), [])


def _number(error: ErrorDetails, path: Path) -> tuple[str, str]:
    value, name = error["input"], str(path[-1])
    needed = "a whole number" if error["type"].startswith("int") else "a number"
    if isinstance(value, str):
        bare = _bare_number(value, name)
    else:
        bare = value if isinstance(value, float) and value.is_integer() else None
    return needed, f"write {round(bare, 4):.12g}" if bare is not None else ""


FACTORS: dict[str, float] = {
    "": 1, "m": 1e-3, "k": 1e3, "%": 1e-2, "gi": 1, "gib": 1, "mi": 1 / 1024, "mib": 1 / 1024, "ti": 1024, "tib": 1024,
    "g": 1e9 / 2**30, "gb": 1e9 / 2**30, "tb": 1e12 / 2**30, "ms": 1, "s": 1e3, "usd": 1, "$": 1, "vcpu": 1,
    "cores": 1, "cpu": 1, "gbps": 1, "min": 1,
}
"""What a unit written behind a number stands for in the unit of the field."""


def _bare_number(text: str, name: str) -> float | None:
    """The number that a text such as `16Gi`, `500m` or `99,5` stands for in the unit of field `name`."""
    found = re.fullmatch(r"\s*\$?([-+]?[0-9]+(?:[.,][0-9]+)?)\s*([a-z%$]*)\s*", text.lower())
    if found is None:
        return None
    number, unit = float(found[1].replace(",", ".")), found[2]
    if unit in ("gb", "g", "tb") and not name.endswith("_gib"):
        return number * {"tb": 1e3}.get(unit, 1.0)
    if unit == "s" and not name.endswith("_ms"):
        return None
    return number * FACTORS[unit] if unit in FACTORS else None


def _choice(error: ErrorDetails, _: Path) -> tuple[str, str]:
    known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
    value = error["input"]
    mend = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"one of {', '.join(known)}", mend if mend.startswith("did") else ""


FRACTIONS = ("availability", "durability", "sla_floor", "service_level", "headroom", "discount", "share", "probability")


def _bound(error: ErrorDetails, path: Path) -> tuple[str, str]:
    context, value, name = error["ctx"], error["input"], str(path[-1])
    sign, bound = next((word, context[key]) for key, word in BOUNDS.items() if key in context)
    if name in FRACTIONS:
        mend = f"write {value / 100:.12g}" if isinstance(value, int | float) and 1 < value <= 100 else ""
        return "a fraction from 0 to 1", mend
    return f"{sign} {bound:,.15g}" if abs(bound) >= 10_000 else f"{sign} {bound:g}", ""


BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _pattern(error: ErrorDetails, _: Path) -> tuple[str, str]:
    value = str(error["input"])
    if "A-Z" in error["ctx"]["pattern"]:
        return "a country of two letters (ISO 3166)", f"write {value.upper()}" if len(value) == 2 else "such as BR"
    return "a region as provider/region, such as aws/sa-east-1", ""


def _custom(error: ErrorDetails, _: Path) -> tuple[str, str]:
    words = str(error["ctx"]["error"])
    if words == "no_zone":
        return "a time has a zone", f"write {error['input']}Z" if isinstance(error["input"], str) else "add Z"
    return words, "write it as 2026-11-02T00:00:00Z" if words == NO_TIME else ""


REPLICAS = "a list of one whole number a slot, or one of {from: ...}, {history: ...}, {task: ...}"

KINDS: dict[str, Callable[[ErrorDetails, Path], tuple[str, str]]] = {
    "float_type": _number,
    "int_type": _number,
    "int_from_float": _number,
    "string_type": lambda error, _: ("text", f"write '{shown(error['input'])}' in quotes"
                                     if isinstance(error["input"], int | float) else ""),
    "bool_type": lambda *_: ("true or false", ""),
    "literal_error": _choice,
    "greater_than_equal": _bound,
    "greater_than": _bound,
    "less_than_equal": _bound,
    "less_than": _bound,
    "multiple_of": lambda *_: ("a whole number", ""),
    "finite_number": lambda *_: ("a finite number", "leave it out if it is not known"),
    "tuple_type": lambda *_: ("a list", "write [a, b]"),
    "model_type": lambda _, path: (REPLICAS if path[-1] == "replicas" else "a mapping of fields", ""),
    "model_attributes_type": lambda *_: ("a mapping of fields", ""),
    "dict_type": lambda *_: ("a mapping", ""),
    "string_too_short": lambda *_: ("text that is not empty", ""),
    "too_short": lambda _, path: ("at least one item", "add one" if len(path) == 1 or path[-1] == "pools"
                                  else "leave it out if all are meant"),
    "string_pattern_mismatch": _pattern,
    "datetime_type": lambda *_: ("a time", "write it as 2026-11-02T00:00:00Z"),
    "value_error": _custom,
}
"""What is allowed and how to mend it, by the kind of a pydantic error."""
