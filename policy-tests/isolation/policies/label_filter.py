"""The label filter: which labels count for an identity. A selector on any other key silently never matches.

Source: Cilium 1.20, pkg/labelsfilter. A pattern is `[source:][!]expression`; the expression (RE2) must match from the
beginning of the key. A label counts when the longest match of an including pattern is longer than the shortest match
of an ignoring one. Of labels that no pattern including them names, those count that none ignores, until an own
pattern includes anything: then the list is an allow-list.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from isolation.manifests.refusals import Refused

_REMEMBERED = 65_536  # keys whose answer is kept

_DEFAULT = (
    "reserved:.*",
    r"io\.kubernetes\.pod\.namespace",
    r"io\.cilium\.k8s\.namespace\.labels",
    r"app\.kubernetes\.io",
    r"io\.cilium\.k8s\.policy\.cluster",
    r"io\.cilium\.k8s\.policy\.serviceaccount",
    r"!io\.kubernetes",
    r"!kubernetes\.io",
    r"!statefulset\.kubernetes\.io/pod\-name",
    r"!apps\.kubernetes\.io/pod\-index",
    r"!batch\.kubernetes\.io/job\-completion\-index",
    r"!batch\.kubernetes\.io/controller\-uid",
    r"!.*beta\.kubernetes\.io",
    r"!k8s\.io",
    "!pod-template-generation",
    "!pod-template-hash",
    "!controller-revision-hash",
    "!controller-uid",
    "!annotation.*",
    "!etcd_node",
    r"!topology\.kubernetes\.io",
)


class _Found(Protocol):
    def end(self) -> int: ...


class _Expression(Protocol):
    def match(self, text: str, /) -> _Found | None: ...


@dataclass(frozen=True)
class _Pattern:
    source: str
    ignores: bool
    expression: _Expression

    def length(self, source: str, key: str) -> int | None:
        """Length of the match at the beginning of the key; None without one."""
        if self.source not in {"", source}:
            return None
        found = self.expression.match(key)
        return found.end() if found else None


@dataclass(frozen=True)
class LabelFilter:
    """Patterns in force, as Cilium's `labels` setting appends them to its own."""

    patterns: tuple[_Pattern, ...]
    is_allow_list: bool
    _known: dict[tuple[str, str], bool] = field(default_factory=dict, compare=False)

    def counts(self, source: str, key: str) -> bool:
        known = self._known.get((source, key))
        if known is None:
            known = self._counts(source, key)
            if len(self._known) < _REMEMBERED:
                self._known[source, key] = known
        return known

    def _counts(self, source: str, key: str) -> bool:
        included = ignored = 0
        for pattern in self.patterns:
            length = pattern.length(source, key)
            if length is None:
                continue
            if not pattern.ignores:
                included = max(included, length)
            elif ignored == 0 or length < ignored:
                ignored = length
        return included > ignored or (not self.is_allow_list and ignored == 0)


def label_filter(own: Iterable[str] = ()) -> LabelFilter:
    """The default filter with own patterns appended. Raises Refused for an expression that is none."""
    default = tuple(_default(text) for text in _DEFAULT)
    added = tuple(_pattern(text) for text in own if text)
    return LabelFilter((*default, *added), is_allow_list=any(not pattern.ignores for pattern in added))


def _default(text: str) -> _Pattern:
    source, colon, rest = text.rpartition(":")
    return _Pattern(source if colon else "", rest.startswith("!"), re.compile(rest.removeprefix("!")))


def _pattern(text: str) -> _Pattern:
    from isolation.policies.expressions import ExpressionError, compiled  # only a user's own patterns need RE2

    source, colon, rest = text.partition(":")
    source, rest = (source, rest) if colon else ("", text)
    if not rest:
        raise _refused(text, "names no key; write `source:expression`")
    try:
        expression = compiled(rest.removeprefix("!"))
    except ExpressionError as error:
        raise _refused(text, f"{error}; mend it") from None
    return _Pattern(source, rest.startswith("!"), expression)


def _refused(text: str, why: str) -> Refused:
    return Refused(where="label filter", at=repr(text), why=why)


DEFAULT_FILTER = label_filter()
