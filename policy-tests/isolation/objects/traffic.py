"""Doors: Services and host names of tenants (H15, H16), and that every port is one."""

import json
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import Inventory, spec_of, tenant_of
from isolation.manifests.everywhere import Everywhere
from isolation.manifests.pods import PODLESS, Body
from isolation.manifests.tree import Document
from isolation.objects.ownership import route_hosts
from isolation.policies.ports import LAST_PORT
from isolation.results import CounterExample, Result

_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
_HOST_PARTS = 4  # model, tenant, and a domain of two at least
_WITH_PORTS = frozenset({"HTTPRoute", "PodMonitor", "Service"})  # and every kind that may hold a pod
_SERVICE_KEYS = frozenset({"clusterIP", "ports", "selector", "type"})
_OF_PLATFORM = frozenset({"publishNotReadyAddresses"})  # members of a store find each other before they are ready
_SERVICE_PORT_KEYS = frozenset({"name", "port", "protocol", "targetPort"})
_PORT_KEYS = frozenset({"containerPort", "hostPort", "number", "port", "targetPort"})


def services(inventory: Inventory) -> Result:
    """Reached inside the cluster only, by a selector of pods: other types open the node or lead a name elsewhere, and
    an address of one's own choice may be the resolver's. The platform's too; its Gateway's is made by Cilium."""
    documents = [each for each in inventory.objects if each.kind == "Service"]
    faults = [CounterExample(document.file, fault) for document in documents for fault in _service_faults(document)]
    asked = len(inventory.tenants) + len(documents)
    claim = "Services are ClusterIP, of pods, by selector, and nothing else"
    return Result("services", claim, asked, tuple(faults), row="H15")


def hosts(inventory: Inventory) -> Result:
    """`<model>.<tenant>.<domain>`, each request of one route; one gateway; backends in the route's own namespace."""
    routes = [*inventory.kind(*_ROUTES), *inventory.kind("VirtualService")]
    faults = [CounterExample(each.file, "opens a namespace") for each in inventory.tree.of_kind("ReferenceGrant")]
    faults += [CounterExample(route.file, fault) for route in routes for fault in _route_faults(inventory, route)]
    faults += [
        CounterExample(each.file, "is seen by every namespace of the mesh; name those of exportTo")
        for each in inventory.kind("VirtualService", "DestinationRule")
        if "*" in (spec_of(each).get("exportTo") or ["*"])
    ]
    seen: dict[tuple[str, str], Document] = {}
    domains, gateways = set[str](), set[str]()
    for route in routes:
        gateways.update(_gateways(route))
        for host in route_hosts(route):
            domains.add(host.split(".", 2)[2] if host.count(".") > 1 else host)
            for match in _matches(route):
                if (other := seen.setdefault((host, match), route)) is not route:
                    faults.append(CounterExample(route.file, f"requests of {host} are {other.file}'s too"))
    for what, found in (("domains", domains), ("gateways", gateways)):
        if len(found) > 1:
            faults.append(
                CounterExample("routes of tenants", f"use {what} {', '.join(sorted(found))}; one is the rule")
            )
    faults += [CounterExample(each.file, fault) for each in _gateway_objects(inventory) for fault in _listeners(each)]
    claim = "each host is its tenant's; each request goes by one route, one gateway"
    return Result("hosts", claim, len(inventory.tenants) + len(routes), tuple(faults), row="H16")


def ports(inventory: Inventory) -> Result:
    """The API server takes 99999 where a schema forgot the bound."""
    faults, asked, everywhere = [], 0, Everywhere(_numbers)
    documents = [each for each in inventory.objects if each.kind in _WITH_PORTS or each.kind not in PODLESS]
    for document in documents:
        for key, value in everywhere.inside(document.body):
            asked += 1
            if not 0 < value <= LAST_PORT:
                faults.append(CounterExample(document.file, f"{key} {value} is no port"))
    return Result("ports", f"every port is one of 1-{LAST_PORT}", asked, tuple(faults), row="H15")


def _service_faults(document: Document) -> Iterator[str]:
    spec = spec_of(document)
    if spec.get("type", "ClusterIP") != "ClusterIP":
        yield f"Service of type {spec['type']}; use ClusterIP"
    if not spec.get("selector"):
        yield "Service without selector; select pods"
    if spec.get("clusterIP", "None") != "None":
        yield f"Service at address {spec['clusterIP']}; leave it to the cluster, or None for the pods' own"
    known = _SERVICE_KEYS if tenant_of(document) else _SERVICE_KEYS | _OF_PLATFORM
    yield from (f"Service with {key}, which is none of {', '.join(sorted(known))}" for key in spec if key not in known)
    for port in spec.get("ports") or ():
        yield from (f"port of a Service with {key}" for key in port if key not in _SERVICE_PORT_KEYS)


def _route_faults(inventory: Inventory, route: Document) -> Iterator[str]:
    tenant = tenant_of(route)
    found = route_hosts(route)
    for host in found:
        parts = host.split(".")
        if "*" in host or len(parts) < _HOST_PARTS or parts[1] != tenant:
            yield f"host {host} is not <model>.{tenant}.<domain>"
    if not found and not _is_inside(route):
        yield "answers to every host; name them"
    if not _gateways(route) and not _is_inside(route):
        yield "names no gateway"
    for backend in _backends(route):
        name, namespace = backend
        if namespace not in {None, route.namespace}:
            yield f"leads into namespace {namespace}"
        elif ("Service", route.namespace, name) not in inventory.by_key and not _of_ray(inventory, route, name):
            yield f"leads to Service {name}, which is not rendered"


def _matches(route: Document) -> Iterator[str]:
    """Which requests of its hosts a route takes, one text for each condition; the whole host where it has none."""
    for rule in (*(spec_of(route).get("rules") or ()), *(spec_of(route).get("http") or ())):
        for match in rule.get("matches") or rule.get("match") or [{}]:
            yield json.dumps(match, sort_keys=True)


def _of_ray(inventory: Inventory, route: Document, name: str) -> bool:
    """KubeRay makes one Service for each RayService: under the name that it asks for, or `<service>-serve-svc`."""
    for each in inventory.kind("RayService"):
        asked = ((spec_of(each).get("serveService") or {}).get("metadata") or {}).get("name")
        if each.namespace == route.namespace and name == (asked or f"{each.name}-serve-svc"):
            return True
    return False


def _is_inside(route: Document) -> bool:
    """A VirtualService of Service names alone is seen by pods of the mesh and by no gateway."""
    return route.kind == "VirtualService" and not spec_of(route).get("gateways")


def _gateways(route: Document) -> list[str]:
    if route.kind == "VirtualService":
        return [str(name) for name in spec_of(route).get("gateways") or () if name != "mesh"]
    parents = spec_of(route).get("parentRefs") or ()
    return [f"{parent.get('namespace')}/{parent.get('name')}" for parent in parents]


def _backends(route: Document) -> Iterator[tuple[str, str | None]]:
    spec = spec_of(route)
    for rule in spec.get("rules") or ():
        found = [*(rule.get("backendRefs") or ()), *_mirrors(rule)]
        yield from ((str(each.get("name")), each.get("namespace")) for each in found)
    for rule in spec.get("http") or ():
        for each in rule.get("route") or ():
            name, _, rest = str((each.get("destination") or {}).get("host")).partition(".")
            yield name, rest.split(".")[0] or None


def _mirrors(rule: Body) -> list[Body]:
    filters = rule.get("filters") or ()
    return [each["requestMirror"]["backendRef"] for each in filters if "requestMirror" in each]


def _gateway_objects(inventory: Inventory) -> Iterator[Document]:
    return (
        each
        for each in inventory.tree.of_kind("Gateway")
        if str(each.body.get("apiVersion")).startswith("gateway.networking.k8s.io/")
    )


def _listeners(gateway: Document) -> Iterator[str]:
    for listener in spec_of(gateway).get("listeners") or ():
        allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
        if allowed.get("from") == "All":
            yield f"listener {listener.get('name')} takes routes of every namespace; select them"


def _numbers(key: str, value: Any) -> Iterator[tuple[str, int]]:
    """Ports that are written as numbers; a string is a port's name."""
    if key in _PORT_KEYS and type(value) is int:
        yield key, value
