"""Checkpoints: all that a training needs to go on to the same bytes. Safetensors and JSON, never pickle.

A checkpoint is a folder `step-<n>`, written beside its name, made durable, sealed by its manifest, renamed, then
brought into the bucket beside the training, its manifest last. The newest one that verifies wins; a torn one is passed
over with a warning. A complete one is never written over: what is saved twice is the same.

No random state is saved: the order of rows is a permutation of (seed, epoch) and dropout draws from (seed, position),
so both follow from the counters, under any number of ranks. What does not follow (the scale of the losses, the best
measurement so far, rows that were left out) is among the facts that the loop gives.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import CHECKPOINTS, MANIFEST, METRICS
from trainer.durability.retention import BEST, PREFIX, Retention, checkpoint_name, indispensable, prune
from trainer.durability.uploads import Uploads
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import Incomplete, parse, seal, sync_folder, to_json, write_whole

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_TORN = (Incomplete, SafetensorError, FileNotFoundError, ValueError, KeyError, RecursionError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A training at the boundary of two steps.

    facts: counters and the fingerprint of the run, JSON. tensors: adapter and optimizer states by name, whole (not one
    rank's part). metrics: the lines of metrics.jsonl up to here.
    """

    step: int
    facts: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    metrics: bytes

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin so, without that beginning."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


class Checkpoints:
    """The checkpoints of one attempt, and read-only those of the attempts before it.

    fingerprint: of everything that decides the result; a checkpoint with another one is refused. keep, every: which of
    them are kept (retention.py).
    """

    def __init__(
        self, attempt: AttemptFolder, older_urls: tuple[str, ...], fingerprint: str, *, keep: int, every: int = 1
    ) -> None:
        self.attempt, self.older_urls, self.fingerprint = attempt, older_urls, fingerprint
        self._retention = Retention(keep, every)
        self._uploads = Uploads(self._bring)
        self._current: str | None = None  # the complete one that the training has added nothing to

    def save(self, snapshot: Snapshot, *, best: bool = False) -> None:
        """Make a checkpoint durable on this disk and start to bring it into the bucket; of several ranks, the first.

        best: its held-out loss is the lowest so far. Raises Unavailable when the disk refuses, BadInput when the bucket
        has refused an earlier one.
        """
        name = checkpoint_name(snapshot.step)
        try:
            if name == self._current and (self._local / name / MANIFEST).exists():
                _mark(self._local / name, best=best)
            else:
                _write(snapshot, self._local / name, best=best)
            self._current = name
            write_whole(self.attempt.local / METRICS, snapshot.metrics)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(self._local / _partial(name), ignore_errors=True)
            raise Unavailable(f"{self._local / name}: cannot be written ({_reason(error)}); free the disk") from error
        if self.attempt.url is not None:
            self._uploads.offer(name, also=indispensable(str(self._local), self._retention))
        prune(str(self._local), self._retention, newest=name, held=self._uploads.pending)

    def finish(self) -> None:
        """Wait until the last checkpoint is complete in the bucket. Raises Unavailable when it does not get there."""
        self._uploads.finish()
        if self._current is not None:  # one that was on its way when a newer one was saved is still on the disk
            prune(str(self._local), self._retention, newest=self._current)

    def newest(self, *, shared_only: bool = False) -> tuple[Snapshot, bool] | None:
        """The newest complete checkpoint, and whether it is this attempt's own. Raises BadInput for another run's.

        shared_only: what every node sees counts, so not this one's disk when there is a bucket.
        """
        for name, root in sorted(self._everywhere(shared_only=shared_only), key=lambda found: found[0], reverse=True):
            snapshot = self._opened(name, root)
            if snapshot is not None:
                own = root not in self.older_urls
                self._current = name if own else None
                return snapshot, own
        return None

    def at(self, step: int) -> Snapshot | None:
        """The checkpoint of a step, None when it is nowhere. Raises Unavailable when a place cannot be asked."""
        for name, root in self._everywhere(shared_only=False):
            snapshot = self._opened(name, root) if name == checkpoint_name(step) else None
            if snapshot is not None:
                return snapshot
        return None

    @property
    def _local(self) -> Path:
        return self.attempt.local / CHECKPOINTS

    def _bring(self, name: str) -> None:
        """In the upload thread: the checkpoint, the metrics up to it; then what it makes superfluous goes."""
        self.attempt.push_folder(f"{CHECKPOINTS}/{name}")
        storage.write(f"{self.attempt.url}/{METRICS}", (self._local / name / METRICS).read_bytes())
        prune(f"{self.attempt.url}/{CHECKPOINTS}", self._retention, newest=name)

    def _everywhere(self, *, shared_only: bool) -> Iterator[tuple[str, str]]:
        own = [self.attempt.url] if self.attempt.url else []
        if not (shared_only and own):
            own.insert(0, str(self.attempt.local))
        for root in [*own, *self.older_urls]:
            for name in storage.folders(f"{root}/{CHECKPOINTS}"):
                if name.startswith(PREFIX):
                    yield name, root

    def _opened(self, name: str, root: str) -> Snapshot | None:
        """A checkpoint, None when it is torn."""
        url = f"{root}/{CHECKPOINTS}/{name}"
        copy = (self.attempt.local / "older" if root in self.older_urls else self._local) / name
        try:
            snapshot = _read(storage.fetch_folder(url, copy))
        except _TORN as error:
            _log.warning("checkpoint %s is passed over: %s", name, error)
            return None
        except OSError as error:
            raise Unavailable(f"{url}: cannot be read ({_reason(error)}); look at disk and rights") from error
        if snapshot.facts.get("fingerprint") != self.fingerprint:
            raise BadInput(
                f"{url}: is a checkpoint of another run (base model, data, recipe or seed differ);"
                " give this job a folder of its own, or remove the checkpoint to begin anew"
            )
        return snapshot


def _write(snapshot: Snapshot, folder: Path, *, best: bool) -> None:
    for left in folder.parent.glob(_partial("*")):  # by a process that was killed while it wrote
        shutil.rmtree(left)
    partial = folder.with_name(_partial(folder.name))
    partial.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}, partial / _TENSORS)
    (partial / METRICS).write_bytes(snapshot.metrics)
    (partial / _STATE).write_text(to_json({**snapshot.facts, "step": snapshot.step}), encoding="utf-8")
    for path in partial.iterdir():
        sync_folder(path)
    seal(partial, {BEST: best})
    sync_folder(partial)
    if folder.exists():  # a torn one
        storage.remove_folder(str(folder))
    partial.rename(folder)
    sync_folder(folder.parent)


def _mark(folder: Path, *, best: bool) -> None:
    """Call a complete checkpoint the best, or leave it as it is."""
    manifest = parse((folder / MANIFEST).read_bytes(), where=str(folder))
    if best and not manifest.get(BEST):
        write_whole(folder / MANIFEST, to_json({**manifest, BEST: True}).encode())


def _read(folder: Path) -> Snapshot:
    """A folder that was verified."""
    facts = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise ValueError(f"{folder / _STATE}: is no object")  # noqa: TRY004 - torn, as other malformed JSON is
    return Snapshot(int(facts["step"]), facts, load_file(folder / _TENSORS), (folder / METRICS).read_bytes())


def _partial(name: str) -> str:
    return f"partial-{name}"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
