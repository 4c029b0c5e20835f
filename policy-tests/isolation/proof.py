"""`prove`: every invariant over one rendered tree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from isolation import network_invariants as network
from isolation import outside_invariants as outside
from isolation import policy_shapes as shape
from isolation.bypasses import no_bypass
from isolation.cluster import cluster_of
from isolation.effective import effective
from isolation.inventory import Inventory
from isolation.liveness import alive
from isolation.monotone import monotone
from isolation.name_invariants import names, own_lists
from isolation.open_flows import OpenFlow, open_flows
from isolation.pod_invariants import accounted, backends
from isolation.portable import portable
from isolation.refusals import Refused
from isolation.results import Result
from isolation.settings import settings
from isolation.storage_claims import NO_CLAIMS, StorageClaims, storage, storage_claims
from isolation.tree import Tree, read_tree
from isolation.tree_invariants import GROUPS

NETWORK = "network"  # group of the invariants below
# Shapes first: `trusted` is what makes the list of classes, over which the others quantify, complete.
INVARIANTS = (
    shape.trusted,
    shape.accepted,
    shape.unambiguous,
    shape.default_deny,
    shape.own_place,
    no_bypass,
    shape.one_dns_rule,
    shape.server_names,
    shape.one_proxy,
    settings,
    accounted,
    backends,
    network.apart,
    names,
    outside.addresses,
    outside.metadata,
    outside.node_ports,
    outside.resolvers,
    storage,
    monotone,
    effective,
    alive,
    portable,
    network.mergeable,
    network.closed,
    own_lists,
)
_OF_PAIRS = frozenset(
    {"apart", "names", "addresses", "storage"}
)  # these ask about another tenant, which a cluster of one has not
_BY_VERDICTS = frozenset({"apart", "names", "addresses", "metadata", "node-ports", "resolvers", "closed", "alive"})


@dataclass(frozen=True)
class Proof:
    """The answer. pairs: ordered pairs of tenants; classes: pods told apart; flows: questions answered by verdicts;
    allowed: what is open for tenants' pods, one line each, to compare two trees by; groups: results by subject;
    claims: what keeps each tenant from each other tenant's bucket."""

    tenants: tuple[str, ...]
    classes: int
    pairs: int
    flows: int
    allowed: tuple[OpenFlow, ...]
    groups: Mapping[str, tuple[Result, ...]]
    claims: StorageClaims = NO_CLAIMS

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(result for group in self.groups.values() for result in group)

    @property
    def holds(self) -> bool:
        return all(result.holds for result in self.results)

    @property
    def broken(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.holds)


def prove(folder: Path) -> Proof:
    """The proof of one cluster's folder below rendered/. Raises Refused for input that is not understood."""
    return prove_tree(read_tree(folder))


def prove_tree(tree: Tree) -> Proof:
    """The proof of a tree in memory."""
    cluster = cluster_of(tree)
    tenants = cluster.classes.tenants
    if not tenants:
        raise Refused(where="tree", at="tenants", why="holds no tenant, so there is nothing to prove; render one")
    inventory = Inventory(tree, cluster.profile, tenants)
    pairs = len(tenants) * (len(tenants) - 1)
    groups = {NETWORK: tuple(_without_pairs(ask(cluster), pairs) for ask in INVARIANTS)}
    groups |= {name: tuple(ask(inventory) for ask in group) for name, group in GROUPS.items()}
    flows = sum(result.asked for result in groups[NETWORK] if result.name in _BY_VERDICTS)
    return Proof(tenants, len(cluster.classes.all), pairs, flows, open_flows(cluster), groups, storage_claims(cluster))


def _without_pairs(result: Result, pairs: int) -> Result:
    if pairs or result.asked or result.name not in _OF_PAIRS:
        return result
    return replace(result, vacuous="there is one tenant, so there is no other to be kept apart from")
