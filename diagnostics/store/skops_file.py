"""Models as skops files: no code runs at reading, only types on a pinned list are made, and the bytes follow from the
model.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from diagnostics.store.errors import UntrustedTypeError

_SCHEMA = "schema.json"
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Beside what skops trusts by itself (numpy, scipy and scikit-learn's own estimators)."""


def dump(model: dict[str, Any]) -> bytes:
    """The file of a model (a dict of numbers, text, arrays and scikit-learn estimators): the same for the same model.

    Raises:
        UntrustedTypeError: it holds a type that `load` would refuse.

    """
    import skops.io  # loads all of scikit-learn

    content = _canonical(skops.io.dumps(model))
    _check(content)
    return content


def load(content: bytes) -> dict[str, Any]:
    """The model in a file whose hash was checked.

    Raises:
        UntrustedTypeError: it is no skops file, or names a type that is not on the pinned list.

    """
    import skops.io

    _check(content)
    model: dict[str, Any] = skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    return model


def _canonical(content: bytes) -> bytes:
    """The same file without what differs from one writing to the next: skops names parts by addresses in memory, and
    zip files hold the time. Arrays are named by what is in them, other parts are counted.
    """
    with zipfile.ZipFile(BytesIO(content)) as given:
        parts = {name: given.read(name) for name in given.namelist()}
    schema = json.loads(parts.pop(_SCHEMA))
    named = {name: hashlib.sha256(part).hexdigest() + PurePosixPath(name).suffix for name, part in parts.items()}
    parts = {named[name]: part for name, part in parts.items()}
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, part in [*sorted(parts.items()), (_SCHEMA, json.dumps(_renamed(schema, named, {})).encode())]:
            file.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)  # of 1980: a time would be another file
    return made.getvalue()


def _renamed(node: Any, named: Mapping[str, str], numbers: dict[int, int]) -> Any:  # noqa: ANN401 - any JSON
    """A schema of skops with files by their new names, and objects by the order in which they come."""
    if isinstance(node, list):
        return [_renamed(one, named, numbers) for one in node]
    if not isinstance(node, dict):
        return node
    told = {key: _renamed(one, named, numbers) for key, one in node.items() if key != "__id__" or isinstance(one, dict)}
    loader = node.get("__loader__")
    if isinstance(loader, str):  # else a dict of the model
        if "file" in told:
            told["file"] = named[told["file"]]
        if loader != "JsonNode":  # whether two equal numbers or texts are one object in memory says nothing
            told["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    return told


def _check(content: bytes) -> None:
    """Refuse types that are not pinned, by name."""
    import skops.io

    try:
        found = set(skops.io.get_untrusted_types(data=content))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UntrustedTypeError(f"no skops file: {error}") from error
    if strange := sorted(found.difference(TRUSTED_TYPES)):
        raise UntrustedTypeError(f"the file holds {', '.join(strange)}, which is not trusted; trusted beside "
                                 f"scikit-learn's own estimators: {', '.join(TRUSTED_TYPES)}")
