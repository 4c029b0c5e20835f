"""The cluster profile: what the judge must know beyond the policies, one rendered ConfigMap.

It is the tree's own statement, so that the judge takes from it only facts that no policy can express: where the
resolver is, where buckets are, which addresses are nodes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from isolation.classes.profile_fields import Network, field_faults, range_faults
from isolation.manifests.node import Node
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.policies.ports import LAST_PORT

NAME, NAMESPACE = "cluster-profile", "tenon-system"
CILIUM_VERSION = "1.20"  # another version's semantics are refused until they were compared with its engine


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
    """Raises Refused when the tree has no profile or two, one of another version, or a field that is not understood."""
    found = [document for document in tree.of_kind("ConfigMap") if document.name == NAME]
    if len(found) != 1 or found[0].namespace != NAMESPACE:
        why = f"ConfigMap {NAMESPACE}/{NAME}: {len(found)} in the tree, exactly one is expected, and none elsewhere"
        raise Refused(where="tree", at="", why=f"{why}; render the platform too")
    (document,) = found
    fields = read_fields(document)
    version = str(fields.get("ciliumVersion"))
    if version != CILIUM_VERSION:
        raise _refused(document, f"Cilium {version} is not understood; the semantics here are {CILIUM_VERSION}'s")
    for fault in field_faults(fields):
        raise _refused(document, fault)
    dns, storage, api = fields["dns"], fields["storage"], fields["apiServer"]
    profile = Profile(
        document=document,
        dns_mode=_one_of(document, dns["mode"], ("pods", "node")),
        dns_namespace=dns["namespace"],
        dns_account=dns["account"],
        search_domains=tuple(dns["searchDomains"]),
        storage_mode=_one_of(document, storage["mode"], ("inCluster", "s3")),
        bucket_prefix=storage["bucketPrefix"],
        region=storage.get("region"),
        node_ranges=_networks(document, fields["nodeRanges"]),
        api_port=_port(document, api["port"]),
        api_addresses=_networks(document, api["addresses"]),
        private_addresses=_networks(document, fields["privateAddresses"]),
        label_filter=tuple(fields["labelFilter"]),
        gpu_capacity=fields["gpuCapacity"],
        ip_families=tuple(fields["ipFamilies"]),
        shared_addresses=storage["sharedAddresses"],
        plane_label=fields["planeLabel"],
        mesh=_mesh(fields["mesh"]) if "mesh" in fields else None,
    )
    for fault in range_faults(fields):
        raise _refused(document, fault)
    if (profile.storage_mode == "s3") is not (profile.region is not None):
        raise _refused(document, f"`storage.region` is {profile.region} in mode {profile.storage_mode}; s3 has one")
    return profile


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


def _mesh(fields: Mapping[str, Mapping[str, str]]) -> Mesh:
    gateway, control = ((fields[name]["namespace"], fields[name]["account"]) for name in ("gateway", "control"))
    return Mesh(gateway, control)


def _one_of(document: Document, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _refused(document, f"{value!r} is not understood; known: {', '.join(known)}")
    return str(value)


def _port(document: Document, value: int) -> int:
    if not 0 < value <= LAST_PORT:
        raise _refused(document, f"apiServer.port {value!r} is no port")
    return value


def _networks(document: Document, values: Iterable[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(value) for value in values)
    except ValueError as error:
        raise _refused(document, str(error)) from error


def _refused(document: Document, why: str) -> Refused:
    return Node(document, ("data",), None).refused(why)
