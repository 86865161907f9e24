"""Data inside of pages. Without what plans: services answer with pages too."""

from __future__ import annotations

import json

from markupsafe import Markup


def embedded(value: object) -> Markup:
    """JSON that cannot end the element that holds it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704 (escaped)
