"""DNS names and patterns, as the DNS proxy, toFQDNs and serverNames read them.

Source: Cilium 1.20, pkg/fqdn/matchpattern: `*` is any run of [-a-zA-Z0-9_] and crosses no dot; a leading `**.` is one
or more whole labels; stars alone are all names; case does not count; a final dot is added. Names are compared label
by label, in time linear in the name for each star, so that no pattern explodes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isolation.manifests.node import Node

_STARRED = re.compile(r"[-a-z0-9_]*")  # what a `*` may stand for
_STARS = re.compile(r"\*+")


@dataclass(frozen=True)
class NamePattern:
    """One entry of a name list; `text` as written, lower case. An entry without text matches nothing."""

    text: str
    is_pattern: bool

    def matches(self, name: str) -> bool:
        if not self.text:
            return False
        if not self.is_pattern:
            return normal(name) == self._normal
        return self.is_everything or self._matches(normal(name).split("."))

    @cached_property
    def is_everything(self) -> bool:
        """Stars alone, with or without a final dot."""
        return self.is_pattern and bool(_STARS.fullmatch(self.text.removesuffix(".")))

    @cached_property
    def _normal(self) -> str:
        return normal(self.text)

    @cached_property
    def _labels(self) -> tuple[tuple[str, ...], ...]:
        """Per label, the texts between its stars."""
        return tuple(tuple(_STARS.split(label)) for label in self._normal.split("."))

    @cached_property
    def _is_any_depth(self) -> bool:
        return self._normal.startswith("**") and self._labels[0] == ("", "")

    def _matches(self, labels: Sequence[str]) -> bool:
        wanted = self._labels
        if self._is_any_depth:
            wanted = wanted[1:]
            head, labels = labels[: -len(wanted)], labels[-len(wanted) :]
            if not head or not all(label and _STARRED.fullmatch(label) for label in head):
                return False
        return len(labels) == len(wanted) and all(map(_label_matches, wanted, labels))

    def __str__(self) -> str:
        return self.text or "(no name)"


def normal(name: str) -> str:
    """Lower case with a final dot, the form in which names are compared."""
    lower = name.lower()
    body = lower.removesuffix(".")
    is_escaped = (len(body) - len(body.rstrip("\\"))) % 2 == 1
    return lower if lower.endswith(".") and not is_escaped else lower + "."


def name_patterns(node: Node) -> tuple[NamePattern, ...]:
    """A `dns` or `toFQDNs` list."""
    return tuple(_entry(item) for item in node.items())


def server_names(node: Node) -> tuple[NamePattern, ...]:
    """A `serverNames` list: the same grammar, patterns allowed anywhere."""
    texts = (item.text().lower() for item in node.items())
    return tuple(NamePattern(text, is_pattern="*" in text) for text in texts)


def _entry(node: Node) -> NamePattern:
    fields = node.fields("matchName", "matchPattern")
    if "matchPattern" in fields and fields["matchPattern"].text():
        return NamePattern(fields["matchPattern"].text().lower(), is_pattern=True)
    return NamePattern(fields["matchName"].text().lower() if "matchName" in fields else "", is_pattern=False)


def _label_matches(parts: tuple[str, ...], label: str) -> bool:
    """One label against the texts between stars. The leftmost place of each text is as good as any other."""
    if len(parts) == 1:
        return label == parts[0]
    if not (label.startswith(parts[0]) and label.endswith(parts[-1]) and _STARRED.fullmatch(label)):
        return False
    start, end = len(parts[0]), len(label) - len(parts[-1])
    for part in parts[1:-1]:
        start = label.find(part, start, end) + len(part)
        if start < len(part):
            return False
    return start <= end
