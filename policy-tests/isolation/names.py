"""DNS names and patterns, as the DNS proxy, toFQDNs and serverNames read them.

Source: Cilium 1.20, pkg/fqdn/matchpattern: `*` is any run of [-a-zA-Z0-9_] and crosses no dot; a leading `**.` is one
or more whole labels; `*`, `**` and `*.` alone are all names; case does not count; a final dot is added.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from isolation.node import Node

_LABEL_CHARACTERS = "[-a-z0-9_]"
_EVERYTHING = frozenset({"*", "**", "*."})


@dataclass(frozen=True)
class NamePattern:
    """One entry of a name list; `text` as written, lower case. An empty text matches the root name only."""

    text: str
    is_pattern: bool

    def matches(self, name: str) -> bool:
        wanted = normal(name)
        if not self.is_pattern:
            return wanted == normal(self.text)
        return bool(_compiled(self.text).fullmatch(wanted))

    def __str__(self) -> str:
        return self.text or "(no name)"


def normal(name: str) -> str:
    """Lower case with one final dot, the form in which names are compared."""
    return name.lower().rstrip(".") + "."


def name_patterns(node: Node) -> tuple[NamePattern, ...]:
    """A `dns` or `toFQDNs` list."""
    return tuple(_entry(item) for item in node.items())


def server_names(node: Node) -> tuple[NamePattern, ...]:
    """A `serverNames` list: the same grammar, patterns allowed anywhere."""
    texts = (item.text().lower() for item in node.items())
    return tuple(NamePattern(text, is_pattern="*" in text) for text in texts)


def _entry(node: Node) -> NamePattern:
    fields = node.fields("matchName", "matchPattern")
    if "matchPattern" in fields:
        return NamePattern(fields["matchPattern"].text().lower(), is_pattern=True)
    return NamePattern(fields["matchName"].text().lower() if "matchName" in fields else "", is_pattern=False)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern in _EVERYTHING:
        return re.compile(r".*", re.DOTALL)
    head, rest = ("", pattern)
    if pattern.startswith("**."):
        head, rest = (rf"{_LABEL_CHARACTERS}+(\.{_LABEL_CHARACTERS}+)*\.", pattern[3:])
    rest = re.sub(r"\*+", "*", rest.rstrip(".") + ".")
    body = f"{_LABEL_CHARACTERS}*".join(re.escape(part) for part in rest.split("*"))
    return re.compile(head + body)
