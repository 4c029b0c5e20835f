"""Plays the operators that Argo CD waits for: writes the status that each would write, and does nothing else.

No pod runs here, so nobody makes a Secret out of an ExternalSecret or a pod out of a Deployment; a sync wave ends only
when what it applied is healthy.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controlplane.api import Api
from controlplane.documents import Kind

EVERY_SECONDS = 0.3
_MERGE = "application/merge-patch+json"
_NOW = "2026-01-01T00:00:00Z"


def _condition(kind: str, **more: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": _NOW, **more}


def _ready(_: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": [_condition("Ready")]}


def _active(_: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": [_condition("Active")]}


def _deployed(body: dict[str, Any]) -> dict[str, Any]:
    replicas = body["spec"].get("replicas", 1)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return {**counts, "observedGeneration": body["metadata"]["generation"], "conditions": [_condition("Available")]}


def _rolled_out(body: dict[str, Any]) -> dict[str, Any]:
    counts = {key: value for key, value in _deployed(body).items() if key != "observedGeneration"}
    generation = str(body["metadata"]["generation"])  # a text in a Rollout
    return {**counts, "observedGeneration": generation, "phase": "Healthy", "currentPodHash": "a", "stableRS": "a"}


def _routed(body: dict[str, Any]) -> dict[str, Any]:
    observed = {"observedGeneration": body["metadata"]["generation"]}
    conditions = [_condition(kind) | observed for kind in ("Accepted", "ResolvedRefs")]
    parents = [
        {"parentRef": parent, "controllerName": "tests.tenon.example/gateway", "conditions": conditions}
        for parent in body["spec"]["parentRefs"]
    ]
    return {"parents": parents}


def _allowed(body: dict[str, Any]) -> dict[str, Any]:
    counts = {"currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1}
    return {
        **counts,
        "observedGeneration": body["metadata"]["generation"],
        "conditions": [_condition("DisruptionAllowed", reason="SufficientPods")],
    }


STATUS = {
    ("apps/v1", "Deployment"): _deployed,
    ("argoproj.io/v1alpha1", "Rollout"): _rolled_out,
    ("external-secrets.io/v1", "ExternalSecret"): _ready,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _routed,
    ("kafka.strimzi.io/v1", "Kafka"): _ready,
    ("kafka.strimzi.io/v1", "KafkaNodePool"): _ready,
    ("kafka.strimzi.io/v1", "KafkaTopic"): _ready,
    ("kafka.strimzi.io/v1", "KafkaUser"): _ready,
    ("kueue.x-k8s.io/v1beta2", "ClusterQueue"): _active,
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"): _active,
    ("policy/v1", "PodDisruptionBudget"): _allowed,
    ("ray.io/v1", "RayService"): _ready,
}


@contextmanager
def operators(api: Api) -> Iterator[None]:
    """In a thread of their own until the `with` ends; an object that changes is answered again."""
    stopped = threading.Event()
    thread = threading.Thread(target=_play, args=(api, stopped), name="operators")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _play(api: Api, stopped: threading.Event) -> None:
    answered: dict[str, int] = {}  # uid -> the generation whose status was written
    while not stopped.wait(EVERY_SECONDS):
        for kind in STATUS:
            _answer(api, kind, answered)


def _answer(api: Api, kind: Kind, answered: dict[str, int]) -> None:
    if (resource := api.served().get(kind)) is None:
        return
    listed = api.http.get(f"{resource.prefix}/{resource.plural}").json().get("items", ())
    for body in listed:
        metadata = body["metadata"]
        generation = metadata.get("generation", 1)
        if answered.get(metadata["uid"]) == generation:
            continue
        path = f"{resource.path(metadata.get('namespace'))}/{metadata['name']}"
        headers = {"Content-Type": _MERGE}
        # a CRD without a status subresource takes it with the object; one that is gone by now needs no answer
        for target in (f"{path}/status", path):
            if api.http.patch(target, json={"status": STATUS[kind](body)}, headers=headers).is_success:
                answered[metadata["uid"]] = generation
                break
