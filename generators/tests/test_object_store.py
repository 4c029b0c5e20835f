"""The object store of the cluster: found by its name, on a disk that stays."""

from typing import Any

import pytest

from generators import hosts, naming
from generators.cluster import cilium
from generators.cluster.objectstore import PlatformObjectStore, command, service, stateful_set
from generators.foundation.storage import FILER_PORTS
from generators.tests.samples import made, platform


def test_with_storage_elsewhere_none_is_rendered() -> None:
    assert made(PlatformObjectStore, platform=platform("s3")) == {}


def test_its_service_finds_it_and_serves_every_port_that_gateways_use() -> None:
    labels = stateful_set(platform())["spec"]["template"]["metadata"]["labels"]
    assert service()["spec"]["selector"].items() <= labels.items()
    assert set(FILER_PORTS) <= {port["port"] for port in service()["spec"]["ports"]}


def test_it_is_announced_by_the_name_that_gateways_may_ask_for_and_it_may_ask_itself() -> None:
    assert f"-ip={hosts.FILER}" in command()
    (policy,) = [body for body in policies() if body["metadata"]["name"] == "filer"]
    names = [rule for each in policy["spec"]["egress"] for port in each.get("toPorts", []) for rule in dns(port)]
    assert names == [{"matchName": hosts.FILER}]


def policies() -> list[dict[str, Any]]:
    return [dict(body) for body in cilium.platform_policies(platform())[naming.STORAGE_NAMESPACE]]


def dns(port: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = port.get("rules", {}).get("dns", [])
    return found


@pytest.mark.requirement("A18")
def test_it_is_restricted_and_its_disk_outlives_it() -> None:
    spec = stateful_set(platform())["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    pod = spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert "@sha256:" in pod["containers"][0]["image"]
