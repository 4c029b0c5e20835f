"""GPU nodes: what finds, taints and offers their GPUs.

The GPU operator brings driver, container toolkit, device plugin, DCGM exporter, RuntimeClass `nvidia` and Node Feature
Discovery; it is an add-on by chart, and its values are made here, because they follow the GPU flavors. Nodes carry
their flavor's nodeLabels from the day they join. Of one with `sharing` the label by which the device plugin divides a
GPU is among them, of one with `deviceClass` the label that turns that plugin off, so that the queue's flavor and what
the node offers cannot fall apart.
"""

import json
from collections.abc import Iterator
from typing import Any

from generators import naming, restricted, versions
from generators.cluster.admission.pods import GPU_RUNTIME
from generators.foundation.quota import GPU
from generators.inputs.platform import GpuFlavor, Platform, Sharing
from generators.manifest import Construct, Place, Wave, manifest

PLUGIN_CONFIG = "device-plugin-config"  # ConfigMap that the operator's chart makes
WHOLE = "whole"  # of nodes whose label names no other division
NVIDIA_PCI = "10de"
DRA_DRIVER = "gpu.nvidia.com"
ANY_GPU = {"nvidia.com/gpu.present": "true"}  # the GPU operator's label
_LABELS = dict(naming.MANAGED_BY)


class PlatformGpus(Construct):
    """The rule that taints GPU nodes, and DeviceClasses of our own."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        flavors = "platform.yaml gpuFlavors"
        manifest(self, taint_rule(), at=Place("foundation", None, flavors, Wave.CONFIG))
        for body in device_classes(platform):
            manifest(self, body, at=Place("foundation", None, flavors, Wave.CONFIG))


def operator_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `gpu-operator`.

    A pod gets the GPUs that the device plugin gives it and no others: an image whose environment says
    NVIDIA_VISIBLE_DEVICES=all would get every GPU of its node from the toolkit's default.
    """
    variables = {
        "ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED": "false",
        "ACCEPT_NVIDIA_VISIBLE_DEVICES_AS_VOLUME_MOUNTS": "true",
    }
    return {
        "cdi": {"enabled": True},  # the kubelet hands devices to the runtime by name
        "daemonsets": {"tolerations": [restricted.GPU_TOLERATION]},
        # each GPU's use with the pod that holds it: Prometheus keeps the pod's namespace as `exported_namespace`
        "dcgmExporter": {"enabled": True, "serviceMonitor": {"enabled": True, "honorLabels": False}},
        "devicePlugin": {"config": plugin_config(platform)},
        "mig": {"strategy": "single"},
        "nfd": {"enabled": True},
        "node-feature-discovery": {
            "master": {"enableTaints": True},
            "worker": {"tolerations": [restricted.GPU_TOLERATION]},
        },
        "operator": {"runtimeClass": GPU_RUNTIME},
        "toolkit": {"env": [{"name": name, "value": value} for name, value in variables.items()]},
    }


def driver_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `dra-driver-nvidia-gpu`: GPUs as devices, on the nodes of flavors that are claimed.

    Its plugin and the device plugin may not share a node, so the flavor's nodeLabels turn the device plugin off. What
    asks for `nvidia.com/gpu` there, servers and tenants without claims, gets its GPUs from this driver all the same:
    the chart's own DeviceClass names that resource, and Kubernetes 1.36 (DRAExtendedResource, on by default) makes the
    claim. Kueue 0.19 counts both alike. Compute domains would want a webhook with certificates, and nothing here asks
    for one.
    """
    claimed = [flavor.node_labels or ANY_GPU for flavor in platform.gpu_flavors.values() if flavor.device_class]
    terms = [{"matchExpressions": [_is(label) for label in sorted(labels.items())]} for labels in claimed]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {
        "gpuResourcesEnabledOverride": True,  # asked for by the chart, because of the device plugin
        "nvidiaDriverRoot": "/run/nvidia/driver",  # where the GPU operator's driver is
        "resources": {"gpus": {"enabled": True}, "computeDomains": {"enabled": False}},
        "webhook": {"enabled": False},
        "kubeletPlugin": {"tolerations": [restricted.GPU_TOLERATION], "affinity": {"nodeAffinity": required}},
    }


def _is(label: tuple[str, str]) -> dict[str, Any]:
    key, value = label
    return {"key": key, "operator": "In", "values": [value]}


def plugin_config(platform: Platform) -> dict[str, Any]:
    """How nodes divide their GPUs: whole, unless the node's label names a flavor that shares them."""
    shared = {name: flavor.sharing for name, flavor in platform.gpu_flavors.items() if flavor.sharing}
    divisions = {WHOLE: _division(None)} | {name: _division(sharing) for name, sharing in shared.items()}
    return {"create": True, "name": PLUGIN_CONFIG, "default": WHOLE, "data": divisions}


def taint_rule() -> dict[str, Any]:
    """Keeps pods without a GPU off the nodes that have one. Node Feature Discovery taints those it finds."""
    device = {
        "feature": "pci.device",
        "matchExpressions": {
            "class": {"op": "In", "value": ["0300", "0302"]},  # display and 3D controllers
            "vendor": {"op": "In", "value": [NVIDIA_PCI]},
        },
    }
    taint = {"key": GPU, "value": "present", "effect": "NoSchedule"}
    return {
        "apiVersion": versions.NODE_FEATURES,
        "kind": "NodeFeatureRule",
        "metadata": {"name": "tenon-gpu-nodes", "labels": _LABELS},
        "spec": {"rules": [{"name": "gpu", "matchFeatures": [device], "taints": [taint]}]},
    }


def device_classes(platform: Platform) -> Iterator[dict[str, Any]]:
    """DeviceClasses that no driver brings; those below nvidia.com are the DRA driver's own.

    None has an `extendedResourceName`: of two classes with one name Kubernetes takes the younger, and `nvidia.com/gpu`
    is that of the driver's class `gpu.nvidia.com`.
    """
    named = {flavor.device_class for flavor in platform.gpu_flavors.values() if brings_own_class(flavor)}
    expression = f"device.driver == '{DRA_DRIVER}' && device.attributes['{DRA_DRIVER}'].type == 'gpu'"
    for name in sorted(filter(None, named)):
        yield {
            "apiVersion": versions.RESOURCE,
            "kind": "DeviceClass",
            "metadata": {"name": name, "labels": _LABELS},
            "spec": {"selectors": [{"cel": {"expression": expression}}]},
        }


def brings_own_class(flavor: GpuFlavor) -> bool:
    return bool(flavor.device_class) and not str(flavor.device_class).endswith(".nvidia.com")


def _division(sharing: Sharing | None) -> str:
    """A configuration of the device plugin. A pod that asks for two shares would get two of one GPU, so it is refused.

    The resource keeps its name: nodes of a shared flavor are the flavor's alone, and quota counts one name.
    """
    document: dict[str, Any] = {"version": "v1"}
    if sharing:
        resources = [{"name": GPU, "replicas": sharing.replicas}]
        document["sharing"] = {sharing.mode: {"failRequestsGreaterThanOne": True, "resources": resources}}
    return json.dumps(document, sort_keys=True)
