"""Comparisons say what differs, and claim a difference only where chance does not explain it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diagnostics.store import Evaluation, ModelStore, NewVersion, StoreError
from diagnostics.store.compare import compare


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def add(store: ModelStore, number: int, losses: np.ndarray | None, kind: str = "validation",
        **parameters: object) -> str:
    """A version with a loss by host and day, [hosts, days]."""
    made = NewVersion("nvme", f"{number:064d}", "x", "c", "p", {"seed": 1, **parameters}, {"error": 0.1 * number})
    name = store.register(made, b"%d" % number, "ann", "x").id
    if losses is not None:
        blocks = tuple(f"h{host}/{day}" for host in range(losses.shape[0]) for day in range(losses.shape[1]))
        store.add_evaluation(Evaluation(name, kind, "d" * 64, blocks, {"error": losses.ravel()},  # type: ignore[arg-type]
                                        {"error": np.ones(losses.size)}))
    return name


def test_parameters_and_metrics_are_set_side_by_side(store: ModelStore) -> None:
    """Only parameters that differ are shown, nested ones by their path."""
    names = [add(store, number, None, search={"scaling": scaling, "trees": 5}) for number, scaling in
             ((1, "none"), (2, "power"))]
    found = compare(store, names)
    assert found.parameters["search.scaling"] == ("none", "power")
    assert "search.trees" not in found.parameters
    assert "seed" not in found.parameters
    assert found.metrics == {"error": (0.1, 0.2)}
    assert found.differences == ()
    assert "--data FILE" in found.note


def test_a_clear_difference_is_significant_and_its_interval_holds_it(store: ModelStore) -> None:
    """A tenth less on every host is better, with a chance and an interval around it."""
    noise = np.random.default_rng(1).uniform(1, 3, (40, 5))
    found = compare(store, [add(store, 1, noise), add(store, 2, 0.9 * noise)]).differences[0]
    assert found.verdict == "better"
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high < 0
    assert found.difference == pytest.approx(-0.1 * noise.mean())
    assert (found.groups, found.blocks) == (40, 200)


def test_equal_versions_are_seldom_called_different() -> None:
    """With no difference at all, at most about the stated share of comparisons claims one."""
    import tempfile

    generator, claimed = np.random.default_rng(5), 0
    with tempfile.TemporaryDirectory() as folder:
        store = ModelStore(Path(folder))
        for trial in range(25):
            base = generator.gamma(2.0, 1.0, (30, 1))
            pair = [add(store, 2 * trial + side, base + generator.normal(0, 0.5, (30, 4))) for side in (0, 1)]
            claimed += compare(store, pair).differences[0].verdict in ("better", "worse")
    assert claimed <= 4


def test_days_of_one_host_count_as_one_draw(store: ModelStore) -> None:
    """A difference that one host alone makes is not significant, however many days it has."""
    base = np.ones((12, 200))
    other = base.copy()
    other[0] = 0.2
    assert compare(store, [add(store, 1, base), add(store, 2, other)]).differences[0].verdict == "no difference shown"


def test_too_few_groups_claim_nothing(store: ModelStore) -> None:
    """With two hosts and two days there is a figure and no significance."""
    found = compare(store, [add(store, 1, np.ones((2, 2))), add(store, 2, np.zeros((2, 2)))]).differences[0]
    assert (found.difference, found.p, found.verdict) == (-1.0, None, "too few to tell")


def test_several_versions_are_set_against_the_first_on_shadow_results(store: ModelStore) -> None:
    """A/B/n: chances are adjusted together, and only shadow results count."""
    noise = np.random.default_rng(2).uniform(1, 3, (30, 4))
    names = [add(store, number, factor * noise, "shadow") for number, factor in enumerate((1.0, 0.8, 1.0, 1.2))]
    found = compare(store, names, "shadow")
    assert [(row.other, row.verdict) for row in found.differences] == [
        (names[1], "better"), (names[2], "no difference shown"), (names[3], "worse")]
    assert compare(store, names).differences == ()


def test_the_same_comparison_again_gives_the_same_figures(store: ModelStore) -> None:
    """Draws come from the seed."""
    noise = np.random.default_rng(3).normal(5, 1, (20, 4, 2))
    names = [add(store, side, noise[..., side]) for side in (0, 1)]
    assert compare(store, names, seed=4) == compare(store, names, seed=4)
    forward, back = (compare(store, order).differences[0] for order in (names, names[::-1]))
    assert forward.difference == pytest.approx(-back.difference)


def test_a_comparison_needs_two_versions(store: ModelStore) -> None:
    """One version, or the same twice, is refused."""
    name = add(store, 1, None)
    for names in ([name], [name, name], []):
        with pytest.raises(StoreError, match="two versions or more"):
            compare(store, names)
