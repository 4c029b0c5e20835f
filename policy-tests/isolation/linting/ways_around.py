"""Manifests that lead around network policies, or move where they are decided.

Source: Cilium 1.20: pods on the node's network have the identity `host` or `remote-node`, and no policy for pods
selects them; of a Service policies see the backend (pkg/policy, pkg/loadbalancer). Pods are looked for by their fields,
so that those inside of Deployments, Jobs, workflows and kinds nobody thought of are seen too.
"""

import re
from collections.abc import Iterator
from typing import Any

from isolation.linting.findings import Hit
from isolation.linting.objects import Policy
from isolation.linting.plain import listed, mapped
from isolation.manifests.reading import DocumentPath

_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_OUTSIDE = frozenset({"NodePort", "LoadBalancer"})
_WITHOUT_PODS = frozenset({"ConfigMap", "Secret", "CustomResourceDefinition", "List"})
WAYS_AROUND = re.compile(
    rf"\b(hostNetwork|hostPort|externalIPs|ExternalName|NodePort|LoadBalancer|{re.escape(_NETWORKS)})\b"
)


def ways_around(manifest: Policy) -> Iterator[Hit]:
    """Of one object that is no policy."""
    body = manifest.document.body
    version, kind = str(body.get("apiVersion", "")), manifest.kind
    if not version or not kind or kind in _WITHOUT_PODS:
        return
    if version == "v1" and kind == "Service":
        yield from _service(manifest)
    elif kind in {"EndpointSlice", "Endpoints"}:
        yield Hit("TN907", manifest, ("kind",), "its addresses are whatever its author writes")
    elif kind == "NetworkAttachmentDefinition":
        yield Hit("TN908", manifest, ("kind",), "a further interface for pods")
    else:
        yield from _pods(manifest, (), body)


def _service(manifest: Policy) -> Iterator[Hit]:
    spec = mapped(manifest.document.body.get("spec"))
    kind = str(spec.get("type"))
    if kind == "ExternalName":
        yield Hit("TN904", manifest, ("spec", "externalName"), f"stands for {spec.get('externalName')}")
        return
    if kind in _OUTSIDE:
        yield Hit("TN903", manifest, ("spec", "type"), f"{kind}: reached from outside of the cluster")
    if listed(spec.get("externalIPs")):
        shown = ", ".join(str(address) for address in spec["externalIPs"])
        yield Hit("TN905", manifest, ("spec", "externalIPs"), f"takes over {shown}")
    if not mapped(spec.get("selector")):
        yield Hit("TN906", manifest, ("spec",), "selects no pod; its EndpointSlices say where it leads")


def _pods(manifest: Policy, path: DocumentPath, value: Any) -> Iterator[Hit]:
    """Wherever a pod may be written."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pods(manifest, (*path, index), item)
    if not isinstance(value, dict):
        return
    if value.get("hostNetwork") is True:
        yield Hit("TN901", manifest, (*path, "hostNetwork"), "is the node to every policy")
    elif "containers" in value:
        yield from _host_ports(manifest, path, value)
    if _NETWORKS in value:
        yield Hit("TN908", manifest, (*path, _NETWORKS), f"joins {value[_NETWORKS]}")
    for key, child in value.items():
        yield from _pods(manifest, (*path, key), child)


def _host_ports(manifest: Policy, path: DocumentPath, pod: Any) -> Iterator[Hit]:
    """Of a pod that is not on the node's network; there every port is one of the node's."""
    for index, container in enumerate(listed(pod["containers"])):
        for number, port in enumerate(listed(mapped(container).get("ports"))):
            if wanted := mapped(port).get("hostPort"):
                place = (*path, "containers", index, "ports", number, "hostPort")
                yield Hit("TN902", manifest, place, f"port {wanted} of its node leads to it")
