"""Ways around network policy that a manifest can open: the node's network, doors at the node, names that lead away."""

from collections.abc import Iterator
from typing import Any

from isolation.cluster import Cluster
from isolation.results import CounterExample, Result
from isolation.tree import Document

_NODE_KEYS = ("hostNetwork", "hostPort")  # a pod on the node's network is the node, to which no policy applies
_DOORS = ("NodePort", "LoadBalancer", "ExternalName")  # open at the node, or an answer for an allowed name
_ADDRESSES = frozenset({"Endpoints", "EndpointSlice"})  # a Service's peers, written by hand
_ENFORCED = "pod-security.kubernetes.io/enforce"


def no_bypass(cluster: Cluster) -> Result:
    """Of tenants' folders: pods in the pod network only, Services by selector only, namespaces under `restricted`."""
    documents = [document for document in cluster.tree.documents if document.place[:1] == ("tenants",)]
    faults = [CounterExample(document.file, fault) for document in documents for fault in _faults(document)]
    return Result("no-bypass", "no object of a tenant goes around the policies", len(documents), tuple(faults))


def _faults(document: Document) -> Iterator[str]:
    yield from _node_keys(document.body)
    if document.kind in _ADDRESSES:
        yield f"{document.kind} written by hand leads a name anywhere; select pods by a Service"
    if document.kind == "Service":
        spec = document.body.get("spec") or {}
        if spec.get("type") in _DOORS:
            yield f"Service of type {spec['type']}; use ClusterIP"
        if not spec.get("selector") or spec.get("externalIPs"):
            yield "Service without selector, or with addresses from outside; select pods"
    if document.kind == "Namespace" and document.labels.get(_ENFORCED) != "restricted":
        yield f"namespace without {_ENFORCED}: restricted, which keeps pods off the node's network"


def _node_keys(value: Any) -> Iterator[str]:
    """The keys at any depth, and inside of texts that hold manifests (a workflow's resource templates)."""
    if isinstance(value, dict):
        yield from (f"`{key}` puts a pod on the node's network" for key in _NODE_KEYS if value.get(key))
        for child in value.values():
            yield from _node_keys(child)
    elif isinstance(value, list):
        for child in value:
            yield from _node_keys(child)
    elif isinstance(value, str):
        yield from (f"a text holds `{key}`" for key in _NODE_KEYS if key in value)
