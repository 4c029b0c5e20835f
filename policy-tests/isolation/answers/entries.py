"""Entries of policies, written for one peer and one port: what an edit would add."""

from typing import Any

import yaml

from isolation.answers.locks import Asked
from isolation.policies.identities import ENTITY_LABELS, Identity
from isolation.policies.labels import ACCOUNT, NAMESPACE
from isolation.policies.parsing import EGRESS

Body = dict[str, Any]


def entry_for(asked: Asked, *, is_deny: bool, on_every_port: bool = False) -> Body:
    """An entry of a policy for the peer on the port."""
    peer, port = asked.peer, asked.port
    key, item = peer_item(peer, asked.direction)
    made: Body = {key: [item]}
    if on_every_port:
        return made
    if port.protocol.startswith("ICMP"):
        family = "IPv6" if port.protocol == "ICMPv6" else "IPv4"
        return made | {"icmps": [{"fields": [{"type": port.number, "family": family}]}]}
    ports: Body = {"ports": [{"port": str(port.number), "protocol": port.protocol}]}
    if key == "toFQDNs" and not is_deny:
        ports["serverNames"] = sorted(peer.names)
    return made | {"toPorts": [ports]}


def shown(entry: Body) -> str:
    """`{toEntities: [host]}`, on one line."""
    text: str = yaml.safe_dump(entry, default_flow_style=True, width=10_000, sort_keys=False)
    return text.strip()


def peer_item(peer: Identity, direction: str) -> tuple[str, Any]:
    """The key of an entry and the item below it that select this peer and as few others as can be."""
    side = "to" if direction == EGRESS else "from"
    namespace = peer.labels.value("k8s", NAMESPACE)
    if namespace is not None:
        account = peer.labels.value("k8s", ACCOUNT) or ""
        return f"{side}Endpoints", {"matchLabels": {f"k8s:{ACCOUNT}": account, f"k8s:{NAMESPACE}": namespace}}
    if peer.names and side == "to":
        return "toFQDNs", {"matchName": min(peer.names)}
    if peer.address is not None:
        return f"{side}CIDR", f"{peer.address}/{peer.address.max_prefixlen}"
    for name, labels in ENTITY_LABELS.items():
        if all(peer.labels.value("reserved", label) is not None for label in labels):
            return f"{side}Entities", name
    return f"{side}Entities", "world"
