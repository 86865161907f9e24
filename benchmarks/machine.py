"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("workload-planner", "numpy", "numba", "scipy", "pandas", "highspy", "ortools", "pulp", "lightgbm",
            "statsforecast", "statsmodels", "prophet", "scikit-learn", "ray", "sqlalchemy", "psycopg", "dbos",
            "uvicorn")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, load, Python, versions of the packages that decide the figures, and the UTC date."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _first(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _first(file: Path, key: str) -> str | None:
    """The value of the first `key : value` line of a file, if there is one."""
    if not file.exists():
        return None
    lines = (line.split(":", 1) for line in file.read_text().splitlines() if line.startswith(key))
    return next((value.strip() for _, value in lines), None)
