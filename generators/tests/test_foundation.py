"""The ground of a tenant: namespaces, accounts, quota, queues, directory, delivery."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from app.contract.directory import DIRECTORY_KEY, PlatformEntry, TenantEntry, directory_name
from generators import naming
from generators.cluster.queues import cohort
from generators.foundation.delivery import ISOLATION_KINDS
from generators.foundation.kueue import cluster_queue
from generators.foundation.quota import hard_limits, object_limits
from generators.inputs.folder import Inputs
from generators.rendering import Rendering
from generators.tests.conftest import REPOSITORY

Body = dict[str, Any]
FORBIDDEN_VERBS = {"*", "bind", "escalate", "impersonate"}
FORBIDDEN_RESOURCES = {
    *("*", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "nodes/proxy"),
    *("secrets", "serviceaccounts/token", "roles", "rolebindings", "networkpolicies", "ciliumnetworkpolicies"),
    *("resourcequotas", "limitranges", "namespaces"),
}


@pytest.fixture(scope="module")
def bodies(rendering: Rendering) -> dict[str, Body]:
    return {path: yaml.safe_load(text) for path, text in rendering.files.items()}


def of_kind(bodies: dict[str, Body], kind: str, *, below: str = "/tenants/") -> Iterator[Body]:
    return (body for path, body in bodies.items() if body["kind"] == kind and below in path)


def one(bodies: dict[str, Body], ending: str) -> Body:
    (found,) = [body for path, body in bodies.items() if path.endswith(ending)]
    return found


def test_every_namespace_is_restricted_and_asks_before_it_goes(bodies: dict[str, Body]) -> None:
    namespaces = list(of_kind(bodies, "Namespace", below="/"))
    assert len(namespaces) > 2 * 3 + 7
    for namespace in namespaces:
        labels, annotations = namespace["metadata"]["labels"], namespace["metadata"]["annotations"]
        if namespace["metadata"]["name"] == "gpu-operator":  # test_addons.py says why
            continue
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=confirm,Delete=confirm"


def test_a_tenant_has_one_namespace_for_each_plane(bodies: dict[str, Body]) -> None:
    planes = {
        (body["metadata"]["name"], body["metadata"]["labels"][naming.PLANE_LABEL])
        for body in of_kind(bodies, "Namespace", below="/tenants/acme/")
    }
    assert planes == {("acme-train", "train"), ("acme-serve", "serve")}


def test_what_isolates_stands_in_an_earlier_wave_than_what_runs(bodies: dict[str, Body]) -> None:
    def wave(body: Body) -> int:
        return int(body["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])

    isolating = ("Namespace", "ResourceQuota", "Role", "NetworkPolicy", "CiliumNetworkPolicy", "ClusterQueue")
    running = ("WorkflowTemplate", "Deployment", "Service", "Rollout")
    latest = max(wave(body) for kind in isolating for body in of_kind(bodies, kind))
    assert latest < 0
    assert latest < min(wave(body) for kind in running for body in of_kind(bodies, kind))


def test_no_account_mounts_a_token_by_itself(bodies: dict[str, Body]) -> None:
    accounts = list(of_kind(bodies, "ServiceAccount", below="/"))
    assert {account["automountServiceAccountToken"] for account in accounts} == {False}


@pytest.mark.parametrize(
    ("tenant", "expected"),
    [
        ("acme", {"default", "executor", "step", "trainer"}),
        ("globex", {"default", "executor", "step", "trainer-0", "trainer-1", "trainer-2"}),
    ],
)
def test_training_has_one_account_for_each_role_and_hard_isolation_one_for_each_slot(
    bodies: dict[str, Body], tenant: str, expected: set[str]
) -> None:
    accounts = of_kind(bodies, "ServiceAccount", below=f"/tenants/{tenant}/foundation/{tenant}-train/")
    assert {account["metadata"]["name"] for account in accounts} == expected


def test_no_pod_can_be_made_by_a_job_as_the_deployer(bodies: dict[str, Body]) -> None:
    deployers = [
        account["metadata"]["namespace"]
        for account in of_kind(bodies, "ServiceAccount")
        if account["metadata"]["name"] == naming.DEPLOYER
    ]
    assert deployers == ["acme-serve", "globex-serve", "initech-serve"]


def test_no_role_of_a_tenant_can_widen_itself_or_touch_what_isolates(bodies: dict[str, Body]) -> None:
    rules = [rule for role in of_kind(bodies, "Role") for rule in role["rules"]]
    assert rules
    for rule in rules:
        assert not FORBIDDEN_VERBS & set(rule["verbs"])
        assert not FORBIDDEN_RESOURCES & set(rule["resources"])
        assert "*" not in rule["apiGroups"]


def test_a_tenants_tree_binds_no_cluster_role_and_no_other_tenant(bodies: dict[str, Body]) -> None:
    for body in of_kind(bodies, "RoleBinding"):
        tenant = body["metadata"]["labels"][naming.TENANT_LABEL]
        assert body["roleRef"]["kind"] == "Role"
        homes = {subject.get("namespace", tenant) for subject in body["subjects"]}
        assert homes <= {f"{tenant}-train", f"{tenant}-serve", naming.SYSTEM_NAMESPACE, tenant}


@pytest.mark.parametrize(("tenant", "resource"), [("acme", "jobsets"), ("globex", "trainjobs"), ("initech", "rayjobs")])
def test_the_executor_may_create_and_end_the_tenants_own_runner_and_nothing_else(
    bodies: dict[str, Body], tenant: str, resource: str
) -> None:
    role = one(bodies, f"{tenant}-train/rbac.authorization.k8s.io_role_executor.yaml")
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["workflowtaskresults"], ["create", "patch"]),
        ([resource], ["create", "delete", "get", "list"]),
    ]


def test_the_only_secret_is_the_executors_token_and_holds_no_data(bodies: dict[str, Body]) -> None:
    secrets = list(of_kind(bodies, "Secret", below="/"))
    assert {secret["metadata"]["name"] for secret in secrets} == {"executor.service-account-token"}
    assert not any("data" in secret or "stringData" in secret for secret in secrets)
    assert {secret["type"] for secret in secrets} == {"kubernetes.io/service-account-token"}


def test_training_quota_counts_objects_and_leaves_gpus_and_jobs_to_kueue() -> None:
    assert not any("gpu" in key or key.startswith(("pods", "requests", "limits")) for key in object_limits())
    assert not any(key.startswith(("count/jobs", "count/pods", "count/workflows")) for key in object_limits())


def test_serving_quota_holds_the_gpus_of_the_tenant_file(inputs: Inputs) -> None:
    limits = {tenant.id: hard_limits(tenant, inputs.platform) for tenant in inputs.tenants}
    assert {tenant: hard["requests.nvidia.com/gpu"] for tenant, hard in limits.items()} == {
        "acme": "4",
        "globex": "6",
        "initech": "2",
    }
    assert all(isinstance(value, str) for hard in limits.values() for value in hard.values())


@pytest.mark.requirement("D64")
def test_a_queue_guarantees_and_borrows_what_the_tenant_file_says(inputs: Inputs) -> None:
    spec = cluster_queue(inputs.tenants[0], inputs.platform)["spec"]
    (group,) = spec["resourceGroups"]
    quotas = {each["name"]: (each["nominalQuota"], each["borrowingLimit"]) for each in group["flavors"][0]["resources"]}
    assert quotas == {"cpu": ("16", "16"), "memory": ("64Gi", "64Gi"), "nvidia.com/gpu": ("2", "2")}
    assert spec["namespaceSelector"]["matchLabels"] == {naming.TENANT_LABEL: "acme", naming.PLANE_LABEL: "train"}


@pytest.mark.requirement("D64")
def test_the_cohort_lends_what_no_tenant_is_guaranteed(inputs: Inputs) -> None:
    (group,) = cohort(inputs.platform)["spec"]["resourceGroups"]
    shared = {flavor["name"]: flavor["resources"][-1]["nominalQuota"] for flavor in group["flavors"]}
    assert shared == {"t4": "4", "h100": "4"}


def test_the_directory_holds_what_the_tenant_file_says_and_the_template_that_is_rendered(
    bodies: dict[str, Body], rendering: Rendering
) -> None:
    text = one(bodies, f"core_configmap_{directory_name('acme')}.yaml")["data"][DIRECTORY_KEY]
    entry = TenantEntry.model_validate_json(text)
    assert (entry.bucket, entry.training_namespace, entry.callbacks) == (
        "tenon-acme",
        "acme-train",
        ("hooks.acme.example",),
    )
    assert entry.workflow_templates
    for name in entry.workflow_templates.values():
        assert any(path.endswith(f"_workflowtemplate_{name}.yaml") for path in rendering.files)


def test_the_platforms_directory_holds_catalogue_and_recipes(bodies: dict[str, Body], inputs: Inputs) -> None:
    text = one(bodies, f"core_configmap_{directory_name('platform')}.yaml")["data"][DIRECTORY_KEY]
    entry = PlatformEntry.model_validate_json(text)
    assert set(entry.catalogue) == set(inputs.platform.catalogue)
    assert entry.models_bucket == "tenon-models"
    assert {base.recipe for base in entry.catalogue.values()} <= set(entry.recipes)
    assert set(entry.recipe_entries) == set(entry.recipes)


def test_a_tenants_project_reaches_its_two_namespaces_and_delivers_no_isolation(bodies: dict[str, Body]) -> None:
    spec = one(bodies, "argoproj.io_appproject_acme.yaml")["spec"]
    assert [each["namespace"] for each in spec["destinations"]] == ["acme-train", "acme-serve"]
    assert spec["clusterResourceWhitelist"] == []
    assert {(each["group"], each["kind"]) for each in spec["namespaceResourceBlacklist"]} == set(ISOLATION_KINDS)
    assert [each["defaultServiceAccount"] for each in spec["destinationServiceAccounts"]] == ["acme-serve:deployer"]


def test_a_tenants_workloads_are_of_kinds_that_its_project_and_its_deployer_may_apply(bodies: dict[str, Body]) -> None:
    for path, body in bodies.items():
        if "/workloads/" not in path:
            continue
        group = body["apiVersion"].split("/")[0] if "/" in body["apiVersion"] else ""
        assert {(group, "*"), (group, body["kind"])}.isdisjoint(ISOLATION_KINDS)
        role = one(bodies, f"/{body['metadata']['namespace']}/rbac.authorization.k8s.io_role_deployer.yaml")
        granted = {(rule["apiGroups"][0], resource) for rule in role["rules"] for resource in rule["resources"]}
        assert (group, f"{body['kind'].lower()}s") in granted


def test_cluster_kinds_of_foundations_are_those_that_the_platforms_project_allows(bodies: dict[str, Body]) -> None:
    spec = one(bodies, "argoproj.io_appproject_platform.yaml")["spec"]
    allowed = {(each["group"], each["kind"]) for each in spec["clusterResourceWhitelist"]}
    rendered = {
        (body["apiVersion"].split("/")[0] if "/" in body["apiVersion"] else "", body["kind"])
        for body in bodies.values()
        if "namespace" not in body["metadata"]
    }
    assert rendered == allowed


def test_every_application_syncs_a_folder_that_is_rendered_and_refuses_an_empty_one(
    bodies: dict[str, Body], rendering: Rendering
) -> None:
    applications = [
        body for body in of_kind(bodies, "Application", below="/") if body["spec"]["project"] != "addons"
    ]  # charts: test_addons.py
    assert len(applications) == 2 * 3 + 2
    for application in applications:
        folder = application["spec"]["source"]["path"]
        assert any(path.startswith(f"{folder}/") for path in rendering.files)
        assert application["spec"]["syncPolicy"]["automated"]["allowEmpty"] is False


def test_the_bootstrap_names_the_platforms_repository_and_cluster(inputs: Inputs) -> None:
    project, application = yaml.safe_load_all((REPOSITORY / "argocd" / "root.yaml").read_text(encoding="utf-8"))
    assert project["spec"]["sourceRepos"] == [inputs.platform.repository]
    assert application["spec"]["source"]["repoURL"] == inputs.platform.repository
    assert application["spec"]["source"]["path"] == f"rendered/{inputs.platform.cluster}"


def test_argo_cds_default_project_permits_nothing(bodies: dict[str, Body]) -> None:
    spec = one(bodies, "argoproj.io_appproject_default.yaml")["spec"]
    assert spec["sourceRepos"] == spec["destinations"] == spec["clusterResourceWhitelist"] == []
