"""What names and patterns in toFQDNs and DNS rules may be made of.

Source: Cilium 1.20.2, pkg/policy/api/fqdn.go, pkg/fqdn/matchpattern.
"""

import re
from collections.abc import Iterator

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node

_NAME = re.compile(r"[-a-zA-Z0-9_.]+")
_PATTERN = re.compile(r"[-a-zA-Z0-9_.*]+")
_LONGEST_PATTERN = 255


def dns_faults(item: Node) -> Iterator[Fault]:
    """An item of a `dns` list (decoded); both a name and a pattern may stand there."""
    name, pattern = item.value.get("matchName", ""), item.value.get("matchPattern", "")
    if name and not _NAME.fullmatch(name):
        yield Fault(item.path, f"matchName {name!r} holds more than letters, digits, `-`, `_` and `.`")
    if len(pattern.strip()) > _LONGEST_PATTERN:
        yield Fault(item.path, f"matchPattern is longer than {_LONGEST_PATTERN} characters")
    if pattern and not _PATTERN.fullmatch(pattern):
        yield Fault(item.path, f"matchPattern {pattern!r} holds more than letters, digits, `-`, `_`, `.` and `*`")


def fqdn_faults(item: Node) -> Iterator[Fault]:
    """An item of toFQDNs (decoded)."""
    if item.value.get("matchName") and item.value.get("matchPattern"):
        yield Fault(item.path, "matchName and matchPattern in one selector; write two")
    yield from dns_faults(item)
