import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.durability.checkpoint import Checkpoints, Snapshot
from trainer.durability.retention import Retention, checkpoint_name, superfluous
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import seal, verify


def snapshot(step: int, *, fingerprint: str = "f") -> Snapshot:
    tensors = {"adapter.a": torch.full((8,), float(step)), "optimizer.a.step": torch.tensor(float(step))}
    return Snapshot(step, {"fingerprint": fingerprint, "position": 2 * step}, tensors, b'{"step": %d}\n' % step)


def _checkpoints(
    folder: Path, *older: str, bucket: bool = True, keep: int = 2, every: int = 1, fingerprint: str = "f"
) -> Checkpoints:
    """Of an attempt whose bucket is a folder beside it."""
    attempt = AttemptFolder(folder / "disk", str(folder / "bucket") if bucket else None)
    attempt.local.mkdir(parents=True, exist_ok=True)
    return Checkpoints(attempt, older, fingerprint, keep=keep, every=every)


def _saved(folder: Path, *steps: int, bucket: bool = True, keep: int = 2, best: int | None = None) -> Path:
    checkpoints = _checkpoints(folder, bucket=bucket, keep=keep)
    for step in steps:
        checkpoints.save(snapshot(step), best=step == best)
        checkpoints.finish()
    return folder


def _names(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").iterdir())


def _resumed(checkpoints: Checkpoints, *, shared_only: bool = False) -> int | None:
    found = checkpoints.newest(shared_only=shared_only)
    return None if found is None else found[0].step


@pytest.mark.requirement("E78")
def test_what_was_saved_comes_back_from_the_disk_and_from_the_bucket_alone(tmp_path: Path) -> None:
    _saved(tmp_path, 4)
    for lost in (None, tmp_path / "disk"):
        if lost is not None:
            shutil.rmtree(lost)
        found = _checkpoints(tmp_path).newest()
        assert found is not None
        assert found[1]
        assert found[0].facts == {"fingerprint": "f", "position": 8, "step": 4}
        assert found[0].metrics == b'{"step": 4}\n'
        assert torch.equal(found[0].tensors["adapter.a"], torch.full((8,), 4.0))


def test_the_newest_few_and_the_best_one_are_kept_on_the_disk_and_in_the_bucket(tmp_path: Path) -> None:
    _saved(tmp_path, 1, 2, 3, 4, 5, best=2)

    assert _names(tmp_path / "disk") == _names(tmp_path / "bucket") == [2, 4, 5]
    assert _checkpoints(tmp_path).at(2) is not None


@given(marks=st.lists(st.booleans(), min_size=1, max_size=12), keep=st.integers(1, 4), every=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_newest_is_never_superfluous_nor_is_the_best_nor_the_last_that_was_due(
    marks: list[bool], keep: int, every: int
) -> None:
    complete = {checkpoint_name(step): best for step, best in enumerate(marks, start=1)}
    due = [checkpoint_name(step) for step in range(every, len(marks) + 1, every)]
    kept = sorted(complete.keys() - set(superfluous(complete, Retention(keep, every))))

    assert kept[-min(keep, len(marks)) :] == sorted(complete)[-keep:]
    assert [name for name in kept if complete[name]][-1:] == [name for name in sorted(complete) if complete[name]][-1:]
    assert set(due[-1:]) <= set(kept)
    assert len(kept) <= keep + 2


def test_what_a_spike_goes_back_to_outlives_checkpoints_out_of_turn(tmp_path: Path) -> None:
    checkpoints = _checkpoints(tmp_path, keep=1, every=4)
    for step in (4, 5, 6):
        checkpoints.save(snapshot(step))
    checkpoints.finish()

    assert _names(tmp_path / "disk") == _names(tmp_path / "bucket") == [4, 6]


def _resealed(folder: Path, state: str) -> None:
    (folder / "MANIFEST.json").unlink()
    (folder / "state.json").write_text(state)
    seal(folder)


TEARS = {
    "a file is missing": lambda folder: (folder / "state.json").unlink(),
    "a byte is another": lambda folder: (folder / "metrics.jsonl").write_bytes(b'{"step": 5}\n'),
    "the manifest is missing": lambda folder: (folder / "MANIFEST.json").unlink(),
    "the manifest is cut": lambda folder: (folder / "MANIFEST.json").write_text('{"files": {"state.json"'),
    "its state is no object": lambda folder: _resealed(folder, "[]"),
    "its state is nested without end": lambda folder: _resealed(folder, "[" * 100_000),
    "it is empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.requirement("E78")
@pytest.mark.parametrize("place", ["disk", "bucket"])
@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_a_torn_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str, tear: object
) -> None:
    _saved(tmp_path, 2, 4, bucket=place == "bucket")
    if place == "bucket":
        shutil.rmtree(tmp_path / "disk")
    assert callable(tear)
    tear(tmp_path / place / "checkpoints/step-00000004")

    assert _resumed(_checkpoints(tmp_path, bucket=place == "bucket")) == 2
    assert "step-00000004 is passed over" in caplog.text


def test_a_torn_one_does_not_count_among_those_that_are_kept(tmp_path: Path) -> None:
    _saved(tmp_path, 2, 4, 6, keep=3)
    for place in ("disk", "bucket"):
        (tmp_path / place / "checkpoints/step-00000006/MANIFEST.json").unlink()
    checkpoints = _checkpoints(tmp_path, keep=1)
    assert _resumed(checkpoints) == 4
    checkpoints.save(snapshot(5))
    checkpoints.finish()

    assert _names(tmp_path / "disk") == _names(tmp_path / "bucket") == [5]


def test_a_torn_disk_is_healed_from_the_bucket(tmp_path: Path) -> None:
    _saved(tmp_path, 2, 4)
    torn = tmp_path / "disk/checkpoints/step-00000004"
    (torn / "tensors.safetensors").write_bytes(b"")

    assert _resumed(_checkpoints(tmp_path)) == 4


def test_with_several_nodes_only_what_is_in_the_bucket_counts(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    _saved(tmp_path, 4, bucket=False)

    assert _resumed(_checkpoints(tmp_path)) == 4
    assert _resumed(_checkpoints(tmp_path), shared_only=True) == 2


def test_a_stop_right_after_a_resume_leaves_the_complete_checkpoint_as_it_is(tmp_path: Path) -> None:
    _saved(tmp_path, 4)
    before = verify(tmp_path / "bucket/checkpoints/step-00000004")
    checkpoints = _checkpoints(tmp_path)
    checkpoints.newest()
    checkpoints.save(Snapshot(4, {"fingerprint": "f", "usage": 1}, {}, b""))
    checkpoints.finish()

    assert verify(tmp_path / "bucket/checkpoints/step-00000004") == before


def test_a_stop_right_after_a_checkpoint_leaves_it_as_it_is(tmp_path: Path) -> None:
    checkpoints = _checkpoints(_saved(tmp_path, 2))
    checkpoints.save(snapshot(4))
    before = (tmp_path / "disk/checkpoints/step-00000004").stat().st_ino
    checkpoints.save(snapshot(4))
    checkpoints.finish()

    assert (tmp_path / "disk/checkpoints/step-00000004").stat().st_ino == before


def test_a_checkpoint_becomes_the_best_without_being_written_again(tmp_path: Path) -> None:
    _saved(tmp_path, 4)
    checkpoints = _checkpoints(tmp_path)
    checkpoints.newest()
    checkpoints.save(snapshot(4), best=True)
    checkpoints.finish()

    assert verify(tmp_path / "bucket/checkpoints/step-00000004")["best"] is True


def test_an_older_attempts_checkpoint_is_gone_on_from_and_never_written(tmp_path: Path) -> None:
    older = _saved(tmp_path / "older", 7)
    checkpoints = _checkpoints(tmp_path / "newer", str(older / "bucket"))
    found = checkpoints.newest()
    checkpoints.save(snapshot(7))
    checkpoints.finish()

    assert found is not None
    assert (found[0].step, found[1]) == (7, False)
    assert _names(tmp_path / "newer/bucket") == [7]


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give this job a folder of its own"):
        _checkpoints(_saved(tmp_path, 2), fingerprint="other").newest()


def test_a_checkpoint_that_is_gone_is_another_matter_than_a_bucket_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = _checkpoints(_saved(tmp_path, 2))
    assert checkpoints.at(9) is None

    def away(url: str) -> list[str]:
        raise Unavailable(f"{url}: does not answer")

    monkeypatch.setattr(storage, "folders", away)
    with pytest.raises(Unavailable, match="does not answer"):
        checkpoints.at(9)


def test_an_unfinished_folder_of_a_killed_process_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "disk/checkpoints/partial-step-00000003").mkdir(parents=True)

    assert _names(_saved(tmp_path, 4) / "disk") == [4]


class Gate:
    """The way into the bucket. Shut until `opened` is set; the first that comes sets `reached`."""

    def __init__(self) -> None:
        self.reached, self.opened = Event(), Event()
        self._store = storage.store_folder

    def store_folder(self, folder: Path, url: str) -> None:
        self.reached.set()
        assert self.opened.wait(30)
        self._store(folder, url)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    found = Gate()
    monkeypatch.setattr(storage, "store_folder", found.store_folder)
    yield found
    found.opened.set()


def test_what_is_on_its_way_is_not_removed_from_the_disk(tmp_path: Path, gate: Gate) -> None:
    checkpoints = _checkpoints(tmp_path, keep=1)
    checkpoints.save(snapshot(1))
    assert gate.reached.wait(30)
    for step in (2, 3, 4):
        checkpoints.save(snapshot(step))
    on_disk, in_bucket = _names(tmp_path / "disk"), (tmp_path / "bucket").exists()
    gate.opened.set()
    checkpoints.finish()

    assert (on_disk, in_bucket) == ([1, 4], False)
    assert _names(tmp_path / "bucket") == [4]


@pytest.mark.requirement("E78")
def test_the_best_and_what_a_spike_goes_back_to_reach_the_bucket_however_slow_it_is(tmp_path: Path, gate: Gate) -> None:
    checkpoints = _checkpoints(tmp_path, keep=1, every=4)
    checkpoints.save(snapshot(4))
    assert gate.reached.wait(30)
    for step in (6, 8, 9, 10):
        checkpoints.save(snapshot(step), best=step == 6)
    gate.opened.set()
    checkpoints.finish()

    assert _names(tmp_path / "bucket") == [6, 8, 10]


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 20, 200])
def test_a_full_disk_loses_no_older_checkpoint_and_leaves_no_half_one(tmp_path: Path, size: int) -> None:
    checkpoints = _checkpoints(_saved(tmp_path, 2))
    with _full_disk(size), pytest.raises(Unavailable, match="free the disk"):
        checkpoints.save(snapshot(4))

    assert _names(tmp_path / "disk") == [2]
    assert _resumed(_checkpoints(tmp_path)) == 2


def test_a_pruning_that_fails_is_told_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(url: str) -> None:
        raise Unavailable(f"{url}: the object store answered 500")

    monkeypatch.setattr(storage, "remove_folder", refused)
    _saved(tmp_path, 1, 2, 3)

    assert _names(tmp_path / "bucket") == [1, 2, 3]
    assert "older checkpoints stay" in caplog.text


def test_a_checkpoint_is_json_and_safetensors_alone(tmp_path: Path) -> None:
    folder = _saved(tmp_path, 4) / "disk/checkpoints/step-00000004"
    manifest = json.loads((folder / "MANIFEST.json").read_text())

    assert sorted(manifest["files"]) == ["metrics.jsonl", "state.json", "tensors.safetensors"]
