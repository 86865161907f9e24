"""What models of a store take, as `planner models measure` wrote it there."""

from __future__ import annotations

from pathlib import Path

from planner.errors import InputError
from planner.scenario.model import Scenario


def measured_by(scenario: Scenario, folder: Path, url: str | None = None) -> Scenario:
    """The scenario with costs of the hardware classes of its clusters that a model was measured of: the newest of each
    class, else of all hardware; what the scenario says itself stands.

    Raises:
        InputError: there is no store.

    """
    from diagnostics.store import ALL_HARDWARE, ModelStore, StoreError

    if url is None and not (folder / "models.db").is_file():
        raise InputError([f"PLANNER_MODELS: {folder}: there is no model store; `planner models train` makes one"])
    try:
        store = ModelStore(folder, url)
        found = store.costs()
        store.close()
    except StoreError as error:
        raise InputError([f"PLANNER_MODELS: {error}"]) from error
    classes = {cluster.hardware_class for cluster in scenario.clusters if cluster.hardware_class is not None}
    told = {}
    for name in sorted(classes):
        measured = found.get(name) or found.get(ALL_HARDWARE)
        if measured is not None:
            told[name] = dict(measured.figures)
    return scenario.model_copy(update={"diagnostics_costs": told | scenario.diagnostics_costs})
