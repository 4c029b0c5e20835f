"""What the training loop asks of whoever keeps what it brings about."""

from collections.abc import Mapping
from typing import Any, Protocol

from trainer.durability.checkpoint import Snapshot


class Keeper(Protocol):
    """Each method is called by every rank, and answers the same on each.

    save: a checkpoint is due; best: with the lowest held-out loss so far. wants_checkpoint: whether someone asked for
    one. last: the checkpoint of a step, to go back to, None when there is none. told: the figures of a step or a
    measurement. alive: a part of a measurement is done. is_enough: whether the training ends here, with rows left.
    """

    def save(self, *, best: bool) -> None: ...
    def wants_checkpoint(self) -> bool: ...
    def last(self, step: int) -> Snapshot | None: ...
    def told(self, line: Mapping[str, Any]) -> None: ...
    def alive(self) -> None: ...
    def is_enough(self) -> bool: ...
