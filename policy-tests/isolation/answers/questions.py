"""The two words of `tenon why`: who they mean in a cluster. What means nobody is refused with what is known."""

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address

from isolation.answers.public_hosts import Entrance, public_host
from isolation.classes.buckets import bucket_host
from isolation.classes.cluster import Cluster, Outsider, Party
from isolation.classes.edges import S3_PORT, TLS
from isolation.classes.inventory import Inventory
from isolation.classes.pod_classes import UNKNOWN, PodClass
from isolation.classes.roles import Role
from isolation.classes.services import service_of_host, services_of
from isolation.policies.identities import ENTITY_LABELS, Address, entity, outside
from isolation.policies.ports import LAST_PORT, PROTOCOLS, Port

PLANES = ("train", "serve")
CLUSTER_DOMAIN = "cluster.local"
MODELS = "models"  # owner of the bucket that all tenants read
_ICMP = ("ICMP", "ICMPv6")
_LAST_ICMP_TYPE = 255
_HOST = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})+\.?")
_PORT = re.compile(r"(?P<number>\d{1,5})(/(?P<protocol>[A-Za-z0-9]+))?")
_SOURCES = "<tenant>/train or <tenant>/serve with or without /<account>, <namespace>/<account>, or an entity"
_DESTINATIONS = (
    f"{_SOURCES}; or s3:<tenant>, dns:<name>, ip:<address>[:port], <host>[:port], <service>.<namespace>.svc[:port]"
)


class QuestionError(Exception):
    """A word that means nobody, or a port that is none."""


@dataclass(frozen=True)
class Question:
    """sources, destinations: parties, each pair of which is asked about; none where only a name is.

    ports: those asked about, every one that rules tell apart where none was named. name: the DNS question, which is
    the TLS server name too where there is a destination. bucket_owner: for a bucket. takes_port: whether no port is
    named by the words themselves. through: for a public host, who takes the connection and makes the one onwards.
    """

    sources: tuple[Party, ...]
    destinations: tuple[Party, ...]
    ports: tuple[Port, ...]
    name: str = ""
    bucket_owner: str = ""
    takes_port: bool = False
    through: Entrance | None = None


def question(cluster: Cluster, source: str, destination: str, *, port: Port | None = None) -> Question:
    """Raises QuestionError."""
    found = _destination(cluster, source, destination)
    if port is not None:
        if not found.takes_port:
            raise QuestionError(f"--port {port}: {destination} names its own port; leave the option out")
        found = replace(found, ports=(port,))
    asked = (*found.sources, *found.destinations)
    if not any(has_policy(party) for party in asked):
        raise QuestionError(f"{source} -> {destination}: neither is a pod, so no policy decides; name a pod")
    return found


def has_policy(party: Party) -> bool:
    """Whether policies can apply to it: to pods and their like, not to nodes and addresses."""
    return party.identity.is_endpoint and not party.identity.is_node


def port_of(text: str) -> Port:
    """`443`, `53/UDP`, `8/ICMP` (its type). Raises QuestionError."""
    found = _PORT.fullmatch(text)
    if not found:
        raise QuestionError(f"port {text!r}: is no port; write N or N/PROTOCOL")
    number, written = int(found["number"]), found["protocol"] or "TCP"
    known = {name.upper(): name for name in (*PROTOCOLS, *_ICMP)}
    protocol = known.get(written.upper())
    if protocol is None:
        raise QuestionError(f"port {text!r}: protocol {written} is not known; known: {', '.join(known.values())}")
    first, last = (0, _LAST_ICMP_TYPE) if protocol in _ICMP else (1, LAST_PORT)
    if not first <= number <= last:
        raise QuestionError(f"port {text!r}: is not one of {first}-{last}")
    return Port(number, protocol)


def _destination(cluster: Cluster, source: str, word: str) -> Question:
    sources = _parties(cluster, source, forms=_SOURCES)
    kind, _, rest = word.partition(":")
    if kind == "dns":
        return Question(sources, (), (), name=_host_name(rest))
    if kind == "s3":
        return _bucket(cluster, sources, rest)
    if kind == "ip":
        address, port = _address_and_port(rest)
        ports = (port,) if port else cluster.ports
        return Question(sources, (_at(cluster, address),), ports, takes_port=port is None)
    host, _, number = word.partition(":")
    if "/" not in host and "." in host:
        name, port = _host_name(host), port_of(number) if number else None
        if name.endswith((".svc", f".svc.{CLUSTER_DOMAIN}")):
            return _service(cluster, sources, name, port=port)
        if public := public_host(cluster, name, port or TLS):
            return Question(sources, public.pods, public.ports, name=name, through=public.entrance)
        party = Outsider(Role("name"), outside(name, names=frozenset({name})))
        return Question(sources, (party,), (port or TLS,), name=name, takes_port=port is None)
    return Question(sources, _parties(cluster, word, forms=_DESTINATIONS), cluster.ports, takes_port=True)


def _parties(cluster: Cluster, word: str, *, forms: str) -> tuple[Party, ...]:
    """Pods by tenant and plane or by namespace, or an entity."""
    if word in ENTITY_LABELS:
        return tuple(party for party in cluster.outsiders if party.identity.name == word)
    first, _, rest = word.partition("/")
    if not rest:
        raise QuestionError(f"{word!r}: means nobody; write {forms} ({', '.join(ENTITY_LABELS)})")
    plane, _, account = rest.partition("/")
    if first in cluster.classes.tenants and plane in PLANES:
        return _pods(cluster, word, namespace=f"{first}-{plane}", account=account)
    if first not in cluster.classes.by_namespace or account:
        if first in cluster.classes.tenants:
            raise QuestionError(f"{word!r}: {first} has no {plane!r}; write {first}/train or {first}/serve")
        known = ", ".join(cluster.classes.tenants)
        raise QuestionError(f"{word!r}: neither tenant nor namespace is rendered; tenants: {known}")
    return _pods(cluster, word, namespace=first, account=plane)


def _pods(cluster: Cluster, word: str, *, namespace: str, account: str) -> tuple[Party, ...]:
    """Of a tenant only pods that can start; of other namespaces also accounts that an add-on brings."""
    inside = [pods for pods in cluster.classes.by_namespace[namespace] if pods.account != UNKNOWN]
    known = [pods for pods in inside if pods.exists or not pods.role.tenant or pods.account == "default"]
    if not account:
        return tuple(pods for pods in known if pods.exists)
    found = tuple(pods for pods in known if pods.account == account)
    if not found:
        names = ", ".join(dict.fromkeys(pods.account for pods in known))
        raise QuestionError(f"{word!r}: account {account!r} is not known in {namespace}; known: {names}")
    return found


def _bucket(cluster: Cluster, sources: tuple[Party, ...], owner: str) -> Question:
    """The way to a bucket: its gateway's pods, or an address that its host shares with the source's own bucket."""
    profile = cluster.profile
    if owner not in (*cluster.classes.tenants, MODELS):
        known = ", ".join((*cluster.classes.tenants, MODELS))
        raise QuestionError(f"'s3:{owner}': tenant {owner!r} is not rendered; known: {known}")
    host = bucket_host(profile, owner)
    if profile.storage_mode == "inCluster":
        role = ("models-gateway", None) if owner == MODELS else ("gateway", owner)
        gateways = tuple(p for p in cluster.by_role.get(role, ()) if isinstance(p, PodClass) and p.exists)
        if not gateways:
            raise QuestionError(f"'s3:{owner}': the tree has no gateway to that bucket; render the storage")
        return Question(sources, gateways, (Port(S3_PORT, "TCP"),), name=host, bucket_owner=owner)
    owners = {party.role.tenant for party in sources if party.role.tenant}
    names = frozenset({host, *(bucket_host(profile, tenant) for tenant in owners)})
    shown = " shared with ".join([host, *sorted(names - {host})])
    party = Outsider(Role("name"), outside(shown, names=names))
    return Question(sources, (party,), (TLS,), name=host, bucket_owner=owner)


def _service(cluster: Cluster, sources: tuple[Party, ...], name: str, *, port: Port | None) -> Question:
    """The pods behind a Service: policies see them and the port that they listen on, never the Service."""
    found = service_of_host(services_of(Inventory(cluster.tree, cluster.profile, cluster.classes.tenants)), name)
    if found is None or found.elsewhere or not found.accounts:
        why = "is no Service of the tree" if found is None else found.elsewhere or "selects no pod of the tree"
        raise QuestionError(f"{name!r}: {why}; ask dns:{name}, or for the pods behind it by <namespace>/<account>")
    pods = tuple(each for each in cluster.classes.all if (each.namespace, each.account) in found.accounts)
    targets = found.targets(port.number) if port else [each for n in found.ports() for each in found.targets(n)]
    if not targets:
        known = ", ".join(map(str, found.ports()))
        raise QuestionError(f"{name}: has no port {port.number if port else ''}; known: {known}")
    return Question(sources, pods, tuple(dict.fromkeys(targets)), name=name)


def _at(cluster: Cluster, address: Address) -> Party:
    """An address is a node's where the profile says so; ranges and names of rules do not select those."""
    is_api_server = any(address in network for network in cluster.profile.api_addresses)
    if not is_api_server and any(address in network for network in cluster.profile.node_ranges):
        node = replace(entity("remote-node"), name=f"{address} (a node)")
        return Outsider(Role("world"), node)
    return Outsider(Role("world"), outside(str(address), address=address, is_api_server=is_api_server))


def _address_and_port(text: str) -> tuple[Address, Port | None]:
    bracketed = re.fullmatch(r"\[(?P<address>[^\]]+)\](:(?P<port>.+))?", text)
    if bracketed:
        address, port = bracketed["address"], bracketed["port"]
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, None
    try:
        return ip_address(address), port_of(port) if port is not None else None
    except ValueError:
        raise QuestionError(f"'ip:{text}': {address!r} is no address; write 10.0.0.1, or [fd00::1]:443") from None


def _host_name(text: str) -> str:
    name = text.lower().rstrip(".")
    if not _HOST.fullmatch(name):
        raise QuestionError(f"{text!r}: is no host name; write one with its dots, as a.example.com")
    return name
