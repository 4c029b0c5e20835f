"""Kinds that a test syncs and no CRD source has (tools/unvalidated.yaml): served, and not looked into."""

import time
from collections.abc import Iterable

import yaml

from controlplane.api import Api, NotServedError
from controlplane.documents import Document, Kind

SERVED_SECONDS = 60.0

CLUSTER_SCOPED = frozenset({"ClusterSecretStore"})


def stand_in(api: Api, kinds: Iterable[Kind]) -> list[Kind]:
    """Serve every kind: with its real CRD, or with one that takes any fields. Returns the latter."""
    wanted = set(kinds)
    unknown = [kind for kind in api.install(wanted) if kind not in api.served()]
    for kind in unknown:
        answer = api.apply(Document(f"stand-in {kind}", yaml.safe_dump(_crd(kind))), dry_run=False)
        assert answer.accepted, answer
    deadline = time.monotonic() + SERVED_SECONDS
    while unserved := [kind for kind in unknown if kind not in api.served()]:
        if time.monotonic() > deadline:
            raise NotServedError(f"{unserved}: the stand-ins are there and discovery does not list them")
        api.install(unserved)  # asks discovery again
    return unknown


def _crd(kind: Kind) -> dict[str, object]:
    api_version, name = kind
    group, version = api_version.split("/")
    plural = f"{name.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster" if name in CLUSTER_SCOPED else "Namespaced",
            "names": {"kind": name, "plural": plural, "singular": name.lower(), "listKind": f"{name}List"},
            "versions": [served],
        },
    }
