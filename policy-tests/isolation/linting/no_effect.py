"""Policies, rules and fields that look as if they did something, and do nothing, or something else.

Source: Cilium 1.20.2, pkg/k8s/apis/cilium.io/utils (namespaces of subjects), pkg/labelsfilter, pkg/policy/repository.go
(default deny needs an entry), pkg/policy/utils/parserules.go (which empty lists select no one).
"""

from collections.abc import Iterator

from isolation.linting.constraints import is_satisfiable, limits
from isolation.linting.findings import Hit
from isolation.linting.objects import CLUSTERWIDE, NAMESPACED, Entry, Policy, PortRule, Spec
from isolation.linting.plain import mapped
from isolation.linting.rejected import WITHOUT_PORTS
from isolation.linting.selectors import Selector
from isolation.policies.label_filter import DEFAULT_FILTER
from isolation.policies.labels import NAMESPACE

_UNANSWERED = {"required": "TN307", "test-always-fail": "TN323"}
_NOBODY = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes")  # empty, they select no one


def no_effect(policy: Policy) -> Iterator[Hit]:
    """Every silent no-op of one object."""
    for spec in policy.specs:
        yield from _subject(spec)
        yield from _default_deny(spec)
        if "nodeSelector" in spec.body and policy.kind == CLUSTERWIDE:
            yield Hit("TN316", policy, (*spec.path, "nodeSelector"), "acts on nodes with the host firewall only")
    for entry in policy.entries:
        yield from _entry(entry)
        if entry.is_deny:
            yield from _deny(entry)


def _subject(spec: Spec) -> Iterator[Hit]:
    policy, own = spec.policy, spec.policy.document.namespace
    if policy.kind == NAMESPACED and own is not None:
        for term in spec.subject.terms:
            if not (term.key == NAMESPACE and term.operator == "In") or own in term.values:
                continue
            named = ", ".join(term.values)
            if term.source == "k8s" and "matchLabels" in term.path:
                yield Hit("TN302", policy, term.path, f"{named} is replaced by {own}, the policy's own namespace")
            else:
                yield Hit(
                    "TN301", policy, term.path, f"pods of {named} are out of reach from {own}: nothing is selected"
                )
    yield from _dead_selector(policy, spec.subject)


def _default_deny(spec: Spec) -> Iterator[Hit]:
    for direction, asked in mapped(spec.body.get("enableDefaultDeny")).items():
        if asked is True and not any(entry.direction == direction for entry in spec.entries):
            detail = f"nothing stands under {direction}, so {direction} stays open"
            yield Hit("TN306", spec.policy, (*spec.path, "enableDefaultDeny", direction), detail)


def _entry(entry: Entry) -> Iterator[Hit]:
    policy = entry.policy
    for kind, value in entry.peers.items():
        if value == [] and kind in _NOBODY:
            yield Hit("TN303", policy, entry.place(kind), f"`{entry.side}{kind}: []` selects no one")
    for rule in entry.port_rules:
        yield from _port_rule(rule)
    mode = mapped(entry.body.get("authentication")).get("mode")
    if mode in _UNANSWERED:
        yield Hit(_UNANSWERED[mode], policy, (*entry.path, "authentication"), f"`{mode}` is answered by nobody")
    for selector in entry.selectors:
        yield from _dead_selector(policy, selector)
    for path, name in entry.entities:
        if entry.section == "ingress" and name == "host" and "nodeSelector" not in entry.spec.body:
            yield Hit("TN313", policy, path, "the node reaches its own pods anyway")


def _port_rule(rule: PortRule) -> Iterator[Hit]:
    policy = rule.entry.policy
    if not rule.body.get("ports"):
        yield Hit("TN305", policy, rule.path, "names no port, so it matches none")
    for port in rule.ports:
        if port.number == 0 and port.protocol in WITHOUT_PORTS:
            yield Hit("TN322", policy, port.path, f"{port.protocol} is dropped whatever policies say")


def _dead_selector(policy: Policy, selector: Selector) -> Iterator[Hit]:
    for term in selector.terms:
        if term.source in {"", "any", "k8s"} and not DEFAULT_FILTER.counts("k8s", term.key):
            effect = "matches no pod" if term.is_positive else "matches every pod"
            yield Hit("TN308", policy, term.path, f"{term.key} is no part of identities: the term {effect}")
    if not is_satisfiable(limits(selector.terms)):
        yield Hit("TN309", policy, selector.path, "the terms contradict each other: no pod has them all")


def _deny(entry: Entry) -> Iterator[Hit]:
    for path, item in entry.items("CIDRSet"):
        if mapped(item).get("except"):
            yield Hit("TN311", entry.policy, (*path, "except"), "these addresses are not denied")
