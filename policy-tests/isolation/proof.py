"""`prove`: every invariant over one rendered tree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from isolation.answers.homes import homes
from isolation.answers.open_flows import OpenFlow, open_flows
from isolation.classes.cluster import Cluster, cluster_of
from isolation.classes.inventory import tenant_of
from isolation.classes.pod_classes import tenants_of
from isolation.manifests.refusals import Refused, shaped_as_its_kind
from isolation.manifests.shapes import KINDS, REPRESENTATIVES, reduced
from isolation.manifests.tree import Tree, read_tree
from isolation.network import flows as network
from isolation.network import outside
from isolation.network import policy_shapes as shape
from isolation.network.accounts import accounted, backends
from isolation.network.bypasses import no_bypass
from isolation.network.effective import effective
from isolation.network.liveness import alive
from isolation.network.monotone import monotone
from isolation.network.names import names, own_lists
from isolation.network.portable import portable
from isolation.network.settings import settings
from isolation.network.storage_claims import NO_CLAIMS, StorageClaims, storage, storage_claims
from isolation.objects import ownership
from isolation.objects.groups import GROUPS
from isolation.policies.parsing import refuse_other_kinds
from isolation.representatives import Alike, claims_of_all, flows_of_all
from isolation.results import Result

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
    shape.one_list,
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
# These read what shapes do not compare, or nothing that rests on rules, so they are asked about the whole tree.
_OF_THE_TREE = frozenset({shape.default_deny, shape.own_place, settings})
# So are these, but for what a proof of one tenant leaves unread.
_OF_PODS = frozenset({accounted, backends, no_bypass})
_WITH_EVERY_ID = frozenset({ownership.own_names, ownership.offboarding})
_OF_PAIRS = frozenset(
    {"apart", "names", "addresses", "storage"}
)  # these ask about another tenant, which a cluster of one has not
_BY_VERDICTS = frozenset({"apart", "names", "addresses", "metadata", "node-ports", "resolvers", "closed", "alive"})


@dataclass(frozen=True)
class Proof:
    """The answer. pairs: ordered pairs of tenants; classes: pods told apart; flows: questions answered by verdicts;
    groups: results by subject; claims: what keeps each tenant from each other tenant's bucket; judged: tenants whose
    rules were evaluated, who stand for all (questions are counted as asked of them); alike: for whom each of them
    stands; open_for_judged: what is open for their pods and the platform's; only: tenants to whom the invariants of the
    tree are held, all where it is empty; homes: of everyone in a counter-example the file to begin in."""

    tenants: tuple[str, ...]
    classes: int
    pairs: int
    flows: int
    groups: Mapping[str, tuple[Result, ...]]
    claims: StorageClaims = NO_CLAIMS
    judged: tuple[str, ...] = ()
    alike: Alike = field(default_factory=dict)
    open_for_judged: tuple[OpenFlow, ...] = ()
    only: tuple[str, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def allowed(self) -> tuple[OpenFlow, ...]:
        """What is open for everyone's pods, one line each, to compare two trees by."""
        return flows_of_all(self.open_for_judged, self.alike)

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(result for group in self.groups.values() for result in group)

    @property
    def holds(self) -> bool:
        return all(result.holds for result in self.results)

    @property
    def broken(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.holds)


def prove(folder: Path, *, only: Sequence[str] = ()) -> Proof:
    """The proof of one cluster's folder below rendered/. Raises Refused for input that is not understood.

    only: tenants whose change is to be judged, where the rest was proved before: see prove_tree.
    """
    return prove_tree(read_tree(folder, only=only, kinds=KINDS), only=only)


def prove_tree(tree: Tree, *, only: Sequence[str] = (), most: int = REPRESENTATIVES) -> Proof:
    """The proof of a tree in memory. most: tenants of one shape that are judged, and stand for the others.

    With `only`, the network is proved as ever, these tenants judged themselves; the invariants of the tree are asked
    about their folders and the platform's. What tenants promise together (the GPUs of all queues, one object in two
    folders) and what other folders hold besides policies is left to the whole proof.
    """
    with shaped_as_its_kind():
        return _proved(tree, only=only, most=most)


def _proved(tree: Tree, *, only: Sequence[str], most: int) -> Proof:
    refuse_other_kinds(tree)
    tenants = tenants_of(tree)
    if not tenants:
        raise Refused(where="tree", at="tenants", why="holds no tenant, so there is nothing to prove; render one")
    if unknown := sorted(set(only) - set(tenants)):
        raise Refused(where="tree", at="tenants", why=f"holds no tenant {', '.join(unknown)}; name one that it holds")
    part = reduced(tree, most=most, besides=only)
    cluster = cluster_of(part.tree)
    pairs = len(tenants) * (len(tenants) - 1)
    whole = replace(cluster, tree=tree, classes=replace(cluster.classes, tenants=tenants))
    asked = _AskedAbout(cluster, whole, _restricted(whole, only) if only else whole)
    groups = {NETWORK: tuple(_without_pairs(ask(asked.by(ask)), pairs).bounded for ask in INVARIANTS)}
    naming = replace(asked.read.inventory, tenants=tenants) if only else whole.inventory
    groups |= {
        name: tuple(ask(naming if ask in _WITH_EVERY_ID else asked.read.inventory).bounded for ask in group)
        for name, group in GROUPS.items()
    }
    flows = sum(result.asked for result in groups[NETWORK] if result.name in _BY_VERDICTS)
    proof = Proof(
        tenants,
        len(cluster.classes.all),
        pairs,
        flows,
        groups,
        claims_of_all(storage_claims(cluster), tenants, part.alike),
        judged=part.judged,
        alike=part.alike,
        open_for_judged=open_flows(cluster),
        only=tuple(only),
    )
    return replace(proof, homes=homes(tree, proof.broken))


@dataclass(frozen=True, eq=False)
class _AskedAbout:
    """judged: representatives, with their rules; whole: every folder; read: the folders of which everything was read.

    Of the last two, rules and classes are those of the judged.
    """

    judged: Cluster
    whole: Cluster
    read: Cluster

    def by(self, ask: Callable[[Cluster], Result]) -> Cluster:
        """What the invariant is asked about."""
        if ask in _OF_PODS:
            return self.read
        return self.whole if ask in _OF_THE_TREE else self.judged


def _restricted(whole: Cluster, only: Sequence[str]) -> Cluster:
    """These tenants and the platform."""
    documents = (each for each in whole.tree.documents if tenant_of(each) in {None, *only})
    return replace(whole, tree=Tree(tuple(documents)), classes=replace(whole.classes, tenants=tuple(only)))


def _without_pairs(result: Result, pairs: int) -> Result:
    if pairs or result.asked or result.name not in _OF_PAIRS:
        return result
    return replace(result, vacuous="there is one tenant, so there is no other to be kept apart from")
