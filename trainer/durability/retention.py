"""Which checkpoints are kept: the newest few that are complete, the best one, and the newest that was due.

Others are saved out of turn (a stop, a wish, a best loss). A training that goes back after a spike goes back to one
that was due, however often it was stopped since, or it would not end in the same adapter.
"""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trainer import storage
from trainer.contract.bucket import MANIFEST
from trainer.outcomes import Unavailable
from trainer.publishing import manifest

PREFIX = "step-"
_NAME = re.compile(rf"{PREFIX}\d{{8}}")
BEST = "best"  # of a checkpoint's manifest: its held-out loss was the lowest so far
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """keep: newest complete checkpoints. every: steps between two that are due."""

    keep: int
    every: int = 1


def checkpoint_name(step: int) -> str:
    return f"{PREFIX}{step:08d}"


def superfluous(complete: Mapping[str, bool], retention: Retention) -> list[str]:
    """Names that are not to be kept. complete: name -> whether it was the best of its time."""
    return [name for name in sorted(complete)[: -retention.keep] if name not in _needed(complete, retention)]


def indispensable(root: str, retention: Retention) -> list[str]:
    """Those below `root`, a local folder, that a training cannot end in the same adapter without, wherever it goes on.

    They are the best one and the newest that was due.
    """
    found = {name: _is_best(f"{root}/{name}") for name in storage.folders(root) if _NAME.fullmatch(name)}
    return _needed({name: best for name, best in found.items() if best is not None}, retention)


def _needed(complete: Mapping[str, bool], retention: Retention) -> list[str]:
    names = sorted(complete)
    best = [name for name in names if complete[name]][-1:]
    due = [name for name in names if int(name.removeprefix(PREFIX)) % retention.every == 0][-1:]
    return [*best, *due]


def prune(root: str, retention: Retention, *, newest: str, held: Collection[str] = ()) -> None:
    """Remove what is superfluous below `root`, now that `newest` is complete there. held: to be left, being read.

    What is incomplete or comes after `newest` was passed over when the training began, so it goes too. A removal that
    fails is told and no more: too many checkpoints harm nobody.
    """
    try:
        found = {name: _is_best(f"{root}/{name}") for name in storage.folders(root) if _NAME.fullmatch(name)}
        complete = {name: best for name, best in found.items() if best is not None and name <= newest}
        for name in [*sorted(found.keys() - complete.keys()), *superfluous(complete, retention)]:
            if name not in held:
                storage.remove_folder(f"{root}/{name}")
    except (Unavailable, OSError) as error:
        _log.warning("older checkpoints stay: %s", error)


def _is_best(url: str) -> bool | None:
    """Whether the manifest calls it the best; None when there is no manifest."""
    content = storage.read(f"{url}/{MANIFEST}")
    if content is None:
        return None
    try:
        return bool(manifest.parse(content, where=url).get(BEST))
    except manifest.Incomplete:
        return None
