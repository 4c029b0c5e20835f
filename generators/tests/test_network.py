from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from generators import policies
from generators.cluster.cilium import PlatformNetwork
from generators.foundation.network import TenantNetwork
from generators.foundation.storage import TenantStorage
from generators.tests.samples import SERVE, TRAIN, made, platform, record, runner, sample_platform, sample_tenant

Objects = dict[tuple[str, str, str], dict[str, Any]]
CNP = "CiliumNetworkPolicy"
MODES = ("inCluster", "s3")
TRUSTED = {policies.NAMESPACE, policies.ACCOUNT, policies.PLANE, "reserved:ingress"}


@cache
def rendered(mode: str, isolation: str = "standard") -> Objects:
    """All network objects of a tenant with every option, and of the platform."""
    several = record().model_copy(update={"recipe": "smollm2-135m-full-h100"})  # nodes
    names = {"egress": ["mirror.example"], "callbacks": ["hooks.example"]}
    tenant = sample_tenant(isolation=isolation, models={"replies": several}, **names)
    given = {"tenant": tenant, "platform": platform(mode)}
    return {
        **made(TenantNetwork, **given),
        **made(TenantStorage, **given),
        **made(PlatformNetwork, platform=platform(mode)),
    }


def cilium(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((f"{key[0]}/{key[2]}", body["spec"]) for key, body in objects.items() if key[1].startswith("Cilium"))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def find(value: Any, name: str) -> Iterator[Any]:
    """Every value under a key of this name, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name:
                yield item
            yield from find(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from find(item, name)


def accounts(spec: dict[str, Any]) -> tuple[str, ...]:
    selector = spec["endpointSelector"]
    if "matchExpressions" in selector:
        return tuple(selector["matchExpressions"][0]["values"])
    return tuple(selector.get("matchLabels", {}).values())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("isolation", ["standard", "hard"])
def test_every_selector_uses_trusted_keys_only(mode: str, isolation: str) -> None:
    for name, spec in cilium(rendered(mode, isolation)):
        labels = {key for selected in find(spec, "matchLabels") for key in selected}
        keys = {term["key"] for terms in find(spec, "matchExpressions") for term in terms}
        assert labels | keys <= TRUSTED, name


@pytest.mark.requirement("A24")
@pytest.mark.parametrize("mode", MODES)
def test_no_policy_holds_an_empty_list_or_null(mode: str) -> None:
    for name, spec in cilium(rendered(mode, "hard")):
        assert [leaf for leaf in leaves(spec) if leaf in (None, [])] == [], name


@pytest.mark.parametrize("mode", MODES)
def test_an_account_has_one_list_of_names_but_for_the_webhook_sender(mode: str) -> None:
    lists = Counter(
        (name.split("/")[0], account)
        for name, spec in cilium(rendered(mode))
        if any(find(spec, "dns"))
        for account in accounts(spec)
    )
    assert {pair for pair, count in lists.items() if count > 1} == {("tenon-system", "webhooks")}


@pytest.mark.requirement("A28")
@pytest.mark.parametrize("mode", MODES)
def test_every_way_out_to_port_443_names_the_server(mode: str) -> None:
    for name, spec in cilium(rendered(mode)):
        for rule in spec.get("egress", []):
            if "toFQDNs" in rule:
                hosts = [host for selector in rule["toFQDNs"] for host in selector.values()]
                assert [ports["serverNames"] for ports in rule["toPorts"]] == [hosts], name


@pytest.mark.requirement("A25", "A26")
@pytest.mark.parametrize("mode", MODES)
def test_a_tenant_resolves_exact_names_and_its_own_ranks_alone(mode: str) -> None:
    names = [entry for name, spec in cilium(rendered(mode)) if name.startswith("acme-") for entry in _dns(spec)]
    assert {tuple(entry) for entry in names} == {("matchName",), ("matchPattern",)}
    assert {entry["matchPattern"] for entry in names if "matchPattern" in entry} == {
        "*.ft-*.acme-train.svc.cluster.local"
    }


@pytest.mark.parametrize("runner_name", ["jobset", "trainjob"])
def test_a_tenant_whose_jobs_have_one_pod_each_resolves_no_pattern(runner_name: str) -> None:
    objects = made(TenantNetwork, tenant=sample_tenant(**runner(runner_name)), platform=platform())
    assert {key for entry in _dns(objects[TRAIN, CNP, "dns"]["spec"]) for key in entry} == {"matchName"}


def test_names_of_dns_and_of_connections_are_one_list() -> None:
    objects = rendered("s3")
    asked = {entry.get("matchName") for entry in _dns(objects[TRAIN, CNP, "dns"]["spec"])}
    policy_names = ("bucket", "models", "egress")
    reached = {
        host["matchName"]
        for name in policy_names
        for selectors in find(objects[TRAIN, CNP, name]["spec"], "toFQDNs")
        for host in selectors
    }
    assert asked - reached == {None, "watcher.tenon-system.svc.cluster.local"}
    assert reached <= asked


def test_no_port_carries_both_a_name_filter_and_server_names() -> None:
    for name, spec in cilium(rendered("s3")):
        for ports in find(spec, "toPorts"):
            assert not any("rules" in each and "serverNames" in each for each in ports), name


@pytest.mark.requirement("A24")
@pytest.mark.parametrize(
    "namespace", [TRAIN, SERVE, "tenon-system", "storage", "kafka", "postgres", "argo", "monitoring"]
)
def test_every_namespace_begins_with_a_native_default_deny(namespace: str) -> None:
    body = rendered("inCluster")[namespace, "NetworkPolicy", "default-deny"]
    assert body["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert body["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "-15"


def test_the_default_account_is_named_by_no_rule() -> None:
    for isolation in ("standard", "hard"):
        for name, spec in cilium(rendered("inCluster", isolation)):
            assert "default" not in list(leaves(spec)), name


@pytest.mark.requirement("A22")
def test_ranks_are_asked_by_prometheus_and_each_other_alone() -> None:
    callers = {
        name.split("/")[1]: [rule["fromEndpoints"] for rule in spec["ingress"]]
        for name, spec in cilium(rendered("inCluster"))
        if name.startswith(TRAIN) and "ingress" in spec
    }
    assert callers.keys() == {"scrape", "ranks"}


@pytest.mark.requirement("A20")
def test_hard_isolation_gives_every_slot_its_own_mesh() -> None:
    objects = rendered("inCluster", "hard")
    for slot in (0, 1):
        spec = objects[TRAIN, CNP, f"ranks-{slot}"]["spec"]
        assert {leaf for leaf in leaves(spec) if str(leaf).startswith("trainer")} == {f"trainer-{slot}"}


def test_the_platforms_own_policies_name_no_tenant() -> None:
    assert not [name for name, spec in cilium(made(PlatformNetwork, platform=platform())) if "acme" in str(spec)]


def test_a_tenant_without_outside_hosts_has_no_way_out() -> None:
    objects = made(TenantNetwork, tenant=sample_tenant(), platform=platform())
    assert not any(find(body, "toFQDNs") for body in objects.values() if list(find(body, "toFQDNs")))
    assert (TRAIN, CNP, "egress") not in objects


def test_private_ranges_are_denied_but_for_addresses_the_platform_names() -> None:
    named = sample_platform(privateAddresses=["10.1.2.3/32"], apiServer={"port": 443, "addresses": ["10.9.0.1/32"]})
    ranges = policies.private_ranges(named)["toCIDRSet"]
    assert ranges[0] == {"cidr": "10.0.0.0/8", "except": ["10.1.2.3/32", "10.9.0.1/32"]}
    assert {"cidr": "fc00::/7"} in ranges


def test_a_resolver_on_the_node_is_asked_as_the_host() -> None:
    on_node = sample_platform(dns={"mode": "node"})
    dns = made(TenantNetwork, tenant=sample_tenant(), platform=on_node)[TRAIN, CNP, "dns"]
    assert dns["spec"]["egress"][0]["toEntities"] == ["host"]


def test_ray_lets_its_operator_in_and_nobody_else_does() -> None:
    ray = made(TenantNetwork, tenant=sample_tenant(**runner("rayjob")), platform=platform())
    assert (TRAIN, CNP, "ray") in ray
    assert (TRAIN, CNP, "ray") not in rendered("inCluster")


def test_a_tenants_gateway_serves_its_own_accounts_alone() -> None:
    spec = rendered("inCluster")["storage", CNP, "s3-acme"]["spec"]
    namespaces = {labels[policies.NAMESPACE] for labels in find(spec["ingress"], "matchLabels")}
    assert namespaces == {TRAIN, SERVE, "tenon-system"}


def test_storage_on_aws_renders_no_gateway() -> None:
    assert made(TenantStorage, tenant=sample_tenant(), platform=platform("s3")) == {}
    assert not [key for key in rendered("s3") if key[0] == "storage" and key[1] == CNP]


def _dns(spec: dict[str, Any]) -> list[dict[str, str]]:
    return [entry for entries in find(spec, "dns") for entry in entries]
