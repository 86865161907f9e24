"""What a page shows of what a job made, kept beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from api.store.files import JSON, VIEW


def shown(view: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    """The file of a view, as jobs keep their files."""
    return {VIEW: (JSON, json.dumps(view, ensure_ascii=False).encode())}
