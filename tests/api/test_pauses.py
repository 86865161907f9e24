"""Pauses of a service."""

import gc

from api.pauses import looked_at_once


def test_what_outlives_a_long_look_is_not_looked_at_again() -> None:
    """After one long look the next is short; at the end everything is looked at as before."""
    held = [{"a": [number]} for number in range(1_000_000)]
    frozen = gc.get_freeze_count()
    with looked_at_once():
        gc.collect()
        assert gc.get_freeze_count() - frozen > len(held)
        assert len(gc.get_objects()) < len(held) / 10
    assert gc.get_freeze_count() == 0
    assert not gc.callbacks or "told" not in str(gc.callbacks)
