import random
from collections.abc import Iterator
from typing import Any

import pytest

from app.contract.models import Stage
from generators import mesh
from generators.cluster.mesh import PlatformMesh
from generators.foundation.delivery import ISOLATION_KINDS
from generators.foundation.mesh import TenantMesh
from generators.foundation.namespaces import TenantNamespaces
from generators.foundation.network import serving_policies, training_policies
from generators.inputs.platform import Platform
from generators.serving.model import ModelServing
from generators.tests.samples import SERVE, TRAIN, made, record, sample_platform, sample_tenant, version

ISTIO = sample_platform(trafficRouter="istio")
GATEWAY = sample_platform()
STABLE = version("replies-0123456789ab", Stage.STABLE)
OTHER = version("replies-ba9876543210", Stage.CANDIDATE)
AB = {"version": OTHER.version, "share": 20}
REQUESTS = 20_000

Objects = dict[tuple[str, str, str], dict[str, Any]]
both_routers = pytest.mark.parametrize("platform", [GATEWAY, ISTIO], ids=["gatewayApi", "istio"])
every_strategy = pytest.mark.parametrize("strategy", ["canary", "blueGreen"])


def model(platform: Platform, **serving: Any) -> Objects:
    tenant = sample_tenant(models={"replies": record(STABLE, OTHER, **serving)})
    return made(ModelServing, tenant=tenant, platform=platform, model="replies")


def of_kind(objects: Objects, *kinds: str) -> dict[str, dict[str, Any]]:
    return {name: body["spec"] for (_, kind, name), body in objects.items() if kind in kinds}


def routes(objects: Objects) -> dict[str, dict[str, Any]]:
    return of_kind(objects, "HTTPRoute", "VirtualService")


def hosts(route: dict[str, Any]) -> list[str]:
    return list(route.get("hostnames") or route["hosts"])


def backends(route: dict[str, Any]) -> list[tuple[str, int]]:
    """Services and weights of a route's one rule, of either kind."""
    (rule,) = route.get("rules") or route["http"]
    if "backendRefs" in rule:
        return [(each["name"], each["weight"]) for each in rule["backendRefs"]]
    return [(each["destination"]["host"].split(".")[0], each["weight"]) for each in rule["route"]]


def pinned(route: dict[str, Any]) -> str | None:
    """The arm whose header a route asks for."""
    (rule,) = route.get("rules") or route["http"]
    for match in rule.get("matches") or rule.get("match") or ():
        headers = match.get("headers") or {}
        if isinstance(headers, list):
            return next((str(each["value"]) for each in headers), None)
        return next((str(each["exact"]) for each in headers.values()), None)
    return None


@both_routers
@every_strategy
def test_the_split_has_the_same_two_services_under_every_strategy(platform: Platform, strategy: str) -> None:
    objects = model(platform, strategy=strategy)

    assert backends(routes(objects)["replies"]) == [("replies-stable", 100), ("replies-canary", 0)]
    assert {"replies-stable", "replies-canary"} <= of_kind(objects, "Service").keys()


@both_routers
def test_every_route_answers_to_the_models_host_and_to_no_other(platform: Platform) -> None:
    found = routes(model(platform, ab=AB))

    assert {host for route in found.values() for host in hosts(route)} == {"replies.acme.models.example"}


@both_routers
def test_every_backend_is_a_service_that_is_rendered(platform: Platform) -> None:
    objects = model(platform, ab=AB)

    named = {name for route in routes(objects).values() for name, _ in backends(route)}
    assert named <= of_kind(objects, "Service").keys()


@pytest.mark.requirement("B43", "B46")
@both_routers
def test_a_header_pins_a_request_to_its_arm(platform: Platform) -> None:
    found = routes(model(platform, ab=AB))

    assert {pinned(each): backends(each)[0][0] for each in found.values()} == {
        None: "replies-stable",
        "canary": "replies-canary",
        "b": "replies-b",
    }


@pytest.mark.requirement("B46")
@both_routers
def test_ten_percent_of_unpinned_requests_go_to_the_new_version(platform: Platform) -> None:
    (stable, _), (canary, _) = backends(routes(model(platform))["replies"])
    moved = {stable: 90, canary: 10}  # as the Rollouts controller writes them

    drawn = random.Random(7).choices([*moved], weights=[*moved.values()], k=REQUESTS)  # noqa: S311 - a simulation

    assert abs(drawn.count(canary) / REQUESTS - 0.10) <= 0.01


@pytest.mark.requirement("B46")
def test_a_lone_destination_would_get_everything_so_the_split_always_has_two() -> None:
    (rule,) = routes(model(ISTIO))["replies"]["http"]

    assert len(rule["route"]) == 2
    assert sum(each["weight"] for each in rule["route"]) == 100


@both_routers
def test_the_rollout_moves_the_weights_of_a_route_that_is_there(platform: Platform) -> None:
    objects = model(platform)
    routing = objects[SERVE, "Rollout", "replies"]["spec"]["strategy"]["canary"]["trafficRouting"]
    name = routing["istio"]["virtualService"]["name"] if "istio" in routing else _plugin(routing)["httpRoute"]

    assert name in routes(objects)


def _plugin(routing: dict[str, Any]) -> dict[str, Any]:
    (found,) = routing["plugins"].values()
    return dict(found)


def test_the_rollout_names_the_route_that_holds_the_weights() -> None:
    objects = model(ISTIO)
    routing = objects[SERVE, "Rollout", "replies"]["spec"]["strategy"]["canary"]["trafficRouting"]["istio"]
    names = [rule.get("name") for rule in routes(objects)["replies"]["http"]]

    assert routing["virtualService"]["routes"] == names == ["versions"]


def test_the_route_of_all_requests_has_no_match_so_that_istio_puts_it_last() -> None:
    found = routes(model(ISTIO, ab=AB))

    assert [name for name, route in found.items() if "match" not in route["http"][0]] == ["replies"]


@pytest.mark.requirement("B45")
def test_every_service_of_a_model_is_called_by_mtls_and_its_servers_must_be_the_tenants() -> None:
    objects = model(ISTIO, ab=AB)
    rules = of_kind(objects, "DestinationRule")

    assert {rule["host"].split(".")[0] for rule in rules.values()} == of_kind(objects, "Service").keys()
    for rule in rules.values():
        tls = rule["trafficPolicy"]["tls"]
        assert tls["mode"] == "ISTIO_MUTUAL"
        assert tls["subjectAltNames"] == [f"spiffe://cluster.local/ns/{SERVE}/sa/model"]


def test_what_routes_a_tenants_requests_is_given_to_no_other_tenants_proxy() -> None:
    for spec in of_kind(model(ISTIO, ab=AB), "DestinationRule", "VirtualService").values():
        assert spec["exportTo"] == [".", "gateway", "tenon-system"]


def test_a_platform_has_the_routes_of_one_router() -> None:
    istio, gateway = (({kind for _, kind, _ in model(platform)}) for platform in (ISTIO, GATEWAY))

    assert istio - gateway == {"VirtualService", "DestinationRule"}
    assert gateway - istio == {"HTTPRoute"}


@pytest.fixture(scope="module")
def enforced() -> Objects:
    return made(TenantMesh, tenant=sample_tenant(limits={"requestsPerSecond": 7}), platform=ISTIO)


@pytest.mark.requirement("B45")
def test_a_serving_namespace_takes_no_plain_connection(enforced: Objects) -> None:
    assert enforced[SERVE, "PeerAuthentication", "default"]["spec"] == {"mtls": {"mode": "STRICT"}}


@pytest.mark.requirement("B45")
def test_without_an_identity_of_the_platform_nothing_is_answered(enforced: Objects) -> None:
    policies = of_kind(enforced, "AuthorizationPolicy")
    (rule,) = policies["requests"]["rules"]
    (source,) = rule["from"]

    assert policies["default-deny"] == {}
    assert source["source"]["principals"] == [
        "cluster.local/ns/gateway/sa/tenon",
        "cluster.local/ns/tenon-system/sa/router",
    ]


def test_callers_reach_the_model_api_and_not_the_metrics_beside_it(enforced: Objects) -> None:
    (rule,) = of_kind(enforced, "AuthorizationPolicy")["requests"]["rules"]

    assert [to["operation"]["paths"] for to in rule["to"]] == [["/v1/*"]]


@pytest.mark.requirement("B45")
def test_each_server_answers_so_many_requests_per_second_as_the_tenant_may_send(enforced: Objects) -> None:
    (patch,) = enforced[SERVE, "EnvoyFilter", "rate-limit"]["spec"]["configPatches"]
    limit = patch["patch"]["value"]["typed_config"]["value"]

    assert limit["token_bucket"] == {"max_tokens": 7, "tokens_per_fill": 7, "fill_interval": "1s"}
    assert {limit[key]["default_value"]["numerator"] for key in ("filter_enabled", "filter_enforced")} == {100}
    assert patch["match"]["listener"]["portNumber"] == 8000


def test_what_istio_enforces_is_the_foundations_and_never_the_tenants(enforced: Objects) -> None:
    groups = {(body["apiVersion"].split("/")[0], body["kind"]) for body in enforced.values()}

    for group, kind in groups:
        assert {(group, "*"), (group, kind)} & set(ISOLATION_KINDS)


def test_without_istio_nothing_of_it_is_rendered() -> None:
    assert made(TenantMesh, tenant=sample_tenant(), platform=GATEWAY) == {}
    assert made(PlatformMesh, platform=GATEWAY) == {}


@pytest.mark.requirement("B45")
def test_servers_get_a_sidecar_and_jobs_which_would_not_end_with_one_do_not() -> None:
    namespaces = made(TenantNamespaces, tenant=sample_tenant(), platform=ISTIO)

    labels = {name: body["metadata"]["labels"][mesh.INJECTION_LABEL] for (_, _, name), body in namespaces.items()}
    assert labels == {TRAIN: "disabled", SERVE: "enabled"}


def test_a_serving_namespace_is_restricted_with_sidecars_too() -> None:
    namespaces = made(TenantNamespaces, tenant=sample_tenant(), platform=ISTIO)

    assert (
        namespaces["", "Namespace", SERVE]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )


def test_a_sidecar_is_counted_by_the_quota_as_it_may_use() -> None:
    template = model(ISTIO)[SERVE, "Rollout", "replies"]["spec"]["template"]
    annotations = template["metadata"]["annotations"]

    assert annotations["sidecar.istio.io/proxyCPU"] == annotations["sidecar.istio.io/proxyCPULimit"]
    assert annotations["sidecar.istio.io/proxyMemory"] == annotations["sidecar.istio.io/proxyMemoryLimit"]


def test_every_server_of_a_model_is_told_so_whichever_object_starts_it() -> None:
    objects = model(ISTIO, ab=AB, experiment={"duration": "1h"})
    templates = [objects[SERVE, "Rollout", name]["spec"]["template"] for name in ("replies", "replies-b")]
    for body in of_kind(objects, "Experiment").values():
        templates += [each["template"] for each in body["templates"]]

    assert len(templates) == 4
    assert {str(each["metadata"]["annotations"]) for each in templates} == {str(mesh.SERVER_ANNOTATIONS)}


def test_weights_are_fetched_past_a_sidecar_that_does_not_run_yet() -> None:
    template = model(ISTIO)[SERVE, "Rollout", "replies"]["spec"]["template"]

    assert template["metadata"]["annotations"]["traffic.sidecar.istio.io/includeOutboundIPRanges"] == ""


def test_without_istio_pods_carry_no_annotation_of_it() -> None:
    assert "annotations" not in model(GATEWAY)[SERVE, "Rollout", "replies"]["spec"]["template"]["metadata"]


def test_metrics_are_read_where_no_certificate_is_asked_for() -> None:
    (endpoint,) = model(ISTIO)[SERVE, "PodMonitor", "replies"]["spec"]["podMetricsEndpoints"]

    assert (endpoint["portNumber"], endpoint["path"]) == (15020, "/stats/prometheus")


def _ports(policies: Iterator[dict[str, Any]]) -> set[str]:
    sections = [section for policy in policies for section in policy["spec"].get("ingress", ())]
    return {each["port"] for section in sections for ports in section["toPorts"] for each in ports["ports"]}


def test_cilium_opens_the_servers_port_to_istios_gateway_and_to_its_own_no_more() -> None:
    named = {body["metadata"]["name"]: dict(body) for body, _ in serving_policies(sample_tenant(), ISTIO)}

    assert _ports(iter([named["requests"]])) == {"8000"}
    assert "fromEntities" not in str(named["requests"])
    assert _ports(iter([named["scrape"]])) == {"15020"}


def test_training_policies_are_the_same_with_istio() -> None:
    assert training_policies(sample_tenant(), ISTIO) == training_policies(sample_tenant(), GATEWAY)


def test_the_one_entrance_speaks_https_alone() -> None:
    objects = made(PlatformMesh, platform=ISTIO)
    (server,) = objects["gateway", "Gateway", "tenon"]["spec"]["servers"]

    assert (server["port"]["protocol"], server["tls"]["mode"]) == ("HTTPS", "SIMPLE")
    assert server["hosts"] == ["*.models.example"]


def test_our_own_hosts_are_routed_as_they_are_without_istio() -> None:
    objects = made(PlatformMesh, platform=ISTIO)
    api = objects["tenon-system", "VirtualService", "api"]["spec"]

    assert api["hosts"] == ["api.models.example"]
    assert [rule["route"][0]["destination"]["host"].split(".")[0] for rule in api["http"]] == ["router", "ingest"]
