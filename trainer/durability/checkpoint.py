"""Checkpoints: all that a training needs to go on to the same bytes. Safetensors and JSON, never pickle.

A checkpoint is a folder `step-<n>`, written beside its name, made durable, sealed by its manifest, renamed, then
brought into the bucket. The newest one that verifies wins; a torn one is passed over with a warning.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import CHECKPOINTS, METRICS
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import Incomplete, seal, sync_folder, to_json, verify

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A training at the boundary of two steps.

    facts: counters and the fingerprint of the run, JSON. tensors: adapter, optimizer and random states by name.
    metrics: the lines of metrics.jsonl up to here.
    """

    step: int
    facts: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    metrics: bytes


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one attempt, and read-only those of the attempts before it.

    fingerprint: of everything that decides the result; a checkpoint with another one is refused. keep: newest k.
    """

    attempt: AttemptFolder
    older_urls: tuple[str, ...]
    fingerprint: str
    keep: int

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint and drop those beyond the newest k. Raises Unavailable when disk or bucket refuse."""
        name = _name(snapshot.step)
        try:
            self._write(snapshot, self._local / name)
        except OSError as error:
            raise Unavailable(f"{self._local / name}: cannot be written ({error.strerror}); free the disk") from error
        self.attempt.push_folder(f"{CHECKPOINTS}/{name}")
        for folder in sorted(self._local.glob("step-*"))[: -self.keep]:
            shutil.rmtree(folder)
        if self.attempt.url is not None:
            remote = f"{self.attempt.url}/{CHECKPOINTS}"
            for old in storage.folders(remote)[: -self.keep]:
                storage.remove_folder(f"{remote}/{old}")

    def newest(self) -> tuple[Snapshot, bool] | None:
        """The newest complete checkpoint, and whether it is this attempt's own. Raises BadInput for another run's."""
        for name, root in sorted(self._everywhere(), key=lambda found: found[0], reverse=True):
            own = root not in self.older_urls
            try:
                copy = (self._local if own else self.attempt.local / "older") / name
                snapshot = _read(storage.fetch_folder(f"{root}/{CHECKPOINTS}/{name}", copy))
            except (Incomplete, OSError, ValueError) as error:
                _log.warning("checkpoint %s is passed over: %s", name, error)
                continue
            if snapshot.facts.get("fingerprint") != self.fingerprint:
                raise BadInput(
                    f"{root}/{CHECKPOINTS}/{name}: is a checkpoint of another run (base model, data, recipe or seed"
                    " differ); give this job a folder of its own, or remove the checkpoint to begin anew"
                )
            return snapshot, own
        return None

    @property
    def _local(self) -> Path:
        return self.attempt.local / CHECKPOINTS

    def _everywhere(self) -> Iterator[tuple[str, str]]:
        own = [str(self.attempt.local), *([self.attempt.url] if self.attempt.url else [])]
        for root in [*own, *self.older_urls]:
            for name in storage.folders(f"{root}/{CHECKPOINTS}"):
                if name.startswith("step-"):
                    yield name, root

    def _write(self, snapshot: Snapshot, folder: Path) -> None:
        partial = folder.with_name(f"partial-{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}, partial / _TENSORS)
        (partial / METRICS).write_bytes(snapshot.metrics)
        (partial / _STATE).write_text(to_json({**snapshot.facts, "step": snapshot.step}), encoding="utf-8")
        for path in partial.iterdir():
            sync_folder(path)
        seal(partial)
        sync_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        sync_folder(folder.parent)


def _read(folder: Path) -> Snapshot:
    verify(folder)
    facts = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    return Snapshot(int(facts["step"]), facts, load_file(folder / _TENSORS), (folder / METRICS).read_bytes())


def _name(step: int) -> str:
    return f"step-{step:08d}"
