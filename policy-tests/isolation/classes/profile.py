"""The cluster profile: what the judge must know beyond the policies, one rendered ConfigMap.

It is the tree's own statement, so that the judge takes from it only facts that no policy can express: where the
resolver is, where buckets are, which addresses are nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from isolation.manifests.node import Node
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.policies.ports import LAST_PORT

NAME, NAMESPACE = "cluster-profile", "tenon-system"
CILIUM_VERSION = "1.20"  # another version's semantics are refused until they were compared with its engine

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Mesh:
    """Istio's ingress gateway and control plane, each a namespace and an account."""

    gateway: tuple[str, str]
    control: tuple[str, str]


@dataclass(frozen=True)
class Profile:
    """storage_mode: `inCluster`, or `s3` where all buckets share addresses. dns_mode: `pods`, or `node`.

    ip_families, shared_addresses, plane_label: the tree's own words, which settings.py holds against the rest.
    """

    document: Document
    dns_mode: str
    dns_namespace: str
    dns_account: str
    search_domains: tuple[str, ...]
    storage_mode: str
    bucket_prefix: str
    region: str | None
    node_ranges: tuple[Network, ...]
    api_port: int
    api_addresses: tuple[Network, ...]
    private_addresses: tuple[Network, ...]
    label_filter: tuple[str, ...]
    gpu_capacity: Mapping[str, int]
    ip_families: tuple[str, ...]
    shared_addresses: bool
    plane_label: str
    mesh: Mesh | None = None  # where Istio, not Cilium, is the entrance


def read_profile(tree: Tree) -> Profile:
    """Raises Refused when the tree has no profile, or one of a version that is not understood."""
    try:
        document = tree.one("ConfigMap", NAMESPACE, NAME)
    except LookupError as error:
        raise Refused(where="tree", at="", why=f"{error}; render the platform too") from error
    fields = read_fields(document)
    version = str(fields.get("ciliumVersion"))
    if version != CILIUM_VERSION:
        raise _refused(document, f"Cilium {version} is not understood; the semantics here are {CILIUM_VERSION}'s")
    dns, storage, api = (_part(document, fields, name) for name in ("dns", "storage", "apiServer"))
    return Profile(
        document=document,
        dns_mode=_one_of(document, dns.get("mode"), ("pods", "node")),
        dns_namespace=str(dns.get("namespace")),
        dns_account=str(dns.get("account")),
        search_domains=tuple(dns.get("searchDomains") or ()),
        storage_mode=_one_of(document, storage.get("mode"), ("inCluster", "s3")),
        bucket_prefix=str(storage.get("bucketPrefix")),
        region=storage.get("region"),
        node_ranges=_networks(document, fields.get("nodeRanges")),
        api_port=_port(document, api.get("port")),
        api_addresses=_networks(document, api.get("addresses")),
        private_addresses=_networks(document, fields.get("privateAddresses")),
        label_filter=tuple(fields.get("labelFilter") or ()),
        gpu_capacity=dict(fields.get("gpuCapacity") or {}),
        ip_families=tuple(fields.get("ipFamilies") or ()),
        shared_addresses=bool(storage.get("sharedAddresses")),
        plane_label=str(fields.get("planeLabel")),
        mesh=_mesh(document, _part(document, fields, "mesh")) if "mesh" in fields else None,
    )


def read_fields(document: Document) -> dict[str, Any]:
    """The fields of a ConfigMap that holds one YAML or JSON text under its only key. Raises Refused."""
    data = document.body.get("data")
    if not isinstance(data, dict) or len(data) != 1:
        raise _refused(document, "`data` must hold one key with one text")
    (text,) = data.values()
    found = list(read_documents(str(text), where=document.file))
    if len(found) != 1:
        raise _refused(document, "the text must be one document")
    return found[0][0]


def _part(document: Document, fields: dict[str, Any], name: str) -> dict[str, Any]:
    part = fields.get(name)
    if not isinstance(part, dict):
        raise _refused(document, f"`{name}` is missing")
    return part


def _mesh(document: Document, fields: dict[str, Any]) -> Mesh:
    gateway, control = (_part(document, fields, name) for name in ("gateway", "control"))
    return Mesh(_workload(gateway), _workload(control))


def _workload(fields: dict[str, Any]) -> tuple[str, str]:
    return str(fields.get("namespace")), str(fields.get("account"))


def _one_of(document: Document, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _refused(document, f"{value!r} is not understood; known: {', '.join(known)}")
    return str(value)


def _port(document: Document, value: Any) -> int:
    if not isinstance(value, int) or not 0 < value <= LAST_PORT:
        raise _refused(document, f"apiServer.port {value!r} is no port")
    return value


def _networks(document: Document, values: Any) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(value) for value in values or ())
    except (TypeError, ValueError) as error:
        raise _refused(document, str(error)) from error


def _refused(document: Document, why: str) -> Refused:
    return Node(document, ("data",), None).refused(why)
