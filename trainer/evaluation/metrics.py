"""metrics.jsonl as data, and the training loss in few points."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

POINTS = 60


def lines_of(metrics: bytes) -> list[Mapping[str, Any]]:
    """One mapping a line; a torn last line is left out."""
    found = []
    for line in metrics.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]


def curve(lines: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """The training loss, each point the mean of as many steps as leave at most 60 points."""
    losses = [line["loss"] for line in lines if isinstance(line.get("loss"), int | float)]
    width = -(-len(losses) // POINTS) or 1
    means = [losses[start : start + width] for start in range(0, len(losses), width)]
    return tuple(round(sum(piece) / len(piece), 4) for piece in means)
