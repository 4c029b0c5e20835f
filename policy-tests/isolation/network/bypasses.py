"""Ways around network policy that a pod or an address list can open; Services are judged in traffic.py."""

from collections.abc import Iterator
from typing import Any

from isolation.classes.cluster import Cluster
from isolation.manifests.everywhere import Everywhere
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_NODE_KEYS = ("hostNetwork", "hostPort")  # a pod on the node's network is the node, to which no policy applies
_ADDRESSES = frozenset({"Endpoints", "EndpointSlice"})  # a Service's peers, written by hand


def no_bypass(cluster: Cluster) -> Result:
    """Of tenants' folders: pods in the pod network only, and no peers of a Service written by hand."""
    documents = [document for document in cluster.tree.documents if document.place[:1] == ("tenants",)]
    everywhere = Everywhere(_node_keys)
    faults = [CounterExample(each.file, fault) for each in documents for fault in _faults(each, everywhere)]
    return Result("no-bypass", "no object of a tenant goes around the policies", len(documents), tuple(faults))


def _faults(document: Document, everywhere: Everywhere[str]) -> Iterator[str]:
    yield from everywhere.inside(document.body)
    if document.kind in _ADDRESSES:
        yield f"{document.kind} written by hand leads a name anywhere; select pods by a Service"


def _node_keys(key: str, value: Any) -> Iterator[str]:
    """The keys, and inside of texts that hold manifests (a workflow's resource templates)."""
    if key in _NODE_KEYS and value:
        yield f"`{key}` puts a pod on the node's network"
    if isinstance(value, str):
        yield from (f"a text holds `{known}`" for known in _NODE_KEYS if known in value)
