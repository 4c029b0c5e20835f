"""Add-ons: pinned, in their turn, bounded, and with values from the functions that know."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from generators.cluster import gpu, kueue, prometheus, rollouts, workflows
from generators.cluster.addon_delivery import PlatformAddons
from generators.cluster.addons import Addon, Turn, addons
from generators.inputs.folder import Inputs, read_inputs
from generators.inputs.platform import Platform
from generators.manifest import Wave
from generators.rendering import Files, Rendering, render_all
from generators.tests.samples import made, platform, sample_platform

BEFORE_ARGO = {"cilium.io"}  # docs/guides/bootstrap-a-cluster.md
OF_KUBERNETES = frozenset(
    f"{part}.k8s.io" for part in ("admissionregistration", "networking", "rbac.authorization", "resource", "scheduling")
)


def delivered(name: str = "addon-kueue", given: Platform | None = None) -> dict[str, Any]:
    return made(PlatformAddons, platform=given or platform())["argocd", "Application", name]


def istio() -> Platform:
    return sample_platform(trafficRouter="istio")


def claimed() -> Platform:
    flavor = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 16, "architecture": "turing"}
    other = flavor | {"deviceClass": "gpu.nvidia.com", "nodeLabels": {"pool": "claimed"}}
    return sample_platform(gpuFlavors={"t4": flavor, "h100": other})


def by_name(given: Platform) -> dict[str, Addon]:
    return {addon.name: addon for addon in addons(given)}


def wave(body: dict[str, Any]) -> int:
    return int(body["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))


@pytest.mark.parametrize("given", [platform(), istio(), claimed()], ids=["routes", "istio", "claims"])
@pytest.mark.requirement("A32")
def test_every_addon_is_a_locked_chart_by_digest(given: Platform) -> None:
    for addon in addons(given):
        source = delivered(f"addon-{addon.name}", given)["spec"]["source"]
        chart = given.chart(addon.name)
        assert source["repoURL"] == f"oci://{chart.repository}"
        assert source["targetRevision"] == f"sha256:{chart.digest}"
        assert ("helm" in source) != ("directory" in source)


def test_every_chart_of_the_lock_is_installed_somewhere() -> None:
    used = {name for given in (platform(), istio(), claimed()) for name in by_name(given)}
    assert used | {"cilium"} == set(platform().charts)


def test_what_the_platform_does_not_ask_for_is_not_there() -> None:
    assert not {"dra-driver", "istiod", "istio-base", "istio-cni", "istio-gateway"} & set(by_name(platform()))
    assert "gateway-api" not in by_name(istio())


def kinds_with_waves(files: Files) -> dict[str, int]:
    """`group/Kind` that Kubernetes does not have -> the wave of the first Application that delivers one."""
    bodies = {path: yaml.safe_load(text) for path, text in files.items()}
    applications = [body for body in bodies.values() if body["kind"] == "Application"]
    turns = {f"{body['spec']['source']['path']}/": wave(body) for body in applications}
    found: dict[str, int] = {}
    for path, body in bodies.items():
        group = body["apiVersion"].rpartition("/")[0]
        used = [turn for folder, turn in turns.items() if path.startswith(folder)]
        if used and "." in group and group not in OF_KUBERNETES:
            kind = f"{group}/{body['kind']}"
            found[kind] = min(found.get(kind, used[0]), used[0])
    return found


def assert_brought_in_time(files: Files, given: Platform) -> None:
    for kind, used in kinds_with_waves(files).items():
        group = kind.partition("/")[0]
        if group not in BEFORE_ARGO:
            (addon,) = (each for each in addons(given) if {kind, group} & set(each.brings))
            assert addon.turn < used, f"{kind} is used in wave {used}; {addon.name} brings it in {addon.turn}"


def test_each_kind_of_the_tree_is_brought_by_one_addon_before_it_is_used(rendering: Rendering, inputs: Inputs) -> None:
    assert len(kinds_with_waves(rendering.files)) > len(addons(inputs.platform))
    assert_brought_in_time(rendering.files, inputs.platform)


def test_each_kind_of_the_options_is_brought_by_one_addon_before_it_is_used(options: Path) -> None:
    read = read_inputs(options)
    assert_brought_in_time(render_all(read, processes=1).files, read.platform)


@pytest.mark.parametrize("given", [platform(), istio(), claimed()], ids=["routes", "istio", "claims"])
def test_what_an_addon_needs_first_comes_first(given: Platform) -> None:
    found = made(PlatformAddons, platform=given)
    waves = {name: wave(body) for (_, kind, name), body in found.items() if kind in {"Application", "AppProject"}}
    assert waves["addons"] < Turn.GROUND < min(turn for name, turn in waves.items() if name != "addons")
    after_the_platform = {name for name, turn in waves.items() if turn > Wave.ACCESS}
    assert after_the_platform == ({"addon-istio-gateway"} if given == istio() else set())
    assert waves["addon-prometheus"] < min(
        waves[f"addon-{name}"] for name in ("argo-rollouts", "gpu-operator", "kueue")
    )


@pytest.mark.parametrize("given", [platform(), istio(), claimed()], ids=["routes", "istio", "claims"])
@pytest.mark.requirement("B42")
def test_charts_reach_their_own_namespaces_and_no_other_source(given: Platform) -> None:
    spec = made(PlatformAddons, platform=given)["argocd", "AppProject", "addons"]["spec"]
    places = {each["namespace"] for each in spec["destinations"]}
    assert not [name for name in places if "*" in name or name.endswith(("-train", "-serve"))]
    assert {addon.namespace for addon in addons(given)} <= places
    assert set(spec["sourceRepos"]) == {given.chart(addon.name).url for addon in addons(given)}
    assert {"group": "", "kind": "Namespace"} not in spec["clusterResourceWhitelist"]
    assert {each["namespace"] for each in spec["destinationServiceAccounts"]} == places


def test_nothing_of_an_addon_is_deleted_unasked() -> None:
    body = delivered()
    assert "finalizers" not in body["metadata"]
    assert {"Prune=confirm", "CreateNamespace=false"} <= set(body["spec"]["syncPolicy"]["syncOptions"])


def test_what_istiod_changes_in_its_webhook_is_no_drift() -> None:
    spec = delivered("addon-istio-base", istio())["spec"]
    assert spec["ignoreDifferences"][0]["jqPathExpressions"] == [".webhooks[].failurePolicy"]
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]


def test_only_the_namespace_of_the_gpu_drivers_is_privileged() -> None:
    found = made(PlatformAddons, platform=platform())
    levels = {
        name: body["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for (_, kind, name), body in found.items()
        if kind == "Namespace"
    }
    assert levels.pop("gpu-operator") == "privileged"
    assert set(levels.values()) == {"restricted"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gpu-operator", gpu.operator_values(platform())),
        ("prometheus", prometheus.chart_values()),
        ("argo-rollouts", rollouts.chart_values(platform())),
    ],
)
def test_values_are_those_of_the_function_that_knows(name: str, values: dict[str, Any]) -> None:
    assert delivered(f"addon-{name}")["spec"]["source"]["helm"]["valuesObject"] == values


def test_kueue_is_told_its_whole_configuration() -> None:
    values = delivered()["spec"]["source"]["helm"]["valuesObject"]
    text = values["managerConfig"]["controllerManagerConfigYaml"]
    assert json.loads(text) == kueue.configuration(platform())


def test_the_chart_starts_the_workflow_controller_with_the_locked_executor() -> None:
    image = workflows.chart_values(platform())["executor"]["image"]
    assert f"{image['registry']}/{image['repository']}:{image['tag']}" == platform().image("argoexec")
    assert image["nonroot"] is False  # else the chart adds to the tag


def test_the_chart_of_the_workflow_controller_brings_no_settings_of_its_own() -> None:
    values = workflows.chart_values(platform())
    assert values["controller"]["configMap"] == {"create": False, "name": workflows.NAME}
    assert values["server"] == {"enabled": False}


def test_the_traffic_plugin_comes_out_of_a_locked_image_and_not_from_the_network() -> None:
    controller = rollouts.chart_values(platform())["controller"]
    (plugin,), (copy,) = controller["trafficRouterPlugins"], controller["initContainers"]
    assert plugin["location"] == "file:///plugins/rollouts-plugin-trafficrouter-gatewayapi"
    assert copy["image"] == platform().image("gatewayplugin")
    assert copy["command"][-1] == plugin["location"].removeprefix("file://")


@pytest.mark.parametrize(("given", "on"), [(platform(), "gatewayAPI"), (istio(), "istio")])
def test_the_rollouts_controller_has_rights_on_one_router_alone(given: Platform, on: str) -> None:
    routers = rollouts.chart_values(given)["providerRBAC"]["providers"]
    assert [name for name, wanted in routers.items() if wanted] == [on]


def test_no_target_of_prometheus_chooses_its_own_labels() -> None:
    spec = prometheus.chart_values()["prometheus"]["prometheusSpec"]
    assert spec["overrideHonorLabels"] is True
    assert spec["podMonitorSelectorNilUsesHelmValues"] is False  # else the tree's monitors are passed over


def test_claimed_devices_are_driven_on_the_nodes_of_their_flavors_alone() -> None:
    affinity = gpu.driver_values(claimed())["kubeletPlugin"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["claimed"]}]}
