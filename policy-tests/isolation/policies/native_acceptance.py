"""What is wrong with a NetworkPolicy: for the agent, which loses it, and for the API server, which lets none in.

Source: Cilium 1.20.2, pkg/k8s/network_policy.go, which checks protocols only and crashes on what is no range;
Kubernetes 1.36, pkg/apis/networking/validation.
"""

from collections.abc import Iterator

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node
from isolation.policies.addresses import address_or_network_of, is_inside, network_of
from isolation.policies.label_syntax import selector_faults
from isolation.policies.ports import EXTENDED, LAST_PORT, PROTOCOLS, is_port_name, number_of

TYPES = ("Ingress", "Egress")
SECTIONS = (("ingress", "from"), ("egress", "to"))
_KINDS = ("podSelector", "namespaceSelector", "ipBlock")


def native_rejections(spec: Node) -> Iterator[Fault]:
    """Why the agent has no rules from it (the spec is decoded)."""
    for section, side in SECTIONS:
        for entry in spec.each(section):
            for port in entry.each("ports"):
                protocol = port.value.get("protocol", "")
                if protocol and protocol.upper() not in (*PROTOCOLS, *EXTENDED, "ANY"):
                    yield Fault(port.path, f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
            for peer in entry.each(side):
                yield from _range_faults(peer.at("ipBlock"))


def _range_faults(block: Node) -> Iterator[Fault]:
    if block.value is None:
        return
    for node in (block.at("cidr"), *block.each("except")):
        if address_or_network_of(node.value or "") is None:
            yield Fault(node.path, f"{node.value!r} is no range of addresses")


def native_schema_faults(spec: Node) -> Iterator[Fault]:
    """Why the API server refuses it beyond wrong types and unknown fields."""
    yield from _plain_selector_faults(spec.at("podSelector"))
    for item in spec.each("policyTypes"):
        if item.value not in TYPES:
            yield Fault(item.path, f"{item.value!r} is neither Ingress nor Egress")
    for section, side in SECTIONS:
        for entry in spec.each(section):
            for peer in entry.each(side):
                yield from _peer_faults(peer)
            for port in entry.each("ports"):
                yield from _port_faults(port)


def _peer_faults(peer: Node) -> Iterator[Fault]:
    kinds = [kind for kind in _KINDS if peer.has(kind)]
    if not kinds or ("ipBlock" in kinds and len(kinds) > 1):
        yield Fault(peer.path, f"has {' and '.join(kinds) or 'no selector'}; write selectors, or one ipBlock")
    yield from _plain_selector_faults(peer.at("podSelector"))
    yield from _plain_selector_faults(peer.at("namespaceSelector"))
    block = peer.at("ipBlock")
    outer = network_of(block.value.get("cidr", "")) if block.value else None
    if block.value is not None and outer is None:
        yield Fault(block.path, f"{block.value.get('cidr')!r} has no prefix length, or is no range")
    for item in block.each("except"):
        inner = network_of(item.value)
        if outer and (inner is None or inner == outer or not is_inside(inner, outer)):
            yield Fault(item.path, f"except {item.value!r} is no part of {outer}")


def _plain_selector_faults(selector: Node) -> Iterator[Fault]:
    """Labels have no source here."""
    yield from selector_faults(selector)
    keys = [*(selector.at("matchLabels").value or {})]
    keys += (item.value.get("key", "") for item in selector.each("matchExpressions"))
    yield from (Fault(selector.path, f"key {key!r} has a source; write the plain label") for key in keys if ":" in key)


def _port_faults(port: Node) -> Iterator[Fault]:
    written = port.value.get("port")
    if port.value.get("protocol", "TCP") not in PROTOCOLS:
        yield Fault(port.path, f"protocol {port.value['protocol']!r} is none of {', '.join(PROTOCOLS)}")
    if isinstance(written, str) and (not is_port_name(written) or written != written.lower()):
        yield Fault(port.path, f"port {written!r} is no name of lower case; write a number without quotes")
    if isinstance(written, int) and not 0 < written <= LAST_PORT:
        yield Fault(port.path, f"port {written} is not within 1 and {LAST_PORT}")
    end = port.value.get("endPort")
    if end is not None and not (isinstance(written, int) and written <= end):
        yield Fault(port.path, f"endPort {end} without a lower number as port")


def native_port_number(written: str | int) -> int:
    """What the agent reads: a text that is no number is every port, a number too large the last one."""
    return min(number_of(str(written)) or 0, LAST_PORT)
