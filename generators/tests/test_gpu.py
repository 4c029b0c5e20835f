"""GPU nodes: who divides a GPU and for whom, what reaches the device, what keeps others away."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from generators.cluster.gpu import device_classes, operator_values, plugin_config, taint_rule
from generators.cluster.queues import resource_flavor
from generators.inputs.folder import read_inputs
from generators.inputs.reading import InputErrors
from generators.restricted import GPU_TOLERATION
from generators.tests.samples import platform, sample_platform

FLAVOR = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 16, "architecture": "turing"}
PLATFORM, UMBRELLA, HOOLI = "platform.yaml", "tenants/umbrella.yaml", "tenants/hooli.yaml"


def divisions(**flavors: dict[str, Any]) -> dict[str, Any]:
    data = plugin_config(sample_platform(gpuFlavors={name: {**FLAVOR, **more} for name, more in flavors.items()}))
    return {name: json.loads(text) for name, text in data["data"].items()}


@pytest.mark.requirement("C52")
def test_only_nodes_of_a_shared_flavor_divide_their_gpus() -> None:
    made = divisions(t4={}, slices={"sharing": {"mode": "timeSlicing", "replicas": 4}})
    assert made["whole"] == {"version": "v1"}
    shared = {"failRequestsGreaterThanOne": True, "resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}
    assert made["slices"]["sharing"] == {"timeSlicing": shared}
    assert made.keys() == {"whole", "slices"}


def test_nodes_without_a_label_of_their_own_keep_gpus_whole() -> None:
    assert plugin_config(platform())["default"] == "whole"


def test_mps_is_the_other_way_to_divide() -> None:
    made = divisions(t4={"sharing": {"mode": "mps", "replicas": 2}})
    assert made["t4"]["sharing"]["mps"]["resources"] == [{"name": "nvidia.com/gpu", "replicas": 2}]


@pytest.mark.requirement("C51")
def test_an_images_environment_reaches_no_gpu() -> None:
    values = operator_values(platform())
    variables = {each["name"]: each["value"] for each in values["toolkit"]["env"]}
    assert variables["ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED"] == "false"
    assert values["cdi"]["enabled"]


@pytest.mark.requirement("C59")
def test_the_exporter_names_the_pod_that_holds_a_gpu() -> None:
    monitor = operator_values(platform())["dcgmExporter"]["serviceMonitor"]
    assert monitor == {"enabled": True, "honorLabels": False}


def test_gpu_nodes_are_tainted_and_what_runs_on_them_tolerates_it() -> None:
    (rule,) = taint_rule()["spec"]["rules"]
    (taint,) = rule["taints"]
    assert (taint["key"], taint["effect"]) == (GPU_TOLERATION["key"], GPU_TOLERATION["effect"])
    values = operator_values(platform())
    assert values["node-feature-discovery"]["master"]["enableTaints"]
    assert values["node-feature-discovery"]["worker"]["tolerations"] == [GPU_TOLERATION]
    flavor = resource_flavor("t4", platform().gpu_flavors["t4"])
    assert flavor["spec"]["tolerations"] == [GPU_TOLERATION]


@pytest.mark.requirement("D71")
def test_a_device_class_is_made_where_no_driver_brings_it() -> None:
    flavors = {"a": {**FLAVOR, "deviceClass": "gpu.nvidia.com"}, "b": {**FLAVOR, "deviceClass": "gpus.tenon.dev"}}
    classes = list(device_classes(sample_platform(gpuFlavors=flavors)))
    assert [each["metadata"]["name"] for each in classes] == ["gpus.tenon.dev"]


def test_no_class_of_ours_takes_the_resource_name_from_the_drivers_class() -> None:
    flavors = {"a": {**FLAVOR, "deviceClass": "gpus.tenon.dev"}}
    (body,) = device_classes(sample_platform(gpuFlavors=flavors))
    assert body["spec"].keys() == {"selectors"}


FAULTS = [
    pytest.param(
        (UMBRELLA, "sharing: timeSlicing", "sharing: mps"),
        "tenants/umbrella.yaml: training.gpus.sharing: 'mps' is not how flavor t4-shared shares its GPUs; "
        "write timeSlicing or choose another flavor",
        id="another way to share",
    ),
    pytest.param(
        (UMBRELLA, ", sharing: timeSlicing", ""),
        "tenants/umbrella.yaml: training.gpus.sharing: 'none' is not how flavor t4-shared shares its GPUs",
        id="sharing that the tenant does not name",
    ),
    pytest.param(
        (HOOLI, "flavor: h100,", "flavor: h100, sharing: timeSlicing,"),
        "tenants/hooli.yaml: training.gpus.sharing: 'timeSlicing' is not how flavor h100 shares its GPUs; write none",
        id="sharing that the flavor has not",
    ),
    pytest.param(
        (UMBRELLA, "training:", "isolation: hard\ntraining:"),
        "tenants/umbrella.yaml: isolation: flavor t4-shared shares GPUs and isolation is hard",
        id="a shared GPU for jobs that are kept apart",
    ),
    pytest.param(
        ("tenants/vandelay.yaml", "flavor: h100,", "flavor: t4-shared, sharing: timeSlicing,"),
        "tenants/vandelay.yaml: training.gpus.flavor: flavor t4-shared shares GPUs without memory isolation, "
        "and tenant umbrella is on it already; choose another flavor",
        id="two tenants on shared GPUs",
    ),
    pytest.param(
        (PLATFORM, "nvidia.com/device-plugin.config: t4-shared", "example.org/other: x"),
        "platform.yaml: gpuFlavors.t4-shared.nodeLabels: nvidia.com/device-plugin.config is None and has to be",
        id="nodes that nothing divides",
    ),
    pytest.param(
        (PLATFORM, "{tenon.dev/gpu: h100,", "{nvidia.com/device-plugin.config: t4-shared,"),
        "platform.yaml: gpuFlavors.h100.nodeLabels: nvidia.com/device-plugin.config: t4-shared divides GPUs",
        id="nodes that are divided and not said to be",
    ),
    pytest.param(
        (PLATFORM, "capacity: 16, sharing:", "capacity: 16, shared: 2, sharing:"),
        "platform.yaml: gpuFlavors.t4-shared.shared: 2 GPUs for any tenant to borrow",
        id="shared GPUs to borrow",
    ),
    pytest.param(
        (PLATFORM, "deviceClass: h100.tenon.example, ", ""),
        "tenants/hooli.yaml: training.claims: 'dra' needs a DeviceClass and flavor h100 has none",
        id="a claim without a class",
    ),
    pytest.param(
        (UMBRELLA, "training:", "training:\n  claims: dra"),
        "tenants/umbrella.yaml: training.claims: 'dra' claims whole GPUs and flavor t4-shared shares them",
        id="a claim of a shared GPU",
    ),
    pytest.param(
        (PLATFORM, ', nvidia.com/gpu.deploy.device-plugin: "false"', ""),
        "platform.yaml: gpuFlavors.h100.nodeLabels: nvidia.com/gpu.deploy.device-plugin is None and has to be 'false', "
        "because the DRA driver offers the GPUs of these nodes; label them and name it here",
        id="two drivers that offer one GPU",
    ),
    pytest.param(
        (PLATFORM, "{tenon.dev/gpu: t4}", '{tenon.dev/gpu: t4, nvidia.com/gpu.deploy.device-plugin: "false"}'),
        "platform.yaml: gpuFlavors.t4.nodeLabels: nvidia.com/gpu.deploy.device-plugin: false is for flavors with a",
        id="GPUs that no driver offers",
    ),
    pytest.param(
        (HOOLI, "mostMemoryGiB: 512", "mostMemoryGiB: 16"),
        "tenants/hooli.yaml: training.resize.mostMemoryGiB: 16 is less than a pod of recipe",
        id="a bound below the beginning",
    ),
]


@pytest.mark.parametrize("options", ["aws"], indirect=True)
@pytest.mark.parametrize(("change", "said"), FAULTS)
def test_an_option_that_the_flavor_has_not_is_refused(options: Path, change: tuple[str, str, str], said: str) -> None:
    file, old, new = change
    text = (options / file).read_text(encoding="utf-8")
    assert old in text
    (options / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputErrors) as refused:
        read_inputs(options)
    assert said in re.sub(r"yaml:\d+:", "yaml:", str(refused.value))
