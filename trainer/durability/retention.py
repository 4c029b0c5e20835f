"""Which checkpoints are kept: the newest few that are complete, and the best one."""

import logging
from collections.abc import Collection, Mapping

from trainer import storage
from trainer.contract.bucket import MANIFEST
from trainer.outcomes import Unavailable
from trainer.publishing import manifest

PREFIX = "step-"
BEST = "best"  # of a checkpoint's manifest: its held-out loss was the lowest so far
_log = logging.getLogger(__name__)


def superfluous(complete: Mapping[str, bool], *, keep: int) -> list[str]:
    """Names beyond the newest `keep` and the last best one. complete: name -> whether it was the best of its time."""
    names = sorted(complete)
    best = [name for name in names if complete[name]][-1:]
    return [name for name in names[:-keep] if name not in best]


def prune(root: str, *, newest: str, keep: int, held: Collection[str] = ()) -> None:
    """Remove what is superfluous below `root`, now that `newest` is complete there. held: to be left, being read.

    What is incomplete or comes after `newest` was passed over when the training began, so it goes too. A removal that
    fails is told and no more: too many checkpoints harm nobody.
    """
    try:
        found = {name: _is_best(f"{root}/{name}") for name in storage.folders(root) if name.startswith(PREFIX)}
        complete = {name: best for name, best in found.items() if best is not None and name <= newest}
        for name in [*sorted(found.keys() - complete.keys()), *superfluous(complete, keep=keep)]:
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
