"""What the agent rejects. A rejected object enforces nothing, all of it, so that one bad rule opens everything.

Source: Cilium 1.20.2, pkg/policy/api/rule_validation.go, in its order; what the CRD's schema refuses beyond is in
decoding.py. The agent stops at the first fault; here all are named.
"""

from collections.abc import Iterator

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node
from isolation.manifests.tree import Document
from isolation.policies.addresses import Network, address_or_network_of, is_inside, network_of
from isolation.policies.agent import Agent
from isolation.policies.entities import ENTITIES
from isolation.policies.icmp import FAMILIES, icmp_type
from isolation.policies.label_syntax import selector_faults
from isolation.policies.name_syntax import fqdn_faults
from isolation.policies.port_acceptance import port_rule_faults

SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")
CLUSTERWIDE = "CiliumClusterwideNetworkPolicy"
_L3 = ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs", "Nodes", "Services", "Groups")
_MOST_TYPES = 40


def object_faults(document: Document, specs: list[Node], agent: Agent) -> list[Fault]:
    """Faults of a decoded object (pkg/k8s/apis/cilium.io/v2/cnp_types.go, Parse)."""
    faults = [] if document.name else [Fault(("metadata", "name"), "is missing")]
    if document.body.get("spec") is None and document.body.get("specs") is None:
        faults.append(Fault((), "neither spec nor specs"))
    is_clusterwide = document.kind == CLUSTERWIDE or not document.namespace
    return faults + [fault for spec in specs for fault in _spec_faults(spec, agent, is_clusterwide=is_clusterwide)]


def _spec_faults(spec: Node, agent: Agent, *, is_clusterwide: bool) -> Iterator[Fault]:
    """One rule of Go's `Rule.Sanitize`."""
    if not any(spec.value.get(section) for section in SECTIONS):
        yield Fault(spec.path, "no section has an entry, so the policy is lost; write `- {}` to deny by default")
    selectors = [name for name in ("endpointSelector", "nodeSelector") if spec.has(name)]
    if len(selectors) != 1:
        yield Fault(spec.path, f"has {' and '.join(selectors) or 'no endpointSelector'}; write exactly one selector")
    for name in selectors:
        yield from selector_faults(spec.at(name))
    if "nodeSelector" in selectors and not is_clusterwide:
        yield Fault(spec.at("nodeSelector").path, "nodeSelector in a namespaced policy")
    yield from (
        Fault(label.path, "a label without `key`") for label in spec.each("labels") if not label.value.get("key")
    )
    for section in SECTIONS:
        for entry in spec.each(section):
            yield from _entry_faults(entry, section, agent)
            if "nodeSelector" in selectors:
                yield from _host_faults(entry, section)


def _entry_faults(entry: Node, section: str, agent: Agent) -> Iterator[Fault]:
    side = "to" if section.startswith("egress") else "from"
    kinds = [side + kind for kind in _L3 if entry.value.get(side + kind)]
    if len(kinds) > 1:
        yield Fault(entry.path, f"{' and '.join(kinds)} in one rule; write one rule for each")
    if entry.value.get(f"{side}Nodes") and not agent.node_selector_labels:
        yield Fault(entry.at(f"{side}Nodes").path, "needs the option enable-node-selector-labels, which is off")
    yield from _peer_faults(entry, side)
    yield from _icmp_faults(entry, agent)
    for item in entry.each("toPorts"):
        yield from port_rule_faults(item, section, agent)


def _peer_faults(entry: Node, side: str) -> Iterator[Fault]:
    for kind in (f"{side}Endpoints", f"{side}Nodes"):
        for selector in entry.each(kind):
            yield from selector_faults(selector)
    for item in entry.each(f"{side}CIDR"):
        if address_or_network_of(item.value) is None:
            yield Fault(item.path, f"{item.value!r} is no range of addresses")
    for item in entry.each(f"{side}CIDRSet"):
        yield from _range_set_faults(item)
    for item in entry.each(f"{side}Entities"):
        if item.value not in ENTITIES:
            yield Fault(item.path, f"unknown entity {item.value!r}; known: {', '.join(sorted(ENTITIES))}")
    for item in entry.each("toFQDNs"):
        yield from fqdn_faults(item)


def _host_faults(entry: Node, section: str) -> Iterator[Fault]:
    """L7 rules that a policy on nodes may not have: any on ingress, HTTP on egress."""
    for item in entry.each("toPorts"):
        rules = item.at("rules")
        if section == "ingress" and any(rules.value.get(kind) for kind in ("dns", "http") if rules.value):
            yield Fault(rules.path, "L7 rules on ingress of nodes")
        elif section == "egress" and rules.each("http"):
            yield Fault(rules.path, "http rules on egress of nodes")


def _range_set_faults(item: Node) -> Iterator[Fault]:
    kinds = [kind for kind in ("cidr", "cidrGroupRef") if item.value.get(kind)]
    kinds += ["cidrGroupSelector"] if item.has("cidrGroupSelector") else []
    if len(kinds) != 1:
        yield Fault(item.path, f"has {' and '.join(kinds) or 'no cidr'}; write exactly one of cidr and a group")
    if item.has("cidrGroupSelector"):
        yield from selector_faults(item.at("cidrGroupSelector"))
    if kinds == ["cidr"]:
        network = network_of(item.value["cidr"])
        if network is None:
            yield Fault(item.path, f"{item.value['cidr']!r} has no prefix length, or is no range of addresses")
        else:
            yield from _except_faults(item, network)


def _except_faults(item: Node, network: Network) -> Iterator[Fault]:
    for excepted in item.each("except"):
        inner = network_of(excepted.value)
        if inner is None or not is_inside(inner, network):
            yield Fault(excepted.path, f"except {excepted.value!r} is not inside {network}")


def _icmp_faults(entry: Node, agent: Agent) -> Iterator[Fault]:
    items = entry.each("icmps")
    if items and not agent.icmp_rules:
        yield Fault(entry.at("icmps").path, "needs the option enable-icmp-rules, which is off")
    if items and entry.value.get("toPorts"):
        yield Fault(entry.path, "icmps and toPorts in one rule; write one rule for each")
    for item in items:
        if len(types := item.each("fields")) > _MOST_TYPES:
            yield Fault(item.path, f"{len(types)} types are more than {_MOST_TYPES}")
        for each in types:
            family = each.value.get("family", "")
            if family and family not in FAMILIES:
                yield Fault(each.path, f"family {family!r} is none of {', '.join(FAMILIES)}")
            if not each.has("type"):
                yield Fault(each.path, "`type` is missing")
            elif icmp_type(each.value["type"], family) is None:
                yield Fault(each.path, f"{each.value['type']!r} is no type of {family or 'IPv4'}")
