"""What super alarms of hosts go by: the policy of alarms, experts' rules, and what the scenario of the watch knows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from api.folders import stamps
from api.settings import Watching
from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.experts import ExpertRule
    from planner.diagnose import Fleet


class Known(NamedTuple):
    """The policy with what the scenario adds, and what experts call normal."""

    fleet: Fleet
    rules: tuple[ExpertRule, ...] = ()


class Policy:
    """The files of a service's watch, read when first asked for and again when one has changed; those that cannot be
    used are not tried again before.
    """

    def __init__(self, watch: Watching) -> None:
        self._watch = watch
        self._reading = threading.Lock()
        self._seen: object = None
        self._found: Known | InputError | None = None

    def now(self) -> Known:
        """What they say. Raises InputError for a file that cannot be used."""
        from planner.diagnose import alarm_policy, settings_of  # numpy: the service answers before it is loaded

        by = self._watch
        with self._reading:
            now = stamps(path for path in (by.alarms, by.scenario, by.rules) if path is not None)
            if self._found is None or self._seen != now:
                self._seen = now
                try:
                    self._found = Known(alarm_policy(by.alarms, by.scenario), settings_of(by.rules, None).rules)
                except InputError as error:
                    self._found = error
            if isinstance(self._found, InputError):
                raise self._found.with_traceback(None)
            return self._found
