"""Names: that nobody is answered a name of another tenant (2), and that the platform's lists are its own (9)."""

from collections.abc import Iterator

from isolation.classes.buckets import may_list, needed_names
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import DNS
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import query_line
from isolation.classes.spelled import SpelledNames
from isolation.network.flows import governed_pods
from isolation.policies.names import normal
from isolation.policies.parsing import EGRESS
from isolation.policies.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.verdicts.world import Dns, NameFilter

_ANY = "any-name.example"  # stands for every name that no list holds


def names(cluster: Cluster) -> Result:
    """DNS: every list holds the role's own names only, and every spelling of a foreign name is refused."""
    spelled = SpelledNames(cluster.tree, cluster.profile, cluster.classes.tenants)
    total = sum(spelled.count.values())
    asked, broken = 0, list[CounterExample]()
    for pods in cluster.classes.of_tenants:
        for server, port in _paths(cluster):
            asked += total - spelled.count[pods.role.tenant or ""]
            broken += _open_names(cluster, _Path(pods, server, port), spelled)
    claim = "no name of another tenant's bucket or services is answered"
    evidence = tuple(_lists(cluster))
    return Result("names", claim, asked, tuple(dict.fromkeys(broken)), row="H13", evidence=evidence, number=2)


def own_lists(cluster: Cluster) -> Result:
    """The closed world for names of the platform's own pods: each list holds what its role needs, and no more."""
    asked, broken = 0, list[CounterExample]()
    for pods in governed_pods(cluster):
        for server, port in _paths(cluster):
            asked += 1
            broken += _strange_entries(cluster, _Path(pods, server, port))
    claim = "the platform's pods ask for names of their own lists only"
    return Result("own-lists", claim, asked, tuple(dict.fromkeys(broken)), number=9)


class _Path:
    """From a class of pods to one port of a resolver."""

    def __init__(self, pods: PodClass, server: Party, port: Port) -> None:
        self.pods, self.server, self.port = pods, server, port

    def filter(self, cluster: Cluster) -> NameFilter:
        return cluster.side(self.pods, EGRESS).name_filter(self.server.identity, self.port)

    def fault(self, what: str, by: tuple[str, ...], name: str) -> CounterExample:
        line = query_line(self.pods, self.server, self.port, name=name)
        return CounterExample(str(self.pods), what, by, line, str(Dns.ANSWERED))


def _paths(cluster: Cluster) -> Iterator[tuple[Party, Port]]:
    return ((server, port) for server in cluster.resolvers for port in DNS)


def _open_names(cluster: Cluster, path: _Path, spelled: SpelledNames) -> Iterator[CounterExample]:
    """Foreign names that are answered, then entries that are nobody else's and not the role's own either."""
    found, role = path.filter(cluster), path.pods.role
    own = {normal(name) for name in needed_names(cluster.profile, role)}
    for rule in found.rules:
        for entry in rule.dns or ():
            for key in (key for key in spelled.matching(entry) if key not in own):
                for tenant, sent in spelled.owners[key].items():
                    if tenant != role.tenant:
                        yield path.fault(f"is answered {sent}, a name of {tenant}", origins([rule]), sent)
    yield from _strange_entries(cluster, path)


def _strange_entries(cluster: Cluster, path: _Path) -> Iterator[CounterExample]:
    """No filter at all, or entries that the role may not list."""
    found = path.filter(cluster)
    if found.outcome is Dns.DROPPED:
        return
    if found.query(_ANY) is not Dns.REFUSED:
        line = query_line(path.pods, path.server, path.port, name=_ANY)
        what = "asks for any name; no filter is on the path"
        yield CounterExample(str(path.pods), what, origins(found.rules), line, str(found.query(_ANY)))
        return
    for rule in found.rules:
        for entry in rule.dns or ():
            if not may_list(cluster.profile, path.pods.role, entry):
                what = f"may ask for {entry}, which is not its own"
                yield path.fault(what, origins([rule]), entry.text.replace("*", "x"))


def _lists(cluster: Cluster) -> Iterator[str]:
    """For each rendered account of a tenant: how long its list is, and where it stands."""
    for pods in (each for each in cluster.classes.of_tenants if each.is_rendered):
        for server, port in list(_paths(cluster))[:1]:
            found = cluster.side(pods, EGRESS).name_filter(server.identity, port)
            if found.outcome is Dns.DROPPED:
                yield f"{pods}: reaches no resolver"
            for rule in (rule for rule in found.rules if rule.dns is not None):
                yield f"{pods}: {len(rule.dns or ())} names by {rule.origin}"
