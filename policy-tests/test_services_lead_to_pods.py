"""From the name that is dialled to the pods and ports that policies judge."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.classes.cluster import Cluster
from isolation.classes.services import Service, classes_behind, service_of_host, services_of, services_of_route
from isolation.manifests.pods import Pod
from isolation.manifests.tree import Document, Tree
from isolation.policies.ports import Port
from mutants.mutant import inventory_of


@pytest.fixture(scope="module")
def services(tree: Tree) -> tuple[Service, ...]:
    return services_of(inventory_of(tree))


def made(spec: dict[str, Any], *pods: Pod) -> Service:
    body = {"kind": "Service", "metadata": {"name": "web", "namespace": "a"}, "spec": spec}
    return Service(Document("f", body, {}), pods)


@pytest.mark.parametrize("suffix", ["", ".svc", ".svc.cluster.local", ".svc.cluster.local."])
def test_every_spelling_of_a_services_name_leads_to_it(suffix: str, services: tuple[Service, ...]) -> None:
    found = service_of_host(services, f"tenon-acme.storage{suffix}")
    assert found is not None
    assert found.accounts == (("storage", "s3-acme"),)
    assert found.targets(8333) == (Port(8333, "TCP"),)


@pytest.mark.parametrize("host", ["tenon-acme", "tenon-acme.storage.example", "nobody.storage.svc", "a.b.c.svc", ""])
def test_other_names_lead_to_no_service(host: str, services: tuple[Service, ...]) -> None:
    assert service_of_host(services, host) is None


def test_a_port_by_name_is_the_one_that_the_pods_containers_give(services: tuple[Service, ...]) -> None:
    watcher = service_of_host(services, "watcher.tenon-system")
    assert watcher is not None
    assert watcher.targets(8081) == (Port(8081, "TCP"),)
    assert watcher.targets(1) == ()


def test_pods_that_name_a_port_differently_give_each_of_their_numbers() -> None:
    document = Document("f", {"kind": "Deployment"}, {})
    ports = [[{"name": "http", "containerPort": 80}], [{"name": "http", "containerPort": 81}]]
    pods = [Pod(document, "", {"containers": [{"ports": each}]}, {}) for each in ports]
    assert made({"ports": [{"port": 1, "targetPort": "http"}]}, *pods).targets(1) == (Port(80, "TCP"), Port(81, "TCP"))


@pytest.mark.parametrize(
    ("spec", "why"),
    [({"type": "ExternalName", "externalName": "a.example"}, "ExternalName"), ({"ports": []}, "no selector")],
)
def test_peers_that_the_tree_does_not_show_are_said_to_be_elsewhere(spec: dict[str, Any], why: str, tree: Tree) -> None:
    document = tree.one("Service", "storage", "tenon-acme")
    changed = tree.changed(document, lambda body: body.update(spec=spec))
    found = service_of_host(services_of(inventory_of(changed)), "tenon-acme.storage")
    assert found is not None
    assert why in found.elsewhere


def test_a_host_of_a_route_leads_to_its_tenants_model_servers(tree: Tree, services: tuple[Service, ...]) -> None:
    found = services_of_route(inventory_of(tree), services, "replies.acme.models.tenon.example")
    assert {account for each in found for account in each.accounts} == {("acme-serve", "model")}


def test_a_host_of_a_mesh_leads_to_its_tenants_model_servers_too(mesh: Tree) -> None:
    inventory = inventory_of(mesh)
    services = services_of(inventory)
    routes = (each for each in mesh.of_kind("VirtualService") if each.namespace == "wonka-serve")
    hosts = {host for route in routes for host in route.body["spec"]["hosts"] if host.endswith(".tenon.example")}
    assert hosts
    for host in hosts:
        found = services_of_route(inventory, services, host)
        assert {account for each in found for account in each.accounts} == {("wonka-serve", "model")}


def test_behind_a_service_of_a_tenant_any_pod_of_its_namespace_may_stand(
    cluster: Cluster, services: tuple[Service, ...]
) -> None:
    gateway, model = (service_of_host(services, host) for host in ("tenon-acme.storage", "replies-stable.acme-serve"))
    assert gateway is not None
    assert [str(each) for each in classes_behind(cluster, gateway)] == ["storage/s3-acme"]
    assert model is not None
    assert {"acme-serve/model", "acme-serve/default"} <= {str(each) for each in classes_behind(cluster, model)}


def test_peers_written_by_hand_are_noticed_in_the_platforms_folder_too(
    tree: Tree, breaks: Callable[[Tree, str], bool]
) -> None:
    service = tree.one("Service", "storage", "tenon-models")
    assert breaks(tree.changed(service, lambda body: body.update(kind="EndpointSlice")), "backends")
