"""What every pod of ours carries: what Pod Security `restricted` asks, requests equal to limits, and no search list."""

from typing import Any

USER = 1000

POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
# Only exact names are allowed, so a search list would make refused questions and nothing else.
DNS_CONFIG: dict[str, Any] = {"options": [{"name": "ndots", "value": "1"}]}

GPU_TOLERATION: dict[str, Any] = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def resources(cpus: str, memory: str, *, gpus: int = 0) -> dict[str, Any]:
    """Requests equal to limits: what Kueue and quota count is what the pod can take."""
    amounts = {"cpu": cpus, "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {"requests": amounts, "limits": dict(amounts)}


def scratch(name: str, path: str, *, size: str, in_memory: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """A writable folder that dies with the pod: volume and mount."""
    medium = {"medium": "Memory"} if in_memory else {}
    return {"name": name, "emptyDir": {"sizeLimit": size, **medium}}, {"name": name, "mountPath": path}
