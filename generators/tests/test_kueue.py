"""Quotas of GPUs: what a tenant is guaranteed, borrows, lends, and how idle ones are shared."""

from typing import Any

import pytest

from generators.cluster.queues import resource_flavor
from generators.foundation.kueue import cluster_queue, local_queue
from generators.tests.samples import platform, sample_tenant


def queue(guaranteed: int, borrow: int = 0) -> dict[str, Any]:
    gpus = {"flavor": "t4", "guaranteed": guaranteed, "borrow": borrow}
    return dict(cluster_queue(sample_tenant(training={"gpus": gpus}), platform())["spec"])


@pytest.mark.requirement("D64", "A34")
def test_a_queue_guarantees_borrows_and_lends_gpus_with_their_cores_and_memory() -> None:
    quotas = {each["name"]: each for each in queue(2, 1)["resourceGroups"][0]["flavors"][0]["resources"]}
    assert quotas["nvidia.com/gpu"] == {
        "name": "nvidia.com/gpu",
        "nominalQuota": "2",
        "borrowingLimit": "1",
        "lendingLimit": "2",
    }
    assert (quotas["cpu"]["nominalQuota"], quotas["memory"]["borrowingLimit"]) == ("16", "32Gi")


@pytest.mark.parametrize(("guaranteed", "weight"), [(0, "1"), (1, "1"), (8, "8")])
def test_idle_gpus_are_shared_by_what_each_is_guaranteed(guaranteed: int, weight: str) -> None:
    assert queue(guaranteed)["fairSharing"] == {"weight": weight}


@pytest.mark.requirement("D64")
def test_a_queue_takes_jobs_of_the_tenants_training_namespace_alone() -> None:
    labels = queue(1)["namespaceSelector"]["matchLabels"]
    assert labels == {"tenon.dev/tenant": "acme", "tenon.dev/plane": "train"}
    assert local_queue("acme")["spec"] == {"clusterQueue": "acme"}


@pytest.mark.requirement("D68")
def test_a_flavor_is_the_nodes_that_carry_it_and_the_taint_they_have() -> None:
    flavor = platform().gpu_flavors["t4"].model_copy(update={"node_labels": {"tenon.dev/gpu": "t4"}})
    spec = resource_flavor("t4", flavor)["spec"]
    assert spec["nodeLabels"] == {"tenon.dev/gpu": "t4"}
    (taint,), (toleration,) = spec["nodeTaints"], spec["tolerations"]
    assert (taint["key"], taint["effect"]) == (toleration["key"], toleration["effect"])
