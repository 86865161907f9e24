"""Files that people write, read strictly: unknown keys and wrong values are named, with what is allowed."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml


class FileError(ValueError):
    """A file is wrong; the message is one line: where, what was found, what is allowed."""


def read_yaml(path: Path) -> object:
    """The content of a YAML file. Raises FileError when it cannot be read."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: {str(error).splitlines()[0]}") from error


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    """What a YAML text says. Raises yaml.YAMLError, also where a key is there twice: only one of them would count."""
    seen: set[int] = set()
    left = [yaml.compose(text, Loader=yaml.SafeLoader)]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice[0]!r} is there twice: keep one")
            left += [value for _, value in node.value]
    return yaml.safe_load(text)


def mapping(at: str, given: object, known: tuple[str, ...] | None) -> dict[str, Any]:
    """A mapping with none but known keys (None: any). Raises FileError."""
    if not isinstance(given, dict):
        raise FileError(f"{at}: {given!r}: must be a mapping" + (f" of {', '.join(known)}" if known else ""))
    for key in given:
        if known is not None and key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(known)}"
            raise FileError(f"{at}: {key!r} is not known; {hint}")
    return given


def items(at: str, given: object) -> list[Any]:
    """A list. Raises FileError."""
    if not isinstance(given, list):
        raise FileError(f"{at}: {given!r}: must be a list")
    return given


def text(at: str, given: object) -> str:
    """A text that is not empty. Raises FileError."""
    if not isinstance(given, str) or not given:
        raise FileError(f"{at}: {given!r}: must be a text")
    return given


def texts(at: str, given: object) -> list[str]:
    """A list of texts. Raises FileError."""
    return [text(at, one) for one in items(at, given)]


def number(at: str, given: object, most: float = 1.0) -> float:
    """A number from 0 to `most`. Raises FileError."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= most:
        raise FileError(f"{at}: {given!r}: must be a number from 0 to {most:g}")
    return float(given)
