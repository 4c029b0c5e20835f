"""What the platform's own policies open fits what its processes serve; nothing is asked that is not answered."""

from typing import Any

import pytest

from app.contract.internal import METRICS_PORT
from generators import naming
from generators.cluster import cilium
from generators.cluster.deployments import SERVICES, deployment
from generators.policies import ACCOUNT
from generators.tests.samples import platform

Body = dict[str, Any]
MODES = ("inCluster", "s3")


def policies(mode: str, namespace: str = naming.SYSTEM_NAMESPACE) -> list[Body]:
    return [dict(body) for body in cilium.platform_policies(platform(mode))[namespace]]


def accounts(policy: Body) -> set[str]:
    """Accounts that the policy is on."""
    selector = policy["spec"]["endpointSelector"]
    among = [each["values"] for each in selector.get("matchExpressions", [])]
    return {*selector.get("matchLabels", {}).values(), *(name for values in among for name in values)}


def ports(policy: Body, direction: str) -> set[int]:
    return {
        int(port["port"])
        for rule in policy["spec"].get(direction, [])
        for entry in rule.get("toPorts", [])
        for port in entry["ports"]
    }


@pytest.mark.parametrize("mode", MODES)
def test_each_service_has_one_list_of_names(mode: str) -> None:
    asking = [account for body in policies(mode) if "'dns'" in str(body["spec"]) for account in accounts(body)]
    assert sorted(asking) == sorted(service.name for service in SERVICES)


@pytest.mark.parametrize("mode", MODES)
def test_no_port_is_open_that_its_process_does_not_serve(mode: str) -> None:
    for service in SERVICES:
        container = deployment(service, platform(mode))["spec"]["template"]["spec"]["containers"][0]
        served = {port["containerPort"] for port in container["ports"]}
        opened = {port for body in policies(mode) if service.name in accounts(body) for port in ports(body, "ingress")}
        assert opened == served


def test_every_service_may_be_scraped_and_by_nothing_but_prometheus() -> None:
    (scrape,) = [body for body in policies("inCluster") if METRICS_PORT in ports(body, "ingress")]
    assert accounts(scrape) == {service.name for service in SERVICES}
    (rule,) = scrape["spec"]["ingress"]
    assert [peer["matchLabels"][ACCOUNT] for peer in rule["fromEndpoints"]] == ["prometheus"]


@pytest.mark.parametrize("namespace", [naming.SYSTEM_NAMESPACE, naming.BROKER_NAMESPACE, naming.MONITORING_NAMESPACE])
def test_every_policy_of_the_platform_names_its_accounts(namespace: str) -> None:
    assert all(accounts(body) for body in policies("inCluster", namespace))


def test_grafana_asks_prometheus_and_only_for_its_name() -> None:
    (grafana,) = [body for body in policies("inCluster", naming.MONITORING_NAMESPACE) if accounts(body) == {"grafana"}]
    names = [rule for each in grafana["spec"]["egress"] for entry in each["toPorts"] for rule in dns(entry)]
    assert names == [{"matchName": "prometheus.monitoring.svc.cluster.local"}]


def dns(entry: Body) -> list[Body]:
    found: list[Body] = entry.get("rules", {}).get("dns", [])
    return found
