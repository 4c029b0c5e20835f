"""What a tenant's own Application may bring is what is rendered for it; what the Rollouts controller writes is left."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from generators.foundation import delivered
from generators.foundation.delivery import ISOLATION_KINDS, tenant_project, workloads, written_by_rollouts
from generators.foundation.rbac import serving_grants, training_grants
from generators.inputs.folder import read_inputs
from generators.rendering import Rendering, render_all
from generators.tests.samples import platform, record, sample_platform, sample_tenant

REPOSITORY = Path(__file__).parents[2]
WRITE = {"get", "list", "watch", "create", "update", "patch", "delete"}
PROMOTE = {"apiGroups": ["argoproj.io"], "resources": ["rollouts/status"], "verbs": ["patch"]}
Found = set[tuple[str, str]]


@pytest.fixture(scope="module")
def trees(rendering: Rendering, tmp_path_factory: pytest.TempPathFactory) -> list[Rendering]:
    """The sample tree, and the two that take every other option."""
    made = [rendering]
    for name in ("aws", "istio"):
        root = tmp_path_factory.mktemp(name)
        shutil.copytree(REPOSITORY / "policy-tests" / "options" / name, root, dirs_exist_ok=True)
        for lock in ("images.lock", "charts.lock"):
            shutil.copy(REPOSITORY / lock, root)
        made.append(render_all(read_inputs(root)))
    return made


def kinds(tree: Rendering, plane: str) -> Found:
    """Group and kind, as file names spell them, of everything below workloads/<tenant>-<plane>."""
    files = [path.split("/") for path in tree.files if "/workloads/" in path]
    named = [name.split("_") for *_, namespace, name in files if namespace.endswith(f"-{plane}")]
    return {("" if group == "core" else group, kind) for group, kind, *_ in named}


def listed(found: tuple[delivered.Kind, ...]) -> Found:
    return {(each.group, each.kind.lower()) for each in found}


def test_a_tenants_application_brings_the_listed_kinds_alone(trees: list[Rendering]) -> None:
    for tree in trees:
        router = "istio" if any("networking.istio.io_" in path for path in tree.files) else "gatewayApi"
        assert kinds(tree, "serve") <= listed(delivered.serving(sample_platform(trafficRouter=router)))
        assert kinds(tree, "train") <= listed(delivered.TRAINING)


def test_no_kind_is_listed_that_no_option_renders(trees: list[Rendering]) -> None:
    serving = {kind for tree in trees for kind in kinds(tree, "serve")}
    for router in ("gatewayApi", "istio"):
        assert listed(delivered.serving(sample_platform(trafficRouter=router))) <= serving
    assert listed(delivered.TRAINING) <= {kind for tree in trees for kind in kinds(tree, "train")}


def test_project_and_deployer_hold_the_same_list() -> None:
    spec = tenant_project("acme", platform())["spec"]
    allowed = {(each["group"], each["kind"].lower()) for each in spec["namespaceResourceWhitelist"]}
    assert allowed == listed(delivered.TRAINING) | listed(delivered.serving(platform()))
    assert written(serving_grants(sample_tenant(), platform())) == resources(delivered.serving(platform()))
    assert written(training_grants(sample_tenant())) == resources(delivered.TRAINING)


def test_no_listed_kind_is_one_that_isolates() -> None:
    for router in ("gatewayApi", "istio"):
        for group, kind in listed(delivered.TRAINING) | listed(
            delivered.serving(sample_platform(trafficRouter=router))
        ):
            assert {(group, kind), (group, "*")}.isdisjoint((group, kind.lower()) for group, kind in ISOLATION_KINDS)


def test_owners_promote_by_the_status_of_a_rollout_and_change_nothing_else() -> None:
    (owners,) = [grant for grant in serving_grants(sample_tenant(), platform()) if grant.name == "owners"]
    changing = [rule for rule in owners.rules if not set(rule["verbs"]) <= {"get", "list", "watch"}]
    assert changing == [PROMOTE]
    assert {"rollouts", "analysisruns", "experiments", "replicasets", "pods", "httproutes"} <= seen_by_owners({})


def test_owners_see_the_kinds_of_a_mesh_and_of_ray_where_they_are() -> None:
    mesh = seen_by_owners({"trafficRouter": "istio"})
    assert {"destinationrules", "virtualservices"} <= mesh
    assert mesh.isdisjoint({"httproutes", "rayservices"})
    models = {"replies": record(runtime="ray", strategy="blueGreen")}
    assert {"rayclusters", "rayservices"} <= seen_by_owners({}, models=models)


def test_owners_promote_and_abort_in_argo_cd_within_their_own_project_alone() -> None:
    (role,) = tenant_project("acme", platform())["spec"]["roles"]
    assert role["groups"] == ["tenon:acme"]
    assert "jwtTokens" not in role
    may = [policy.split(", ") for policy in role["policies"]]
    assert {(what, action) for _, _, what, action, _, _ in may} == {
        ("applications", "get"),
        ("applications", "action/argoproj.io/Rollout/resume"),
        ("applications", "action/argoproj.io/Rollout/abort"),
    }
    assert {(who, where) for _, who, _, _, where, _ in may} == {("proj:acme:promoter", "acme/*")}


def test_argo_cd_promotes_as_the_deployer() -> None:
    (deployer,) = [grant for grant in serving_grants(sample_tenant(), platform()) if grant.name == "deployer"]
    assert PROMOTE in deployer.rules


@pytest.mark.requirement("B41")
def test_argo_cd_leaves_what_a_canary_writes_and_nothing_more() -> None:
    spec = workloads("acme", platform())["spec"]
    ignored = {each["kind"]: each for each in spec["ignoreDifferences"]}
    assert spec["ignoreDifferences"] == written_by_rollouts(platform())
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]
    assert ignored.keys() == {"Service", "HTTPRoute"}
    assert ignored["Service"]["jsonPointers"] == ["/spec/selector/rollouts-pod-template-hash"]
    # not only while a label says that a canary goes on: Argo CD asks each side by itself, and Git's has no label
    assert ignored["HTTPRoute"]["jqPathExpressions"] == [".spec.rules[].backendRefs[].weight"]


def test_argo_cd_leaves_the_weights_of_whichever_router_splits_them() -> None:
    mesh = workloads("acme", sample_platform(trafficRouter="istio"))["spec"]["ignoreDifferences"]
    assert [each["kind"] for each in mesh] == ["Service", "VirtualService"]
    assert mesh[1]["jqPathExpressions"] == [".spec.http[].route[].weight"]


def seen_by_owners(settings: dict[str, Any], **tenant: Any) -> set[str]:
    grants = serving_grants(sample_tenant(**tenant), sample_platform(**settings))
    (owners,) = [grant for grant in grants if grant.name == "owners"]
    return {resource for rule in owners.rules for resource in rule["resources"]}


def written(grants: list[Any]) -> set[tuple[str, str]]:
    (deployer,) = [grant for grant in grants if grant.name == "deployer"]
    rules = [rule for rule in deployer.rules if rule != PROMOTE]
    assert all(set(rule["verbs"]) == WRITE for rule in rules)
    return {(rule["apiGroups"][0], resource) for rule in rules for resource in rule["resources"]}


def resources(found: tuple[delivered.Kind, ...]) -> set[tuple[str, str]]:
    return {(each.group, each.resource) for each in found}
