"""Scenarios that the service may plan: those in its folder and those that were sent to it, by name, and those that come
with a request. Of what was sent, NAME is the newest version and NAME@VERSION a certain one.
"""

from __future__ import annotations

import difflib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from api.archives import ZIP, unpack
from api.hosting.sealing import Sealing, sealer_of
from api.settings import Settings
from api.store.scenarios import NAME, AmbiguousError, SentScenarios, VersionRow
from api.store.store import Store
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.scenario import Scenario


NOWHERE = Path("/dev/null/a request carries no files")
"""The folder of scenarios that come with a request: it cannot exist, so nothing of this machine can be named."""
MAIN = "scenario.yaml"
AT = "@"
REFERENCE = re.compile(rf"{NAME.pattern}({AT}[0-9a-f]{{1,64}})?")
"""What may be asked of the store: a name, or a name and the first letters of a version."""


def sent_scenarios(settings: Settings, store: Store) -> SentScenarios:
    """What was sent, sealed and limited as the settings have it. Raises InputError."""
    return SentScenarios(store.engine, sealer_of(settings), settings.limits.scenario_bytes)


@dataclass(frozen=True)
class Scenarios:
    """What a tenant's requests may name: folders right below `root`, and what was `sent`. A folder is found first."""

    root: Path | None
    sent: SentScenarios

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Self:
        """Those of a tenant."""
        return cls(settings.scenarios, sent_scenarios(settings, store))

    @property
    def folders(self) -> list[str]:
        """Names of the scenario folders, sorted."""
        if self.root is None:
            return []
        return sorted(folder.name for folder in self.root.iterdir() if _is_inside(folder, self.root))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.folders, *self.sent.names()})

    def pinned(self, name: str) -> str:
        """A name as a job keeps it: of what was sent with the version that it means now.

        Raises:
            InputError: there is none of that name, or it is retired.

        """
        row = self._row(name)
        if row is None:
            return name
        if row.retired_at is not None:
            retired = f"retired at {row.retired_at} by {row.retired_by}"
            raise InputError([f"scenario: {name}: {retired}: name another version"])
        return f"{row.name}{AT}{row.version}"

    def read(self, scenario: str | Mapping[str, Any], folder: Path) -> Scenario:
        """Read a scenario by its name or from its fields; what was sent as a folder is unpacked into a sub-folder of
        `folder`, which is needed as long as the scenario. Raises InputError with every mistake in it.
        """
        from planner.scenario import parse_scenario, read_scenario  # pandas: the service answers before it is loaded

        if not isinstance(scenario, str):
            return parse_scenario(scenario, NOWHERE, "scenario")
        row = self._row(scenario)
        if row is None:
            assert self.root is not None
            return read_scenario(self.root / scenario)
        return self.read_version(row, folder)

    def read_version(self, row: VersionRow, folder: Path) -> Scenario:
        """Read a version of what was sent."""
        from planner.scenario import parse_scenario, read_scenario

        content = self.sent.content(row)
        if row.media_type != ZIP:
            return parse_scenario(json.loads(content), NOWHERE, "scenario")
        inside = folder / row.version
        unpack(ZIP, io.BytesIO(content), MAIN, inside)
        return read_scenario(inside)

    def _row(self, name: str) -> VersionRow | None:
        """The version that a name means, None where it is a folder. A name is one of those that are there: no path, and
        no link out of the folder. Raises InputError.
        """
        if name in self.folders:
            return None
        plain, _, version = name.partition(AT)
        try:
            found = self.sent.find(plain, version) if REFERENCE.fullmatch(name) else None
        except AmbiguousError:
            raise InputError([f"scenario: {name}: several versions begin so: more of its letters are needed"]) from None
        if found is None:
            known = self.names()
            near = difflib.get_close_matches(name, known, n=1)
            listed = ", ".join(known) or "none; give the scenario itself"
            hint = f"'{near[0]}'?" if near else f"this service has {listed}"
            raise InputError([f"scenario: {name!r}: not known; {hint}"])
        return found


def _is_inside(folder: Path, root: Path) -> bool:
    file = folder / MAIN
    return file.is_file() and file.resolve().is_relative_to(root.resolve())


def scenario_of(settings: Settings, store: Store, request: Mapping[str, Any], job_id: str, folder: Path) -> Scenario:
    """Read the scenario of a job, from what came with it or by the name in its request, as `Scenarios.read` does."""
    given = store.given(job_id)
    scenario = request["scenario"] if given is None else Sealing.of(settings).open_json(given)
    return Scenarios.of(settings, store).read(scenario, folder)
