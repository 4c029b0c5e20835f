"""How much a tenant may have, and that Pod Security watches over it (H6, H9-H11, H19).

GPUs of `-train` are Kueue's, which counts whole jobs; its ResourceQuota counts objects and no pods. A second count of
one resource would stop a half-admitted job (DESIGN D4). In `-serve` the ResourceQuota governs everything.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from isolation.classes.inventory import PLANES, TENANT_LABEL, Inventory, spec_of, tenant_of
from isolation.manifests.pods import Body, Pod
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_SECURITY = "pod-security.kubernetes.io"
_PINNED = re.compile(r"v1\.\d+")
_NONE = ("count/persistentvolumeclaims", "services.loadbalancers", "services.nodeports")
_COUNTED = ("count/configmaps", "count/secrets", "count/services")
_OF_SERVING = ("count/jobs.batch", "pods")
_COMPUTE = ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_GPUS = "requests.nvidia.com/gpu"
_OF_KUEUE = re.compile(r"pods|count/(pods|jobs\.batch|workflows\..*)|(requests|limits)\..*")
_PRIVILEGED = frozenset({"gpu-operator"})  # it loads a kernel module on the nodes; no account of ours is there
_SIDES = ("default", "defaultRequest")
_UNITS: dict[str, int | Decimal] = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)")


def pod_security(inventory: Inventory) -> Result:
    """Enforced, audited and warned about, each at a pinned version: an upgrade of the cluster changes no verdict."""
    faults = []
    for document in inventory.tree.of_kind("Namespace"):
        for mode in ("enforce", "audit", "warn"):
            if document.labels.get(f"{_SECURITY}/{mode}") != "restricted" and document.name not in _PRIVILEGED:
                faults.append(CounterExample(document.file, f"{_SECURITY}/{mode} is not restricted"))
            if not _PINNED.fullmatch(document.labels.get(f"{_SECURITY}/{mode}-version", "")):
                faults.append(CounterExample(document.file, f"{_SECURITY}/{mode}-version is not pinned"))
    asked = len(list(inventory.tree.of_kind("Namespace")))
    claim = "every namespace but the GPU drivers' is held to `restricted` at a pinned version"
    return Result("pod-security", claim, asked, tuple(faults), row="H6")


def object_quotas(inventory: Inventory) -> Result:
    """No doors, no disks, a bound on the rest; pods and jobs are counted where Kueue does not count them."""
    faults = []
    for namespace in inventory.namespaces:
        hard = _hard(inventory, namespace)
        counted = (*_COUNTED, *(_OF_SERVING if namespace.endswith("-serve") else ()))
        faults += [CounterExample(namespace, f"quota {key} is not 0") for key in _NONE if hard.get(key) != "0"]
        faults += [CounterExample(namespace, f"has no quota on {key}") for key in counted if amount(hard.get(key)) <= 0]
        if namespace.endswith("-train"):
            doubled = [key for key in hard if _OF_KUEUE.fullmatch(key)]
            faults += [CounterExample(namespace, f"quota {key} counts what Kueue counts") for key in doubled]
    claim = "objects are counted, doors and disks are none, pods where Kueue is not"
    return Result("object-quotas", claim, len(inventory.namespaces), tuple(faults), row="H9")


def compute_quotas(inventory: Inventory) -> Result:
    """Serving by ResourceQuota, training by one queue; pods say what they use and never overlet GPUs."""
    faults = []
    for tenant in inventory.tenants:
        hard = _hard(inventory, f"{tenant}-serve")
        missing = [key for key in _COMPUTE if amount(hard.get(key)) <= 0]
        missing += [key for key in (_GPUS, "requests.storage") if key not in hard]
        faults += [CounterExample(f"{tenant}-serve", f"has no quota on {key}") for key in missing]
        if "limits.nvidia.com/gpu" in hard or "nvidia.com/gpu" in hard:
            faults.append(CounterExample(f"{tenant}-serve", "counts GPUs by a key that Kubernetes does not know"))
        faults += [CounterExample(f"{tenant}-train", fault) for fault in _queue_faults(inventory, tenant)]
    faults += [
        CounterExample(pod.document.file, f"{pod}: {fault}")
        for pod in inventory.tenant_pods
        for fault in _unbounded(pod)
    ]
    faults += [CounterExample("queues", fault) for fault in _overbooked(inventory)]
    claim = "compute is bounded: serving by quota, training by a queue of its own"
    return Result("compute-quotas", claim, len(inventory.tenants), tuple(faults), row="H10")


def container_limits(inventory: Inventory) -> Result:
    """A container that says nothing gets a little, and none gets more than the tenant's quota."""
    faults = []
    for namespace in inventory.namespaces:
        missing = [
            side
            for side in _SIDES
            if not any({"cpu", "memory"} <= set(each.get(side) or ()) for each in _of_containers(inventory, namespace))
        ]
        faults += [CounterExample(namespace, f"has no {side} for containers") for side in missing]
    for tenant in inventory.tenants:
        namespace = f"{tenant}-serve"
        limits = _of_containers(inventory, namespace)
        gpus = [
            amount(limit["max"].get("nvidia.com/gpu")) for limit in limits if "nvidia.com/gpu" in limit.get("max", ())
        ]
        if not gpus or min(gpus) > amount(_hard(inventory, namespace).get(_GPUS)):
            faults.append(CounterExample(namespace, "lets one container have more GPUs than its quota"))
    claim = "a container that says nothing gets little; none gets all"
    return Result("container-limits", claim, len(inventory.tenants), tuple(faults), row="H11")


def _of_containers(inventory: Inventory, namespace: str) -> list[Body]:
    """What the namespace's LimitRanges say of each container."""
    ranges = inventory.by_namespace.get(("LimitRange", namespace), ())
    limits = [limit for each in ranges for limit in spec_of(each).get("limits") or ()]
    return [limit for limit in limits if limit.get("type") == "Container"]


def volumes(inventory: Inventory) -> Result:
    """Tenants have no disks of their own: data is in buckets, and scratch dies with its pod."""
    faults = [CounterExample(each.file, "claims a disk") for each in inventory.kind("PersistentVolumeClaim")]
    for pod in inventory.tenant_pods:
        faults += [CounterExample(pod.document.file, f"{pod}: {fault}") for fault in _volume_faults(pod)]
    for document in inventory.kind("StatefulSet", "WorkflowTemplate", "CronWorkflow"):
        if any(spec_of(document).get(key) for key in ("volumeClaimTemplates", "volumeClaimGC")):
            faults.append(CounterExample(document.file, "makes disks"))
    claim = "no tenant has a disk; scratch is bounded and dies with its pod"
    return Result("volumes", claim, len(inventory.tenant_pods), tuple(faults), row="H19")


def _volume_faults(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.get("volumes") or ():
        if {"persistentVolumeClaim", "ephemeral"} & set(volume):
            yield f"mounts a disk, {volume.get('name')}"
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"scratch {volume.get('name')} has no bound"


def amount(text: object) -> Decimal:
    """A Kubernetes quantity as a number; -1 for what is none, a number without quotes among it."""
    found = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    return Decimal(found[1]) * _UNITS[found[2]] if found else Decimal(-1)


def gpu_quota(inventory: Inventory, tenant: str) -> Decimal:
    """GPUs of the tenant's serving namespace."""
    return amount(_hard(inventory, f"{tenant}-serve").get(_GPUS))


def _hard(inventory: Inventory, namespace: str) -> Body:
    """The namespace's quota; where several stand, the least of each key holds, and here there is one."""
    quotas = inventory.by_namespace.get(("ResourceQuota", namespace), ())
    return {key: value for quota in quotas for key, value in (spec_of(quota).get("hard") or {}).items()}


def _queue_faults(inventory: Inventory, tenant: str) -> Iterator[str]:
    queues = inventory.queues.get(tenant, [])
    if len(queues) != 1:
        yield f"has {len(queues)} queues; one is needed"
        return
    (queue,) = queues
    selector = spec_of(queue).get("namespaceSelector")
    if selector != {"matchLabels": {TENANT_LABEL: tenant, "tenon.dev/plane": PLANES[0]}}:
        yield f"its queue admits namespaces by {selector}"
    if {spec_of(local).get("clusterQueue") for local in _local_queues(inventory, tenant)} != {queue.name}:
        yield "its local queues lead to another's"
    amounts = (resource for flavor in _flavors(queue) for resource in flavor.get("resources") or ())
    for resource in amounts:
        values = [resource.get(key) for key in ("nominalQuota", "borrowingLimit", "lendingLimit") if key in resource]
        if "borrowingLimit" not in resource or any(amount(value) < 0 for value in values):
            yield f"queue resource {resource.get('name')} has no bound on borrowing, or a number that is no quantity"


def _overbooked(inventory: Inventory) -> Iterator[str]:
    """What jobs of tenants are guaranteed, what is lent to all, and what servers may take, beside what the cluster has.

    A tenant's servers stand on the nodes of its queue's flavor.
    """
    promised: dict[str, Decimal] = {}
    for document in inventory.tree.of_kind("ClusterQueue", "Cohort"):
        tenant = tenant_of(document)
        serving = max(gpu_quota(inventory, tenant), Decimal(0)) if tenant else Decimal(0)
        for flavor in _flavors(document):
            name = str(flavor.get("name"))
            promised[name] = promised.get(name, Decimal(0)) + serving + _guaranteed(flavor)
    for name, gpus in sorted(promised.items()):
        if gpus > (held := inventory.profile.gpu_capacity.get(name, 0)):
            yield f"promise {gpus} GPUs of flavor {name}, which holds {held}"


def _guaranteed(flavor: Body) -> Decimal:
    resources = [each for each in flavor.get("resources") or () if each.get("name") == "nvidia.com/gpu"]
    return sum((amount(each.get("nominalQuota")) for each in resources), Decimal(0))


def _local_queues(inventory: Inventory, tenant: str) -> Iterable[Document]:
    return inventory.by_namespace.get(("LocalQueue", f"{tenant}-train"), ())


def _flavors(queue: Document) -> Iterator[Body]:
    for group in spec_of(queue).get("resourceGroups") or ():
        yield from group.get("flavors") or ()


def _unbounded(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        name = container.get("name", "main")
        if not {"cpu", "memory"} <= set(requests) or "memory" not in limits:
            yield f"container {name} does not say what it uses"
        for key in {*requests, *limits}:
            if "/" in key and requests.get(key) != limits.get(key):
                yield f"container {name} asks for another amount of {key} than it may use"
