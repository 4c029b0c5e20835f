"""Refusals that no rule of the catalogue is about: what the port of the agent's checks and of the schema says.

Source: Cilium 1.20.2, by `isolation.policies.acceptance` and `isolation.policies.decoding`.
"""

import re
from collections.abc import Iterable, Iterator

from isolation.linting.findings import Hit
from isolation.linting.objects import Policy
from isolation.manifests.faults import Fault
from isolation.manifests.reading import DocumentPath
from isolation.policies.parsing import Parsed

_NEAR = 2  # steps
_UNKNOWN = re.compile(r"field `(?P<field>[^`]*)` is not understood")
_REMOVED = frozenset({"kafka", "l7", "l7proto", "fromRequires", "toRequires"})


def remaining(policy: Policy, parsed: Parsed, said: Iterable[Hit]) -> Iterator[Hit]:
    """What the evaluator holds against the object, where nothing was said about the place yet."""
    known = [hit for hit in said if hit.policy is policy]
    refused = [hit.path for hit in known if hit.rule.startswith("TN2")]
    anything = [hit.path for hit in known]
    for fault in dict.fromkeys((*parsed.rejected, *parsed.schema_faults)):
        is_refused = fault in parsed.rejected
        if any(_is_near(place, fault.path) for place in (refused if is_refused else anything)):
            continue
        anything.append(fault.path)
        refused.append(fault.path)
        if removed := [str(step) for step in fault.path if step in _REMOVED]:
            yield Hit("TN221", policy, fault.path, f"`{removed[0]}` was removed from Cilium")
        else:
            yield Hit(_rule_of(fault, is_refused=is_refused), policy, fault.path, fault.why)


def _rule_of(fault: Fault, *, is_refused: bool) -> str:
    if _UNKNOWN.match(fault.why):
        in_deny = bool({"ingressDeny", "egressDeny"} & set(fault.path))
        field = str(fault.path[-1]) if in_deny else ""
        return {"rules": "TN310", "toFQDNs": "TN312"}.get(field, "TN223")
    if is_refused:
        return "TN200"
    return "TN230" if fault.why.startswith("is null") else "TN227"


def _is_near(place: DocumentPath, fault: DocumentPath) -> bool:
    """The same place, or two steps above or below it at most: the fault that was told already."""
    if not place or not fault:
        return place == fault
    short, long = sorted((place, fault), key=len)
    return long[: len(short)] == short and len(long) - len(short) <= _NEAR
