"""Policy objects parsed strictly into one flat list of rules. An unknown field is refused, never skipped.

Source: Cilium 1.20, pkg/policy/api, pkg/policy/utils/parserules.go; NetworkPolicy only as a default deny.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from isolation.acceptance import rejections
from isolation.entities import Endpoints, Fqdn, Peer, cidr_peer, cidr_set_peer, entity_peer
from isolation.http import HttpRule, http_rule
from isolation.names import NamePattern, name_patterns, server_names
from isolation.node import Node, dotted
from isolation.ports import Port, PortRange, icmp_range, port_range
from isolation.reading import DocumentPath
from isolation.selectors import LabelSelector, Scope, peer_selector, plain_selector, subject_selector
from isolation.tree import Document, Tree

CILIUM_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
POLICY_KINDS = (*CILIUM_KINDS, "NetworkPolicy")
_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1"} | dict.fromkeys(CILIUM_KINDS, "cilium.io/v2")

# API groups whose other kinds decide flows too: tiers that override denies, redirects, gateways, groups of addresses.
_FLOW_GROUPS = ("cilium.io", "policy.networking.k8s.io", "crd.projectcalico.org", "projectcalico.org")

EGRESS, INGRESS = "egress", "ingress"


@dataclass(frozen=True)
class Origin:
    """Where a rule is written."""

    document: Document
    path: DocumentPath

    def __str__(self) -> str:
        return f"{self.document.file}:{self.document.line(self.path)} {dotted(self.path)}"


@dataclass(frozen=True, eq=False)
class Rule:
    """One entry of one policy for one direction.

    peers: None is everyone, an empty tuple no one. ports: None is every port of every protocol, ICMP included.
    dns, server_names, http: None is no filter. default_deny: whether the policy asks for it in this direction.
    on_nodes: the subject is a node (nodeSelector), not a pod. terminates_tls: the proxy sees inside TLS, so that
    server names and HTTP rules may stand together.
    """

    subject: LabelSelector
    direction: str
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None
    origin: Origin
    is_deny: bool = False
    default_deny: bool = True
    dns: tuple[NamePattern, ...] | None = None
    server_names: tuple[NamePattern, ...] | None = None
    http: tuple[HttpRule, ...] | None = None
    on_nodes: bool = False
    terminates_tls: bool = False

    @property
    def redirects(self) -> tuple[str, ...]:
        """Names of the proxy parsers that the rule sends its traffic to."""
        kinds = (("dns", self.dns is not None), ("http", self.http is not None), ("tls", self.server_names is not None))
        return tuple(kind for kind, used in kinds if used)

    def covers(self, port: Port) -> bool:
        return self.ports is None or any(span.covers(port) for span in self.ports)


@dataclass(frozen=True)
class Parsed:
    """rules of one object, or why the agent rejects it (then it has no rules)."""

    document: Document
    rules: tuple[Rule, ...]
    rejected: tuple[str, ...]


def refuse_other_kinds(tree: Tree) -> None:
    """Raises Refused when the tree holds an object that decides flows and is no policy that is understood."""
    for document in tree.documents:
        group = str(document.body.get("apiVersion", "")).partition("/")[0]
        if document.kind == "List" or (group in _FLOW_GROUPS and document.kind not in CILIUM_KINDS):
            why = f"{document.kind} is not understood and may decide flows; known: {', '.join(POLICY_KINDS)}"
            raise Node(document, ("kind",), document.kind).refused(why)


def parse_policy(document: Document, *, cluster: str | None) -> Parsed:
    """cluster: the local cluster's name, or None when selectors reach every cluster. Raises Refused."""
    root = Node(document, (), document.body)
    if document.body.get("apiVersion") != _VERSIONS.get(document.kind):
        raise root.refused(f"{document.body.get('apiVersion')} {document.kind} is no policy that is understood")
    if (document.kind == "CiliumClusterwideNetworkPolicy") != (document.namespace is None):
        raise root.refused(f"a {document.kind} {'has no' if document.namespace else 'needs a'} namespace")
    try:
        return _parsed(root, Scope(document.namespace, cluster))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = f"has not the shape of a {document.kind} ({type(error).__name__}: {error})"
        raise root.refused(why) from error


def _parsed(root: Node, scope: Scope) -> Parsed:
    document, fields = root.document, root.fields("apiVersion", "kind", "metadata", "spec", "specs")
    if document.kind == "NetworkPolicy":
        return Parsed(document, tuple(_native_rules(fields["spec"], scope)), ())
    if faults := rejections(document.body):
        return Parsed(document, (), tuple(faults))
    specs = [fields["spec"]] if "spec" in fields else []
    specs += fields["specs"].items() if "specs" in fields else []
    return Parsed(document, tuple(rule for spec in specs for rule in _rules(spec, scope)), ())


def _native_rules(spec: Node, scope: Scope) -> Iterator[Rule]:
    """A NetworkPolicy that allows nothing. Here `egress: []` means deny, unlike in Cilium's own kind."""
    fields = spec.fields("podSelector", "policyTypes", "ingress", "egress")
    subject = plain_selector(fields["podSelector"], scope)
    for section in (INGRESS, EGRESS):
        if section in fields and not fields[section].is_empty:
            raise fields[section].refused("a NetworkPolicy that allows is not understood; write a CiliumNetworkPolicy")
    if "policyTypes" not in fields:
        raise spec.refused("name the policyTypes; their default depends on the sections")
    for item in fields["policyTypes"].items():
        direction = item.text().lower()
        if direction not in {INGRESS, EGRESS}:
            raise item.refused(f"{item.value!r} is neither Ingress nor Egress")
        yield Rule(subject, direction, (), None, Origin(spec.document, item.path))


def _rules(spec: Node, scope: Scope) -> Iterator[Rule]:
    fields = spec.fields(
        "description", "endpointSelector", "enableDefaultDeny", "ingress", "ingressDeny", "egress", "egressDeny"
    )
    subject = subject_selector(fields["endpointSelector"], scope)
    asked = fields["enableDefaultDeny"].fields(INGRESS, EGRESS) if "enableDefaultDeny" in fields else {}
    for section, direction in (
        ("ingress", INGRESS),
        ("ingressDeny", INGRESS),
        ("egress", EGRESS),
        ("egressDeny", EGRESS),
    ):
        if section not in fields or fields[section].is_missing:
            continue
        default_deny = asked[direction].flag() if direction in asked else True
        frame = _Frame(subject, direction, section.endswith("Deny"), default_deny, scope)
        for entry in fields[section].items():
            yield from frame.rules(entry)


@dataclass(frozen=True)
class _Frame:
    """What all rules of one section share."""

    subject: LabelSelector
    direction: str
    is_deny: bool
    default_deny: bool
    scope: Scope

    def rules(self, entry: Node) -> Iterator[Rule]:
        """One rule per item of toPorts; `{}` is a rule that selects no one and still enforces."""
        side = "to" if self.direction == EGRESS else "from"
        kinds = ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs", "Nodes", "Services", "Groups")
        fields = entry.fields(*(side + kind for kind in kinds), "toPorts", "icmps")
        has_ports = any(name in fields and not fields[name].is_empty for name in ("toPorts", "icmps"))
        peers = self._peers({name.removeprefix(side): node for name, node in fields.items()})
        if peers is None and not has_ports:
            peers = ()
        if not has_ports:
            yield self._rule(entry, peers, None)
        elif "icmps" in fields and not fields["icmps"].is_empty:
            yield self._rule(entry, peers, tuple(_icmp_ranges(fields["icmps"])))
        else:
            for item in fields["toPorts"].items():
                yield self._port_rule(item, peers)

    def _peers(self, fields: dict[str, Node]) -> tuple[Peer, ...] | None:
        """None when no L3 term is left, which means everyone. Null counts as absent; so do an empty list of names or
        groups and every service, because nothing resolves them (seen in the engine)."""
        readers: dict[str, Callable[[Node], Peer]] = {
            "Endpoints": lambda item: Endpoints(peer_selector(item, self.scope)),
            "Entities": lambda item: entity_peer(item, self.scope.cluster or ""),
            "CIDR": cidr_peer,
            "CIDRSet": cidr_set_peer,
        }
        found: list[Peer] | None = None
        for kind, node in fields.items():
            if node.is_missing or kind in {"toPorts", "icmps", "Services"}:
                continue
            if kind in readers:
                found = [*(found or ()), *(readers[kind](item) for item in node.items())]
            elif kind == "FQDNs" and node.value:
                found = [*(found or ()), *(Fqdn(pattern) for pattern in name_patterns(node))]
            elif kind == "Nodes":
                found = found or []
            elif kind == "Groups" and node.value:
                raise node.refused("groups of a cloud are not understood; name ranges or names")
        return None if found is None else tuple(found)

    def _port_rule(self, item: Node, peers: tuple[Peer, ...] | None) -> Rule:
        fields = item.fields("ports", "rules", "serverNames")
        if "ports" not in fields:
            raise item.refused("`ports` is missing; name the ports")
        ports = tuple(port_range(port) for port in fields["ports"].items())
        names = server_names(fields["serverNames"]) if "serverNames" in fields else ()
        kinds = fields["rules"].fields("dns", "http") if "rules" in fields and not fields["rules"].is_missing else {}
        dns = name_patterns(kinds["dns"]) if "dns" in kinds and not kinds["dns"].is_empty else None
        if dns is not None and not self.default_deny:
            dns = (*dns, NamePattern("*", is_pattern=True))  # the engine appends it (pkg/policy/l4.go)
        http = tuple(map(http_rule, kinds["http"].items())) if "http" in kinds and not kinds["http"].is_empty else None
        return self._rule(item, peers, ports, dns=dns, server_names=names or None, http=http)

    def _rule(
        self,
        node: Node,
        peers: tuple[Peer, ...] | None,
        ports: tuple[PortRange, ...] | None,
        *,
        dns: tuple[NamePattern, ...] | None = None,
        server_names: tuple[NamePattern, ...] | None = None,
        http: tuple[HttpRule, ...] | None = None,
    ) -> Rule:
        return Rule(
            self.subject,
            self.direction,
            peers,
            ports,
            Origin(node.document, node.path),
            is_deny=self.is_deny,
            default_deny=self.default_deny,
            dns=dns,
            server_names=server_names,
            http=http,
        )


def _icmp_ranges(node: Node) -> Iterator[PortRange]:
    for item in node.items():
        fields = item.fields("fields")
        for field in fields["fields"].items():
            yield icmp_range(field)
