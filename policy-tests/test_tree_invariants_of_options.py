"""Invariants over what the sample tree does not hold: schedules, roles of AWS, divided GPUs, other strategies."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolation.classes.inventory import Inventory
from isolation.classes.profile import Profile, read_profile
from isolation.manifests.tree import Document, Tree
from isolation.objects.credentials import buckets
from isolation.objects.ownership import offboarding, own_names
from isolation.objects.placement import gpu_sharing
from isolation.objects.rollouts import peak_gpus
from isolation.objects.workflows import schedules
from mutants.mutant import Body, inventory_of

TRAIN, SERVE = "acme-train", "acme-serve"
ROLE = "eks.amazonaws.com/role-arn"


def made(kind: str, namespace: str | None, name: str, body: Body, *, tenant: str | None = "acme") -> Document:
    """An object in the foundation of a tenant, or of the platform."""
    folder = ("tenants", tenant) if tenant else ("platform",)
    metadata = {"name": name, "namespace": namespace, **body.get("metadata", {})}
    whole = {**body, "kind": kind, "metadata": metadata}
    return Document(f"{name}.yaml", whole, {}, (*folder, "foundation", name))


@pytest.fixture(scope="session")
def profile(tree: Tree) -> Profile:
    return read_profile(tree)


def with_made(tree: Tree, *documents: Document) -> Inventory:
    return inventory_of(Tree((*tree.documents, *documents)))


def cron(line: str, **spec: Any) -> Document:
    spec = {"schedules": [line], "concurrencyPolicy": "Forbid", "timezone": "UTC", **spec}
    return made("CronWorkflow", TRAIN, "drift", {"spec": {**spec, "workflowSpec": {}}})


@pytest.mark.requirement("H27")
@pytest.mark.parametrize("line", ["0 3 * * *", "*/15 0-6 1,15 * 1-5"])
def test_a_time_that_comes_is_a_schedule(line: str, tree: Tree) -> None:
    assert schedules(with_made(tree, cron(line))).holds


@pytest.mark.requirement("H27")
@pytest.mark.parametrize("line", ["61 3 * * *", "0 24 * * *", "0 3 * *", "0 3 0 * *", "5-1 * * * *", "a * * * *", ""])
def test_a_time_that_never_comes_is_no_schedule(line: str, tree: Tree) -> None:
    assert not schedules(with_made(tree, cron(line))).holds


@pytest.mark.requirement("H27")
@pytest.mark.parametrize("change", [{"concurrencyPolicy": "Allow"}, {"timezone": "Europe/Berlin"}, {"schedules": []}])
def test_a_schedule_that_overlaps_or_shifts_is_refused(change: Body, tree: Tree) -> None:
    assert not schedules(with_made(tree, cron("0 3 * * *", **change))).holds


@pytest.mark.requirement("H20")
@pytest.mark.parametrize(
    ("roles", "holds"),
    [
        ({"step": "tenon-acme-step", "trainer": "tenon-acme-trainer"}, True),
        ({"step": "tenon-globex-step"}, False),
        ({"step": "tenon-acme-trainer"}, False),
        ({"step": None}, False),
        ({"step": "tenon-acme-step", "default": "tenon-acme-default"}, False),
    ],
)
def test_on_aws_each_account_has_the_role_of_its_own_bucket(
    roles: dict[str, str | None], *, holds: bool, profile: Profile
) -> None:
    accounts = [made("ServiceAccount", TRAIN, name, with_role(role)) for name, role in roles.items()]
    cloud = replace(profile, storage_mode="s3", region="eu-central-1")
    assert buckets(Inventory(Tree(tuple(accounts)), cloud, ("acme", "globex"))).holds is holds


def with_role(role: str | None) -> Body:
    return {"metadata": {"annotations": {ROLE: f"arn:aws:iam::123456789012:role/{role}"} if role else {}}}


@pytest.mark.requirement("H23")
@pytest.mark.parametrize(
    ("queues", "holds"),
    [({"acme"}, True), ({"globex"}, False), ({"acme", "initech"}, False), ({"acme", None}, False)],
    ids=["one tenant", "a hard tenant", "two tenants", "lent to all"],
)
def test_gpus_that_take_turns_are_one_standard_tenants(queues: set[str | None], *, holds: bool, tree: Tree) -> None:
    labels = {"nvidia.com/device-plugin.config": "shared"}
    flavor = made("ResourceFlavor", None, "shared", {"spec": {"nodeLabels": labels}}, tenant=None)
    group = {"spec": {"resourceGroups": [{"flavors": [{"name": "shared"}]}]}}
    users = [made("ClusterQueue" if each else "Cohort", None, f"of-{each}", group, tenant=each) for each in queues]
    divided = tree.changed(tree.one("Application", "argocd", "addon-gpu-operator"), divide)
    assert gpu_sharing(with_made(divided, flavor, *users)).holds is holds


def divide(body: Body) -> None:
    """Nodes labelled `shared` take turns."""
    config = {"default": "whole", "data": {"whole": "{}", "shared": '{"sharing": {}}'}}
    body["spec"]["source"]["helm"]["valuesObject"] = {"devicePlugin": {"config": config}}


def rollout(replicas: int, strategy: Body) -> Document:
    container = {"name": "server", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
    spec = {"replicas": replicas, "strategy": strategy, "template": {"spec": {"containers": [container]}}}
    return made("Rollout", SERVE, "m", {"spec": spec})


def canary(*weights: int, **changes: Any) -> Body:
    steps = [{"setWeight": weight} for weight in weights]
    return {"canary": {"steps": steps, "trafficRouting": {"plugins": {}}, "dynamicStableScale": True, **changes}}


@pytest.mark.requirement("H28")
@pytest.mark.parametrize(
    ("replicas", "strategy", "pods"),
    [
        (1, canary(5, 10, 25, 50, 100), 2),  # as many as a real controller was seen to make
        (2, canary(5, 10, 25, 50, 100), 3),
        (4, canary(5, 10, 25, 50, 100), 6),
        (8, canary(5, 10, 25, 50, 100), 12),
        (4, canary(5, 10, 25, 50, 75, 100), 5),
        (8, canary(5, 10, 25, 50, 75, 100), 10),
        (4, canary(50, 100, dynamicStableScale=False), 8),
        (4, canary(trafficRouting=None, maxSurge=0), 4),
        (4, canary(trafficRouting=None, maxSurge="25%"), 5),
        (3, {"blueGreen": {}}, 6),
    ],
)
def test_the_peak_of_a_change_is_what_the_controller_makes(
    replicas: int, strategy: Body, pods: int, tree: Tree
) -> None:
    assert peak_gpus(with_made(tree), rollout(replicas, strategy)) == 2 * pods


@pytest.mark.requirement("H28")
@pytest.mark.parametrize("scaler", ["HorizontalPodAutoscaler maxReplicas", "ScaledObject maxReplicaCount"])
def test_an_autoscaler_counts_with_the_most_that_it_may_ask_for(scaler: str, tree: Tree) -> None:
    kind, field = scaler.split()
    target = {"spec": {field: 5, "scaleTargetRef": {"kind": "Rollout", "name": "m"}}}
    assert peak_gpus(with_made(tree, made(kind, SERVE, "m", target)), rollout(1, {"blueGreen": {}})) == 20


NAMES = st.sampled_from(["acme-eu", "eu-acme", "s3-acme", "acmes", "train", "model", "step", "tenant"])


@pytest.mark.requirement("H2")
@given(other=NAMES)
def test_a_tenant_whose_id_begins_or_ends_as_anothers_is_told_apart(other: str, profile: Profile) -> None:
    both = ("acme", other)
    names = (f"{other}-train", f"tenon-{other}", f"s3-{other}", f"role/tenon-{other}-step", f"tenants/{other}/bucket")
    own = made(
        "ConfigMap", f"{other}-train", "c", {"data": {str(i): name for i, name in enumerate(names)}}, tenant=other
    )
    assert own_names(Inventory(Tree((own,)), profile, both)).holds
    for name in names:
        foreign = made("ConfigMap", TRAIN, "c", {"data": {"name": name}})
        assert not own_names(Inventory(Tree((foreign,)), profile, both)).holds, name


@pytest.mark.requirement("H31")
def test_what_stays_when_a_tenant_goes_does_not_name_it(profile: Profile) -> None:
    platform = made(
        "ConfigMap", "monitoring", "dashboard", {"data": {"query": 'up{namespace="acme-train"}'}}, tenant=None
    )
    assert not offboarding(Inventory(Tree((platform,)), profile, ("acme",))).holds
