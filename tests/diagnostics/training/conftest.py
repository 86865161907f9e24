"""Small fleets and small searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from diagnostics.synthetic import Site, make_fleet
from diagnostics.training.features import FeatureSets, parse_feature_sets
from diagnostics.training.rows import Host, Rows

SMALL = yaml.safe_load(Path(__file__).with_name("small.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def small_sets() -> FeatureSets:
    """Two feature sets, two scalings, two reductions, one ensemble."""
    return parse_feature_sets(SMALL)


@pytest.fixture
def sets_file(tmp_path: Path) -> Callable[..., Path]:
    """The same as a file, with changes."""

    def write(**changes: object) -> Path:
        path = tmp_path / "sets.yaml"
        path.write_text(yaml.safe_dump(SMALL | changes))
        return path

    return write


@pytest.fixture(scope="session")
def telemetry() -> Callable[..., pd.DataFrame]:
    """A long frame of clusters of four hosts, each in the next of the countries."""

    def make(hosts: int = 8, days: int = 12, seed: int = 0, hardware: str = "mixed-disk",
             countries: tuple[str, ...] = ("BR",)) -> pd.DataFrame:
        sites = [Site(f"{hardware}-{at}", hardware, countries[at % len(countries)], 4) for at in range(hosts // 4)]
        frame = make_fleet(sites, days, seed).frame()
        country = {site.cluster: site.country for site in sites}
        return frame.assign(country=frame["cluster"].map(country).astype(object))

    return make


@pytest.fixture(scope="session")
def linear() -> Rows:
    """Metrics a, b, c, d at random, and health = a + 2 b and a little noise; eight hosts, fourteen days."""
    generator = np.random.default_rng(0)
    values = generator.normal(10, 2, (8, 14 * 24, 5))
    values[..., 4] = values[..., 0] + 2 * values[..., 1] + generator.normal(0, 0.3, values.shape[:2])
    hosts = tuple(Host("c", f"h{at}", "nvme", "BR") for at in range(8))
    return Rows(hosts, ("a", "b", "c", "d", "health"), values, np.datetime64("2026-10-05T00:00", "m"), 60)
