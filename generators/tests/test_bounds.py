"""What bounds a tenant beside its queue: numbers of objects, sizes of containers, one cloud role for each account."""

from typing import Any

import pytest

from generators import naming
from generators.foundation.quota import ServingQuota, TrainingQuota, container_bounds, hard_limits, object_limits
from generators.foundation.rbac import TenantAccounts
from generators.tests.samples import SERVE, TRAIN, made, platform, sample_tenant

RESIZED = {"training": {"gpus": {"flavor": "t4", "guaranteed": 1}, "resize": {"mostMemoryGiB": 64}}}
GPU = "nvidia.com/gpu"


def roles(mode: str, **changes: object) -> dict[tuple[str, str], str]:
    objects = made(TenantAccounts, tenant=sample_tenant(**changes), platform=platform(mode))
    accounts = {key: body["metadata"] for key, body in objects.items() if key[1] == "ServiceAccount"}
    return {
        (namespace, name): metadata["annotations"][naming.ROLE]
        for (namespace, _, name), metadata in accounts.items()
        if naming.ROLE in metadata.get("annotations", {})
    }


def test_pods_and_jobs_are_counted_in_serve_alone() -> None:
    assert {"pods", "count/jobs.batch"} <= hard_limits(sample_tenant(), platform()).keys()
    assert not [key for key in object_limits() if "pods" in key or "jobs" in key]


def test_no_namespace_has_disks_node_ports_or_load_balancers() -> None:
    none = {"count/persistentvolumeclaims", "services.loadbalancers", "services.nodeports"}
    for hard in (object_limits(), hard_limits(sample_tenant(), platform())):
        assert {key for key in none if hard[key] == "0"} == none


def test_one_container_may_have_the_whole_quota_and_no_more() -> None:
    tenant = sample_tenant(serving={"gpus": 3})
    hard, bounds = hard_limits(tenant, platform()), container_bounds(tenant, platform())
    assert bounds["max"] == {"cpu": hard["limits.cpu"], "memory": hard["limits.memory"], GPU: "3"}


def test_a_container_that_names_no_gpu_gets_none() -> None:
    bounds = container_bounds(sample_tenant(), platform())
    assert bounds["default"][GPU] == bounds["defaultRequest"][GPU] == "0"


@pytest.mark.requirement("D72")
def test_memory_of_a_running_rank_is_raised_within_the_tenants_bound() -> None:
    bounded = made(TrainingQuota, tenant=sample_tenant(**RESIZED), platform=platform())
    (limit,) = bounded[TRAIN, "LimitRange", "training"]["spec"]["limits"]
    assert limit["max"] == {"memory": "64Gi"}
    assert limit["default"]["memory"] != limit["max"]["memory"]


@pytest.mark.parametrize("changes", [{}, RESIZED])
def test_a_training_container_that_names_nothing_gets_little_and_gpus_stay_kueues(changes: dict[str, Any]) -> None:
    bounded = made(TrainingQuota, tenant=sample_tenant(**changes), platform=platform())
    (limit,) = bounded[TRAIN, "LimitRange", "training"]["spec"]["limits"]
    assert limit["default"] == {"cpu": "1", "memory": "2Gi"}
    assert limit["defaultRequest"] == {"cpu": "250m", "memory": "512Mi"}
    assert GPU not in str(limit)


def test_serving_has_its_quota_and_its_bounds() -> None:
    objects = made(ServingQuota, tenant=sample_tenant(), platform=platform())
    assert objects.keys() == {(SERVE, "ResourceQuota", "serving"), (SERVE, "LimitRange", "serving")}


def test_on_aws_each_account_that_touches_data_has_a_role_of_its_own() -> None:
    arn = "arn:aws:iam::123456789012:role/tenon-acme-"
    assert roles("s3") == {
        (TRAIN, "step"): f"{arn}step",
        (TRAIN, "trainer"): f"{arn}trainer",
        (SERVE, "model"): f"{arn}model",
    }


def test_slots_have_roles_too() -> None:
    found = roles("s3", isolation="hard", limits={"runningJobs": 2})
    assert len(set(found.values())) == len(found) == 4


def test_a_roles_name_is_one_that_aws_takes() -> None:
    longest = naming.role("123456789012", bucket=naming.bucket("p" * 20, "t" * 32), account="trainer-99")
    assert len(longest.rpartition("/")[2]) <= 64


def test_in_the_clusters_own_store_nobody_has_a_role() -> None:
    assert not roles("inCluster")


def test_a_way_to_the_data_is_taken_away_by_a_person() -> None:
    objects = made(TenantAccounts, tenant=sample_tenant(), platform=platform("s3"))
    annotations = objects[SERVE, "ServiceAccount", "model"]["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=confirm,Delete=confirm"
