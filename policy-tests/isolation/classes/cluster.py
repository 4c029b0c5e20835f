"""What the rendered tree would make of a cluster: its rules, its classes of pods, everyone else, the ports to ask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

from isolation.classes.buckets import bucket_host
from isolation.classes.edges import HOSTS
from isolation.classes.inventory import Inventory
from isolation.classes.pod_classes import CLUSTER, Classes, PodClass, classes_of
from isolation.classes.profile import Profile, read_profile
from isolation.classes.roles import Role
from isolation.manifests.node import Node
from isolation.manifests.tree import Tree
from isolation.policies.entities import Cidr, Endpoints, Entity, Fqdn, Peer
from isolation.policies.identities import ENTITY_LABELS, Address, Identity, entity, outside
from isolation.policies.labels import reserved
from isolation.policies.parsing import EGRESS, POLICY_KINDS, Parsed, Rule, parse_policy, refuse_other_kinds
from isolation.policies.ports import LAST_PORT, PROTOCOLS, Port
from isolation.verdicts.world import PolicyWorld, Side

# Addresses at which clouds hand out a machine's credentials (AWS, EKS, ECS, Alibaba, Azure; both families).
METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd00:ec2::23",
)
_ANYWHERE = ("203.0.113.7", "2001:db8::7")  # documentation ranges; no rule of ours may name them
# A node on which the API server runs (kind, k3s, control-plane nodes that take pods) carries both labels.
API_NODE = Identity("host with the API server", reserved("host", "kube-apiserver"))
_ECHO = {"ICMP": 8, "ICMPv6": 128}  # protocol -> the type that is asked whether or not a rule names it


@dataclass(frozen=True, eq=False)
class Outsider:
    """An identity that is no pod: an entity, an address, or the addresses that one name leads to."""

    role: Role
    identity: Identity

    def __str__(self) -> str:
        return self.identity.name


Party = PodClass | Outsider


@dataclass(frozen=True, eq=False)
class Cluster:
    """Everything that invariants ask about."""

    tree: Tree
    profile: Profile
    parsed: tuple[Parsed, ...]
    world: PolicyWorld
    classes: Classes
    ports: tuple[Port, ...]
    outsiders: tuple[Outsider, ...]

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(self.world.rules)

    @cached_property
    def inventory(self) -> Inventory:
        """The same tree as the invariants of the tree ask about it."""
        return Inventory(self.tree, self.profile, self.classes.tenants)

    @cached_property
    def parties(self) -> tuple[Party, ...]:
        return (*self.classes.all, *self.outsiders)

    @cached_property
    def by_role(self) -> dict[tuple[str, str | None], list[Party]]:
        """(role, tenant) -> parties; under tenant None stand those of the platform and outside."""
        found: dict[tuple[str, str | None], list[Party]] = {}
        for party in self.parties:
            found.setdefault((party.role.name, party.role.tenant), []).append(party)
        return found

    @cached_property
    def resolvers(self) -> tuple[Party, ...]:
        """Whom pods ask for names: the resolver's pods, or the cache on their own node, whatever else runs there."""
        roles = ("resolver",) if self.profile.dns_mode == "pods" else HOSTS
        return tuple(party for role in roles for party in self.by_role.get((role, None), ()))

    def side(self, party: Party, direction: str) -> Side:
        return self.world.side(party.identity, direction)

    def reached(self, party: Party, direction: str) -> tuple[tuple[Party, tuple[Port, ...]], ...]:
        """Every other party to which the side is open, with the ports.

        Linear in rules: where the side denies by default, only parties that a rule of it selects can be open.
        """
        key = (party, direction)
        if key not in self._reached:
            side = self.side(party, direction)
            found = ((other, self.open_ports(side, other.identity)) for other in self._candidates(side))
            self._reached[key] = tuple((other, ports) for other, ports in found if ports)
        return self._reached[key]

    def alternatives(self, party: Party, peer: Identity, port: Port) -> tuple[Rule, ...]:
        """Every allow of the party's egress that covers the flow. Where one of them redirects to the proxy, it reads
        all of them as alternatives (pkg/envoy/model.go), so that one without server names lets each name pass."""
        selecting = self.side(party, EGRESS).selecting(peer)
        return tuple(rule for rule in selecting if not rule.is_deny and rule.covers(port))

    def open_ports(self, side: Side, peer: Identity) -> tuple[Port, ...]:
        return side.open_ports(peer, self.ports)

    @cached_property
    def _reached(self) -> dict[tuple[Party, str], tuple[tuple[Party, tuple[Port, ...]], ...]]:
        return {}

    def _candidates(self, side: Side) -> Iterable[Party]:
        allows = [rule for rule in side.rules if not rule.is_deny]
        if not side.denies_by_default or any(rule.peers is None for rule in allows):
            return self.parties
        found: dict[Party, None] = dict.fromkeys(self._entities if side.admits_node else ())
        for peer in (peer for rule in allows for peer in rule.peers or ()):
            if peer not in self._selections:
                self._selections[peer] = list(self._select(peer))
            found |= dict.fromkeys(self._selections[peer])
        return found

    def _select(self, peer: Peer) -> Iterable[Party]:
        if isinstance(peer, Endpoints) and peer.selector.namespaces is not None:
            return self.classes.selected_by(peer.selector)  # nobody outside is in a namespace
        if isinstance(peer, Fqdn) and not peer.pattern.is_pattern:
            return self._by_name.get(peer.pattern.text, ())
        return (party for party in self.parties if peer.selects(party.identity))

    @cached_property
    def _selections(self) -> dict[Peer, list[Party]]:
        return {}

    @cached_property
    def _entities(self) -> tuple[Outsider, ...]:
        return tuple(each for each in self.outsiders if each.identity.is_node)

    @cached_property
    def _by_name(self) -> dict[str, list[Outsider]]:
        found: dict[str, list[Outsider]] = {}
        for each in self.outsiders:
            for name in each.identity.names:
                found.setdefault(name, []).append(each)
        return found


def cluster_of(tree: Tree) -> Cluster:
    """Raises Refused for a policy or a profile that is not understood."""
    refuse_other_kinds(tree)
    profile = read_profile(tree)
    _refuse_credentials(profile)
    parsed = tuple(parse_policy(document, cluster=CLUSTER) for document in tree.of_kind(*POLICY_KINDS))
    rules = tuple(rule for one in parsed for rule in one.rules)
    classes = classes_of(tree, rules, profile)
    outsiders = tuple(_outsiders(rules, profile, classes.tenants))
    return Cluster(tree, profile, parsed, PolicyWorld(rules), classes, ports_of(rules), outsiders)


def _refuse_credentials(profile: Profile) -> None:
    """No range that the profile exempts from denies may hold an address of METADATA."""
    for network in (*profile.private_addresses, *profile.api_addresses):
        if held := [text for text in METADATA if ip_address(text) in network]:
            why = f"{network} holds {held[0]}, where clouds hand out a machine's credentials; leave it out"
            raise Node(profile.document, ("data",), None).refused(why)


def ports_of(rules: Iterable[Rule]) -> tuple[Port, ...]:
    """One port of every cell into which the rules cut the ports: each bound, its successor, and one that none names.

    So for the types of ICMP, each family by itself. Protocols without ports are in no tree that is proved
    (`unambiguous`).
    """
    spans = {span for rule in rules for span in rule.ports or ()}
    ports = _cells((span.first, span.last) for span in spans if span.protocol in (*PROTOCOLS, "ANY"))
    types = {
        protocol: {echo, *_cells((span.first, span.last) for span in spans if span.protocol == protocol)}
        for protocol, echo in _ECHO.items()
    }
    return (
        *(Port(number, protocol) for number in ports for protocol in PROTOCOLS),
        *(Port(number, protocol) for protocol, numbers in types.items() for number in sorted(numbers)),
    )


def _cells(spans: Iterable[tuple[int, int]]) -> list[int]:
    """One number of every cell. 0 is none: no port has it, and of ICMP the engine reads it as every type."""
    bounds = {number for first, last in spans for number in (first, last, last + 1)}
    named = {number for number in bounds if 0 < number <= LAST_PORT}
    unnamed = next(number for number in range(1, LAST_PORT) if number not in named and number - 1 not in named)
    return sorted({*named, unnamed})


def _outsiders(rules: Iterable[Rule], profile: Profile, tenants: Iterable[str]) -> Iterator[Outsider]:
    for name in ENTITY_LABELS:
        yield Outsider(Role(name), entity(name))
    yield Outsider(Role("api-node"), API_NODE)
    peers = [peer for rule in rules for peer in rule.peers or ()]
    yield from _addresses(peers, profile)
    names = {p.pattern.text for p in peers if isinstance(p, Fqdn) and not p.pattern.is_pattern}
    names |= {entry.text for rule in rules for entry in rule.dns or () if not entry.is_pattern}
    if profile.storage_mode == "s3":
        names |= {bucket_host(profile, owner) for owner in (*tenants, "models")}
    for name in sorted(names):
        yield Outsider(Role("name"), outside(name, names=frozenset({name})))


def _addresses(peers: Iterable[Peer], profile: Profile) -> Iterator[Outsider]:
    """The API server's, credentials', anyone's, and both ends of every range that a rule names."""
    for network in profile.api_addresses:
        yield _address(network[0], Role("kube-apiserver"), is_api_server=True)
    seen = {ip_address(text): Role("metadata") for text in METADATA}
    seen |= {ip_address(text): Role("world") for text in _ANYWHERE}
    for cidr in (peer for peer in peers if isinstance(peer, Cidr)):
        for network in (cidr.network, *cidr.excepted):
            seen.setdefault(network[0], Role("world"))
            seen.setdefault(network[-1], Role("world"))
    for address, role in seen.items():
        if not any(address in network for network in profile.api_addresses):
            yield _address(address, role)
    if _tells_families_apart(peers):
        for text in _ANYWHERE:
            family = outside(f"{text} in dual stack", address=ip_address(text), dual_stack=True)
            yield Outsider(Role("world"), family)


def _tells_families_apart(peers: Iterable[Peer]) -> bool:
    """Whether some rule reads the label of an outside address: `world`, or in dual stack one for each family.

    The entity `world` selects all three; where no rule names one of them otherwise, one form stands for both.
    """
    texts = {str(ip_address(text)) for text in _ANYWHERE}
    forms = [outside(t, address=ip_address(t), dual_stack=dual) for t in texts for dual in (False, True)]
    labelled = (peer for peer in peers if isinstance(peer, Entity | Endpoints))
    return any(len({peer.selects(form) for form in forms}) > 1 for peer in set(labelled))


def _address(address: Address, role: Role, *, is_api_server: bool = False) -> Outsider:
    return Outsider(role, outside(str(address), address=address, is_api_server=is_api_server))
