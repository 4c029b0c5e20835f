"""Aliases of YAML written out, within bounds: kubectl expands them, so a policy with them is as clear as one without.

The judge of a rendered tree refuses them (manifests/reading.py); a linter meets files that people write.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from isolation.manifests.reading import Events
from isolation.manifests.refusals import Refused

MOST_EVENTS = 20_000  # written for the aliases of one file, and kept for its anchors


@dataclass
class Budget:
    """What the aliases of one file may still write. used: lines with an alias, from 1, in the text being read."""

    left: int = MOST_EVENTS
    used: list[int] = field(default_factory=list)


@dataclass
class _Open:
    """An anchored node whose end has not come. depth: of the nodes around it."""

    anchor: str
    start: int
    depth: int


class Aliases:
    """The events of one text, each alias replaced by the events of its anchor. Raises Refused."""

    def __init__(self, events: Events, *, where: str, budget: Budget) -> None:
        self._events, self._where, self._budget = events, where, budget
        self._kept: list[Any] = []  # events inside of anchors
        self._anchors: dict[str, tuple[int, int]] = {}  # name -> from, to among those kept
        self._open: list[_Open] = []
        self._replay: list[Any] = []  # events still to come, the next one last
        self._depth = 0

    def check_event(self) -> bool:
        return bool(self._replay) or self._events.check_event()

    def get_event(self) -> Any:
        """The next event; never an alias."""
        if self._replay:
            event = self._replay.pop()
        else:
            event = self._events.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._kept = {}, []
            if isinstance(event, yaml.AliasEvent):
                self._write_out(event)
                event = self._replay.pop()
            elif getattr(event, "anchor", None):
                self._open.append(_Open(event.anchor, len(self._kept), self._depth))
        self._keep(event)
        return event

    def _write_out(self, alias: Any) -> None:
        line, name = alias.start_mark.line + 1, alias.anchor
        self._budget.used.append(line)
        if any(each.anchor == name for each in self._open):
            raise self._refused(line, f"*{name} stands inside of &{name}, so it has no end")
        if name not in self._anchors:
            raise self._refused(line, f"*{name} has no anchor above it")
        start, end = self._anchors[name]
        self._budget.left -= end - start
        if self._budget.left < 0:
            raise self._refused(line, f"aliases write more than {MOST_EVENTS} values; write the value out")
        self._replay = self._kept[end - 1 : start - 1 if start else None : -1]

    def _keep(self, event: Any) -> None:
        """Note an event inside of an anchor, and where anchored nodes end."""
        if self._open:
            if len(self._kept) >= MOST_EVENTS:
                line = event.start_mark.line + 1
                raise self._refused(line, f"anchors hold more than {MOST_EVENTS} values; leave the anchor out")
            self._kept.append(event)
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
        while self._open and self._open[-1].depth == self._depth:
            done = self._open.pop()
            self._anchors[done.anchor] = (done.start, len(self._kept))

    def _refused(self, line: int, why: str) -> Refused:
        return Refused(where=f"{self._where}:{line}", at="", why=why)
