"""What a pod may be: restricted, without token, from a digest, without its own choice of GPUs (H7, H8, H17, H22)."""

import re
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import Inventory, tenant_of
from isolation.manifests.pods import PODLESS, Body, Pod
from isolation.manifests.tree import Document
from isolation.objects.placement import GPU_OPERATOR, operator_values
from isolation.results import CounterExample, Result

# Those of `restricted` that pods of ours need; a disk is the platform's alone (quotas.py).
_VOLUMES = frozenset({"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"})
_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
_DIGEST = re.compile(r"(?P<registry>[a-z0-9.-]+(:\d+)?)/[a-z0-9._/-]+@sha256:[0-9a-f]{64}")
_LONGEST_TOKEN_SECONDS = 86_400
_GPU_VARIABLES = re.compile(r"NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES|REQUIRE_.*|MIG_.*)|CUDA_VISIBLE_DEVICES")
_OBEYED = "ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED"


def restricted(inventory: Inventory) -> Result:
    """Pod Security `restricted` and a read-only root, of every pod at any depth, the platform's too."""
    faults = [
        CounterExample(pod.document.file, f"{pod}: {fault}") for pod in inventory.pods for fault in _unrestricted(pod)
    ]
    claim = "every pod, at any depth, is a restricted one"
    return Result("restricted", claim, len(inventory.pods), tuple(faults), row="H7")


def tokens(inventory: Inventory) -> Result:
    """No account hands out its token unasked; what a tenant's pod mounts has an audience and ends."""
    faults = [
        CounterExample(account.file, "hands its token to pods; set automountServiceAccountToken to false")
        for account in inventory.tree.of_kind("ServiceAccount")
        if account.body.get("automountServiceAccountToken") is not False
    ]
    faults += [
        CounterExample(namespace, "has no account `default` of ours, so the cluster makes one with a token")
        for namespace in inventory.namespaces
        if ("ServiceAccount", namespace, "default") not in inventory.by_key
    ]
    for pod in inventory.pods:
        faults += [CounterExample(pod.document.file, f"{pod}: {fault}") for fault in _token_faults(inventory, pod)]
    claim = "no pod of a tenant holds a token that the API server takes"
    return Result("tokens", claim, len(inventory.pods), tuple(faults), row="H8")


def images(inventory: Inventory) -> Result:
    """By digest, from the registries that the platform's own pods come from."""
    found = [(document, image) for document in inventory.objects for image in _images(document)]
    own = {_registry(image) for document, image in found if tenant_of(document) is None}
    faults = []
    for document, image in found:
        if _registry(image) is None:
            faults.append(CounterExample(document.file, f"image {image} has no digest, or no registry"))
        elif own and _registry(image) not in own:
            faults.append(CounterExample(document.file, f"image {image} is of a registry that the platform uses not"))
    claim = "images are named by digest, of the platform's registries"
    return Result("images", claim, len(found), tuple(faults), row="H17")


def gpu_environment(inventory: Inventory) -> Result:
    """A variable that the GPU runtime obeys gives a pod GPUs that nobody counted."""
    faults = [
        CounterExample(container.document.file, f"{container} sets {name}")
        for container in inventory.containers
        for name, _ in container.environment
        if _GPU_VARIABLES.fullmatch(name)
    ]
    toolkit = (operator_values(inventory).get("toolkit") or {}).get("env") or ()
    if {"name": _OBEYED, "value": "false"} not in toolkit:
        faults.append(CounterExample(GPU_OPERATOR, f"{_OBEYED} is not false; an image may set the variable too"))
    claim = "no pod chooses its GPUs by environment"
    return Result("gpu-environment", claim, len(inventory.containers), tuple(faults), row="H22")


def _unrestricted(pod: Pod) -> Iterator[str]:
    spec, security = pod.spec, pod.spec.get("securityContext") or {}
    yield from (f"{key} is set" for key in _HOST if spec.get(key))
    if security.get("sysctls") or security.get("windowsOptions"):
        yield "sets sysctls or Windows options"
    for volume in spec.get("volumes") or ():
        kinds = set(volume) - {"name"}
        if not kinds or kinds - _VOLUMES:
            yield f"volume {volume.get('name')} is {', '.join(sorted(kinds)) or 'nothing'}"
    if pod.runs_executor:
        yield from _unrestricted_container({"name": "executor", "securityContext": _CLOSED}, security)
    for container in pod.containers:
        yield from _unrestricted_container(container, security)


# Of Argo's own container, which workflow-controller's settings close; what the pod itself says is checked all the same.
_CLOSED: Body = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def _unrestricted_container(container: Body, of_pod: Body) -> Iterator[str]:
    own = container.get("securityContext") or {}
    merged = {**of_pod, **own}
    name = f"container {container.get('name', 'main')}"
    if merged.get("runAsNonRoot") is not True or merged.get("runAsUser") == 0:
        yield f"{name} may run as root"
    if (merged.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield f"{name} has no seccompProfile RuntimeDefault"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield f"{name} may gain privileges"
    capabilities = own.get("capabilities") or {}
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"{name} keeps capabilities"
    if own.get("readOnlyRootFilesystem") is not True:
        yield f"{name} can write its own root"
    if own.get("procMount") not in {None, "Default"} or merged.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{name} opens /proc or leaves AppArmor"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield f"{name} takes a port of the node"


def _token_faults(inventory: Inventory, pod: Pod) -> Iterator[str]:
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "mounts its account's token; set automountServiceAccountToken to false"
    for source in (s for v in pod.spec.get("volumes") or () for s in (v.get("projected") or {}).get("sources") or ()):
        token = source.get("serviceAccountToken")
        if token is None:
            continue
        if not token.get("audience") and pod.document.namespace in inventory.namespaces:
            yield "mounts a token that the API server takes; give it an audience"
        if int(token.get("expirationSeconds") or 0) > _LONGEST_TOKEN_SECONDS:
            yield f"mounts a token for more than {_LONGEST_TOKEN_SECONDS} seconds"


def _registry(image: str) -> str | None:
    """The registry of an image that is named by digest; None for any other."""
    found = _DIGEST.fullmatch(image)
    return found["registry"] if found else None


def _images(document: Document) -> Iterator[str]:
    """Strings under the key `image`, at any depth."""
    if document.kind in PODLESS:
        return
    stack: list[Any] = [document.body]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("image"), str):
                yield value["image"]
            stack += value.values()
        elif isinstance(value, list):
            stack += value
