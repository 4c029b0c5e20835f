"""Where a pod may run, and before whom: GPUs, nodes, sandboxes, priorities (H23-H26)."""

import json
import re
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import Inventory, spec_of, tenant_of
from isolation.manifests.pods import Body, Pod
from isolation.results import CounterExample, Result

GPU = "nvidia.com/gpu"
GPU_OPERATOR = "addon-gpu-operator"  # the Application whose values decide how GPUs are offered
_RESOURCES = re.compile(r"nvidia\.com/(gpu|mig-\d+g\.\d+gb)")
_TAINTS = re.compile(r"nvidia\.com/gpu|tenon\.dev/[a-z0-9-]+")
_SELECTED = re.compile(r"tenon\.dev/[a-z0-9-]+|nvidia\.com/[A-Za-z0-9.-]+|node\.kubernetes\.io/instance-type")
_RUNTIMES = re.compile(r"nvidia|gvisor|kata-[a-z0-9-]+")  # the GPU's own, and sandboxes
_HIGHEST = 1_000_000_000  # the first value of the cluster's own classes
_QUEUED = frozenset({"JobSet", "RayJob", "TrainJob", "TrainingRuntime"})
_DIVISION = "nvidia.com/device-plugin.config"  # of a node: how the device plugin divides its GPUs


def gpu_sharing(inventory: Inventory) -> Result:
    """Whole GPUs or MIG parts. A flavor whose GPUs take turns isolates neither memory nor faults: one tenant, no more.

    Tenants with accounts for slots (`isolation: hard`) share with nobody, themselves included.
    """
    faults = [
        CounterExample(pod.document.file, f"{pod} asks for {name}, a share of a GPU")
        for pod in inventory.tenant_pods
        for name, _ in (*pod.amounts("requests"), *pod.amounts("limits"))
        if "nvidia.com/" in name and not _RESOURCES.fullmatch(name)
    ]
    if "" in shared_divisions(inventory):
        faults.append(CounterExample(GPU_OPERATOR, "GPUs of every node take turns; the default divides none"))
    for name, users in _users_of_shared_flavors(inventory).items():
        if len(users) > 1 or "" in users:
            faults.append(CounterExample(name, f"its GPUs take turns between {', '.join(sorted(users)) or 'all'}"))
        hard = users & _hard(inventory)
        faults += [CounterExample(name, f"jobs of {tenant}, which is isolated hard, take turns") for tenant in hard]
    claim = "no GPU is shared by two tenants, nor by a hard tenant's own jobs"
    return Result("gpu-sharing", claim, len(inventory.tenant_pods), tuple(faults), row="H23")


def nodes(inventory: Inventory) -> Result:
    """Only GPU pods tolerate GPU nodes, nothing tolerates everything, and nobody picks a node by name.

    A pod of a queue runs on the nodes of its flavor, which are GPU nodes for a recipe on the CPU too.
    """
    faults = [
        CounterExample(pod.document.file, f"{pod} {fault}")
        for pod in inventory.tenant_pods
        for fault in _placement_faults(pod)
    ]
    claim = "pods tolerate the GPU taint only if they use GPUs, and no more"
    return Result("nodes", claim, len(inventory.tenant_pods), tuple(faults), row="H24")


def runtime_classes(inventory: Inventory) -> Result:
    """The list, and nothing a tenant could name. No step runs a tenant's code, so that none needs a sandbox."""
    faults = [
        CounterExample(pod.document.file, f"{pod} runs under runtime class {pod.spec['runtimeClassName']}")
        for pod in inventory.pods
        if pod.spec.get("runtimeClassName") and not _RUNTIMES.fullmatch(str(pod.spec["runtimeClassName"]))
    ]
    claim = "runtime classes are those of the list"
    return Result("runtime-classes", claim, len(inventory.pods), tuple(faults), row="H25")


def priorities(inventory: Inventory) -> Result:
    """Rendered classes only, none of the cluster's own, none by default, and no tenant makes one."""
    classes = {document.name: document for document in inventory.tree.of_kind("PriorityClass")}
    faults = []
    for name, document in classes.items():
        value = document.body.get("value")
        if not isinstance(value, int) or value >= _HIGHEST or document.body.get("globalDefault"):
            faults.append(CounterExample(document.file, f"priority class {name} has value {value}, or is everyone's"))
    for pod in inventory.pods:
        used = pod.spec.get("priorityClassName")
        if used and (used not in classes or tenant_of(classes[used]) is not None):
            faults.append(CounterExample(pod.document.file, f"{pod} has priority class {used}, which is not rendered"))
        if "priority" in pod.spec:
            faults.append(CounterExample(pod.document.file, f"{pod} sets a number as priority"))
    claim = "priorities are classes of the platform, none of the cluster's own"
    return Result("priorities", claim, len(inventory.pods), tuple(faults), row="H26")


def uses_gpu(pod: Pod) -> bool:
    """By device plugin or by claim."""
    return any("nvidia.com/" in name for name, _ in pod.amounts("limits")) or bool(pod.spec.get("resourceClaims"))


def _placement_faults(pod: Pod) -> Iterator[str]:
    for toleration in pod.spec.get("tolerations") or ():
        key = str(toleration.get("key") or "")
        if not _TAINTS.fullmatch(key):
            yield f"tolerates {key or 'every taint'}"
        elif key == GPU and not uses_gpu(pod) and pod.document.kind not in _QUEUED:
            yield "tolerates GPU nodes and uses no GPU"
    for key in pod.spec.get("nodeSelector") or {}:
        if not _SELECTED.fullmatch(key):
            yield f"selects nodes by {key}"
    if pod.spec.get("nodeName") or pod.spec.get("schedulerName") not in {None, "default-scheduler"}:
        yield "chooses its node, or its scheduler"
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if required in ((pod.spec.get("affinity") or {}).get("podAffinity") or {}):
        yield "must stand beside other pods"


def _users_of_shared_flavors(inventory: Inventory) -> dict[str, set[str]]:
    """Division of GPUs -> tenants that use nodes so divided; "" for the cohort, out of which everyone borrows."""
    shared = shared_divisions(inventory)
    users: dict[str, set[str]] = {}
    divisions = {
        document.name: (spec_of(document).get("nodeLabels") or {}).get(_DIVISION)
        for document in inventory.tree.of_kind("ResourceFlavor")
    }
    for document in inventory.tree.of_kind("ClusterQueue", "Cohort"):
        for flavor in flavors_of(spec_of(document)):
            if (division := divisions.get(str(flavor.get("name")))) in shared:
                users.setdefault(str(division), set()).add(tenant_of(document) or "")
    for pod in inventory.tenant_pods:
        if (division := (pod.spec.get("nodeSelector") or {}).get(_DIVISION)) in shared:
            users.setdefault(str(division), set()).add(inventory.namespaces[str(pod.document.namespace)])
    return users


def shared_divisions(inventory: Inventory) -> set[str]:
    """Names under which the device plugin divides GPUs; "" where it divides those of nodes without a name too."""
    config = (operator_values(inventory).get("devicePlugin") or {}).get("config") or {}
    shared = {name for name, text in (config.get("data") or {}).items() if "sharing" in json.loads(text)}
    return shared | ({""} if config.get("default") in shared else set())


def operator_values(inventory: Inventory) -> dict[str, Any]:
    """Values that Argo CD gives the GPU operator's chart; empty where it brings none."""
    document = inventory.by_key.get(("Application", "argocd", GPU_OPERATOR))
    values: dict[str, Any] = document.body["spec"]["source"]["helm"]["valuesObject"] if document else {}
    return values


def flavors_of(spec: Body) -> list[dict[str, Any]]:
    """The flavors of a ClusterQueue or a Cohort."""
    return [flavor for group in spec.get("resourceGroups") or () for flavor in group.get("flavors") or ()]


def _hard(inventory: Inventory) -> set[str]:
    accounts = {(document.namespace, document.name) for document in inventory.tree.of_kind("ServiceAccount")}
    return {tenant for tenant in inventory.tenants if (f"{tenant}-train", "trainer-0") in accounts}
