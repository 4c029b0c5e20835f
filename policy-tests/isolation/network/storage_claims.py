"""What keeps each tenant from each other tenant's bucket: the locks that hold, and the level of the claim (D10).

From strong to weak: `address-separated` (the bucket has addresses of its own, and they are denied), `SNI-separated`
(addresses are shared, and the TLS server names that pass exclude it), `dns-refused` (only its names are refused),
`credential-only` (nothing on the network; keys, roles and bucket policies decide, which the tree checks are about).
A claim is about every pod that the tenant can make, so each lock holds for all of its classes or not at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from isolation.classes.buckets import bucket_host, needed_names
from isolation.classes.cluster import Cluster
from isolation.classes.edges import DNS, S3_PORT, TLS
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import Line, flow_line
from isolation.classes.spelled import SpelledNames
from isolation.policies.identities import outside
from isolation.policies.names import NamePattern, normal
from isolation.policies.parsing import EGRESS
from isolation.policies.ports import Port
from isolation.results import CounterExample, Result

ADDRESS, SERVER_NAME, DNS_REFUSED = "address-separated", "SNI-separated", "dns-refused"
CREDENTIALS = "credential-only"
LOCKS = (ADDRESS, SERVER_NAME, DNS_REFUSED)  # the first that holds is the level


@dataclass(frozen=True)
class StorageClaim:
    """Of one tenant about another's bucket. locks: all that hold, strongest first."""

    tenant: str
    bucket: str
    locks: tuple[str, ...]

    @property
    def level(self) -> str:
        return self.locks[0] if self.locks else CREDENTIALS


@dataclass(frozen=True, eq=False)
class StorageClaims:
    """Claims of all ordered pairs, kept as the locks that are open: usual are the locks of a pair that has none.

    open_locks: tenant -> owner of a bucket -> locks that do not hold.
    """

    tenants: tuple[str, ...]
    usual: tuple[str, ...]
    open_locks: Mapping[str, Mapping[str, frozenset[str]]]

    def claim(self, tenant: str, owner: str) -> StorageClaim:
        """What keeps the tenant from the owner's bucket."""
        missing = self.open_locks.get(tenant, {}).get(owner, frozenset())
        return StorageClaim(tenant, owner, tuple(lock for lock in self.usual if lock not in missing))

    def of(self, tenant: str) -> Iterator[StorageClaim]:
        """The tenant's claims about every other bucket."""
        return (self.claim(tenant, owner) for owner in self.tenants if owner != tenant)

    @cached_property
    def levels(self) -> Mapping[str, int]:
        """Level -> ordered pairs, without going through the pairs."""
        weak = [self.claim(tenant, owner).level for tenant, owners in self.open_locks.items() for owner in owners]
        pairs = len(self.tenants) * (len(self.tenants) - 1)
        found = Counter(weak)
        if self.usual:
            found[self.usual[0]] += pairs - len(weak)
        return {level: count for level, count in found.items() if count}


NO_CLAIMS = StorageClaims((), (), {})  # of a tree without tenants


def storage_claims(cluster: Cluster) -> StorageClaims:
    """The claims of one tree. Its cost is that of its rules, not of its pairs."""
    reach = _Reach(cluster)
    open_locks: dict[str, dict[str, set[str]]] = {tenant: {} for tenant in cluster.classes.tenants}
    for pods in cluster.classes.of_tenants:
        tenant = pods.role.tenant or ""
        for lock, owners in (
            (DNS_REFUSED, reach.answered(pods)),
            (ADDRESS, reach.addressed(pods)),
            (SERVER_NAME, reach.named(pods)),
        ):
            for owner in owners - {tenant}:
                open_locks[tenant].setdefault(owner, set()).add(lock)
    shut = {
        tenant: {owner: frozenset(locks) for owner, locks in owners.items()} for tenant, owners in open_locks.items()
    }
    return StorageClaims(cluster.classes.tenants, reach.locks, shut)


def storage(cluster: Cluster) -> Result:
    """No claim is weaker than the storage mode allows: names refused, and addresses or server names besides."""
    claims, broken = storage_claims(cluster), list[CounterExample]()
    for tenant, owners in claims.open_locks.items():
        for owner, locks in owners.items():
            claim = claims.claim(tenant, owner)
            what = f"bucket of {owner} is {claim.level} only; open: {', '.join(sorted(locks))}"
            broken.append(CounterExample(tenant, what, (), *_probe(cluster, tenant, owner)))
    pairs = len(claims.tenants) * (len(claims.tenants) - 1)
    held = " and ".join(reversed(claims.usual))
    evidence = (*(f"{count} ordered pairs are {level}" for level, count in claims.levels.items()), f"each pair: {held}")
    claim_text = f"every foreign bucket is {held}"
    vacuous = "" if pairs else "there is one tenant, so there is no foreign bucket"
    return Result("storage", claim_text, pairs, tuple(broken), vacuous=vacuous, evidence=evidence, number=3)


class _Reach:
    """Whose buckets a class of pods gets at, lock by lock."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.in_cluster = cluster.profile.storage_mode == "inCluster"
        self.locks = (ADDRESS, DNS_REFUSED) if self.in_cluster else (SERVER_NAME, DNS_REFUSED)
        self.spelled = SpelledNames(cluster.tree, cluster.profile, cluster.classes.tenants)
        self.everyone = frozenset(cluster.classes.tenants)

    def answered(self, pods: PodClass) -> frozenset[str]:
        """Tenants of whose bucket some spelling is answered."""
        found = set[str]()
        for server in self.cluster.resolvers:
            for port in DNS:
                names = self.cluster.side(pods, EGRESS).name_filter(server.identity, port)
                if names.query("any-name.example") not in {"refused", "dropped"}:
                    return self.everyone
                for entry in (entry for rule in names.rules for entry in rule.dns or ()):
                    found |= self._owners(entry, pods)
        return frozenset(found)

    def addressed(self, pods: PodClass) -> frozenset[str]:
        """Tenants whose bucket's own pods are reached; where addresses are shared the lock is not claimed at all."""
        if not self.in_cluster:
            return frozenset()
        return frozenset(
            other.role.tenant
            for other, ports in self.cluster.reached(pods, EGRESS)
            if other.role.name == "gateway" and other.role.tenant
        )

    def named(self, pods: PodClass) -> frozenset[str]:
        """Tenants whose bucket passes at an address that all buckets share, by the server names that pass there."""
        if self.in_cluster:
            return frozenset()
        profile, tenant = self.cluster.profile, pods.role.tenant or ""
        names = {bucket_host(profile, tenant), bucket_host(profile, "models"), bucket_host(profile, "any-other")}
        shared = outside("address of all buckets", names=frozenset(names))
        side = self.cluster.side(pods, EGRESS)
        selecting = side.selecting(shared)
        open_ports = [p for p in self.cluster.ports if side.decide(selecting, shared, p).is_allowed]
        found = set[str]()
        for port in open_ports:
            rules = self.cluster.alternatives(pods, shared, port)
            if port != TLS or not rules or any(rule.server_names is None for rule in rules):
                return self.everyone
            for entry in (entry for rule in rules for entry in rule.server_names or ()):
                found |= self._owners(entry, pods)
        return frozenset(found)

    def _owners(self, entry: NamePattern, pods: PodClass) -> set[str]:
        own = {normal(name) for name in needed_names(self.cluster.profile, pods.role)}
        keys = (key for key in self.spelled.matching(entry) if key not in own)
        return {tenant for key in keys for tenant in self.spelled.owners[key]}


def _probe(cluster: Cluster, tenant: str, owner: str) -> tuple[Line | None, str]:
    """The flow to the owner's bucket that shows it, where it has pods of its own that can be reached."""
    for pods in (each for each in cluster.classes.of_tenants if each.role.tenant == tenant):
        for other, ports in cluster.reached(pods, EGRESS):
            if (other.role.name, other.role.tenant) == ("gateway", owner):
                wanted = Port(S3_PORT, "TCP")
                return flow_line(pods, other, wanted if wanted in ports else ports[0], direction=EGRESS), "allow"
    return None, ""
