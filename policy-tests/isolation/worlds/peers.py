"""Peers of a policy world: who stands behind a name, or behind a description in a flow.

Source: policy-tests/cases/README.md. Addresses and entities get the labels that the agent gives them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from typing import Any

from isolation.manifests.refusals import Refused
from isolation.policies.address_sets import GroupOfRanges, GroupsByLabel
from isolation.policies.addresses import Network
from isolation.policies.agent import Agent
from isolation.policies.entities import Cidr, Fqdn
from isolation.policies.identities import ENTITY_LABELS, Address, Identity, entity, outside, pod
from isolation.policies.label_filter import LabelFilter
from isolation.policies.labels import CLUSTER, Label, Labels, PodLabels, read_label
from isolation.policies.names import NamePattern
from isolation.policies.ports import LAST_PORT, NamedPorts
from isolation.policies.rules import Rule
from isolation.worlds import lines
from isolation.worlds.lines import Fields, LineError

_ACCOUNT = "default"  # admission gives every pod one
_NOT_RAW = frozenset({"cidr", "fqdn", "cidrgroup", "node"})  # sources that stand for an address or an option


@dataclass(frozen=True)
class Surroundings:
    """What a peer's labels depend on. host_labels: of the local node; dns: address -> names learned for it."""

    agent: Agent
    kept: LabelFilter
    namespaces: Mapping[str, Mapping[str, str]]
    dns: Mapping[str, tuple[str, ...]]
    host_labels: frozenset[Label] = frozenset()
    ranges: frozenset[Network] = frozenset()
    patterns: frozenset[NamePattern] = frozenset()

    def with_policies(self, rules: Iterable[Rule]) -> "Surroundings":
        """The ranges and names that rules are about: what falls under them is told from the rest of the world."""
        peers = {peer for rule in rules for peer in rule.peers or ()}
        ranges = {peer.network for peer in peers if isinstance(peer, Cidr)}
        ranges |= {
            one for peer in peers if isinstance(peer, Cidr | GroupOfRanges | GroupsByLabel) for one in peer.excepted
        }
        patterns = frozenset(peer.pattern for peer in peers if isinstance(peer, Fqdn))
        return replace(self, ranges=frozenset(one for one in ranges if one.prefixlen), patterns=patterns)

    def tells_apart(self, address: Address | None, names: Iterable[str]) -> bool:
        groups = (network for group in self.agent.groups.values() for network in group.networks)
        is_in_one = address is not None and any(address in network for network in (*self.ranges, *groups))
        return is_in_one or any(pattern.matches(name) for name in names for pattern in self.patterns)

    def with_host_of(self, peers: Fields) -> "Surroundings":
        """The labels of the local node, which the peer that is the entity `host` gives as `node_labels`."""
        found = self.host_labels
        for peer in peers.values():
            if isinstance(peer, dict) and peer.get("entity") == "host" and peer.get("node_labels") is not None:
                labels = lines.labels(peer["node_labels"], "node_labels").items()
                found = frozenset(Label("k8s", key, value) for key, value in labels if self.kept.counts("k8s", key))
        return replace(self, host_labels=found)


def identity_of(name: str, peer: Fields, around: Surroundings) -> Identity:
    """Raises LineError for a description that is none, Refused for labels that are not understood."""
    if peer.get("raw") is not None:
        made = _raw(name, lines.texts(peer["raw"], "raw"), around.agent.cluster)
    elif peer.get("entity"):
        made = _entity(lines.text(peer["entity"], "entity"), around)
    elif peer.get("namespace") is not None:
        made = _pod(name, peer, around)
    elif peer.get("ip") or peer.get("names") is not None:
        made = _outside(name, peer, around)
    else:
        message = f"peer {name}: neither pod (namespace), entity, address (ip), names nor raw labels"
        raise LineError(message)
    if peer.get("endpoint") is None:
        return made
    return replace(made, is_endpoint=lines.flag(peer["endpoint"], "endpoint"))


def _raw(name: str, texts: tuple[str, ...], cluster: str) -> Identity:
    labels = frozenset({label.key: label for label in map(read_label, texts)}.values())  # one label per key, the last
    for label in labels:
        if label.source in _NOT_RAW:
            why = f"raw label {label} stands for an address or an option; name the address (`ip`, `names`)"
            raise Refused(where=f"peer {name}", at="raw", why=why)
    found = Labels(labels)
    is_entity = any(label.source == "reserved" for label in labels)
    if not is_entity and found.value("k8s", CLUSTER) != cluster:
        why = f"raw labels of a pod without k8s:{CLUSTER}={cluster} do not tell which cluster it is in; add it"
        raise Refused(where=f"peer {name}", at="raw", why=why)
    return Identity(name, found, is_endpoint=True)


def _entity(name: str, around: Surroundings) -> Identity:
    if name not in ENTITY_LABELS:
        message = f"{lines.shown(name)} is no entity; known: {', '.join(ENTITY_LABELS)}"
        raise LineError(message)
    found = entity(name)
    return replace(found, labels=Labels(found.labels.all | around.host_labels)) if name == "host" else found


def _pod(name: str, peer: Fields, around: Surroundings) -> Identity:
    namespace = lines.text(peer["namespace"], "namespace")
    labels = PodLabels(
        namespace=namespace,
        account=_text(peer, "service_account", _ACCOUNT),
        cluster=_text(peer, "cluster", "") or around.agent.cluster,
        namespace_labels=around.namespaces.get(namespace, {}),
        chosen=lines.labels(_given(peer, "labels", {}), "labels"),
    )
    named = _named_ports(lines.items(_given(peer, "named_ports", []), "named_ports"))
    return pod(name, labels.identity(around.kept, named), named)


def _named_ports(items: list[Any]) -> NamedPorts:
    """A name has one number: of several containers' the last. Names are compared in lower case."""
    found: dict[str, tuple[str, int]] = {}
    for item in items:
        port = lines.mapping(item, "named_ports[]")
        number = lines.number(port.get("port"), "port")
        if not 0 < number <= LAST_PORT:
            message = f"named port {number} is not within 1-{LAST_PORT}"
            raise LineError(message)
        name = lines.text(port.get("name"), "name").lower()
        found[name] = ((_text(port, "protocol", "") or "TCP").upper(), number)
    return {(name, protocol): number for name, (protocol, number) in found.items()}


def _outside(name: str, peer: Fields, around: Surroundings) -> Identity:
    learned = list(lines.texts(_given(peer, "names", []), "names"))
    address = None
    if peer.get("ip"):
        written = lines.text(peer["ip"], "ip")
        address = _address(written)
        learned += around.dns.get(written, ())
    made = outside(
        name,
        address=address,
        names=frozenset(learned),
        is_api_server=bool(peer.get("kube_apiserver")),
        world=around.agent.world(4 if address is None else address.version),
    )
    is_plain = not peer.get("kube_apiserver") and not around.tells_apart(address, learned)
    return replace(made, is_plain=is_plain)


def _address(written: str) -> Address:
    try:
        found = ip_address(written)
    except ValueError:
        message = f"ip {lines.shown(written)} is no address"
        raise LineError(message) from None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _given(fields: Fields, key: str, default: Any) -> Any:
    """Null counts as absent."""
    found = fields.get(key)
    return default if found is None else found


def _text(fields: Fields, key: str, default: str) -> str:
    return lines.text(_given(fields, key, default), key)
