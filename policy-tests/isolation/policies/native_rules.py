"""The rules of a Kubernetes NetworkPolicy, as Cilium translates them.

Source: Cilium 1.20.2, pkg/k8s/network_policy.go. Unlike in Cilium's own kind, `egress: []` denies, and an empty
or missing `from` is everyone.
"""

from collections.abc import Iterator

from isolation.manifests.node import Node
from isolation.policies.address_sets import ip_block_peer
from isolation.policies.agent import Agent
from isolation.policies.entities import Endpoints, Peer
from isolation.policies.label_syntax import VALUED, VALUELESS
from isolation.policies.labels import CLUSTER, NAMESPACE, NAMESPACE_LABELS
from isolation.policies.native_acceptance import SECTIONS, native_port_number
from isolation.policies.ports import LAST_PORT, PortRange, is_port_name, named_port
from isolation.policies.rules import INGRESS, Origin, Rule
from isolation.policies.selectors import LabelSelector, Requirement, Scope, is_in, prefixed_selector


def native_rules(spec: Node, scope: Scope, agent: Agent) -> Iterator[Rule]:
    """The decoded `spec` of a NetworkPolicy that the agent reads. A direction that is enforced without an entry denies.

    Without policyTypes ingress is enforced, and egress where it has entries.
    """
    types = {item.value: item.path for item in spec.each("policyTypes")}
    subject = LabelSelector(_own_pods(spec.at("podSelector"), scope))
    for direction, side in SECTIONS:
        entries, name = spec.each(direction), direction.title()
        for entry in entries:
            peers = tuple(_peer(item, scope, agent) for item in entry.each(side)) or None
            ports = tuple(map(_port_range, entry.each("ports"))) or None
            yield Rule(subject, direction, peers, ports, Origin(entry.document, entry.path))
        if not entries and (name in types or (direction == INGRESS and "Egress" not in types)):
            yield Rule(subject, direction, (), None, Origin(spec.document, types.get(name, spec.path)))


def _peer(node: Node, scope: Scope, agent: Agent) -> Peer:
    """An item of from or to; only the local cluster's pods unless the selector names a cluster."""
    if node.has("ipBlock"):
        return ip_block_peer(node.at("ipBlock"), agent)
    pods = node.at("podSelector")
    is_own = not node.has("namespaceSelector")
    terms = _own_pods(pods, scope) if is_own else _terms(pods)
    if scope.cluster is not None and not any(term.key == CLUSTER for term in terms):
        terms = (*terms, is_in("k8s", CLUSTER, scope.cluster))
    if is_own:
        return Endpoints(LabelSelector(terms), agent.cluster)
    by_labels = (
        Requirement("k8s", NAMESPACE_LABELS + term.key, term.operator, term.values)
        for term in _terms(node.at("namespaceSelector"))
    )
    namespaces = tuple(by_labels) or (Requirement("k8s", NAMESPACE, "Exists"),)
    return Endpoints(LabelSelector((*namespaces, *terms)), agent.cluster)


def _own_pods(selector: Node, scope: Scope) -> tuple[Requirement, ...]:
    """The policy's own namespace takes the place of one in matchLabels."""
    labels = {key: value for key, value in (selector.at("matchLabels").value or {}).items() if key != NAMESPACE}
    others = Node(selector.document, selector.path, {**(selector.value or {}), "matchLabels": labels})
    return (*_terms(others), is_in("k8s", NAMESPACE, scope.namespace or ""))


def _terms(selector: Node) -> tuple[Requirement, ...]:
    """Labels of pods or namespaces. A term with an operator that is none is passed over, as the agent does."""
    terms = prefixed_selector(selector, "k8s").requirements
    return tuple(term for term in terms if term.operator in (*VALUED, *VALUELESS))


def _port_range(node: Node) -> PortRange:
    """An item of `ports`, TCP unless it says else."""
    protocol = node.value.get("protocol", "").upper() or "TCP"
    written = node.value.get("port", 0)
    if is_port_name(str(written)):
        return named_port(node, str(written), protocol)
    number, end = native_port_number(written), node.value.get("endPort", 0) & LAST_PORT
    return PortRange(number, max(number, end) if number else LAST_PORT, protocol, end_port=end)
