"""Models as skops files: no code runs at reading, and only types on a pinned list are made."""

from __future__ import annotations

import zipfile
from typing import Any

from diagnostics.store.errors import UntrustedTypeError

TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Beside what skops trusts by itself (numpy, scipy and scikit-learn's own estimators)."""


def dump(model: dict[str, Any]) -> bytes:
    """The file of a model: a dict of numbers, text, arrays and scikit-learn estimators.

    Raises:
        UntrustedTypeError: it holds a type that `load` would refuse.

    """
    import skops.io  # loads all of scikit-learn

    content: bytes = skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED)
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
