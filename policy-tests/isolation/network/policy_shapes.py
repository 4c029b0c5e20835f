"""Checks of the tree's shape, which make the network proof complete (`trusted`) or close what verdicts cannot see."""

from collections.abc import Iterator
from typing import Any

from isolation.classes.cluster import Cluster
from isolation.classes.edges import TLS
from isolation.classes.pod_classes import TENANT_ID, selectors_of
from isolation.manifests.faults import Fault
from isolation.manifests.node import Node, dotted
from isolation.manifests.tree import Document
from isolation.policies.entities import Cidr, Entity, Fqdn
from isolation.policies.labels import is_trusted
from isolation.policies.parsing import CILIUM_KINDS, EGRESS, INGRESS, Rule
from isolation.policies.ports import EXTENDED
from isolation.results import CounterExample, Result, origins

PLANE = "tenon.dev/plane"
_SHARED_NAMESPACES = frozenset(
    {"tenon-system", "storage", "monitoring", "argocd"}
)  # where a tenant's folder may also hold objects
_RESERVED = frozenset({"default", "models", "platform"})  # would share a bucket, a gateway or a folder with ours
_ENDS = ("-foundation", "-serve", "-train", "-workloads")
_STARTS = ("directory-", "s3-", "slots-", "webhooks-")
_SERVES_MANY = frozenset({"webhooks"})  # one DNS rule per tenant with callbacks beside its own
_OUTSIDE = frozenset({"all", "world", "world-ipv4", "world-ipv6"})


def accepted(cluster: Cluster) -> Result:
    """A rejected object enforces nothing, all of it; the tree must hold none."""
    faults = [
        _refusal(one.document, says, fault)
        for one in cluster.parsed
        for says, found in (("the agent rejects it", one.rejected), ("the API server refuses it", one.schema_faults))
        for fault in found
    ]
    claim = "Cilium's agent and the API server accept every policy"
    return Result("accepted", claim, len(cluster.parsed), tuple(faults), number=8)


def trusted(cluster: Cluster) -> Result:
    """Selectors use keys that the cluster sets, or reserved entities in clusterwide subjects."""
    asked, faults = 0, []
    for rule in cluster.rules:
        for selector in selectors_of([rule]):
            for term in selector.requirements:
                asked += 1
                is_entity = term.source == "reserved" and selector is rule.subject
                if not (is_entity or is_trusted(term.key)):
                    what = f"selects by `{term.key}`, which a pod's author chooses"
                    faults.append(CounterExample(rule.origin.document.file, what, origins([rule])))
    claim = "every selector uses only what a pod's author cannot forge"
    return Result("trusted", claim, asked, tuple(dict.fromkeys(faults)))


def unambiguous(cluster: Cluster) -> Result:
    """Shapes that open more than they say, or that versions read differently, even where the agent takes them."""
    documents = list(cluster.tree.of_kind(*CILIUM_KINDS))
    parts = [(each, part) for each in documents for part in ("spec", "specs") if part in each.body]
    faults = [fault for each, part in parts for fault in _ambiguities(Node(each, (part,), each.body[part]))]
    faults += [fault for rule in cluster.rules for fault in _native_or_unasked(rule)]
    claim = "no policy has a shape that opens more than it says"
    return Result("unambiguous", claim, len(documents), tuple(faults))


def default_deny(cluster: Cluster) -> Result:
    """Native, both ways, on every pod: no Cilium parser can lose it, and accounts that no rule names rest on it."""
    found = {each.namespace for each in cluster.tree.of_kind("NetworkPolicy") if _denies_all(each.body.get("spec"))}
    wanted = [f"{tenant}-{plane}" for tenant in cluster.classes.tenants for plane in ("train", "serve")]
    missing = [CounterExample(name, "has no native default deny") for name in wanted if name not in found]
    claim = "every tenant namespace denies by default, both ways"
    return Result("default-deny", claim, len(wanted), tuple(missing), row="H12")


def _denies_all(spec: Any) -> bool:
    if not isinstance(spec, dict) or spec.get("podSelector") != {} or any(spec.get(s) for s in (INGRESS, EGRESS)):
        return False
    types = spec.get("policyTypes")
    return isinstance(types, list) and sorted(map(str, types)) == ["Egress", "Ingress"]


def one_dns_rule(cluster: Cluster) -> Result:
    """Two lists for one pod are merged, by engines differently (policies, trap 1)."""
    faults = []
    for pods in cluster.classes.all:
        rules = [rule for rule in cluster.side(pods, EGRESS).rules if rule.dns is not None]
        if len(rules) > 1 and pods.role.name not in _SERVES_MANY:
            faults.append(CounterExample(str(pods), f"has {len(rules)} DNS rules", origins(rules)))
    return Result("one-dns-rule", "each pod has at most one DNS rule", len(cluster.classes.all), tuple(faults))


def server_names(cluster: Cluster) -> Result:
    """Shared addresses are told apart by the TLS server name only; one rule without it voids the others."""
    rules = [rule for rule in cluster.rules if rule.direction == EGRESS and not rule.is_deny and rule.covers(TLS)]
    open_rules = [rule for rule in rules if rule.server_names is None and _leads_outside(rule)]
    faults = [
        CounterExample(rule.origin.document.file, "opens 443 to the outside without server names", origins([rule]))
        for rule in open_rules
    ]
    asked = len([rule for rule in cluster.rules if rule.direction == EGRESS])
    return Result("server-names", "HTTPS to the outside is held to server names", asked, tuple(faults))


def one_list(cluster: Cluster) -> Result:
    """Names of DNS rules, toFQDNs and serverNames come from one list (D11a): what a pod may dial it may ask for, by the
    server name that it asked for. A tenant's are exact."""
    asked, faults = 0, dict[CounterExample, None]()
    for pods in (each for each in cluster.classes.all if each.is_rendered):
        rules = cluster.side(pods, EGRESS).rules
        listed = {str(entry) for rule in rules for entry in rule.dns or ()}
        for rule in rules:
            dialled = {str(peer.pattern) for peer in rule.peers or () if isinstance(peer, Fqdn)}
            asked += len(dialled)
            for fault in _name_faults(rule, dialled, listed, is_tenants=pods.role.tenant is not None):
                faults[CounterExample(str(pods), fault, origins([rule]))] = None
    claim = "names that are asked, dialled and offered to TLS are the same"
    return Result("one-list", claim, asked, tuple(faults), vacuous="" if asked else "no rule opens a host by its name")


def _name_faults(rule: Rule, dialled: set[str], listed: set[str], *, is_tenants: bool) -> Iterator[str]:
    if not dialled:
        return
    offered = {str(entry) for entry in rule.server_names or ()}
    if offered and offered != dialled:
        yield f"dials {', '.join(sorted(dialled))} and offers {', '.join(sorted(offered))} to TLS"
    if unasked := sorted(dialled - listed):
        yield f"dials {', '.join(unasked)}, for which it may not ask"
    if is_tenants and (patterns := sorted(name for name in dialled if "*" in name)):
        yield f"dials {', '.join(patterns)}; name each host"


def one_proxy(cluster: Cluster) -> Result:
    """Server names and L7 rules on one port merge, or fail, by the order of the objects' names."""
    faults = []
    for pods in cluster.classes.all:
        for direction in (EGRESS, INGRESS):
            rules = [rule for rule in cluster.side(pods, direction).rules if rule.redirects]
            for port in cluster.ports:
                here = [rule for rule in rules if rule.covers(port)]
                kinds = {kind for rule in here for kind in rule.redirects}
                if len(kinds) > 1 or "http" in kinds:
                    what = f"{' and '.join(sorted(kinds))} rules meet on {port}"
                    faults.append(CounterExample(str(pods), what, origins(here)))
    claim = "no port carries both server names and L7 rules"
    return Result("one-proxy", claim, len(cluster.classes.all), tuple(faults))


def own_place(cluster: Cluster) -> Result:
    """A tenant's folder holds objects of its own namespaces; namespaces carry the plane that platform rules trust."""
    faults = [
        CounterExample(tenant, "is no tenant id; rename it")
        for tenant in cluster.classes.tenants
        if not TENANT_ID.fullmatch(tenant) or tenant in _RESERVED or tenant.endswith(_ENDS)
    ]
    faults += [
        CounterExample(tenant, "begins as names of another tenant's objects do; rename it")
        for tenant in cluster.classes.tenants
        if tenant.startswith((*_STARTS, f"{cluster.profile.bucket_prefix}-"))
    ]
    planes = {f"{tenant}-{plane}": plane for tenant in cluster.classes.tenants for plane in ("train", "serve")}
    namespaces = {document.name: document for document in cluster.tree.of_kind("Namespace")}
    faults += [CounterExample(name, "is not rendered") for name in planes if name not in namespaces]
    for name, document in namespaces.items():
        plane = document.labels.get(PLANE)
        if plane != planes.get(name, "system"):
            faults.append(CounterExample(document.file, f"namespace {name} carries plane {plane}"))
    faults += [fault for document in cluster.tree.documents for fault in _misplaced(document)]
    claim = "tenants' objects stand in their own namespaces"
    return Result("own-place", claim, len(cluster.tree.documents), tuple(faults))


def _native_or_unasked(rule: Rule) -> Iterator[CounterExample]:
    """Allows in Kubernetes' own kind, whose empty sections mean the opposite of Cilium's; ports by name, whose number
    the pods at the end of the flow give; protocols that are asked about nowhere else."""
    document = rule.origin.document
    if document.kind == "NetworkPolicy" and rule.peers != ():
        yield CounterExample(
            document.file, "is a NetworkPolicy that allows; write a CiliumNetworkPolicy", origins([rule])
        )
    for span in rule.ports or ():
        if span.name:
            what = f"port {span.name} is a name, whose number the pods give; write the number"
            yield CounterExample(document.file, what, origins([rule]))
        elif span.protocol in EXTENDED:
            what = (
                f"protocol {span.protocol} has no ports, and an option of the agent decides what it opens; leave it out"
            )
            yield CounterExample(document.file, what, origins([rule]))


def _misplaced(document: Document) -> Iterator[CounterExample]:
    if document.place[:1] != ("tenants",) or document.namespace is None:
        return
    tenant = document.place[1]
    if document.namespace not in {f"{tenant}-train", f"{tenant}-serve", *_SHARED_NAMESPACES}:
        yield CounterExample(document.file, f"of tenant {tenant} stands in namespace {document.namespace}")


def _refusal(document: Document, says: str, fault: Fault) -> CounterExample:
    where = f"{document.file}:{document.line(fault.path)} {dotted(fault.path)}".rstrip()
    return CounterExample(document.file, f"{says}: {fault}", (where,))


def _leads_outside(rule: Rule) -> bool:
    if rule.peers is None:
        return True
    return any(
        isinstance(peer, Fqdn | Cidr) or (isinstance(peer, Entity) and peer.name in _OUTSIDE) for peer in rule.peers
    )


def _ambiguities(node: Node) -> Iterator[CounterExample]:
    for path, value in _walk(node.path, node.value):
        place = Node(node.document, path, value)
        name = str(path[-1])
        where = (f"{node.document.file}:{node.document.line(path)}",)
        if value is None or value == [] or (value == {} and name != "endpointSelector"):
            yield CounterExample(node.document.file, f"{place.shown} is empty", where)
        elif name in {"toServices", "toGroups", "toNodes", "fromNodes", "fromGroups"}:
            yield CounterExample(node.document.file, f"{place.shown} depends on what is not in the tree", where)
        elif isinstance(value, dict) and _is_reversed(value):
            yield CounterExample(node.document.file, f"{place.shown} ends before it begins", where)


def _is_reversed(value: dict[str, Any]) -> bool:
    first, last = str(value.get("port", "0")), value.get("endPort")
    return isinstance(last, int) and first.isdecimal() and last < int(first)


def _walk(path: tuple[str | int, ...], value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in items:
        yield from _walk((*path, step), child)
