"""YAML as people mean it: no duplicate keys, no surprises of YAML 1.1, no bombs, and errors that say the line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from planner.errors import InputError

SPLIT = "put long lists into tables, such as workloads: workloads.parquet"
MAX_BYTES = 16 * 2**20
MAX_DEPTH = 50
MAX_VALUES = 3_000_000
"""Values in one file after its aliases are expanded."""

Value: TypeAlias = Any
"""Whatever a file may hold: nothing, truth, a number, text, a list or a mapping of these."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Stops at a depth that no scenario has: the C parser would overrun its stack."""

    _depth = 0

    def descend_resolver(self, _parent: yaml.Node | None, _index: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels")

    def ascend_resolver(self) -> None:
        self._depth -= 1


YAML_TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = frozenset(YAML_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "value",
                                                   "merge", "seq", "map"))
TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
DECIMAL = re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?")
SPECIAL = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan, "nan": math.nan}


def read_yaml(path: Path) -> Value:
    """The value of a YAML file, keys as text.

    Plain words are read by the rules of YAML 1.2: `NO` is text, `1e-3` is a number, a time is text for its field to
    judge. Raises InputError for a file that is missing, too large, empty or not YAML.
    """
    return parse_yaml(read_text(path), path.name)


def parse_yaml(text: str, file: str) -> Value:
    """The value of a YAML text; `file` is what errors call it. Raises InputError."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise InputError([f"{file}: {_words(error, text)}"]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        raise InputError([f"{file}: is empty: a mapping of fields is needed"])
    return _Values(file).of(node)[0]


def parse_documents(text: str, file: str) -> list[Value]:
    """The values of all documents of a YAML text; empty ones are left out. Raises InputError."""
    loader, found = None, list[Value]()
    try:
        loader = _Loader(text)
        while loader.check_node():
            found.append(_Values(file).of(loader.get_node())[0])
    except yaml.YAMLError as error:
        raise InputError([f"{file}: {_words(error, text)}"]) from None
    finally:
        if loader is not None:
            loader.dispose()
    return [value for value in found if value is not None]


def scalar(text: str) -> Value:
    """The value of a plain word: truth, nothing, a number, or the word itself."""
    if text in NOTHING:
        return None
    if text in TRUTH:
        return TRUTH[text]
    if text[0] in "+-.0123456789nN":
        return _number(text)
    return text


def _number(text: str) -> Value:
    if WHOLE.fullmatch(text):
        return int(text.replace("_", "")) if len(text) <= 40 else float(text.replace("_", ""))
    if text.lower() in SPECIAL:
        return SPECIAL[text.lower()]
    leading_zero = re.match(r"[-+]?0[0-9]", text)  # 010 is 8 to some readers and 10 to others
    if DECIMAL.fullmatch(text) and re.search("[0-9]", text) and not leading_zero:
        return float(text.replace("_", ""))
    return text


def read_text(path: Path) -> str:
    """The text of a YAML file. Raises InputError for a file that is missing, too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError([f"{path.name}: {size / 1e6:,.0f} MB: at most {MAX_BYTES / 1e6:,.0f} MB of YAML: {SPLIT}"])
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError([f"{path.name}: byte {error.start} is not UTF-8 text: save it as UTF-8"]) from None
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}"]) from None


def _words(error: yaml.YAMLError, text: str) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"is not YAML: {' '.join(str(error).split())}"
    line = error.problem_mark.line
    lines = text.splitlines()
    found = lines[line] if line < len(lines) else ""
    if "\t" in found[: len(found) - len(found.lstrip())]:
        return f"line {line + 1}: a tab: YAML is indented with spaces only: replace every tab by two spaces"
    if "expected a single document" in str(error):
        return f"line {line + 1}: a second document: one file holds one: remove everything from '---' on"
    return f"line {line + 1}, column {error.problem_mark.column + 1}: is not YAML: {error.problem}"


class _Values:
    """Values of YAML nodes; `of` returns a value and how many values it holds with its aliases expanded."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._done: dict[int, tuple[Value, int] | None] = {}

    def of(self, node: yaml.Node) -> tuple[Value, int]:
        if node.tag not in PLAIN_TAGS:
            raise self._wrong(node, f"the tag {node.tag.removeprefix(YAML_TAG)}: plain values only")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else scalar(node.value), 1
        key = id(node)
        if key in self._done:
            known = self._done[key]
            if known is None:
                raise self._wrong(node, "an alias to what it is part of: write the values out")
            return known
        self._done[key] = None
        value, size = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._list(node)
        if size > MAX_VALUES:
            raise self._wrong(node, f"more than {MAX_VALUES:,} values: put long lists into tables")
        self._done[key] = value, size
        return value, size

    def _list(self, node: yaml.Node) -> tuple[list[Any], int]:
        pairs = [self.of(item) for item in node.value]
        return [value for value, _ in pairs], 1 + sum(size for _, size in pairs)

    def _mapping(self, node: yaml.MappingNode) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        total = 1
        for key, item in node.value:
            value, size = self.of(item)
            total += size
            if key.tag == f"{YAML_TAG}merge":
                merged = {**self._merged(key, value), **merged}
                continue
            name = self._key(key)
            if name in found:
                raise self._wrong(key, f"{name}: given twice in one mapping: keep one")
            found[name] = value
        return ({**merged, **found} if merged else found), total

    def _merged(self, key: yaml.Node, value: Value) -> dict[str, Value]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._wrong(key, "'<<' takes a mapping or a list of mappings")
        return {name: item for part in reversed(parts) for name, item in part.items()}

    def _key(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise self._wrong(key, "a list or mapping as a key: keys are words")
        return str(key.value)

    def _wrong(self, node: yaml.Node, words: str) -> InputError:
        return InputError([f"{self._file}: line {node.start_mark.line + 1}: {words}"])


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Puts quotes around every text that `scalar` would not read as text."""

    def ignore_aliases(self, _: object) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:[nN]a[nN]|{DECIMAL.pattern})$"),
                              list("+-.0123456789nN"))


def dump_yaml(value: Value) -> str:
    """Text of a value, in the order of its keys, such that `parse_yaml` reads the same value again."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120,
                         default_flow_style=None))


def dump_documents(values: Sequence[Value]) -> str:
    """Texts of several values in one file, each on lines of its own, as Kubernetes has its manifests."""
    return str(yaml.dump_all(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120,
                             default_flow_style=False, explicit_start=len(values) > 1))
