"""A gateway to a bucket goes on answering while a node, or one of its servers, goes."""

from typing import Any

import pytest
from kubernetes import client

from generators import naming
from generators.foundation.storage import gateway
from generators.tests.samples import platform

OWNERS = ("acme", "models")


def of_kind(owner: str, kind: str) -> dict[str, Any]:
    made = gateway(owner, bucket=f"tenon-{owner}", labels={}, platform=platform())
    (body,) = [body for body, _ in made if body["kind"] == kind]
    return dict(body)


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.requirement("A18")
def test_a_drain_takes_one_of_its_two_servers_at_a_time(owner: str) -> None:
    server, budget = of_kind(owner, "Deployment"), of_kind(owner, "PodDisruptionBudget")
    client.V1PodDisruptionBudget.model_validate(budget)
    assert server["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    labels = server["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("owner", OWNERS)
def test_a_server_that_hangs_is_started_again_and_a_new_one_is_ready_before_the_old_one_goes(owner: str) -> None:
    spec = of_kind(owner, "Deployment")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/healthz"}
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("owner", OWNERS)
def test_its_servers_are_the_platforms_and_stand_apart_where_they_can(owner: str) -> None:
    pod = of_kind(owner, "Deployment")["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == naming.SERVICES_PRIORITY
    spread = {each["topologyKey"]: each for each in pod["topologySpreadConstraints"]}
    assert spread.keys() == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert {each["whenUnsatisfiable"] for each in spread.values()} == {"ScheduleAnyway"}
