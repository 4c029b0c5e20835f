"""Services: from a name that pods dial to the pods behind it, as policies see them.

Cilium judges the pod and the port behind a Service, never the Service (cilium 1.20, socket and tc load balancing come
before policy). A selector reads the pods' own labels, which their author writes; so of a Service's pods the tree says
which of its templates match, and where others make pods too, any pod of the namespace may join.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isolation.classes.cluster import Cluster
from isolation.classes.inventory import Inventory, spec_of, tenant_of
from isolation.classes.pod_classes import PodClass
from isolation.manifests.pods import Pod
from isolation.manifests.tree import Document
from isolation.objects.ownership import route_hosts
from isolation.policies.ports import Port

_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
_OF_MESH = "VirtualService"
WRITTEN_BY_HAND = ("EndpointSlice", "Endpoints")


@dataclass(frozen=True, eq=False)
class Service:
    """One Service. pods: the tree's pod templates that its selector matches; elsewhere: why its peers are not to be
    read from the tree, empty where they are."""

    document: Document
    pods: tuple[Pod, ...]
    elsewhere: str = ""

    def __str__(self) -> str:
        return f"{self.document.namespace}/{self.document.name}"

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """(namespace, account) of the pods behind it, each once."""
        found = dict.fromkeys((self.document.namespace or "", pod.account) for pod in self.pods)
        return tuple(found)

    def targets(self, number: int) -> tuple[Port, ...]:
        """The ports of the pods to which a port of the Service leads, each once; none for a port it has not."""
        found: dict[Port, None] = {}
        for entry in spec_of(self.document).get("ports") or ():
            if entry.get("port") != number:
                continue
            protocol, target = str(entry.get("protocol", "TCP")), entry.get("targetPort", number)
            numbers = [target] if isinstance(target, int) else self._named(str(target), protocol)
            found |= dict.fromkeys(Port(each, protocol) for each in numbers)
        return tuple(found)

    def ports(self) -> tuple[int, ...]:
        """The ports that it listens on."""
        return tuple(entry["port"] for entry in spec_of(self.document).get("ports") or ())

    def _named(self, name: str, protocol: str) -> list[int]:
        return [
            int(port["containerPort"])
            for pod in self.pods
            for container in pod.containers
            for port in container.get("ports") or ()
            if (port.get("name"), port.get("protocol", "TCP")) == (name, protocol)
        ]


def services_of(inventory: Inventory) -> tuple[Service, ...]:
    """Every Service of the tree."""
    pods: dict[tuple[str | None, str, str], list[Pod]] = {}  # by namespace and each label
    for pod in inventory.pods:
        for key, value in pod.labels.items():
            pods.setdefault((pod.document.namespace, str(key), str(value)), []).append(pod)
    return tuple(_service(document, pods) for document in inventory.tree.of_kind("Service"))


def service_of_host(services: Iterable[Service], host: str) -> Service | None:
    """The Service that a name in the cluster leads to: `<name>.<namespace>[.svc[.cluster.local]]`."""
    parts = host.lower().rstrip(".").split(".")
    if parts[2:] not in ([], ["svc"], ["svc", "cluster", "local"]) or len(parts) < 2:
        return None
    found = (each for each in services if [each.document.name, each.document.namespace] == parts[:2])
    return next(found, None)


def services_of_route(inventory: Inventory, services: Iterable[Service], host: str) -> tuple[Service, ...]:
    """The Services to which HTTPRoutes and their like, or a mesh's VirtualServices, send requests of a host."""
    by_name = {(each.document.namespace, each.document.name): each for each in services}
    routes = [route for route in inventory.tree.of_kind(*_ROUTES, _OF_MESH) if host in route_hosts(route)]
    keys = (key for route in routes for key in _backends(route))
    return tuple(dict.fromkeys(by_name[key] for key in keys if key in by_name))


def classes_behind(cluster: Cluster, service: Service) -> tuple[PodClass, ...]:
    """The classes that may stand behind a Service. In a tenant's namespaces its owner makes pods and labels them as he
    likes, so that any of them may; elsewhere those of the tree's templates."""
    here = cluster.classes.by_namespace.get(service.document.namespace or "", ())
    if service.elsewhere or any(each.role.name == "unnamed" for each in here):
        return tuple(here)
    accounts = {account for _, account in service.accounts}
    return tuple(each for each in here if each.account in accounts)


def tenant_behind(service: Service) -> str | None:
    """Whose folder the Service stands in; None for the platform's."""
    return tenant_of(service.document)


def _service(document: Document, pods: Mapping[tuple[str | None, str, str], list[Pod]]) -> Service:
    spec = spec_of(document)
    selector = spec.get("selector")
    if spec.get("type") == "ExternalName":
        return Service(document, (), "is an ExternalName, which leads to any name")
    if not isinstance(selector, Mapping) or not selector:
        return Service(document, (), "has no selector; its peers are written by hand")
    labelled = (pods.get((document.namespace, str(key), str(value)), []) for key, value in selector.items())
    return Service(document, tuple(pod for pod in min(labelled, key=len) if _matches(selector, pod.labels)))


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(str(key)) == str(value) for key, value in selector.items())


def _backends(route: Document) -> Iterator[tuple[str | None, str]]:
    """(namespace, name) of each Service that the route names."""
    for rule in spec_of(route).get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            if backend.get("kind", "Service") == "Service":
                yield backend.get("namespace", route.namespace), str(backend.get("name"))
    for rule in spec_of(route).get("http") or ():
        for each in rule.get("route") or ():
            name, _, rest = str((each.get("destination") or {}).get("host")).partition(".")
            yield rest.split(".")[0] or route.namespace, name
