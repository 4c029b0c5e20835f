"""Policy objects parsed into one flat list of rules. What is not understood is refused by name, never skipped.

Source: Cilium 1.20, pkg/k8s/apis/cilium.io/v2 (Parse), pkg/k8s/network_policy.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node
from isolation.manifests.tree import Document, Tree
from isolation.policies.acceptance import CLUSTERWIDE, object_faults
from isolation.policies.agent import DEFAULT_AGENT, Agent
from isolation.policies.cilium_rules import cilium_rules
from isolation.policies.decoding import Decoding, decoded_specs
from isolation.policies.native_acceptance import native_rejections, native_schema_faults
from isolation.policies.native_rules import native_rules
from isolation.policies.policy_schema import NATIVE_SPEC
from isolation.policies.rules import EGRESS, INGRESS, Origin, Rule
from isolation.policies.selectors import Scope

__all__ = ["CILIUM_KINDS", "EGRESS", "INGRESS", "POLICY_KINDS", "Origin", "Parsed", "Rule", "parse_policy"]

CILIUM_KINDS = ("CiliumNetworkPolicy", CLUSTERWIDE)
POLICY_KINDS = (*CILIUM_KINDS, "NetworkPolicy")
_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1"} | dict.fromkeys(CILIUM_KINDS, "cilium.io/v2")

# API groups whose other kinds decide flows too: tiers that override denies, redirects, gateways, groups of addresses.
_FLOW_GROUPS = ("cilium.io", "policy.networking.k8s.io", "crd.projectcalico.org", "projectcalico.org")


@dataclass(frozen=True)
class Parsed:
    """rules of one object; or why the agent rejects it, and then it has no rules, which enforces nothing.

    schema_faults: why the API server would refuse it, whatever the agent would make of it.
    """

    document: Document
    rules: tuple[Rule, ...]
    rejected: tuple[Fault, ...] = ()
    schema_faults: tuple[Fault, ...] = ()


def refuse_other_kinds(tree: Tree) -> None:
    """Raises Refused when the tree holds an object that decides flows and is no policy that is understood."""
    for document in tree.documents:
        group = str(document.body.get("apiVersion", "")).partition("/")[0]
        if document.kind == "List" or (group in _FLOW_GROUPS and document.kind not in CILIUM_KINDS):
            why = f"{document.kind} is not understood and may decide flows; known: {', '.join(POLICY_KINDS)}"
            raise Node(document, ("kind",), document.kind).refused(why)


def parse_policy(
    document: Document, *, cluster: str | None, agent: Agent = DEFAULT_AGENT, strict: bool = True
) -> Parsed:
    """cluster: the local cluster's name, or None when selectors reach every cluster. Raises Refused.

    strict, for trees: an unknown field, a wrong type, a missing namespace and a group of addresses from elsewhere are
    refused. Else they are read as the agent reads them: dropped, rejected, clusterwide, empty.
    """
    root = Node(document, (), document.body)
    if document.body.get("apiVersion") != _VERSIONS.get(document.kind):
        raise root.refused(f"{document.body.get('apiVersion')} {document.kind} is no policy that is understood")
    if strict:
        _refuse_misplaced(root)
    decoding = Decoding()
    if document.kind == "NetworkPolicy":
        scope = Scope(document.namespace or "default", cluster)
        return _native(root, decoding, scope=scope, agent=agent, strict=strict)
    specs = decoded_specs(root, decoding)
    if strict:
        _refuse_faults(root, decoding)
        _refuse_groups(specs)
    if faults := decoding.mistyped or object_faults(document, specs, agent):
        return Parsed(document, (), tuple(faults), decoding.schema_faults)
    scope = Scope(None if document.kind == CLUSTERWIDE else document.namespace or None, cluster)
    rules = tuple(rule for spec in specs for rule in cilium_rules(spec, scope, agent))
    return Parsed(document, rules, (), decoding.schema_faults)


def _native(root: Node, decoding: Decoding, *, scope: Scope, agent: Agent, strict: bool) -> Parsed:
    written = root.value.get("spec")
    body = decoding.decode(NATIVE_SPEC, {} if written is None else written, ("spec",))
    if strict:
        _refuse_faults(root, decoding)
    spec = Node(root.document, ("spec",), body)
    # A built-in kind has no schema of nulls and patterns, but a validation of its own.
    decoding.violations = [] if decoding.mistyped else list(native_schema_faults(spec))
    if faults := decoding.mistyped or list(native_rejections(spec)):
        return Parsed(root.document, (), tuple(faults), decoding.schema_faults)
    return Parsed(root.document, tuple(native_rules(spec, scope, agent)), (), decoding.schema_faults)


def _refuse_misplaced(root: Node) -> None:
    document = root.document
    if (document.kind == CLUSTERWIDE) != (document.namespace is None):
        raise root.refused(f"a {document.kind} {'has no' if document.namespace else 'needs a'} namespace")


def _refuse_faults(root: Node, decoding: Decoding) -> None:
    for fault in (*decoding.unknown, *decoding.mistyped):
        raise Node(root.document, fault.path, None).refused(fault.why)


def _refuse_groups(specs: list[Node]) -> None:
    """A CiliumCIDRGroup is no part of a rendered tree, so its ranges are not under review."""
    for item in (item for spec in specs for item in _range_sets(spec)):
        for name in ("cidrGroupRef", "cidrGroupSelector"):
            if item.has(name):
                raise item.at(name).refused("a group of addresses is not in the tree; write its ranges")


def _range_sets(spec: Node) -> Iterator[Node]:
    for section in ("ingress", "ingressDeny", "egress", "egressDeny"):
        for entry in spec.each(section):
            yield from entry.each("fromCIDRSet" if section.startswith("ingress") else "toCIDRSet")
