"""A store against the simplest thing that could be right: a stack of stable versions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from diagnostics.store import ModelStore, NewVersion, StoreError


class StackOfVersions(RuleBasedStateMachine):
    """Registers, promotes, rolls back and retires at random, here and in a list beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ModelStore(Path(self.folder.name))
        self.all: list[str] = []
        self.stack: list[str] = []
        self.stage: dict[str, str] = {}
        self.were_stable: set[str] = set()
        self.changes = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule()
    def register(self) -> None:
        number = len(self.all)
        made = NewVersion("nvme", f"{number:064d}", "x", "c", "p", {}, {})
        self.all.append(self.store.register(made, f"{number}".encode(), "ann", "x").id)
        self.stage[self.all[-1]] = "candidate"
        self.changes += 1

    @precondition(lambda self: self.all)
    @rule(pick=st.integers(0, 99))
    def promote(self, pick: int) -> None:
        name = self.all[pick % len(self.all)]
        allowed = self.stage[name] == "candidate"
        self.attempt(allowed, lambda: self.store.promote(name, self.stack[-1] if self.stack else None, "ann", "x"))
        if allowed:
            self.stack.append(name)
            self.were_stable.add(name)
            self.stage[name] = "stable"

    @rule()
    def roll_back(self) -> None:
        allowed = len(self.stack) > 1
        self.attempt(allowed, lambda: self.store.rollback("nvme", "last-known-good", "ann", "x"))
        if allowed:
            self.stage[self.stack.pop()] = "retired"

    @precondition(lambda self: self.all)
    @rule(pick=st.integers(0, 99))
    def roll_back_to(self, pick: int) -> None:
        name = self.all[pick % len(self.all)]
        allowed = bool(self.stack) and name in self.were_stable and name != self.stack[-1]
        self.attempt(allowed, lambda: self.store.rollback("nvme", name, "ann", "x"))
        if allowed:
            while self.stack and (name in self.stack[:-1] or name not in self.stack):
                self.stage[self.stack.pop()] = "retired"
                if name not in self.stack:
                    break
            if name not in self.stack:
                self.stack.append(name)
            self.stage[name] = "stable"

    @precondition(lambda self: self.all)
    @rule(pick=st.integers(0, 99))
    def retire(self, pick: int) -> None:
        name = self.all[pick % len(self.all)]
        allowed = self.stage[name] != "retired" and self.stack[-1:] != [name]
        self.attempt(allowed, lambda: self.store.retire(name, "ann", "x"))
        if allowed:
            self.stage[name] = "retired"
            self.stack = [other for other in self.stack if other != name]

    def attempt(self, allowed: bool, change: object) -> None:
        """Done exactly when the rules allow it."""
        try:
            change()  # type: ignore[operator]
        except StoreError:
            assert not allowed
        else:
            assert allowed
            self.changes += 1

    @invariant()
    def the_store_agrees(self) -> None:
        serving = self.store.serving("nvme")
        assert (serving.id if serving else None) == (self.stack[-1] if self.stack else None)
        versions = self.store.versions("nvme")
        assert {version.id: version.stage for version in versions} == self.stage
        assert sum(version.serves for version in versions) == bool(self.stack)
        assert [event.revision for event in self.store.history("nvme")] == list(range(1, self.changes + 1))


StackOfVersions.TestCase.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
TestStackOfVersions = StackOfVersions.TestCase
