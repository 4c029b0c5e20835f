"""What a key, a source and a value of a label may be made of.

Source: Cilium 1.20.2, pkg/labels/validation.go, which follows Kubernetes' own rules; a key may carry a source before
one colon.
"""

import re
from collections.abc import Iterator

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node

_SOURCE = re.compile(r"[A-Za-z0-9]+")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_WORD, _LONGEST_DOMAIN = 63, 253

VALUED, VALUELESS = ("In", "NotIn"), ("Exists", "DoesNotExist")


def selector_faults(selector: Node) -> Iterator[Fault]:
    """Why the agent refuses a selector (decoded: see decoding.py), and the API server a NetworkPolicy's."""
    labels = selector.at("matchLabels")
    for key, value in (labels.value or {}).items():
        at = labels.at(key)
        yield from (Fault(at.path, f"key {key!r} {why}") for why in key_faults(key))
        if not is_value(value):
            yield Fault(at.path, f"{value!r} is no label value")
    for item in selector.each("matchExpressions"):
        yield from _expression_faults(item)


def _expression_faults(item: Node) -> Iterator[Fault]:
    key, operator = item.value.get("key", ""), item.value.get("operator", "")
    values = item.value.get("values", [])
    if operator not in (*VALUED, *VALUELESS):
        yield Fault(item.path, f"{operator!r} is no operator; known: {', '.join((*VALUED, *VALUELESS))}")
    elif (operator in VALUED) != bool(values):
        yield Fault(item.path, f"{operator} with {len(values)} values; In and NotIn need some, the others none")
    yield from (Fault(item.path, f"key {key!r} {why}") for why in key_faults(key))
    yield from (Fault(item.path, f"{value!r} is no label value") for value in values if not is_value(value))


def key_faults(key: str) -> Iterator[str]:
    """`source:prefix/name`, of which source and prefix may be absent."""
    *sources, bare = key.split(":")
    if len(sources) > 1:
        yield "has two colons"
    elif sources and not _SOURCE.fullmatch(sources[0]):
        yield "has a source that is not of letters and digits"
    *prefixes, name = bare.split("/")
    if len(prefixes) > 1:
        yield "has two slashes"
    elif prefixes and (len(prefixes[0]) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(prefixes[0])):
        yield "has a prefix that is no DNS name"
    if len(name) > _LONGEST_WORD or not _WORD.fullmatch(name):
        yield f"has a name that is no word of at most {_LONGEST_WORD} letters, digits, `-`, `_` and `.`"


def is_value(value: str) -> bool:
    """Empty, or a word."""
    return not value or (len(value) <= _LONGEST_WORD and bool(_WORD.fullmatch(value)))
