"""A model's life, end to end on a small fleet: trained, promoted, measured, reproduced, verified, refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from diagnostics import lifecycle
from diagnostics.diagnose import DiagnosisSettings, diagnose
from diagnostics.lifecycle import RegressionError, TrainRequest, open_model, promote, reader, reproduce, train, verify
from diagnostics.store import ChangedFileError, Evaluation, ModelStore, NoModelError, StoreError, Version
from diagnostics.store.compare import compare
from diagnostics.synthetic import Site, make_fleet
from diagnostics.telemetry import Series
from diagnostics.training.errors import NotAllowedError, TrainingError
from diagnostics.training.rows import Allowed
from diagnostics.training.search import SearchSettings

SETS = Path(__file__).parent / "training" / "small.yaml"
QUICK = SearchSettings(budget_s=1e-3)


class Kept(NamedTuple):
    """A store with one trained version, and the telemetry it is from."""

    store: ModelStore
    data: Path
    version: Version


def write_telemetry(path: Path, seed: int = 0, days: int = 12, hosts: int = 4,
                    classes: tuple[str, ...] = ("mixed-disk", "all-flash-nvme")) -> Path:
    sites = [Site(f"{name}-{country}", name, country, hosts) for name in classes for country in ("BR", "PT")]
    frame = make_fleet(sites, days, seed).frame()
    country = {site.cluster: site.country for site in sites}
    frame.assign(country=frame["cluster"].map(country).astype(object)).to_parquet(path)
    return path


def request(data: Path, hardware: str = "mixed-disk", **changes: object) -> TrainRequest:
    told: dict[str, object] = {"allowed": Allowed(anywhere=True), "features": SETS, "search": QUICK} | changes
    return TrainRequest(data, hardware, "ann", "a try", **told)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with tempfile.TemporaryDirectory() as folder:
        data = write_telemetry(Path(folder) / "rows.parquet")
        store = ModelStore(Path(folder) / "models")
        yield Kept(store, data, train(store, request(data)).version)
        store.close()


def change_file(store: ModelStore, version: Version) -> Callable[[], None]:
    """Change a model's file on disk; the answer puts it back."""
    path = store.files.path(version.file_sha256)
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + b"x")

    def mend() -> None:
        path.write_bytes(content)

    return mend


def test_a_version_knows_where_it_comes_from(kept: Kept) -> None:
    """Data, code, parameters, figures, trials and the rows that may be used are all on record."""
    made = kept.version.made
    assert made.data_source == str(kept.data.resolve())
    assert made.parameters["data"]["countries"] == ["BR", "PT"]
    assert made.parameters["data"]["hardware_classes"] == ["mixed-disk"]
    assert made.code_version == lifecycle.code_version()
    assert set(made.packages) == set(lifecycle.PACKAGES)
    assert {"relative_error", "false_alarms", "missed_faults"} <= set(made.metrics)
    assert len(made.trials) >= 1
    assert not list((kept.store.folder / "runs").glob("*.jsonl"))


def test_reproducing_gives_the_same_bytes(kept: Kept) -> None:
    """Fitted anew from its rows, a version says the same, byte by byte."""
    done = reproduce(kept.store, kept.version.id)
    assert done.same
    assert done.reasons == ()
    assert done.predictions_sha256 == kept.version.made.predictions_sha256


def test_reproducing_from_other_rows_is_refused(kept: Kept, tmp_path: Path) -> None:
    """The wrong file is told by its hash."""
    other = write_telemetry(tmp_path / "other.parquet", seed=1)
    with pytest.raises(TrainingError, match="holds other rows"):
        reproduce(kept.store, kept.version.id, other)


def test_verifying_tells_a_changed_file(kept: Kept) -> None:
    """A version holds until a byte of its file changes."""
    assert [one.holds for one in verify(kept.store, [])] == [True]
    mend = change_file(kept.store, kept.version)
    (told,) = verify(kept.store, [kept.version.id])
    assert not told.holds
    assert f"version {kept.version.id}" in told.sentence
    with pytest.raises(ChangedFileError):
        open_model(kept.store, kept.version)
    mend()


def test_residency_and_opting_out_hold_for_training(kept: Kept) -> None:
    """Other countries' rows are left out and counted; where none is left, training is refused by name."""
    with pytest.raises(NotAllowedError, match="rows of BR, PT: say which"):
        train(kept.store, request(kept.data, allowed=Allowed()))
    with pytest.raises(NotAllowedError, match="none of US"):
        train(kept.store, request(kept.data, allowed=Allowed(frozenset({"US"}))))
    own = train(kept.store, request(kept.data, allowed=Allowed(frozenset({"PT"}))))
    assert own.version.made.parameters["data"]["countries"] == ["PT"]
    assert own.version.made.parameters["data"]["hosts"] == 4
    assert set(own.left_out) == {"country BR not allowed"}
    assert own.version.made.data_sha256 != kept.version.made.data_sha256
    out = Allowed(anywhere=True, opted_out=frozenset({"mixed-disk-BR", "mixed-disk-PT"}))
    with pytest.raises(TrainingError, match=r"'mixed-disk'.*left out: cluster opted out"):
        train(kept.store, request(kept.data, allowed=out))


def test_unknown_hardware_is_refused_with_the_nearest(kept: Kept) -> None:
    """A typo names what there is."""
    with pytest.raises(TrainingError, match=r"'mixd-disk'.*did you mean 'mixed-disk'"):
        train(kept.store, request(kept.data, "mixd-disk"))
    with pytest.raises(TrainingError, match=r"family 'tape'"):
        train(kept.store, request(kept.data, "family:tape"))


def test_hardware_never_seen_is_served_by_its_family_then_by_all(kept: Kept, tmp_path: Path) -> None:
    """Class -> family -> all -> refused, with real models."""
    store = ModelStore(tmp_path / "models")
    with pytest.raises(NoModelError):
        lifecycle.serve(store, "other-disk-9")
    everything = train(store, request(kept.data, "all")).version
    assert everything.made.parameters["data"]["hosts"] == 16
    family = train(store, request(kept.data, "family:disk")).version
    assert family.made.covers == ("*disk*",)
    assert family.made.parameters["data"]["hosts"] == 8
    promote(store, everything.id, None, "ann", "first")
    promote(store, family.id, None, "ann", "first")
    model, served = lifecycle.serve(store, "other-disk-9")
    assert served.version.id == family.id
    assert model.predictions_sha256() == family.made.predictions_sha256
    mend = change_file(store, store.version(family.id))
    _, served = lifecycle.serve(store, "other-disk-9")
    assert served.version.id == everything.id
    assert "was changed on disk" in served.sentence
    mend()
    store.close()


def test_versions_are_measured_and_compared_on_new_and_on_live_rows(kept: Kept, tmp_path: Path) -> None:
    """The same rows for all of them; live rows have no labels, so no faults are put into them."""
    other = train(kept.store, request(kept.data, search=SearchSettings(budget_s=1e-3, seed=3))).version
    names = [kept.version.id, other.id]
    assert compare(kept.store, names, "shadow").differences == ()
    fresh = write_telemetry(tmp_path / "fresh.parquet", seed=9, days=6)
    assert lifecycle.measure(kept.store, names, fresh, "shadow", features=SETS) == []
    assert {row.loss for row in compare(kept.store, names, "shadow").differences} == {"relative_error", "false_alarms"}
    lifecycle.measure(kept.store, names, fresh, "validation", features=SETS)
    found = compare(kept.store, names)
    assert {"missed_faults", "scenario/slow-disk"} <= {row.loss for row in found.differences}
    assert "seed" in found.parameters
    again = compare(kept.store, [kept.version.id, other.id])
    assert again == found


def test_a_candidate_that_gets_worse_on_a_scenario_is_not_promoted(kept: Kept, tmp_path: Path) -> None:
    """Worse by more than the tolerance, or not measured beside who serves: refused by scenario and figure."""
    store = ModelStore(tmp_path / "models")
    old = train(store, request(kept.data)).version
    promote(store, old.id, None, "ann", "first")
    content, made = store.content(old), old.made
    other = replace(made, parameters={**made.parameters, "seed": 99}, parent=old.id)
    new = store.register(other, content, "bob", "new")
    with pytest.raises(RegressionError, match=f"slow-disk: not measured on the same rows as {old.id}"):
        promote(store, new.id, old.id, "bob", "x")
    blocks = ("h/2026-09-01", "h/2026-09-02")
    for version, wrong in ((old, 0.0), (new, 3.0)):
        store.add_evaluation(Evaluation(version.id, "validation", "e" * 64, blocks,
                                        {"scenario/slow-disk": np.array([wrong, 0.0])},
                                        {"scenario/slow-disk": np.array([50.0, 50.0])}))
    with pytest.raises(RegressionError, match=rf"wrong on 3.0% of its rows, {old.id} on 0.0%"):
        promote(store, new.id, old.id, "bob", "x")
    assert store.version(new.id).stage == "candidate"
    fine = store.register(replace(made, parameters={**made.parameters, "seed": 98}), content, "bob", "new")
    lifecycle.measure(store, [old.id, fine.id], kept.data, "validation", features=SETS)
    assert promote(store, fine.id, old.id, "bob", "as good").after == fine.id
    store.close()


@pytest.mark.parametrize(("scenarios", "wrong", "says"), [
    ({}, None, r"slow-disk: not measured: \w+, which serves, was trained with it .* without: train with feature sets"),
    ({"slow": 0.5}, None, r"slow: not measured on the same rows .*; scenario slow-disk: not measured: "),
    ({}, 3.0, r"slow-disk: wrong on 3.0% of its rows"),
    ({"slow-disk": 0.5}, 3.0, r"slow-disk: wrong on 3.0% of its rows"),
    ({}, 0.0, ""),
], ids=["left out", "renamed", "left out and measured", "tolerated by itself", "measured"])
def test_a_candidate_does_not_choose_its_scenarios(
        kept: Kept, tmp_path: Path, scenarios: dict[str, float], wrong: float | None, says: str) -> None:
    """Those of who serves hold for it too, at the stricter tolerance, and one that it was not measured on stops it."""
    with closing(ModelStore(tmp_path / "models")) as store:
        content, made = kept.store.content(kept.version), kept.version.made
        old = store.register(made, content, "ann", "first")
        promote(store, old.id, None, "ann", "first")
        other = replace(made, parameters={**made.parameters, "scenarios": scenarios}, parent=old.id)
        new = store.register(other, content, "bob", "new")
        loss = "scenario/slow-disk" if wrong is not None else "relative_error"
        for version, sums in ((old, 0.0), (new, wrong or 0.0)):
            store.add_evaluation(Evaluation(version.id, "validation", "e" * 64, ("h/2026-09-01",),
                                            {loss: np.array([sums])}, {loss: np.array([100.0])}))
        if not says:
            assert promote(store, new.id, old.id, "bob", "as good").after == new.id
            return
        with pytest.raises(RegressionError, match=says):
            promote(store, new.id, old.id, "bob", "x")
        assert store.version(new.id).stage == "candidate"


def test_a_model_that_only_knows_small_ios_does_not_replace_one_that_knows_large_ones(tmp_path: Path) -> None:
    """Large IOs that are well are rows that must stay calm: what is trained without them calls many of them faults,
    what is trained with them hardly any, so that the one is promoted over the other and never the other way round.
    """
    def rows(name: str, seed: int, *io_times: float) -> Path:
        sites = [Site(f"io-{times:g}", "all-flash-nvme", "BR", 3, io_times=times) for times in io_times]
        make_fleet(sites, 12, seed).frame().assign(country="BR").to_parquet(tmp_path / name)
        return tmp_path / name

    rows("large-io.parquet", 9, 8.0)
    small, both = rows("small.parquet", 0, 1.0, 1.2), rows("both.parquet", 0, 1.0, 8.0)
    calm = {"large-io": {"expect": "calm", "file": "large-io.parquet"}}
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(yaml.safe_load(SETS.read_text()) | {"scenarios": calm}))
    with closing(ModelStore(tmp_path / "models")) as store:
        asked = {"hardware": "all-flash-nvme", "features": tmp_path / "sets.yaml"}
        first = train(store, request(small, **asked)).version
        promote(store, first.id, None, "ann", "all there was")
        second = train(store, request(both, **asked)).version
        before, after = (store.version(one.id).made.metrics["scenario/large-io"] for one in (first, second))
        assert before > 0.3
        assert after < 0.1
        promote(store, second.id, first.id, "ann", "knows large IOs")
        again = train(store, request(small, **asked, search=replace(QUICK, seed=1))).version
        with pytest.raises(RegressionError, match=r"scenario large-io: wrong on (100|[3-9]\d)\.\d% of its rows"):
            promote(store, again.id, second.id, "ann", "newer")


def test_training_beside_who_serves_measures_both(kept: Kept, tmp_path: Path) -> None:
    """The next candidate has its parent on record and is compared on the same rows at once."""
    store = ModelStore(tmp_path / "models")
    first = train(store, request(kept.data)).version
    promote(store, first.id, None, "ann", "first")
    second = train(store, request(kept.data, search=SearchSettings(budget_s=1e-3, seed=4)))
    assert second.serving is not None
    assert second.version.made.parent == first.id
    assert compare(store, [first.id, second.version.id]).differences
    mend = change_file(store, first)
    third = train(store, request(kept.data, search=SearchSettings(budget_s=1e-3, seed=5)))
    assert any("was changed on disk" in note for note in third.notes)
    mend()
    store.close()


def test_versions_of_other_hardware_do_not_compare(kept: Kept) -> None:
    """Measuring them on one set of rows would mean nothing."""
    flash = train(kept.store, request(kept.data, "all-flash-nvme")).version
    with pytest.raises(StoreError, match="versions are for all-flash-nvme and mixed-disk"):
        lifecycle.measure(kept.store, [flash.id, kept.version.id], kept.data, "validation", features=SETS)


def test_the_model_that_serves_reads_the_metrics_of_its_hardware(kept: Kept) -> None:
    """A diagnosis by a stored model names the version in its alarms; another class has none, and is read without."""
    promote(kept.store, kept.version.id, None, "ann", "the first")
    trained = reader(kept.store, "mixed-disk")
    assert (trained.version, trained.model_of, trained.last_known_good) == (kept.version.id, "mixed-disk", None)
    sites = [Site(f"{name}-{n}", name, "BR", 4) for name in ("mixed-disk", "all-flash-nvme") for n in (0, 1)]
    fleet = make_fleet(sites, 21, 5).by_cluster()
    values = fleet.values.copy()
    values[fleet.series.index(Series("mixed-disk-1", "mixed-disk", "read_latency_ms")), -6:] *= 2.5
    telemetry = replace(fleet, values=values)
    found = diagnose(telemetry, DiagnosisSettings(detector="neighbours"), {"mixed-disk": trained})
    raised = {cluster.cluster: cluster.alarms for cluster in found.clusters if cluster.alarms}
    assert [alarm.detector for alarm in raised["mixed-disk-1"]] == [f"model {kept.version.id}"]
    assert "most of all read_latency_ms" in raised["mixed-disk-1"][0].sentence
    assert "mixed-disk-0" not in raised
    with pytest.raises(NoModelError):
        reader(kept.store, "tape")


def test_training_the_same_again_gives_the_version_that_is_there(kept: Kept) -> None:
    """Of a search that time cut the bytes of what it says are compared; of a whole one, what was asked for: no search
    is made again. Other settings make another version. A file that was changed on disk is made whole.
    """
    again = train(kept.store, request(kept.data))
    assert (again.version.id, again.known, again.complete) == (kept.version.id, True, False)
    enough = SearchSettings(budget_s=1e6)
    first = train(kept.store, request(kept.data, "all-flash-nvme", search=enough))
    assert (first.known, first.complete) == (False, True)
    asked: list[str] = []
    second = train(kept.store, request(kept.data, "all-flash-nvme", search=enough), lambda what, _: asked.append(what))
    assert (second.version.id, second.known, asked) == (first.version.id, True, ["reading telemetry"])
    other = train(kept.store, request(kept.data, search=SearchSettings(budget_s=1e-3, seed=1)))
    assert not other.known
    change_file(kept.store, kept.version)
    again = train(kept.store, request(kept.data))
    assert (again.version.id, again.known) == (kept.version.id, True)
    assert verify(kept.store, [kept.version.id])[0].holds


@pytest.mark.soak
def test_training_again_and_again_takes_no_more_memory_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Fifteen months one after the other, each asked for twice: a file a version, no journal, and at the end no more
    memory than after the first third.
    """
    store = ModelStore(tmp_path / "models")
    resident = []
    for month in range(15):
        data = write_telemetry(tmp_path / "rows.parquet", seed=month)
        made = train(store, request(data))
        store.promote(made.version.id, None if made.serving is None else made.serving.id, "ann", "newer")
        assert train(store, request(data)).known
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert {path.name for path in (store.folder / "files").iterdir()} == {
        f"{version.file_sha256}.skops" for version in store.versions()}
    assert len(store.versions()) == 15
    assert list((store.folder / "runs").iterdir()) == []
    assert max(resident[10:]) < max(resident[:5]) + 48, resident
    store.close()


TRAIN = """
import sys
from pathlib import Path
from diagnostics.lifecycle import TrainRequest, train
from diagnostics.store import ModelStore
from diagnostics.training.rows import Allowed
from diagnostics.training.search import SearchSettings

def told(what, share):
    print(what, flush=True)

data, sets, models = map(Path, sys.argv[1:])
done = train(ModelStore(models), TrainRequest(data, "mixed-disk", "ann", "a try", Allowed(anywhere=True), sets,
                                              search=SearchSettings(budget_s=1e6)), told)
print("done", done.version.id, done.known)
"""


def training(kept: Kept, models: Path) -> subprocess.Popen[str]:
    """A search in a process of its own, which says where it is."""
    return subprocess.Popen([sys.executable, "-c", TRAIN, kept.data, SETS, models], text=True,
                            stdout=subprocess.PIPE)


def test_two_trainings_of_the_same_at_once_make_one_version(kept: Kept, tmp_path: Path) -> None:
    """The second waits for the first, says so, and gives what that has made."""
    enough, said = request(kept.data, search=SearchSettings(budget_s=1e6)), list[str]()
    done: list[lifecycle.Trained] = []

    def one() -> None:
        store = ModelStore(tmp_path / "models")
        done.append(train(store, enough, lambda what, _: said.append(what)))
        store.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done[0].version.id == done[1].version.id
    assert [one.known for one in done] == [False, True]
    assert "another process trains the same: waiting for it" in said
    store = ModelStore(tmp_path / "models")
    assert len(store.versions()) == 1
    assert not list((store.folder / "runs").iterdir())
    store.close()


PHASES = ("reading telemetry", "looking for", "round 1", "round 2", "round 3", "registering")


@pytest.mark.parametrize("phase", ["round 2", "registering"])
def test_a_training_that_is_stopped_in_any_phase_ends_as_if_it_was_not(kept: Kept, tmp_path: Path, phase: str) -> None:
    """Asked again it makes the same file, once, and measures it."""
    store = ModelStore(tmp_path / "models")
    asked = request(kept.data, search=SearchSettings(budget_s=1e6))
    with pytest.raises(KeyboardInterrupt):
        train(store, asked, lambda what, _: stop() if what.startswith(phase) else None)
    ended_well(store, train(store, asked).version, whole(kept))
    store.close()


@pytest.mark.soak
@pytest.mark.parametrize("phase", PHASES)
def test_a_training_that_is_killed_in_any_phase_ends_as_if_it_was_not(kept: Kept, tmp_path: Path, phase: str) -> None:
    """A process that is gone from one moment to the next leaves nothing behind that keeps the next from going on."""
    killed = training(kept, tmp_path / "models")
    assert killed.stdout is not None
    assert next((line for line in killed.stdout if line.startswith(phase)), None) is not None
    killed.kill()
    killed.communicate()
    store = ModelStore(tmp_path / "models")
    asked = request(kept.data, search=SearchSettings(budget_s=1e6))
    ended_well(store, train(store, asked).version, whole(kept))
    store.close()


def ended_well(store: ModelStore, made: Version, wanted: Version) -> None:
    assert [one.id for one in store.versions()] == [made.id]
    assert made.made.predictions_sha256 == wanted.made.predictions_sha256
    assert made.file_sha256 == wanted.file_sha256
    assert store.evaluations(made.id, "validation")
    assert not list((store.folder / "runs").iterdir())


def whole(kept: Kept) -> Version:
    """The model of a search that nothing cut."""
    return train(kept.store, request(kept.data, search=SearchSettings(budget_s=1e6))).version


def test_a_training_killed_before_it_was_measured_is_measured_when_asked_again(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between registering and measuring nothing is lost: who serves and the candidate are set side by side."""
    store = ModelStore(tmp_path / "models")
    first = train(store, request(kept.data)).version
    promote(store, first.id, None, "ann", "first")
    asked = request(kept.data, search=SearchSettings(budget_s=1e6, seed=2))
    with monkeypatch.context() as broken:
        broken.setattr(ModelStore, "add_evaluation", stop)
        with pytest.raises(KeyboardInterrupt):
            train(store, asked)
    assert not store.evaluations(store.versions()[1].id)
    again = train(store, asked)
    assert again.known
    assert len(store.versions()) == 2
    assert compare(store, [first.id, again.version.id]).differences
    assert not list((store.folder / "runs").iterdir())
    store.close()


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_model_that_foretells_worse_than_it_did_is_named(tmp_path: Path) -> None:
    """Concept drift: latency that no longer follows the load as it was learnt makes the model's errors grow, on rows it
    has not learnt from; while all is as learnt, they do not. A model that does not say what it learnt from is not
    watched.
    """
    store = ModelStore(tmp_path / "models")
    data = write_telemetry(tmp_path / "rows.parquet", days=14)
    promote(store, train(store, request(data)).version.id, None, "ann", "the first")
    trained = reader(store, "mixed-disk")
    assert trained.unseen_from == np.datetime64("2026-08-31T00:00", "m") + np.timedelta64(int(0.6 * 336) * 60, "m")
    fleet = make_fleet([Site(f"mixed-disk-{n}", "mixed-disk", "BR", 4) for n in (0, 1)], 60, 5).by_cluster()
    ill = replace(fleet, values=fleet.values.copy())
    row = fleet.series.index(Series("mixed-disk-1", "mixed-disk", "read_latency_ms"))
    ill.values[row, -6 * 24 :] *= np.random.default_rng(0).uniform(0.6, 1.8, 6 * 24)
    for telemetry, models, wanted in ((fleet, trained, []), (ill, trained, ["mixed-disk-1"]),
                                      (ill, replace(trained, unseen_from=None), [])):
        found = diagnose(telemetry, models={"mixed-disk": models})
        told = [one for cluster in found.clusters for one in cluster.changes if one.what == "model"]
        assert [one.cluster for one in told] == wanted
        assert all(one.model == trained.version and "foretells mixed-disk-1 worse since" in one.sentence
                   for one in told)
    store.close()
